# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a database a backup holds (private to ops.runbooks).

One query reads every relation that pg_dump may dump, and :func:`choose` applies the selection by pg_dump's own rules,
so that what is locked, counted and checked is what is dumped. A partitioned table stands for all of its partitions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Selection, TableName, quote_identifier

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

ThingT = TypeVar("ThingT")

#: pg_class.relkind of what is recorded, and its name in manifests.
KINDS = {"r": "table", "p": "partitioned", "m": "matview", "f": "foreign"}
#: These names for people, one of them.
_WORDS = {
    "table": "table",
    "partitioned": "partitioned table",
    "foreign": "foreign table",
    "matview": "materialized view",
}
_SEQUENCE = "S"
#: The schema in which a database remembers its migrations. Whatever is chosen by schemas, it goes with them: else what
#: is restored would be taken for as far as the database was.
LEDGER = "ops_runbooks"
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')

#: The columns of the query below behind schema and name, as fields of :class:`Relation`.
_FACTS = (
    *("oid", "kind", "unlogged", "parent", "owner", "identity", "extension", "extension_config", "readable"),
    *("rows_hidden", "row_security", "row_security_forced"),
)
#: Relations outside the system's own schemas (pg_dump leaves out the same ones), with what the session's role may do.
_RELATIONS = """
SELECT n.nspname, c.relname, c.oid::int8, c.relkind::text, c.relpersistence = 'u',
       CASE WHEN c.relispartition THEN (SELECT i.inhparent::int8 FROM pg_inherits i WHERE i.inhrelid = c.oid) END,
       o.refobjid::int8, coalesce(o.deptype = 'i', false), x.extname, coalesce(c.oid = ANY (x.extconfig), false),
       coalesce(has_schema_privilege(n.oid, 'USAGE') AND
                CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
                               ELSE has_table_privilege(c.oid, 'SELECT') END, true),
       c.relkind = 'r' AND row_security_active(c.oid), c.relrowsecurity, c.relforcerowsecurity
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend e ON e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.objsubid = 0 AND e.deptype = 'e'
                     AND e.refclassid = 'pg_extension'::regclass
LEFT JOIN pg_extension x ON x.oid = e.refobjid
LEFT JOIN pg_depend o ON c.relkind = 'S' AND o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                     AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i') AND o.refobjsubid > 0
WHERE c.relkind IN ('r', 'p', 'm', 'f', 'S') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table or sequence as the catalog has it. ``parent`` is that of a partition, ``owner`` a sequence's table."""

    oid: int
    name: TableName
    kind: str
    unlogged: bool = False
    parent: int | None = None
    owner: int | None = None
    identity: bool = False
    extension: str | None = None
    extension_config: bool = False
    readable: bool = True
    rows_hidden: bool = False
    row_security: bool = False
    row_security_forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is dumped. ``tables`` with their definition, those in ``data`` (oids) with their rows, and ``sequences``.

    ``arguments`` makes pg_dump choose the same. ``absent`` are exclusions that name nothing.
    """

    tables: tuple[Relation, ...]
    data: frozenset[int]
    sequences: tuple[Relation, ...]
    large_objects: bool
    arguments: tuple[str, ...]
    absent: tuple[str, ...] = ()

    @property
    def lockable(self) -> tuple[Relation, ...]:
        """What pg_dump locks, and therefore the coordinator before it."""
        return tuple(each for each in self.tables if each.kind in ("r", "p"))

    @property
    def with_rows(self) -> tuple[Relation, ...]:
        """What has rows of its own that are dumped: a partitioned table has none, and a view is filled anew."""
        return tuple(each for each in self.tables if each.oid in self.data)

    @property
    def identity(self) -> frozenset[tuple[int, str, str, str]]:
        """Equal for two looks at the database between which nothing was created, dropped, renamed or re-created."""
        return frozenset(
            (each.oid, each.name.schema, each.name.name, each.kind) for each in (*self.tables, *self.sequences)
        )


def in_words(kinds: Iterable[str]) -> str:
    """How many there are of each kind: ``22 tables, 1 partitioned table and 1 materialized view``."""
    counts = Counter(kinds)
    said = [f"{counts[kind]} {word}{'s' if counts[kind] > 1 else ''}" for kind, word in _WORDS.items() if counts[kind]]
    return " and ".join(filter(None, [", ".join(said[:-1]), *said[-1:]])) or "no tables"


def relations_in_words(relations: Iterable[Relation]) -> str:
    """The same of relations as the catalog has them."""
    return in_words(KINDS[each.kind] for each in relations)


def table_name(text: str, option: str) -> TableName:
    """``schema.table``, ``table`` (in schema public), parts in double quotes where they hold a dot; case is kept."""
    parts = [(quoted or "").replace('""', '"') or plain for quoted, plain in _PART.findall(text)]
    rebuilt = ".".join(match.group() for match in _PART.finditer(text))
    if rebuilt != text or len(parts) not in (1, 2):
        raise RunbookError(
            code="invalid_parameter",
            attempted=f"read {option}",
            object=repr(text),
            reason="it is not the name of a table",
            remedy="Write table or schema.table as they are stored, with double quotes around a part that holds a dot.",
        )
    return TableName(schema=parts[0] if len(parts) == 2 else "public", name=parts[-1])


def selection(
    schemas: Sequence[str], tables: Sequence[str], exclude_tables: Sequence[str], exclude_table_data: Sequence[str]
) -> Selection:
    """The selection that a module's options describe, in the form that hashes alike however it was written."""
    named = {"tables": tables, "exclude_tables": exclude_tables, "exclude_table_data": exclude_table_data}
    normal = {
        option: tuple(sorted({table_name(text, option).text for text in texts})) for option, texts in named.items()
    }
    return Selection(schemas=tuple(sorted(set(schemas))), **normal)


