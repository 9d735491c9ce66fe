# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the rows of each table lie in an archive that streams by (private to ops.runbooks).

pg_dump writes a custom-format archive into a pipe as its head and then one block per table, in the order of the table
of contents, and notes nowhere where a block begins. Whoever restores from a stream therefore reads block after block,
by one session. Here the blocks are measured while the archive is written, so that several sessions can load one archive
later, each reading only its own part of it from the store.

A block is, in ``pg_backup_custom.c`` of PostgreSQL 14 to 18, a byte for its kind, the dump id of its entry, and its
pieces: a length and that many bytes each, until a length of 0 (``_StartData``, ``_CustomWriteFunc``, ``_EndData``).
One of large objects has such pieces for each object behind its oid, until an oid of 0 (``_StartLO``, ``_EndLOs``).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Generator, Iterator, Sequence
from io import BytesIO
from typing import Protocol

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Source
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head, read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_reader import HEAD_LIMIT
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import SegmentFact

#: Small blocks that follow each other make one segment until it has so many bytes, and this share of all before it: so
#: there are some hundred segments in the largest of archives, and no more requests to read them.
SMALLEST = 64 << 10
_SHARE = 64
#: The largest head that is kept while it streams by; an archive with a larger one is restored by one session.
_HEAD_LIMIT = 16 << 20
_DATA, _LARGE_OBJECTS = 1, 3
_INTEGER = struct.Struct("<BI")


