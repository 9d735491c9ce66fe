# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare two databases of one major version, object by object and row by row.

``compare(one, other)`` returns a list of :class:`Difference`, empty where a user could not tell the two apart. Objects
are told apart by name; see ``catalogs.py`` for what is compared of each kind and why the rest is not. As a command::

    python -m roundtrip.compare "host=... dbname=one" "host=... dbname=other"
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from roundtrip.catalogs import CATALOGS, FIRST_USER_OID, NOT_COMPARED, SYSTEM_PRIVILEGES, Catalog
from roundtrip.rows import describe_rows, large_objects, rows, sequences

Facts = dict[tuple[str, str], Any]

#: What makes the text of a value depend on the session, and what would hide rows or cut the work short.
_SETTINGS = {
    "search_path": "pg_catalog",
    "row_security": "off",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One object that is not the same. ``one`` or ``other`` is None where the object is missing there."""

    kind: str
    name: str
    one: Any
    other: Any

    def __str__(self) -> str:
        if self.one is None:
            return f"{self.kind} {self.name}: only in the other: {self.other}"
        if self.other is None:
            return f"{self.kind} {self.name}: missing in the other: {self.one}"
        if isinstance(self.one, Mapping) and isinstance(self.other, Mapping):
            keys = sorted(
                key for key in self.one.keys() | self.other.keys() if self.one.get(key) != self.other.get(key)
            )
            changes = [f"{key}: {self.one.get(key)!r} became {self.other.get(key)!r}" for key in keys]
            return f"{self.kind} {self.name}: " + "; ".join(changes)
        return f"{self.kind} {self.name}: {self.one!r} became {self.other!r}"


def compare(one: str, other: str, *, with_objects: bool = True, example_rows: int = 3) -> list[Difference]:
    """Differences between the databases that two libpq connection strings name, as a superuser sees them.

    ``with_objects=False`` leaves rows, sequences and large objects, which may be compared across major versions;
    ``example_rows`` of each differing table are shown.
    """
    with connect(one) as left, connect(other) as right:
        found = _differences(objects(left), objects(right)) if with_objects else []
        for facts in (sequences, large_objects):
            found += _differences(facts(left), facts(right))
        differing = _differences(rows(left), rows(right))
        found += [describe_rows(left, right, item, Difference, example_rows) for item in differing]
    return found


def connect(conninfo: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A session in which equal values have equal texts. It reads one snapshot and writes nothing."""
    connection = psycopg.connect(conninfo, autocommit=True)
    for name, value in _SETTINGS.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return connection


def objects(connection: psycopg.Connection[Any]) -> Facts:
    """Everything but rows: (kind, name) to the object's properties."""
    _check_completeness(connection)
    facts: Facts = {}
    for catalog in CATALOGS:
        # The pieces of SQL come from catalogs.py and from the server's own catalogs.
        for name, properties in connection.execute(_query(connection, catalog)):
            if (catalog.kind, name) in facts:
                raise ValueError(f"two objects of kind {catalog.kind} are called {name}")
            facts[catalog.kind, name] = properties
    return facts | _system_privileges(connection)


def _differences(one: Facts, other: Facts) -> list[Difference]:
    return [
        Difference(kind=key[0], name=key[1], one=one.get(key), other=other.get(key))
        for key in sorted(one.keys() | other.keys())
        if one.get(key) != other.get(key)
    ]


def _check_completeness(connection: psycopg.Connection[Any]) -> None:
    """A catalog that this comparison has never heard of must not be passed over."""
    known = {catalog.table for catalog in CATALOGS} | NOT_COMPARED.keys()
    present = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'"
    )
    unknown = {name for (name,) in present} - known
    if unknown:
        raise ValueError(f"catalogs.py does not say what to do with {sorted(unknown)}")


