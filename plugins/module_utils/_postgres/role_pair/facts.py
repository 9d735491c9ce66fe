# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the catalog says about a pair of login roles (private to ops.runbooks); reads only.

All of it may be read by every role, but for the verifiers of passwords. Options of a membership (PostgreSQL 16) are
read by way of JSON, so that one query does for older servers, which do not have these columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import (
    Manager,
    Names,
    PairFact,
    RoleFact,
    SessionFact,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

_MANAGER = """
SELECT session_user::text, current_user::text, r.rolsuper, r.rolcreaterole, r.rolbypassrls, r.rolcreatedb,
       EXISTS (SELECT FROM pg_catalog.pg_roles g WHERE g.rolname = %(group)s
               AND pg_catalog.pg_has_role(g.oid, 'MEMBER')),
       pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'), pg_catalog.current_database()::text
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"""
_ROLES = """
SELECT r.rolname::text AS name, r.oid::bigint AS oid, r.rolcanlogin AS login, r.rolsuper AS superuser,
       r.rolreplication AS replication, r.rolcreaterole AS createrole, r.rolcreatedb AS createdb,
       r.rolbypassrls AS bypassrls, r.rolinherit AS inherit, r.rolconnlimit AS connection_limit,
       CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END AS valid_until,
       coalesce(r.rolvaliduntil <= now(), false) AS expired,
       coalesce(r.rolvaliduntil = '-infinity', false) AS scrambled,
       (SELECT substr(s, 6) FROM pg_catalog.pg_db_role_setting, unnest(setconfig) s
         WHERE setrole = r.oid AND setdatabase = 0 AND starts_with(s, 'role=')) AS acts_as,
       (SELECT substr(s, 6) FROM pg_catalog.pg_db_role_setting, unnest(setconfig) s
         WHERE setrole = r.oid AND starts_with(s, 'role=') AND setdatabase =
               (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())) AS acts_here_as,
       m.member, m.inherits, m.may_set, m.admin,
       pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION') AS manageable,
       (SELECT count(*) FROM pg_catalog.pg_shdepend d WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass
         AND d.refobjid = r.oid AND d.classid <> 'pg_catalog.pg_auth_members'::regclass) AS dependents
FROM pg_catalog.pg_roles r CROSS JOIN LATERAL (
    SELECT count(*) > 0 AS member, coalesce(bool_or(m.admin_option), false) AS admin,
           coalesce(bool_or(coalesce((to_jsonb(m) ->> 'inherit_option')::bool, r.rolinherit)), false) AS inherits,
           coalesce(bool_or(coalesce((to_jsonb(m) ->> 'set_option')::bool, true)), false) AS may_set
    FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
    WHERE m.member = r.oid AND g.rolname = %(group)s) m
WHERE r.rolname = ANY (%(names)s)"""
#: The role of a session is the one that logged in, whatever it acts as; a pooler's sessions are there by it, too.
_SESSIONS = """
SELECT r.rolname::text, a.pid, a.datname::text, coalesce(a.application_name, ''),
       coalesce(a.client_hostname, host(a.client_addr)), a.backend_start
FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE r.rolname = ANY (%(names)s) AND a.pid <> pg_backend_pid() AND coalesce(a.application_name, '') <> %(own)s
      AND a.backend_type IS DISTINCT FROM 'parallel worker'
ORDER BY a.backend_start NULLS LAST, a.pid"""
_VERIFIER = "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = %s"
_DEPENDENTS = """
SELECT DISTINCT CASE WHEN d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
            THEN (SELECT o.type || ' ' || o.identity FROM pg_identify_object(d.classid, d.objid, d.objsubid) o)
            ELSE 'something in database ' || (SELECT datname::text FROM pg_catalog.pg_database WHERE oid = d.dbid) END
FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND r.rolname = %s
      AND d.classid <> 'pg_catalog.pg_auth_members'::regclass
ORDER BY 1 LIMIT 20"""


def look(session: Session, names: Names, *, own: str) -> PairFact:
    """The roles and their sessions. ``own`` is the ``application_name`` of sessions that are the run's own."""
    asked = {"names": list(names.logins), "group": names.group, "own": own}
    *manager, database = session.row(_MANAGER, asked, attempted="look what the connection's role may do")
    fields = tuple(RoleFact.__dataclass_fields__)
    query = f"SELECT {', '.join(fields)} FROM ({_ROLES}) AS found"
    found = session.rows(query, asked, attempted="read the roles")
    roles = [RoleFact(**dict(zip(fields, row, strict=True))) for row in found]
    return PairFact(
        major=session.major,
        database=database,
        manager=_manager(manager),
        roles={each.name: each for each in roles},
        sessions=sessions(session, names.logins, own=own),
    )


def sessions(session: Session, roles: Sequence[str], *, own: str) -> tuple[SessionFact, ...]:
    """Who is logged in as one of ``roles``, in any database of the server."""
    asked = {"names": list(roles), "own": own}
    fields = ("role", "pid", "database", "application", "client", "since")
    rows = session.rows(_SESSIONS, asked, attempted="count the sessions of the roles")
    return tuple(SessionFact(**dict(zip(fields, row, strict=True))) for row in rows)


def kept_verifier(session: Session, role: str) -> str | None:
    """What the server keeps of a role's password, where that may be read; the caller protects it."""
    rows = session.rows(_VERIFIER, (role,), attempted="read what the server keeps of a password")
    return rows[0][0] if rows else None


def dependents(session: Session, role: str) -> tuple[str, ...]:
    """What stands in the way of dropping a role: what it owns, and what it was granted; the first twenty."""
    return tuple(str(row[0]) for row in session.rows(_DEPENDENTS, (role,), attempted="read what belongs to a role"))


def _manager(row: Sequence[object]) -> Manager:
    fields = ("session_user", "current_user", "superuser", "createrole", "bypassrls", "createdb", "in_group")
    return Manager(**dict(zip((*fields, "reads_passwords"), row, strict=True)))  # type: ignore[arg-type]
