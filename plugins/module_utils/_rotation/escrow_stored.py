# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values in the store, sealed by this machine or encrypted by KMS (private to ops.runbooks)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import (
    check_schema,
    document,
    unreadable,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import unencrypted
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.seals import Broken, Seal

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made

#: What S3 says of an object that a key of KMS encrypts begins so.
_BY_KMS = "aws:kms"


class Encrypting(Protocol):
    """A store that says how it encrypts; that of S3 does."""

    def encryption_of(self, key: str) -> str:
        """See ``store_s3.S3Store``."""


class Stored:
    """See ``escrow.Place``. ``seals`` are all ways in which a value may have been written, the first that of now."""

    scheme = ""

    def __init__(self, store: Store, environment: str, secret: str, seals: Mapping[str, Seal], writes: str) -> None:
        self._store = store
        self._folder = f"{environment}/secrets/{secret}/values"
        self._seals = seals
        self._writes = seals[writes]

    def reference(self, name: str) -> str:
        """The key in the store."""
        return f"{self._folder}/{name}.json"

    def check(self) -> None:
        """See ``escrow.Place``."""
        self._writes.check()

    def look(self) -> None:
        """See ``escrow.Place``. Whether the store takes it, locks and ledger have shown."""

    def ready(self) -> None:
        """See ``escrow.Place``."""

    def keep(self, name: str, made: Made) -> str | None:
        """See ``escrow.Place``."""
        plain, about = json.dumps(dict(made.parts)).encode(), self._about(name)
        sealed = self._writes.seal(plain, about)
        body = document(self._writes.schema, cipher=self._writes.cipher, **sealed)
        written = self._store.create(self.reference(name), json.dumps(body, indent=2, sort_keys=True).encode() + b"\n")
        return name if written else None

    def open(self, name: str) -> Mapping[str, str] | None:
        """See ``escrow.Place``. By what the document says of itself, whatever is written today."""
        raw = self._store.get(self.reference(name))
        if raw is None:
            return None
        where = f"{self._store.url}/{self.reference(name)}"
        try:
            body = json.loads(raw)
            check_schema(where, body)
            parts = json.loads(self._seals[body["cipher"]].unseal(body, self._about(name)))
            return {str(part): str(text) for part, text in parts.items()}
        except Broken as broken:
            raise unreadable(where, broken.reason, broken.remedy) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            remedy = "Where the store keeps versions, bring the one before back. Else adopt the value that is in force."
            raise unreadable(where, "it is not a document of this collection", remedy) from None

    def names(self) -> tuple[str, ...]:
        """See ``escrow.Place``."""
        listed = self._store.list(f"{self._folder}/")
        return tuple(each.key.rpartition("/")[2].removesuffix(".json") for each in listed)

    def forget(self, name: str) -> None:
        """See ``escrow.Place``. Raises ``store_denied`` where that is not allowed."""
        self._store.delete(self.reference(name))

    def _about(self, name: str) -> bytes:
        return self.reference(name).encode()


class ByKms(Stored):
    """Values that S3 encrypts under a key of KMS. Not every service that speaks S3 does what it is asked to there."""

    def __init__(
        self, store: Store, environment: str, secret: str, seals: Mapping[str, Seal], writes: str, context: Context
    ) -> None:
        super().__init__(store, environment, secret, seals, writes)
        self._secret = secret
        self._probe = f"{environment}/secrets/{secret}/encryption.json"
        self._context = context

    def look(self) -> None:
        """See ``escrow.Place``. By what an earlier run has written; one that makes a value writes that again."""
        if not self._context.check_mode:
            return
        try:
            self._refuse_unencrypted("an earlier run has written so, which a run without check mode writes again,")
        except RunbookError as error:
            if error.code != "object_missing":
                raise

    def ready(self) -> None:
        """See ``escrow.Place``. By an object that is no secret: a value that lay there in the clear could be read."""
        self._context.effect("see that the store encrypts with KMS")
        self._store.put(self._probe, b"{}\n")
        self._refuse_unencrypted("was written so")

    def _refuse_unencrypted(self, what: str) -> None:
        says = cast(Encrypting, self._store).encryption_of(self._probe)
        if not says.startswith(_BY_KMS):
            reason = (
                f"kept_in is of type sse_kms, and {self._store.url} does not encrypt with a key of KMS: of what {what} "
                f"it says {says or 'nothing'}"
            )
            raise unencrypted(self._secret, reason)
