# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a value is known again that nobody can read (private to ops.runbooks); pure.

Vercel never shows a sensitive value. What was written is known by a mark at the end of the variable's comment: a keyed
digest (see ``_core/fingerprint.py``) of project, name, branch and value, and the time of the writing by Vercel's clock.
The target is no part of it, so that a record which is split keeps its mark. A record that was changed after that time
may hold another value, whatever its mark says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Seconds between the time in a mark and the time at which Vercel has written it.
_TOLERANCE = 120
_MARK = re.compile(r"(?:^|\s)rb1:(?P<digest>[0-9a-f]{16}):(?P<at>[0-9a-f]{8})\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a comment says of the value. ``at`` is in seconds since 1970."""

    digest: str
    at: int

    def covers(self, updated_at: int) -> bool:
        """Whether the record, last changed at this millisecond, has not been touched since."""
        return updated_at / 1000 <= self.at + _TOLERANCE


def mark_of(comment: str | None) -> Mark | None:
    """The mark in a comment; None where there is none."""
    match = _MARK.search(comment or "")
    return Mark(digest=match["digest"], at=int(match["at"], 16)) if match else None


def text_of(comment: str | None) -> str:
    """A comment without its mark: what people have written."""
    return _MARK.sub("", comment or "").strip()


def marked(text: str, digest: str, at: int) -> str:
    """A comment with a mark."""
    return f"{text} rb1:{digest}:{at:08x}".strip()
