# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keyed digests, by which a value is known again that nobody can read back (private to ops.runbooks); pure.

HMAC-SHA-256, cut to 16 hexadecimal digits, of the value and of what it belongs to: without the key nobody can try
guesses against it, and the same value in two places does not look alike.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: Where the key is found that no option gives.
KEY_VARIABLE = "RUNBOOKS_FINGERPRINT_KEY"
#: The shortest key.
SHORTEST = 16


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
        return cls(given.encode("utf-8", "surrogateescape"))

    def digest(self, *parts: str | None) -> str:
        """Of a value, the last part, and of what it belongs to; None is as good as empty."""
        raw = [(part or "").encode("utf-8", "surrogateescape") for part in parts]
        text = b"".join(len(part).to_bytes(8, "big") + part for part in raw)
        return hmac.new(self.key, text, sha256).hexdigest()[:16]
