# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a value is known again that nobody can read (private to ops.runbooks); pure.

Vercel never shows a sensitive value. What was written is known by a mark at the end of the variable's comment: a keyed
digest (HMAC-SHA-256, cut to 16 hexadecimal digits) of project, name, branch and value, and the time of the writing by
Vercel's clock. Without the key nobody can try guesses against it. The target is no part of it, so that a record which
is split keeps its mark. A record that was changed after that time may hold another value, whatever its mark says.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from hashlib import sha256

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: The shortest key.
SHORTEST = 16
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


@dataclass(frozen=True, slots=True)
class FingerprintKey:
    """The key of all digests. It appears nowhere."""

    key: bytes = field(repr=False)

    @classmethod
    def read(cls, given: str, values: frozenset[str]) -> FingerprintKey:
        """From an option. Raises ``invalid_parameter`` for one that can be guessed, or is what it is to protect."""
        if len(given) < SHORTEST or given in values:
            reason = "it is shorter than 16 characters" if len(given) < SHORTEST else "it is one of the values"
            raise RunbookError(
                code="invalid_parameter",
                attempted="use fingerprint_key",
                object="fingerprint_key",
                reason=f"{reason}, and with it the values could be found out from their marks",
                remedy="Make one of its own, such as with `openssl rand -hex 32`, and keep it.",
            )
        return cls(given.encode())

    def digest(self, project: str, key: str, branch: str | None, value: str) -> str:
        """Of one value of one variable."""
        parts = (project, key, branch or "", value)
        text = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
        return hmac.new(self.key, text, sha256).hexdigest()[:16]


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
