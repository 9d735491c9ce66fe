# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One archive into a database by several sessions, each of which reads its own part (private to ops.runbooks).

Where the rows of each table lie in the archive was noted when it was written (``segments.Segmented``). Each pg_restore
gets the head of the archive and then the segments that are its own, which is a whole archive to it: it looks for the
blocks of the entries that it was told to restore, and finds them one behind the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head, rewrite_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.segments import ByBlocks, ByHash, Judged
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ArchiveFact, SegmentFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.load import (
    CHUNK,
    Loading,
    damaged,
    failed,
    feed,
    read_on,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one session loads: these segments, and these entries of the table of contents (dump ids)."""

    segments: tuple[SegmentFact, ...]
    entries: frozenset[int]

    def largest_first(self) -> list[int]:
        """The entries, those with the most bytes first."""
        segments = sorted(self.segments, key=lambda segment: segment.bytes, reverse=True)
        return [entry for segment in segments for entry in segment.entries]


def shares(archive: ArchiveFact, jobs: int) -> list[Share]:
    """The rows of an archive for at most ``jobs`` sessions; the largest segment goes to whoever has the least."""
    piles: list[list[SegmentFact]] = [[] for _job in range(jobs)]
    for segment in sorted(archive.segments[1:], key=lambda each: each.bytes, reverse=True):
        min(piles, key=lambda pile: sum(each.bytes for each in pile)).append(segment)
    piles = [sorted(pile, key=lambda each: each.offset) for pile in piles if pile]
    return [
        Share(segments=tuple(pile), entries=frozenset(entry for each in pile for entry in each.entries))
        for pile in piles
    ]


def require_head(store: Objects, archive: ArchiveFact, head: Head) -> None:
    """Fail with ``object_corrupt`` where the head that was looked at is not the one that was written.

    Nor may the segments have other rows than it: nobody would load those that none of them names.
    """
    first, rows = archive.segments[0], archive.segments[1:]
    same = archive.age is not None or hashlib.sha256(head.raw).hexdigest() == first.sha256
    if len(head.raw) != first.bytes or not same:
        raise damaged(store, archive, "object_corrupt", "its table of contents is not the one that was written")
    if {entry for each in rows for entry in each.entries} != {each.dump_id for each in head.entries if each.has_data}:
        reason = "the rows in its table of contents are not those of its segments in the manifest, which was changed"
        raise damaged(store, archive, "object_corrupt", reason)


def load_share(
    store: Objects,
    archive: ArchiveFact,
    head: Head,
    adaptation: Adaptation,
    share: Share,
    loading: Loading,
    context: Context,
) -> int:
    """Stream one share into the database and return its bytes. Raises what ``load.load`` raises."""
    pieces = _pieces(store, archive, share.segments)
    name = f"{archive.key.rpartition('/')[2]}.{share.segments[0].offset}"
    listing = adaptation.listing(head, share.entries)
    status, said = feed(name, listing, rewrite_head(head, adaptation.changes), pieces, loading, context)
    read_on(pieces, loading)
    if status != 0:
        raise failed(loading, said, status)
    return sum(segment.bytes for segment in share.segments)


def _pieces(store: Objects, archive: ArchiveFact, segments: Sequence[SegmentFact]) -> Iterator[bytes]:
    """Segment after segment, each judged at its end."""
    for segment in segments:
        judged: Judged = ByHash(segment) if archive.age is None else ByBlocks(segment)
        left = segment.bytes
        with store.open(archive.key, segment.offset, segment.bytes) as stream:
            while left and (piece := stream.read(min(CHUNK, left))):
                judged.take(piece)
                left -= len(piece)
                yield piece
        if left or not judged.as_written:
            what = "the SHA-256 of {} is not what" if archive.age is None else "{} are not the rows that"
            place = f"bytes {segment.offset} to {segment.offset + segment.bytes - 1}"
            raise damaged(store, archive, "object_corrupt", f"{what.format(place)} the manifest says")
