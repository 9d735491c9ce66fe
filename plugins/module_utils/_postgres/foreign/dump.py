# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a foreign dump lies and what it is (private to ops.runbooks): recognised by content, never by its name."""

from __future__ import annotations

import hashlib
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store, open_store
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import MAGIC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.sql import CLUSTER, HEADER

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

Format = Literal["custom", "directory", "tar", "plain"]
Packing = Literal["none", "gzip", "zstd"]
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 20
#: A few bytes of zstd may stand for very many; this bounds what one step makes of them.
_ZSTD_PIECE = 8 << 10
_PEEK = 4096
#: How pg_dump's SQL begins where its comments were taken out.
_BARE = re.compile(rb"\s*SET statement_timeout = 0;\nSET lock_timeout = 0;\n")
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"\x04\x22\x4d\x18": "lz4", b"age-enc": "age"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a dump is: its format, and how the file around it is compressed."""

    format: Format
    packing: Packing = "none"

    @property
    def text(self) -> str:
        """For people."""
        return self.format if self.packing == "none" else f"{self.format}, {self.packing}"


class Dump:
    """One dump at a local path or ``s3://bucket/key``; every :meth:`open` begins it anew."""

    def __init__(self, path: str, params: Mapping[str, Any], context: Context) -> None:
        self.name = path
        self._store: Store | None = None
        self._key = ""
        if path.startswith("s3://"):
            bucket, _slash, self._key = path.removeprefix("s3://").partition("/")
            self._store = open_store(params, f"s3://{bucket}", context)

    @property
    def local(self) -> Path | None:
        """Where it lies on this machine; None where it does not."""
        return Path(self.name) if self._store is None else None

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its bytes as they are. Raises ``source_missing``, ``source_unusable``, ``object_missing``, ``store_*``."""
        if self._store is not None:
            with self._store.open(self._key) as stream:
                yield stream
            return
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(Path(self.name).open("rb"))
            except OSError as error:
                raise unreadable(self.name, error) from error
            yield cast(BinaryIO, _Readable(stream, self.name))

    @contextmanager
    def unpacked(self, kind: Kind) -> Iterator[tuple[io.BufferedReader, Hashed]]:
        """Its bytes without the compression around them, and the hash of the bytes as they are."""
        with ExitStack() as stack:
            hashed = Hashed(stack.enter_context(self.open()))
            reader = Unpacked(hashed, kind.packing, self.name)
            yield io.BufferedReader(reader, _PIECE), hashed

    def recognise(self) -> Kind:
        """What it is. Raises ``backup_unusable`` where it is nothing that can be restored."""
        if (path := self.local) is not None and path.is_dir():
            if not (path / "toc.dat").is_file():
                raise unusable(self.name, "it is a directory without toc.dat, so none that pg_dump has finished")
            return Kind(format="directory")
        with self.open() as raw:
            head = raw.read(_PEEK)
        packing: Packing = "gzip" if head.startswith(_GZIP) else "zstd" if head.startswith(_ZSTD) else "none"
        if packing != "none":
            with self.unpacked(Kind(format="plain", packing=packing)) as (stream, _hashed):
                head = stream.read(_PEEK)
        kind = Kind(format=_format(head, self.name), packing=packing)
        if kind.format == "tar" and (self.local is None or packing != "none"):
            raise unusable(self.name, "a tar archive has to be an uncompressed file on this machine", "Fetch it first.")
        return kind


def _format(head: bytes, name: str) -> Format:
    if head.startswith(MAGIC):
        return "custom"
    if head[257:262] == b"ustar":
        return "tar"
    if CLUSTER in head:
        raise unusable(name, "it is a dump of a whole cluster by pg_dumpall, which creates roles and databases")
    if HEADER in head and b"\0" not in head:
        return "plain"
    if _BARE.match(head):
        reason = "pg_dump's comments are not in it (supabase db dump leaves them out), so nobody can see where it ends"
        raise unusable(name, reason, "Take it with pg_dump, or, without its rows, with --keep-comments.")
    other = next((word for magic, word in _OTHERS.items() if head.startswith(magic)), None)
    if other is not None:
        raise unusable(name, f"it is a file of {other}", "Unpack it first.")
    raise unusable(name, "it does not begin as any dump of pg_dump does" if head else "it is empty")


def unusable(name: str, reason: str, remedy: str = "Give a dump that pg_dump has written.") -> RunbookError:
    """The failure for what cannot be restored."""
    return RunbookError(code="backup_unusable", attempted="restore the dump", object=name, reason=reason, remedy=remedy)


def corrupt(name: str, reason: str) -> RunbookError:
    """The failure for a dump that is damaged."""
    return RunbookError(
        code="object_corrupt",
        attempted="restore the dump",
        object=name,
        reason=reason,
        remedy="Copy or take the dump again. Nothing was changed outside the new database, which does not stay.",
    )


def unreadable(path: str, error: OSError) -> RunbookError:
    """The failure for a file that the system does not give."""
    missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
    return RunbookError(
        code="source_missing" if missing else "source_unusable",
        attempted="read the dump",
        object=path,
        reason=(error.strerror or type(error).__name__).lower(),
        remedy="Correct path; it is one of the machine that runs the module, or s3://bucket/key.",
    )


class _Readable:
    """A file of this machine; a disk or a network that fails while it is read is told as one that never gave it."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes. Raises ``source_unusable``."""
        try:
            return self._stream.read(size)
        except OSError as error:
            raise unreadable(self._name, error) from error


