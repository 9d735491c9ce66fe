# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What migrations have taken away from a database that serves anew (private to ops.runbooks).

A restore puts back an older schema, and undoing one a newer, so that other releases fit. What migrations have recorded
goes with the database: it is read from there, and the store is told. Before two databases change places it is told what
either lacks, so that wherever a run dies no release is taken for fitting that is not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import taken_away
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import LEDGER
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_away import Taken

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session

_ATTEMPTED = "read what migrations have taken away"
_OURS = f"""
SELECT name, date_part('epoch', applied_at), release FROM ONLY {LEDGER}.migrations WHERE phase = 'contract'
ORDER BY (substring(name FROM '^[0-9]+'))::pg_catalog.numeric, name"""
#: Other tools write down names, or versions, and never what it was.
_THEIRS = {
    "_prisma_migrations": "SELECT migration_name FROM _prisma_migrations WHERE rolled_back_at IS NULL",
    "supabase_migrations.schema_migrations": "SELECT version::text FROM supabase_migrations.schema_migrations",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenAnew:
    """The document of one name, and the way to the databases that may serve under it."""

    store: Store
    environment: str
    name: str
    connector: Connector
    context: Context

    def foresee(self, database: str) -> None:
        """Before ``database`` serves: what was taken away from it counts, beside what counts already."""
        known = taken_away.read(self.store, self.environment, self.name)
        try:
            ours, _theirs = self._recorded(database)
        except RunbookError as error:
            self._warn(database, error)
            return
        self._write(taken_away.both(known, ours))

    def settle(self, database: str) -> None:
        """Now that ``database`` serves: what was taken away from it, and nothing else. That it serves is final."""
        try:
            known = taken_away.read(self.store, self.environment, self.name)
            self._write(now_taken(known, *self._recorded(database)))
        except RunbookError as error:
            self._warn(database, error)

    def _warn(self, database: str, error: RunbookError) -> None:
        """No restore ends because releases cannot be judged."""
        self.context.warn(
            f"The store was not told what migrations have taken away from {database}: {error.reason}. Until"
            " ops.runbooks.migrate has run, do not rely on what it says of which releases fit."
        )

    def _write(self, taken: tuple[Taken, ...]) -> None:
        taken_away.write(self.store, self.environment, self.name, taken, self.context)

    def _recorded(self, database: str) -> tuple[tuple[Taken, ...], frozenset[str]]:
        with self.connector.open(database) as session:
            rows = session.rows(_OURS, attempted=_ATTEMPTED) if _there(session, f"{LEDGER}.migrations") else []
            theirs = [
                name
                for table, query in _THEIRS.items()
                if _there(session, table)
                for (name,) in session.rows(query, attempted=_ATTEMPTED)
            ]
        ours = (
            Taken(name=name, applied_at=iso(datetime.fromtimestamp(at, UTC)), release=release)
            for name, at, release in rows
        )
        return tuple(ours), frozenset(theirs)


def now_taken(known: Collection[Taken], ours: tuple[Taken, ...], theirs: Collection[str]) -> tuple[Taken, ...]:
    """What the database itself says, and of what is known of another tool's that which this database has had."""
    names = {each.name for each in ours}
    kept = (
        each
        for each in known
        if each.name not in names and (each.name in theirs or each.name.partition("_")[0] in theirs)
    )
    return (*ours, *kept)


def _there(session: Session, table: str) -> bool:
    return bool(session.value("SELECT to_regclass(%s) IS NOT NULL", (table,), attempted=_ATTEMPTED))
