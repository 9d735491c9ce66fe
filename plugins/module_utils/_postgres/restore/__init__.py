# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring a backup into a new database, which the other strategies build on (postgres_restore).

Private to ops.runbooks.
"""

from __future__ import annotations
