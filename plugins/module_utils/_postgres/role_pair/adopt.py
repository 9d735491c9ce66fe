# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a group takes the place of a single login role (private to ops.runbooks); pure.

There are two ways. Where the group has the old role's name, the old role *is* the group: everything stays its own, and
nothing but two login roles is new. Else what the old role owns goes over to the group, what it was granted is granted
to the group too, and the old role becomes a member, so that its sessions may do afterwards what they could before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier as q
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.adopt_facts import (
    AdoptionFact,
    Defaults,
    Entry,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import Names, PairFact, Step
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.plan import lending

#: Of ``pg_default_acl``, and what ``ALTER DEFAULT PRIVILEGES`` calls it.
_KINDS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS", "L": "LARGE OBJECTS"}
#: What only a superuser may own, or what works with the rights of its owner outside of any session.
_UNMOVABLE = ("event trigger", "foreign-data wrapper", "subscription")
_SHOWN = 100


def plan_adoption(names: Names, facts: PairFact, found: AdoptionFact) -> list[Step]:
    """Statements beyond those that make the pair; none where everything is as it must be."""
    old, in_place = names.old or names.group, names.old in (None, names.group)
    steps = [] if in_place else [*_handed_over(names, facts, found)]
    steps += _settings(found, facts)
    if not in_place:
        steps += _moved(names, facts, found)
    lent, returned = _lent(old, names, facts, found) if steps and not in_place else ([], [])
    return [*lent, *steps, *returned]


def hindrances(names: Names, facts: PairFact, found: AdoptionFact) -> list[str]:
    """What this cannot do, as sentences; nothing is done where there are any."""
    old, in_place = names.old or names.group, names.old in (None, names.group)
    role = facts.roles.get(old)
    if role is None:
        return [f"There is no role {old} on this server."]
    words = {"SESSION_USER"} if in_place else {"SESSION_USER", "CURRENT_USER", "CURRENT_ROLE", f"'{old}'"}
    said = [
        f"Policy {each.name} on {each.table} decides by {', '.join(sorted(words & set(each.asks)))}, which would be "
        "another role."
        for each in found.policies
        if words & set(each.asks)
    ]
    said += [
        f"{each.role} does not have {old}'s setting {each.name}, which {facts.manager.current_user} cannot set; run as "
        f"a superuser: ALTER ROLE {q(each.role)} SET {each.name} to the same."
        for each in found.settings
        if not each.can
    ]
    if in_place:
        return said
    said += _unsuitable(old, names, facts, found)
    said += [
        f"{kind.capitalize()} {identity} cannot be owned by a role like {names.group}."
        for kind, identity in found.owned
        if kind in _UNMOVABLE
    ]
    said += [
        f"{each.privilege} on {each.kind.lower()} {each.thing} is not {facts.manager.current_user}'s to grant "
        f"but that of {each.owner or 'a superuser'}."
        for each in found.grants
        if not each.can
    ]
    said += [
        f"{facts.manager.current_user} may not make others members of {each.role}, as {old} is."
        for each in found.memberships
        if not each.held and not each.can
    ]
    said += [
        f"Default privileges of {each.role} are not {facts.manager.current_user}'s to alter."
        for each in found.defaults
        if each.role not in (old, names.group) and not each.can and _others(each, old, names.group)
    ]
    said += [
        f"Foreign server {each} has a user mapping for {old}, whose password cannot be read." for each in found.mappings
    ]
    return said


def _unsuitable(old: str, names: Names, facts: PairFact, found: AdoptionFact) -> Iterator[str]:
    role, group, manager = facts.roles[old], facts.roles.get(names.group), facts.manager
    if group is not None and group.login:
        yield f"Role {names.group} logs in itself, so that it cannot be the group."
    if names.group in found.members:
        yield f"Role {names.group} is a member of {old}; it has to be the other way round."
    for word in ("replication", "createrole"):
        if getattr(role, word):
            yield f"Role {old} has {word.upper()}, which cannot be handed on by a membership."
    if facts.major < 16 and not role.inherit:
        yield f"Role {old} has NOINHERIT, so that it would lose its rights: ALTER ROLE {q(old)} INHERIT."
    for word in ("bypassrls", "createdb"):
        has = group is not None and getattr(group, word)
        if (
            getattr(role, word)
            and not has
            and not (manager.superuser or (facts.major >= 16 and getattr(manager, word)))
        ):
            yield f"Role {old} has {word.upper()}, which {manager.current_user} may not give to {names.group}."
    for schema in found.closed_schemas:
        yield (
            f"Role {old} owns things in schema {schema} and may make none there, which a new owner has to be able to: "
            f"GRANT CREATE ON SCHEMA {q(schema)} TO {q(old)}."
        )
    if found.own_schema:
        yield (
            f'A schema has the name of role {old}, and "$user" finds it: ALTER ROLE {q(old)} SET search_path to what '
            "it finds now, by name."
        )


def warnings(names: Names, found: AdoptionFact) -> list[str]:
    """What is left to people."""
    old = names.old or names.group
    said = []
    if found.elsewhere and names.old not in (None, names.group):
        said.append(
            f"Role {old} has things in other databases too ({', '.join(found.elsewhere)}): adopt it there as well."
        )
    if found.jobs:
        said.append(f"Jobs of pg_cron run as {old} ({', '.join(found.jobs)}): change their user before it is retired.")
    if found.hba_lines:
        lines = ", ".join(str(each) for each in found.hba_lines)
        said.append(f"pg_hba.conf names {old} in line {lines}: add {', '.join(names.pair)} there.")
    return said


def _lent(old: str, names: Names, facts: PairFact, found: AdoptionFact) -> tuple[list[Step], list[Step]]:
    """Membership for the time of the work, for a role that is no superuser, and its end."""
    needed = [name for name, has in ((old, found.has_old), (names.group, found.has_group)) if not has]
    if facts.manager.superuser or not needed:
        return [], []
    steps = [lending(name, facts.major, mine=name in found.self_granted) for name in needed]
    return [lent for lent, _returned in steps], [returned for _lent, returned in steps]


def _handed_over(names: Names, facts: PairFact, found: AdoptionFact) -> Iterator[Step]:
    """What the group gets beside what it owns. Nothing of this locks a table."""
    old, group = str(names.old), names.group
    role, has = facts.roles[old], facts.roles.get(group)
    words = [
        word.upper() for word in ("bypassrls", "createdb") if getattr(role, word) and not getattr(has, word, False)
    ]
    if words:
        yield Step(
            what=f"let {group} have what {old} has ({', '.join(words)})", sql=f"ALTER ROLE {q(group)} {' '.join(words)}"
        )
    if not (role.member and role.may_set and role.inherits):
        options = " WITH INHERIT TRUE, SET TRUE" if facts.major >= 16 else ""
        yield Step(what=f"make {old} a member of {group}", sql=f"GRANT {q(group)} TO {q(old)}{options}")
    for each in found.memberships:
        if not each.held:
            yield Step(what=f"make {group} a member of {each.role}", sql=f"GRANT {q(each.role)} TO {q(group)}")
    for grant in found.grants:
        on = f"{grant.kind} {grant.thing}"
        columns = f" ({grant.columns})" if grant.columns else ""
        yield Step(
            what=f"grant {grant.privilege}{columns} on {grant.kind.lower()} {grant.thing} to {group}",
            sql=f"GRANT {grant.privilege}{columns} ON {on} TO {q(group)}{' WITH GRANT OPTION' * grant.grantable}",
        )
    yield from _default_privileges(names, found)


def _default_privileges(names: Names, found: AdoptionFact) -> Iterator[Step]:
    """What the group makes from now on is open to the same roles as what the old one makes, and the group to theirs."""
    old, group = str(names.old), names.group
    by_place = {(each.role, each.schema, each.kind): each for each in found.defaults}
    for each in found.defaults:
        if each.role == old:
            basis = (
                _renamed(found.built_in.get(each.kind, frozenset()), old, group) if each.schema is None else frozenset()
            )
            present = by_place.get((group, each.schema, each.kind))
            now = present.entries if present is not None else basis
            wanted = _renamed(each.entries, old, group)
            yield from _altered(group, each, sorted(wanted - now), "GRANT")
            yield from _altered(group, each, sorted((basis & now) - wanted), "REVOKE")
        elif each.role != group:
            yield from _altered(each.role, each, _others(each, old, group), "GRANT")


def _others(each: Defaults, old: str, group: str) -> list[Entry]:
    """What somebody else's things will be open to the old role for, and not to the group."""
    return sorted(_renamed(frozenset(entry for entry in each.entries if entry[0] == old), old, group) - each.entries)


def _renamed(entries: frozenset[Entry], old: str, group: str) -> frozenset[Entry]:
    return frozenset((group if who == old else who, what, grantable) for who, what, grantable in entries)


def _altered(role: str, place: Defaults, entries: Sequence[Entry], verb: str) -> Iterator[Step]:
    schema = f" IN SCHEMA {q(place.schema)}" if place.schema is not None else ""
    kind, where = _KINDS[place.kind], f" in {place.schema}" if place.schema is not None else ""
    for who, privilege, grantable in entries:
        to = q(who) if who else "PUBLIC"
        rest = f"TO {to}{' WITH GRANT OPTION' * grantable}" if verb == "GRANT" else f"FROM {to}"
        yield Step(
            what=f"{verb.lower()} {privilege} on {kind.lower()} that {role} will make{where} "
            f"{'to' if verb == 'GRANT' else 'from'} {who or 'everybody'}",
            sql=f"ALTER DEFAULT PRIVILEGES FOR ROLE {q(role)}{schema} {verb} {privilege} ON {kind} {rest}",
        )


def _settings(found: AdoptionFact, facts: PairFact) -> Iterator[Step]:
    """Settings go from role to role within the server: a value that is secret is in no statement."""
    for each in found.settings:
        place = f" IN DATABASE {q(facts.database)}" if each.here else ""
        name = ".".join(q(part) for part in each.name.split("."))
        yield Step(
            what=f"let the setting {each.name} hold for {each.role} too",
            sql=f"ALTER ROLE {q(each.role)}{place} SET {name} FROM CURRENT",
            setting=(each.name, each.here),
        )


def _moved(names: Names, facts: PairFact, found: AdoptionFact) -> Iterator[Step]:
    """What locks tables comes last, so that the locks are held for as short as may be."""
    old, group = str(names.old), names.group
    if facts.roles[old].acts_as != group:
        literal = "'" + group.replace("'", "''") + "'"
        yield Step(
            what=f"let new sessions of {old} act as {group}, so that what they make is the group's",
            sql=f"ALTER ROLE {q(old)} SET role = {literal}",
        )
    if found.owned:
        counted = Counter(kind for kind, _identity in found.owned)
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(counted.items()))
        yield Step(
            what=f"reassign what {old} owns in {facts.database} to {group} ({listed})",
            sql=f"REASSIGN OWNED BY {q(old)} TO {q(group)}",
            locks=True,
        )
    for each in found.policies:
        if old in each.roles:
            roles = sorted({group if role == old else role for role in each.roles})
            to = ", ".join(q(role) if role else "PUBLIC" for role in roles)
            yield Step(
                what=f"let policy {each.name} on {each.table} name {group} instead of {old}",
                sql=f"ALTER POLICY {q(each.name)} ON {each.table} TO {to}",
                locks=True,
            )


