# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values in the store (private to ops.runbooks): encrypted by this machine, each in a slot that is written once.

AES-256 in GCM, under a key that is derived from the user's and never reaches the store. Environment, secret and slot
are authenticated with it, so that what lies in one slot cannot be passed off for another. So the store may be any:
there is no place for a value in the clear.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.version import VERSION
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Value
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

_SCHEMA, _NONCE = 1, 12


class Vault:
    """The slots of one secret."""

    def __init__(self, store: Store, environment: str, secret: str, keys: Keys, redactor: Redactor) -> None:
        self._store = store
        self._folder = f"{environment}/secrets/{secret}/values"
        self._keys = keys
        self._redactor = redactor

    def reference(self, slot: str) -> str:
        """The key in the store by which other tasks may name the value."""
        return f"{self._folder}/{slot}.json"

    def keep(self, slot: str, parts: Mapping[str, str]) -> bool:
        """Write a value where nothing is; False where another run has written there."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE)
        sealed = AESGCM(self._keys.sealing()).encrypt(nonce, json.dumps(dict(parts)).encode(), self._about(slot))
        body = {
            "schema": _SCHEMA,
            "release": VERSION,
            "cipher": "aes-256-gcm",
            "nonce": base64.b64encode(nonce).decode(),
            "sealed": base64.b64encode(sealed).decode(),
        }
        return self._store.create(self.reference(slot), json.dumps(body, indent=2, sort_keys=True).encode() + b"\n")

    def open(self, slot: str) -> Mapping[str, str] | None:
        """The parts of a value; None where the slot is empty. Raises ``secret_unreadable``."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        raw = self._store.get(self.reference(slot))
        if raw is None:
            return None
        try:
            body = json.loads(raw)
            if body["schema"] > _SCHEMA:
                raise self._too_new(slot, body)
            nonce, sealed = base64.b64decode(body["nonce"]), base64.b64decode(body["sealed"])
            parts = json.loads(AESGCM(self._keys.sealing()).decrypt(nonce, sealed, self._about(slot)))
        except InvalidTag:
            raise self._unreadable(slot, "it was encrypted under another secrets_key, or has been changed") from None
        except (ValueError, KeyError, TypeError):
            raise self._unreadable(slot, "it is not a document of this collection") from None
        for part in parts.values():
            self._redactor.protect(part)
        return dict(parts)

    def slots(self) -> tuple[str, ...]:
        """All slots that hold anything."""
        listed = self._store.list(f"{self._folder}/")
        return tuple(each.key.rpartition("/")[2].removesuffix(".json") for each in listed)

    def forget(self, slot: str) -> None:
        """Remove a value. Raises ``store_denied`` where that is not allowed."""
        self._store.delete(self.reference(slot))

    def _about(self, slot: str) -> bytes:
        return self.reference(slot).encode()

    def _unreadable(self, slot: str, reason: str) -> RunbookError:
        return RunbookError(
            code="secret_unreadable",
            attempted="read a value of a secret from the store",
            object=f"{self._store.url}/{self.reference(slot)}",
            reason=reason,
            remedy="Give the secrets_key under which it was written.",
        )

    def _too_new(self, slot: str, body: Mapping[str, object]) -> RunbookError:
        return RunbookError(
            code="document_too_new",
            attempted="read a value of a secret from the store",
            object=f"{self._store.url}/{self.reference(slot)}",
            reason=f"it has schema {body['schema']} and this release knows schemas up to {_SCHEMA}",
            remedy=f"Install ops.runbooks {body.get('release', '(a newer release)')} or later.",
        )


class Opened:
    """The values of one secret that a run has read or made, each read from the store once."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._known: dict[str, Mapping[str, str] | None] = {}

    def keep(self, slot: str, parts: Mapping[str, str]) -> bool:
        """See ``Vault.keep``."""
        kept = self._vault.keep(slot, parts)
        if kept:
            self._known[slot] = parts
        return kept

    def peek(self, value: Value) -> Mapping[str, str] | None:
        """The parts of a value; None where its slot is empty. Raises ``secret_unreadable``."""
        if value.slot not in self._known:
            self._known[value.slot] = self._vault.open(value.slot)
        return self._known[value.slot]

    def parts(self, value: Value) -> Mapping[str, str]:
        """The same of one that has to be there. Raises ``secret_unreadable``."""
        parts = self.peek(value)
        if parts is None:
            raise RunbookError(
                code="secret_unreadable",
                attempted="read a value of a secret from the store",
                object=self._vault.reference(value.slot),
                reason="there is nothing",
                remedy="Where the store keeps versions, bring it back. Else adopt the value that is in force.",
            )
        return parts
