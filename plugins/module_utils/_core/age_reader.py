# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading age files from any byte on (private to ops.runbooks).

An age file is a header, which holds its key once for each recipient, and a payload in chunks of 64 KiB, each encrypted
and authenticated by itself (https://age-encryption.org/v1; the payload is STREAM of Hoang, Reyhanitabar, Rogaway and
Vizar). The nonce of a chunk is its number and whether it is the last one, so that none can be changed, moved, left out
or cut off, and each can be read without the others. A file is input from outside: nothing is believed before it is
authenticated.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.age_identity import Identities

#: Bytes of a chunk, and of what authenticates it behind it.
CHUNK, TAG = 64 * 1024, 16
#: How every file begins, and how the last line of its header does.
_FIRST, _LAST = b"age-encryption.org/v1\n", b"\n--- "
#: The last line's rest: 32 bytes in base64, and the end of the line.
_MAC = 44
_NONCE = 16
#: No header of a sane file is larger: it has room for a thousand recipients.
_HEADER_LIMIT = 256 * 1024
#: Lines of a stanza's body have so many characters, but the last one, which has less.
_COLUMNS = 64
#: Chunks that are fetched at once.
_AT_ONCE = 16


class Readable(Protocol):
    """All that is asked of a stream."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """The file's key for one recipient."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands before the payload; ``size`` and ``sha256`` are of all of that, ``signed`` is what ``mac`` is of."""

    stanzas: tuple[Stanza, ...]
    signed: bytes = field(repr=False)
    mac: bytes
    nonce: bytes
    size: int
    sha256: str


def read_header(stream: Readable, name: str) -> Header:
    """The header at the beginning of ``stream``, which is then at the first chunk. Raises ``object_corrupt``."""
    read = _take(stream, len(_FIRST), name)
    if read != _FIRST:
        raise corrupt(name, "it does not begin like a file that is encrypted with age")
    while not (read.endswith(b"\n") and read.rfind(_LAST) == len(read) - len(_LAST) - _MAC):
        # By line, since what comes behind it is not for us to take.
        if len(read) > _HEADER_LIMIT:
            raise corrupt(name, "its header is larger than any real one")
        read += _line(stream, name)
    nonce = _take(stream, _NONCE, name)
    signed, mac = read[: -_MAC - 1], read[-_MAC:-1]
    lines = iter(read[len(_FIRST) : read.rfind(_LAST) + 1].split(b"\n")[:-1])
    return Header(
        stanzas=tuple(_stanzas(lines, name)),
        signed=signed,
        mac=_decoded(mac, name),
        nonce=nonce,
        size=len(read) + len(nonce),
        sha256=hashlib.sha256(read + nonce).hexdigest(),
    )


def _stanzas(lines: Iterator[bytes], name: str) -> Iterator[Stanza]:
    for line in lines:
        words = line.split(b" ")
        if words[0] != b"->" or len(words) < 2 or b"" in words or not all(0x20 < c < 0x7F for w in words for c in w):
            raise corrupt(name, "its header names a recipient in an unknown way")
        body = b""
        for part in lines:
            body += part
            if len(part) != _COLUMNS:
                break
        else:
            part = b" " * _COLUMNS
        if len(part) >= _COLUMNS:
            raise corrupt(name, "its header has a recipient without an end")
        kind, *arguments = (word.decode() for word in words[1:])
        yield Stanza(kind=kind, arguments=tuple(arguments), body=_decoded(body, name))


def _line(stream: Readable, name: str) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        line += _take(stream, 1, name)
        if len(line) > _HEADER_LIMIT:
            raise corrupt(name, "its header is larger than any real one")
    return bytes(line)


def _take(stream: Readable, count: int, name: str) -> bytes:
    taken = _up_to(stream, count)
    if len(taken) < count:
        raise corrupt(name, "it ends within its header")
    return taken


