# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which archives a backup is cut into so that several pg_dump work at once (private to ops.runbooks); pure.

pg_dump streams one table after the other. Several of them, on one snapshot, share the work where big tables get an
archive each. Everything else stays in one archive, ``rest``, which is chosen by exclusion only: what is new to
PostgreSQL, or to us, is in there and not nowhere. The definitions are a small archive of their own, which a restore
needs twice, before the rows and after them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import (
    DEFAULT_BUDGET,
    DEFAULT_PART,
    MIB,
    SMALLEST_PART,
    part_size_for,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import Relation, Scope

#: The parts that archives have in a backup, in the order in which they are restored by hand.
WHOLE, SECTIONS, REST, TABLE = "whole", "sections", "rest", "table"
#: Each job is a session that works on the server, and a connection of the few that it has.
MOST_JOBS = 16
#: Each pg_dump reads the catalog anew, so that ever smaller archives cost more than they bring.
_MOST_TABLES = 64
#: Parts in flight for each stream while the next one fills.
_PARTS_EACH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One archive to be: its name, what pg_dump is told beside the common arguments, the bytes expected at most."""

    role: str
    file: str
    arguments: tuple[str, ...]
    bytes: int
    part_size: int
    table: Relation | None = None


def plan_streams(
    scope: Scope,
    sizes: Mapping[int, int],
    *,
    jobs: int,
    least: int,
    total: int,
    through_root: Collection[int],
    compression: str,
) -> tuple[Stream, ...]:
    """The archives of a backup, in the order in which they are restored by hand; one where more would not pay.

    ``sizes`` are bytes by oid, ``total`` those of the database, ``least`` is the smallest table that gets an archive of
    its own, and ``through_root`` are tables that pg_dump loads through the root of their partitions: those stay with
    the rest, since their rows come to lie elsewhere.
    """
    big = _biggest(scope, sizes, jobs, least, through_root) if jobs > 1 else ()
    if not big:
        part_size = part_size_for(total, compression)
        return (Stream(role=WHOLE, file="database.dump", arguments=scope.arguments, bytes=total, part_size=part_size),)
    left = max(total - sum(sizes.get(each.oid, 0) for each in big), 0)
    without = tuple(f"--exclude-table-data={each.name.quoted}" for each in big)
    parts = _PartSizes(jobs, compression)
    return (
        Stream(
            role=SECTIONS,
            file="sections.dump",
            arguments=("--section=pre-data", "--section=post-data", *scope.arguments),
            bytes=0,
            part_size=parts.of(0),
        ),
        Stream(
            role=REST,
            file="rest.dump",
            arguments=("--section=data", *scope.arguments, *without),
            bytes=left,
            part_size=parts.of(left),
        ),
        *(_table_stream(number, each, sizes.get(each.oid, 0), parts) for number, each in enumerate(big, start=1)),
    )


def in_order_of_work(streams: Sequence[Stream]) -> list[Stream]:
    """The longest first, so that no stream works alone at the end for longer than it must."""
    return sorted(streams, key=lambda stream: stream.bytes, reverse=True)


def _table_stream(number: int, table: Relation, size: int, parts: _PartSizes) -> Stream:
    return Stream(
        role=TABLE,
        file=f"table-{number:03}.dump",
        arguments=("--section=data", "--strict-names", f"--table={table.name.quoted}"),
        bytes=size,
        part_size=parts.of(size),
        table=table,
    )


def _biggest(
    scope: Scope, sizes: Mapping[int, int], jobs: int, least: int, through_root: Collection[int]
) -> tuple[Relation, ...]:
    """Tables from the biggest down, until what is left is no more than half of one job's share."""
    able = [
        each
        for each in scope.tables
        if each.oid in scope.data
        and each.extension is None
        and each.oid not in through_root
        and sizes.get(each.oid, 0) >= least
    ]
    able.sort(key=lambda each: (-sizes.get(each.oid, 0), each.name.schema, each.name.name))
    left = total = sum(sizes.get(oid, 0) for oid in scope.data)
    chosen: list[Relation] = []
    for each in able[:_MOST_TABLES]:
        if left * 2 * jobs <= total:
            break
        chosen.append(each)
        left -= sizes.get(each.oid, 0)
    return tuple(chosen)


class _PartSizes:
    """Parts small enough for each of several streams to have a few of them in the one budget of memory."""

    def __init__(self, jobs: int, compression: str) -> None:
        share = DEFAULT_BUDGET // (_PARTS_EACH * jobs) // MIB * MIB
        self._least = min(max(share, SMALLEST_PART), DEFAULT_PART)
        self._compression = compression

    def of(self, size: int) -> int:
        """For a stream of ``size`` bytes on the server."""
        return part_size_for(size, self._compression, least=self._least)