class Segmented:
    """A source that measures the archive which is read from it; :meth:`found` says what, once it has ended.

    Of one that is about to be encrypted the head is kept (``head``), since whoever encrypts cannot read it back, and
    nothing is hashed (see ``model.AgeFact``).
    """

    def __init__(self, source: Source, *, sealed: bool = False) -> None:
        self.head: Head | None = None
        self._source = source
        self._sealed = sealed
        self._head_limit = HEAD_LIMIT if sealed else _HEAD_LIMIT
        self._head: bytearray | None = bytearray()
        self._tried = 0
        self._blocks: _Blocks | None = None
        self._under_way = _UnderWay(0, hashed=not sealed)
        self._segments: list[SegmentFact] = []

    def readinto(self, buffer: memoryview, /) -> int | None:
        """See ``store.Source``."""
        count = self._source.readinto(buffer)
        if count:
            self._look(buffer[:count])
        return count

    def found(self) -> tuple[SegmentFact, ...]:
        """What was read, in segments, of which the first is the head; none where it could not be followed to its end.

        That is so for a head that is larger than any usual one, for an archive without compression (it has a piece per
        row, too many to be followed on the way), and for a layout that is not the one known here.
        """
        if self._head is not None:
            self._tried = 0
            self._find_head(self._head)
        if self._blocks is None or not self._blocks.between:
            return ()
        rest = self._under_way.ended()
        return (*self._segments, rest) if rest.bytes else tuple(self._segments)

    def _look(self, piece: memoryview) -> None:
        if self._head is not None:
            self._head += piece
            self._find_head(self._head)
        elif self._blocks is not None:
            self._follow(self._blocks, piece)

    def _find_head(self, read: bytearray) -> None:
        """Try when twice as much is there as the last time: so a head is parsed few times however large it is."""
        if len(read) < 2 * self._tried:
            return
        self._tried = len(read)
        try:
            head = read_head(BytesIO(read), "the archive")
        except RunbookError as error:
            if self._sealed and error.code == "backup_unusable":
                raise  # nobody could look at it later, and no more of it makes it a known one
            self._head = read if self._tried <= self._head_limit else None
            return
        self._head = None
        self.head = head if self._sealed else None
        if head.compression != "none":
            self._under_way.take(head.raw)
            self._end_segment()
            self._blocks = _Blocks()
            self._follow(self._blocks, memoryview(read)[len(head.raw) :])

    def _follow(self, blocks: _Blocks, piece: memoryview) -> None:
        taken = 0
        try:
            for end in blocks.follow(piece):
                self._under_way.take(piece[taken:end])
                self._under_way.entries += blocks.ended
                blocks.ended.clear()
                taken = end
                if self._under_way.bytes >= max(SMALLEST, self._under_way.offset // _SHARE):
                    self._end_segment()
        except ValueError:
            self._blocks = None
            return
        self._under_way.take(piece[taken:])

    def _end_segment(self) -> None:
        ended = self._under_way.ended()
        self._segments.append(ended)
        self._under_way = _UnderWay(ended.offset + ended.bytes, hashed=not self._sealed)


class _UnderWay:
    """A segment of which the end has not come by."""

    def __init__(self, offset: int, *, hashed: bool) -> None:
        self.offset = offset
        self._digest = hashlib.sha256() if hashed else None
        self.bytes = 0
        self.entries: list[int] = []

    def take(self, piece: bytes | memoryview) -> None:
        if self._digest is not None:
            self._digest.update(piece)
        self.bytes += len(piece)

    def ended(self) -> SegmentFact:
        sha256 = "" if self._digest is None else self._digest.hexdigest()
        return SegmentFact(offset=self.offset, bytes=self.bytes, sha256=sha256, entries=tuple(self.entries))


class Judged(Protocol):
    """A segment that is read once more; ``as_written`` is known at its end."""

    def take(self, piece: bytes) -> None:
        """The next bytes of it."""

    @property
    def as_written(self) -> bool:
        """Whether it was what the manifest says, from its first byte to its last."""


class ByHash:
    """One whose hash the manifest has."""

    def __init__(self, segment: SegmentFact) -> None:
        self._wanted = segment.sha256
        self._digest = hashlib.sha256()

    def take(self, piece: bytes) -> None:
        self._digest.update(piece)

    @property
    def as_written(self) -> bool:
        return self._digest.hexdigest() == self._wanted


class ByBlocks:
    """One without a hash, since it was encrypted: decrypting has said that nobody has changed it.

    What remains is whether it begins and ends where the manifest says, which anybody may have changed who can write to
    the store: it has to be whole blocks, those of its entries.
    """

    def __init__(self, segment: SegmentFact) -> None:
        self._wanted = segment.entries
        self._found: list[int] = []
        self._blocks: _Blocks | None = _Blocks()

    def take(self, piece: bytes) -> None:
        if self._blocks is None:
            return
        try:
            for _end in self._blocks.follow(memoryview(piece)):
                self._found += self._blocks.ended
                self._blocks.ended.clear()
        except ValueError:
            self._blocks = None

    @property
    def as_written(self) -> bool:
        return self._blocks is not None and self._blocks.between and tuple(self._found) == self._wanted


class Retraced:
    """A whole archive that is read once more: whether each of its segments lies where the manifest says."""

    def __init__(self, segments: Sequence[SegmentFact]) -> None:
        self._waiting = list(reversed(segments[1:]))
        self._left = segments[0].bytes if segments else 0
        self._judged: ByBlocks | None = None
        self.as_written = True

    def take(self, piece: bytes) -> None:
        """The next bytes of it."""
        taken = 0
        while taken < len(piece) and (self._left or self._next()):
            count = min(self._left, len(piece) - taken)
            if self._judged is not None:
                self._judged.take(piece[taken : taken + count])
            taken += count
            self._left -= count
            if not self._left and self._judged is not None:
                self.as_written = self.as_written and self._judged.as_written

    def _next(self) -> bool:
        if not self._waiting:
            return False
        segment = self._waiting.pop()
        self._left, self._judged = segment.bytes, ByBlocks(segment)
        return True


#: Asks for so many bytes to look at, or, where negative, for so many to pass over.
_Steps = Generator[int, bytes, None]


class _Blocks:
    """Follows the blocks of an archive through the pieces in which it comes."""

    def __init__(self) -> None:
        #: Entries whose blocks have ended; whoever reads them clears the list.
        self.ended: list[int] = []
        self._steps = self._walk()
        self._wanted = next(self._steps)
        self._taken = bytearray()
        self._passed = 0
        self._within = False

    @property
    def between(self) -> bool:
        """Whether the next byte begins a block."""
        return not self._within

    def follow(self, piece: memoryview) -> Iterator[int]:
        """The places in ``piece`` at which a block ends. Raises ValueError for what is no block."""
        at = 0
        while at < len(piece):
            lacking = abs(self._wanted) - len(self._taken) - self._passed
            step = min(lacking, len(piece) - at)
            if self._wanted > 0:
                self._taken += piece[at : at + step]
            else:
                self._passed += step
            at += step
            self._within = True
            if step == lacking:
                answer, self._taken, self._passed = bytes(self._taken), bytearray(), 0
                self._wanted = self._steps.send(answer)
            if self.ended:
                self._within = False
                yield at

    def _walk(self) -> _Steps:
        while True:
            kind = (yield 1)[0]
            entry = _integer((yield _INTEGER.size))
            if kind == _DATA:
                yield from self._pieces()
            elif kind == _LARGE_OBJECTS:
                while _integer((yield _INTEGER.size)):
                    yield from self._pieces()
            else:
                raise ValueError(f"there is no block of kind {kind}")
            self.ended.append(entry)

    def _pieces(self) -> _Steps:
        while length := _integer((yield _INTEGER.size)):
            if length < 0:
                raise ValueError(f"a piece has {length} bytes")
            yield -length


def _integer(field: bytes) -> int:
    """See ``archive_reader.HeadReader.integer``."""
    sign, value = _INTEGER.unpack(field)
    return -int(value) if sign else int(value)
