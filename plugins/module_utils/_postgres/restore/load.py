# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An archive from the store into a database, without a local copy (private to ops.runbooks).

The archive streams through this process into pg_restore. On the way it is hashed, since archives carry no checksum of
their own and pg_restore loads damaged ones without complaint, and its head is rewritten where roles are missing. The
verdict of the hash comes last, and nothing is renamed before it.
"""

from __future__ import annotations

import hashlib
import re
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.parallel import Crew
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import (
    Head,
    read_head,
    rewrite_head,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_reader import Readable
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ArchiveFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import DROPPED

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects

#: Bytes that are read at a time.
CHUNK = 1 << 20
#: Bytes between two looks at lock, controller and deadline.
_STRIDE = 16 << 20
ERROR = re.compile(r"error:\s+(?P<text>.*)")
_ENTRY = re.compile(r"from TOC entry \d+; \d+ \d+ (?P<entry>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How to load: the tool, how it connects, what it is told beside that.

    ``on_progress`` gets the bytes read so far every 16 MiB and raises where the work must stop; ``time_left`` is in
    seconds, None for ever. Loads that run at once share ``crew``, and end together.
    """

    tool: str
    dbname: str
    environment: Mapping[str, str] = field(repr=False)
    options: tuple[str, ...]
    label: str
    on_progress: Callable[[int], None]
    time_left: Callable[[], float | None]
    crew: Crew = field(default_factory=Crew)


class Measured:
    """A reader that counts and hashes everything that passes."""

    def __init__(self, stream: Readable, fact: ArchiveFact) -> None:
        self._stream = stream
        # What was encrypted is authentic once it is decrypted, and has no hash in the manifest.
        self._digest = None if fact.age is not None else hashlib.sha256()
        self.bytes = 0

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        if self._digest is not None:
            self._digest.update(chunk)
        self.bytes += len(chunk)
        return chunk

    @property
    def sha256(self) -> str:
        return "" if self._digest is None else self._digest.hexdigest()


def read_archive_head(store: Objects, archive: ArchiveFact) -> Head:
    """The head of an archive in the store, whose size must be the manifest's. Reads no more than it must."""
    stored = store.head(archive.key)
    if stored is None:
        raise damaged(store, archive, "object_missing", "it is not there")
    if stored.size != archive.bytes:
        raise damaged(
            store, archive, "object_corrupt", f"it has {stored.size} bytes, and the manifest says {archive.bytes}"
        )
    with store.open(archive.key) as stream:
        head = read_head(stream, f"{archive.key} in {store.url}")
    if archive.entries and len(head.entries) != archive.entries:
        reason = f"its table of contents has {len(head.entries)} entries, and the manifest says {archive.entries}"
        raise damaged(store, archive, "object_corrupt", reason)
    return head


def load(
    store: Objects,
    archive: ArchiveFact,
    head: Head,
    adaptation: Adaptation,
    loading: Loading,
    context: Context,
    *,
    wanted: Collection[int] | None = None,
) -> int:
    """Stream one archive into the database and return its bytes; ``head`` and ``adaptation`` are what was planned.

    ``wanted`` are the entries to restore, by dump id; None is all of them. Raises ``object_corrupt`` where the bytes
    are not the manifest's, whatever pg_restore said of them, and ``restore_failed`` where it failed on the right bytes.
    """
    with store.open(archive.key) as stream:
        measured = Measured(stream, archive)
        found = read_head(measured, f"{archive.key} in {store.url}")
        if found.raw != head.raw:
            raise damaged(store, archive, "object_corrupt", "it was replaced while the restore ran")
        pieces = iter(partial(measured.read, CHUNK), b"")
        name, first = archive.key.rpartition("/")[2], rewrite_head(head, adaptation.changes) + found.beyond
        status, said = feed(name, adaptation.listing(head, wanted), first, pieces, loading, context)
        read_on(pieces, loading)
    verify_measured(store, archive, measured)
    if status != 0:
        raise failed(loading, said, status)
    return measured.bytes


def feed(
    name: str,
    listing: str | None,
    first: bytes,
    pieces: Iterator[bytes],
    loading: Loading,
    context: Context,
) -> tuple[int, str]:
    """Give pg_restore ``first`` and the pieces of an archive, as many as it takes; its status, and what it said.

    ``name`` is that of the file with the listing, which no other load may have.
    """
    argv = [*arguments(loading), *listed(listing, Path(context.tmpdir) / f"{name}.list")]
    context.effect(f"load {name} into {loading.label}")
    with process.start(
        argv,
        context=context,
        env=loading.environment,
        stdin=process.PIPE,
        stdout=process.DEVNULL,
        name="pg_restore",
    ) as child:
        with loading.crew.joined(child), ended_in_time(child, loading.time_left()):
            write(child.stdin, first, pieces, loading.on_progress)
            status = child.wait()
        loading.time_left()
        said = child.stderr_tail()
    if status != 0:
        # Another run that has taken the lock over drops this database: then that is the reason, not pg_restore.
        context.effect(f"go on loading {loading.label}")
    return status, said


