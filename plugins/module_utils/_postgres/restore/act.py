# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a restore out (private to ops.runbooks), under the lock of the database.

Each step leaves the store and the server in a state from which the next run goes on: ``started`` is recorded before
anything is created, ``loaded`` when the database is complete and compared, ``finished`` when it has its name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.build import LOCK_TIMEOUT, Building, Built
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import NewDatabase
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    LOADED,
    STARTED,
    Attempt,
    Mark,
    Marks,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.options import Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import (
    RestorePlan,
    RestoreState,
    Work,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects

#: Attempts on other servers that a mark remembers at most.
_KEPT = 20


class Restoring:
    """One restore while it is carried out."""

    def __init__(
        self,
        options: Options,
        state: RestoreState,
        *,
        source: Objects,
        marks: Marks,
        connector: Connector,
        session: Session,
        context: Context,
    ) -> None:
        self._options = options
        self._state = state
        self._marks = marks
        self._session = session
        self._context = context
        self._strategy = options.strategy
        self._tables = tuple(name.text for name in options.tables)
        self._building = Building(
            state.attempt.database,
            source=source,
            connector=connector,
            maintenance_database=options.maintenance_database,
            ownership=options.ownership,
            timeout=options.timeout,
            jobs=options.jobs,
            context=context,
        )

    def restore(self, plan: RestorePlan, work: Work) -> dict[str, Any]:
        """From nothing to the finished database."""
        self._begin(work)
        with self._building.built(work) as built:
            mark = self._loaded(plan, work, built)
            built.database.rename(mark.target_database)
        # Applications may be using it from here on: whatever fails now, the database stays, and the next run finds it.
        return self._finish(mark, built.database)

    def build(self, plan: RestorePlan, work: Work, *, strategy: str) -> tuple[Mark, str]:
        """From nothing to the loaded database, which keeps its temporary name; returns its mark and that name."""
        self._strategy = strategy
        self._begin(work)
        with self._building.built(work) as built:
            return self._loaded(plan, work, built), built.database.name

    def _begin(self, work: Work) -> None:
        self._session.prepare_for_work(LOCK_TIMEOUT)
        self._marks.write(self._mark(STARTED, work))
        for left in work.leftovers:
            NewDatabase(self._session, left.database, self._context).drop_left(left.run_id)

    def _loaded(self, plan: RestorePlan, work: Work, built: Built) -> Mark:
        mark = replace(self._mark(LOADED, work), oid=built.oid, result=_result(plan, built))
        self._marks.write(mark)
        return mark

    def finish(self, mark: Mark, name: str) -> dict[str, Any]:
        """From the loaded database to the finished one; harmless where a killed run came further than it recorded."""
        return self._finish(mark, NewDatabase(self._session, name, self._context))

    def _finish(self, mark: Mark, database: NewDatabase) -> dict[str, Any]:
        if database.name != mark.target_database:
            database.rename(mark.target_database)
        self._marks.write(replace(mark, phase=FINISHED, attempts=()))
        return {**mark.result, "database": mark.target_database}

    def _mark(self, phase: str, work: Work) -> Mark:
        state = self._state
        return Mark(
            restore_id=state.restore_id,
            phase=phase,
            backup=state.backup,
            target_database=state.target_database,
            system_identifier=state.server.system_identifier,
            strategy=self._strategy,
            tables=self._tables,
            attempts=(*self._attempts_before(work), state.attempt),
        )

    def _attempts_before(self, work: Work) -> list[Attempt]:
        """Earlier attempts whose databases may still be somewhere: on this server, or on another one."""
        before = self._state.mark.attempts if self._state.mark is not None else ()
        here = self._state.server.system_identifier
        return [each for each in before if each in work.leftovers or each.system_identifier != here][-_KEPT:]


def _result(plan: RestorePlan, built: Built) -> dict[str, Any]:
    """What the plan predicted, with what only building it has told."""
    return {
        **plan.result,
        "oid": built.oid,
        "bytes": built.bytes,
        "tables_compared": built.comparison.tables,
        "rows_compared": built.comparison.rows,
        "roles_created": list(built.roles_created),
        "skipped": [*plan.skipped, *built.losses],
        "durations": built.durations,
    }
