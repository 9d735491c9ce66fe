# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one transaction of a restore in place (private to ops.runbooks).

Locked, dropped, loaded and compared in one session: whoever looks sees the database as it was or as the backup says,
and a run that dies leaves nothing, since the server rolls back what nobody commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compare import (
    Comparison,
    compare,
    counted_tables,
    read_restored,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import sqlstate
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place import grants
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.facts import (
    read_beyond,
    read_ground,
    read_tied,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.load import (
    AGAIN,
    LOCKS,
    UNTOUCHED,
    TextLoading,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.plan import (
    BRIEFLY,
    InPlaceState,
    require_possible,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    TableFact,
    TableName,
    quote_identifier,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.build import LOCK_TIMEOUT
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Ownership
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import Work
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.streams import Part
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.watch import Watch, ender

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects

_ATTEMPTED = "restore in place"
#: Kinds in the order in which they are dropped, and their word where it is another one.
_FIRST = ("view", "materialized view", "table", "foreign table", "sequence")
_WORDS = {"function": "ROUTINE", "procedure": "ROUTINE", "aggregate": "ROUTINE", "statistics object": "STATISTICS"}
_AT_ONCE = 200
_TABLES = """
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY (%s)
  AND NOT EXISTS (SELECT FROM pg_depend e
                  WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY 1, 2"""
#: How often a server that works or waits looks whether we are still there.
_LOOK = "2s"
#: Warnings that a grant or a revocation did not, or not wholly, do what it says.
_UNGRANTED = frozenset({"01006", "01007"})
_SHOWN = 10
#: Seconds for which everything is free between two tries to lock it.
_PAUSE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What has come, not final yet. ``transaction`` is its id, by which the server knows what became of it."""

    bytes: int
    comparison: Comparison
    transaction: str
    roles_created: tuple[str, ...]


class Replacing:
    """Empties and fills the schemas of one database."""

    def __init__(
        self,
        state: InPlaceState,
        work: Work,
        *,
        source: Objects,
        connector: Connector,
        ownership: Ownership,
        time_left: Callable[[], float | None],
        context: Context,
    ) -> None:
        self._state = state
        self._work = work
        self._source = source
        self._ownership = ownership
        self._time_left = time_left
        self._context = context
        self._label = f"database {state.target_database} on {state.endpoint}"
        self._environment = connector.tool_environment()
        self._session: Session = connector.open(state.target_database)
        self._ungranted: list[str] = []

    def replace(self) -> Replaced:
        """All of it but the commit. Whatever fails, closing the session takes everything back."""
        self._session.prepare_for_work(LOCK_TIMEOUT)
        self._end_with_us()
        self._session.connection.add_notice_handler(self._notice)
        self._context.effect("begin to restore in place")
        with Watch(self._look, ender(self._session)):
            return self._replace()

    def _replace(self) -> Replaced:
        session = self._session
        self._do("BEGIN")
        self._clear()
        created = self._create_roles()
        # Made by whom, with which rights, is decided by the archive alone from here on.
        away, back = grants.without_defaults(
            session, self._state.schemas, archive_has_them=self._ownership.keeps_privileges
        )
        for statement in (*away, *self._plain_schemas()):
            self._do(statement)
        size = self._load()
        # The archive has set its own, in which its names are written.
        self._do("SET client_encoding TO 'UTF8'")
        for statement in back:
            self._do(statement)
        comparison = self._compare()
        if self._state.platform.name == "supabase":
            # Heard when this becomes final, and only then.
            self._do("NOTIFY pgrst, 'reload schema'")
        transaction = str(session.value("SELECT pg_current_xact_id()::text", attempted=_ATTEMPTED))
        return Replaced(bytes=size, comparison=comparison, transaction=transaction, roles_created=created)

    def commit(self) -> None:
        """Make it final."""
        self._context.effect("make the restore in place final")
        self._session.execute("COMMIT", attempted="make the restore in place final")

    def analyze(self) -> None:
        """Statistics of what was loaded, which planners need; failing at that is no failure of the restore."""
        for table in counted_tables(self._work.manifest):
            self._context.effect("gather statistics")
            self._session.execute(f"ANALYZE {table.table.quoted}", attempted="gather statistics")

    def close(self) -> None:
        """End the session, and take back what is not final."""
        self._session.close()

    def _notice(self, diagnostic: object) -> None:
        if getattr(diagnostic, "sqlstate", None) in _UNGRANTED:
            self._ungranted.append(str(getattr(diagnostic, "message_primary", "")))

    def _end_with_us(self) -> None:
        """Whatever a session of a killed run does, index or waiting, its locks must not outlive the run for long."""
        if self._session.major < 14:
            return
        try:
            self._session.execute(f"SET client_connection_check_interval = '{_LOOK}'", attempted=_ATTEMPTED)
        except RunbookError as error:
            self._context.warn(
                "If this run is killed, the tables stay locked until the statement ends that runs then, since this "
                f"server cannot look whether a client is still there: {error.reason}."
            )

    def _look(self) -> None:
        self._context.effect("go on restoring in place")
        self._time_left()

    def _do(self, statement: str) -> None:
        self._look()
        try:
            self._session.execute(statement, attempted=_ATTEMPTED)
        except RunbookError as error:
            again = AGAIN if sqlstate(error) in LOCKS else error.remedy
            error.remedy = f"{UNTOUCHED} {again}"
            raise

    def _clear(self) -> None:
        """Lock what goes, look again whether it may go, and drop it.

        A table of others that dropping locks too (``auth.users``), and that this role may not lock by itself, is waited
        for with everything else locked, and whoever holds it may by then wait for us: somebody signs up, and a trigger
        writes to a table of ours. So that wait is brief; where it is in vain all is let go for a moment, and tried
        again.
        """
        clock = self._context.clock
        until = clock.monotonic() + LOCK_TIMEOUT.total_seconds()
        others: list[TableName] = []
        while True:
            self._do("SAVEPOINT clear")
            try:
                others = self._lock()
                for statement in self._drops(BRIEFLY if others else LOCK_TIMEOUT):
                    self._do(statement)
            except RunbookError as error:
                if sqlstate(error) not in LOCKS:
                    raise
                if clock.monotonic() > until:
                    error.reason += f", perhaps of {', '.join(each.text for each in others)}" if others else ""
                    raise
            else:
                self._do("RELEASE SAVEPOINT clear")
                return
            self._do("ROLLBACK TO SAVEPOINT clear")
            clock.sleep(_PAUSE)

    def _lock(self) -> list[TableName]:
        """Every table, before anything is looked at: from here on nobody writes, and nobody reads.

        First the ones that stay and that dropping locks too, since others hold these (who signs in, in ``auth.users``).
        Returns those that this role may not lock before it drops.
        """
        session, schemas = self._session, list(self._state.schemas)
        tied = read_tied(session, schemas, read_beyond(session, schemas))
        tables = session.rows(_TABLES, (schemas,), attempted="list the tables")
        names = [each.quoted for each, mine in tied.items() if mine]
        names += [TableName(schema=schema, name=name).quoted for schema, name in tables]
        for start in range(0, len(names), _AT_ONCE):
            self._do(f"LOCK TABLE {', '.join(names[start : start + _AT_ONCE])} IN ACCESS EXCLUSIVE MODE")
        ground = read_ground(self._session, self._state.schemas, count=False)
        require_possible(ground, self._work, self._state.target_database, self._state.endpoint)
        self._ground = ground
        return [each for each, mine in tied.items() if not mine]

    def _create_roles(self) -> tuple[str, ...]:
        for role in self._work.roles_to_create:
            name = quote_identifier(role)
            self._do(f"CREATE ROLE {name} NOLOGIN")
            if not self._work.target.superuser:
                self._do(f"GRANT {name} TO CURRENT_USER")
        return self._work.roles_to_create

    def _plain_schemas(self) -> Iterator[str]:
        if self._ownership.keeps_privileges:
            yield from grants.plain_schemas(self._session, self._state.schemas, self._work.manifest.server.major)

    def _drops(self, patience: timedelta) -> Iterator[str]:
        """Everything in the schemas, kind by kind; CASCADE takes some of it before its turn.

        ``patience`` is how long each of these waits for a lock; whatever follows waits as long as ever.
        """
        yield _waiting(patience)
        by_kind: dict[str, list[str]] = {}
        for thing in self._ground.things:
            by_kind.setdefault(thing.kind, []).append(thing.identity)
        for kind in sorted(by_kind, key=lambda kind: (_FIRST.index(kind) if kind in _FIRST else len(_FIRST), kind)):
            word, names = _WORDS.get(kind, kind.upper()), by_kind[kind]
            # Several at once only where the grammar takes them, which it does not for operator classes and the like.
            step = _AT_ONCE if kind in _FIRST or kind in ("type", "function") else 1
            for start in range(0, len(names), step):
                yield f"DROP {word} IF EXISTS {', '.join(names[start : start + step])} CASCADE"
        yield _waiting(LOCK_TIMEOUT)

    def _load(self) -> int:
        work = self._work
        options = [] if self._ownership.keeps_privileges else ["--no-privileges"]
        options += ["--no-tablespaces"] if work.missing_tablespaces else []
        self._context.progress(stage="load")
        loading = TextLoading(
            tool=work.tool_path,
            environment=self._environment,
            options=tuple(options),
            session=self._session,
            label=self._label,
            go_on=self._go_on,
            time_left=self._time_left,
            context=self._context,
        )
        parts = [
            Part(archive=archive, head=head, adaptation=adaptation)
            for archive, head, adaptation in zip(work.manifest.archives, work.heads, work.adaptations, strict=True)
        ]
        return loading.load(self._source, parts)

    def _go_on(self, read: int) -> None:
        self._context.effect("go on loading")
        self._time_left()
        self._context.progress(bytes_read=read)

    def _compare(self) -> Comparison:
        """Rows, sequences, policies and privileges against the backup. Raises ``restore_mismatch``."""
        work, session = self._work, self._session
        self._context.progress(stage="compare")
        restored = replace(read_restored(session), large_objects=0)
        counts = {
            table.table: self._count(table) for table in counted_tables(work.manifest) if table.table in restored.tables
        }
        gone = frozenset(policy for adaptation in work.adaptations for policy in adaptation.policies_left_out)
        heads = work.heads_restored
        comparison = compare(work.manifest, heads, restored, counts, gone)
        wrong = [*comparison.differences, *self._ungranted]
        if self._ownership.keeps_privileges:
            entries = [entry for head in heads for entry in head.entries]
            wrong += grants.differences(session, self._state.schemas, entries)
        if wrong:
            shown = "; ".join(wrong[:_SHOWN]) + (f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else "")
            raise RunbookError(
                code="restore_mismatch",
                attempted=_ATTEMPTED,
                object=self._label,
                reason=f"what was restored differs from the backup: {shown}",
                remedy=f"{UNTOUCHED} Use another backup, or restore this one beside and look.",
                details={"differences": wrong},
            )
        return comparison

    def _count(self, table: TableFact) -> int:
        """Rows of one table. Forced row security would bind even its owner: it is off while we count, and only then."""
        self._time_left()
        binding = table.row_security_forced and not self._work.target.superuser
        if binding:
            self._do(f"SAVEPOINT counting; ALTER TABLE {table.table.quoted} NO FORCE ROW LEVEL SECURITY")
        count = self._session.value(
            f"SELECT pg_catalog.count(*) FROM ONLY {table.table.quoted}",
            attempted=f"count the rows of {table.table.text}",
        )
        if binding:
            self._do("ROLLBACK TO SAVEPOINT counting")
        return int(count)


def _waiting(patience: timedelta) -> str:
    return f"SET LOCAL lock_timeout = {patience // timedelta(milliseconds=1)}"
