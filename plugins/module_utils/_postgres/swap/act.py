# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Swapping two databases (private to ops.runbooks): the one that is live, and the one that is to be.

Both renames are one transaction. PostgreSQL locks a database while its rename waits for the sessions in it to end, so
that nobody new comes in meanwhile, and a run that dies there leaves nothing: the server rolls back, and the live
database serves on under its name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import sqlstate
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import DatabaseFact, quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.build import LOCK_TIMEOUT
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import database_grants
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import (
    privilege_statements,
    quote_literal,
    setting_value,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.facts import Live, RoleConfiguration

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session

#: A rename waits five seconds for sessions to end (``CountOtherDBBackends`` in ``procarray.c``).
_ATTEMPTS = 2
_IN_USE = "55006"
_EVERY = 0.05
_END = """
SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
WHERE a.datid = ANY (%s::pg_catalog.oid[]) AND a.usesysid IS NOT NULL"""


class Ending:
    """Ends the sessions in some databases for as long as it is entered; ``ended`` are their process ids."""

    def __init__(self, session: Session, oids: Sequence[int]) -> None:
        self._session = session
        self._oids = list(oids)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ended: set[int] = set()
        self.error: RunbookError | None = None

    def __enter__(self) -> Ending:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                found = self._session.rows(_END, (self._oids,), attempted="end the sessions in the live database")
            except RunbookError as error:
                self.error = error
                return
            self.ended.update(pid for pid, _sent in found)
            self._stop.wait(_EVERY)


class Swapper:
    """Renames databases in one transaction, from the maintenance database."""

    def __init__(self, connector: Connector, maintenance_database: str, context: Context) -> None:
        self._connector = connector
        self._maintenance_database = maintenance_database
        self._context = context
        #: How far it came, for whoever reports a failure: not begun, ending sessions, committing, or done.
        self.stage = "not begun"

    def rename(self, renames: Sequence[tuple[str, str]], oids: Sequence[int], before: Sequence[str] = ()) -> int:
        """All ``renames``, after the statements ``before``, or nothing; returns how many sessions were ended.

        Raises ``sessions_remain`` where sessions do not end, and whatever a statement fails with.
        """
        with self._session() as working, self._session() as other:
            self._rehearse(working, before)
            self.stage = "ending sessions"
            return self._rename(
                working, Ending(other, oids), [*before, *(_rename(*names) for names in renames)], renames[0][0]
            )

    def _rehearse(self, session: Session, statements: Sequence[str]) -> None:
        """Nobody is thrown out for statements that fail: they are tried, and taken back, before."""
        if not statements:
            return
        self._context.effect("try what the swap carries over")
        session.execute("BEGIN", attempted="swap the databases")
        for statement in statements:
            session.execute(statement, attempted="swap the databases")
        session.execute("ROLLBACK", attempted="swap the databases")

    def _rename(self, working: Session, ends: Ending, statements: Sequence[str], name: str) -> int:
        with ends as ending:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self._transaction(working, statements)
                    break
                except RunbookError as error:
                    in_use = sqlstate(error) == _IN_USE
                    if in_use and (attempt == _ATTEMPTS or ending.error is not None):
                        raise _remain(name, ending.error or error) from error
                    if not in_use:
                        raise
        return len(ending.ended)

    def _transaction(self, session: Session, statements: Sequence[str]) -> None:
        self._context.effect("swap the databases")
        session.execute("BEGIN", attempted="swap the databases")
        try:
            for statement in statements:
                session.execute(statement, attempted="swap the databases")
            self._context.effect("make the swap final")
            self.stage = "committing"
            session.execute("COMMIT", attempted="swap the databases")
            self.stage = "done"
        except RunbookError as error:
            if sqlstate(error) == _IN_USE:
                session.execute("ROLLBACK", attempted="take the swap back")
            raise

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._connector.open(self._maintenance_database) as session:
            session.prepare_for_work(LOCK_TIMEOUT)
            yield session


def _rename(name: str, to: str) -> str:
    return f"ALTER DATABASE {quote_identifier(name)} RENAME TO {quote_identifier(to)}"


def _remain(name: str, error: RunbookError) -> RunbookError:
    return RunbookError(
        code="sessions_remain",
        attempted="swap the databases",
        object=error.object,
        reason=f"sessions in database {name} were told to end and did not: {error.reason}",
        remedy="Nothing was changed and it serves on. End them by hand (pg_stat_activity shows them), then run the "
        "same command again: it goes on from here.",
    )


def carry_over(live: Live, new: DatabaseFact, new_roles: Sequence[RoleConfiguration]) -> list[str]:
    """Statements that give the database ``new`` what belongs to the live one. Whatever it had of that goes."""
    like, database = live.database, f"DATABASE {quote_identifier(new.name)}"
    statements = [f"ALTER {database} RESET ALL"]
    for each in new_roles:
        statements.append(f"ALTER ROLE {quote_identifier(each.role)} IN {database} RESET ALL")
    if like.owner != new.owner:
        statements.append(f"ALTER {database} OWNER TO {quote_identifier(like.owner)}")
    statements += _privileges(like, new, database)
    statements += [f"ALTER {database} {_set(text)}" for text in like.settings]
    for each in live.of_roles:
        role = quote_identifier(each.role)
        statements += [f"ALTER ROLE {role} IN {database} {_set(text)}" for text in each.settings]
    statements.append(f"COMMENT ON {database} IS {'NULL' if like.comment is None else quote_literal(like.comment)}")
    statements.append(f"ALTER {database} CONNECTION LIMIT {int(like.connection_limit)}")
    return statements


def _privileges(like: DatabaseFact, new: DatabaseFact, database: str) -> Iterator[str]:
    """Privileges as the live database has them; each grantee of the new one loses what it has first."""
    grantees = {grant.grantee for grant in database_grants(new)} - {new.owner} | {""}
    if like.privileges is not None:
        grantees.add(like.owner)
    for grantee in sorted(grantees):
        named = quote_identifier(grantee) if grantee else "PUBLIC"
        yield f"REVOKE ALL ON {database} FROM {named} CASCADE"
    yield from privilege_statements(new.name, database_grants(like))


def _set(text: str) -> str:
    name, _equals, value = text.partition("=")
    return f"SET {quote_identifier(name)} TO {setting_value(name, value)}"
