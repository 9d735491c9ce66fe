# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live database that a restore in place works on (private to ops.runbooks). Reads, never writes.

What would go with the schemas is found out as DROP ... CASCADE does it, from pg_depend, so that check mode and the plan
know it without a lock; the transaction that drops asks again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.scope import Name
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableName

_ATTEMPTED = "look at what is to be replaced"
#: How long a look waits for whoever has locked a table.
PATIENCE = timedelta(seconds=5)
#: Up to this size of all tables together rows are counted; beyond it the server's own estimate is told.
_COUNTED_BYTES = 1024**3

_SCHEMAS = """
SELECT nspname::text, pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = ANY (%s)"""
_EXTENSIONS = "SELECT extname::text FROM pg_extension"
_PUBLICATIONS = "SELECT pubname::text FROM pg_publication WHERE pg_has_role(pubowner, 'USAGE')"
_ROLES = "SELECT rolname::text FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')"

#: What lies in the schemas, the members of extensions apart. Types, indexes and the like of a table go with that.
_CONTENTS = """
first AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_namespace n ON n.oid = d.refobjid
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.deptype = 'n' AND n.nspname = ANY (%(schemas)s)
      AND d.classid <> 'pg_extension'::regclass
      AND NOT EXISTS (SELECT FROM pg_depend e
                      WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
)"""
#: Of that, what can be dropped by itself: an inner part, such as the function of a range type, goes with the whole.
_OBJECTS = f"""
WITH {_CONTENTS}
SELECT i.type, i.identity,
       coalesce(pg_has_role(coalesce(c.relowner, p.proowner, t.typowner), 'USAGE'), true)
       OR (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE quote_ident(nspname) = i.schema)
FROM first f CROSS JOIN LATERAL pg_identify_object(f.classid, f.objid, 0) i
LEFT JOIN pg_class c ON f.classid = 'pg_class'::regclass AND c.oid = f.objid
LEFT JOIN pg_proc p ON f.classid = 'pg_proc'::regclass AND p.oid = f.objid
LEFT JOIN pg_type t ON f.classid = 'pg_type'::regclass AND t.oid = f.objid
WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = f.classid AND d.objid = f.objid AND d.deptype = 'i'
                  AND (d.refclassid, d.refobjid) <> (d.classid, d.objid))
ORDER BY 1, 2"""
#: Everything that DROP ... CASCADE would take (``findDependentObjects`` in ``dependency.c``): what depends on what
#: goes, and what that is an inner part of. Of that, what lies outside of the schemas, as the archive calls it.
_BEYOND = f"""
WITH RECURSIVE {_CONTENTS},
gone(classid, objid, objsubid) AS (
    SELECT classid, objid, 0 FROM first
    UNION
    SELECT n.classid, n.objid, n.objsubid FROM gone g CROSS JOIN LATERAL (
        SELECT d.classid, d.objid, d.objsubid FROM pg_depend d
        WHERE d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
        UNION ALL
        SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_depend d
        WHERE d.classid = g.classid AND d.objid = g.objid AND d.deptype = 'i' AND g.objsubid = 0) n
),
placed AS (
    SELECT g.*, r.oid AS relid, r.relname, r.relnamespace, t.tgname, l.polname, c.conname, c.contype, a.attname,
           w.rulename, v.evtname, k.castsource, k.casttarget, y.lanname,
           coalesce((SELECT nspname FROM pg_namespace WHERE oid = r.relnamespace),
                    (SELECT nspname FROM pg_namespace WHERE quote_ident(nspname) = i.schema)) AS schema
    FROM gone g CROSS JOIN LATERAL pg_identify_object(g.classid, g.objid, g.objsubid) i
    LEFT JOIN pg_trigger t ON g.classid = 'pg_trigger'::regclass AND t.oid = g.objid
    LEFT JOIN pg_policy l ON g.classid = 'pg_policy'::regclass AND l.oid = g.objid
    LEFT JOIN pg_constraint c ON g.classid = 'pg_constraint'::regclass AND c.oid = g.objid
    LEFT JOIN pg_attrdef f ON g.classid = 'pg_attrdef'::regclass AND f.oid = g.objid
    LEFT JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
    LEFT JOIN pg_rewrite w ON g.classid = 'pg_rewrite'::regclass AND w.oid = g.objid
    LEFT JOIN pg_publication_rel b ON g.classid = 'pg_publication_rel'::regclass AND b.oid = g.objid
    LEFT JOIN pg_event_trigger v ON g.classid = 'pg_event_trigger'::regclass AND v.oid = g.objid
    LEFT JOIN pg_language y ON g.classid = 'pg_language'::regclass AND y.oid = g.objid
    LEFT JOIN pg_cast k ON g.classid = 'pg_cast'::regclass AND k.oid = g.objid
    LEFT JOIN pg_amop o ON g.classid = 'pg_amop'::regclass AND o.oid = g.objid
    LEFT JOIN pg_amproc q ON g.classid = 'pg_amproc'::regclass AND q.oid = g.objid
    LEFT JOIN pg_opfamily m ON m.oid = coalesce(o.amopfamily, q.amprocfamily)
    LEFT JOIN pg_class r ON r.oid = coalesce(t.tgrelid, l.polrelid, nullif(c.conrelid, 0), f.adrelid, w.ev_class,
                                             b.prrelid, CASE WHEN g.classid = 'pg_class'::regclass THEN g.objid END)
    WHERE NOT coalesce(t.tgisinternal OR t.tgparentid <> 0, false) AND coalesce(c.conparentid, 0) = 0
      AND coalesce(w.rulename, '') <> '_RETURN'
      AND NOT (k.oid IS NOT NULL AND EXISTS (SELECT FROM pg_depend d
               WHERE d.classid = 'pg_cast'::regclass AND d.objid = k.oid AND d.deptype = 'i'))
      AND coalesce((SELECT nspname FROM pg_namespace WHERE oid = m.opfnamespace), '') <> ALL (%(schemas)s)
)
SELECT DISTINCT
       CASE WHEN tgname IS NOT NULL THEN 'TRIGGER' WHEN polname IS NOT NULL THEN 'POLICY'
            WHEN contype = 'f' THEN 'FK CONSTRAINT' WHEN attname IS NOT NULL THEN 'DEFAULT'
            WHEN rulename IS NOT NULL THEN 'RULE' WHEN evtname IS NOT NULL THEN 'EVENT TRIGGER'
            WHEN castsource IS NOT NULL THEN 'CAST' WHEN lanname IS NOT NULL THEN 'PROCEDURAL LANGUAGE' ELSE '' END,
       coalesce(schema, '')::text,
       coalesce(relname || ' ' || coalesce(tgname, polname, conname, attname, rulename), evtname, lanname,
                'CAST (' || format_type(castsource, NULL) || ' AS ' || format_type(casttarget, NULL) || ')', '')::text,
       pg_describe_object(classid, objid, objsubid), coalesce(relid, 0)::int8
FROM placed WHERE coalesce(schema, '') <> ALL (%(schemas)s) AND coalesce(schema, '') <> 'pg_toast'
ORDER BY 4"""
#: Tables that stay, and to which keys, triggers and the like tie what goes: dropping that locks them as well. With each
#: whether this role may lock it before, which takes one of these rights.
_TIED = """
SELECT n.nspname::text, c.relname::text,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND (c.oid = ANY (%(tables)s::oid[])
       OR EXISTS (SELECT FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
                  JOIN pg_namespace s ON s.oid = t.relnamespace
                  WHERE k.contype = 'f' AND k.confrelid = c.oid AND s.nspname = ANY (%(schemas)s)))
  AND (n.nspname <> ALL (%(schemas)s)
       OR EXISTS (SELECT FROM pg_depend e
                  WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e'))
ORDER BY 1, 2"""
#: Tables, views and sequences in the schemas that belong to extensions.
_MEMBERS = """
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%s)
  AND EXISTS (SELECT FROM pg_depend e
              WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')"""
