# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup cannot bring back by itself (private to ops.runbooks), found before it is taken.

A part of a database may use what lies outside of it: a column's type, a default's function, the tables of a view, the
parent of a partition, the schema itself. pg_dump leaves these out without a word, and the restore fails where they are
missing. pg_depend knows all of them, apart from what the bodies of functions name. And what a role may not see, pg_dump
leaves out as quietly: the options of user mappings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.words import few
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Selection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import Relation, Scope

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

#: Names in a warning, and in a manifest.
_KEPT = 200

#: ``members`` are dumped, ``parts`` are they and what belongs to them (defaults, constraints, indexes, rules, row
#: types); what these refer to and is no part of them is looked at. Objects below 16384 come with every server. An
#: extension's objects stand for the extension, which a selection of schemas or tables never holds.
_OUTSIDE = """
WITH RECURSIVE
spaces AS (SELECT oid FROM pg_namespace
           WHERE %(by_schema)s AND nspname !~ '^pg_' AND nspname <> 'information_schema'
             AND (%(every)s OR nspname = ANY (%(schemas)s::text[]))),
owned AS (SELECT classid, objid, refobjid AS extension FROM pg_depend
          WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass),
members(classid, objid) AS (
    SELECT 'pg_class'::regclass::oid, oid FROM pg_class
    WHERE oid = ANY (%(dumped)s::oid[]) OR (relkind IN ('v', 'c') AND relnamespace IN (SELECT oid FROM spaces))
    UNION SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace IN (SELECT oid FROM spaces)
    UNION SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typrelid = 0 AND typnamespace IN (SELECT oid FROM spaces)
),
parts(classid, objid) AS (
    SELECT m.classid, m.objid FROM members m LEFT JOIN owned o ON (o.classid, o.objid) = (m.classid, m.objid)
    WHERE o.objid IS NULL
    UNION SELECT d.classid, d.objid FROM pg_depend d JOIN parts p ON (d.refclassid, d.refobjid) = (p.classid, p.objid)
    WHERE d.deptype IN ('a', 'i')
),
used(classid, objid) AS (
    SELECT d.refclassid, d.refobjid FROM pg_depend d JOIN parts p ON (d.classid, d.objid) = (p.classid, p.objid)
    WHERE d.deptype = 'n'
    UNION SELECT 'pg_class'::regclass, h.inhparent FROM pg_inherits h
    JOIN parts p ON p.classid = 'pg_class'::regclass AND p.objid = h.inhrelid
)
SELECT DISTINCT coalesce('extension ' || x.extname, i.type || ' ' || rtrim(i.identity, '[]'))
FROM used u
LEFT JOIN parts p ON (p.classid, p.objid) = (u.classid, u.objid)
LEFT JOIN owned o ON (o.classid, o.objid) = (u.classid, u.objid)
LEFT JOIN pg_extension x ON x.oid = o.extension
LEFT JOIN pg_class c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid
LEFT JOIN pg_type t ON u.classid = 'pg_type'::regclass AND t.oid = u.objid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typlen = -1
LEFT JOIN pg_class k ON k.oid = coalesce(nullif(e.typrelid, 0), t.typrelid) AND k.relkind <> 'c'
CROSS JOIN LATERAL pg_identify_object(CASE WHEN k.oid IS NULL THEN u.classid ELSE 'pg_class'::regclass END,
                                      coalesce(k.oid, u.objid), 0) i
WHERE p.objid IS NULL AND u.objid >= 16384 AND i.identity IS NOT NULL
  AND u.classid NOT IN ('pg_constraint'::regclass, 'pg_extension'::regclass)
  AND coalesce(c.relkind, 'r') NOT IN ('i', 'I', 't')
  AND NOT (u.classid = 'pg_namespace'::regclass AND (%(by_schema)s OR i.identity = 'public'))
  AND CASE WHEN %(every)s THEN coalesce(k.oid, c.oid) = ANY (%(left_out)s::oid[])
           WHEN %(by_schema)s THEN x.oid IS NOT NULL OR coalesce(k.oid, c.oid) = ANY (%(left_out)s::oid[])
                                   OR i.schema IS NULL
                                   OR i.schema NOT IN (SELECT quote_ident(name) FROM unnest(%(schemas)s::text[]) name)
           ELSE coalesce(k.oid, 0) NOT IN (SELECT objid FROM parts WHERE classid = 'pg_class'::regclass) END
ORDER BY 1"""

#: ``umoptions`` is NULL for who may not see it and for a mapping without options (manual, pg_user_mappings): whether
#: the role may see it is asked by that view's own condition.
_MAPPINGS = """
SELECT m.srvname::text, coalesce(m.usename, 'public')::text FROM pg_user_mappings m
JOIN pg_foreign_server s ON s.oid = m.srvid
WHERE m.umoptions IS NULL AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  AND NOT CASE WHEN m.umuser = 0 THEN pg_has_role(s.srvowner, 'USAGE')
               ELSE m.usename = current_user
                    AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')) END
ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What lies ``outside`` of the selection, such as ``type app.mood``, and user ``mappings`` without options."""

    outside: tuple[str, ...] = ()
    mappings: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before counting on such a backup."""
        said = []
        if self.outside:
            said.append(
                f"The backup does not hold what its objects use from outside of the selection: {few(self.outside)}. A "
                "restore needs these first: select them too, or take a backup of the whole database."
            )
        if self.mappings:
            said.append(
                f"The role may not see the options (passwords mostly) of {few(self.mappings)}, which come back "
                "without them. Let a superuser take the backup, or keep the options elsewhere."
            )
        return tuple(said)

    @property
    def named(self) -> tuple[str, ...]:
        """For the manifest, so that a restore in years can be understood."""
        return (*self.outside, *(f"options of {each}" for each in self.mappings))[:_KEPT]


def read_lack(session: Session, relations: Sequence[Relation], contents: Scope, wanted: Selection) -> Lack:
    """What a backup of ``contents`` lacks. ``relations`` are all that could be dumped."""
    return Lack(
        outside=_read_outside(session, relations, contents, wanted),
        # Foreign servers are no part of a selection of schemas or tables.
        mappings=_read_mappings(session) if contents.large_objects else (),
    )


def _read_outside(
    session: Session, relations: Sequence[Relation], contents: Scope, wanted: Selection
) -> tuple[str, ...]:
    if not (wanted.schemas or wanted.tables or wanted.exclude_tables):
        return ()
    dumped = {each.oid for each in (*contents.tables, *contents.sequences)}
    values = {
        "dumped": list(dumped),
        "left_out": [each.oid for each in relations if each.oid not in dumped and each.extension is None],
        "by_schema": not wanted.tables,
        "every": not (wanted.schemas or wanted.tables),
        "schemas": list(wanted.schemas),
    }
    return tuple(name for (name,) in session.rows(_OUTSIDE, values, attempted="look for what the selection lacks"))


def _read_mappings(session: Session) -> tuple[str, ...]:
    found = session.rows(_MAPPINGS, attempted="look at the user mappings")
    return tuple(f"user mapping for {user} on server {server}" for server, user in found)
