# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_dump into the store, without a file in between (private to ops.runbooks).

The object appears only after pg_dump has ended with status 0, and counts only after its table of contents was read back
from the store and a stock pg_restore has accepted it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.age import Encrypting
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.parallel import Crew
from ansible_collections.ops.runbooks.plugins.module_utils._core.process import DEVNULL, PIPE, Child, start
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption, Sink, StoredDigest
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import DEFAULT_PART, Budget
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head, read_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.segments import Segmented
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    AgeFact,
    ArchiveFact,
    ObjectFact,
    SegmentFact,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sealed import fact_of, is_written
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Tool

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import Relation

#: Seconds for a tool to end after it has closed its output, and for pg_restore to read a table of contents.
_PATIENCE = 120.0
#: At most so many of pg_dump's own warnings become warnings of the task.
_WARNINGS = 5
#: A session asked for an exclusive lock between our lock and pg_dump's: it waits for us, and pg_dump waits for it.
#: pg_dump's --lock-wait-timeout is a statement_timeout around its LOCK.
_QUEUED = r"statement timeout[\s\S]*LOCK TABLE|lock timeout|could not obtain lock"
#: What pg_dump's last words mean; the first that fits is taken.
_MEANINGS = (
    (_QUEUED, "timed_out", "Run this again when the session that wants an exclusive lock has ended."),
    (r"row-level security", "row_security", "Let a role with BYPASSRLS, or the owner of the tables, take the backup."),
    (r"permission denied|must be owner|must be superuser", "privilege_missing", "Grant the role what it lacks."),
    (
        r"server version mismatch",
        "tool_missing",
        "Install pg_dump of the server's major version, or name it in bindir.",
    ),
    (
        r"conflict with recovery",
        "server_failed",
        "Raise max_standby_streaming_delay on the standby, or use the primary.",
    ),
    (r"snapshot .* does not exist", "dump_failed", "The session that held the snapshot was ended; run this again."),
    (
        r"server closed the connection|terminating connection|connection to server",
        "server_unreachable",
        "Check the server and the network between, then run this again.",
    ),
)


