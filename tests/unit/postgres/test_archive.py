# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The head of an archive: read, refused where it is damaged, written again."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import (
    MAGIC,
    Change,
    Head,
    read_head,
    rewrite_head,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_reader import HEAD_LIMIT
from hypothesis import given, settings
from hypothesis import strategies as st

ARCHIVES = sorted((Path(__file__).parent / "archives").glob("*.dump"))
VERSIONS = {"pg14": (1, 14), "pg15": (1, 14), "pg16": (1, 15), "pg17": (1, 16), "pg18": (1, 16)}


def head_of(body: bytes) -> Head:
    return read_head(io.BytesIO(body), "object")


def by_name(name: str) -> bytes:
    return next(path for path in ARCHIVES if path.name.startswith(name)).read_bytes()


def code_of(body: bytes) -> str | None:
    """The failure code with which an archive is refused; None where it is read."""
    try:
        head_of(body)
    except RunbookError as refused:
        return refused.code
    return None


class Dripping:
    """A stream that gives as little as a socket may."""

    def __init__(self, body: bytes, step: int) -> None:
        self._stream = io.BytesIO(body)
        self._step = step

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._step))


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_reads_archives_of_every_major(path: Path) -> None:
    major, compression = path.stem.split("_")
    head = head_of(path.read_bytes())
    assert head.version == VERSIONS[major]
    assert head.server_version.startswith(f"{major[2:]}.")
    assert head.dump_version.startswith(f"{major[2:]}.")
    assert head.compression == {"seekable": "gzip"}.get(compression, compression)
    assert (head.database, head.codec) == ("sample", "utf-8")
    assert head.tables_with_data() == {("public", "plain"), ("Odd.Schema", 't"q; x')}
    plain = next(entry for entry in head.entries if (entry.desc, entry.tag) == ("TABLE", "plain"))
    assert (plain.namespace, plain.owner, plain.section, plain.table_am) == ("public", "s_owner", "pre-data", "heap")
    assert plain.defn is not None
    assert plain.defn.startswith("CREATE TABLE public.plain (")
    data = next(entry for entry in head.entries if (entry.desc, entry.tag) == ("TABLE DATA", "plain"))
    assert data.has_data
    assert plain.dump_id in data.depends_on
    assert data.copy is not None
    assert data.copy.startswith("COPY public.plain ")


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_head_and_what_lies_beyond_are_the_whole_beginning(path: Path) -> None:
    body = path.read_bytes()
    head = head_of(body)
    assert (head.raw + head.beyond) == body[: len(head.raw) + len(head.beyond)]


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_rewritten_without_changes_it_is_the_same(path: Path) -> None:
    head = head_of(path.read_bytes())
    assert rewrite_head(head, {}) == head.raw
    same = {entry.dump_id: Change(owner=entry.owner, defn=entry.defn) for entry in head.entries}
    assert rewrite_head(head, same) == head.raw


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_streams_may_come_in_any_pieces(step: int) -> None:
    body = by_name("pg18")
    dripping, whole = read_head(Dripping(body, step), "object"), head_of(body)
    assert (dripping.entries, dripping.raw) == (whole.entries, whole.raw)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_rewritten_entries_read_back_and_nothing_else_changes(data: st.DataObject) -> None:
    head = head_of(data.draw(st.sampled_from(ARCHIVES)).read_bytes())
    ids = st.sampled_from([entry.dump_id for entry in head.entries if entry.desc not in ("ENCODING", "BLOB")])
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
    fields = st.fixed_dictionaries({name: st.none() | text for name in ("owner", "defn", "copy")})
    changes = data.draw(st.dictionaries(ids, fields.map(lambda each: Change(**each))))
    again = head_of(rewrite_head(head, changes))
    assert len(again.entries) == len(head.entries)
    for before, after in zip(head.entries, again.entries, strict=True):
        change = changes.get(before.dump_id, Change())
        assert after.owner == (before.owner if change.owner is None else change.owner)
        assert after.defn == (before.defn if change.defn is None else change.defn)
        assert after.copy == (before.copy if change.copy is None else change.copy)
        assert (after.dump_id, after.tag, after.depends_on) == (before.dump_id, before.tag, before.depends_on)


