# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own version (private to ops.runbooks): in documents, the user agent and messages."""

from __future__ import annotations

#: Equal to ``version`` in galaxy.yml, which a module cannot read where it runs; a test compares them.
VERSION = "1.0.0"