@contextmanager
def ended_in_time(child: process.Child, seconds: float | None) -> Iterator[None]:
    """Kill the child when the time is over, also while we wait for it to take what we write."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, child.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def arguments(loading: Loading) -> list[str]:
    """pg_restore's command line, without what it restores."""
    return [loading.tool, f"--dbname={loading.dbname}", "--exit-on-error", "--no-password", *loading.options]


def listed(listing: str | None, path: Path) -> list[str]:
    """The option that limits pg_restore to a listing, which is written to ``path``; none where there is none."""
    if listing is None:
        return []
    path.write_text(listing, encoding="utf-8")
    return [f"--use-list={path}"]


def read_on(pieces: Iterator[bytes], loading: Loading) -> None:
    """Read to the end, for the sake of the hash: whatever pg_restore said, the bytes are to be judged first.

    Where another stream has failed, which is the failure that is told, nobody waits for that.
    """
    for _piece in pieces:
        if loading.crew.dismissed:
            raise failed(loading, "error: another stream has failed", 0)


def write(pipe: IO[bytes] | None, first: bytes, pieces: Iterator[bytes], on_progress: Callable[[int], None]) -> None:
    """All of it, or as much as is taken: why pg_restore stops listening, its exit status says."""
    written = looked_at = 0
    with suppress(BrokenPipeError), pipe or nullcontext(BytesIO()) as sink:
        sink.write(first)
        for piece in pieces:
            sink.write(piece)
            written += len(piece)
            if written - looked_at >= _STRIDE:
                looked_at = written
                on_progress(written)


def fetch(store: Objects, archive: ArchiveFact, head: Head) -> bytes:
    """A small archive whole, once its bytes are those of the manifest and of the plan. Raises ``object_corrupt``."""
    with store.open(archive.key) as stream:
        measured = Measured(stream, archive)
        pieces = []
        while measured.bytes <= archive.bytes and (piece := measured.read(CHUNK)):
            pieces.append(piece)
    verify_measured(store, archive, measured)
    body = b"".join(pieces)
    if not body.startswith(head.raw):
        raise damaged(store, archive, "object_corrupt", "it was replaced while the restore ran")
    return body


def verify_measured(store: Objects, archive: ArchiveFact, measured: Measured) -> None:
    if measured.bytes != archive.bytes:
        reason = f"it has {measured.bytes} bytes, and the manifest says {archive.bytes}"
        raise damaged(store, archive, "object_corrupt", reason)
    if measured.sha256 != archive.sha256:
        reason = f"its SHA-256 is {measured.sha256}, and the manifest says {archive.sha256}"
        raise damaged(store, archive, "object_corrupt", reason)


def damaged(store: Objects, archive: ArchiveFact, code: str, reason: str) -> RunbookError:
    return RunbookError(
        code=code,
        attempted="restore the backup",
        object=f"{archive.key} in {store.url}",
        reason=reason,
        remedy="Use another backup (postgres_backup_info lists them), and find out what happened to this object.",
    )


def ending(status: int) -> str:
    """How a tool has ended that has said nothing, for people."""
    if status == -signal.SIGKILL:
        return "it was killed (signal 9), as the operating system does where memory runs out"
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with status {status}"


def failed(loading: Loading, said: str, status: int) -> RunbookError:
    """What pg_restore said, without the rows and statements that it quotes."""
    error, entry = ERROR.search(said), _ENTRY.search(said)
    reason = error["text"] if error else ending(status)
    remedy = f"{DROPPED} Remove the cause, then run this again."
    if "server closed the connection" in reason or "terminating connection" in reason:
        remedy += " Why the server has ended its sessions, its log says: a full disk, a lack of memory, somebody."
    if "permission denied" in reason or "must be" in reason:
        remedy += " Restoring as a superuser avoids this, and so may giving all objects to one role with option owner."
    return RunbookError(
        code="restore_failed",
        attempted="restore the backup",
        object=loading.label,
        reason=f"pg_restore: {reason}" + (f" (at {entry['entry']})" if entry else ""),
        remedy=remedy,
    )
