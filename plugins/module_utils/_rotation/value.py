# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys, fingerprints and texts of secrets (private to ops.runbooks); pure.

One key of the user's, from which everything else is derived: the key that encrypts what lies in the store, the one of
fingerprints, and the one of the marks at Vercel. So nobody who reads the store can try guesses against a fingerprint.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: The shortest key, and where it is found that no option gives.
SHORTEST, KEY_VARIABLE = 32, "RUNBOOKS_SECRETS_KEY"
#: Hexadecimal digits of a fingerprint, and of what people are shown of it.
LENGTH, SHOWN = 16, 8
#: What stands before the name of a part that is of the value beside the wanted one.
BESIDE = "previous"
_PART = re.compile(r"\{([a-z_]*)\}")
#: Parts that are no text of anybody's choosing, and stand in a URL as they are.
_PLAIN = ("host", "port")


@dataclass(frozen=True, slots=True)
class Keys:
    """What is derived from the user's key. It appears nowhere."""

    _master: bytes = field(repr=False)

    @classmethod
    def read(cls, given: str) -> Keys:
        """From an option or the environment. Raises ``connection_missing``, ``invalid_parameter``."""
        if not given:
            raise RunbookError(
                code="connection_missing",
                attempted="keep values of secrets in the store",
                object="secrets_key",
                reason=f"neither secrets_key nor {KEY_VARIABLE} has the key under which they are encrypted",
                remedy="Make one, such as with `openssl rand -hex 32`, and keep it where the other credentials are.",
            )
        if len(given) < SHORTEST:
            raise RunbookError(
                code="invalid_parameter",
                attempted="use secrets_key",
                object="secrets_key",
                reason=f"it is shorter than {SHORTEST} characters, and could be guessed",
                remedy="Make one, such as with `openssl rand -hex 32`.",
            )
        return cls(given.encode())

    def sealing(self) -> bytes:
        """32 bytes for what lies in the store."""
        return self._derived(b"store")

    def marks(self) -> str:
        """The key of the marks at Vercel."""
        return self._derived(b"marks").hex()

    def fingerprint(self, value: str) -> str:
        """How a value is told from another one by whoever has the key."""
        return hmac.new(self._derived(b"fingerprints"), value.encode(), sha256).hexdigest()[:LENGTH]

    def seal(self, text: bytes) -> str:
        """How a text that others could have written is known to be ours."""
        return hmac.new(self._derived(b"seals"), text, sha256).hexdigest()

    def known_by(self) -> str:
        """By what this key is told from another one, of no use to who would guess it."""
        return self._derived(b"known by").hex()[:LENGTH]

    def check(self, known_by: str, secret: str) -> None:
        """Raises ``secret_unreadable`` where what is on record was kept under another key."""
        if known_by and not hmac.compare_digest(known_by, self.known_by()):
            raise RunbookError(
                code="secret_unreadable",
                attempted="read values of secrets from the store",
                object=f"secret {secret}",
                reason=f"{KEY_VARIABLE} (secrets_key) is another key than the one under which they are kept",
                remedy="Nothing was changed. Give the one from before.",
            )

    def _derived(self, purpose: bytes) -> bytes:
        return hmac.new(self._master, b"ops.runbooks secrets 1 " + purpose, sha256).digest()


def answer(value: str, nonce: str) -> str:
    """What a consumer that holds ``value`` says to ``nonce``: of no use to anybody who listens."""
    return hmac.new(value.encode(), nonce.encode(), sha256).hexdigest()[:LENGTH]


@dataclass(frozen=True, slots=True)
class Template:
    """How the parts of a value make the text of a destination: ``{value}``, ``{user}``, ``{previous}``, ..."""

    text: str = "{value}"

    @property
    def parts(self) -> frozenset[str]:
        """The names in it."""
        return frozenset(_PART.findall(self.text))

    @property
    def uses_previous(self) -> bool:
        """Whether a part of the earlier value is in it."""
        return any(name.startswith(BESIDE) for name in self.parts)

    @property
    def plain(self) -> bool:
        """Whether it is the value and nothing else, so that the value can be read back."""
        return self.text == "{value}"

    def check(self, known: frozenset[str], where: str) -> None:
        """Raises ``invalid_parameter`` for a part that the provider does not have."""
        names = known | {f"{BESIDE}_{name}" for name in known} | ({BESIDE} if "value" in known else frozenset())
        unknown = sorted(self.parts - names)
        if unknown or not self.parts:
            reason = f"there is no part {{{unknown[0]}}}" if unknown else "no part of the secret is in it"
            raise RunbookError(
                code="invalid_parameter",
                attempted="use a value template",
                object=where,
                reason=reason,
                remedy=f"The parts are {', '.join(f'{{{name}}}' for name in sorted(names))}.",
            )

    def render(self, parts: Mapping[str, str], beside: Mapping[str, str] | None) -> str:
        """The text; what is not there is empty. In a URL the parts are percent-encoded."""
        in_url = "://" in self.text
        known = dict(parts)
        for name, part in (beside or {}).items():
            known[BESIDE if name == "value" else f"{BESIDE}_{name}"] = part

        def text(match: re.Match[str]) -> str:
            part = known.get(match.group(1), "")
            return quote(part, safe="") if in_url and match.group(1).rpartition("_")[2] not in _PLAIN else part

        return _PART.sub(text, self.text)


#: The value and nothing else.
PLAIN = Template()
