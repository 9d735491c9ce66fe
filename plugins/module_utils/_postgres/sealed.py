# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups that are encrypted with age, read as if they were not (private to ops.runbooks).

Whoever restores or tests a backup gets its manifest, and its objects, as they were before they were encrypted: the code
that does so knows of no encryption. Any part of an object is read by itself, so that a restore by several sessions
stays one. Nothing is written to a disk on the way.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

from ansible_collections.ops.runbooks.plugins.module_utils._core.age_identity import Identities
from ansible_collections.ops.runbooks.plugins.module_utils._core.age_reader import (
    Payload,
    Readable,
    corrupt,
    read_header,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import StoredObject
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    AgeFact,
    ArchiveFact,
    Manifest,
    ObjectFact,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.age import Encrypting
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

#: What names of encrypted objects end in, for people and for tools that go by it.
SUFFIX = ".age"
#: Bytes that a reader is asked for at once.
_BUFFER = 1 << 20


def fact_of(done: Encrypting) -> AgeFact:
    """What the manifest says of an object that was just encrypted."""
    header = done.header()
    return AgeFact(bytes=done.plain_bytes, header_bytes=header.size, header_sha256=header.sha256)


def is_written(store: Store, key: str, fact: AgeFact) -> bool:
    """Whether the stored object begins with the header of what was encrypted."""
    with store.open(key, 0, fact.header_bytes) as stream:
        return hashlib.sha256(stream.read(fact.header_bytes)).hexdigest() == fact.header_sha256


class Opened:
    """The objects of backups as they were before they were encrypted; of others as they lie in the store.

    Identities are looked for when the first encrypted object is read. Threads may read at the same time.
    """

    def __init__(self, store: Store, params: Mapping[str, Any], context: Context) -> None:
        self.url = store.url
        self._store = store
        self._identities: Callable[[], Identities] = lambda: Identities.of(params, context.redactor)
        self._sealed: dict[str, tuple[ArchiveFact | ObjectFact, AgeFact]] = {}
        self._payloads: dict[str, Payload] = {}
        self._lock = threading.Lock()

    def manifest(self, manifest: Manifest) -> Manifest:
        """The manifest with sizes as they were before; its objects are then known here. Hashes there are none of."""
        for fact in (*manifest.archives, manifest.globals):
            if fact is not None and fact.age is not None:
                self._sealed[fact.key] = (fact, fact.age)
        return replace(
            manifest,
            archives=tuple(_before(each) for each in manifest.archives),
            globals=None if manifest.globals is None else _before(manifest.globals),
        )

    def require(self, manifest: Manifest) -> None:
        """Fail where an encrypted object of it could not be read, for want of the right identity or otherwise."""
        for key in self.manifest(manifest).keys:
            if key in self._sealed:
                self._payload(key)

    def head(self, key: str) -> StoredObject | None:
        """See ``store.Objects``."""
        stored = self._store.head(key)
        if stored is None or key not in self._sealed:
            return stored
        fact, _age = self._sealed[key]
        if stored.size != fact.bytes:
            raise corrupt(self._name(key), f"it has {stored.size} bytes, and the manifest says {fact.bytes}")
        return replace(stored, size=self._payload(key).size)

    @contextmanager
    def open(self, key: str, start: int = 0, size: int | None = None) -> Iterator[BinaryIO]:
        """See ``store.Objects``. What is read to its end is, at last, compared with the manifest's hash."""
        if key not in self._sealed:
            with self._store.open(key, start, size) as stream:
                yield stream
            return
        payload = self._payload(key)
        if start == 0 and size is None:
            with self._store.open(key) as stream:
                yield io.BufferedReader(_Plain(self._whole(key, payload, stream)), _BUFFER)
            return
        with self._store.open(key, *payload.span(start, size)) as stream:
            yield io.BufferedReader(_Plain(payload.pieces(stream, start, size)), _BUFFER)

    def _whole(self, key: str, payload: Payload, stream: Readable) -> Iterator[bytes]:
        hashed, (fact, _age) = _Hashed(stream), self._sealed[key]
        hashed.read(payload.offset)
        yield from payload.pieces(hashed)
        hashed.read(1)  # there is none, or else the hash is another one
        if hashed.sha256 != fact.sha256:
            raise corrupt(self._name(key), f"its SHA-256 is {hashed.sha256}, and the manifest says {fact.sha256}")

    def _payload(self, key: str) -> Payload:
        """What opens an object, found once."""
        with self._lock:
            if key not in self._payloads:
                self._payloads[key] = self._unlocked(key)
            return self._payloads[key]

    def _unlocked(self, key: str) -> Payload:
        fact, age = self._sealed[key]
        name = self._name(key)
        with self._store.open(key, 0, age.header_bytes) as stream:
            header = read_header(stream, name)
        if (header.size, header.sha256) != (age.header_bytes, age.header_sha256):
            # Before any identity is tried: a damaged header would look like one of somebody else.
            raise corrupt(name, "its header is not the one that was written")
        payload = Payload.of(header, self._identities(), name, stored=fact.bytes)
        if payload.size != age.bytes:
            raise corrupt(name, f"it holds {payload.size} bytes, and the manifest says {age.bytes}")
        return payload

    def _name(self, key: str) -> str:
        return f"{key} in {self.url}"


def _before(fact: Any) -> Any:
    """An archive or another object as it was before it was encrypted."""
    return fact if fact.age is None else replace(fact, bytes=fact.age.bytes, sha256="")


class _Plain(io.RawIOBase):
    """Pieces as a stream. Once one of them has failed there is nothing but that failure."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._failed: RunbookError | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """At most as much as is left of a piece; 0 at the end."""
        if self._failed is not None:
            raise self._failed
        try:
            while not self._rest:
                if not (piece := next(self._pieces, None)):
                    if piece is None:
                        return 0
                    continue
                self._rest = memoryview(piece)
        except RunbookError as error:
            self._failed = error
            raise
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Hashed:
    """A reader that hashes what passes."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        piece = self._stream.read(size)
        self._digest.update(piece)
        return piece

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()
