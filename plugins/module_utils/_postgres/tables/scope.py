# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single tables of a backup, with what they cannot be made without (private to ops.runbooks). Pure.

They go into a database of their own, from which rows are taken back. There they have their columns, rows, keys, indexes
and sequences, and the types, functions and extensions that these need. What ties them to others, or opens them to
others, is left out and named: foreign keys, triggers, rules, policies, privileges, publications.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    LargeObjectsFact,
    Manifest,
    Selection,
    TableName,
    quote_identifier,
)

_TABLES = frozenset({"TABLE", "FOREIGN TABLE"})
#: What belongs to the one table that it depends on.
_OF_TABLE = frozenset(
    {
        "CHECK CONSTRAINT",
        "CONSTRAINT",
        "DEFAULT",
        "INDEX",
        "INDEX ATTACH",
        "SEQUENCE",
        "STATISTICS",
    }
)
_ABOUT = frozenset({"COMMENT", "SECURITY LABEL"})
#: What is left out of that, and its word.
_TIES = {
    "FK CONSTRAINT": "foreign key",
    "POLICY": "policy",
    "PUBLICATION TABLE": "publication",
    "ROW SECURITY": "row level security of",
    "RULE": "rule",
    "TRIGGER": "trigger",
}
_DATA = frozenset({"TABLE DATA", "SEQUENCE SET"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The part of a backup that the tables are. ``tables`` are they and their partitions."""

    manifest: Manifest
    heads: tuple[Head, ...]
    tables: tuple[TableName, ...]
    losses: tuple[str, ...]


def lacking(manifest: Manifest, wanted: Collection[TableName]) -> tuple[TableName, ...]:
    """Those of the tables that the backup does not have."""
    have = {table.table for table in manifest.tables}
    return tuple(name for name in wanted if name not in have)


def choose(manifest: Manifest, heads: tuple[Head, ...], wanted: Collection[TableName]) -> Chosen:
    """The tables with what they need. Definitions are all in one archive, rows may be in several."""
    kept = {number: _entries(head, wanted) for number, head in enumerate(heads)}
    tables, made = set(wanted), set()
    for number, head in enumerate(heads):
        for entry in head.entries:
            if entry.dump_id in kept[number]:
                made.add((entry.desc, _name(entry)))
    tables |= {name for desc, name in made if desc in _TABLES and name in _partitions(heads, kept)}
    sequences = {name for desc, name in made if desc == "SEQUENCE"}
    parts = []
    for number, head in enumerate(heads):
        ids = kept[number] | {
            entry.dump_id
            for entry in head.entries
            if entry.desc in _DATA and _name(entry) in (tables if entry.desc == "TABLE DATA" else sequences)
        }
        parts.append(replace(head, entries=tuple(entry for entry in head.entries if entry.dump_id in ids)))
    extensions = {entry.tag for head in parts for entry in head.entries if entry.desc == "EXTENSION"}
    return Chosen(
        manifest=_part(manifest, tables, sequences, extensions, wanted),
        heads=tuple(parts),
        tables=tuple(sorted(tables, key=lambda name: name.text)),
        losses=(*_losses(heads, tables), *_empty(made, tables)),
    )


def _entries(head: Head, wanted: Collection[TableName]) -> set[int]:
    """Definitions of the tables, of what is theirs, and of what all that needs."""
    by_id = {entry.dump_id: entry for entry in head.entries}
    roots, attached = _family(head, wanted)
    found = _needed(by_id, roots | attached)
    for entry in head.entries:
        of_roots = roots.intersection(entry.depends_on)
        if entry.desc in _OF_TABLE and of_roots:
            found |= _needed(by_id, {entry.dump_id})
        elif entry.desc in ("INDEX ATTACH",) and found.intersection(entry.depends_on):
            found.add(entry.dump_id)
    # Which depends, as the archive has it, on the sequence only.
    names = [_name(by_id[each]) for each in roots]
    for entry in head.entries:
        if entry.desc == "SEQUENCE OWNED BY" and any(owned_column(entry, name) for name in names):
            found |= _needed(by_id, {entry.dump_id})
    schemas = {by_id[each].namespace for each in found}
    for entry in head.entries:
        if entry.desc == "SCHEMA" and entry.tag in schemas:
            found.add(entry.dump_id)
    return found | {
        entry.dump_id
        for entry in head.entries
        if entry.desc in _ABOUT and entry.depends_on and set(entry.depends_on) <= found and not _of_extension(entry)
    }


def _family(head: Head, wanted: Collection[TableName]) -> tuple[set[int], set[int]]:
    """The tables with all their partitions, by dump id, and what makes these partitions."""
    by_id = {entry.dump_id: entry for entry in head.entries}
    roots = {entry.dump_id for entry in head.entries if entry.desc in _TABLES and _name(entry) in wanted}
    attached: set[int] = set()
    while True:
        # A partition may be partitioned itself.
        before = len(roots)
        for entry in head.entries:
            if entry.desc == "TABLE ATTACH" and roots.intersection(entry.depends_on):
                attached.add(entry.dump_id)
                roots |= {other for other in entry.depends_on if other in by_id and by_id[other].desc in _TABLES}
        if len(roots) == before:
            return roots, attached


def members(heads: Collection[Head], table: TableName) -> tuple[TableName, ...]:
    """A table and all of its partitions."""
    found: set[TableName] = set()
    for head in heads:
        ids, _attached = _family(head, (table,))
        found |= {_name(entry) for entry in head.entries if entry.dump_id in ids}
    return (table, *sorted(found - {table}, key=lambda name: name.text))


def _needed(by_id: dict[int, Entry], ids: Iterable[int]) -> set[int]:
    """These entries and everything that they depend on, without rows and without ties."""
    found: set[int] = set()
    waiting = list(ids)
    while waiting:
        each = waiting.pop()
        if each in found or each not in by_id or by_id[each].desc in _TIES or by_id[each].desc in _DATA:
            continue
        found.add(each)
        waiting += by_id[each].depends_on
    return found


def _of_extension(entry: Entry) -> bool:
    """A comment on an extension, which comes with that."""
    return entry.tag.startswith("EXTENSION ")


def _partitions(heads: Collection[Head], kept: dict[int, set[int]]) -> set[TableName]:
    return {
        _name(entry)
        for number, head in enumerate(heads)
        for entry in head.entries
        if entry.desc == "TABLE ATTACH" and entry.dump_id in kept[number]
    }


def _part(
    manifest: Manifest,
    tables: Collection[TableName],
    sequences: Collection[TableName],
    extensions: Collection[str],
    wanted: Collection[TableName],
) -> Manifest:
    """What is promised of that. The new database belongs to whoever restores, and is open to nobody else."""
    return replace(
        manifest,
        tables=tuple(
            replace(each, row_security=False, row_security_forced=False, policies=())
            for each in manifest.tables
            if each.table in tables
        ),
        sequences=tuple(
            each for each in manifest.sequences if TableName(schema=each.schema, name=each.name) in sequences
        ),
        extensions=tuple(each for each in manifest.extensions if each.name in extensions),
        large_objects=LargeObjectsFact(count=0, bytes=0),
        database=replace(manifest.database, privileges=(), settings=(), connection_limit=-1),
        selection=Selection(tables=tuple(sorted(name.text for name in wanted))),
    )


def _losses(heads: Collection[Head], tables: Collection[TableName]) -> tuple[str, ...]:
    words = []
    for head in heads:
        ids = {entry.dump_id for entry in head.entries if entry.desc in _TABLES and _name(entry) in tables}
        for entry in head.entries:
            if entry.desc in _TIES and ids.intersection(entry.depends_on):
                words.append(f"{_TIES[entry.desc]} {entry.namespace}.{entry.tag}")
            elif entry.desc == "ACL" and ids.intersection(entry.depends_on):
                words.append(f"privileges of {entry.namespace}.{entry.tag.partition(' ')[2]}")
    return tuple(dict.fromkeys(words))


def _empty(made: Collection[tuple[str, TableName]], tables: Collection[TableName]) -> tuple[str, ...]:
    """Other tables that something needs, such as a parent or the type of a column: their rows do not come."""
    others = sorted(name.text for desc, name in made if desc in _TABLES and name not in tables)
    return tuple(f"rows of table {name}, which is there only because another one needs it" for name in others)


def owned_column(entry: Entry, table: TableName) -> str | None:
    """The column of the table that a sequence belongs to, as pg_dump writes it; None where it is another's."""
    text = entry.defn or ""
    for name in _spellings(table):
        begin = f"ALTER TABLE {name} ALTER COLUMN "
        if entry.desc == "SEQUENCE" and text.startswith(begin) and " ADD GENERATED " in text:
            return text.removeprefix(begin).partition(" ADD GENERATED ")[0]
        if entry.desc == "SEQUENCE OWNED BY" and (found := text.find(f" OWNED BY {name}.")) >= 0:
            return text[found + len(f" OWNED BY {name}.") :].partition(";")[0]
    return None


def _spellings(table: TableName) -> list[str]:
    """pg_dump quotes only what has to be."""
    names = [(part, quote_identifier(part)) for part in (table.schema, table.name)]
    return [f"{schema}.{name}" for schema in names[0] for name in names[1]]


def _name(entry: Entry) -> TableName:
    return TableName(schema=entry.namespace or "", name=entry.tag)
