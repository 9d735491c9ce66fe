# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restored database against the manifest of its backup (private to ops.runbooks).

Rows of every table that was counted in the backup's snapshot, sequences, row level security with its policies,
extensions and large objects.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.ops.runbooks.plugins.module_utils._core import words
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import unquote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    ExtensionFact,
    Manifest,
    SequenceFact,
    TableFact,
    TableName,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import DROPPED

_ATTEMPTED = "compare the restored database with the backup"
_PART = r'"(?:[^"]|"")*"|[^\s".(]+'
#: How pg_dump begins to copy rows into a table (``pg_dump.c``, ``dumpTableData``).
_COPY = re.compile(rf"COPY (?P<schema>{_PART})\.(?P<name>{_PART}) ")
#: How many differences a failure spells out.
_SHOWN = 10
_TABLES = """
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relrowsecurity, c.relforcerowsecurity,
       ARRAY(SELECT p.polname::pg_catalog.text FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'f')"""
_SEQUENCES = """
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, pg_catalog.pg_sequence_last_value(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S'"""
_EXTENSIONS = "SELECT extname::pg_catalog.text FROM pg_catalog.pg_extension"
_LARGE_OBJECTS = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """A table's row level security as it is."""

    enabled: bool
    forced: bool
    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restored database turned out to be."""

    tables: Mapping[TableName, Policies]
    sequences: Mapping[TableName, int | None]
    extensions: frozenset[str]
    large_objects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How much was compared, and everything that differs, as sentences."""

    tables: int
    rows: int
    differences: tuple[str, ...]


def read_restored(session: Session) -> Restored:
    """The catalog of the restored database."""
    tables = {
        TableName(schema=schema, name=name): Policies(enabled=enabled, forced=forced, names=frozenset(policies))
        for schema, name, enabled, forced, policies in session.rows(_TABLES, attempted=_ATTEMPTED)
    }
    sequences = {
        TableName(schema=schema, name=name): value
        for schema, name, value in session.rows(_SEQUENCES, attempted=_ATTEMPTED)
    }
    return Restored(
        tables=tables,
        sequences=sequences,
        extensions=frozenset(name for (name,) in session.rows(_EXTENSIONS, attempted=_ATTEMPTED)),
        large_objects=session.value(_LARGE_OBJECTS, attempted=_ATTEMPTED),
    )


def counted_tables(manifest: Manifest) -> list[TableFact]:
    """Tables whose rows must be equal, biggest first.

    A materialized view is filled anew by its query, a foreign table's rows are elsewhere, and an extension's table
    begins with the rows that the extension itself puts there.
    """
    tables = [
        table
        for table in manifest.tables
        if table.kind == "table" and table.data and table.rows is not None and table.extension is None
    ]
    return sorted(tables, key=lambda table: table.bytes, reverse=True)


def compare(
    manifest: Manifest,
    heads: Collection[Head],
    restored: Restored,
    counts: Mapping[TableName, int],
    policies_left_out: Collection[tuple[str, str, str]],
) -> Comparison:
    """Everything in which the restored database differs from the manifest. Pure."""
    differences = [
        *_table_differences(manifest.tables, restored, policies_left_out),
        *_row_differences(manifest, heads, counts),
        *_sequence_differences(_restored_sequences(manifest, heads), restored.sequences),
        *_extension_differences(manifest.extensions, heads, restored.extensions),
    ]
    if manifest.large_objects.count != restored.large_objects:
        differences.append(f"{restored.large_objects} large objects instead of {manifest.large_objects.count}")
    return Comparison(tables=len(counts), rows=sum(counts.values()), differences=tuple(differences))


def require_equal(comparison: Comparison, label: str) -> None:
    """Raises ``restore_mismatch`` naming the first differences."""
    if not comparison.differences:
        return
    shown = "; ".join(comparison.differences[:_SHOWN])
    more = len(comparison.differences) - _SHOWN
    raise RunbookError(
        code="restore_mismatch",
        attempted="restore the backup",
        object=label,
        reason=f"the restored database differs from the manifest: {shown}" + (f"; and {more} more" if more > 0 else ""),
        remedy=f"{DROPPED} Use another backup, and report this one.",
        details={"differences": list(comparison.differences)},
    )


