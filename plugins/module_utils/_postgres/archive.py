# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The head of a pg_dump custom-format archive: read it, and rewrite it (private to ops.runbooks).

An archive is a header, a table of contents and then blocks of data. Everything up to the first block is the *head*: it
names each object with its owner and its SQL. Reading it tells which tables an archive holds and which roles it needs,
without a server; rewriting it changes owners and statements while the data streams through untouched, which pg_restore
has no option for.

The layout is that of PostgreSQL's ``pg_backup_archiver.c`` (``ReadHead``, ``ReadToc``, ``ReadInt``, ``ReadStr``,
``ReadOffset``), archive versions 1.12 (PostgreSQL 9.0) to 1.16 (17 and 18). An archive is input from outside: every
length is checked against what has really arrived, and against ``HEAD_LIMIT``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_reader import (
    INT_BYTES,
    HeadReader,
    Readable,
)

#: The first bytes of every custom-format archive.
MAGIC = b"PGDMP"
#: The archive versions that this file knows. PostgreSQL 14 and 15 write 1.14, 16 writes 1.15, 17 and 18 write 1.16.
OLDEST, NEWEST = (1, 12), (1, 16)

_CUSTOM_FORMAT = 1
_OFFSET_SIZES = (4, 8)
_OFFSET_SET = 2
_ALGORITHMS = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}
_SECTIONS = {1: "none", 2: "pre-data", 3: "data", 4: "post-data"}


@dataclass(frozen=True, slots=True)
class Span:
    """Where a field lies in the head, as bytes ``[start, end)``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the table of contents. ``None`` strings are those that the archive leaves out.

    ``position`` is where the line begins in the head. The definition of a large object is left out, since up to
    PostgreSQL 16 each of them has a line of its own, and there may be hundreds of thousands.
    """

    dump_id: int
    desc: str
    tag: str
    section: str
    namespace: str | None
    owner: str | None
    defn: str | None
    copy: str | None
    tablespace: str | None
    table_am: str | None
    has_data: bool
    depends_on: tuple[int, ...]
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Everything before the data. ``raw`` are its bytes, ``beyond`` what was read past it and belongs to the data.

    ``offset_size`` is that of data offsets, in bytes.
    """

    version: tuple[int, int]
    offset_size: int
    compression: str
    database: str
    server_version: str
    dump_version: str
    codec: str
    entries: tuple[Entry, ...]
    raw: bytes
    beyond: bytes

    def tables_with_data(self) -> frozenset[tuple[str, str]]:
        """Schema and name of each table whose rows the archive holds."""
        return frozenset((entry.namespace or "", entry.tag) for entry in self.entries if entry.desc == "TABLE DATA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an entry shall say instead; ``None`` leaves a field as it is. An empty owner means "whoever restores"."""

    owner: str | None = None
    defn: str | None = None
    copy: str | None = None


def read_head(stream: Readable, name: str) -> Head:
    """Read the head from the beginning of ``stream``; ``name`` is the object's, for messages.

    Raises ``object_corrupt`` where this is no whole head, ``backup_unusable`` where its version is a newer one.
    """
    reader = HeadReader(stream, name)
    if reader.take(len(MAGIC)) != MAGIC:
        raise reader.corrupt("it does not begin like an archive of pg_dump's custom format")
    version = _read_version(reader)
    compression = _read_sizes(reader, version)
    for _field in range(7):
        reader.integer()  # seconds, minutes, hours, day, month, year, daylight saving time
    database, server_version, dump_version = reader.string(), reader.string(), reader.string()
    count = reader.integer()
    if count < 0:
        raise reader.corrupt(f"it claims {count} entries")
    codec, entries = _read_entries(reader, version, count)
    return Head(
        version=version,
        offset_size=reader.offset_size,
        compression=compression,
        database=_text(database, codec) or "",
        server_version=_text(server_version, codec) or "",
        dump_version=_text(dump_version, codec) or "",
        codec=codec,
        entries=entries,
        raw=reader.consumed(),
        beyond=reader.beyond(),
    )