def read_relations(session: Session) -> tuple[Relation, ...]:
    """Every relation that could be dumped, by schema and name."""
    return tuple(
        Relation(name=TableName(schema=schema, name=name), **dict(zip(_FACTS, facts, strict=True)))
        for schema, name, *facts in session.rows(_RELATIONS, attempted="list the tables")
    )


def choose(relations: Sequence[Relation], wanted: Selection, *, standby: bool) -> Scope:
    """Apply the selection. Raises ``invalid_parameter`` where it asks for something that does not exist.

    On a standby unlogged tables have no rows, and pg_dump leaves them out by itself.
    """
    by_name = {each.name: each for each in relations if each.kind != _SEQUENCE}
    excluded, absent = _expand(wanted.exclude_tables, by_name)
    dataless, absent_too = _expand(wanted.exclude_table_data, by_name)
    included, missing = _expand(wanted.tables, by_name)
    present = {each.name.schema for each in relations}
    missing += tuple(name for name in wanted.schemas if name not in present)
    if missing:
        raise _missing(missing)
    partial = bool(wanted.tables or wanted.schemas)
    if wanted.schemas and not wanted.tables and LEDGER in present:
        wanted = replace(wanted, schemas=tuple(sorted({*wanted.schemas, LEDGER})))
    chosen, gone = {each.oid for each in included}, {each.oid for each in excluded}
    # pg_dump by itself would keep the sequences of a table that is left out.
    gone |= {each.oid for each in relations if each.owner in gone}
    tables = tuple(
        each
        for each in by_name.values()
        if (not wanted.tables or each.oid in chosen)
        and (not wanted.schemas or each.name.schema in wanted.schemas)
        and each.oid not in gone
        and (each.extension is None or (each.extension_config and not partial))
    )
    without_rows = {each.oid for each in dataless}
    data = (each.oid for each in tables if each.kind == "r" and not (standby and each.unlogged))
    return Scope(
        tables=tables,
        data=frozenset(oid for oid in data if oid not in without_rows),
        sequences=_sequences(relations, {each.oid for each in tables}, wanted, gone),
        large_objects=not partial,
        arguments=_arguments(
            wanted,
            tables,
            [each for each in relations if each.oid in gone],
            [each for each in dataless if each.oid not in gone],
        ),
        absent=absent + absent_too,
    )


def batches(things: Sequence[ThingT], size: int) -> Iterator[Sequence[ThingT]]:
    """``things`` in pieces of ``size``."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def _sequences(
    relations: Sequence[Relation], tables: set[int], wanted: Selection, gone: set[int]
) -> tuple[Relation, ...]:
    """A sequence is dumped with the table that owns it, or for itself where its schema is; an identity's only so."""

    def dumped(each: Relation) -> bool:
        if each.kind != _SEQUENCE or (each.extension is not None and not each.extension_config):
            return False
        if each.owner is not None and (each.owner in tables or each.identity):
            return each.owner in tables
        in_schema = not wanted.tables and (not wanted.schemas or each.name.schema in wanted.schemas)
        return in_schema and each.oid not in gone

    return tuple(each for each in relations if dumped(each))


def _expand(names: Iterable[str], by_name: dict[TableName, Relation]) -> tuple[tuple[Relation, ...], tuple[str, ...]]:
    """The named tables with all their partitions, and the names that mean nothing."""
    children: dict[int, list[Relation]] = {}
    for each in by_name.values():
        if each.parent is not None:
            children.setdefault(each.parent, []).append(each)
    found: dict[int, Relation] = {}
    missing = []
    for text in names:
        named = by_name.get(table_name(text, "tables"))
        if named is None:
            missing.append(text)
            continue
        waiting = [named]
        while waiting:
            each = waiting.pop()
            found[each.oid] = each
            waiting += children.get(each.oid, [])
    return tuple(found.values()), tuple(missing)


def _arguments(
    wanted: Selection, tables: Sequence[Relation], excluded: Sequence[Relation], dataless: Sequence[Relation]
) -> tuple[str, ...]:
    """pg_dump's options for the selection; quoted names, in which no character is a pattern."""
    if wanted.tables:
        chosen = [f"--table={each.name.quoted}" for each in tables]
    else:
        chosen = [f"--schema={quote_identifier(name)}" for name in wanted.schemas]
        chosen += [f"--exclude-table={each.name.quoted}" for each in excluded]
    if wanted.tables or wanted.schemas:
        chosen.append("--strict-names")
    return (*chosen, *(f"--exclude-table-data={each.name.quoted}" for each in dataless))


def _missing(names: Sequence[str]) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted="find what is to be backed up",
        object=", ".join(names),
        reason="the database has no such table or schema",
        remedy="Correct tables and schemas; names are taken as they are stored, without folding of case.",
    )
