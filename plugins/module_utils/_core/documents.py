# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents that several writers may change (private to ops.runbooks).

A document is a series of create-only objects ``<document>/<n>.json``, of which the highest number is current. Two
writers that read number 7 both try to create number 8, and the store lets one of them. The highest is never removed;
older ones are, a few at a time and without insisting, since the credentials need not be able to delete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import new_token
from ansible_collections.ops.runbooks.plugins.module_utils._core.version import VERSION

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store, StoredObject

#: The object of :func:`require_conditional`, in each store.
PROBE_KEY = "probe/conditional-writes.json"

_NAME = re.compile(r"/(\d{12})\.json$")
#: Keys that one page of a list brings.
_PAGE = 1000
#: Old versions that one write removes at most.
_PRUNED = 20
#: Reads of a document that vanishes between its listing and its reading, because a newer one was written.
_READS = 5
#: Tries of one who adds a version while others do.
_APPENDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One version of a document: ``number`` in the series, ``modified`` by the store's clock."""

    number: int
    body: Mapping[str, Any]
    modified: datetime

    @property
    def token(self) -> str:
        """What its writer, and nobody else, put into it."""
        return str(self.body.get("token", ""))


class Series:
    """The versions of one document. ``schema`` is the newest form that this release reads and the one it writes.

    ``keep`` is how many versions are left when a new one is written. ``create`` replaces the store's conditional create
    where a lock that lives elsewhere keeps other writers out.
    """

    def __init__(
        self,
        store: Store,
        document: str,
        *,
        schema: int = 1,
        keep: int = 10,
        create: Callable[[str, bytes], bool] | None = None,
    ) -> None:
        self.document = document
        self._store = store
        self._create = create or store.create
        self._schema = schema
        self._keep = keep
        self._may_delete = True

    def current(self) -> Document | None:
        """The version in force; None before the first. Raises ``document_too_new``, ``object_corrupt``."""
        for _attempt in range(_READS):
            _oldest, found = self._survey()
            if found is None:
                return None
            document = self._read(found)
            if document is not None:
                return document
        raise self._failed(
            "store_failed",
            "its versions kept changing while they were read",
            "Several runs work on it at this moment; run the same command again.",
        )

    def create_next(self, body: Mapping[str, Any], after: int) -> Document | None:
        """Write the version that follows number ``after`` (0: the first).

        None where another writer came first, or has by now built on this version: read anew, and plan anew. The fields
        ``schema``, ``token`` and ``release`` are set here; a token that came along with a copied body is replaced,
        since two writers with equal bodies would both take the other's version for their own.
        """
        number = after + 1
        full = self._completed(body, new_token())
        if not self._create(self._key(number), _encoded(full)):
            return None
        return self._if_highest(number, full)

    def append(self, body: Mapping[str, Any], *, attempted: str, effect: Callable[[str], None]) -> None:
        """Write the next version of a document whose versions need not know each other, whoever writes beside.

        ``effect`` is called with ``attempted`` before each try. Raises ``store_failed``.
        """
        for _attempt in range(_APPENDS):
            effect(attempted)
            found = self.current()
            if self.create_next(body, after=found.number if found is not None else 0) is not None:
                return
        raise RunbookError(
            code="store_failed",
            attempted=attempted,
            object=self.where,
            reason="other writers were faster every time",
            remedy="Run the same command again.",
        )

    def rewrite(self, document: Document, body: Mapping[str, Any]) -> Document | None:
        """Replace the content of a version that is this writer's own. None where there is a higher one by now."""
        full = self._completed(body, document.token)
        self._store.put(self._key(document.number), _encoded(full))
        return self._if_highest(document.number, full)

    def history(self, after: int = 0) -> Iterator[Document]:
        """The versions above number ``after`` that are still there, oldest first."""
        for found in self._store.list(f"{self.document}/", after=self._key(after) if after else ""):
            if _number(found) and (document := self._read(found)) is not None:
                yield document

    @property
    def where(self) -> str:
        """The document's address, for messages."""
        return f"{self._store.url}/{self.document}"

    def _key(self, number: int) -> str:
        return f"{self.document}/{number:012d}.json"

    def _completed(self, body: Mapping[str, Any], token: str) -> dict[str, Any]:
        return {**body, "schema": self._schema, "token": token, "release": VERSION}

    def _if_highest(self, number: int, body: Mapping[str, Any]) -> Document | None:
        """What was just written, unless there is a higher number: then a late writer filled a gap, and has lost.

        Versions beyond ``keep`` are removed on the way, at best effort: a failure there must not fail the work.
        """
        oldest, highest = self._survey()
        if highest is None or _number(highest) != number:
            return None
        try:
            for found in oldest[: _PRUNED if self._may_delete else 0]:
                if _number(found) <= number - self._keep:
                    self._store.delete(found.key)
        except RunbookError:
            self._may_delete = False
        return Document(number=number, body=body, modified=highest.modified)

    def _survey(self) -> tuple[list[StoredObject], StoredObject | None]:
        """The oldest versions, and the highest.

        One request for fewer than 1,000 versions. Beyond (credentials that cannot delete leave all of them) it leaps
        ahead in growing and then shrinking steps: a list that begins behind a number says whether there is a higher
        one.
        """
        oldest = page = self._page(0)
        highest = page[-1] if page else None
        step = _PAGE
        while highest and step and len(page) in (0, _PAGE):
            page = self._page(_number(highest) + step)
            highest = page[-1] if page else highest
            step = step * 2 if page else step // 2
        if highest and not step:
            highest = (self._page(_number(highest)) or [highest])[-1]
        return oldest, highest

    def _page(self, after: int) -> list[StoredObject]:
        """Up to 1,000 versions with numbers above ``after``: one request."""
        listed = self._store.list(f"{self.document}/", after=self._key(after) if after else "")
        return list(islice((found for found in listed if _number(found)), _PAGE))

    def _read(self, found: StoredObject) -> Document | None:
        raw = self._store.get(found.key)
        if raw is None:
            return None
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("schema"), int):
            raise self._failed(
                "object_corrupt",
                f"{found.key} is not a document of this collection",
                "Look at the object and, where it is foreign or damaged, move it away.",
            )
        if body["schema"] > self._schema:
            raise self._failed(
                "document_too_new",
                f"it has schema {body['schema']} and this release knows schemas up to {self._schema}",
                f"Install ops.runbooks {body.get('release', '(a newer release)')} or later.",
            )
        return Document(number=_number(found), body=body, modified=found.modified)

    def _failed(self, code: str, reason: str, remedy: str) -> RunbookError:
        return RunbookError(code=code, attempted="read a document", object=self.where, reason=reason, remedy=remedy)


def require_conditional(store: Store, context: Context) -> None:
    """Prove that the store lets only one of two writers create an object. Raises ``store_not_conditional``.

    One object is created and, where that succeeds, created again with another content: on a store that was proven
    before, the first attempt is refused and is the proof.
    """
    for _attempt in range(2):
        context.effect("prove that the store honours conditional writes")
        if not store.create(PROBE_KEY, _encoded({"token": new_token(), "schema": 1, "release": VERSION})):
            return
    raise RunbookError(
        code="store_not_conditional",
        attempted="use the store for locks",
        object=store.url,
        reason="it let the same object be created twice",
        remedy="Set state_store to a store that honours If-None-Match on PUT; dumps may stay where they are.",
    )


def _number(found: StoredObject) -> int:
    """The number of a version; 0 for a foreign object."""
    match = _NAME.search(found.key)
    return int(match.group(1)) if match else 0


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
