# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring a dump that is no backup of ours (private to ops.runbooks), for postgres_restore with ``path``.

The whole dump is read and examined before anything is created, and what is loaded then must be the same bytes. It goes
into a database with a temporary name, is renamed last, and dropped whatever fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import catalog, tools
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import MAGIC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.archive import (
    check_directory,
    check_tar,
    digest_of_directory,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.dump import Dump, Kind, corrupt
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.load import Loader
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.plan import (
    ForeignState,
    ForeignWork,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.sql import Script
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore import checks
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.build import LOCK_TIMEOUT
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import (
    DROPPED,
    NewDatabase,
    is_temporary,
    persistently,
    temporary_name,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import (
    TargetFacts,
    read_databases,
    read_target,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    LOADED,
    STARTED,
    Attempt,
    Mark,
    Marks,
    SourceBackup,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.options import Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.watch import Watch, ender

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

_CHUNK = 1 << 20
#: Seconds that pg_restore may take to list an archive.
_PATIENCE = 300.0
_TABLES = """
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1, 2"""


class Foreign:
    """One restore of a foreign dump. ``session`` is in the maintenance database."""

    def __init__(
        self,
        options: Options,
        params: Mapping[str, Any],
        *,
        marks: Marks,
        connector: Connector,
        session: Session,
        context: Context,
    ) -> None:
        self._options = options
        self._dump = Dump(str(options.path), params, context)
        self._marks = marks
        self._connector = connector
        self._session = session
        self._context = context
        self._began = context.clock.monotonic()

    # look

    def observe(self, token: str) -> ForeignState:
        """What the dump is, how far its restore came already, and whether it can be done."""
        options, server = self._options, self._connector.server(self._session)
        mark = self._marks.read(options.restore_id) if options.restore_id is not None else None
        examined: tuple[Kind, str, int] | None = None
        restore_id = options.restore_id
        if mark is None:
            examined = self._examine()
            restore_id = restore_id or f"dump-{examined[1][:32]}-{checks.short_name(options.target_database)}"
            mark = self._marks.read(restore_id)
        if mark is not None:
            self._check_same(mark, examined[1] if examined is not None else None)
        databases = read_databases(self._session)
        found_as = None
        if mark is not None and mark.phase != STARTED and mark.system_identifier == server.system_identifier:
            found_as = next((name for name, oid in databases.items() if oid == mark.oid), None)
        attempt = Attempt(
            database=temporary_name(options.target_database, token),
            token=token,
            system_identifier=server.system_identifier,
            run_id=self._context.run_id,
        )
        if options.target_database in databases and found_as != options.target_database:
            live = options.target_database == self._connector.address.keywords.get("dbname")
            label = self._session.endpoint.label
            raise checks.target_occupied(options.target_database, label, live=live, holds=None)
        work = None
        if found_as is None:
            examined = examined or self._examine()
            if mark is not None:
                self._check_same(mark, examined[1])
            work = self._work(examined)
        digest = examined[1] if examined is not None else ""
        now = self._context.clock.now()
        source = SourceBackup(environment=options.environment, id=f"dump-{digest[:64]}", snapshot_at=now)
        return ForeignState(
            restore_id=str(restore_id),
            path=str(options.path),
            given_sha256=options.sha256 is not None,
            endpoint=self._session.endpoint.label,
            server=server,
            backup=mark.backup if mark is not None else source,
            target_database=options.target_database,
            attempt=attempt,
            mark=mark,
            found_as=found_as,
            work=work,
        )

    def _examine(self) -> tuple[Kind, str, int]:
        """What it is, its SHA-256 and bytes, having read all of it. Raises ``object_corrupt``, ``backup_unusable``."""
        kind = self._dump.recognise()
        path = self._dump.local
        if kind.format in ("directory", "tar") and path is not None:
            argv = [self._tool(), "--list", str(path)]
            environment = self._connector.tool_environment()
            listed = process.capture(argv, context=self._context, env=environment, timeout=_PATIENCE)
            if listed.status != 0:
                raise corrupt(self._dump.name, "pg_restore cannot read its table of contents")
            (check_directory if kind.format == "directory" else check_tar)(path, listed.stdout)
        if kind.format == "directory" and path is not None:
            digest, size = digest_of_directory(path)
        else:
            with self._dump.unpacked(kind) as (stream, hashed):
                if kind.format == "plain":
                    for _piece in Script(stream, self._dump.name).pieces():
                        continue
                elif kind.format == "custom" and stream.peek(len(MAGIC))[: len(MAGIC)] != MAGIC:
                    raise corrupt(self._dump.name, "it changed while it was being read")
                while stream.read(_CHUNK):
                    continue
                digest, size = hashed.sha256, hashed.bytes
        if self._options.sha256 not in (None, digest):
            raise corrupt(self._dump.name, f"its SHA-256 is {digest}, and sha256 says {self._options.sha256}")
        return kind, digest, size

    def _work(self, examined: tuple[Kind, str, int]) -> ForeignWork:
        kind, digest, size = examined
        options = self._options
        target = read_target(self._session, self._connector.server(self._session))
        checks.check_rights(target, options.ownership, ())
        if kind.format == "plain" and not (options.ownership.keeps_owners and options.ownership.keeps_privileges):
            raise RunbookError(
                code="invalid_parameter",
                attempted="restore the dump",
                object=self._dump.name,
                reason="owners and grants in plain SQL are restored as they are",
                remedy="Leave owner and privileges out, or take the dump with pg_dump --format=custom.",
            )
        like = catalog.database(self._session)
        plain = {"settings": (), "privileges": None, "comment": None, "connection_limit": -1}
        return ForeignWork(
            kind=kind,
            sha256=digest,
            bytes=size,
            like=replace(like, **plain),  # type: ignore[arg-type]
            tool=None if kind.format == "plain" else self._tool(),
            bytes_free=checks.check_space(size, target, options.disk_free, options.protected),
            leftovers=self._leftovers(target),
        )

    def _tool(self) -> str:
        major = self._connector.server(self._session).major
        environment = self._connector.tool_environment()
        found = tools.find(
            "pg_restore", major, bindir=self._options.bindir, environment=environment, context=self._context
        )
        return found.path

    def _leftovers(self, target: TargetFacts) -> tuple[Attempt, ...]:
        """Temporary databases that killed runs have left on this server."""
        if not any(is_temporary(name) for name in target.databases):
            return ()
        here = target.server.system_identifier
        known = [each for each in self._marks.attempts() if each.system_identifier == here]
        return tuple(each for each in known if each.database in target.databases and is_temporary(each.database))

    def _check_same(self, mark: Mark, digest: str | None) -> None:
        """An explicit ``restore_id`` that is known already must mean the same dump and target as before."""
        asked = digest or self._options.sha256
        same = mark.backup.id == f"dump-{asked}" if asked else mark.backup.id.startswith("dump-")
        if not asked:
            # Nothing was read: then only where it lies says which dump is meant.
            same = same and (mark.result.get("dump") or {}).get("path", self._dump.name) == self._dump.name
        if same and mark.target_database == self._options.target_database:
            return
        raise RunbookError(
            code="invalid_parameter",
            attempted="use restore_id",
            object=mark.restore_id,
            reason=f"it is the restore of {mark.backup.id} into database {mark.target_database}",
            remedy="Give another restore_id, or the parameters that it was first used with.",
        )

    # act

    def act(self, state: ForeignState, predicted: Mapping[str, Any]) -> dict[str, Any]:
        """Load it, or finish what a killed run had almost done."""
        self._session.prepare_for_work(LOCK_TIMEOUT)
        if state.work is None and state.mark is not None and state.found_as is not None:
            return self._finish(state.mark, NewDatabase(self._session, state.found_as, self._context))
        if state.work is None:
            raise ValueError("a restore was planned for which nothing was observed")
        return self._restore(state, state.work, predicted)

    def _restore(self, state: ForeignState, work: ForeignWork, predicted: Mapping[str, Any]) -> dict[str, Any]:
        before = state.mark.attempts if state.mark is not None else ()
        here = state.server.system_identifier
        kept = [each for each in before if each in work.leftovers or each.system_identifier != here][-20:]
        mark = Mark(
            restore_id=state.restore_id,
            phase=STARTED,
            backup=state.backup,
            target_database=state.target_database,
            system_identifier=here,
            attempts=(*kept, state.attempt),
        )
        self._marks.write(mark)
        for left in work.leftovers:
            NewDatabase(self._session, left.database, self._context).drop_left(left.run_id)
        name = state.attempt.database
        with self._undone_on_failure(name):
            database = NewDatabase(self._session, name, self._context)
            owner = None if self._options.ownership.keeps_owners else self._options.ownership.owner
            oid = database.create(work.like, tablespaces=(), owner=owner, builders=())
            loaded_in = self._load(name, work)
            tables = self._count(name)
            # The first session was silent for as long as that took, which not every firewall forgives.
            database.session = self._maintenance_session()
            database.set_properties(work.like, (), replace(self._options.ownership, privileges="skip"), ())
            counted = {"tables": tables, "rows": sum(each["rows"] for each in tables)}
            result = {
                **predicted,
                "oid": oid,
                "dump": {**predicted["dump"], **counted},
                "durations": {"load": loaded_in, "total": self._elapsed()},
            }
            mark = replace(mark, phase=LOADED, oid=oid, result=result)
            self._marks.write(mark)
            database.rename(mark.target_database)
        return self._finish(mark, database)

    def _finish(self, mark: Mark, database: NewDatabase) -> dict[str, Any]:
        if database.name != mark.target_database:
            database.rename(mark.target_database)
        self._marks.write(replace(mark, phase=FINISHED, attempts=()))
        return {**mark.result, "database": mark.target_database}

    def _load(self, name: str, work: ForeignWork) -> float:
        """Load the dump; seconds. Raises ``object_corrupt`` where it is no longer the one that was examined."""
        began = self._context.clock.monotonic()
        with self._connector.open(name) as session:
            session.prepare_for_work(LOCK_TIMEOUT)
            loader = Loader(
                tool=work.tool,
                dbname=self._connector.tool_dbname(name),
                environment=self._connector.tool_environment(),
                ownership=self._options.ownership,
                label=f"{name} on {self._session.endpoint.label}",
                session=session,
                go_on=self._go_on,
                context=self._context,
            )
            self._context.effect(f"load {self._dump.name} into {name}")
            digest = loader.load(self._dump, work.kind)
        if digest is None:
            digest = self._examine()[1]
        if digest != work.sha256:
            raise corrupt(self._dump.name, "it changed between being examined and being loaded")
        return round(self._context.clock.monotonic() - began, 3)

    def _count(self, name: str) -> list[dict[str, Any]]:
        """The rows of every table, and statistics for the planner."""
        tables = []
        with self._connector.open(name) as session, Watch(lambda: self._go_on(0), ender(session)):
            session.prepare_for_work(LOCK_TIMEOUT)
            for schema, table in session.rows(_TABLES, attempted="list the restored tables"):
                quoted = TableName(schema=schema, name=table).quoted
                count = f"SELECT pg_catalog.count(*) FROM ONLY {quoted}"
                rows = session.value(count, attempted=f"count the rows of {schema}.{table}")
                tables.append({"table": f"{schema}.{table}", "rows": rows})
            self._context.effect(f"gather statistics in database {name}")
            session.execute("ANALYZE", attempted="gather statistics")
        return tables

    def _go_on(self, read: int) -> None:
        self._context.effect("go on loading")
        self._context.progress(bytes_read=read)
        limit = self._options.timeout
        if limit is not None and self._elapsed() > limit.total_seconds():
            raise RunbookError(
                code="timed_out",
                attempted="restore the dump",
                object=self._dump.name,
                reason=f"the time limit of {limit.total_seconds():.0f} s has passed",
                remedy=f"{DROPPED} Raise timeout, then run this again.",
            )

    def _elapsed(self) -> float:
        return round(self._context.clock.monotonic() - self._began, 3)

    def _maintenance_session(self) -> Session:
        session = self._connector.open(self._options.maintenance_database)
        session.prepare_for_work(LOCK_TIMEOUT)
        return session

    def _drop(self, name: str) -> None:
        with self._maintenance_session() as session:
            NewDatabase(session, name, self._context).drop()

    @contextmanager
    def _undone_on_failure(self, name: str) -> Iterator[None]:
        """On any failure the new database goes, by the name that it was built under only."""
        try:
            yield
        except Exception as error:
            try:
                persistently(lambda: self._drop(name), self._context.clock)
            except RunbookError as failure:
                self._context.warn(f"Clearing up after the failed restore did not succeed: {failure.reason}.")
                if isinstance(error, RunbookError):
                    error.remedy = error.remedy.replace(f"{DROPPED} ", "")
                    error.remedy += f" Database {name} was left behind; the next run drops it."
            raise
