# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The numbers and texts of which the head of an archive consists (private to ops.runbooks).

Their form is that of ``ReadInt`` and ``ReadStr`` in PostgreSQL's ``pg_backup_archiver.c``.
"""

from __future__ import annotations

import struct
from typing import Protocol, Self

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: No table of contents of a sane database is larger (a million objects with 1 KiB of SQL each).
HEAD_LIMIT = 1 << 30
#: Bytes of an integer's digits; the sign stands before them in a byte of its own.
INT_BYTES = 4

_CHUNK = 1 << 16
_INTEGER = struct.Struct("<BI")


class Readable(Protocol):
    """All that reading a head asks of a stream."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


class HeadReader:
    """Takes fields from a stream and remembers every byte, so that the head can be written again."""

    def __init__(self, stream: Readable, name: str) -> None:
        self._stream = stream
        self.name = name
        self._buffer = bytearray()
        self.position = 0
        self.offset_size = 8

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. Memory follows what really arrives, never what a length field claims."""
        start = self._advance(count)
        return bytes(self._buffer[start : self.position])

    def _advance(self, count: int) -> int:
        """Go on by ``count`` bytes, which are then in the buffer; returns where they begin."""
        start, end = self.position, self.position + count
        if end > HEAD_LIMIT:
            raise self.corrupt("its table of contents is larger than any real one")
        while len(self._buffer) < end:
            chunk = self._stream.read(_CHUNK)
            if not chunk:
                raise self.corrupt("it ends within its table of contents")
            self._buffer += chunk
        self.position = end
        return start

    def at(self, position: int) -> Self:
        """This reader, at a place that it has been to before."""
        self.position = position
        return self

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        """A sign byte (0 is plus) and four bytes, least significant first."""
        sign: int
        value: int
        sign, value = _INTEGER.unpack_from(self._buffer, self._advance(_INTEGER.size))
        return -value if sign else value

    def string(self) -> bytes | None:
        """A length and that many bytes; a negative length stands for none."""
        length = self.integer()
        return None if length < 0 else self.take(length)

    def offset(self) -> None:
        """A flag and the place of the entry's data; only its span is of interest."""
        self._advance(1 + self.offset_size)

    def consumed(self) -> bytes:
        return bytes(self._buffer[: self.position])

    def beyond(self) -> bytes:
        return bytes(self._buffer[self.position :])

    def corrupt(self, reason: str) -> RunbookError:
        return RunbookError(
            code="object_corrupt",
            attempted="read the table of contents of an archive",
            object=self.name,
            reason=reason,
            remedy="Use another backup, and keep this object for examination.",
        )
