# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How values are sealed before they leave this machine (private to ops.runbooks), each kind a small class.

``about`` names environment, secret and slot, so that what lies in one slot cannot be passed off for another. Only with
the user's key is that part of the encryption itself; where anybody may encrypt (age), or others do it (KMS), a seal
under the user's key says that a value is ours.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from ansible_collections.ops.runbooks.plugins.module_utils._core import age

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.age_identity import Identities
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

_NONCE = 12


class Broken(Exception):
    """What was sealed cannot be opened; ``reason`` and ``remedy`` are for a sentence."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class Seal(Protocol):
    """One way."""

    #: Schema of the documents that have it.
    schema: ClassVar[int]

    @property
    def cipher(self) -> str:
        """How documents say that they have it."""

    def check(self) -> None:
        """Raises where what is sealed could not be opened again. Asks nobody."""

    def seal(self, plain: bytes, about: bytes) -> dict[str, str]:
        """What stands in a document."""

    def unseal(self, body: Mapping[str, str], about: bytes) -> bytes:
        """What was sealed. Raises :class:`Broken`, and ``ValueError`` and its like for what is none of ours."""


class ByKey:
    """AES-256 in GCM, under a key that is derived from the user's and never reaches the store."""

    schema: ClassVar[int] = 1
    cipher = "aes-256-gcm"

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def check(self) -> None:
        """See :class:`Seal`."""

    def seal(self, plain: bytes, about: bytes) -> dict[str, str]:
        """See :class:`Seal`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE)
        return {
            "nonce": base64.b64encode(nonce).decode(),
            "sealed": base64.b64encode(AESGCM(self._keys.sealing()).encrypt(nonce, plain, about)).decode(),
        }

    def unseal(self, body: Mapping[str, str], about: bytes) -> bytes:
        """See :class:`Seal`."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, sealed = base64.b64decode(body["nonce"]), base64.b64decode(body["sealed"])
        try:
            return AESGCM(self._keys.sealing()).decrypt(nonce, sealed, about)
        except InvalidTag:
            reason = "it was encrypted under another secrets_key, or has been changed"
            raise Broken(reason, "Give the secrets_key under which it was written.") from None


class Plain:
    """As it is: the store encrypts it, or nobody does."""

    schema: ClassVar[int] = 2

    def __init__(self, keys: Keys, cipher: str) -> None:
        self._keys = keys
        self.cipher = cipher

    def check(self) -> None:
        """See :class:`Seal`."""

    def seal(self, plain: bytes, about: bytes) -> dict[str, str]:
        """See :class:`Seal`."""
        return {"text": plain.decode(), "mark": self._keys.seal(about + b"\0" + plain)}

    def unseal(self, body: Mapping[str, str], about: bytes) -> bytes:
        """See :class:`Seal`."""
        plain = body["text"].encode()
        return marked(self._keys, plain, body["mark"], about)


class ByAge:
    """For the recipients that are declared; the identity is read where it is needed first."""

    schema: ClassVar[int] = 2
    cipher = "age"

    def __init__(self, keys: Keys, recipients: Sequence[str], identities: Callable[[], Identities]) -> None:
        self._keys = keys
        self._recipients = recipients
        self._identities = identities

    def check(self) -> None:
        """See :class:`Seal`. By way of something that is no secret."""
        age.decrypt(age.encrypt(b"?", self._recipients), self._identities(), "what would be kept for age_recipients")

    def seal(self, plain: bytes, about: bytes) -> dict[str, str]:
        """See :class:`Seal`."""
        sealed = base64.b64encode(age.encrypt(plain, self._recipients)).decode()
        return {"sealed": sealed, "mark": self._keys.seal(about + b"\0" + plain)}

    def unseal(self, body: Mapping[str, str], about: bytes) -> bytes:
        """See :class:`Seal`. Raises ``age_identity_missing``, ``age_identity_wrong``, ``object_corrupt``."""
        plain = age.decrypt(base64.b64decode(body["sealed"]), self._identities(), about.decode())
        return marked(self._keys, plain, body["mark"], about)


def marked(keys: Keys, plain: bytes, mark: str, about: bytes) -> bytes:
    """The text, where it is ours. Raises :class:`Broken`."""
    if not hmac.compare_digest(keys.seal(about + b"\0" + plain), mark):
        reason = "it was written under another secrets_key, or by somebody else"
        raise Broken(reason, "Give the secrets_key under which it was written.")
    return plain
