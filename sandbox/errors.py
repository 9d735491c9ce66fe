# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception of the sandbox."""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the text is one sentence with the remedy."""
