# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold before a restore creates anything (private to ops.runbooks). Pure: facts in, a failure out or none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human_bytes
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    Manifest,
    TableName,
    quote_identifier,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Ownership
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import TargetFacts, missing_locales

#: PostgreSQL cuts longer names off without asking (manual, section 4.1.1: NAMEDATALEN - 1 bytes).
LONGEST_NAME = 63
#: Space for indexes that pack worse than the source's, and for WAL and sort files on the way.
_HEADROOM = 1.2
#: A partial backup's tables are known without their indexes, which rarely take more than the tables themselves.
_INDEXES = 2.0
#: Debian's package of extensions that do not come with the server or with its contrib package.
_PACKAGES = {
    "age": "postgresql-{major}-age",
    "hll": "postgresql-{major}-hll",
    "hypopg": "postgresql-{major}-hypopg",
    "pg_cron": "postgresql-{major}-cron",
    "pg_partman": "postgresql-{major}-partman",
    "pg_repack": "postgresql-{major}-repack",
    "pgaudit": "postgresql-{major}-pgaudit",
    "pgrouting": "postgresql-{major}-pgrouting",
    "pgtap": "postgresql-{major}-pgtap",
    "plperl": "postgresql-plperl-{major}",
    "plperlu": "postgresql-plperl-{major}",
    "plpython3u": "postgresql-plpython3-{major}",
    "pltcl": "postgresql-pltcl-{major}",
    "postgis": "postgresql-{major}-postgis-3",
    "timescaledb": "timescaledb-2-postgresql-{major}",
    "vector": "postgresql-{major}-pgvector",
    "wal2json": "postgresql-{major}-wal2json",
}
_ATTEMPTED = "restore the backup"


def bytes_needed(manifest: Manifest) -> int:
    """Free bytes that the restored database needs on the server, with some headroom; an estimate."""
    if manifest.selection.whole:
        return int(manifest.database.bytes * _HEADROOM)
    return int(sum(table.bytes for table in manifest.tables if table.data) * _INDEXES * _HEADROOM)


def check_target_name(name: str) -> None:
    """A database name that PostgreSQL keeps as it is. Raises ``invalid_parameter``."""
    size = len(name.encode(errors="surrogatepass"))
    if 0 < size <= LONGEST_NAME and not re.search("[\0\ud800-\udfff]", name):
        return
    raise RunbookError(
        code="invalid_parameter",
        attempted="use target_database",
        object=repr(name),
        reason=f"a database name has 1 to {LONGEST_NAME} bytes, all of them UTF-8 and none zero; this one has {size}",
        remedy="Give target_database another name.",
    )


def short_name(target: str) -> str:
    """A database's name as part of an id: itself where it is plain and short, else a hash that tells it from others."""
    if re.fullmatch(r"[A-Za-z0-9_]{1,63}", target):
        return target
    return hashlib.sha256(target.encode()).hexdigest()[:16]


def target_occupied(name: str, label: str, *, live: bool, holds: str | None) -> RunbookError:
    """The failure for a target that exists: a restore never touches a database that is there.

    ``live`` is whether it is the database that is backed up under this name, ``holds`` the backup that an earlier
    restore has put into it.
    """
    other, reason = f"such as {name}_2", "a database of that name exists already, and was not made by this restore"
    if live:
        other, reason = (
            f"such as {name}_restored",
            "that is the live database, which only the strategies swap and in_place replace",
        )
    elif holds is not None:
        reason = f"an earlier restore has put backup {holds} there"
    drop = f", or drop {name} where nobody needs it any more" if holds is not None else ""
    return RunbookError(
        code="target_occupied",
        attempted=_ATTEMPTED,
        object=f"database {name} on {label}",
        reason=reason,
        remedy=f"Give target_database a name that is free, {other}{drop}.",
    )


