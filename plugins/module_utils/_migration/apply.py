# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrations are carried out (private to ops.runbooks).

One session does all of it and holds an advisory lock meanwhile: while the server still works for a run that was killed,
that lock keeps the next one out. A file and its row in the ledger are one transaction, so that a file is either done
and recorded or neither. Outside of a transaction its row comes first, and counts the statements that are behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._migration import ledger
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import APPLIED, STARTED, Migration
from ansible_collections.ops.runbooks.plugins.module_utils._migration.plan import (
    Resume,
    all_or_nothing,
    concurrent_index,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import Statement
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import sqlstate

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

#: Seconds between two looks at the lock that another run holds.
_POLL = 0.5
#: Pauses in seconds before a file that waited for a lock in vain is tried again.
_PAUSES = (1.0, 3.0)
_LOCK_NOT_AVAILABLE, _CANCELLED = "55P03", "57014"
#: How soon the server notices that nobody waits for a statement any more.
_WATCHED = "SET client_connection_check_interval = '2s'"
#: What helps against an index that was left invalid.
_BUILT_ANEW = "Run the same command again: it drops that index first, and builds it anew."
_DROPPED = "Drop that index, and run the same command again."
_OLDEST = """
SELECT pid, coalesce(usename::text, '?'), coalesce(nullif(application_name, ''), 'unnamed'),
       extract(epoch FROM clock_timestamp() - xact_start)::int8
FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY xact_start LIMIT 3"""


class Applier:
    """Runs migrations in one session, which is its own."""

    def __init__(
        self, session: Session, *, lock_timeout: timedelta, statement_timeout: timedelta, release: str, context: Context
    ) -> None:
        self._session = session
        self._limits = (lock_timeout, statement_timeout)
        self._release = release
        self._context = context
        self._watched = False

    def enter(self, patience: float) -> None:
        """Keep every other run out, whatever store it has its locks in. Raises ``lock_held``."""
        deadline = self._context.clock.monotonic() + patience
        while not ledger.try_lock(self._session):
            if self._context.clock.monotonic() >= deadline:
                raise RunbookError(
                    code="lock_held",
                    attempted="take the lock of the database's migrations",
                    object=self._session.endpoint.label,
                    reason=f"{ledger.holder(self._session)} held it for {human(patience)} and longer",
                    remedy="Run the same command again when that has ended.",
                )
            self._context.controller.check("wait for the lock of migrations")
            self._context.clock.sleep(_POLL)
        with suppress(RunbookError):  # not every system that a server runs on can see that a connection was closed
            self._session.execute(_WATCHED, attempted="prepare a session")
            self._watched = True

    def create_ledger(self) -> None:
        """Make the ledger."""
        self._context.effect("create the ledger of migrations")
        ledger.create(self._session)

    def run(self, migration: Migration, resume: Resume | None) -> None:
        """Run one, or go on with it. Raises ``migration_failed``, ``timed_out``, ``migration_drift``."""
        began = self._context.clock.monotonic()
        if migration.transaction:
            self._whole(migration, resume, began)
        else:
            self._piecewise(migration, resume, began)

    def undo(self, migration: Migration) -> None:
        """Run the way back of one, and forget that it was applied: both or neither, where a transaction can hold both.

        Else it is one statement, which nobody has to be afraid of a second time.
        """
        self._prepare(migration)
        self._context.effect(f"roll {migration.name} back")
        with self._transaction() if migration.transaction else nullcontext():
            self._statements(migration)
            if not migration.transaction:
                self._check_index(migration, migration.statements[-1], _DROPPED)
            self._reset()
            self._context.effect(f"make the rollback of {migration.name} final")
            ledger.remove(self._session, migration.name)

    # in a transaction

    def _whole(self, migration: Migration, resume: Resume | None, began: float) -> None:
        for pause in (*_PAUSES, None):
            try:
                self._once(migration, resume, began)
                return
            except RunbookError as error:
                if pause is None or error.code != "timed_out" or sqlstate(error) != _LOCK_NOT_AVAILABLE:
                    raise
                self._context.warn(f"{migration.name} waited for a lock in vain and was tried again.")
                self._context.clock.sleep(pause)

    def _once(self, migration: Migration, resume: Resume | None, began: float) -> None:
        self._prepare(migration)
        self._context.effect(f"run the migration {migration.name}")
        with self._transaction():
            self._begin(migration, resume, APPLIED)
            self._statements(migration)
            self._reset()
            ledger.set_applied(self._session, migration, self._context.clock.monotonic() - began)
            self._context.effect(f"make the migration {migration.name} final")

    def _begin(self, migration: Migration, resume: Resume | None, state: str) -> None:
        """Its row in the ledger: a new one, or that of the run which stopped in it."""
        run = (self._release, self._context.run_id)
        if resume is None:
            mine = ledger.insert(self._session, migration, state, *run)
        else:
            mine = ledger.go_on(self._session, migration, resume.at, *run)
        if not mine:
            raise self._taken(migration)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._session.execute("BEGIN", attempted="begin a transaction")
        try:
            yield
            self._session.execute("COMMIT", attempted="make a migration final")
        except BaseException:
            with suppress(Exception):
                self._session.execute("ROLLBACK", attempted="roll back")
                self._reset()
            raise

    def _statements(self, migration: Migration) -> None:
        for number, statement in enumerate(migration.statements):
            self._run_one(migration, number, statement)

    # outside of a transaction

    def _piecewise(self, migration: Migration, resume: Resume | None, began: float) -> None:
        at = resume.at if resume is not None else 0
        self._prepare(migration)
        self._context.effect(f"record that the migration {migration.name} has begun")
        self._begin(migration, resume, STARTED)
        if resume is not None and resume.drop:
            self._context.effect(f"drop the invalid index {resume.drop}")
            dropping = f"DROP INDEX CONCURRENTLY IF EXISTS {resume.drop}"
            self._session.execute(dropping, attempted=f"drop the invalid index {resume.drop}")
        for number, statement in enumerate(migration.statements):
            if number < at:
                continue
            self._context.effect(f"run statement {number + 1} of {migration.name}")
            self._step(migration, number, statement)
        self._reset()
        self._context.effect(f"record that the migration {migration.name} is done")
        ledger.set_applied(self._session, migration, self._context.clock.monotonic() - began)

    def _step(self, migration: Migration, number: int, statement: Statement) -> None:
        try:
            self._run_one(migration, number, statement)
            self._check_index(migration, statement)
        except RunbookError as error:
            if sqlstate(error) and all_or_nothing(statement):
                # The server has answered: this statement, and it alone, was not done.
                ledger.set_progress(self._session, migration.name, number, failed=True)
            raise
        ledger.set_progress(self._session, migration.name, number + 1)

    def _check_index(self, migration: Migration, statement: Statement, remedy: str = _BUILT_ANEW) -> None:
        """IF NOT EXISTS is content with an invalid index that somebody else has left, which no query uses, and with one
        of that name on another table."""
        named = concurrent_index(statement)
        if named is None:
            return
        state = ledger.index_state(self._session, named[1], named[0])
        if state == "valid":
            return
        reason = f"the index {state} was there already and is invalid, so that no query uses it"
        if state == "absent":
            reason = f"{statement.head} ended well, and yet {named[1]} has no index {named[0]}: another has that name"
            remedy = "Give the index a name that nothing else has, and run the same command again."
        raise RunbookError(
            code="migration_failed",
            attempted=f"run the migration {migration.name}",
            object=self._session.endpoint.label,
            reason=reason,
            remedy=remedy,
            details={"sqlstate": "invalid_index"},
        )

    # both

    def _prepare(self, migration: Migration) -> None:
        self._reset()
        lock = migration.lock_timeout or self._limits[0]
        statement = migration.statement_timeout or self._limits[1]
        settings = [f"SET lock_timeout = {_ms(lock)}", f"SET statement_timeout = {_ms(statement)}"]
        # The check has read the file like this; a migration must not end because it thinks for a while.
        settings += [_WATCHED] if self._watched else []
        settings += ["SET standard_conforming_strings = on", "SET idle_in_transaction_session_timeout = 0"]
        self._session.execute("; ".join(settings), attempted="prepare a session")

    def _reset(self) -> None:
        """What a file has set is not the next one's, nor the ledger's."""
        self._session.execute("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL", attempted="prepare a session")

    def _run_one(self, migration: Migration, number: int, statement: Statement) -> None:
        try:
            self._session.run_one(statement.text, attempted=f"run the migration {migration.name}")
        except RunbookError as error:
            if not sqlstate(error) or error.code == "server_unreachable":
                raise
            raise self._failure(migration, number, statement, error) from error

    def _failure(self, migration: Migration, number: int, statement: Statement, error: RunbookError) -> RunbookError:
        which = f"statement {number + 1} of {len(migration.statements)} (line {statement.line}, {statement.head})"
        left = "nothing of it was done" if migration.transaction else f"{number} of its statements are done"
        code, remedy = "migration_failed", "Correct the file, or what it met, and run the same command again."
        reason = f"{which}: {error.reason}; {left}"
        if sqlstate(error) == _LOCK_NOT_AVAILABLE:
            code = "timed_out"
            reason += f"; it waited for a lock, and the oldest other transactions are {self._oldest()}"
            remedy = (
                "Run the same command again when they have ended, or end them. A longer lock_timeout makes others wait."
            )
        elif sqlstate(error) == _CANCELLED:
            code = "timed_out"
            remedy = "Give it more time: `-- runbooks: statement_timeout=1h` in the file, or statement_timeout."
        return RunbookError(
            code=code,
            attempted=error.attempted,
            object=error.object,
            reason=reason,
            remedy=remedy,
            details={"sqlstate": sqlstate(error), "migration": migration.name, "line": statement.line},
        )

    def _oldest(self) -> str:
        """Who is likely to hold the lock, asked when the transaction has failed and so in another one."""
        with suppress(RunbookError):
            if self._session.connection.info.transaction_status.name == "INERROR":
                self._session.execute("ROLLBACK", attempted="roll back")
            found = self._session.rows(_OLDEST, attempted="see who holds locks")
            told = [f"process {pid} of {user} ({name}, {human(age)} old)" for pid, user, name, age in found]
            return "; ".join(told) or "gone"
        return "unknown"

    def _taken(self, migration: Migration) -> RunbookError:
        return RunbookError(
            code="migration_drift",
            attempted=f"run the migration {migration.name}",
            object=self._session.endpoint.label,
            reason="somebody else has recorded it since this run looked",
            remedy="Run the same command again.",
        )


def _ms(limit: timedelta) -> int:
    return int(limit.total_seconds() * 1000)
