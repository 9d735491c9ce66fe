# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation behind postgres_migration (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core import binding
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC, Store
from ansible_collections.ops.runbooks.plugins.module_utils._migration import back, foreign, ledger, tools
from ansible_collections.ops.runbooks.plugins.module_utils._migration.apply import Applier
from ansible_collections.ops.runbooks.plugins.module_utils._migration.files import look_into
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import (
    STARTED,
    Ledger,
    Migration,
    taken_before,
    taken_by,
    taken_of,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.plan import (
    ApplyPlan,
    Resume,
    Seen,
    check_planned,
    choose,
    concurrent_index,
    describe,
    plan_apply,
    resume_of,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.source import SOURCE_SPEC, Source, read_source
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import catalog, pooler, taken_away
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import (
    CONNECTION_SPEC,
    Connector,
    Session,
    connector,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import sqlstate
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ServerFact

MIGRATION_SPEC = ArgumentSpec(
    options={
        "state": {"type": "str", "choices": ["applied", "rolled_back", "resolved"], "default": "applied"},
        "phase": {"type": "str", "choices": ["expand", "contract", "all"], "default": "expand"},
        "migration": {"type": "str"},
        "resolve_as": {"type": "str", "choices": ["applied", "rolled_back", "baseline"]},
        "planned": {"type": "dict"},
        "lock_timeout": {"type": "str", "default": "5s"},
        "statement_timeout": {"type": "str", "default": "15m"},
        "wait": {"type": "str", "default": "30s"},
        "adopt": {"type": "bool", "default": False},
        "backup_first": {"type": "bool", "default": False},
    },
    required_if=(("state", "rolled_back", ("migration",)), ("state", "resolved", ("migration", "resolve_as"))),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was observed: the migrations, and the database that they are of."""

    seen: Seen
    server: ServerFact
    database: str
    backup: back.Cover | None = None
    taken: tuple[taken_away.Taken, ...] = ()


class PostgresMigration(Operation[Found, Plan]):
    """The migrations of a directory are in a database, or the last one no longer is."""

    noun: ClassVar[str] = "migration"
    spec: ClassVar[ArgumentSpec] = ArgumentSpec().merge(
        MIGRATION_SPEC, back.COVER_SPEC, SOURCE_SPEC, CONNECTION_SPEC, STORE_SPEC, RUN_SPEC
    )

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._limits = {
            name: parse_duration(params[name], name) for name in ("lock_timeout", "statement_timeout", "wait")
        }
        self._proven = False
        self._last: Seen | None = None

    @cached_property
    def connector(self) -> Connector:
        """The way to the database."""
        return connector(self.params, self.context)

    @cached_property
    def session(self) -> Session:
        """The session that observes."""
        return self.connector.open()

    @cached_property
    def source(self) -> Source:
        """The files, which one run reads once."""
        return read_source(self.params, self.context)

    @cached_property
    def _elsewhere(self) -> str:
        """Why the command of another tool would go to another database."""
        if not self._foreign or self.params["command"] is None:
            return ""
        command = tools.check_command(self.params["command"], self.params["adapter"])
        identity = self.connector.identity(self.connector.server(self.session), catalog.database(self.session).name)
        return tools.elsewhere(command, self.params["chdir"], identity, self.connector.endpoint.port)

    # observe

    def observe(self) -> Found:
        """The files, the ledger, and what can be in the way."""
        source = self.source
        session = self.session
        server = self.connector.server(session)
        name = catalog.database(session).name
        if not self._proven:
            pooler.require_session(self.connector, session)
            self._proven = True
        found = self._recorded(session)
        if not self.params["adopt"]:
            binding.check(*self._name, self.connector.identity(server, name))
        self._last = self._seen(source, found)
        self._refuse_what_cannot_be(server, found)
        cover = self._cover(found)
        return Found(seen=self._last, server=server, database=name, backup=cover, taken=self._read_taken())

    def _read_taken(self) -> tuple[taken_away.Taken, ...]:
        """What the store says that migrations have taken away."""
        return taken_away.read(*self._name)

    def _write_taken(self, taken: tuple[taken_away.Taken, ...]) -> None:
        taken_away.write(*self._name, taken, self.context)

    @property
    def _name(self) -> tuple[Store, str, str]:
        """Where the store has what it knows of the database."""
        return self.state_store, self.params["environment"], self.params["name"]

    @property
    def _foreign(self) -> bool:
        """Whether another tool runs them."""
        return bool(self.params["adapter"] != "sql")

    def _recorded(self, session: Session) -> Ledger:
        """What was run, by whoever runs them."""
        return tools.read(session, self.params["adapter"], self.source.files) if self._foreign else ledger.read(session)

    def _cover(self, found: Ledger) -> back.Cover | None:
        """What there is beside a migration that is to be taken back; nothing where none is."""
        name = self.params["migration"]
        if self.params["state"] != "rolled_back" or found.row(name) is None or self._foreign:
            return None
        file = next((each for each in self.source.files if each.name == name), None)
        return back.cover(self.params, self.store, self.session, found, file, self.context)

    def _seen(self, source: Source, found: Ledger) -> Seen:
        applied = {row.name for row in found.applied}
        waiting = [each for each in source.files if each.name not in applied]
        pending = tuple(look_into(each, foreign=self._foreign) for each in waiting)
        tables = tuple(dict.fromkeys(table for each in pending for table in each.blocks))
        return Seen(
            files=source.files,
            pending=pending,
            ledger=found,
            where=self.session.endpoint.label,
            source=source.label,
            elsewhere=self._elsewhere,
            resumes={} if self._foreign else self._resumes(pending, found),
            sizes=ledger.sizes(self.session, tables),
        )

    def _resumes(self, pending: tuple[Migration, ...], found: Ledger) -> dict[str, Resume]:
        """How to go on with each migration in which a run has stopped."""
        resumes = {}
        started = {row.name: row for row in found.rows if row.state == STARTED}
        for each in pending:
            if (row := started.get(each.name)) is None or each.refused:
                continue
            named = concurrent_index(each.statements[row.done]) if row.done < len(each.statements) else None
            state = ledger.index_state(self.session, named[1], named[0]) if named is not None else None
            resumes[each.name] = resume_of(row, each, state)
        return resumes

    def _refuse_what_cannot_be(self, server: ServerFact, found: Ledger) -> None:
        reason = remedy = ""
        if server.in_recovery:
            reason, remedy = "it is a standby, which takes no changes", "Give the address of the primary."
        elif not self._foreign and (lacking := ledger.may_write(self.session, found)):
            reason = f"the role {self.session.endpoint.user} may not: it lacks {lacking}"
            remedy = f"Let the role that owns the tables run migrations, or GRANT it {lacking}."
        if reason:
            raise RunbookError(
                code="privilege_missing",
                attempted="keep the ledger of migrations",
                object=self.session.endpoint.label,
                reason=reason,
                remedy=remedy,
            )

    # plan, act

    def plan(self, state: Found) -> Plan:
        """See ``operation.Operation``; what a run that died has left to be written down is a change too."""
        plan = self._plan(state)
        due = self._taken(state.seen.ledger, state.taken)
        if plan.changed or {each.name for each in state.taken} == {each.name for each in due}:
            return plan
        # A plan of no kind: nothing but the store is touched.
        step = "write down in the store what migrations have taken away"
        return Plan(changed=True, result=plan.result, steps=(step,), warnings=plan.warnings)

    def _taken(self, found: Ledger, recorded: tuple[taken_away.Taken, ...]) -> tuple[taken_away.Taken, ...]:
        """What migrations have taken away, by what is recorded in the database and, before that, in the store."""
        if self._foreign:
            return taken_by(self.params["adapter"], found, recorded, self.context.clock.now())
        return taken_of(found)

    def _plan(self, state: Found) -> Plan:
        plan = self._decide(state)
        if self.params["planned"] is not None and isinstance(plan, (ApplyPlan, foreign.ForeignPlan)):
            check_planned(state.seen, plan.chosen, self.params["planned"])
        return plan

    def _decide(self, state: Found) -> Plan:
        if self._foreign:
            return foreign.plan_foreign(state.seen, self.params)
        if self.params["state"] == "rolled_back":
            due = self.params["backup_first"] and self.context.check_mode
            return back.plan_back(state.seen, self.params["migration"], state.backup, backup_due=due)
        if self.params["state"] == "resolved":
            return back.plan_resolve(state.seen, self.params["migration"], self.params["resolve_as"])
        return plan_apply(state.seen, self.params["phase"])

    def resources(self, plan: Plan) -> tuple[str, ...]:
        """See ``operation.Operation``."""
        return (f"database/{self.params['name']}",)

    def identity(self, plan: Plan) -> str:
        """See ``operation.Operation``."""
        return str(self.params["migration"] or self.params["release"] or plan.result.get("digest") or self.noun)

    def act(self, state: Found, plan: Plan) -> Mapping[str, Any]:
        """Under the lease of the database, take its own lock too, look once more, and carry the plan out."""
        identity = self.connector.identity(state.server, state.database)
        binding.bind(*self._name, identity, self.context, adopt=self.params["adopt"])
        session = self.connector.open()
        applier = Applier(
            session,
            lock_timeout=self._limits["lock_timeout"],
            statement_timeout=self._limits["statement_timeout"],
            release=self.params["release"] or "",
            context=self.context,
        )
        applier.enter(self._limits["wait"].total_seconds())
        found = self._recorded(session)
        if found != state.seen.ledger:
            # A run with another store, or one that was killed and whose last step came to its end since.
            state = replace(state, seen=self._seen(self.source, found))
            plan = self._plan(state)
            self.came_late = not plan.changed
        release, now = self.params["release"] or "", self.context.clock.now()
        taken = taken_before(self._taken(found, self._read_taken()), plan, release, now)
        try:
            if plan.changed:
                self._write_taken(taken)
                self._carry_out(applier, session, state, plan)
        except RunbookError as error:
            with suppress(RunbookError):
                found = self._recorded(self.session)
                self._last = self._seen(self.source, found)
                left = self._taken(found, taken)
                self._write_taken(taken_away.both(left, taken) if _in_doubt(error) else left)
            raise
        self._write_taken(self._taken(self._recorded(session), taken))
        return self._report(session, plan)

    def _carry_out(self, applier: Applier, session: Session, state: Found, plan: Plan) -> None:
        if isinstance(plan, foreign.ForeignPlan):
            limit = self._limits["statement_timeout"]
            address = self.connector.address
            url = tools.url_of(self.params, address.source, address.keywords)
            foreign.carry_out(plan, self.params, url, session, state.seen, limit, self.context)
            return
        if not isinstance(plan, (ApplyPlan, back.BackPlan)):
            # Nothing but the store is touched.
            return
        if not state.seen.ledger.exists:
            applier.create_ledger()
        if isinstance(plan, ApplyPlan):
            for number, each in enumerate(plan.chosen):
                self.context.progress(migration=each.name, done=number, of=len(plan.chosen))
                applier.run(each, plan.resumes.get(each.name))
        else:
            back.carry_out(plan, applier, session, self.params["release"] or "", self.context)

    def _report(self, session: Session, plan: Plan) -> Mapping[str, Any]:
        """What is recorded now; the migrations that were pending are shown as they were run."""
        now = self._seen(self.source, self._recorded(session))
        self._last = now
        return {**plan.result, **{key: describe(now, ())[key] for key in ("head", "applied", "unfinished")}}

    # failures

    def context_of_failure(self) -> Mapping[str, Any]:
        """What is recorded, as far as it was read, and where."""
        known: dict[str, Any] = {"environment": self.params["environment"], "name": self.params["name"]}
        if "connector" in self.__dict__:
            known["endpoint"] = self.connector.endpoint.label
        if self._last is not None:
            known |= describe(self._last, choose(self._last.pending, self.params["phase"]))
        return known

    def close(self) -> None:
        """See ``operation.Operation``."""
        if "connector" in self.__dict__:
            self.connector.close()


def _in_doubt(error: RunbookError) -> bool:
    """Whether the server may still come to the end of what failed for us: it has not answered, or its client died."""
    return error.code in ("server_unreachable", "tool_failed") or (error.code == "timed_out" and not sqlstate(error))