def check_server(manifest: Manifest, target: TargetFacts) -> None:
    """A primary that is not older than the server that the backup is from, and that offers what the backup needs."""
    if target.server.in_recovery:
        raise RunbookError(
            code="server_failed",
            attempted=_ATTEMPTED,
            object=target.label,
            reason="the server is a standby, which cannot be written to",
            remedy="Name the primary.",
        )
    if target.read_only:
        raise RunbookError(
            code="privilege_missing",
            attempted=_ATTEMPTED,
            object=target.label,
            reason=f"sessions of role {target.user} may only read there (default_transaction_read_only is on)",
            remedy="Restore as a role that may write, or find out why this is set (providers do so where a disk is "
            f"full) and then ALTER ROLE {quote_identifier(target.user)} SET default_transaction_read_only = off.",
        )
    if target.server.major < max(manifest.server.major, manifest.restore_by_hand.needs_major):
        raise RunbookError(
            code="server_too_old",
            attempted=_ATTEMPTED,
            object=target.label,
            reason=f"the server is PostgreSQL {target.server.version}, the backup is from {manifest.server.version}",
            remedy=f"Restore to a server of major version {manifest.server.major} or later.",
        )
    _check_locale(manifest, target)


def _check_locale(manifest: Manifest, target: TargetFacts) -> None:
    if manifest.database.locale_provider == "icu" and not target.has_icu:
        raise RunbookError(
            code="locale_missing",
            attempted=_ATTEMPTED,
            object=target.label,
            reason=f"the backup uses ICU locale {manifest.database.locale}, and this server is built without ICU",
            remedy="Restore to a server that is built with ICU.",
        )


def locale_warnings(manifest: Manifest, target: TargetFacts) -> tuple[str, ...]:
    """Locales that the server has not shown to have: only creating the database will tell."""
    wanted = dict.fromkeys((manifest.database.collate, manifest.database.ctype))
    return tuple(
        f"No collation or database on {target.label} uses locale {name}; where the operating system there lacks it, "
        "creating the database fails."
        for name in missing_locales(wanted, target.locales)
    )


def check_extensions(heads: Collection[Head], target: TargetFacts) -> None:
    """Every extension that the archives create must be available."""
    wanted = {entry.tag for head in heads for entry in head.entries if entry.desc == "EXTENSION"}
    if not (missing := sorted(wanted - target.extensions.keys())):
        return
    major = target.server.major
    packages = dict.fromkeys(_PACKAGES.get(name, "postgresql-contrib").format(major=major) for name in missing)
    raise RunbookError(
        code="extension_missing",
        attempted=_ATTEMPTED,
        object=target.label,
        reason=f"the server does not offer extension {', '.join(missing)}",
        remedy=f"Install it there (on Debian package {', '.join(packages)}, or the one that provides it), "
        "or restore to a server that has it.",
        details={"extensions": missing},
    )


def extension_warnings(manifest: Manifest, target: TargetFacts) -> tuple[str, ...]:
    """Extensions that come back in another version: an archive creates them in the server's default version."""
    return tuple(
        f"Extension {each.name} is restored as version {target.extensions[each.name]}; it was {each.version}."
        for each in manifest.extensions
        if target.extensions.get(each.name, each.version) not in (each.version, "")
    )


def check_rights(
    target: TargetFacts, ownership: Ownership, missing: Collection[str], *, creates_database: bool = True
) -> None:
    """The role that restores may create databases, and roles where it is asked to."""
    lacks = [] if target.may_create_database or not creates_database else ["CREATEDB"]
    if missing and ownership.roles == "create_nologin" and not target.may_create_role:
        lacks.append("CREATEROLE")
    if lacks:
        raise RunbookError(
            code="privilege_missing",
            attempted=_ATTEMPTED,
            object=f"role {target.user} on {target.label}",
            reason=f"the role lacks the attribute {' and '.join(lacks)}",
            remedy=f"ALTER ROLE {quote_identifier(target.user)} {' '.join(lacks)}; or connect as a role that has it.",
        )


def check_owners(owners: Collection[str], target: TargetFacts) -> None:
    """The role that restores is a member of each role that it gives objects to; of a superuser nobody should be."""
    if target.superuser:
        return
    present = {role for role in owners if role in target.roles and not role.startswith("pg_")}
    if not (foreign := sorted(present - target.roles_acted_for)):
        return
    mighty = ", ".join(sorted(target.superusers.intersection(foreign)))
    raise RunbookError(
        code="privilege_missing",
        attempted=_ATTEMPTED,
        object=f"role {target.user} on {target.label}",
        reason=f"objects belong to {', '.join(foreign)}, and the role is no superuser, nor a member of that which "
        "inherits its rights",
        remedy=(
            f"Restore as a superuser, since whoever may act for {mighty} is one,"
            if mighty
            else _let_act(foreign, target)
        )
        + " or give all objects to one role with option owner (restore_owner in an inventory).",
        details={"roles": foreign},
    )


