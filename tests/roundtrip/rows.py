# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows, sequences and large objects, boiled down to hashes in the server."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from psycopg import Connection, sql

if TYPE_CHECKING:
    from roundtrip.compare import Difference, Facts

#: Each table with rows of its own. Partitions by the hash of an enum stand for their parent: labels are hashed by oid,
#: so a restore spreads the same rows in another way.
_TABLES = """
WITH RECURSIVE by_enum AS (
    SELECT partrelid AS oid FROM pg_partitioned_table WHERE (
        SELECT o.oid FROM pg_opclass AS o JOIN pg_am AS a ON a.oid = o.opcmethod
        WHERE o.opcname = 'enum_ops' AND o.opcnamespace = 'pg_catalog'::regnamespace AND a.amname = 'hash'
    ) = ANY (partclass)
), below AS (
    SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent IN (SELECT oid FROM by_enum)
    UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN below ON i.inhparent = below.oid
)
SELECT n.nspname, c.relname, c.relkind = 'p' FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
AND (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated OR c.oid IN (SELECT oid FROM by_enum))
AND c.oid NOT IN (SELECT oid FROM below)
ORDER BY 1, 2
"""

_HASH = sql.SQL(
    "SELECT count(*), md5(string_agg(hash, '' ORDER BY hash)) FROM (SELECT md5((t.*)::text) AS hash FROM {} AS t) AS h"
)
_HASHES = sql.SQL("SELECT md5((t.*)::text), count(*) FROM {} AS t GROUP BY 1")
_EXAMPLES = sql.SQL("SELECT left((t.*)::text, 300) FROM {} AS t WHERE md5((t.*)::text) = ANY (%s) ORDER BY 1 LIMIT %s")

#: Above this many rows the differing ones are not looked for.
_EXAMPLES_UP_TO = 1_000_000


def rows(connection: Connection[Any]) -> Facts:
    """("rows", table) to the number of rows and a hash over all, whatever their order."""
    facts: Facts = {}
    for schema, table, is_tree in connection.execute(_TABLES).fetchall():
        source = _source(schema, table, is_tree)
        found = connection.execute(_HASH.format(source)).fetchone() or (0, None)
        facts["rows", f"{schema}.{table}"] = {"count": found[0], "hash": found[1], "at": (schema, table, is_tree)}
    return facts


def describe_rows(
    left: Connection[Any], right: Connection[Any], found: Difference, make: type[Difference], examples: int
) -> Difference:
    """The same difference with some of the rows that make it."""
    if found.one is None or found.other is None or max(found.one["count"], found.other["count"]) > _EXAMPLES_UP_TO:
        return found
    source = _source(*found.one["at"])
    hashes = [Counter(dict(side.execute(_HASHES.format(source)).fetchall())) for side in (left, right)]
    told = []
    for side, only_here, facts in (
        (left, hashes[0] - hashes[1], found.one),
        (right, hashes[1] - hashes[0], found.other),
    ):
        shown = side.execute(_EXAMPLES.format(source), (list(only_here), examples)).fetchall()
        told.append({"count": facts["count"], "differing": only_here.total(), "such as": [text for (text,) in shown]})
    return make(kind=found.kind, name=found.name, one=told[0], other=told[1])


def _source(schema: str, table: str, is_tree: bool) -> sql.Composable:
    return sql.SQL("{} {}").format(sql.SQL("" if is_tree else "ONLY"), sql.Identifier(schema, table))


def sequences(connection: Connection[Any]) -> Facts:
    """("sequence state", name) to last value and whether it was given out."""
    facts: Facts = {}
    found = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'S' AND n.nspname !~ '^pg_temp_'"
    ).fetchall()
    for schema, name in found:
        state = connection.execute(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
        ).fetchone() or (None, None)
        facts["sequence state", f"{schema}.{name}"] = {"last_value": state[0], "is_called": state[1]}
    return facts


def large_objects(connection: Connection[Any]) -> Facts:
    """("large object content", oid) to size and hash."""
    found = connection.execute(
        "SELECT oid::text, length(lo_get(oid)), md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid"
    )
    return {("large object content", oid): {"size": size, "hash": digest} for oid, size, digest in found}
