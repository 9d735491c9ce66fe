# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Privileges in a restore in place (private to ops.runbooks): that they end as in the backup, and not as more.

In a new database an object begins without privileges, and what the archive grants is all that it has. In a live one
default privileges of the role that makes it apply too: at Supabase they open every new table of ``public`` to the API.
They are taken away until everything is made; those of the schemas come back as the archive has them, or as they were
where nothing of the archive's privileges is wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import granted_to, unquote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place_facts import read_members
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableName, quote_identifier

_ATTEMPTED = "look at default privileges"
_WORDS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS", "L": "LARGE OBJECTS"}
#: What everybody has where nothing else is said (manual, section 5.8).
_EVERYBODY = {"f": "EXECUTE", "T": "USAGE"}
_DEFAULTS = """
SELECT quote_ident(r.rolname), quote_ident(n.nspname), d.defaclobjtype::text,
       ARRAY(SELECT DISTINCT coalesce(quote_ident(g.rolname), 'PUBLIC')
             FROM aclexplode(d.defaclacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee),
       ARRAY(SELECT format('%%s|%%s|%%s', string_agg(a.privilege_type, ', '),
                           coalesce(quote_ident(g.rolname), 'PUBLIC'),
                           CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
             FROM aclexplode(d.defaclacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
             GROUP BY g.rolname, a.is_grantable)
FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
WHERE pg_has_role(d.defaclrole, 'USAGE')
  AND (n.nspname = ANY (%s) OR (d.defaclnamespace = 0 AND r.rolname = current_user))
ORDER BY 1, 2, 3"""
_SCHEMAS = """
SELECT n.nspname::text, quote_ident(pg_get_userbyid(n.nspowner)),
       ARRAY(SELECT DISTINCT coalesce(quote_ident(g.rolname), 'PUBLIC')
             FROM aclexplode(n.nspacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee)
FROM pg_namespace n WHERE n.nspname = ANY (%s) AND pg_has_role(n.nspowner, 'USAGE')"""
_GRANTED = """
SELECT n.nspname::text, c.relname::text, c.relowner::regrole::text,
       ARRAY(SELECT DISTINCT coalesce(g.rolname, 'PUBLIC')
             FROM aclexplode(c.relacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee WHERE a.grantee <> c.relowner)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND c.relacl IS DISTINCT FROM acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner)
  AND c.relacl IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_depend e
                  WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')"""


def without_defaults(
    session: Session, schemas: Collection[str], *, archive_has_them: bool
) -> tuple[list[str], list[str]]:
    """Statements that take default privileges away, and those that give back what the archive does not.

    The archive gives back those of the schemas where privileges are restored at all, never those that belong to none.
    """
    away, back = [], []
    for role, schema, kind, grantees, items in session.rows(_DEFAULTS, (sorted(schemas),), attempted=_ATTEMPTED):
        word, everyone = _WORDS[kind], ", ".join(grantees)
        begin = f"ALTER DEFAULT PRIVILEGES FOR ROLE {role}" + (f" IN SCHEMA {schema}" if schema else "")
        if schema:
            away.append(f"{begin} REVOKE ALL ON {word} FROM {everyone}")
            if archive_has_them:
                continue
        else:
            named = ", ".join(dict.fromkeys([*grantees, "PUBLIC", role]))
            away += [f"{begin} REVOKE ALL ON {word} FROM {named}", f"{begin} GRANT ALL ON {word} TO {role}"]
            if kind in _EVERYBODY:
                away.append(f"{begin} GRANT {_EVERYBODY[kind]} ON {word} TO PUBLIC")
            back.append(f"{begin} REVOKE ALL ON {word} FROM PUBLIC, {role}")
        for rights, grantee, option in (item.split("|") for item in items):
            back.append(f"{begin} GRANT {rights} ON {word} TO {grantee}{option}")
    return away, back


def plain_schemas(session: Session, schemas: Collection[str], source_major: int) -> Iterator[str]:
    """Statements that give the schemas the privileges from which the archive's begin."""
    for name, owner, grantees in session.rows(_SCHEMAS, (sorted(schemas),), attempted=_ATTEMPTED):
        schema = quote_identifier(name)
        named = ", ".join(dict.fromkeys([*grantees, "PUBLIC"]))
        yield f"REVOKE ALL ON SCHEMA {schema} FROM {named} CASCADE"
        yield f"GRANT ALL ON SCHEMA {schema} TO {owner}"
        if name == "public":
            yield f"GRANT {'USAGE' if source_major >= 15 else 'ALL'} ON SCHEMA public TO PUBLIC"


def differences(session: Session, schemas: Collection[str], heads: Collection[Head]) -> list[str]:
    """Tables, views and sequences that are open to others than in the backup, as sentences.

    That of a role which is gone is not missed; why it is, is said elsewhere.
    """
    found, owners = {}, {}
    for schema, name, owner, roles in session.rows(_GRANTED, (sorted(schemas),), attempted="compare privileges"):
        table = TableName(schema=schema, name=name)
        found[table], owners[table] = frozenset(roles), unquote_identifier(owner)
    expected = {
        TableName(schema=entry.namespace or "", name=unquote_identifier(entry.tag.partition(" ")[2])): granted_to(entry)
        for head in heads
        for entry in head.entries
        if entry.desc == "ACL" and entry.tag.startswith(("TABLE ", "SEQUENCE "))
    }
    # What extensions have made is theirs, here as in the query.
    for member in read_members(session, schemas):
        expected.pop(member, None)
    by_text = {True: "has privileges that the backup does not name", False: "lacks the privileges of the backup"}
    wrong = [(table, by_text[table in found]) for table in found.keys() ^ expected.keys()]
    wrong += [
        (table, f"is open to {', '.join(sorted(more))}, as the backup does not name it")
        for table in found.keys() & expected.keys()
        if (more := found[table] - expected[table] - {owners[table]})
    ]
    return [f"{table.text} {text}" for table, text in sorted(wrong, key=lambda each: each[0].text)]
