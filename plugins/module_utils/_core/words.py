# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How sentences count and list (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice


def counted(number: int, noun: str) -> str:
    """``1 session``, ``3 sessions``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def few(names: Collection[str], most: int = 5) -> str:
    """The first of many names, so that a sentence stays one: ``a, b, c, d, e and 3 more``."""
    shown = ", ".join(islice(names, most))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