def test_data_offsets_move_with_the_head() -> None:
    head = head_of(by_name("pg17_seekable"))
    number = next(number for number, entry in enumerate(head.entries) if entry.desc == "TABLE DATA")
    longer = head_of(rewrite_head(head, {head.entries[-1].dump_id: Change(owner="x" * 1000)}))

    def offset(of: Head) -> int:
        """The last eight bytes of the entry, before the next one begins."""
        end = of.entries[number + 1].position
        return int.from_bytes(of.raw[end - 8 : end], "little")

    before, after = offset(head), offset(longer)
    assert after - before == len(longer.raw) - len(head.raw) > 900


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_cut_anywhere_in_its_head_it_is_refused(path: Path) -> None:
    body = path.read_bytes()
    size = len(head_of(body).raw)
    for length in [*range(200), *range(200, size, 37), size - 1]:
        with pytest.raises(RunbookError) as refused:
            head_of(body[:length])
        assert refused.value.code == "object_corrupt"


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_flipped_bits_never_raise_anything_else(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(ARCHIVES)).read_bytes())
    size = len(head_of(bytes(body)).raw)
    for _number in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, size - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert code_of(bytes(body)) in (None, "object_corrupt", "backup_unusable")


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(RunbookError) as refused:
        head_of(MAGIC + bytes((1, 14, 0, 4, 8, 1)) + body)
    assert refused.value.code == "object_corrupt"


def test_claimed_lengths_allocate_nothing() -> None:
    header = bytes((1, 14, 0, 4, 8, 1)) + bytes(5) + bytes(5 * 7)
    endless = MAGIC + header + b"\0" + (0x7FFFFFFF).to_bytes(4, "little")
    with pytest.raises(RunbookError, match=r"larger than any real one|ends within"):
        head_of(endless)
    many = MAGIC + header + (b"\1" + (1).to_bytes(4, "little")) * 3 + b"\0" + (0x7FFFFFFF).to_bytes(4, "little")
    with pytest.raises(RunbookError, match="ends within"):
        head_of(many)
    assert HEAD_LIMIT < 0x7FFFFFFF


def test_a_newer_archive_version_names_the_way_out() -> None:
    body = bytearray(by_name("pg18"))
    body[6] = 17
    with pytest.raises(RunbookError, match=r"1\.17.*up to 1\.16") as refused:
        head_of(bytes(body))
    assert refused.value.code == "backup_unusable"


@pytest.mark.parametrize(
    ("position", "value", "said"),
    [(6, 5, "1.5"), (8, 8, "integers of 8"), (9, 3, "offsets of 3"), (10, 3, "another format"), (11, 9, "compression")],
)
def test_odd_headers_are_named(position: int, value: int, said: str) -> None:
    body = bytearray(by_name("pg18"))
    body[position] = value
    with pytest.raises(RunbookError, match=said):
        head_of(bytes(body))


@pytest.mark.parametrize("body", [b"", b"--\n-- PostgreSQL database dump\n--\n", b"\x1f\x8b\x08\x00", b"PGDM"])
def test_other_files_are_refused(body: bytes) -> None:
    with pytest.raises(RunbookError) as refused:
        head_of(body)
    assert refused.value.code == "object_corrupt"


def test_many_large_objects_take_little_memory() -> None:
    """Up to PostgreSQL 16 each has an entry of its own, and some databases have hundreds of thousands."""
    archive = with_large_objects(by_name("pg15"), 20_000)
    tracemalloc.start()
    head = head_of(archive)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(entry.desc == "BLOB" for entry in head.entries) > 20_000
    assert head.entries[-1].tag == "20000"
    assert peak < 20_000 * 1000, peak
    assert rewrite_head(head, {}) == head.raw


def with_large_objects(archive: bytes, count: int) -> bytes:
    """The archive with ``count`` more entries, such as pg_dump 15 writes for large objects."""

    def text(value: str) -> bytes:
        return integer(len(value)) + value.encode()

    def entry(number: int) -> bytes:
        nothing = integer(-1)
        strings = [text("2613"), text(str(number)), text(str(number)), text("BLOB"), integer(2)]
        strings += [text(f"SELECT pg_catalog.lo_create('{number}');\n"), text(f"SELECT lo_unlink('{number}');\n")]
        strings += [nothing, nothing, nothing, nothing, text("s_owner"), text("false"), nothing]
        return b"".join([integer(100_000 + number), integer(0), *strings, b"\x02", bytes(8)])

    head = head_of(archive)
    first = head.entries[0].position
    added = b"".join(map(entry, range(1, count + 1)))
    raw = head.raw[: first - 5] + integer(len(head.entries) + count) + head.raw[first:] + added
    return raw + archive[len(head.raw) :]


def integer(value: int) -> bytes:
    return (b"\x01" if value < 0 else b"\x00") + abs(value).to_bytes(4, "little")