_SUBSCRIBED = """
SELECT s.srrelid::regclass::text FROM pg_subscription_rel s JOIN pg_class c ON c.oid = s.srrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (%s) ORDER BY 1"""
_TABLES = """
SELECT n.nspname::text, c.relname::text, c.relpages::int8 * current_setting('block_size')::int8,
       greatest(c.reltuples, 0)::int8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = ANY (%s)
  AND NOT EXISTS (SELECT FROM pg_depend e
                  WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """Something in the schemas: what kind, under which name for SQL, and whether this role may drop it."""

    kind: str
    identity: str
    mine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """Something outside of the schemas that would go with them; ``name`` is the archive's, '' for an unknown kind.

    ``table`` is the oid of the relation that it is part of, 0 where it is part of none.
    """

    name: Name
    text: str
    table: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What is there now. ``rows`` are those of each table, about as many where ``estimated``.

    ``members`` are tables and the like of extensions, which stay. ``tied`` are tables that stay and are locked all the
    same, with whether this role may do that before anything is dropped.
    """

    schemas: Mapping[str, bool]
    extensions: frozenset[str]
    publications: frozenset[str]
    roles: frozenset[str]
    things: tuple[Thing, ...]
    beyond: tuple[Beyond, ...]
    subscribed: tuple[str, ...]
    members: frozenset[TableName]
    tied: Mapping[TableName, bool]
    rows: Mapping[TableName, int]
    estimated: bool


