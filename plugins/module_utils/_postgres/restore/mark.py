# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the store knows of a restore (private to ops.runbooks).

``<environment>/databases/<name>/restores/<restore_id>`` says how far a restore has come and where, so that a second run
of a finished one changes nothing and the next run after a kill clears up. Nothing inside the restored database says so:
that would come along when the database is itself backed up.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import decode, encode
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document, Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import ID

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

MARK_SCHEMA = 1
_PLAIN = re.compile(r"[A-Za-z0-9_]+")
#: The restore has begun: its temporary database may exist.
STARTED = "started"
#: The temporary database is complete and compared; only the rename and the mark are left.
LOADED = "loaded"
#: The database has its final name.
FINISHED = "finished"
#: A swap, or its undoing, is about to happen or has just happened: who has the live name, the server tells by oid.
SWAPPING = "swapping"
REVERTING = "reverting"
#: A restore in place has its way back: the backup of what is there, which it takes first.
PREPARED = "prepared"
#: The transaction of a restore in place is about to become final, or has just: which of both, the server tells.
REPLACING = "replacing"
#: The database that was live before a swap is live again.
REVERTED = "reverted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBackup:
    """The backup that a restore was resolved to; kept, so that ``latest`` means the same when the run is repeated."""

    environment: str
    id: str
    snapshot_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A temporary database that was, or was about to be, created; ``token`` is the end of its name."""

    database: str
    token: str
    system_identifier: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A swap: ``replaced_oid`` is the database that was live before. The one of the two that is not live has the name
    ``aside``, and may be dropped from ``until`` on.
    """

    replaced_oid: int
    aside: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One restore. ``attempts`` are those whose temporary database is not known to be gone, the current one last.

    ``oid`` and ``result`` are there from phase ``loaded`` on, ``exchange`` from ``swapping`` on. Of a restore in place,
    ``before`` is the backup that it took first, and ``transaction`` its transaction's id from ``replacing`` on.
    """

    restore_id: str
    phase: str
    backup: SourceBackup
    target_database: str
    system_identifier: str
    attempts: tuple[Attempt, ...] = ()
    oid: int | None = None
    strategy: str = "new_database"
    exchange: Exchange | None = None
    tables: tuple[str, ...] = ()
    before: str | None = None
    transaction: str | None = None
    result: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document."""
        body: dict[str, Any] = encode(self)
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any], where: str) -> Mark:
        """Read a document. Raises ``object_corrupt`` where it is none."""
        try:
            return replace(decode(cls, {**body, "result": {}}), result=dict(body.get("result") or {}))
        except (KeyError, TypeError, ValueError) as error:
            raise RunbookError(
                code="object_corrupt",
                attempted="read what is known of a restore",
                object=where,
                reason=f"it is not a record of a restore: {error}",
                remedy="Give this restore another restore_id, and find out who changed this object.",
            ) from error


class Marks:
    """The restores of ``<environment>/<name>``. Written only under the lock of the database."""

    def __init__(self, store: Store, environment: str, name: str, context: Context) -> None:
        self._store = store
        self._root = f"{environment}/databases/{name}/restores"
        self._context = context

    def read(self, restore_id: str) -> Mark | None:
        """The restore of that id; None where it was never started."""
        found = self._series(restore_id).current()
        return None if found is None else self._mark(found, restore_id)

    def write(self, mark: Mark) -> None:
        """Record how far a restore has come."""
        series = self._series(mark.restore_id)
        current = series.current()
        self._context.effect(f"record that restore {mark.restore_id} is {mark.phase}")
        if series.create_next(mark.to_json(), after=current.number if current else 0) is None:
            raise RunbookError(
                code="lock_lost",
                attempted="record how far the restore is",
                object=f"{self._root}/{mark.restore_id} in {self._store.url}",
                reason="another run recorded something for the same restore at the same time",
                remedy="Find out which run that is (status shows it), and repeat this command after it has ended.",
            )

    def attempts(self) -> list[Attempt]:
        """Every temporary database that any restore of this name may have left behind."""
        return [attempt for mark in self.all() for attempt in mark.attempts]

    def made(self, database: str, oid: int, system_identifier: str) -> Mark | None:
        """The finished restore that has made that very database; None where none has."""
        for mark in self.all():
            is_it = (mark.target_database, mark.oid, mark.system_identifier) == (database, oid, system_identifier)
            if is_it and mark.phase == FINISHED:
                return mark
        return None

    def all(self) -> Iterator[Mark]:
        """What is known of every restore of this name."""
        ids = {stored.key.removeprefix(f"{self._root}/").split("/")[0] for stored in self._store.list(f"{self._root}/")}
        return (mark for restore_id in sorted(ids) if (mark := self.read(restore_id)) is not None)

    def _series(self, restore_id: str) -> Series:
        return Series(self._store, f"{self._root}/{restore_id}", schema=MARK_SCHEMA)

    def _mark(self, found: Document, restore_id: str) -> Mark:
        return Mark.from_json(found.body, f"{self._root}/{restore_id} in {self._store.url}")


def default_restore_id(*, environment: str, source_environment: str, backup_id: str, target: str) -> str:
    """The identity of a restore that was given none: its backup and its target, and a hash unless these are plain.

    Plain means that the last hyphen parts the two, so that no two restores share an identity.
    """
    readable = f"{backup_id}-{target}"
    if source_environment == environment and _PLAIN.fullmatch(target) and ID.fullmatch(readable):
        return readable
    digest = hashlib.sha256("\0".join((source_environment, backup_id, target)).encode()).hexdigest()[:16]
    return f"{backup_id[:80]}-{re.sub('[^A-Za-z0-9_]', '_', target)[:30]}-{digest}"
