# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the data files of a directory or tar archive are there and whole (private to ops.runbooks).

pg_restore does not ask: a data file of no bytes restores as an empty table with exit status 0, one that was cut at a
row as a shorter table. What pg_dump writes ends with a line that no row can be, behind which nothing follows.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.dump import (
    Hashed,
    Packing,
    Unpacked,
    corrupt,
    unreadable,
)

#: Lines of ``pg_restore --list``: the number of an entry names its file.
_DATA = re.compile(r"^(?P<id>\d+); \d+ \d+ TABLE DATA (?P<name>.*)$", re.MULTILINE)
_SUFFIXES: Mapping[str, Packing | None] = {"": "none", ".gz": "gzip", ".zst": "zstd", ".lz4": None}
_END_OF_COPY, _END_OF_INSERTS, _INSERT = b"\\.\n\n\n", b"\n\n", b"INSERT INTO "
_PIECE = 1 << 20
#: A string of a table of contents (its length comes first) that climbs out of the directory.
_STRAY = re.compile(rb"\0[\s\S]{4}[^\0\s]{0,1000}\.\./")


def check_directory(path: Path, listing: str) -> None:
    """Every data file that the table of contents names, all of them in this directory. Raises ``object_corrupt``."""
    _check_files(path)
    for number, table in _named(listing):
        files = [path / f"{number}.dat{suffix}" for suffix in _SUFFIXES]
        there = [file for file in files if file.is_file()]
        if not there:
            raise corrupt(str(path), f"the data of {table} is missing ({number}.dat)")
        file = there[0]
        packing = _SUFFIXES[file.name.removeprefix(f"{number}.dat")]
        with _opened(file) as stream:
            if packing is None:
                check_lz4(stream, f"{file.name}, the data of {table},", str(path))
            else:
                _check_data(
                    Unpacked(Hashed(stream), packing, str(file)), f"{file.name}, the data of {table},", str(path)
                )


def _check_files(path: Path) -> None:
    """pg_restore opens whatever file a table of contents names; a foreign one must not name ours."""
    for file in path.iterdir():
        if file.is_symlink() or not file.is_file():
            raise corrupt(str(path), f"{file.name} is no ordinary file")
    if _STRAY.search((path / "toc.dat").read_bytes()) or any(
        b"/" in each.read_bytes() for each in path.glob("blob*.toc")
    ):
        raise corrupt(str(path), "its table of contents names files outside of it")


def check_tar(path: Path, listing: str) -> None:
    """The same for a tar archive, which has to end as such archives end. Raises ``object_corrupt``."""
    with _opened(path) as raw:
        try:
            with tarfile.open(fileobj=raw, mode="r:") as archive:
                members = {member.name: member for member in archive}
                for number, table in _named(listing):
                    member = members.get(f"{number}.dat")
                    stream = archive.extractfile(member) if member is not None else None
                    if stream is None:
                        raise corrupt(str(path), f"the data of {table} is missing ({number}.dat)")
                    _check_data(stream, f"{number}.dat, the data of {table},", str(path))
            end = max(member.offset_data + -(-member.size // 512) * 512 for member in members.values())
        except tarfile.TarError as error:
            raise corrupt(str(path), "it is no whole tar archive") from error
        raw.seek(end)
        if raw.read(1024) != bytes(1024):
            raise corrupt(str(path), "it is cut: the blocks that end a tar archive are missing")


def digest_of_directory(path: Path) -> tuple[str, int]:
    """SHA-256 over names and contents of all files, and their bytes."""
    whole, size = hashlib.sha256(), 0
    for file in sorted(path.iterdir()):
        with _opened(file) as stream:
            found = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type,unused-ignore]
            size += stream.tell()
        whole.update(f"{found.hexdigest()}  {file.name}\n".encode())
    return whole.hexdigest(), size


def check_lz4(stream: BinaryIO, what: str, where: str) -> None:
    """Walk the blocks of an LZ4 frame to its end mark (LZ4 frame format 1.6.2): there is no decoder here."""
    head = stream.read(7)
    if len(head) < 7 or not head.startswith(b"\x04\x22\x4d\x18"):
        raise corrupt(where, f"{what} is no LZ4 frame")
    flags = head[4]
    stream.read((8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0))
    while True:
        mark = stream.read(4)
        if len(mark) < 4:
            raise corrupt(where, f"{what} is cut")
        length = int.from_bytes(mark, "little") & 0x7FFFFFFF
        if length == 0:
            return
        length += 4 if flags & 0x10 else 0
        if len(stream.read(length)) < length:
            raise corrupt(where, f"{what} is cut")


def _named(listing: str) -> Iterator[tuple[str, str]]:
    for found in _DATA.finditer(listing):
        yield found["id"], found["name"]


def _check_data(stream: io.RawIOBase | io.BufferedIOBase | object, what: str, where: str) -> None:
    """Whether a data file ends as pg_dump ends it."""
    buffered = io.BufferedReader(stream, _PIECE) if isinstance(stream, io.RawIOBase) else stream
    first, last = b"", b""
    while block := buffered.read(_PIECE):  # type: ignore[attr-defined]
        first = first or block[: len(_INSERT)]
        last = (last + block[-8:])[-8:]
    if not first:
        raise corrupt(where, f"{what} is empty, and would restore as a table without rows")
    whole = last.endswith(_END_OF_INSERTS) if first.startswith(_INSERT) or first == b"\n\n" else _ends(last)
    if not whole:
        raise corrupt(where, f"{what} is cut: it does not end as pg_dump ends it")


def _ends(last: bytes) -> bool:
    return last.endswith(_END_OF_COPY) and last[: -len(_END_OF_COPY)][-1:] in (b"", b"\n")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise unreadable(str(path), error) from error