def _let_act(roles: Collection[str], target: TargetFacts) -> str:
    """The statements that make the role one that has the rights of ``roles``."""
    user, named = quote_identifier(target.user), ", ".join(map(quote_identifier, roles))
    if target.server.major >= 16:
        return f"GRANT {named} TO {user} WITH INHERIT TRUE, SET TRUE;"
    return f"ALTER ROLE {user} INHERIT; GRANT {named} TO {user};"


def check_policies(manifest: Manifest, heads: Collection[Head], target: TargetFacts) -> None:
    """A foreign key is checked by a query, which fails for the owner of a table that forces row security on it too."""
    forced = [table.table for table in manifest.tables if table.row_security_forced]
    if target.superuser or target.bypasses_policies or not forced:
        return
    keys = [entry for head in heads for entry in head.entries if entry.desc == "FK CONSTRAINT"]
    tied = [each for each in forced if any(_ties(entry, each) for entry in keys)]
    if not tied:
        return
    raise RunbookError(
        code="privilege_missing",
        attempted=_ATTEMPTED,
        object=f"role {target.user} on {target.label}",
        reason=f"{', '.join(each.text for each in tied)} force row security on their owner too and have foreign keys, "
        "which only a role with BYPASSRLS can make",
        remedy=f"ALTER ROLE {quote_identifier(target.user)} BYPASSRLS; or connect as a role that has it.",
    )


def _ties(entry: Entry, table: TableName) -> bool:
    """Whether a foreign key leads from a table or to it, which pg_dump writes with quotes where they are needed."""
    if entry.namespace == table.schema and entry.tag.startswith(f"{table.name} "):
        return True
    schema, name = (f"(?:{re.escape(quote_identifier(each))}|{re.escape(each)})" for each in (table.schema, table.name))
    return re.search(rf" REFERENCES {schema}\.{name}\(", entry.defn or "") is not None


def check_roles(manifest: Manifest, target: TargetFacts, ownership: Ownership, missing: Collection[str]) -> None:
    """Every needed role must exist, unless the options say what to do without."""
    demanded = [ownership.owner] if not ownership.keeps_owners and ownership.roles != "create_nologin" else []
    wanting = sorted(missing) if ownership.roles == "require" else [role for role in demanded if role in missing]
    if not wanting:
        return
    lines = create_role_lines(manifest, wanting)
    raise RunbookError(
        code="role_missing",
        attempted=_ATTEMPTED,
        object=target.label,
        reason=f"the backup names roles that do not exist there: {', '.join(wanting)}",
        remedy="Create them first, or set roles to create_nologin or skip: " + " ".join(lines),
        details={"roles": wanting, "statements": lines},
    )


def create_role_lines(manifest: Manifest, names: Collection[str]) -> list[str]:
    """The statements that create roles as they were, without passwords."""
    known = {role.name: role for role in manifest.roles}
    lines = []
    for name in names:
        attributes = " ".join(known[name].attributes) if name in known else ""
        lines.append(f"CREATE ROLE {quote_identifier(name)} {attributes}".rstrip() + ";")
    return lines


def check_disk(manifest: Manifest, target: TargetFacts, stated: int | None, protected: bool) -> int | None:
    """The free bytes, read or stated, the smaller of both; on a protected server one of them is demanded."""
    return check_space(bytes_needed(manifest), target, stated, protected)


def check_space(needed: int, target: TargetFacts, stated: int | None, protected: bool) -> int | None:
    """The same for a number of bytes."""
    free = min((each for each in (target.free_bytes, stated) if each is not None), default=None)
    if free is None and protected:
        raise RunbookError(
            code="disk_free_unknown",
            attempted=_ATTEMPTED,
            object=target.label,
            reason=f"about {human_bytes(needed)} are needed, and this server's free space cannot be read from here",
            remedy="Look it up at the server or its provider, and state it in bytes with disk_free.",
            details={"bytes_needed": needed},
        )
    if free is not None and free < needed:
        known = "are free" if free == target.free_bytes else "were stated to be free"
        raise RunbookError(
            code="disk_too_small",
            attempted=_ATTEMPTED,
            object=target.label,
            reason=f"about {human_bytes(needed)} are needed and {human_bytes(free)} {known}",
            remedy="Make room or restore to another server; a full disk would stop the databases in use there.",
            details={"bytes_needed": needed, "bytes_free": free},
        )
    return free
