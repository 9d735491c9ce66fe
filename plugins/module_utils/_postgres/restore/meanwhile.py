# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a session does that has loaded its rows while others still load theirs (private to ops.runbooks).

It makes indexes of the tables that are complete: the largest table often takes as long as all others together, and
whoever loaded the others would wait for it. Only such indexes are made early as ask for nothing but the columns of
their table. An index on the result of a function may read other tables through it, which are not there yet.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compare import loaded_through
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableName

#: As pg_get_indexdef and pg_dump write them; one parenthesis more is an expression, a condition or an option.
_PLAIN = re.compile(
    r"\A(?:CREATE (?:UNIQUE )?INDEX [^(]+ USING btree|ALTER TABLE [^(]+ (?:PRIMARY KEY|UNIQUE)) \([^()]*\);\s*\Z"
)


class Meanwhile:
    """The indexes that one restore may make early. ``streams`` load rows; each says when it begins and when it ends."""

    def __init__(self, definitions: Head, streams: int) -> None:
        self._indexes = plain_indexes(definitions.entries)
        self._waiting, self._running = streams, 0
        self._lock = threading.Lock()
        self._ready: list[int] = []
        self._made: set[int] = set()

    @property
    def made(self) -> frozenset[int]:
        """Entries that somebody has made, or has begun to make, by dump id."""
        with self._lock:
            return frozenset(self._made)

    def began(self) -> None:
        """A stream loads from now on."""
        with self._lock:
            self._waiting -= 1
            self._running += 1

    def ended(self, tables: Sequence[TableName]) -> Iterator[int]:
        """A stream has loaded all rows of these tables, the largest first.

        Yields the indexes to make meanwhile, one by one, long ones first: what is left for the end is short then, and
        can be shared evenly. There are no more once a stream waits for a session, or no other stream loads.
        """
        with self._lock:
            self._running -= 1
            for table in tables:
                self._ready += self._indexes.pop(table, [])
        while (entry := self._next()) is not None:
            yield entry

    def _next(self) -> int | None:
        with self._lock:
            if self._waiting or not self._running or not self._ready:
                return None
            entry = self._ready.pop(0)
            self._made.add(entry)
            return entry


def plain_indexes(entries: Sequence[Entry]) -> dict[TableName, list[int]]:
    """Indexes, and keys that are one, on nothing but columns of their table: dump ids by table."""
    tables = {entry.dump_id: _name(entry) for entry in entries if entry.desc == "TABLE"}
    found: dict[TableName, list[int]] = {}
    for entry in entries:
        if entry.desc in ("INDEX", "CONSTRAINT") and _PLAIN.match(entry.defn or ""):
            for table in {tables[each] for each in entry.depends_on if each in tables}:
                found.setdefault(table, []).append(entry.dump_id)
    return found


def complete_tables(head: Head, entries: Sequence[int] | None = None) -> list[TableName]:
    """Tables whose rows are among ``entries`` (all where None), in their order: those whose own COPY is all that puts
    rows into them.
    """
    if loaded_through([head]):
        return []
    rows = {entry.dump_id: _name(entry) for entry in head.entries if entry.desc == "TABLE DATA"}
    return [rows[entry] for entry in (rows if entries is None else entries) if entry in rows]


def _name(entry: Entry) -> TableName:
    return TableName(schema=entry.namespace or "", name=entry.tag)
