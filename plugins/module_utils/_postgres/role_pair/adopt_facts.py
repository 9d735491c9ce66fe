# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything in a database that names a login role which a group is to take the place of (private to ops.runbooks).

Reads only. Values of settings may be secret, so that they are compared by the server and never leave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import Names

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

#: An entry of an access list: who (``''`` is everybody), what, and whether it may be handed on.
Entry = tuple[str, str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A privilege of the old role on something that it does not own. ``thing`` and ``columns`` are quoted for SQL."""

    kind: str
    thing: str
    columns: str | None
    owner: str | None
    privilege: str
    grantable: bool
    can: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A role that the old one is a member of. ``can`` is whether the role that works here may make others that."""

    role: str
    held: bool
    can: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Default privileges of what ``role`` makes; ``schema`` None is everywhere. ``can`` as above."""

    role: str
    schema: str | None
    kind: str
    can: bool
    entries: frozenset[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy of row level security. ``asks`` are words in it by which the user's name decides."""

    table: str
    name: str
    roles: tuple[str, ...]
    asks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting of the old role that ``role`` does not have; ``here`` is one for this database only.

    ``can`` is whether it can be taken over: it has to be the session's own for a moment, and it has to be one that the
    server knows, where no superuser works.
    """

    role: str
    name: str
    here: bool
    can: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptionFact:
    """What names the old role, at one moment."""

    owned: tuple[tuple[str, str], ...] = ()
    grants: tuple[Grant, ...] = ()
    memberships: tuple[Membership, ...] = ()
    members: tuple[str, ...] = ()
    defaults: tuple[Defaults, ...] = ()
    #: What PostgreSQL has for the old role where nothing else is said, by kind.
    built_in: Mapping[str, frozenset[Entry]] = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()
    settings: tuple[Setting, ...] = ()
    mappings: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    hba_lines: tuple[int, ...] = ()
    #: Whether a schema of the old role's name is found by ``"$user"``.
    own_schema: bool = False
    #: Schemas in which the old role owns something and may make nothing any more, as a new owner has to be able to.
    closed_schemas: tuple[str, ...] = ()
    #: Whether the role that works here has the old role's rights already, and the group's.
    has_old: bool = False
    has_group: bool = False
    #: Which of the two it has given to itself.
    self_granted: tuple[str, ...] = ()


_OWNED = """
SELECT o.type, o.identity FROM pg_catalog.pg_shdepend d
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) o
WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = %(old)s::regrole AND d.deptype = 'o'
  AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND d.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
  AND NOT starts_with(coalesce(o.schema, ''), 'pg_temp')
ORDER BY 1, 2"""
_ACLS = """
SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, format('%%I.%%I', nspname, relname) AS thing,
       NULL AS columns, relowner AS owner, relacl AS acl
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relacl IS NOT NULL
UNION ALL SELECT 'TABLE', format('%%I.%%I', nspname, relname), quote_ident(attname), relowner, attacl
  FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
  WHERE attacl IS NOT NULL AND NOT attisdropped
UNION ALL SELECT 'SCHEMA', quote_ident(nspname), NULL, nspowner, nspacl FROM pg_namespace
UNION ALL SELECT 'ROUTINE', oid::regprocedure::text, NULL, proowner, proacl FROM pg_proc WHERE proacl IS NOT NULL
UNION ALL SELECT 'TYPE', format('%%I.%%I', nspname, typname), NULL, typowner, typacl
  FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE typacl IS NOT NULL
UNION ALL SELECT 'DATABASE', quote_ident(datname), NULL, datdba, datacl FROM pg_database
  WHERE datname = current_database()
UNION ALL SELECT 'LANGUAGE', quote_ident(lanname), NULL, lanowner, lanacl FROM pg_language
UNION ALL SELECT 'FOREIGN DATA WRAPPER', quote_ident(fdwname), NULL, fdwowner, fdwacl FROM pg_foreign_data_wrapper
UNION ALL SELECT 'FOREIGN SERVER', quote_ident(srvname), NULL, srvowner, srvacl FROM pg_foreign_server
UNION ALL SELECT 'TABLESPACE', quote_ident(spcname), NULL, spcowner, spcacl FROM pg_tablespace
UNION ALL SELECT 'LARGE OBJECT', oid::text, NULL, lomowner, lomacl FROM pg_largeobject_metadata
  WHERE lomacl IS NOT NULL"""
#: Only superusers own parameters, so to say.
_PARAMETERS = " UNION ALL SELECT 'PARAMETER', parname, NULL, 10::oid, paracl FROM pg_parameter_acl"
_GRANTS = """
SELECT DISTINCT a.kind, a.thing, a.columns, (SELECT rolname::text FROM pg_roles WHERE oid = a.owner), x.privilege_type,
       x.is_grantable, pg_has_role(a.owner, 'USAGE') OR x.is_grantable OR EXISTS (
           SELECT FROM aclexplode(a.acl) g WHERE g.privilege_type = x.privilege_type
           AND CASE WHEN g.is_grantable THEN pg_has_role(g.grantee, 'USAGE') ELSE false END)