def _query(connection: psycopg.Connection[Any], catalog: Catalog) -> str:
    """SELECT name, properties for one catalog."""
    properties = dict(catalog.computed)
    names = _names_of_references(connection, catalog.table)
    for column, type_name in _columns(connection, catalog.table):
        if column in catalog.left_out or column in properties or column == "oid":
            continue
        if column in catalog.privileges:
            properties[column] = _privileges(f"c.{column}", *catalog.privileges[column])
        elif type_name in {"pg_node_tree", "aclitem[]"}:
            raise ValueError(f"catalogs.py does not say how to compare {catalog.table}.{column}")
        elif column.endswith("options") and type_name == "text[]":
            properties[column] = f"(SELECT jsonb_agg(item ORDER BY item) FROM unnest(c.{column}) AS item)"
        else:
            properties[column] = names.get(column, f"c.{column}")
    pairs = ", ".join(f"'{name}', {sql}" for name, sql in sorted(properties.items()))
    identity = catalog.identity or f"(pg_identify_object('{catalog.table}'::regclass, c.oid, 0)).identity"
    # jsonb_build_object takes at most 100 arguments, and none of the catalogs has 50 columns.
    return f"SELECT {identity}, jsonb_build_object({pairs}) FROM {catalog.table} AS c WHERE {catalog.only}"


def _columns(connection: psycopg.Connection[Any], table: str) -> Iterable[tuple[str, str]]:
    return connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        (table,),
    ).fetchall()


def _names_of_references(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """Column to SQL that gives the names of what its oids or column numbers point at."""
    references = connection.execute(
        "SELECT fkcols, pktable::text, is_array FROM pg_get_catalog_foreign_keys() WHERE fktable = %s::regclass",
        (table,),
    )
    names = {}
    for columns, target, is_array in references:
        column = columns[-1]
        if len(columns) == 2:
            one = f"(SELECT attname FROM pg_attribute WHERE attrelid = c.{columns[0]} AND attnum = ref)"
        else:
            one = f"CASE WHEN ref <> 0 THEN (pg_identify_object('{target}'::regclass, ref, 0)).identity END"
        source = f"unnest(c.{column})" if is_array else f"unnest(ARRAY[c.{column}::oid])"
        if is_array:
            names[column] = f"(SELECT jsonb_agg({one} ORDER BY n) FROM {source} WITH ORDINALITY AS u (ref, n))"
        else:
            names[column] = f"(SELECT {one} FROM {source} AS u (ref))"
    return names


def _privileges(column: str, kind: str, owner: str) -> str:
    """Who may do what, granted by whom; a missing list means the default one."""
    effective = f'coalesce({column}, acldefault(({kind})::"char", {owner}))'
    return f"(SELECT jsonb_agg({_PRIVILEGE} ORDER BY {_PRIVILEGE}) FROM aclexplode({effective}) AS a)"


_PRIVILEGE = (
    "coalesce((SELECT quote_ident(rolname) FROM pg_roles WHERE oid = a.grantee), 'PUBLIC') || ' ' || a.privilege_type"
    " || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
    " || ' BY ' || coalesce((SELECT quote_ident(rolname) FROM pg_roles WHERE oid = a.grantor), '?')"
)


def _system_privileges(connection: psycopg.Connection[Any]) -> Facts:
    """What was granted or revoked since on objects that initdb made."""
    facts: Facts = {}
    for table, column in SYSTEM_PRIVILEGES:
        catalog, objid, subid = (
            ("pg_class", "c.attrelid", "c.attnum") if table == "pg_attribute" else (table, "c.oid", "0")
        )
        now, first = (
            f"(SELECT jsonb_agg({_PRIVILEGE} ORDER BY {_PRIVILEGE}) FROM aclexplode({privileges}) AS a)"
            for privileges in (f"c.{column}", "i.initprivs")
        )
        query = f"""
            SELECT (pg_identify_object('{catalog}'::regclass, {objid}, {subid})).identity, {now} FROM {table} AS c
            LEFT JOIN pg_init_privs AS i
                ON i.objoid = {objid} AND i.classoid = '{catalog}'::regclass AND i.objsubid = {subid}
            WHERE {objid} < {FIRST_USER_OID} AND {now} IS DISTINCT FROM {first}"""
        for name, privileges in connection.execute(query):
            facts["system privileges", f"{catalog} {name}"] = {"privileges": privileges}
    return facts


if __name__ == "__main__":
    found_differences = compare(sys.argv[1], sys.argv[2])
    for difference in found_differences:
        sys.stdout.write(f"{difference}\n")
    sys.exit(1 if found_differences else 0)
