# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of a restored database counted, and its statistics gathered, in a few sessions (private to ops.runbooks).

``ANALYZE`` of a whole database goes through its tables one after the other in one session, and nobody can use what was
restored before it has ended: so each large table is a job of its own here, and small ones share some.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableFact, TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import batches

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

_ATTEMPTED = "compare the restored database with the backup"
_ATTEMPTED_STATISTICS = "gather statistics in the restored database"
_LOCK_TIMEOUT = timedelta(seconds=60)
#: Bytes from which on a table is worth a job of its own.
_LARGE = 8 << 20
#: Smaller ones in one statement, which commits after each: a round trip for all of them.
_AT_ONCE = 100
#: Seconds between two tries to end what runs.
_AGAIN = 1.0
#: What ANALYZE without a list takes, but for the catalogs that all databases share: a restore hardly changes those. A
#: partitioned table stands for its partitions, which ANALYZE goes through with it (PostgreSQL manual, ANALYZE). To ask
#: for sizes here would wait for locks.
_ANALYZED = """
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind = 'p'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND NOT c.relisshared AND c.relpersistence <> 't'"""


class Counting:
    """Counts, and ANALYZE, in ``workers`` sessions that ``open_session`` opens."""

    def __init__(self, open_session: Callable[[], Session], workers: int, context: Context, *, superuser: bool) -> None:
        self._open = open_session
        self._workers = workers
        self._context = context
        self._superuser = superuser
        self._local = threading.local()
        self.counts: dict[TableName, int] = {}
        self._analyzed_at: list[float] = []
        self.analyze_seconds = 0.0

    def run(self, tables: Sequence[TableFact], sizes: Mapping[TableName, int], seconds: float | None) -> None:
        """Count every table in ``tables`` and gather statistics; the first failure or the time limit ends the rest.

        ``sizes`` are about how many bytes tables have, where that is known.
        """
        self._context.effect(_ATTEMPTED_STATISTICS)
        began = self._context.clock.monotonic()
        with ExitStack() as closing:
            sessions = [closing.enter_context(self._open()) for _number in range(self._workers)]
            for session in sessions:
                session.prepare_for_work(_LOCK_TIMEOUT)
            large, small = _to_analyze(sessions[0], sizes)
            bound = [table for table in tables if table.row_security_forced and not self._superuser]
            tasks = [partial(self._analyze, [name]) for name in large]
            tasks += [partial(self._count, table) for table in tables if table not in bound]
            # Small ones last: they fill what is left when the large ones do not end together.
            tasks += [partial(self._analyze, names) for names in batches(small, _AT_ONCE)]
            self._together(tasks, sessions, seconds)
            left = None if seconds is None else max(seconds - (self._context.clock.monotonic() - began), 0)
            # Each locks its table, for as long as counting takes: by now nobody else here needs it.
            self._together([partial(self._count_bound, table) for table in bound], sessions, left)
        self.analyze_seconds = max(self._analyzed_at) - began

    def _together(
        self, tasks: Sequence[Callable[[], None]], sessions: Sequence[Session], seconds: float | None
    ) -> None:
        if not tasks:
            return
        free = iter(sessions)
        with ThreadPoolExecutor(self._workers, initializer=lambda: self._take(next(free))) as pool:
            jobs: list[Future[None]] = [pool.submit(task) for task in tasks]
            try:
                done, pending = wait(jobs, seconds, return_when=FIRST_EXCEPTION)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                _end(jobs, sessions)
        for job in done:
            job.result()
        if pending:
            raise _too_slow(seconds or 0)

    def _take(self, session: Session) -> None:
        self._local.session = session

    def _analyze(self, names: Sequence[str]) -> None:
        self._local.session.execute(f"ANALYZE {', '.join(names)}", attempted=_ATTEMPTED_STATISTICS)
        self._analyzed_at.append(self._context.clock.monotonic())

    def _count(self, fact: TableFact) -> None:
        """Rows of one table."""
        table = fact.table
        self.counts[table] = self._local.session.value(
            f"SELECT pg_catalog.count(*) FROM ONLY {table.quoted}", attempted=f"count the rows of {table.text}"
        )

    def _count_bound(self, fact: TableFact) -> None:
        """The same where forced row security would bind even the owner: it is off while we count, and only then."""
        session, attempted = self._local.session, f"count the rows of {fact.table.text}"
        session.execute(f"BEGIN; ALTER TABLE {fact.table.quoted} NO FORCE ROW LEVEL SECURITY", attempted=attempted)
        self._count(fact)
        session.execute("ROLLBACK", attempted=attempted)


def _end(jobs: Sequence[Future[None]], sessions: Sequence[Session]) -> None:
    """Cancel what runs, and again where a statement was only about to begin the first time."""
    while running := [job for job in jobs if not job.done()]:
        for session in sessions:
            session.cancel()
        wait(running, _AGAIN)


def _to_analyze(session: Session, sizes: Mapping[TableName, int]) -> tuple[list[str], list[str]]:
    """Names of large tables, the largest first, and of all others. Partitioned ones count as large."""
    large: list[tuple[int, str]] = []
    small: list[tuple[int, str]] = []
    for schema, name, partitioned in session.rows(_ANALYZED, attempted=_ATTEMPTED_STATISTICS):
        table = TableName(schema=schema, name=name)
        size = sizes.get(table, 0)
        (large if partitioned or size >= _LARGE else small).append((-size, table.quoted))
    return [quoted for _size, quoted in sorted(large)], [quoted for _size, quoted in sorted(small)]


def _too_slow(seconds: float) -> RunbookError:
    return RunbookError(
        code="timed_out",
        attempted=_ATTEMPTED,
        object="the rows of its tables",
        reason=f"they were not counted in the {seconds:.0f} s that were left",
        remedy="Raise timeout, then run this again.",
    )