FROM ({acls}) a CROSS JOIN LATERAL aclexplode(a.acl) x
WHERE x.grantee = %(old)s::regrole AND a.owner <> %(old)s::regrole AND NOT EXISTS (
    SELECT FROM aclexplode(a.acl) h JOIN pg_roles r ON r.oid = h.grantee
    WHERE r.rolname = %(group)s AND h.privilege_type = x.privilege_type AND (h.is_grantable OR NOT x.is_grantable))
  AND NOT EXISTS (SELECT FROM pg_roles WHERE oid = a.owner AND rolname = %(group)s)
ORDER BY 1, 2, 3, 5, 6"""
_MEMBERSHIPS = """
SELECT r.rolname::text, EXISTS (SELECT FROM pg_auth_members g JOIN pg_roles x ON x.oid = g.member
           WHERE g.roleid = m.roleid AND x.rolname = %(group)s),
       pg_has_role(m.roleid, 'MEMBER WITH ADMIN OPTION') OR {any} AND NOT r.rolsuper
FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
WHERE m.member = %(old)s::regrole AND r.rolname <> %(group)s GROUP BY r.rolname, r.rolsuper, m.roleid ORDER BY 1"""
_MEMBERS = """
SELECT DISTINCT r.rolname::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
WHERE m.roleid = %(old)s::regrole ORDER BY 1"""
_DEFAULTS = """
SELECT r.rolname::text, n.nspname::text, d.defaclobjtype::text, pg_has_role(d.defaclrole, 'USAGE'),
       coalesce((SELECT rolname::text FROM pg_roles WHERE oid = x.grantee), ''), x.privilege_type, x.is_grantable
FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
LEFT JOIN LATERAL aclexplode(d.defaclacl) x ON true
WHERE r.rolname IN (%(name)s, %(group)s)
   OR EXISTS (SELECT FROM aclexplode(d.defaclacl) o WHERE o.grantee = %(old)s::regrole)
ORDER BY 1, 2 NULLS FIRST, 3"""
_BUILT_IN = """
SELECT k.kind, coalesce((SELECT rolname::text FROM pg_roles WHERE oid = x.grantee), ''), x.privilege_type,
       x.is_grantable
FROM (VALUES ('r', 'r'), ('S', 's'), ('f', 'f'), ('T', 'T'), ('n', 'n')) k(kind, code)
CROSS JOIN LATERAL aclexplode(acldefault(k.code::"char", %(old)s::regrole)) x"""
_POLICIES = """
SELECT format('%%I.%%I', n.nspname, c.relname), p.polname::text,
       ARRAY(SELECT coalesce(r.rolname::text, '')
             FROM unnest(p.polroles) o LEFT JOIN pg_roles r ON r.oid = o ORDER BY 1),
       ARRAY(SELECT w FROM unnest(ARRAY['CURRENT_USER', 'SESSION_USER', 'CURRENT_ROLE', quote_literal(%(name)s)]) w
             WHERE strpos(upper(e.text), upper(w)) > 0)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))) e(text)
WHERE EXISTS (SELECT FROM unnest(p.polroles) o
              WHERE CASE WHEN o = 0 THEN true ELSE pg_has_role(%(old)s::regrole, o, 'USAGE') END)
ORDER BY 1, 2"""
_SETTINGS = """
SELECT p.role, split_part(s.text, '=', 1), x.setdatabase <> 0,
       coalesce((SELECT context = 'user' OR context = 'superuser' AND {superuser} FROM pg_settings
                 WHERE lower(name) = lower(split_part(s.text, '=', 1))), {superuser})
FROM pg_db_role_setting x CROSS JOIN LATERAL unnest(x.setconfig) s(text) CROSS JOIN unnest(%(pair)s::text[]) p(role)
WHERE x.setrole = %(old)s::regrole AND split_part(s.text, '=', 1) <> 'role'
  AND (x.setdatabase = 0 OR x.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND NOT EXISTS (SELECT FROM pg_db_role_setting y JOIN pg_roles r ON r.oid = y.setrole, unnest(y.setconfig) t
                  WHERE r.rolname = p.role AND y.setdatabase = x.setdatabase
                    AND split_part(t, '=', 1) = split_part(s.text, '=', 1))
ORDER BY 1, 2, 3"""
_REST = """
SELECT ARRAY(SELECT srvname::text FROM pg_user_mappings m WHERE umuser = %(old)s::regrole AND NOT EXISTS (
           SELECT FROM pg_user_mappings o WHERE o.srvid = m.srvid AND o.usename IN ('public', %(group)s)) ORDER BY 1),
       ARRAY(SELECT DISTINCT b.datname::text FROM pg_shdepend d JOIN pg_database b ON b.oid = d.dbid
             WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = %(old)s::regrole
               AND b.datname <> current_database() ORDER BY 1),
       EXISTS (SELECT FROM pg_namespace WHERE nspname = %(name)s) AND NOT EXISTS (
           SELECT FROM pg_db_role_setting, unnest(setconfig) s WHERE setrole = %(old)s::regrole
           AND starts_with(s, 'search_path=') AND strpos(s, '$user') = 0),
       ARRAY(SELECT DISTINCT n.nspname::text FROM pg_shdepend d
             CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) o
             JOIN pg_namespace n ON quote_ident(n.nspname) = o.schema AND NOT starts_with(n.nspname, 'pg_')
             WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = %(old)s::regrole AND d.deptype = 'o'
               AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND NOT has_schema_privilege(%(old)s::regrole, n.oid, 'CREATE')),
       pg_has_role(%(old)s::regrole, {held}),
       coalesce((SELECT pg_has_role(oid, {held}) FROM pg_roles WHERE rolname = %(group)s), false),
       ARRAY(SELECT r.rolname::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
             JOIN pg_roles me ON me.oid = m.member WHERE me.rolname = current_user AND m.grantor = m.member),
       to_regclass('cron.job') IS NOT NULL AND coalesce(has_table_privilege(to_regclass('cron.job'), 'SELECT'), false),
       has_function_privilege('pg_hba_file_rules()', 'EXECUTE')
         AND has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT')"""
