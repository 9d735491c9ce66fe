# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In what a restored database may differ from its manifest, and in what not."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head, read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compare import (
    Comparison,
    Policies,
    Restored,
    compare,
    counted_tables,
    loaded_through,
    require_equal,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    ExtensionFact,
    LargeObjectsFact,
    Manifest,
    SequenceFact,
    TableFact,
    TableName,
)
from hypothesis import given
from hypothesis import strategies as st

from harness.manifests import make_manifest

HEAD = read_head(io.BytesIO((Path(__file__).parent / "archives" / "pg18_zstd.dump").read_bytes()), "object")
PLAIN = TableName(schema="public", name="plain")
COUNTED = TableName(schema="public", name="counted")
NO_POLICIES = Policies(enabled=False, forced=False, names=frozenset())


def make_table(**changes: Any) -> TableFact:
    facts = {"schema": "public", "name": "plain", "kind": "table", "rows": 20, "rows_by": "exact", "bytes": 100}
    return TableFact(**{**facts, **changes})


def make_restored(**changes: Any) -> Restored:
    facts: dict[str, Any] = {
        "tables": {PLAIN: NO_POLICIES},
        "sequences": {COUNTED: None},
        "extensions": frozenset({"pg_trgm"}),
        "large_objects": 0,
    }
    return Restored(**{**facts, **changes})


def differences(
    manifest: Manifest,
    restored: Restored | None = None,
    rows: int = 20,
    left_out: frozenset[tuple[str, str, str]] = frozenset(),
    heads: tuple[Head, ...] = (HEAD,),
) -> tuple[str, ...]:
    counts = {table.table: rows for table in counted_tables(manifest)}
    return compare(manifest, heads, restored or make_restored(), counts, left_out).differences


def test_equal_is_equal() -> None:
    manifest = make_manifest(tables=(make_table(),))
    comparison = compare(manifest, [HEAD], make_restored(), {PLAIN: 20}, frozenset())
    assert comparison == Comparison(tables=1, rows=20, differences=())
    require_equal(comparison, "db")


def test_other_numbers_of_rows_differ() -> None:
    (said,) = differences(make_manifest(tables=(make_table(),)), rows=19)
    assert said == "table public.plain has 19 rows instead of 20"


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "matview"},
        {"kind": "foreign"},
        {"kind": "partitioned"},
        {"data": False},
        {"rows": None},
        {"extension": "x"},
    ],
    ids=str,
)
def test_rows_that_a_restore_does_not_bring_are_not_counted(changes: dict[str, Any]) -> None:
    manifest = make_manifest(tables=(make_table(**changes),))
    assert counted_tables(manifest) == []
    assert differences(manifest) == ()


def copying(name: str, into: str) -> Entry:
    """The entry that brings a table's rows, by way of another one."""
    data = next(entry for entry in HEAD.entries if entry.desc == "TABLE DATA")
    return replace(data, namespace="public", tag=name, copy=f"COPY {into} (a, b) FROM stdin;\n")


def test_rows_that_are_loaded_through_a_root_may_move_between_its_partitions() -> None:
    names = [TableName(schema="public", name=name) for name in ("by_enum_0", 'by "enum" 1')]
    manifest = make_manifest(tables=tuple(make_table(name=name.name, rows=10) for name in names))
    through = replace(HEAD, entries=tuple(copying(name.name, 'public."by. (enum)"') for name in names))
    directly = replace(HEAD, entries=tuple(copying(name.name, name.quoted) for name in names))
    root = TableName(schema="public", name="by. (enum)")
    assert loaded_through([through]) == dict.fromkeys(names, root)
    assert loaded_through([directly, HEAD]) == {}

    def said(head: Head, *rows: int) -> tuple[str, ...]:
        restored = make_restored(tables=dict.fromkeys(names, NO_POLICIES))
        return compare(manifest, [head], restored, dict(zip(names, rows, strict=True)), frozenset()).differences

    assert said(through, 20, 0) == ()
    assert said(through, 19, 0) == ('table public."by. (enum)" has 19 rows instead of 20',)
    assert len(said(directly, 20, 0)) == 2


def test_partitions_that_were_not_all_counted_are_not_judged() -> None:
    tables = (make_table(name="one", rows=10), make_table(name="two", rows=None))
    through = replace(HEAD, entries=tuple(copying(table.name, "public.root") for table in tables))
    restored = make_restored(tables={table.table: NO_POLICIES for table in tables})
    counts = {tables[0].table: 7}
    assert compare(make_manifest(tables=tables), [through], restored, counts, frozenset()).differences == ()


def test_the_biggest_tables_are_counted_first() -> None:
    tables = tuple(make_table(name=str(size), bytes=size) for size in (5, 50, 500))
    assert [table.bytes for table in counted_tables(make_manifest(tables=tables))] == [500, 50, 5]


@pytest.mark.parametrize("kind", ["table", "matview", "foreign", "partitioned"])
def test_missing_tables_of_any_kind_differ(kind: str) -> None:
    manifest = make_manifest(tables=(make_table(kind=kind, rows=None),))
    assert differences(manifest, make_restored(tables={})) == ("table public.plain is missing",)