def listing(names: Names, found: AdoptionFact) -> dict[str, Any]:
    """What names the old role, for people; the first hundred of each."""
    old = names.old or names.group
    return {
        "old_role": old,
        "in_place": names.old in (None, names.group),
        "owned": [f"{kind} {identity}" for kind, identity in found.owned][:_SHOWN],
        "owned_count": len(found.owned),
        "grants": [f"{each.privilege} on {each.kind.lower()} {each.thing}" for each in found.grants][:_SHOWN],
        "default_privileges": [
            f"{_KINDS[each.kind].lower()} of {each.role} in {each.schema or 'every schema'}"
            for each in found.defaults
            if each.role == old or any(entry[0] == old for entry in each.entries)
        ][:_SHOWN],
        "policies": [f"{each.name} on {each.table}" for each in found.policies if old in each.roles][:_SHOWN],
        "memberships": [each.role for each in found.memberships],
        "members": list(found.members),
        "settings": sorted({each.name for each in found.settings}),
        "jobs": list(found.jobs),
        "elsewhere": list(found.elsewhere),
    }


def refused(names: Names, where: str, reasons: Sequence[str], *, known: bool = True) -> RunbookError:
    """The failure that lists what stands in the way. ``known`` is whether there is such an old role."""
    old = names.old or names.group
    remedy = "See failure.refused and change that first."
    if not known:
        remedy = "Give old_role the name of the login role of today, or leave it out where the group has that name."
    elif old != names.group:
        remedy = f"{remedy.rstrip('.')}; or give the group the old role's own name, with which nothing changes hands."
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return RunbookError(
        code="adoption_refused",
        attempted="let a group take the place of a login role",
        object=f"role {old} at {where}",
        reason=f"{reasons[0].rstrip('.')}{more}",
        remedy=remedy,
        details={"refused": list(reasons)},
    )