def _read_entries(reader: HeadReader, version: tuple[int, int], count: int) -> tuple[str, tuple[Entry, ...]]:
    """Python's name of the archive's encoding, and its entries; equal texts (kinds, owners, schemas) are kept once.

    pg_dump says the encoding in the first entry (``dumpEncoding`` in ``pg_dump.c``).
    """
    known: dict[str, str] = {}
    codec = "utf-8"
    entries: list[Entry] = []

    def shared(value: bytes | None) -> str | None:
        decoded = _text(value, codec)
        return None if decoded is None else known.setdefault(decoded, decoded)

    for _number in range(count):
        position = reader.position
        raw = _read_entry(reader, version)
        if not entries and raw.strings["desc"] == b"ENCODING":
            codec = _codec(raw.strings["defn"] or b"")
        entries.append(_decode(raw, position, codec, shared))
    return codec, tuple(entries)


def rewrite_head(head: Head, changes: Mapping[int, Change]) -> bytes:
    """The bytes of the head with ``changes`` (by dump id) applied; without any, exactly the bytes that were read."""
    if not changes:
        return head.raw
    reader = HeadReader(BytesIO(head.raw), head.database)
    reader.offset_size = head.offset_size
    edits: list[tuple[Span, bytes]] = []
    offsets: list[Span] = []
    for entry in head.entries:
        spans = _read_entry(reader.at(entry.position), head.version).spans
        offsets.append(spans["offset"])
        change = changes.get(entry.dump_id, Change())
        for name, new in (("defn", change.defn), ("copy", change.copy), ("owner", change.owner)):
            if new is not None:
                edits.append((spans[name], _encode_string(new, head.codec)))
    if growth := sum(len(new) - (span.end - span.start) for span, new in edits):
        edits += [(span, _moved(head.raw, span, growth)) for span in offsets]
    return _apply(head.raw, edits)


def _apply(raw: bytes, edits: list[tuple[Span, bytes]]) -> bytes:
    parts: list[bytes] = []
    done = 0
    for span, new in sorted(edits, key=lambda edit: edit[0].start):
        parts += [raw[done : span.start], new]
        done = span.end
    parts.append(raw[done:])
    return b"".join(parts)


def _moved(raw: bytes, span: Span, by: int) -> bytes:
    """A data offset after the head has grown; archives that were written to a pipe have none."""
    flag, digits = raw[span.start], raw[span.start + 1 : span.end]
    if flag != _OFFSET_SET:
        return raw[span.start : span.end]
    return bytes((flag,)) + (int.from_bytes(digits, "little") + by).to_bytes(len(digits), "little")


def _encode_string(text: str, codec: str) -> bytes:
    body = text.encode(codec, "surrogateescape")
    return b"\0" + len(body).to_bytes(INT_BYTES, "little") + body


@dataclass(frozen=True, slots=True, kw_only=True)
class _RawEntry:
    """An entry before it is known in which encoding it is written."""

    dump_id: int
    has_data: bool
    section: int
    strings: Mapping[str, bytes | None]
    depends_on: tuple[int, ...]
    spans: Mapping[str, Span]


def _too_new(reader: HeadReader, version: tuple[int, int]) -> RunbookError:
    return RunbookError(
        code="backup_unusable",
        attempted="read the table of contents of an archive",
        object=reader.name,
        reason=f"it is of archive version {_dotted(version)}, known are versions up to {_dotted(NEWEST)}",
        remedy="Use a release of ops.runbooks that knows the pg_dump which wrote it.",
    )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _read_version(reader: HeadReader) -> tuple[int, int]:
    version = (reader.byte(), reader.byte())
    reader.byte()  # revision
    if version > NEWEST:
        raise _too_new(reader, version)
    if version < OLDEST:
        raise reader.corrupt(f"it claims archive version {_dotted(version)}, which no supported pg_dump writes")
    return version