class Hashed:
    """A stream that counts and hashes what passes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        block = self._stream.read(size)
        self._digest.update(block)
        self.bytes += len(block)
        return block

    @property
    def sha256(self) -> str:
        """Of everything that was read, in hexadecimal digits."""
        return self._digest.hexdigest()


class Unpacked(io.RawIOBase):
    """What is in a compressed stream. Its end is only taken for one where the compression itself says so."""

    def __init__(self, source: Hashed, packing: Packing, name: str) -> None:
        super().__init__()
        self._source = source
        self._packing = packing
        self._name = name
        self._decoder: Any = None
        self._input = b""
        self._output = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` as far as one step goes; 0 at the end. Raises ``object_corrupt``."""
        while not self._output:
            if not self._step(len(buffer)):
                return 0
        count = min(len(buffer), len(self._output))
        buffer[:count], self._output = self._output[:count], self._output[count:]
        return count

    def _step(self, size: int) -> bool:
        """Read on; False at the end."""
        if self._packing == "none":
            self._output = self._source.read(max(size, 1))
            return bool(self._output)
        if not self._input:
            self._input = self._source.read(_ZSTD_PIECE if self._packing == "zstd" else _PIECE)
        if not self._input:
            if self._decoder is not None:
                raise corrupt(self._name, f"it is cut: the {self._packing} stream ends before its end")
            return False
        if self._decoder is None:
            self._begin()
        self._decode(size)
        return True

    def _begin(self) -> None:
        magic = _GZIP if self._packing == "gzip" else _ZSTD
        if not self._input.startswith(magic[: len(self._input)]):
            raise corrupt(self._name, f"something follows the end of the {self._packing} stream")
        if self._packing == "gzip":
            self._decoder = zlib.decompressobj(31)
            return
        import zstandard

        self._decoder = zstandard.ZstdDecompressor().decompressobj()

    def _decode(self, size: int) -> None:
        try:
            if self._packing == "gzip":
                self._output = self._decoder.decompress(self._input, max(size, 1))
                self._input = self._decoder.unconsumed_tail
            else:
                self._output = self._decoder.decompress(self._input)
                self._input = b""
        except Exception as error:
            if type(error).__name__ not in ("error", "ZstdError"):
                raise
            raise corrupt(self._name, f"the {self._packing} stream is damaged") from error
        if self._decoder.eof:
            self._input = self._decoder.unused_data
            self._decoder = None