def _up_to(stream: Readable, count: int) -> bytes:
    """So many bytes, fewer only at the end."""
    pieces, left = [], count
    while left and (piece := stream.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _decoded(text: bytes, name: str) -> bytes:
    try:
        return decode64(text)
    except ValueError as error:
        raise corrupt(name, "its header has something else than base64 where that has to be") from error


def decode64(text: bytes) -> bytes:
    """Base64 without padding, in its only valid form. Raises ValueError."""
    try:
        body = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("it is no base64") from error
    if base64.b64encode(body).rstrip(b"=") != text:
        raise ValueError("it is base64 in a form of its own")
    return body


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """A key of 32 bytes from another one (HKDF-SHA-256, RFC 5869)."""
    extracted = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def unwrap(key: bytes, body: bytes) -> bytes | None:
    """What was encrypted with a key that is used once; None where it was another key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    except InvalidTag:
        return None


def plain_bytes(stored: int, header: int) -> int:
    """The length of what is encrypted, by that of a file and of its header; negative where no file has that."""
    body = stored - header
    return body - -(-body // (CHUNK + TAG)) * TAG


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What an identity has opened: ``size`` bytes of plaintext, which are encrypted from ``offset`` of the file on."""

    name: str
    offset: int
    size: int
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, header: Header, identities: Identities, name: str, *, stored: int) -> Payload:
        """That of a file of ``stored`` bytes. Raises ``age_identity_wrong`` and ``object_corrupt``."""
        file_key = identities.file_key(header, name)
        if not hmac.compare_digest(hmac.digest(derive(file_key, b"", b"header"), header.signed, "sha256"), header.mac):
            raise corrupt(name, "its header was changed")
        size = plain_bytes(stored, header.size)
        if size < 0 or (size == 0 and stored != header.size + TAG):
            raise corrupt(name, "it was cut off")
        key = derive(file_key, header.nonce, b"payload")
        return cls(name=name, offset=header.size, size=size, key=key)

    def span(self, start: int = 0, size: int | None = None) -> tuple[int, int]:
        """Where the chunks lie that hold these bytes of plaintext: the first byte of the file, and how many."""
        first, behind = self._chunks(start, size)
        end = min(behind * (CHUNK + TAG), self.size + (self._last + 1) * TAG)
        begin = first * (CHUNK + TAG)
        return self.offset + begin, end - begin

    def pieces(self, stream: Readable, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """These bytes of plaintext from ``stream``, which is where :meth:`span` begins. Raises ``object_corrupt``."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        cipher = ChaCha20Poly1305(self.key)
        first, behind = self._chunks(start, size)
        end = self.size if size is None else min(start + size, self.size)
        _begin, left = self.span(start, size)
        read, taken = memoryview(b""), 0
        for number in range(first, behind):
            length = TAG + min(CHUNK, self.size - number * CHUNK)
            if taken == len(read):
                read, taken = memoryview(_up_to(stream, min(left, _AT_ONCE * (CHUNK + TAG)))), 0
                left -= len(read)
            nonce = number.to_bytes(11, "big") + bytes((number == self._last,))
            try:
                piece = cipher.decrypt(nonce, read[taken : taken + length], None)
            except InvalidTag as error:
                place = f"bytes {self.offset + number * (CHUNK + TAG)} and the {CHUNK + TAG - 1} behind"
                raise corrupt(self.name, f"what was encrypted was changed or cut off ({place})") from error
            taken += length
            yield piece[max(start - number * CHUNK, 0) : end - number * CHUNK]

    @property
    def _last(self) -> int:
        """The number of the last chunk, which only an empty payload leaves empty."""
        return max(self.size - 1, 0) // CHUNK

    def _chunks(self, start: int, size: int | None) -> tuple[int, int]:
        """Numbers of the first chunk and of the one behind the last."""
        end = self.size if size is None else min(start + size, self.size)
        return start // CHUNK, max(end - 1, 0) // CHUNK + 1


def corrupt(name: str, reason: str) -> RunbookError:
    """The failure for a file that is not what was encrypted."""
    return RunbookError(
        code="object_corrupt",
        attempted="decrypt with age",
        object=name,
        reason=reason,
        remedy="Use another copy, and find out what happened to this one.",
    )
