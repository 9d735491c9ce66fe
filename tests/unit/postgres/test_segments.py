# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of each table in an archive that streams by, and who loads which of them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup import segments
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.segments import (
    ByBlocks,
    Retraced,
    Segmented,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ArchiveFact, SegmentFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.load import Loading, read_on
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.segments import require_head, shares
from hypothesis import example, given
from hypothesis import strategies as st

ARCHIVES = {path.stem: path.read_bytes() for path in (Path(__file__).parent / "archives").glob("*.dump")}
COMPRESSED = sorted(name for name in ARCHIVES if not name.endswith("_none"))


class Pieces:
    """A source that gives the body in pieces of these sizes, over and over."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        self._stream = io.BytesIO(body)
        self._sizes = sizes
        self._count = 0

    def readinto(self, buffer: memoryview, /) -> int:
        size = self._sizes[self._count % len(self._sizes)]
        self._count += 1
        return self._stream.readinto(buffer[:size])


def segments_of(body: bytes, sizes: list[int]) -> tuple[SegmentFact, ...]:
    source = Segmented(Pieces(body, sizes))
    with memoryview(bytearray(1 << 20)) as buffer:
        while source.readinto(buffer):
            continue
    return source.found()


@pytest.fixture(autouse=True)
def _each_block_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SMALLEST", 1)
    monkeypatch.setattr(segments, "_SHARE", 1 << 30)


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("sizes", [[1 << 20], [4096], [1], [5, 1, 700]])
def test_every_block_of_real_archives(name: str, sizes: list[int]) -> None:
    body = ARCHIVES[name]
    head = read_head(io.BytesIO(body), name)
    found = segments_of(body, sizes)
    assert found[0] == SegmentFact(offset=0, bytes=len(head.raw), sha256=hashlib.sha256(head.raw).hexdigest())
    end = 0
    for each in found:
        assert each.offset == end
        end += each.bytes
        assert each.sha256 == hashlib.sha256(body[each.offset : end]).hexdigest()
    assert end == len(body)
    written = [entry.dump_id for entry in head.entries if entry.has_data]
    assert [entry for each in found for entry in each.entries] == written
    assert len(found) == 1 + len(written)


def test_small_blocks_are_one_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SMALLEST", 1 << 30)
    body = ARCHIVES["pg18_zstd"]
    head, rows = segments_of(body, [1000])
    assert head.bytes + rows.bytes == len(body)
    assert len(rows.entries) > 1


def test_without_compression_it_is_read_whole() -> None:
    assert segments_of(ARCHIVES["pg15_none"], [4096]) == ()


@given(place=st.integers(0, len(ARCHIVES["pg18_zstd"]) - 1), size=st.integers(1, 5000))
def test_what_was_cut_has_segments_only_between_blocks(place: int, size: int) -> None:
    body = ARCHIVES["pg18_zstd"]
    ends = {each.offset + each.bytes for each in segments_of(body, [1 << 20])}
    found = segments_of(body[:place], [size])
    assert bool(found) == (place in ends)
    assert sum(each.bytes for each in found) in (0, place)


@given(place=st.integers(0, len(ARCHIVES["pg18_zstd"]) - 1), value=st.integers(0, 255), size=st.integers(1, 5000))
@example(place=162, value=0, size=1)  # a zero byte in the name of the encoding
def test_whatever_streams_by_it_only_looks(place: int, value: int, size: int) -> None:
    body = bytearray(ARCHIVES["pg18_zstd"])
    body[place] = value
    found = segments_of(bytes(body), [size])
    assert sum(each.bytes for each in found) in (0, len(body))


def archive(*sizes: int) -> ArchiveFact:
    """A head of 100 bytes, then a segment for each size, with the entries 1, 2 and so on."""
    facts, end = [SegmentFact(offset=0, bytes=100, sha256="head")], 100
    for number, size in enumerate(sizes, start=1):
        facts.append(SegmentFact(offset=end, bytes=size, sha256=str(number), entries=(number,)))
        end += size
    return ArchiveFact(key="database.dump", bytes=end, sha256="all", entries=len(sizes), segments=tuple(facts))


def test_the_largest_goes_to_whoever_has_the_least() -> None:
    first, second = shares(archive(10, 50, 20, 30), 2)
    assert [each.bytes for each in first.segments] == [10, 50]
    assert [each.bytes for each in second.segments] == [20, 30]
    assert first.entries == {1, 2}
    assert second.entries == {3, 4}
    assert (first.largest_first(), second.largest_first()) == ([2, 1], [4, 3])


@given(sizes=st.lists(st.integers(1, 1000), max_size=30), jobs=st.integers(1, 16))
def test_everything_is_loaded_once(sizes: list[int], jobs: int) -> None:
    found = shares(archive(*sizes), jobs)
    assert len(found) == min(jobs, len(sizes))
    assert sorted(entry for share in found for entry in share.entries) == list(range(1, len(sizes) + 1))
    assert sum(each.bytes for share in found for each in share.segments) == sum(sizes)
    assert all(list(each.segments) == sorted(each.segments, key=lambda one: one.offset) for each in found)


def test_nobody_reads_on_for_a_restore_that_has_failed_elsewhere() -> None:
    loading = Loading(
        tool="pg_restore",
        dbname="",
        environment={},
        options=(),
        label="here",
        on_progress=lambda _size: None,
        time_left=lambda: None,
    )
    pieces = iter([b"1", b"2", b"3"])
    read_on(iter([b"0"]), loading)
    loading.crew.dismiss()
    with pytest.raises(RunbookError, match="another stream has failed"):
        read_on(pieces, loading)
    assert list(pieces) == [b"2", b"3"]


def test_another_head_than_the_one_that_was_written_is_damage() -> None:
    body = ARCHIVES["pg18_zstd"]
    head = read_head(io.BytesIO(body), "database.dump")
    fact = ArchiveFact(
        key="database.dump",
        bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        entries=len(head.entries),
        segments=segments_of(body, [4096]),
    )
    store = SimpleNamespace(url="file:///store")
    require_head(store, fact, head)  # type: ignore[arg-type]
    with pytest.raises(RunbookError, match="table of contents is not the one that was written"):
        require_head(store, fact, replace(head, raw=head.raw[:-1] + b"\xff"))  # type: ignore[arg-type]
    *_others, last = fact.segments
    unnamed = replace(fact, segments=(*_others, replace(last, entries=())))
    with pytest.raises(RunbookError, match="not those of its segments") as caught:
        require_head(store, unnamed, head)  # type: ignore[arg-type]
    assert (caught.value.code, "database.dump" in caught.value.object) == ("object_corrupt", True)


def moved(found: tuple[SegmentFact, ...]) -> tuple[SegmentFact, ...]:
    """The border between the last two segments is a byte further on."""
    *others, one, last = found
    return (*others, replace(one, bytes=one.bytes + 1), replace(last, offset=last.offset + 1, bytes=last.bytes - 1))


def exchanged(found: tuple[SegmentFact, ...]) -> tuple[SegmentFact, ...]:
    """The rows of the last two segments are called each other's."""
    *others, one, last = found
    return (*others, replace(one, entries=last.entries), replace(last, entries=one.entries))


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_segments_of_what_was_encrypted_are_judged_by_their_blocks(name: str, size: int) -> None:
    """They have no hashes, and whoever can write to the store can change where they lie."""
    body = ARCHIVES[name]
    found = segments_of(body, [1 << 20])

    def good(changed: tuple[SegmentFact, ...]) -> tuple[bool, bool]:
        each_alone, together = [], Retraced(changed)
        for place in range(0, len(body), size):
            together.take(body[place : place + size])
        for segment in changed[1:]:
            judged, end = ByBlocks(segment), segment.offset + segment.bytes
            for place in range(segment.offset, end, size):
                judged.take(body[place : min(place + size, end)])
            each_alone.append(judged.as_written)
        return all(each_alone), together.as_written

    assert good(found) == (True, True)
    assert good(moved(found)) == (False, False)
    assert good(exchanged(found)) == (False, False)
    assert good((*found[:-1], replace(found[-1], entries=())))[0] is False


def test_an_archive_of_an_unknown_version_is_not_encrypted_to_its_end() -> None:
    """Once it is encrypted nobody could look at its head again, and nothing that follows makes it a known one."""
    newer = bytearray(ARCHIVES["pg18_zstd"])
    newer[6] += 1
    source = Segmented(Pieces(bytes(newer), [4096]), sealed=True)
    with pytest.raises(RunbookError) as caught:
        source.readinto(memoryview(bytearray(4096)))
    assert caught.value.code == "backup_unusable"
    assert segments_of(bytes(newer), [4096]) == ()