def _table_differences(
    tables: Iterable[TableFact], restored: Restored, left_out: Collection[tuple[str, str, str]]
) -> Iterable[str]:
    for table in tables:
        found = restored.tables.get(table.table)
        if found is None:
            yield f"table {table.table.text} is missing"
            continue
        if (found.enabled, found.forced) != (table.row_security, table.row_security_forced):
            yield f"row level security of {table.table.text} is not as it was"
        gone = {name for schema, owner, name in left_out if (schema, owner) == (table.schema, table.name)}
        if lacking := sorted(set(table.policies) - gone - found.names):
            yield f"table {table.table.text} lacks policy {', '.join(lacking)}"
        if strange := sorted(found.names - set(table.policies)):
            yield f"table {table.table.text} has policy {', '.join(strange)}, which the backup does not name"


def _row_differences(manifest: Manifest, heads: Collection[Head], counts: Mapping[TableName, int]) -> Iterable[str]:
    """Tables whose rows are not as many as they were; tables that are loaded together are counted together.

    pg_dump loads some partitions through their root (those of hash partitions on an enum, whose hashes differ from
    database to database), so that their rows may come to lie in other partitions than they were in.
    """
    roots = loaded_through(heads)
    counted = {table.table: table.rows for table in counted_tables(manifest)}
    groups: dict[TableName, list[TableName]] = {}
    for table in manifest.tables:
        groups.setdefault(roots.get(table.table, table.table), []).append(table.table)
    for name, members in groups.items():
        known = [counted.get(member) for member in members]
        if None in known or any(member not in counts for member in members):
            continue
        expected, found = sum(rows or 0 for rows in known), sum(counts[member] for member in members)
        if expected != found:
            yield f"table {name.text} has {words.counted(found, 'row')} instead of {expected}"


def loaded_through(heads: Collection[Head]) -> dict[TableName, TableName]:
    """Tables whose rows the archives copy into another table, a root of partitions, and that table."""
    through = {}
    for entry in (entry for head in heads for entry in head.entries if entry.desc == "TABLE DATA"):
        own = TableName(schema=entry.namespace or "", name=entry.tag)
        found = _COPY.match(entry.copy or "")
        if found is None:
            continue
        target = TableName(schema=unquote_identifier(found["schema"]), name=unquote_identifier(found["name"]))
        if target != own:
            through[own] = target
    return through


def _restored_sequences(manifest: Manifest, heads: Collection[Head]) -> list[SequenceFact]:
    """Sequences whose value the archives carry; a pattern that leaves out table data may leave out these."""
    carried = {(entry.namespace, entry.tag) for head in heads for entry in head.entries if entry.desc == "SEQUENCE SET"}
    return [sequence for sequence in manifest.sequences if (sequence.schema, sequence.name) in carried]


def _sequence_differences(sequences: Iterable[SequenceFact], restored: Mapping[TableName, int | None]) -> Iterable[str]:
    for sequence in sequences:
        name = TableName(schema=sequence.schema, name=sequence.name)
        if name not in restored:
            yield f"sequence {name.text} is missing"
        elif not _between(sequence, restored[name]):
            span = f"between {sequence.before} and {sequence.after}"
            yield f"sequence {name.text} stands at {restored[name]}, which is not {span}"


def _between(sequence: SequenceFact, value: int | None) -> bool:
    """Whether a restored value can have been read between the two readings; None means never drawn from."""
    if sequence.cycle and sequence.before != sequence.after:
        return True
    if value is None:
        return sequence.before is None
    if sequence.after is None:
        return False
    if sequence.before is None:
        return value <= sequence.after if sequence.increment > 0 else value >= sequence.after
    return min(sequence.before, sequence.after) <= value <= max(sequence.before, sequence.after)


def _extension_differences(
    extensions: Iterable[ExtensionFact], heads: Collection[Head], restored: Collection[str]
) -> Iterable[str]:
    carried = {entry.tag for head in heads for entry in head.entries if entry.desc == "EXTENSION"}
    for extension in extensions:
        if extension.name in carried and extension.name not in restored:
            yield f"extension {extension.name} is missing"