def _read_sizes(reader: HeadReader, version: tuple[int, int]) -> str:
    """The sizes of numbers, the format and the compression, whose name is returned."""
    int_size, reader.offset_size = reader.byte(), reader.byte()
    if int_size != INT_BYTES or reader.offset_size not in _OFFSET_SIZES:
        raise reader.corrupt(f"it claims integers of {int_size} and offsets of {reader.offset_size} bytes")
    if (form := reader.byte()) != _CUSTOM_FORMAT:
        raise reader.corrupt(f"it is an archive of another format ({form}) than pg_dump's custom format")
    if version >= (1, 15):
        algorithm = reader.byte()
        if algorithm not in _ALGORITHMS:
            raise reader.corrupt(f"it claims an unknown compression ({algorithm})")
        return _ALGORITHMS[algorithm]
    return "gzip" if reader.integer() != 0 else "none"


def _read_entry(reader: HeadReader, version: tuple[int, int]) -> _RawEntry:
    dump_id = reader.integer()
    if dump_id <= 0:
        raise reader.corrupt(f"entry id {dump_id} is out of range")
    has_data = reader.integer() != 0
    strings: dict[str, bytes | None] = {}
    spans: dict[str, Span] = {}

    def strings_of(*names: str) -> None:
        for name in names:
            start = reader.position
            strings[name] = reader.string()
            spans[name] = Span(start, reader.position)

    strings_of("catalogue", "oid", "tag", "desc")
    section = reader.integer()
    strings_of("defn", "drop", "copy", "namespace", "tablespace")
    if version >= (1, 14):
        strings_of("table_am")
    if version >= (1, 16):
        reader.integer()  # relkind
    strings_of("owner", "with_oids")
    depends_on: list[int] = []
    while (dependency := reader.string()) is not None:
        if not dependency.isdigit():
            raise reader.corrupt(f"entry {dump_id} names a dependency that is no number")
        depends_on.append(int(dependency))
    start = reader.position
    reader.offset()
    spans["offset"] = Span(start, reader.position)
    return _RawEntry(
        dump_id=dump_id,
        has_data=has_data,
        section=section,
        strings=strings,
        depends_on=tuple(depends_on),
        spans=spans,
    )


def _decode(raw: _RawEntry, position: int, codec: str, shared: Callable[[bytes | None], str | None]) -> Entry:
    desc = shared(raw.strings["desc"]) or ""
    return Entry(
        dump_id=raw.dump_id,
        desc=desc,
        tag=_text(raw.strings["tag"], codec) or "",
        section=_SECTIONS.get(raw.section, "none"),
        namespace=shared(raw.strings["namespace"]),
        owner=shared(raw.strings["owner"]),
        defn=None if desc == "BLOB" else _text(raw.strings["defn"], codec),
        copy=_text(raw.strings["copy"], codec),
        tablespace=shared(raw.strings["tablespace"]),
        table_am=shared(raw.strings.get("table_am")),
        has_data=raw.has_data,
        depends_on=raw.depends_on,
        position=position,
    )


def _text(value: bytes | None, codec: str) -> str | None:
    return None if value is None else value.decode(codec, "surrogateescape")


#: PostgreSQL's encoding names where Python's differ by more than spelling (PostgreSQL manual, section 24.3.1).
_CODECS = {
    "SQL_ASCII": "utf-8",
    "UTF8": "utf-8",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_TW": "latin-1",
    "MULE_INTERNAL": "latin-1",
    "SJIS": "cp932",
    "UHC": "cp949",
    **{f"LATIN{n}": f"iso8859-{part}" for n, part in enumerate((1, 2, 3, 4, 9, 10, 13, 14, 15, 16), start=1)},
}


def _codec(statement: bytes) -> str:
    """The encoding that ``SET client_encoding = 'UTF8';`` names; bytes survive whichever it is."""
    name = statement.decode("ascii", "replace").split("'")[1:2]
    return _python_codec(name[0] if name else "UTF8")


def _python_codec(name: str) -> str:
    if name in _CODECS:
        return _CODECS[name]
    candidate = name.replace("WIN", "cp", 1) if name.startswith("WIN") else name
    try:
        "".encode(candidate)
    except (LookupError, ValueError):
        # Of a damaged archive it may hold anything; a zero byte in it is the second of these.
        return "latin-1"
    return candidate