def read_ground(session: Session, schemas: Collection[str], *, count: bool = True) -> Ground:
    """Everything, by a session whose search path is empty; without ``count`` no rows."""
    wanted = sorted(schemas)
    rows, estimated = _rows(session, wanted) if count else ({}, False)
    beyond = read_beyond(session, wanted)
    return Ground(
        schemas=dict(session.rows(_SCHEMAS, (wanted,), attempted=_ATTEMPTED)),
        extensions=_names(session, _EXTENSIONS),
        publications=_names(session, _PUBLICATIONS),
        roles=_names(session, _ROLES),
        things=tuple(
            Thing(kind=kind, identity=identity, mine=mine)
            for kind, identity, mine in session.rows(_OBJECTS, {"schemas": wanted}, attempted=_ATTEMPTED)
        ),
        beyond=beyond,
        subscribed=tuple(name for (name,) in session.rows(_SUBSCRIBED, (wanted,), attempted=_ATTEMPTED)),
        members=read_members(session, wanted),
        tied=read_tied(session, wanted, beyond),
        rows=rows,
        estimated=estimated,
    )


def read_beyond(session: Session, schemas: Collection[str]) -> tuple[Beyond, ...]:
    """What lies outside of the schemas and would go with them."""
    return tuple(
        Beyond(name=(kind, schema, tag), text=text, table=table)
        for kind, schema, tag, text, table in session.rows(_BEYOND, {"schemas": sorted(schemas)}, attempted=_ATTEMPTED)
    )


def read_tied(session: Session, schemas: Collection[str], beyond: Collection[Beyond]) -> dict[TableName, bool]:
    """Tables that are locked although they stay, and whether this role may lock them by itself."""
    values = {"schemas": sorted(schemas), "tables": [each.table for each in beyond]}
    rows = session.rows(_TIED, values, attempted=_ATTEMPTED)
    return {TableName(schema=schema, name=name): mine for schema, name, mine in rows}


def read_members(session: Session, schemas: Collection[str]) -> frozenset[TableName]:
    """Tables, views and sequences in the schemas that belong to extensions."""
    rows = session.rows(_MEMBERS, (sorted(schemas),), attempted=_ATTEMPTED)
    return frozenset(TableName(schema=schema, name=name) for schema, name in rows)


def _rows(session: Session, schemas: list[str]) -> tuple[dict[TableName, int], bool]:
    tables = session.rows(_TABLES, (schemas,), attempted=_ATTEMPTED)
    estimates = {TableName(schema=schema, name=name): guess for schema, name, _bytes, guess in tables}
    if sum(size for _schema, _name, size, _guess in tables) > _COUNTED_BYTES:
        return estimates, True
    try:
        statement = "SELECT pg_catalog.count(*) FROM ONLY {}"
        return {each: session.value(statement.format(each.quoted), attempted="count rows") for each in estimates}, False
    except RunbookError as error:
        if error.code not in ("privilege_missing", "timed_out"):
            raise
        # Row level security binds this role, or somebody holds a table: neither keeps anybody from reading a plan.
        return estimates, True


def _names(session: Session, statement: str) -> frozenset[str]:
    return frozenset(name for (name,) in session.rows(statement, attempted=_ATTEMPTED))
