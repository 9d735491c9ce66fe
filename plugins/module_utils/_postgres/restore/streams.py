# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All archives of a backup into a database, several streams at once (private to ops.runbooks).

First the definitions, then the rows, then what is made of rows: indexes, keys, triggers; some indexes are made before
everybody's rows are there (``meanwhile``). Rows stream from the store, one pg_restore for each archive, or for
each share of the only one (``segments``). What comes after them is the longest part of many restores:
pg_restore makes it in several sessions, which it can only from a file. That file holds definitions and nothing else.
Where the backup is a single archive, it is that one's head, which is a whole archive to pg_restore as long as nobody
asks it for rows.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.parallel import together
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head, rewrite_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ArchiveFact, TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.frozen import frozen
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.load import (
    Loading,
    arguments,
    ended_in_time,
    failed,
    fetch,
    listed,
    load,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.meanwhile import (
    Meanwhile,
    complete_tables,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.segments import (
    Share,
    load_share,
    require_head,
    shares,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.streams import SECTIONS

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects

PRE_DATA, DATA, POST_DATA = "pre-data", "data", "post-data"
_GRANTS = frozenset({"ACL", "DEFAULT ACL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One archive, as it was looked at before, and how it is changed on its way."""

    archive: ArchiveFact
    head: Head
    adaptation: Adaptation

    def ids(self, *sections: str) -> frozenset[int]:
        """Entries of these sections, by dump id."""
        return frozenset(entry.dump_id for entry, section in sections_of(self.head.entries) if section in sections)


def sections_of(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Each entry with the section in which it is restored.

    One without a section of its own (a comment, a label) belongs to that of its neighbour before it, as for pg_restore
    (``pg_backup_archiver.c``, ``ProcessArchiveRestoreOptions``). Grants come last whatever they are about, also as for
    pg_restore, which restores them after everything else: an owner may have taken from himself the right to load rows.
    """
    section = PRE_DATA
    for entry in entries:
        if entry.section != "none":
            section = entry.section
        yield entry, POST_DATA if entry.desc in _GRANTS else section


def load_all(store: Objects, parts: Sequence[Part], loading: Loading, jobs: int, context: Context) -> int:
    """Every archive of a backup; returns their bytes. Raises what ``load.load`` raises."""
    adapted = frozen([(part.head, part.adaptation) for part in parts])
    parts = [replace(part, adaptation=adaptation) for part, adaptation in zip(parts, adapted, strict=True)]
    total = _Total(loading.on_progress)
    loads = [replace(loading, on_progress=total.of(number)) for number, _part in enumerate(parts)]
    if len(parts) == 1:
        return _load_one(store, parts[0], loads[0], jobs, context)
    sections = next(part for part in parts if part.archive.role == SECTIONS)
    rows = [(part, stream) for part, stream in zip(parts, loads, strict=True) if part is not sections]
    rows.sort(key=lambda row: row[0].archive.bytes, reverse=True)
    body = fetch(store, sections.archive, sections.head)
    with definitions(sections, body[len(sections.head.raw) :], context) as path:
        _restore_from(path, sections, sections.ids(PRE_DATA), loading, 1, context)
        streams = [
            Stream(
                load=partial(load, store, part.archive, part.head, part.adaptation, stream, context),
                completes=tuple(complete_tables(part.head)),
            )
            for part, stream in rows
        ]
        made = _load_streams(streams, path, sections, loading, jobs, context)
        _restore_rest(path, sections, sections.ids(POST_DATA) - made, loading, jobs, context)
    return sum(part.archive.bytes for part in parts)


def _load_one(store: Objects, part: Part, loading: Loading, jobs: int, context: Context) -> int:
    """A backup of one archive: all of it from one stream, or the rows from several, and what is made of them too."""
    if jobs == 1:
        return load(store, part.archive, part.head, part.adaptation, loading, context)
    parted = shares(part.archive, jobs)
    made: frozenset[int] = frozenset()
    with definitions(part, b"", context) as path:
        if len(parted) > 1:
            require_head(store, part.archive, part.head)
            # Data without a block: large objects, still empty, and the values of sequences. Rows need the former.
            rows = frozenset(entry for share in parted for entry in share.entries)
            _restore_from(path, part, part.ids(PRE_DATA, DATA) - rows, loading, 1, context)
            made = _load_streams(_streams(store, part, parted, loading, context), path, part, loading, jobs, context)
        else:
            first = part.ids(PRE_DATA, DATA)
            load(store, part.archive, part.head, part.adaptation, loading, context, wanted=first)
        _restore_rest(path, part, part.ids(POST_DATA) - made, loading, jobs, context)
    return part.archive.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Rows that one session loads, and the tables that have all of theirs then."""

    load: Callable[[], int]
    completes: tuple[TableName, ...]


def _streams(store: Objects, part: Part, parted: Sequence[Share], loading: Loading, context: Context) -> list[Stream]:
    """One for each share of a single archive."""
    total = _Total(loading.on_progress)
    return [
        Stream(
            load=partial(
                load_share,
                store,
                part.archive,
                part.head,
                part.adaptation,
                share,
                replace(loading, on_progress=total.of(number)),
                context,
            ),
            completes=tuple(complete_tables(part.head, share.largest_first())),
        )
        for number, share in enumerate(parted)
    ]


def _load_streams(
    streams: Sequence[Stream], path: Path, part: Part, loading: Loading, jobs: int, context: Context
) -> frozenset[int]:
    """All rows, and meanwhile some of what the definitions in ``path`` make of them: those entries of ``part``."""
    meanwhile = Meanwhile(part.head, len(streams))

    def work(stream: Stream) -> None:
        meanwhile.began()
        stream.load()
        for entry in meanwhile.ended(stream.completes):
            _restore_from(path, part, frozenset({entry}), loading, 1, context)

    together([partial(work, stream) for stream in streams], jobs, loading.crew)
    return meanwhile.made


@contextmanager
def definitions(part: Part, rest: bytes, context: Context) -> Iterator[Path]:
    """A local archive without rows, for as long as it is needed, that nobody else can read: it holds definitions."""
    path = Path(context.tmpdir) / "definitions.dump"
    try:
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(rewrite_head(part.head, part.adaptation.changes))
            file.write(rest)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _restore_rest(
    path: Path, part: Part, entries: frozenset[int], loading: Loading, jobs: int, context: Context
) -> None:
    """What is made of rows, by ``jobs`` sessions where they cannot stand in each other's way."""
    for step, sessions in in_turn(part.head.entries, entries, jobs):
        _restore_from(path, part, step, loading, sessions, context)


def in_turn(entries: Sequence[Entry], wanted: frozenset[int], jobs: int) -> list[tuple[frozenset[int], int]]:
    """Dump ids of ``wanted`` in the order in which they are restored, and in how many sessions.

    An index of a partition that is attached to its parent's locks its table and then the indexes, and a foreign key
    those indexes and then the table. pg_restore lets both run at once, since it knows only of the tables that an entry
    names (``pg_backup_archiver.c``, ``identify_locking_dependencies``), and PostgreSQL ends one of them as a deadlock.
    So all indexes come first, then they are attached, which takes no time, and then all else.
    """
    made: set[int] = set()
    attached: set[int] = set()
    for entry in (entry for entry in entries if entry.dump_id in wanted):
        needs = wanted.intersection(entry.depends_on)
        if entry.desc in ("INDEX", "CONSTRAINT") and needs <= made:
            made.add(entry.dump_id)
        elif entry.desc == "INDEX ATTACH" and needs <= made | attached:
            attached.add(entry.dump_id)
    if jobs == 1 or not attached:
        return [(wanted, jobs)]
    return [(frozenset(made), jobs), (frozenset(attached), 1), (wanted - made - attached, jobs)]


def _restore_from(
    path: Path, part: Part, entries: frozenset[int], loading: Loading, jobs: int, context: Context
) -> None:
    """Some entries of a local archive, by dump id, by ``jobs`` sessions."""
    listing = part.adaptation.listing(part.head, entries)
    if not listing:
        return
    argv = [
        *arguments(loading),
        # Several may be at work, each on entries of its own.
        *listed(listing, path.with_suffix(f".{min(entries)}.list")),
        *([f"--jobs={jobs}"] if jobs > 1 else []),
        str(path),
    ]
    context.effect(f"restore {len(entries)} entries of {part.archive.key} into {loading.label}")
    with process.start(
        argv, context=context, env=loading.environment, stdout=process.DEVNULL, name="pg_restore"
    ) as child:
        with loading.crew.joined(child), ended_in_time(child, loading.time_left()):
            status = child.wait()
        loading.time_left()
        said = child.stderr_tail()
    if status != 0:
        # Another run that has taken the lock over drops this database: then that is the reason, not pg_restore.
        context.effect(f"go on loading {loading.label}")
        raise failed(loading, said, status)


class _Total:
    """What several streams have read together."""

    def __init__(self, on_progress: Callable[[int], None]) -> None:
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._read: dict[int, int] = {}

    def of(self, number: int) -> Callable[[int], None]:
        """The ``on_progress`` of one stream."""

        def report(read: int) -> None:
            with self._lock:
                self._read[number] = read
                total = sum(self._read.values())
            self._on_progress(total)

        return report
