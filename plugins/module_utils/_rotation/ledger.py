# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger of a secret in the store (private to ops.runbooks): read whole, changed by compare-and-swap only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import decode, encode
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document, Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.parallel import Crew, together
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import PHASES, Ledger

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The ledger as it was read: ``number`` is its version, 0 before the first."""

    number: int
    ledger: Ledger


#: Ledgers that are read at once.
_WORKERS = 8
#: The newest form of it; 2 knows the phase ``disabling``.
_SCHEMA = 2


class Book:
    """The series of versions of one secret's ledger."""

    def __init__(self, store: Store, environment: str, secret: str) -> None:
        self._series = Series(store, f"{environment}/secrets/{secret}/ledger", schema=_SCHEMA, keep=20)

    def read(self) -> Entry:
        """As it is now. Raises ``object_corrupt``, ``document_too_new``."""
        document = self._series.current()
        if document is None:
            return Entry(number=0, ledger=Ledger())
        return Entry(number=document.number, ledger=self._ledger(document))

    def swap(self, entry: Entry, ledger: Ledger) -> Entry | None:
        """Write what follows ``entry``; None where another run has written since."""
        written = self._series.create_next(encode(ledger), after=entry.number)
        return Entry(number=written.number, ledger=ledger) if written is not None else None

    @property
    def where(self) -> str:
        """Its address, for messages."""
        return self._series.where

    def _ledger(self, document: Document) -> Ledger:
        try:
            ledger = decode(Ledger, dict(document.body))
            if ledger.phase not in PHASES:
                raise ValueError("phase")
        except (KeyError, TypeError, ValueError, RunbookError):
            raise RunbookError(
                code="object_corrupt",
                attempted="read where a secret stands",
                object=f"{self.where}/{document.number:012d}.json",
                reason="it is not what this collection writes there",
                remedy="Look at it; the version before it, where it is still there, is what counted until then.",
            ) from None
        return ledger


def read_ledgers(store: Store, environment: str) -> dict[str, Ledger]:
    """Every secret of an environment that was ever rotated, with its ledger."""
    prefix = f"{environment}/secrets/"
    parts = (each.key.removeprefix(prefix).split("/") for each in store.list(prefix))
    names = sorted({part[0] for part in parts if part[1:2] == ["ledger"]})
    entries = together([Book(store, environment, name).read for name in names], _WORKERS, Crew()) if names else []
    return {name: entry.ledger for name, entry in zip(names, entries, strict=True)}
