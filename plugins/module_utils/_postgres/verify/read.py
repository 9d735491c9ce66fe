# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a backup to see whether it is whole (private to ops.runbooks): each object once, from its first byte to its
last, in pieces large enough that the store and not this process sets the pace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head, read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_reader import Readable
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.segments import Retraced
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    ArchiveFact,
    Manifest,
    ObjectFact,
    SegmentFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Tool

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects

ATTEMPTED = "verify the backup"
_PIECE = 4 << 20
#: What a pg_restore says that is too old for an archive, or was built without its compression.
_NOT_FOR_THIS_TOOL = ("unsupported version", "not supported", "not support", "out of memory")
_SHOWN = 5


class Examined:
    """A reader that counts and hashes everything that passes; hashing goes on in a thread while more is fetched."""

    def __init__(
        self,
        stream: Readable,
        hashing: ThreadPoolExecutor,
        on_progress: Callable[[int], None],
        segments: Sequence[SegmentFact] = (),
    ) -> None:
        self._stream = stream
        self._hashing = hashing
        self._on_progress = on_progress
        self._digest = hashlib.sha256()
        self._retraced = Retraced(segments)
        self._hashed: Future[None] | None = None
        self.bytes = 0

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        piece = self._stream.read(size)
        # One piece at a time: the digest is not to fall behind, since every piece that waits takes memory.
        self._wait()
        if piece:
            self._hashed = self._hashing.submit(self._take, piece)
            self.bytes += len(piece)
            self._on_progress(self.bytes)
        return piece

    def pieces(self) -> Iterator[bytes]:
        """What is left, in large pieces."""
        while piece := self.read(_PIECE):
            yield piece

    def drain(self) -> None:
        """Read to the end, for the sake of the hash."""
        for _piece in self.pieces():
            continue

    @property
    def sha256(self) -> str:
        """Of everything that has passed."""
        self._wait()
        return self._digest.hexdigest()

    @property
    def retraced(self) -> bool:
        """Whether each segment was where the manifest says."""
        self._wait()
        return self._retraced.as_written

    def _take(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._retraced.take(piece)

    def _wait(self) -> None:
        if self._hashed is not None:
            self._hashed.result()


def objects(manifest: Manifest) -> tuple[ArchiveFact | ObjectFact, ...]:
    """Everything that the backup consists of, the manifest apart."""
    return (*manifest.archives, *((manifest.globals,) if manifest.globals else ()))


def glance(store: Objects, manifest: Manifest) -> RunbookError | None:
    """What is wrong with the backup as far as that can be seen without reading it: an object is gone, or has not its
    size. One request for each object.
    """
    for each in objects(manifest):
        stored = store.head(each.key)
        if stored is None:
            return damaged(store, each.key, "object_missing", "it is not there")
        if stored.size != each.bytes:
            return damaged(store, each.key, "object_corrupt", _of_size(stored.size, each))
    return None


def read_object(store: Objects, fact: ArchiveFact | ObjectFact, on_progress: Callable[[int], None]) -> None:
    """Read one object and compare it with the manifest. Raises ``object_missing`` and ``object_corrupt``."""
    with _examining(store, fact, on_progress) as examined:
        examined.drain()


def read_archive(
    store: Objects, archive: ArchiveFact, tool: Tool, on_progress: Callable[[int], None], context: Context
) -> Head:
    """Read one archive, and let stock pg_restore read all of it too; nothing is restored. Returns its head.

    Raises ``object_missing`` and ``object_corrupt``, and ``tool_failed`` where the tool is the reason.
    """
    with _examining(store, archive, on_progress, archive.segments) as examined:
        try:
            head = read_head(examined, f"{archive.key} in {store.url}")
            argv = [tool.path, "--format=custom", "--file=-"]
            with process.start(
                argv, context=context, env={}, stdin=process.PIPE, stdout=process.DEVNULL, name="pg_restore"
            ) as child:
                _feed(child.stdin, head, examined)
                status = child.wait()
                said = child.stderr_tail()
        finally:
            # Whatever made pg_restore stop, the hash says whether these are the bytes that were written.
            examined.drain()
    if status != 0:
        raise _unreadable(store, archive, tool, said, status)
    if archive.entries and len(head.entries) != archive.entries:
        reason = f"its table of contents has {len(head.entries)} entries, and the manifest says {archive.entries}"
        raise damaged(store, archive.key, "object_corrupt", reason)
    if not examined.retraced:
        reason = "the rows of its segments do not lie where the manifest says, which was changed"
        raise damaged(store, archive.key, "object_corrupt", reason)
    return head


def require_contents(store: Objects, manifest: Manifest, heads: Iterable[Head]) -> int:
    """The archives together hold the rows of each table that the manifest promises; returns how many tables that is.

    Raises ``object_corrupt``.
    """
    present: set[tuple[str, str]] = set()
    for head in heads:
        present |= head.tables_with_data()
    promised = [each for each in manifest.tables if each.data and each.kind == "table" and each.extension is None]
    lacking = [each.table.text for each in promised if (each.schema, each.name) not in present]
    if lacking:
        more = f" and of {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        reason = f"there are no rows of {', '.join(lacking[:_SHOWN])}{more} in it"
        raise damaged(store, manifest.archives[0].key, "object_corrupt", reason)
    return len(promised)


def damaged(store: Objects, key: str, code: str, reason: str) -> RunbookError:
    """The failure for an object that is not what the manifest says; what it means for the backup is added later."""
    return RunbookError(code=code, attempted=ATTEMPTED, object=f"{key} in {store.url}", reason=reason, remedy="")


@contextmanager
def _examining(
    store: Objects,
    fact: ArchiveFact | ObjectFact,
    on_progress: Callable[[int], None],
    segments: Sequence[SegmentFact] = (),
) -> Iterator[Examined]:
    """The object as a stream; at the end of the block, where it was read to its end, it must be the manifest's.

    Where the block failed and the bytes are wrong, it is the bytes that matter.
    """
    with store.open(fact.key) as stream, ThreadPoolExecutor(1, thread_name_prefix="hash") as hashing:
        examined = Examined(stream, hashing, on_progress, segments)
        try:
            yield examined
        except RunbookError as error:
            if error.code not in ("object_corrupt", "backup_unusable") or _decrypted(fact):
                raise
            _require_same(store, fact, examined)
            raise
        _require_same(store, fact, examined)


def _require_same(store: Objects, fact: ArchiveFact | ObjectFact, examined: Examined) -> None:
    if examined.bytes != fact.bytes:
        raise damaged(store, fact.key, "object_corrupt", _of_size(examined.bytes, fact))
    if examined.sha256 != fact.sha256 and not _decrypted(fact):
        reason = f"its SHA-256 is {examined.sha256}, and the manifest says {fact.sha256}"
        raise damaged(store, fact.key, "object_corrupt", reason)


def _decrypted(fact: ArchiveFact | ObjectFact) -> bool:
    """Whether these are bytes as they were before they were encrypted, which decrypting has judged already."""
    return fact.age is not None and not fact.sha256


def _of_size(size: int, fact: ArchiveFact | ObjectFact) -> str:
    return f"it has {size} bytes, and the manifest says {fact.bytes}"


def _feed(pipe: IO[bytes] | None, head: Head, examined: Examined) -> None:
    """Give pg_restore the archive, as much of it as it takes: why it stops listening, its exit status says."""
    if pipe is None:
        raise ValueError("pg_restore was started without a pipe to write to")
    with suppress(BrokenPipeError), pipe as sink:
        sink.write(head.raw)
        sink.write(head.beyond)
        for piece in examined.pieces():
            sink.write(piece)


def _unreadable(store: Objects, archive: ArchiveFact, tool: Tool, said: str, status: int) -> RunbookError:
    """The right bytes, and yet pg_restore does not read them: because of the tool, or because they never were good."""
    words = said.strip().splitlines()
    reason = words[-1] if words else f"it ended with status {status}"
    if status < 0 or any(text in said for text in _NOT_FOR_THIS_TOOL):
        return RunbookError(
            code="tool_failed",
            attempted=ATTEMPTED,
            object=f"{archive.key} in {store.url}",
            reason=f"{tool.path} {tool.version} did not read it: {reason}",
            remedy="The bytes are those that were written. Use a pg_restore that is as new as the server of the backup "
            "and knows its compression (bindir), then run this again.",
        )
    return damaged(store, archive.key, "object_corrupt", f"pg_restore {tool.version} cannot read it: {reason}")
