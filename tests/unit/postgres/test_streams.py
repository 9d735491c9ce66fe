# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which archives a backup is cut into."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import DEFAULT_BUDGET, MIB
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import Relation, Scope
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.streams import (
    Stream,
    in_order_of_work,
    plan_streams,
)
from hypothesis import given
from hypothesis import strategies as st

LEAST = 32 * MIB


def scope_of(sizes: Mapping[int, int], *, dataless: Collection[int] = (), extension: Collection[int] = ()) -> Scope:
    tables = tuple(
        Relation(
            oid=oid,
            name=TableName(schema="public", name=f"t{oid}"),
            kind="r",
            extension="x" if oid in extension else None,
            extension_config=oid in extension,
        )
        for oid in sizes
    )
    data = frozenset(sizes) - frozenset(dataless)
    return Scope(tables=tables, data=data, sequences=(), large_objects=True, arguments=("--chosen",))


def planned(sizes: Mapping[int, int], jobs: int = 2, **changes: Collection[int]) -> tuple[Stream, ...]:
    through_root = changes.pop("through_root", ())
    return plan_streams(
        scope_of(sizes, **changes),
        sizes,
        jobs=jobs,
        least=LEAST,
        total=sum(sizes.values()),
        through_root=through_root,
        compression="zstd",
    )


def tables(streams: tuple[Stream, ...]) -> list[int]:
    return [stream.table.oid for stream in streams if stream.table]


def roles(streams: tuple[Stream, ...]) -> list[str]:
    return [stream.role for stream in streams]


@pytest.mark.parametrize(
    ("sizes", "jobs"),
    [({1: 900 * MIB, 2: 900 * MIB}, 1), ({1: 31 * MIB, 2: MIB}, 4), ({}, 4), ({1: 0}, 2)],
    ids=["one job", "nothing is big", "no tables", "empty tables"],
)
def test_one_archive_where_more_would_not_pay(sizes: Mapping[int, int], jobs: int) -> None:
    (stream,) = planned(sizes, jobs)
    assert (stream.role, stream.file, stream.arguments) == ("whole", "database.dump", ("--chosen",))


def test_two_equal_tables_share_the_work() -> None:
    streams = planned({1: 500 * MIB, 2: 500 * MIB, 3: MIB})
    assert roles(streams) == ["sections", "rest", "table", "table"]
    assert tables(streams) == [1, 2]
    sections, rest, first, _second = streams
    assert sections.arguments == ("--section=pre-data", "--section=post-data", "--chosen")
    assert rest.arguments == (
        "--section=data",
        "--chosen",
        '--exclude-table-data="public"."t1"',
        '--exclude-table-data="public"."t2"',
    )
    assert first.arguments == ("--section=data", "--strict-names", '--table="public"."t1"')
    assert [each.file for each in in_order_of_work(streams)] == [
        "table-001.dump",
        "table-002.dump",
        "rest.dump",
        "sections.dump",
    ]


def test_one_table_that_is_nearly_everything_is_enough() -> None:
    assert tables(planned({1: 9000 * MIB, 2: 500 * MIB, 3: 500 * MIB})) == [1]


def test_what_cannot_be_taken_by_itself_stays_with_the_rest() -> None:
    sizes = dict.fromkeys(range(1, 6), 100 * MIB)
    assert tables(planned(sizes, 4, dataless=[1], extension=[2], through_root=[3])) == [4, 5]


@given(
    st.lists(st.integers(0, 4000 * MIB), max_size=90),
    st.integers(2, 16),
)
def test_every_table_is_in_exactly_one_archive(tables_of: list[int], jobs: int) -> None:
    sizes = dict(enumerate(tables_of, start=1))
    streams = planned(sizes, jobs)
    alone = tables(streams)
    assert len(set(alone)) == len(alone) <= 64
    assert all(sizes[oid] >= LEAST for oid in alone)
    if alone:
        excluded = {argument for argument in streams[1].arguments if argument.startswith("--exclude-table-data=")}
        assert excluded == {f'--exclude-table-data="public"."t{oid}"' for oid in alone}
        assert sum(stream.bytes for stream in streams) == sum(sizes.values())
    else:
        assert roles(streams) == ["whole"]


@pytest.mark.parametrize("jobs", [2, 4, 16])
def test_every_stream_has_parts_to_fill_and_to_send_within_the_budget(jobs: int) -> None:
    streams = planned(dict.fromkeys(range(1, 20), 500 * MIB), jobs)
    in_flight = jobs * max(stream.part_size for stream in streams)
    assert in_flight * 2 <= DEFAULT_BUDGET or jobs == 16
    assert min(stream.part_size for stream in streams) >= 5 * MIB


def test_a_table_of_terabytes_has_larger_parts() -> None:
    streams = planned({1: 10_000_000 * MIB, 2: 100 * MIB}, 4)
    assert next(stream for stream in streams if stream.table).part_size > 1000 * MIB
