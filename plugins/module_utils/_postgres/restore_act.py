# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a restore out (private to ops.runbooks), under the lock of the database.

Each step leaves the store and the server in a state from which the next run goes on: ``started`` is recorded before
anything is created, ``loaded`` when the database is complete and compared, ``finished`` when it has its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import role_settings
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compare import (
    Comparison,
    Counting,
    compare,
    counted_tables,
    read_restored,
    require_equal,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore_database import NewDatabase
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore_load import Loading, load
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore_mark import (
    FINISHED,
    LOADED,
    STARTED,
    Attempt,
    Mark,
    Marks,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore_options import Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore_plan import (
    RestorePlan,
    RestoreState,
    Work,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

#: How long a statement about the database waits for others to let go of it.
_LOCK_TIMEOUT = timedelta(seconds=60)
#: Attempts on other servers that a mark remembers at most.
_KEPT = 20
#: Sessions that count rows and gather statistics at the same time.
_WORKERS = 2


class Restoring:
    """One restore while it is carried out."""

    def __init__(
        self,
        options: Options,
        state: RestoreState,
        *,
        source: Store,
        marks: Marks,
        connector: Connector,
        session: Session,
        context: Context,
    ) -> None:
        self._options = options
        self._state = state
        self._source = source
        self._marks = marks
        self._connector = connector
        self._session = session
        self._context = context
        self._began = context.clock.monotonic()
        self._durations: dict[str, float] = {}

    def restore(self, plan: RestorePlan, work: Work) -> dict[str, Any]:
        """From nothing to the finished database."""
        self._session.prepare_for_work(_LOCK_TIMEOUT)
        self._marks.write(self._mark(STARTED, work))
        for left in work.leftovers:
            NewDatabase(self._session, left.database, self._context).drop()
        database = NewDatabase(self._session, self._state.attempt.database, self._context)
        created: list[str] = []
        with self._undone_on_failure(database.name, created):
            self._create_roles(work, created)
            like, ownership = work.manifest.database, self._options.ownership
            owner = like.owner if ownership.keeps_owners else ownership.owner
            oid = database.create(
                like,
                tablespaces=work.target.tablespaces,
                owner=None if owner in work.missing_roles else owner,
                builders=[] if work.target.superuser else sorted(work.owners - work.missing_roles - {owner}),
            )
            size = self._load(database, work)
            comparison = self._compare(database, work)
            # The first session was silent for as long as that took, which not every firewall forgives.
            database.session = self._maintenance_session()
            of_roles = [setting for head in work.heads for setting in role_settings(head.entries)]
            losses = database.set_properties(like, of_roles, ownership, work.missing_roles)
            result = {
                **plan.result,
                "oid": oid,
                "bytes": size,
                "tables_compared": comparison.tables,
                "rows_compared": comparison.rows,
                "roles_created": list(created),
                "skipped": [*plan.skipped, *losses],
                "durations": {**self._durations, "total": self._elapsed()},
            }
            mark = replace(self._mark(LOADED, work), oid=oid, result=result)
            self._marks.write(mark)
            database.rename(mark.target_database)
        # Applications may be using it from here on: whatever fails now, the database stays, and the next run finds it.
        return self._finish(mark, database)

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
            attempts=(*self._attempts_before(work), state.attempt),
        )

    def _attempts_before(self, work: Work) -> list[Attempt]:
        """Earlier attempts whose databases may still be somewhere: on this server, or on another one."""
        before = self._state.mark.attempts if self._state.mark is not None else ()
        here = self._state.server.system_identifier
        return [each for each in before if each in work.leftovers or each.system_identifier != here][-_KEPT:]

    def _maintenance_session(self) -> Session:
        session = self._connector.open(self._options.maintenance_database)
        session.prepare_for_work(_LOCK_TIMEOUT)
        return session

    def _create_roles(self, work: Work, created: list[str]) -> None:
        """Missing roles, unable to log in and without rights of their own; ours to act for, where that is not so."""
        for role in work.roles_to_create:
            name = quote_identifier(role)
            self._context.effect(f"create role {role}")
            self._session.execute(f"CREATE ROLE {name} NOLOGIN", attempted=f"create role {role}")
            created.append(role)
            if not work.target.superuser:
                self._session.execute(f"GRANT {name} TO CURRENT_USER", attempted=f"become a member of role {role}")

    def _load(self, database: NewDatabase, work: Work) -> int:
        """Every archive of the backup, in the manifest's order; returns their bytes."""
        keep = self._options.ownership.keeps_privileges
        options = [] if keep else ["--no-privileges"]
        options += ["--no-tablespaces"] if work.missing_tablespaces else []
        loading = Loading(
            tool=work.tool_path,
            dbname=self._connector.tool_dbname(database.name),
            environment=self._connector.tool_environment(),
            options=tuple(options),
            label=f"{database.name} on {self._state.endpoint}",
            on_progress=self._on_progress,
            time_left=self._time_left,
        )
        with self._timed("load"):
            parts = zip(work.manifest.archives, work.heads, work.adaptations, strict=True)
            return sum(
                load(self._source, archive, head, adaptation, loading, self._context)
                for archive, head, adaptation in parts
            )

    def _compare(self, database: NewDatabase, work: Work) -> Comparison:
        """Rows, sequences, policies and the rest against the manifest. Raises ``restore_mismatch``."""
        # A login trigger that came with the database would write into it before it is compared; only a superuser may
        # switch that off, and from 17 on there are such triggers.
        quiet = work.target.superuser and self._state.server.major >= 17
        setting = "event_triggers=off" if quiet else None
        counting = Counting(
            lambda: self._connector.open(database.name, setting=setting),
            _WORKERS,
            self._context,
            superuser=work.target.superuser,
        )
        with self._timed("compare"):
            with self._connector.open(database.name, setting=setting) as session:
                restored = read_restored(session)
            present = [table for table in counted_tables(work.manifest) if table.table in restored.tables]
            counting.run(present, self._time_left())
        self._durations["analyze"] = round(counting.analyze_seconds, 3)
        gone = frozenset(policy for adaptation in work.adaptations for policy in adaptation.policies_left_out)
        comparison = compare(work.manifest, work.heads, restored, counting.counts, gone)
        require_equal(comparison, f"{database.name} on {self._state.endpoint}")
        return comparison

    # while it runs

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        self._context.progress(stage=what)
        began = self._context.clock.monotonic()
        yield
        self._durations[what] = round(self._context.clock.monotonic() - began, 3)

    def _elapsed(self) -> float:
        return round(self._context.clock.monotonic() - self._began, 3)

    def _time_left(self) -> float | None:
        """Seconds until the time limit, at least a moment; None without one. Raises ``timed_out`` behind it."""
        limit = self._options.timeout
        if limit is None:
            return None
        left = limit.total_seconds() - self._elapsed()
        if left <= 0:
            raise RunbookError(
                code="timed_out",
                attempted="restore the backup",
                object=f"{self._state.target_database} on {self._state.endpoint}",
                reason=f"the time limit of {limit.total_seconds():.0f} s has passed",
                remedy="The new database is dropped and nothing else was touched. Raise timeout, then run this again.",
            )
        return left

    def _on_progress(self, read: int) -> None:
        self._context.effect("go on loading")
        self._time_left()
        self._context.progress(bytes_read=read)

    @contextmanager
    def _undone_on_failure(self, temporary: str, created: list[str]) -> Iterator[None]:
        """On any failure the new database goes, then the roles made for it; what cannot go is named in the failure.

        Only ever by its ``temporary`` name: one that has its final name already, whatever failed then, is nobody's to
        drop.
        """
        try:
            yield
        except Exception as error:
            left = self._undo(temporary, created)
            if left and isinstance(error, RunbookError):
                error.details = {**(error.details or {}), "left_behind": left}
                error.remedy += _left_behind(left, temporary)
            raise

    def _undo(self, temporary: str, created: list[str]) -> list[str]:
        left = [temporary, *created]
        try:
            with self._maintenance_session() as session:
                NewDatabase(session, temporary, self._context).drop()
                left.remove(temporary)
                for role in reversed(created):
                    self._context.effect(f"drop role {role}")
                    session.execute(f"DROP ROLE IF EXISTS {quote_identifier(role)}", attempted=f"drop role {role}")
                    left.remove(role)
        except RunbookError as error:
            self._context.warn(f"Clearing up after the failed restore did not succeed: {error.reason}.")
        return left


def _left_behind(left: list[str], temporary: str) -> str:
    """What could not be removed, and who removes it: the next run knows databases by their mark, but not roles."""
    roles = [name for name in left if name != temporary]
    text = f" Database {temporary} was left behind; the next run drops it." if temporary in left else ""
    if roles:
        text += f" Left behind were roles: {' '.join(f'DROP ROLE {quote_identifier(name)};' for name in roles)}"
    return text
