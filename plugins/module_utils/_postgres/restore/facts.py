# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore has to know of the server that it goes to (private to ops.runbooks). Reads, never writes."""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ServerFact

_ATTEMPTED = "look at the server that is to be restored to"
_USER = """
SELECT rolname::pg_catalog.text, rolsuper, rolcreatedb OR rolsuper, rolcreaterole OR rolsuper, rolbypassrls OR rolsuper
FROM pg_catalog.pg_roles WHERE rolname = current_user"""
_DATABASES = "SELECT datname::pg_catalog.text, oid::pg_catalog.int8 FROM pg_catalog.pg_database"
#: From 16 on a member may lack the SET option, without which it cannot give anything to the role (manual, GRANT); and
#: one that does not inherit its rights may not load rows into what it has given away.
_ROLES = """
SELECT rolname::pg_catalog.text,
       pg_catalog.pg_has_role(current_user, oid,
           CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
       AND pg_catalog.pg_has_role(current_user, oid, 'USAGE'),
       rolsuper
FROM pg_catalog.pg_roles"""
_EXTENSIONS = """
SELECT name::pg_catalog.text, coalesce(default_version, '') FROM pg_catalog.pg_available_extensions"""
_TABLESPACES = "SELECT spcname::pg_catalog.text FROM pg_catalog.pg_tablespace"
#: Collations are imported from the operating system at initdb; databases show what works without being listed there.
_LOCALES = """
SELECT DISTINCT collcollate::pg_catalog.text FROM pg_catalog.pg_collation WHERE collprovider = 'c' AND collcollate <> ''
UNION SELECT datcollate::pg_catalog.text FROM pg_catalog.pg_database
UNION SELECT datctype::pg_catalog.text FROM pg_catalog.pg_database"""
#: A server without ICU may list ICU collations, but knows no version of them.
_ICU = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_collation
               WHERE collprovider = 'i' AND pg_catalog.pg_collation_actual_version(oid) IS NOT NULL)"""
#: What sessions of this role begin with, by a setting of the role, of the database or of the server.
_READ_ONLY = "SELECT pg_catalog.current_setting('default_transaction_read_only')"
#: Empty for whoever may not read it (pg_settings leaves out what is reserved to superusers).
_DATA_DIRECTORY = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """The server that is restored to. ``databases`` maps names to oids, ``extensions`` to the version that
    ``CREATE EXTENSION`` installs; ``free_bytes`` is None where it is unknown; ``read_only`` is whether this role's
    transactions may not write unless they say so; ``bypasses_policies`` whether row security never binds it.
    """

    server: ServerFact
    label: str
    user: str
    superuser: bool
    may_create_database: bool
    may_create_role: bool
    databases: Mapping[str, int]
    roles: frozenset[str]
    roles_acted_for: frozenset[str]
    extensions: Mapping[str, str]
    tablespaces: frozenset[str]
    locales: frozenset[str]
    has_icu: bool
    free_bytes: int | None
    read_only: bool = False
    bypasses_policies: bool = False
    superusers: frozenset[str] = frozenset()


def read_databases(session: Session) -> dict[str, int]:
    """Every database of the server with its oid."""
    return dict(session.rows(_DATABASES, attempted=_ATTEMPTED))


def read_target(session: Session, server: ServerFact) -> TargetFacts:
    """Everything that decides whether a restore can succeed, in a few short queries."""
    user, superuser, may_create_database, may_create_role, bypasses = session.row(_USER, attempted=_ATTEMPTED)
    roles: list[tuple[str, bool, bool]] = list(session.rows(_ROLES, attempted=_ATTEMPTED))
    return TargetFacts(
        server=server,
        label=session.endpoint.label,
        user=user,
        superuser=superuser,
        may_create_database=may_create_database,
        may_create_role=may_create_role,
        databases=read_databases(session),
        roles=frozenset(name for name, _acted_for, _mighty in roles),
        roles_acted_for=frozenset(name for name, acted_for, _mighty in roles if acted_for),
        superusers=frozenset(name for name, _acted_for, mighty in roles if mighty),
        extensions=dict(session.rows(_EXTENSIONS, attempted=_ATTEMPTED)),
        tablespaces=_names(session, _TABLESPACES),
        locales=frozenset(normal_locale(name) for name in _names(session, _LOCALES)),
        has_icu=bool(session.value(_ICU, attempted=_ATTEMPTED)),
        free_bytes=_free_bytes(session, server),
        read_only=session.value(_READ_ONLY, attempted=_ATTEMPTED) == "on",
        bypasses_policies=bypasses,
    )


def _names(session: Session, statement: str) -> frozenset[str]:
    return frozenset(name for (name,) in session.rows(statement, attempted=_ATTEMPTED))


def normal_locale(name: str) -> str:
    """A locale's name without differences of spelling: ``en_US.UTF-8`` and ``en_US.utf8`` are one."""
    return name.replace("-", "").lower()


def missing_locales(wanted: Collection[str], available: Collection[str]) -> list[str]:
    """Those of ``wanted`` (libc names) that the server has not shown to have; C and POSIX are always there."""
    return [name for name in wanted if name not in ("C", "POSIX", "") and normal_locale(name) not in available]


def _free_bytes(session: Session, server: ServerFact) -> int | None:
    """Free bytes where the server keeps its data; None unless that is proven to be on this machine.

    A server at 127.0.0.1 may be the end of a tunnel, so its control file must be readable here and carry the system
    identifier that the server told (``pg_control.h``: the first eight bytes); or the session must use a Unix socket.
    """
    found = session.rows(_DATA_DIRECTORY, attempted=_ATTEMPTED)
    if not found or not found[0][0]:
        return None
    directory = Path(found[0][0])
    try:
        proven = _system_identifier(directory) == server.system_identifier
    except OSError:
        proven = session.endpoint.socket is not None
    try:
        if not proven:
            return None
        volume = os.statvfs(directory)
    except OSError:
        return None
    return volume.f_bavail * volume.f_frsize


def _system_identifier(directory: Path) -> str | None:
    with (directory / "global" / "pg_control").open("rb") as control:
        head = control.read(8)
    return str(struct.unpack("=Q", head)[0]) if len(head) == 8 else None
