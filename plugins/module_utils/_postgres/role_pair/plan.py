# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done to a pair of login roles (private to ops.runbooks); pure.

The group owns what the application makes and holds its rights; nobody logs in as it. Each login role is a member and
acts as the group from its first moment on (``ALTER ROLE ... SET role``), so that it makes no difference which of the
two made a table. Whoever pools sessions resets them to the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier as q
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair import guards
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import (
    Names,
    PairFact,
    RoleFact,
    SessionFact,
    Step,
)

#: Attributes that a login role of the pair has no use for: what it does, it does as the group.
_USELESS = ("replication", "createrole", "createdb", "bypassrls")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the options ask for. ``forced`` says that sessions of the role are no reason to refuse."""

    names: Names
    state: str
    role: str | None = None
    has_password: bool = False
    login: tuple[str, ...] | None = None
    connection_limit: int | None = None
    bypassrls: bool | None = None
    forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePairPlan(Plan):
    """A plan with its statements, one transaction; ``retire`` are roles that lose their login behind them."""

    statements: tuple[Step, ...] = ()
    retire: tuple[str, ...] = ()


def plan_pair(wanted: Wanted, facts: PairFact, *, where: str, extra: Sequence[Step] = ()) -> RolePairPlan:
    """Every state but the one that adopts, which hands its own statements in as ``extra``."""
    guards.refuse(wanted.names, facts, where=where, works=wanted.state != "tested")
    steps: list[Step] = list(extra)
    retire: list[str] = []
    if wanted.state in ("present", "active", "adopted"):
        steps = [*structure(wanted, facts, where=where), *extra]
    if wanted.state == "present" and wanted.login is not None:
        steps += [step for role in wanted.login for step in _back(role, facts, where=where)]
        retire += [role for role in wanted.names.pair if role not in wanted.login and _open(facts, role)]
    elif wanted.state == "active":
        steps += _active(wanted, facts, where=where)
    elif wanted.state == "retired" and wanted.role:
        retire += [wanted.role] if _open(facts, wanted.role) or facts.sessions_of(wanted.role) else []
    elif wanted.state == "scrambled" and wanted.role:
        steps += _scrambled(wanted.role, facts, where=where)
    elif wanted.state == "absent":
        steps += _absent(wanted, facts, where=where)
    ending = tuple(each for role in retire for each in facts.sessions_of(role))
    if not wanted.forced:
        guards.unused(ending, attempted="take away the login of a role", where=where)
    return _as_plan(wanted, facts, steps, tuple(retire), ending)


def structure(wanted: Wanted, facts: PairFact, *, where: str) -> list[Step]:
    """What makes the group and the two roles what they must be; nothing that is so already."""
    names, group = wanted.names, facts.roles.get(wanted.names.group)
    steps = list(_group(wanted, group, facts, where=where))
    for role in names.pair:
        steps += _member(role, facts.roles.get(role), wanted, facts)
    manager = facts.manager
    acting = any(" SET role = " in step.sql for step in steps)
    if acting and facts.major < 16 and not manager.superuser and not manager.in_group:
        # Before PostgreSQL 16 nobody can set for others what they may not set for themselves.
        lent, returned = lending(names.group, facts.major, mine=False)
        made = 1 if group is None else 0
        return [*steps[:made], lent, *steps[made:], returned]
    return steps


def lending(name: str, major: int, *, mine: bool) -> tuple[Step, Step]:
    """Take a role for a moment that one may hand on, and give it back.

    ``mine`` is whether one had given it to oneself before, as ``createrole_self_grant`` does, without its rights.
    """
    options = " WITH INHERIT TRUE, SET TRUE" if major >= 16 else ""
    part = "INHERIT OPTION FOR " if mine and major >= 16 else ""
    return (
        Step(what=f"become a member of {name} for the time of this", sql=f"GRANT {q(name)} TO CURRENT_USER{options}"),
        Step(what=f"be no member of {name} any more", sql=f"REVOKE {part}{q(name)} FROM CURRENT_USER"),
    )


def _group(wanted: Wanted, group: RoleFact | None, facts: PairFact, *, where: str) -> Iterator[Step]:
    name = wanted.names.group
    if group is None:
        rest = " BYPASSRLS" if wanted.bypassrls else ""
        made = {"exists": True, "login": False, "bypassrls": bool(wanted.bypassrls)}
        yield Step(
            what=f"make the group role {name}, which nobody logs in as",
            sql=f"CREATE ROLE {q(name)} NOLOGIN{rest}",
            changes={name: made},
        )
        return
    missing = [each for each in wanted.names.pair if each not in facts.roles]
    if group.login and missing and wanted.state != "adopted":
        raise guards.not_a_group(name, where)
    if wanted.bypassrls is not None and wanted.bypassrls != group.bypassrls:
        word = "BYPASSRLS" if wanted.bypassrls else "NOBYPASSRLS"
        yield Step(
            what=f"let row level security {'not ' * wanted.bypassrls}apply to {name}",
            sql=f"ALTER ROLE {q(name)} {word}",
            changes={name: {"bypassrls": wanted.bypassrls}},
        )


def _member(name: str, role: RoleFact | None, wanted: Wanted, facts: PairFact) -> Iterator[Step]:
    """One login role. A new one may log in once it is given a password."""
    group, limit = wanted.names.group, wanted.connection_limit
    if role is None:
        rest = f" CONNECTION LIMIT {limit}" if limit is not None else ""
        made = {"exists": True, "login": False, "connection_limit": -1 if limit is None else limit}
        yield Step(
            what=f"make the login role {name}, which may log in once it has a password",
            sql=f"CREATE ROLE {q(name)} NOLOGIN INHERIT{rest}",
            changes={name: made},
        )
        role = RoleFact(name=name, oid=0, login=False, connection_limit=-1 if limit is None else limit)
    words = [f"NO{each.upper()}" for each in _USELESS if getattr(role, each)]
    words += ["INHERIT"] if not role.inherit and facts.major < 16 else []
    if words:
        sql = f"ALTER ROLE {q(name)} {' '.join(words)}"
        yield Step(what=f"leave to the group what {name} has of its own ({', '.join(words)})", sql=sql)
    if limit is not None and limit != role.connection_limit:
        yield Step(
            what=f"allow {name} {'any number of' if limit < 0 else limit} sessions",
            sql=f"ALTER ROLE {q(name)} CONNECTION LIMIT {limit}",
            changes={name: {"connection_limit": limit}},
        )
    # Without INHERIT of its own a role of an older server inherits by the attribute, which is set above.
    if not (role.member and role.may_set and (role.inherits or facts.major < 16)):
        options = " WITH INHERIT TRUE, SET TRUE" if facts.major >= 16 else ""
        sql = f"GRANT {q(group)} TO {q(name)}{options}"
        yield Step(what=f"make {name} a member of {group}", sql=sql, changes={name: {"member": True}})
    if role.admin:
        sql = f"REVOKE ADMIN OPTION FOR {q(group)} FROM {q(name)}"
        yield Step(what=f"no longer let {name} hand {group} on", sql=sql)
    yield from _acting(name, role, group, facts)


def _acting(name: str, role: RoleFact, group: str, facts: PairFact) -> Iterator[Step]:
    if role.acts_as != group:
        literal = "'" + group.replace("'", "''") + "'"
        yield Step(
            what=f"let {name} act as {group} from login on",
            sql=f"ALTER ROLE {q(name)} SET role = {literal}",
            changes={name: {"acts_as": group}},
        )
    if role.acts_here_as not in (None, group):
        sql = f"ALTER ROLE {q(name)} IN DATABASE {q(facts.database)} RESET role"
        yield Step(what=f"take away that {name} acts as {role.acts_here_as} in this database", sql=sql)


def _login(name: str, facts: PairFact) -> list[Step]:
    """A login that is given back, with the password from before."""
    role = facts.roles.get(name)
    if role is not None and role.login and not role.expired:
        return []
    rest = " VALID UNTIL 'infinity'" if role is not None and role.expired else ""
    changes = {name: {"login": True, "expired": False}}
    return [Step(what=f"let {name} log in", sql=f"ALTER ROLE {q(name)} LOGIN{rest}", changes=changes)]


def _back(name: str, facts: PairFact, *, where: str) -> list[Step]:
    """The same for a role that has a password still, as far as can be told."""
    if name in facts.roles and facts.roles[name].scrambled:
        raise guards.password_needed(name, where)
    return _login(name, facts)


def _active(wanted: Wanted, facts: PairFact, *, where: str) -> list[Step]:
    name = str(wanted.role)
    role = facts.roles.get(name)
    if not wanted.has_password:
        if role is None:
            raise guards.password_needed(name, where)
        return _back(name, facts, where=where)
    if name not in wanted.names.pair:
        raise guards.not_of_the_pair(name, where)
    if facts.password_fits:
        return _login(name, facts)
    if not wanted.forced:
        # Sessions survive a change of the password and find out when they next connect.
        guards.unused(facts.sessions_of(name), attempted="set another password", where=where)
    step = Step(
        what=f"set the password of {name} and let it log in",
        sql=f"ALTER ROLE {q(name)} LOGIN VALID UNTIL 'infinity' PASSWORD ",
        password_of=name,
        changes={name: {"login": True, "password": "as given", "expired": False}},
    )
    return [step]


def _scrambled(name: str, facts: PairFact, *, where: str) -> list[Step]:
    """No password at all: what is more than a random one. The end of its validity is the mark that all may read."""
    role = facts.roles.get(name)
    if role is None or role.scrambled:
        return []
    guards.retired(role, facts, attempted="take away the password of a role", where=where)
    step = Step(
        what=f"take the password of {name} away",
        sql=f"ALTER ROLE {q(name)} PASSWORD NULL VALID UNTIL '-infinity'",
        changes={name: {"password": "none", "expired": True}},
    )
    return [step]


def _absent(wanted: Wanted, facts: PairFact, *, where: str) -> list[Step]:
    names = (wanted.role,) if wanted.role else (*wanted.names.pair, wanted.names.group)
    steps = []
    for name in names:
        if (role := facts.roles.get(name)) is not None:
            guards.retired(role, facts, attempted="drop a role", where=where)
            guards.needless(role, facts, where=where)
            steps.append(Step(what=f"drop {name}", sql=f"DROP ROLE {q(name)}", changes={name: None}))
    return steps


def _open(facts: PairFact, name: str) -> bool:
    return name in facts.roles and facts.roles[name].login


def picture(names: Names, facts: PairFact, asked: str | None = None) -> dict[str, dict[str, Any]]:
    """The roles for people; ``asked`` is the role whose password was given."""
    shown: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys((names.group, *names.pair, *([names.old] if names.old else []))):
        role = facts.roles.get(name)
        if role is None:
            shown[name] = {"exists": False}
            continue
        shown[name] = {"exists": True, "login": role.login, "expired": role.expired}
        if name == names.group:
            shown[name]["bypassrls"] = role.bypassrls
        if name in names.pair:
            shown[name] |= {"member": role.member, "acts_as": role.acts_as, "connection_limit": role.connection_limit}
        if name == asked and facts.password_fits is not None:
            shown[name]["password"] = "as given" if facts.password_fits else "another"
        elif role.scrambled:
            shown[name]["password"] = "none"
    return shown


def _as_plan(
    wanted: Wanted, facts: PairFact, steps: Sequence[Step], retire: tuple[str, ...], ending: tuple[SessionFact, ...]
) -> RolePairPlan:
    before = picture(wanted.names, facts, wanted.role if wanted.has_password else None)
    after: dict[str, dict[str, Any]] = {name: dict(each) for name, each in before.items()}
    changes: list[Mapping[str, Mapping[str, Any] | None]] = [each.changes for each in steps]
    for change in (*changes, *({name: {"login": False}} for name in retire)):
        for name, fields in change.items():
            after[name] = {"exists": False} if fields is None else {"expired": False, **after[name], **fields}
    said = [each.what for each in steps] + [f"no longer let {name} log in" for name in retire]
    said += [f"end the session {each.label} of {each.role}" for each in ending]
    sessions = [] if retire else list(facts.sessions)
    result = {
        "group": wanted.names.group,
        "role": wanted.role,
        "roles": after,
        "sessions": [_session(each) for each in sessions[:20]],
        "test": None,
    }
    gone = [each for each in steps if each.sql.startswith("DROP ") or "PASSWORD NULL" in each.sql]
    return RolePairPlan(
        changed=bool(steps or retire),
        result=result,
        steps=tuple(said),
        irreversible=tuple(each.what for each in gone),
        before=before,
        after=after,
        warnings=guards.warnings(wanted.names, facts, after),
        statements=tuple(steps),
        retire=retire,
    )


def _session(each: SessionFact) -> dict[str, Any]:
    from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso

    return {
        "role": each.role,
        "pid": each.pid,
        "database": each.database,
        "application": each.application,
        "client": each.client,
        "since": iso(each.since) if each.since else None,
    }