@pytest.mark.parametrize(("enabled", "forced"), [(True, False), (False, True), (True, True)])
def test_row_security_must_be_as_it_was(enabled: bool, forced: bool) -> None:
    on = make_manifest(tables=(make_table(row_security=enabled, row_security_forced=forced),))
    found = make_restored(tables={PLAIN: Policies(enabled=enabled, forced=forced, names=frozenset())})
    assert differences(on, found) == ()
    said = "row level security of public.plain is not as it was"
    assert differences(on) == (said,)
    assert differences(make_manifest(tables=(make_table(),)), found) == (said,)


def test_policies_must_be_the_same_but_for_those_left_out() -> None:
    manifest = make_manifest(tables=(make_table(policies=("a", "b")),))

    def found(*names: str) -> Restored:
        return make_restored(tables={PLAIN: Policies(enabled=False, forced=False, names=frozenset(names))})

    assert differences(manifest, found("a", "b")) == ()
    assert differences(manifest, found("a")) == ("table public.plain lacks policy b",)
    assert differences(manifest, found("a"), left_out=frozenset({("public", "plain", "b")})) == ()
    assert differences(manifest, found("a"), left_out=frozenset({("public", "other", "b")})) != ()
    assert differences(manifest, found("a", "b", "c")) == (
        "table public.plain has policy c, which the backup does not name",
    )


@pytest.mark.parametrize(
    ("before", "after", "increment", "cycle", "restored", "fine"),
    [
        (5, 5, 1, False, 5, True),
        (5, 5, 1, False, 4, False),
        (5, 9, 1, False, 7, True),
        (5, 9, 1, False, 10, False),
        (5, 9, 1, False, None, False),
        (-5, -9, -1, False, -7, True),
        (-5, -9, -1, False, -4, False),
        (None, None, 1, False, None, True),
        (None, None, 1, False, 1, False),
        (None, 9, 1, False, None, True),
        (None, 9, 1, False, 9, True),
        (None, 9, 1, False, 10, False),
        (None, -9, -1, False, -10, False),
        (None, -9, -1, False, -3, True),
        (98, 2, 1, True, 50, True),
        (5, 5, 1, True, 6, False),
    ],
)
def test_sequences_stand_between_their_readings(
    before: int | None, after: int | None, increment: int, cycle: bool, restored: int | None, fine: bool
) -> None:
    sequence = SequenceFact(
        schema="public", name="counted", before=before, after=after, increment=increment, cycle=cycle
    )
    said = differences(make_manifest(sequences=(sequence,)), make_restored(sequences={COUNTED: restored}))
    assert (said == ()) == fine


@given(st.integers(), st.integers(0, 1000), st.sampled_from([1, -1, 7, -7]), st.integers(0, 1000))
def test_any_value_drawn_in_between_is_fine(before: int, drawn: int, increment: int, at: int) -> None:
    at = min(at, drawn)
    sequence = SequenceFact(
        schema="public", name="counted", before=before, after=before + drawn * increment, increment=increment
    )
    restored = make_restored(sequences={COUNTED: before + at * increment})
    assert differences(make_manifest(sequences=(sequence,)), restored) == ()


def test_missing_sequences_differ_and_those_without_value_in_the_archive_do_not() -> None:
    sequence = SequenceFact(schema="public", name="counted", before=1, after=1)
    manifest = make_manifest(sequences=(sequence,))
    nothing = make_restored(sequences={})
    assert differences(manifest, nothing) == ("sequence public.counted is missing",)
    without = replace(HEAD, entries=tuple(entry for entry in HEAD.entries if entry.desc != "SEQUENCE SET"))
    assert differences(manifest, nothing, heads=(without,)) == ()


def test_extensions_that_the_archive_creates_must_be_there() -> None:
    manifest = make_manifest(
        extensions=(
            ExtensionFact(name="pg_trgm", version="1.6", schema="public"),
            ExtensionFact(name="plpgsql", version="1.0", schema="pg_catalog"),
        )
    )
    assert differences(manifest) == ()
    assert differences(manifest, make_restored(extensions=frozenset())) == ("extension pg_trgm is missing",)


def test_large_objects_are_counted() -> None:
    manifest = make_manifest(large_objects=LargeObjectsFact(count=2, bytes=100))
    assert differences(manifest) == ("0 large objects instead of 2",)
    assert differences(manifest, make_restored(large_objects=2)) == ()


def test_a_failure_names_the_first_ten_differences_and_carries_all() -> None:
    tables = tuple(make_table(name=f"t{number}") for number in range(12))
    comparison = compare(make_manifest(tables=tables), [HEAD], make_restored(), {}, frozenset())
    with pytest.raises(RunbookError, match=r"t9 is missing; and 2 more") as failure:
        require_equal(comparison, "db")
    assert failure.value.code == "restore_mismatch"
    assert len(failure.value.as_failure()["differences"]) == 12  # type: ignore[arg-type]
