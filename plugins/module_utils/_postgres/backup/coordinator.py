# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The session that makes a backup one moment of the database (private to ops.runbooks).

A snapshot alone is not enough: a TRUNCATE or a rewriting ALTER between snapshot and dump leaves pg_dump with an empty
table and exit status 0. So the coordinator first locks every table that is to be dumped (ACCESS SHARE, which only such
statements conflict with), and takes its snapshot when it holds all of them: ``LOCK`` as the first statement of a
REPEATABLE READ transaction takes none. Whoever dumps gets the snapshot's name, any number of pg_dump alike, and the
rows are counted in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import catalog
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import sqlstate
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Selection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import (
    Relation,
    Scope,
    batches,
    choose,
    read_relations,
)

#: How often tables are listed and locked again where some were created, dropped or renamed in between.
ATTEMPTS = 5
#: Tables in one LOCK, and in one counting query: one round trip for many small tables.
_LOCKED_AT_ONCE = 500
_COUNTED_AT_ONCE = 20
#: A table or schema that was dropped after it was listed (undefined_table, invalid_schema_name).
_VANISHED = ("42P01", "3F000")
_LOCK_NOT_AVAILABLE = "55P03"

_MOMENT = """
SELECT clock_timestamp(),
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text"""
_LOCKED = """
SELECT relation::int8 FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted"""
_HOLDERS = """
SELECT l.pid, coalesce(a.usename::text, '?'), coalesce(nullif(a.application_name, ''), 'unnamed'),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start)::int8, 0), l.relation::regclass::text
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.relation = ANY (%s::oid[]) AND l.mode = 'AccessExclusiveLock' ORDER BY l.granted DESC, l.pid LIMIT 3"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the coordinator holds: the snapshot by name, its time and place in the log, what it is a snapshot of.

    ``snapshot_at`` is the server's clock just before the snapshot: everything committed by then is in it.
    ``sequences`` are the states just before, by oid.
    """

    snapshot: str
    snapshot_at: datetime
    snapshot_lsn: str
    scope: Scope
    sequences: dict[int, catalog.SequenceState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was read in the snapshot: facts, rows by oid of the tables that were counted; it took ``seconds``."""

    facts: catalog.Facts
    counts: dict[int, int]
    seconds: float


class Coordinator:
    """Locks, snapshot and counts; a context manager that lets go of all of them.

    ``observer`` is another session, for what must not be asked in the coordinator's own before its snapshot.
    """

    def __init__(self, connector: Connector, observer: Session, wanted: Selection, lock_timeout: timedelta) -> None:
        self._connector = connector
        self._observer = observer
        self._wanted = wanted
        self._lock_timeout = lock_timeout
        self._examination: _Examination | None = None

    def __enter__(self) -> Self:
        self.session = self._connector.open()
        self.session.prepare_for_work(self._lock_timeout)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._examination is not None:
            self._examination.stop()
        self.session.close()

    def hold(self) -> Held:
        """Lock, then take the snapshot. Raises ``timed_out`` naming who holds a lock, or ``database_changing``."""
        for _attempt in range(ATTEMPTS):
            scope = self._scope(self._observer)
            self.session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", attempted="begin the snapshot")
            if self._lock(scope.lockable):
                held = self._export(scope)
                seen = self._scope(self.session)
                if seen.identity == scope.identity and self._locked() >= {each.oid for each in scope.lockable}:
                    return held
            self.session.execute("ROLLBACK", attempted="let go of the locks")
        raise RunbookError(
            code="database_changing",
            attempted="lock the tables that are to be backed up",
            object=self.session.endpoint.label,
            reason=f"they were listed and locked {ATTEMPTS} times, and some were created, dropped or renamed each time",
            remedy="Run this again when the migration or job that does so has ended.",
        )

    def big_tables(self, held: Held) -> tuple[dict[int, int], frozenset[int]]:
        """Bytes by oid of what is held, and the tables that are loaded through a root; before :meth:`examine`."""
        sizes = catalog.table_sizes(self.session, held.scope.lockable)
        return {oid: size.bytes for oid, size in sizes.items()}, catalog.loaded_through_root(self.session)

    def examine(self, held: Held, *, row_counts: str, max_bytes: int) -> None:
        """Begin to read facts and count rows in the snapshot, in a thread: the session is its own until the end.

        ``row_counts`` is exact (every table), auto (those whose heap is not larger than ``max_bytes``) or none.
        """
        self._examination = _Examination(self.session, held.scope, row_counts, max_bytes)

    def examined(self, timeout: float | None = None) -> Examined:
        """What :meth:`examine` found, once it is done. Raises what it raised, or ``timed_out``."""
        if self._examination is None:
            raise ValueError("nothing is being examined")
        return self._examination.result(timeout)

    def require_held(self) -> None:
        """Fail where the session has ended meanwhile, and its locks with it, however good the dump looks."""
        self.session.value("SELECT 1", attempted="ask the session that held the locks during the dump")

    def _scope(self, session: Session) -> Scope:
        standby = session.value("SELECT pg_is_in_recovery()", attempted="ask whether this is a standby")
        return choose(read_relations(session), self._wanted, standby=standby)

    def _lock(self, tables: Sequence[Relation]) -> bool:
        """Lock all, without the children of each: those are in the list themselves. False where one has vanished."""
        for batch in batches(tables, _LOCKED_AT_ONCE):
            names = ", ".join(f"ONLY {each.name.quoted}" for each in batch)
            try:
                self.session.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE", attempted="lock the tables")
            except RunbookError as error:
                if sqlstate(error) in _VANISHED:
                    return False
                if sqlstate(error) == _LOCK_NOT_AVAILABLE:
                    raise self._waited(batch) from error
                raise
        return True

    def _export(self, scope: Scope) -> Held:
        sequences = catalog.sequences(self._observer, scope.sequences)
        snapshot_at, lsn = self._observer.row(_MOMENT, attempted="read the server's clock")
        snapshot = self.session.value("SELECT pg_export_snapshot()", attempted="export the snapshot")
        return Held(
            snapshot=snapshot, snapshot_at=snapshot_at, snapshot_lsn=lsn or "", scope=scope, sequences=sequences
        )

    def _locked(self) -> set[int]:
        return {oid for (oid,) in self.session.rows(_LOCKED, attempted="check the locks")}

    def _waited(self, tables: Sequence[Relation]) -> RunbookError:
        found = self._observer.rows(_HOLDERS, ([each.oid for each in tables],), attempted="see who holds the locks")
        holders = "; ".join(
            f"process {pid} of {user} ({application}, in its transaction for {age} s) on {relation}"
            for pid, user, application, age, relation in found
        )
        return RunbookError(
            code="timed_out",
            attempted="lock the tables that are to be backed up",
            object=self.session.endpoint.label,
            reason=f"a lock was not free within {self._lock_timeout.total_seconds():g} s; "
            f"it is held or waited for by {holders or 'a session that has ended meanwhile'}",
            remedy="Wait for that session or end it, or raise lock_wait_timeout.",
        )


class _Examination:
    """Reads and counts in a thread; the first failure ends it."""

    def __init__(self, session: Session, scope: Scope, row_counts: str, max_bytes: int) -> None:
        self._session = session
        self._scope = scope
        self._row_counts = row_counts
        self._max_bytes = max_bytes
        self._found: Examined | None = None
        self._failure: RunbookError | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="examine", daemon=True)
        self._thread.start()

    def result(self, timeout: float | None) -> Examined:
        self._thread.join(timeout)
        if self._failure is not None:
            raise self._failure
        if self._found is None:
            raise RunbookError(
                code="timed_out",
                attempted="count the rows in the backup's snapshot",
                object=self._session.endpoint.label,
                reason="the dump has ended, and the counting did not end in the time that was left",
                remedy="Raise timeout, or have fewer rows counted with row_counts.",
            )
        return self._found

    def stop(self) -> None:
        """End it where it still runs: its result is not wanted any more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._session.cancel()
            self._thread.join(5)

    def _run(self) -> None:
        began = time.monotonic()
        try:
            facts = catalog.read_facts(self._session, self._scope.lockable)
            counts = self._count(facts.sizes)
        except RunbookError as error:
            self._failure = error
            return
        self._found = Examined(facts=facts, counts=counts, seconds=time.monotonic() - began)

    def _count(self, sizes: Mapping[int, catalog.TableSize]) -> dict[int, int]:
        counts: dict[int, int] = {}
        for batch in batches([each for each in self._scope.tables if self._counted(each, sizes)], _COUNTED_AT_ONCE):
            if self._stopped.is_set():
                break
            counts.update(self._count_batch(batch))
        return counts

    def _count_batch(self, batch: Sequence[Relation]) -> dict[int, int]:
        """Rows of a few tables. The locks on their indexes are let go of with the savepoint: for thousands of tables
        the server's lock table would not hold them all."""
        parts = (f"SELECT {each.oid}::int8, count(*) FROM ONLY {each.name.quoted}" for each in batch)
        self._session.execute("SAVEPOINT counting", attempted="count the rows")
        counted = self._session.rows(" UNION ALL ".join(parts), attempted="count the rows")
        self._session.execute("ROLLBACK TO SAVEPOINT counting", attempted="count the rows")
        return {oid: int(rows) for oid, rows in counted}

    def _counted(self, table: Relation, sizes: Mapping[int, catalog.TableSize]) -> bool:
        """Rows of an extension's table are dumped by a condition of the extension, so that no count says anything."""
        if table.oid not in self._scope.data or table.extension is not None:
            return False
        return self._row_counts == "exact" or (self._row_counts == "auto" and sizes[table.oid].heap <= self._max_bytes)
