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

import re
from collections.abc import Collection, Iterable, Iterator

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import granted, unquote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.facts import read_members
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
                           CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
                           coalesce(quote_ident(g.rolname), 'PUBLIC'))
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
#: Rights on relations and on their columns where they are not those that everything begins with, whoever granted them.
_GRANTED = """
SELECT n.nspname::text, c.relname::text, k.name, pg_get_userbyid(c.relowner)::text,
       coalesce(g.rolname::text, 'PUBLIC'), a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT '' AS name, c.relacl AS acl WHERE c.relacl
        <> acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner)
    UNION ALL
    SELECT attname::text, attacl FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL AND NOT attisdropped) k
LEFT JOIN LATERAL aclexplode(k.acl) a ON a.grantee <> c.relowner
LEFT JOIN pg_roles g ON g.oid = a.grantee
WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND NOT EXISTS (SELECT FROM pg_depend e
                  WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')"""
#: What ALL means here: on a table it is more from version to version.
_ALL = "SELECT privilege_type FROM aclexplode(acldefault('r', 10))"
_ALL_ON = {"SEQUENCE": ("SELECT", "UPDATE", "USAGE"), "COLUMN": ("INSERT", "REFERENCES", "SELECT", "UPDATE")}
#: What an ACL entry is about, as its tag says it; names are quoted where they have to be.
_ABOUT = re.compile(r'(?P<kind>TABLE|SEQUENCE|COLUMN) (?P<name>"(?:[^"]|"")+"|[^".]+)(?:\.(?P<column>.+))?', re.DOTALL)

#: A relation, and the name of a column of it or ''.
_Place = tuple[TableName, str]
_Rights = dict[str, frozenset[str]]


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
        for rights, option, grantee in (item.split("|", 2) for item in items):
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


def differences(session: Session, schemas: Collection[str], entries: Iterable[Entry]) -> list[str]:
    """Rights on tables, views, sequences and their columns that are others than in the backup, as sentences.

    ``entries`` are those that were restored, as they were restored. What an owner has of his own he can give himself.
    """
    found: dict[_Place, _Rights] = {}
    owners: dict[_Place, str | None] = {}
    rows = session.rows(_GRANTED, (sorted(schemas),), attempted="compare privileges")
    for schema, name, column, owner, grantee, right in rows:
        place = TableName(schema=schema, name=name), column
        owners[place], rights = owner, found.setdefault(place, {})
        if right is not None:
            rights[grantee] = rights.get(grantee, frozenset()) | {right}
    all_on = {**_ALL_ON, "TABLE": [right for (right,) in session.rows(_ALL, attempted="compare privileges")]}
    # What extensions have made is theirs, here as in the query.
    members = read_members(session, schemas)
    expected: dict[_Place, _Rights] = {}
    for entry in entries:
        if (about := _place(entry)) is not None and about[0] not in members:
            every = all_on[entry.tag.partition(" ")[0]]
            said = granted(entry.defn or "")
            expected[about] = {grantee: _spelt_out(words, every) for grantee, words in said.items()}
            owners.setdefault(about, entry.owner)
    return [
        f"{_text(place)} {difference}"
        for place in sorted(owners, key=_text)
        for difference in _wrong(found.get(place, {}), expected.get(place, {}), owners[place])
    ]


def _place(entry: Entry) -> _Place | None:
    about = _ABOUT.fullmatch(entry.tag) if entry.desc == "ACL" else None
    if about is None:
        return None
    table = TableName(schema=entry.namespace or "", name=unquote_identifier(about["name"]))
    return table, unquote_identifier(about["column"] or "")


def _spelt_out(words: Collection[str], every: Collection[str]) -> frozenset[str]:
    """Each right by its name. One that may be passed on is not there without that a second time."""
    rights = {
        f"{right}{word.removeprefix('ALL')}" if word.rstrip("*") == "ALL" else word
        for word in words
        for right in (every if word.rstrip("*") == "ALL" else [word])
    }
    return frozenset(right for right in rights if f"{right}*" not in rights)


def _wrong(found: _Rights, expected: _Rights, owner: str | None) -> Iterator[str]:
    for grantee in sorted((found.keys() | expected.keys()) - {owner}):
        has, wanted = _spelt_out(found.get(grantee, ()), ()), expected.get(grantee, frozenset())
        if more := sorted(has - wanted):
            yield f"is open to {grantee} ({', '.join(more)}), as the backup does not name it"
        elif less := sorted(wanted - has):
            yield f"is not open to {grantee} ({', '.join(less)}), as it was in the backup"


def _text(place: _Place) -> str:
    table, column = place
    return f"{table.text}, column {column}," if column else table.text
