# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an archive a restore takes over, and with which owners (private to ops.runbooks). Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Change, Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import (
    OWNED,
    is_about_database,
    policy_name,
    role_settings,
    roles_named,
    without_roles,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import DatabaseFact, Selection

#: An aclitem as ``pg_database.datacl`` prints it: ``grantee=privileges/grantor``, names quoted where they are odd.
_ACL_ITEM = re.compile(r'^(?P<grantee>"(?:[^"]|"")*"|[^=]*)=(?P<rights>[A-Za-z*]*)/(?P<grantor>.+)$')
#: The rights on a database and their letters (PostgreSQL manual, table 5.2).
_RIGHTS = {"C": "CREATE", "T": "TEMPORARY", "c": "CONNECT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What becomes of roles: the options ``roles``, ``owner`` and ``privileges``."""

    roles: str = "require"
    owner: str = "keep"
    privileges: str = "keep"

    @property
    def keeps_owners(self) -> bool:
        """Whether objects go to the owners that they had."""
        return self.owner == "keep"

    @property
    def keeps_privileges(self) -> bool:
        """Whether grants are restored."""
        return self.privileges == "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Rights on the database for one grantee; an empty grantee is PUBLIC."""

    grantee: str
    rights: tuple[str, ...]
    with_option: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How an archive is changed on its way: by dump id; ``losses`` says in words what does not come back."""

    changes: Mapping[int, Change]
    left_out: frozenset[int]
    losses: tuple[str, ...]
    policies_left_out: frozenset[tuple[str, str, str]] = frozenset()

    def listing(self, head: Head, wanted: Collection[int] | None = None) -> str | None:
        """A list file for ``pg_restore --use-list``, of ``wanted`` entries; None where every entry is restored."""
        if wanted is None and not self.left_out:
            return None
        kept = (entry.dump_id for entry in head.entries if entry.dump_id not in self.left_out)
        return "".join(f"{dump_id};\n" for dump_id in kept if wanted is None or dump_id in wanted)


def database_grants(database: DatabaseFact) -> tuple[Grant, ...]:
    """The database's own privileges, grantee by grantee; those of a database with the built-in default are PUBLIC's."""
    if database.privileges is None:
        return (Grant(grantee="", rights=("CONNECT", "TEMPORARY"), with_option=()),)
    grants = []
    for item in database.privileges:
        if (found := _ACL_ITEM.match(item)) is None:
            continue
        letters = re.findall(r"([A-Za-z])(\*?)", found["rights"])
        grants.append(
            Grant(
                grantee=_role(found["grantee"]),
                rights=tuple(_RIGHTS[letter] for letter, _star in letters if letter in _RIGHTS),
                with_option=tuple(_RIGHTS[letter] for letter, star in letters if letter in _RIGHTS and star),
            )
        )
    return tuple(grants)


def _role(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def needed_roles(head: Head, database: DatabaseFact, ownership: Ownership) -> frozenset[str]:
    """Every role that must exist for all of the archive, and the database's own properties, to come back."""
    needed = set(roles_named(head.entries, owners=ownership.keeps_owners, privileges=ownership.keeps_privileges))
    needed.update(setting.role for setting in role_settings(head.entries))
    needed.add(database.owner if ownership.keeps_owners else ownership.owner)
    if ownership.keeps_privileges:
        needed.update(grant.grantee for grant in database_grants(database) if grant.grantee)
    return frozenset(needed)


def owners(head: Head, database: DatabaseFact, ownership: Ownership) -> frozenset[str]:
    """The roles that objects are given to, which whoever restores must be allowed to act for."""
    if not ownership.keeps_owners:
        return frozenset({ownership.owner})
    return roles_named((entry for entry in head.entries if entry.desc in OWNED), privileges=False) | {database.owner}


def tablespaces(head: Head) -> frozenset[str]:
    """The tablespaces that the archive names."""
    return frozenset(entry.tablespace for entry in head.entries if entry.tablespace and not is_about_database(entry))


def adapt(head: Head, ownership: Ownership, missing: Collection[str]) -> Adaptation:
    """What to change so that the archive can be restored where the roles ``missing`` do not exist."""
    changes: dict[int, Change] = {}
    left_out: set[int] = set()
    losses: list[str] = [] if ownership.keeps_privileges else ["all privileges, since privileges is skip"]
    policies: set[tuple[str, str, str]] = set()
    for entry in head.entries:
        if entry.desc in {"ACL", "DEFAULT ACL"} and not ownership.keeps_privileges:
            continue
        if _is_subscription(entry):
            left_out.add(entry.dump_id)
            losses += [f"subscription {entry.tag}, since a copy must not take part in replication"] * (
                entry.desc == "SUBSCRIPTION"
            )
            continue
        here = _public_is_here(entry)
        if new_owner := _new_owner(entry, ownership):
            changes[entry.dump_id] = Change(owner=new_owner, defn=here)
            continue
        reduced = without_roles(entry, missing)
        losses.extend(reduced.losses)
        if change := reduced.change or (Change(defn=here) if here else None):
            changes[entry.dump_id] = change
        if reduced.left_out:
            left_out.add(entry.dump_id)
            if entry.desc == "POLICY":
                policies.add(_policy(entry))
    return Adaptation(
        changes=changes,
        left_out=frozenset(left_out),
        losses=tuple(losses),
        policies_left_out=frozenset(policies),
    )


def _public_is_here(entry: Entry) -> str | None:
    """How to make the schema ``public``, which each new database has: the dump of a part makes it all the same."""
    makes = entry.desc == "SCHEMA" and (entry.defn or "").startswith("CREATE SCHEMA public;")
    return "CREATE SCHEMA IF NOT EXISTS public;\n\n\n" if makes else None


def schemas_to_make(heads: Collection[Head], selection: Selection) -> tuple[str, ...]:
    """Schemas that a backup of ``tables`` needs and does not hold: pg_dump leaves them out."""
    if not selection.tables:
        return ()
    entries = [entry for head in heads for entry in head.entries]
    made = {entry.tag for entry in entries if entry.desc == "SCHEMA"} | {"public"}
    return tuple(sorted({entry.namespace for entry in entries if entry.namespace} - made))


def _is_subscription(entry: Entry) -> bool:
    """A subscription would use the original's replication slot, and could not even be dropped with its database."""
    about = entry.desc in {"COMMENT", "SECURITY LABEL"} and entry.tag.startswith("SUBSCRIPTION ")
    return about or entry.desc in {"SUBSCRIPTION", "SUBSCRIPTION TABLE"}


def _new_owner(entry: Entry, ownership: Ownership) -> str | None:
    """The owner that an object gets instead of its own. What belongs to a role of the system stays with it."""
    if ownership.keeps_owners or entry.desc not in OWNED or not entry.owner or entry.owner.startswith("pg_"):
        return None
    return ownership.owner


def _policy(entry: Entry) -> tuple[str, str, str]:
    name = policy_name(entry)
    return entry.namespace or "", entry.tag.removesuffix(f" {name}"), name