class LockQueued(RunbookError):
    """The ``timed_out`` that goes away when the coordinator lets go of its locks for a moment."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An object that was written; ``segments`` are those of ``model.ArchiveFact``, none where it is no archive.

    Where it was encrypted ``age`` is there, and the archive's head as it passed by.
    """

    digest: StoredDigest
    segments: tuple[SegmentFact, ...]
    age: AgeFact | None = None
    head: Head | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An archive that lies in the store, and its table of contents as it was read back."""

    fact: ArchiveFact
    head: Head


def _dismissed(key: str) -> RunbookError:
    """The failure of a stream that had to end because another one has failed, which is the one that people read."""
    return RunbookError(
        code="run_aborted",
        attempted="back up the database",
        object=key,
        reason="another part of the same backup failed",
        remedy="See the failure of that part.",
    )


class Dumper:
    """Writes objects of one backup. ``deadline`` is on the context's monotonic clock; None sets no limit.

    Several threads may write at once: they share the budget of memory, and end together with ``crew``. What is written
    is encrypted to ``recipients`` where there are any, and by the store as ``encryption`` says.
    """

    def __init__(
        self,
        *,
        store: Store,
        connector: Connector,
        context: Context,
        encryption: Encryption,
        recipients: Sequence[str] = (),
        budget: Budget,
        deadline: float | None,
    ) -> None:
        self.crew = Crew()
        self._store = store
        self._connector = connector
        self._context = context
        self._encryption = encryption
        self._recipients = recipients
        self._budget = budget
        self._deadline = deadline

    def archive(self, tool: Tool, key: str, arguments: Sequence[str], part_size: int) -> Written:
        """A custom-format archive of what ``arguments`` choose."""
        return self._stream(tool, key, ["--format=custom", "--no-password", *arguments], part_size, archive=True)

    def globals(self, tool: Tool, key: str) -> ObjectFact:
        """The server's roles and tablespaces as SQL, without passwords, which managed servers do not let be read."""
        # It would connect to the database "postgres", whatever its connection string says.
        where = f"--database={self._connector.tool_dbname()}"
        arguments = ["--globals-only", "--no-role-passwords", "--no-password", where]
        written = self._stream(tool, key, arguments, DEFAULT_PART)
        digest = written.digest
        return ObjectFact(key=digest.key, bytes=digest.size, sha256=digest.sha256, age=written.age)

    def read_back(self, written: Written, pg_restore: Tool, role: str, table: str | None = None) -> Stored:
        """Read the table of contents from the store. Raises ``object_corrupt`` where that cannot be restored from."""
        digest, head = written.digest, self._head(written)
        self._list(head, digest.key, pg_restore)
        fact = ArchiveFact(
            key=digest.key,
            bytes=digest.size,
            sha256=digest.sha256,
            entries=len(head.entries),
            role=role,
            table=table,
            segments=written.segments,
            age=written.age,
        )
        return Stored(fact=fact, head=head)

    def _head(self, written: Written) -> Head:
        """The archive's, from the store; or as it passed by, where the store has it encrypted and it cannot be read."""
        key = written.digest.key
        if written.age is None:
            with self._store.open(key) as stream:
                return read_head(stream, key)
        if written.head is not None and is_written(self._store, key, written.age):
            return written.head
        raise RunbookError(
            code="object_corrupt",
            attempted="read back the archive",
            object=key,
            reason="pg_dump wrote no table of contents that is known" if written.head is None else "it is another one",
            remedy="The backup was not completed; run this again.",
        )

    def _stream(
        self, tool: Tool, key: str, arguments: Sequence[str], part_size: int, *, archive: bool = False
    ) -> Written:
        argv = [tool.path, *arguments, f"--dbname={self._connector.tool_dbname()}"]
        self._context.effect(f"start {tool.name}")
        environment = self._connector.tool_environment()
        with (
            self._store.sink(key, part_size=part_size, budget=self._budget, encryption=self._encryption) as sink,
            start(argv, context=self._context, env=environment, name=tool.name) as child,
            self.crew.joined(child, sink.stop),
            self._limited(child, sink) as expired,
        ):
            measured = Segmented(child.output(), sealed=bool(self._recipients)) if archive else None
            source = measured or child.output()
            sealing = Encrypting(source, self._recipients, child.kill) if self._recipients else None
            try:
                with sealing or nullcontext(source) as stream:
                    sink.pump(stream, lambda count: self._progress(key, count))
            except RunbookError as failure:
                # Parts that were on their way when the time was up fail in many ways, for one reason.
                if expired.is_set():
                    raise self._timed_out(tool) from failure
                raise
            status = child.wait(_PATIENCE)
            if expired.is_set():
                raise self._timed_out(tool)
            if status != 0:
                raise self._failed(tool, status, child.stderr_tail())
            if self.crew.dismissed:
                raise _dismissed(key)
            self._pass_on_warnings(child.stderr_tail())
            self._context.effect(f"complete {key}")
            age = None if sealing is None else fact_of(sealing)
            digest = sink.commit()
            if measured is None:
                return Written(digest=digest, segments=(), age=age)
            return Written(digest=digest, segments=measured.found(), age=age, head=measured.head)

    @contextmanager
    def _limited(self, child: Child, sink: Sink) -> Iterator[threading.Event]:
        """End the child and the upload at the deadline: a slow store may have a minute's worth of parts before it."""
        expired = threading.Event()

        def end() -> None:
            expired.set()
            sink.stop()
            child.kill()

        if self._deadline is None:
            yield expired
            return
        timer = threading.Timer(max(self._deadline - self._context.clock.monotonic(), 0), end)
        timer.daemon = True
        timer.start()
        try:
            yield expired
        finally:
            timer.cancel()

    def _progress(self, key: str, count: int) -> None:
        self._context.effect(f"go on writing {key}")
        self._context.progress(writing=key, bytes=count)

    def _list(self, head: Head, key: str, pg_restore: Tool) -> None:
        """Let pg_restore read the head: what it accepts is what people can use without us."""
        with start(
            [pg_restore.path, "--list"], context=self._context, env={}, stdin=PIPE, stdout=DEVNULL, name="pg_restore"
        ) as child:
            if child.stdin is not None:
                try:
                    child.stdin.write(head.raw)
                    child.stdin.close()
                except BrokenPipeError:  # it ended early: its status says whether that was a failure
                    self._context.progress(read_back=key)
            if child.wait(_PATIENCE) != 0:
                raise RunbookError(
                    code="object_corrupt",
                    attempted="read back the archive",
                    object=key,
                    reason=f"pg_restore does not accept it: {_last_words(child.stderr_tail())}",
                    remedy="The backup was not completed; run this again.",
                )

    def _pass_on_warnings(self, said: str) -> None:
        lines = [line for line in said.splitlines() if "warning:" in line]
        for line in lines[:_WARNINGS]:
            self._context.warn(line.strip())

    def _timed_out(self, tool: Tool) -> RunbookError:
        return RunbookError(
            code="timed_out",
            attempted="back up the database",
            object=self._connector.endpoint.label,
            reason=f"{tool.name} did not end in the time that timeout allows",
            remedy="Raise timeout, or find out what slows the server or the store down.",
        )

    def _failed(self, tool: Tool, status: int, said: str) -> RunbookError:
        words = _last_words(said)
        code, remedy = "dump_failed", "Read what it said, put that right, and run this again."
        for pattern, meaning, advice in _MEANINGS:
            if re.search(pattern, said, re.IGNORECASE):
                code, remedy = meaning, advice
                break
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        kind = LockQueued if re.search(_QUEUED, said, re.IGNORECASE) else RunbookError
        return kind(
            code=code,
            attempted="back up the database",
            object=self._connector.endpoint.label,
            reason=f"{tool.name} {tool.version} {how}: {words}",
            remedy=remedy,
            details={"stderr": said},
        )


def check_contents(stored: Iterable[Stored], tables: Iterable[Relation], where: str) -> None:
    """Fail with ``dump_failed`` where the archives together lack the rows of a table that was to be in them."""
    present: set[tuple[str, str]] = set()
    for each in stored:
        present |= each.head.tables_with_data()
    lacking = [each.name.text for each in tables if (each.name.schema, each.name.name) not in present]
    if lacking:
        raise RunbookError(
            code="dump_failed",
            attempted="back up the database",
            object=where,
            reason=f"the archive has no rows of {', '.join(lacking[:5])}{' and others' if len(lacking) > 5 else ''}",
            remedy="This is a fault of the collection or of pg_dump; report it.",
        )


def restored_sequences(stored: Iterable[Stored]) -> frozenset[tuple[str, str]]:
    """Schema and name of each sequence whose value the archives set."""
    return frozenset(
        (entry.namespace or "", entry.tag)
        for each in stored
        for entry in each.head.entries
        if entry.desc == "SEQUENCE SET"
    )


def _last_words(said: str) -> str:
    """The error in what a tool wrote: its first line that says so, with its detail, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if "error:" in line:
            details = [more for more in lines[number + 1 : number + 3] if "detail:" in more]
            return " ".join([line, *details]).rstrip(".")
    return lines[-1].rstrip(".") if lines else "it said nothing"