_JOBS = "SELECT coalesce(jobname, jobid::text) FROM cron.job WHERE username = %(name)s ORDER BY 1"
_HBA = """
SELECT line_number FROM pg_hba_file_rules WHERE %(name)s = ANY (user_name) AND NOT 'all' = ANY (user_name)
  AND NOT '+' || %(group)s = ANY (user_name) AND NOT user_name @> %(pair)s::text[] ORDER BY 1"""


def look(session: Session, names: Names, *, superuser: bool) -> AdoptionFact:
    """What names the old role in this database, and what of it is the server's as a whole."""
    old = names.old or names.group
    quoted = session.value("SELECT quote_ident(%s)", (old,), attempted="read the old role")
    asked = {"old": quoted, "name": old, "group": names.group, "pair": list(names.pair)}

    def rows(query: str, what: str) -> list[tuple[Any, ...]]:
        return session.rows(query, asked, attempted=f"read {what} of role {old}")

    acls = _ACLS + (_PARAMETERS if session.major >= 15 else "")
    memberships = _MEMBERSHIPS.replace("{any}", "true" if session.major < 16 and not superuser else "false")
    # Before PostgreSQL 16 a member that does not inherit stays one: it would be taken out by giving back.
    rest = _REST.replace("{held}", "'USAGE'" if session.major >= 16 else "'MEMBER'")
    ((mappings, elsewhere, own_schema, closed, has_old, has_group, own, has_jobs, has_hba),) = rows(
        rest, "what else is"
    )
    fields = ("kind", "thing", "columns", "owner", "privilege", "grantable", "can")
    return AdoptionFact(
        owned=tuple((kind, identity) for kind, identity in rows(_OWNED, "the objects")),
        grants=tuple(
            Grant(**dict(zip(fields, row, strict=True)))
            for row in rows(_GRANTS.replace("{acls}", acls), "the privileges")
        ),
        memberships=tuple(
            Membership(role=role, held=held, can=can) for role, held, can in rows(memberships, "the memberships")
        ),
        members=tuple(row[0] for row in rows(_MEMBERS, "the members")),
        defaults=_defaults(rows(_DEFAULTS, "the default privileges")),
        built_in=_built_in(rows(_BUILT_IN, "the built-in privileges")),
        policies=tuple(
            Policy(table=table, name=name, roles=tuple(roles), asks=tuple(asks))
            for table, name, roles, asks in rows(_POLICIES, "the policies")
        ),
        settings=tuple(
            Setting(role=role, name=name, here=here, can=can)
            for role, name, here, can in rows(_SETTINGS.replace("{superuser}", str(superuser).lower()), "the settings")
        ),
        mappings=tuple(mappings),
        jobs=tuple(row[0] for row in rows(_JOBS, "the scheduled jobs")) if has_jobs else (),
        elsewhere=tuple(elsewhere),
        hba_lines=tuple(row[0] for row in rows(_HBA, "the rules of pg_hba.conf")) if has_hba else (),
        own_schema=own_schema,
        closed_schemas=() if superuser else tuple(closed),
        has_old=has_old,
        has_group=has_group,
        self_granted=tuple(own),
    )


def _defaults(rows: list[tuple[Any, ...]]) -> tuple[Defaults, ...]:
    found: dict[tuple[str, str | None, str, bool], set[Entry]] = {}
    for role, schema, kind, can, grantee, privilege, grantable in rows:
        entries = found.setdefault((role, schema, kind, can), set())
        if privilege is not None:
            entries.add((grantee, privilege, grantable))
    return tuple(
        Defaults(role=role, schema=schema, kind=kind, can=can, entries=frozenset(entries))
        for (role, schema, kind, can), entries in found.items()
    )


def _built_in(rows: list[tuple[Any, ...]]) -> dict[str, frozenset[Entry]]:
    found: dict[str, set[Entry]] = {}
    for kind, grantee, privilege, grantable in rows:
        found.setdefault(kind, set()).add((grantee, privilege, grantable))
    return {kind: frozenset(entries) for kind, entries in found.items()}
