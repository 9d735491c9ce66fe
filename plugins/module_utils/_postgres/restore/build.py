# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Building a database from a backup (private to ops.runbooks): created, loaded, compared, given its properties.

What becomes of it then (a rename, a look at it, a drop) is for the caller to say, inside :meth:`Building.built`: as
long as that block runs, any failure drops the database and the roles that were made for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import role_settings
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compare import (
    Comparison,
    compare,
    counted_tables,
    read_restored,
    require_equal,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Ownership, schemas_to_make
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.count import Counting
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import (
    DROPPED,
    NewDatabase,
    persistently,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.load import Loading
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import Work
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.streams import Part, load_all

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects

#: How long a statement about the database waits for others to let go of it.
LOCK_TIMEOUT = timedelta(seconds=60)
#: Sessions that count rows and gather statistics at the same time, at least.
_WORKERS = 2
#: pg_restore commits each of its entries and need not wait for the disk, or for a standby, each time: nobody sees the
#: database before it is whole, and the commit that shows it then, which waits, ends after all those before it
#: (PostgreSQL manual, "Asynchronous Commit").
_UNHURRIED = "synchronous_commit=off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A database that equals its backup. ``database`` is it, with a session in the maintenance database.

    ``losses`` is what could not be taken over beside what the plan said; ``durations`` are seconds.
    """

    database: NewDatabase
    oid: int
    bytes: int
    comparison: Comparison
    losses: tuple[str, ...]
    roles_created: tuple[str, ...]
    durations: dict[str, float]


class Building:
    """One database while it is built under ``name``, which must not exist."""

    def __init__(
        self,
        name: str,
        *,
        source: Objects,
        connector: Connector,
        maintenance_database: str,
        ownership: Ownership,
        timeout: timedelta | None,
        jobs: int = 2,
        context: Context,
    ) -> None:
        self._name = name
        self._source = source
        self._connector = connector
        self._maintenance_database = maintenance_database
        self._ownership = ownership
        self._timeout = timeout
        self._jobs = jobs
        self._context = context
        self._label = f"{name} on {connector.endpoint.label}"
        self._began = context.clock.monotonic()
        self._durations: dict[str, float] = {}

    @contextmanager
    def built(self, work: Work) -> Iterator[Built]:
        """Build the database; whatever fails, here or in the block, undoes it."""
        created: list[str] = []
        with self._undone_on_failure(created), self.maintenance_session() as session:
            yield self._build(NewDatabase(session, self._name, self._context), work, created)

    def _build(self, database: NewDatabase, work: Work, created: list[str]) -> Built:
        self._create_roles(database.session, work, created)
        like, ownership = work.manifest.database, self._ownership
        owner = like.owner if ownership.keeps_owners else ownership.owner
        oid = database.create(
            like,
            tablespaces=work.target.tablespaces,
            owner=None if owner in work.missing_roles else owner,
            builders=[] if work.target.superuser else sorted(work.owners - work.missing_roles - {owner}),
        )
        self._create_schemas(work)
        size = self._load(work)
        comparison = self._compare(work)
        # The first session was silent for as long as that took, which not every firewall forgives.
        database.session = self.maintenance_session()
        of_roles = [setting for head in work.heads for setting in role_settings(head.entries)]
        return Built(
            database=database,
            oid=oid,
            bytes=size,
            comparison=comparison,
            losses=database.set_properties(like, of_roles, ownership, work.missing_roles),
            roles_created=tuple(created),
            durations={**self._durations, "total": self._elapsed()},
        )

    def maintenance_session(self) -> Session:
        """A session in the maintenance database, without limits but that on waiting for locks."""
        session = self._open(self._maintenance_database)
        session.prepare_for_work(LOCK_TIMEOUT)
        return session

    def _open(self, database: str, settings: Sequence[str] = ()) -> Session:
        return persistently(lambda: self._connector.open(database, settings=settings), self._context.clock)

    def _create_roles(self, session: Session, work: Work, created: list[str]) -> None:
        """Missing roles, unable to log in and without rights of their own; ours to act for, where that is not so."""
        for role in work.roles_to_create:
            name = quote_identifier(role)
            self._context.effect(f"create role {role}")
            session.execute(f"CREATE ROLE {name} NOLOGIN", attempted=f"create role {role}")
            created.append(role)
            if not work.target.superuser:
                session.execute(f"GRANT {name} TO CURRENT_USER", attempted=f"become a member of role {role}")

    def _create_schemas(self, work: Work) -> None:
        """Those of a backup of tables, which does not hold them, with nobody's privileges but their maker's."""
        schemas = schemas_to_make(work.heads, work.manifest.selection)
        if not schemas:
            return
        with self._open(self._name) as session:
            for schema in schemas:
                self._context.effect(f"create schema {schema}")
                session.execute(f"CREATE SCHEMA {quote_identifier(schema)}", attempted=f"create schema {schema}")

    def _load(self, work: Work) -> int:
        """Every archive of the backup; returns their bytes."""
        keep = self._ownership.keeps_privileges
        options = [] if keep else ["--no-privileges"]
        options += ["--no-tablespaces"] if work.missing_tablespaces else []
        loading = Loading(
            tool=work.tool_path,
            dbname=self._connector.tool_dbname(self._name, settings=(*undisturbed(work), _UNHURRIED)),
            environment=self._connector.tool_environment(),
            options=tuple(options),
            label=self._label,
            on_progress=self._on_progress,
            time_left=self._time_left,
        )
        parts = [
            Part(archive=archive, head=head, adaptation=adaptation)
            for archive, head, adaptation in zip(work.manifest.archives, work.heads, work.adaptations, strict=True)
        ]
        with self._timed("load"):
            return load_all(self._source, parts, loading, self._jobs, self._context)

    def _compare(self, work: Work) -> Comparison:
        """Rows, sequences, policies and the rest against the manifest. Raises ``restore_mismatch``."""
        settings = undisturbed(work)
        counting = Counting(
            lambda: self._open(self._name, settings),
            max(_WORKERS, self._jobs),
            self._context,
            superuser=work.target.superuser,
        )
        with self._timed("compare"):
            with self._open(self._name, settings) as session:
                restored = read_restored(session)
            present = [table for table in counted_tables(work.manifest) if table.table in restored.tables]
            sizes = {table.table: table.bytes for table in work.manifest.tables}
            counting.run(present, sizes, self._time_left())
        self._durations["analyze"] = round(counting.analyze_seconds, 3)
        gone = frozenset(policy for adaptation in work.adaptations for policy in adaptation.policies_left_out)
        comparison = compare(work.manifest, work.heads, restored, counting.counts, gone)
        require_equal(comparison, self._label)
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
        limit = self._timeout
        if limit is None:
            return None
        left = limit.total_seconds() - self._elapsed()
        if left <= 0:
            raise RunbookError(
                code="timed_out",
                attempted="restore the backup",
                object=self._label,
                reason=f"the time limit of {limit.total_seconds():.0f} s has passed",
                remedy=f"{DROPPED} Raise timeout, then run this again.",
            )
        return left

    def _on_progress(self, read: int) -> None:
        self._context.effect("go on loading")
        self._time_left()
        self._context.progress(bytes_read=read)

    @contextmanager
    def _undone_on_failure(self, created: list[str]) -> Iterator[None]:
        """On any failure the new database goes, then the roles made for it; what cannot go is named in the failure.

        Only ever by the name that it was built under: one that has another name already, whatever failed then, is
        nobody's to drop.
        """
        try:
            yield
        except Exception as error:
            left = self._undo(created)
            if left and isinstance(error, RunbookError):
                error.details = {**(error.details or {}), "left_behind": left}
                if self._name in left:
                    error.remedy = error.remedy.replace(f"{DROPPED} ", "")
                error.remedy += _left_behind(left, self._name)
            raise

    def _undo(self, created: list[str]) -> list[str]:
        left = [self._name, *created]
        try:
            persistently(lambda: self._clear_up(left), self._context.clock)
        except RunbookError as error:
            self._context.warn(f"Clearing up after the failed restore did not succeed: {error.reason}.")
        return left

    def _clear_up(self, left: list[str]) -> None:
        with self.maintenance_session() as session:
            if self._name in left:
                NewDatabase(session, self._name, self._context).drop()
                left.remove(self._name)
            for role in left[::-1]:
                self._context.effect(f"drop role {role}")
                session.execute(f"DROP ROLE IF EXISTS {quote_identifier(role)}", attempted=f"drop role {role}")
                left.remove(role)


def undisturbed(work: Work) -> tuple[str, ...]:
    """Settings under which sessions come to the new database; only a superuser may make them, so others have none.

    Autovacuum looks at tables with many new rows, and may hold one when its indexes are to be made. It gives way to who
    has waited for ``deadlock_timeout`` (manual, section 24.1.6), which is a second unless somebody set it: in a large
    restore that is a second for many of its tables. And a login trigger (from 17 on) that came with the database would
    write into it before it is compared.
    """
    if not work.target.superuser:
        return ()
    return ("deadlock_timeout=100ms", *(("event_triggers=off",) if work.target.server.major >= 17 else ()))


def _left_behind(left: list[str], temporary: str) -> str:
    """What could not be removed, and who removes it: the next run knows databases by their mark, but not roles."""
    roles = [name for name in left if name != temporary]
    text = f" Database {temporary} was left behind; the next run drops it." if temporary in left else ""
    if roles:
        text += f" Left behind were roles: {' '.join(f'DROP ROLE {quote_identifier(name)};' for name in roles)}"
    return text
