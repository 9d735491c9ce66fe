# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module postgres_role_pair (private to ops.runbooks): login roles that take turns, and their group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import pooler as poolers
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import (
    CONNECTION_SPEC,
    Connector,
    Session,
    connector,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import adopt
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import facts as catalog
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.adopt_facts import AdoptionFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.adopter import Adopter
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.login import KINDS
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import (
    Names,
    PairFact,
    Pooler,
    Privilege,
    Verdict,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.plan import (
    RolePairPlan,
    Wanted,
    plan_pair,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.turns import RolePair

STATES = ["present", "active", "tested", "retired", "scrambled", "absent", "adopted"]
_POOLER = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 6543},
    "database": {"type": "str"},
    "user_suffix": {"type": "str", "default": ""},
    "ssl_mode": CONNECTION_SPEC.options["ssl_mode"],
    "patience": {"type": "str", "default": "60s"},
}
_PRIVILEGE = {
    "kind": {"type": "str", "choices": list(KINDS), "default": "table"},
    "object": {"type": "str", "required": True},
    "privileges": {"type": "list", "elements": "str", "required": True},
}
#: A store is never a must: without one there is neither lock nor record.
_STORE = {name: {**option, "required": False} for name, option in STORE_SPEC.options.items()}

ROLE_PAIR_SPEC = ArgumentSpec(
    options={
        **_STORE,
        "group": {"type": "str", "required": True},
        "roles": {"type": "list", "elements": "str"},
        "state": {"type": "str", "choices": STATES, "default": "present"},
        "role": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "login": {"type": "list", "elements": "str"},
        "connection_limit": {"type": "int"},
        "bypassrls": {"type": "bool"},
        "old_role": {"type": "str"},
        "required_privileges": {"type": "list", "elements": "dict", "default": [], "options": _PRIVILEGE},
        "pooler": {"type": "dict", "options": _POOLER},
        "watch": {"type": "str", "default": "3s"},
        "force_after": {"type": "str"},
        "lock_timeout": {"type": "str", "default": "2s"},
    },
    required_if=(
        ("state", "active", ("role",)),
        ("state", "tested", ("role", "password")),
        ("state", "retired", ("role",)),
        ("state", "scrambled", ("role",)),
    ),
    required_by={"store": ("environment", "name")},
).merge(replace(STORE_SPEC, options={}), RUN_SPEC, CONNECTION_SPEC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairState:
    """What was found. ``verdict`` is there where nothing had to be changed before the login could be tested."""

    facts: PairFact
    found: AdoptionFact | None = None
    verdict: Verdict | None = None


class PostgresRolePair(Operation[PairState, RolePairPlan]):
    """A group and the two login roles that act for it."""

    noun: ClassVar[str] = "role_pair"
    spec: ClassVar[ArgumentSpec] = ROLE_PAIR_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._connector: Connector | None = None
        self._session: Session | None = None
        self._listing: dict[str, Any] | None = None
        self._password: str | None = params["password"]
        self._force_after = _seconds(params["force_after"], "force_after")
        self._limit = parse_duration(params["lock_timeout"], "lock_timeout")
        names = Names.read(params["group"], params["roles"], params["old_role"])
        for option in ("role", "login"):
            given = params[option] or []
            for name in [given] if isinstance(given, str) else given:
                _known(name, option, names.logins if option == "role" else names.pair)
        _only(params, "password", ("active", "tested"))
        _only(params, "login", ("present",))
        _only(params, "force_after", ("active", "present", "retired"))
        self._wanted = Wanted(
            names=names,
            state=params["state"],
            role=params["role"],
            has_password=self._password is not None,
            login=None if params["login"] is None else tuple(params["login"]),
            connection_limit=params["connection_limit"],
            bypassrls=params["bypassrls"],
            forced=self._force_after is not None,
        )

    @cached_property
    def _pair(self) -> RolePair:
        """The pair, on a session that is prepared for work; connects at the first use."""
        params = self.params
        self._connector = connector(params, self.context)
        session = self._session = self._connector.open()
        poolers.require_session(self._connector, session)
        session.prepare_for_work(self._limit)
        return RolePair(
            self._connector,
            session,
            self.context,
            self._wanted.names,
            pooler=_pooler(params["pooler"]),
            privileges=[_privilege(each) for each in params["required_privileges"]],
            watch=_seconds(params["watch"], "watch") or 0.0,
        )

    def observe(self) -> PairState:
        """The roles, their sessions, and what the state asks for beside that."""
        pair, wanted = self._pair, self._wanted
        facts, role = pair.look(), wanted.role or ""
        if wanted.state == "adopted":
            found = self._adopter.look(facts)
            self._listing = adopt.listing(wanted.names, found)
            return PairState(facts=facts, found=found)
        if wanted.state == "active" and self._password is not None and role in wanted.names.pair:
            facts = replace(facts, password_fits=pair.fits(role, self._password, facts))
        if wanted.state == "retired" and role in facts.roles and facts.roles[role].login:
            others = tuple(each for each in facts.sessions if each.role != role)
            facts = replace(facts, sessions=(*others, *pair.unused(role).by))
        if wanted.state == "absent" and self._session is not None:
            needed = {
                name: catalog.dependents(self._session, name) for name, each in facts.roles.items() if each.dependents
            }
            facts = replace(facts, dependents=needed)
        return PairState(facts=facts, verdict=self._tested(facts))

    def plan(self, state: PairState) -> RolePairPlan:
        """See :func:`plan_pair`, and for an adoption :meth:`Adopter.plan`."""
        if state.found is not None:
            made = self._adopter.plan(state.facts, state.found)
            warnings = (*made.warnings, *adopt.warnings(self._wanted.names, state.found))
            return replace(made, warnings=warnings, result={**made.result, "adoption": self._listing})
        made = plan_pair(self._wanted, state.facts, where=self._pair.where)
        tested = state.verdict.as_result() if state.verdict is not None else None
        return replace(made, result={**made.result, "test": tested})

    def act(self, state: PairState, plan: RolePairPlan) -> Mapping[str, Any]:
        """One transaction; then roles lose their login, and the new password has to prove itself."""
        pair, wanted = self._pair, self._wanted
        if wanted.state == "adopted":
            self._adopter.carry_out(plan)
            return plan.result
        pair.carry_out(plan, self._password)
        for name in plan.retire:
            pair.retire(name, force_after=self._force_after)
        if wanted.state == "active" and self._password is not None:
            return {**plan.result, "test": pair.test(str(wanted.role), self._password).as_result()}
        return plan.result

    def resources(self, plan: RolePairPlan) -> tuple[str, ...]:
        """The roles; where tables change hands the database too, from which a backup may be reading."""
        if not self.params["store"]:
            return ()
        name = self.params["name"]
        return (f"database/{name}", f"roles/{name}") if self._wanted.state == "adopted" else (f"roles/{name}",)

    def identity(self, plan: RolePairPlan) -> str:
        """The group and what was asked for."""
        return f"{self._wanted.state}-{self._wanted.role or 'pair'}"

    def context_of_failure(self) -> Mapping[str, Any]:
        """Where this was, and what was found there."""
        known: dict[str, Any] = {"group": self._wanted.names.group, "role": self._wanted.role}
        return known | ({"adoption": self._listing} if self._listing is not None else {})

    def close(self) -> None:
        """End the sessions."""
        if self._connector is not None:
            self._connector.close()

    @cached_property
    def _adopter(self) -> Adopter:
        if self._session is None:
            raise ValueError("the session is opened first")
        return Adopter(
            pair=self._pair,
            session=self._session,
            context=self.context,
            wanted=self._wanted,
            limit=self._limit.total_seconds(),
        )

    def _tested(self, facts: PairFact) -> Verdict | None:
        """The login as it is now, where nothing is to be changed before."""
        wanted, where = self._wanted, self._pair.where
        if self._password is None or wanted.state not in ("active", "tested"):
            return None
        if wanted.state == "active" and plan_pair(wanted, facts, where=where).changed:
            return None
        return self._pair.test(str(wanted.role), self._password)


def _seconds(text: str | None, option: str) -> float | None:
    return parse_duration(text, option).total_seconds() if text is not None else None


def _only(params: Mapping[str, Any], option: str, states: tuple[str, ...]) -> None:
    """An option that would be passed over is a misunderstanding."""
    if params[option] is not None and params["state"] not in states:
        raise RunbookError(
            code="invalid_parameter",
            attempted=f"read {option}",
            object=f"state={params['state']}",
            reason=f"it belongs to state={' or '.join(states)}",
            remedy=f"Leave {option} out, or ask for another state.",
        )


def _known(name: str, option: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise RunbookError(
            code="invalid_parameter",
            attempted=f"read {option}",
            object=name,
            reason=f"it is none of {', '.join(names)}",
            remedy="Name one of the pair, or say with roles how they are called.",
        )


def _pooler(given: Mapping[str, Any] | None) -> Pooler | None:
    if given is None:
        return None
    return Pooler(
        host=given["host"],
        port=given["port"],
        database=given["database"],
        user_suffix=given["user_suffix"],
        ssl_mode=given["ssl_mode"],
        patience=_seconds(given["patience"], "patience") or 0.0,
    )


def _privilege(given: Mapping[str, Any]) -> Privilege:
    return Privilege(kind=given["kind"], name=given["object"], privileges=tuple(given["privileges"]))
