# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An archive into a session that is in a transaction (private to ops.runbooks).

pg_restore connects to nothing here: it writes SQL, and statements and rows go through the one session whose transaction
drops what was there, compares what has come, and only then becomes final.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, cast

from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import failures
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import read_head, rewrite_head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.load import (
    CHUNK,
    ERROR,
    Measured,
    damaged,
    ending,
    fetch,
    listed,
    verify_measured,
    write,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.streams import (
    DATA,
    POST_DATA,
    PRE_DATA,
    Part,
    definitions,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.streams import SECTIONS
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.watch import Watch

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Objects

UNTOUCHED = "The live database is as it was: all of it was one transaction, which did not become final."
#: A lock that was not given in time, and a deadlock, in which the application waited for us and we for it.
LOCKS = frozenset({"55P03", "40P01"})
AGAIN = "Stop the application, or end the sessions that hold locks (pg_blocking_pids), then run the same command again."
_OTHERWISE = "Remove the cause, then run this again; or restore beside it."
_STRIDE = 16 << 20
_PIECE = 256 * 1024
_BEGIN, _END = b" FROM stdin;\n", b"\\.\n"
#: How pg_restore begins: the second line would let everything that follows wait for locks as long as it takes.
_LIMITS, _LIMIT = b"SET statement_timeout = 0;\nSET lock_timeout = 0;\n", b"SET statement_timeout = 0;\n"
_RESTRICT = re.compile(rb"^\\restrict ([A-Za-z0-9]+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLoading:
    """How to load. ``go_on`` gets the bytes read so far, and raises where the work must stop."""

    tool: str
    environment: Mapping[str, str] = field(repr=False)
    options: tuple[str, ...]
    session: Session
    label: str
    go_on: Callable[[int], None]
    time_left: Callable[[], float | None]
    context: Context

    def load(self, store: Objects, parts: list[Part]) -> int:
        """Every archive of a backup: definitions, rows, and what is made of rows. Returns their bytes."""
        main = parts[0] if len(parts) == 1 else next(part for part in parts if part.archive.role == SECTIONS)
        rest = b"" if len(parts) == 1 else fetch(store, main.archive, main.head)[len(main.head.raw) :]
        with definitions(main, rest, self.context) as path:
            self._definitions(path, main, PRE_DATA)
            for part in parts:
                self._rows(store, part)
            self._definitions(path, main, POST_DATA)
        return sum(part.archive.bytes for part in parts)

    def _definitions(self, path: Path, part: Part, section: str) -> None:
        if not (listing := part.adaptation.listing(part.head, part.ids(section))):
            return
        argv = [self.tool, *self.options, *listed(listing, path.with_suffix(".list")), "--file=-", str(path)]
        self.context.effect(f"restore the {section} of {part.archive.key} into {self.label}")
        with process.start(
            argv, context=self.context, env=self.environment, stdout=process.PIPE, name="pg_restore"
        ) as child:
            self._run(child, ())

    def _rows(self, store: Objects, part: Part) -> None:
        """The rows of one archive, which streams through pg_restore. Nothing of it is kept where its hash is wrong."""
        ids = part.ids(DATA)
        listing = part.adaptation.listing(part.head, ids)
        if not listing:
            return
        path = Path(self.context.tmpdir) / f"{part.archive.key.rpartition('/')[2]}.list"
        argv = [self.tool, *self.options, *listed(listing, path), "--file=-"]
        copies = [
            entry.copy.encode(part.head.codec, "surrogateescape")
            for entry in part.head.entries
            if entry.copy and entry.dump_id in ids and entry.dump_id not in part.adaptation.left_out
        ]
        with store.open(part.archive.key) as stream:
            measured = Measured(stream, part.archive)
            found = read_head(measured, f"{part.archive.key} in {store.url}")
            if found.raw != part.head.raw:
                raise damaged(store, part.archive, "object_corrupt", "it was replaced while the restore ran")
            first = rewrite_head(part.head, part.adaptation.changes) + found.beyond
            self.context.effect(f"load {part.archive.key} into {self.label}")
            with (
                process.start(
                    argv,
                    context=self.context,
                    env=self.environment,
                    stdin=process.PIPE,
                    stdout=process.PIPE,
                    name="pg_restore",
                ) as child,
                Feeder(child, first, iter(partial(measured.read, CHUNK), b"")),
            ):
                self._run(child, copies, measured)
            for _rest in iter(partial(measured.read, CHUNK), b""):  # to the end, for the sake of the hash
                continue
        verify_measured(store, part.archive, measured)

    def _run(self, child: process.Child, copies: Sequence[bytes], measured: Measured | None = None) -> None:
        """Carry out what pg_restore writes; its end has to be a good one."""
        # Whoever waits for pg_restore, which may wait for the store, is woken by its end.
        with Watch(self._look, child.kill):
            try:
                self._pieces(Text(cast(IO[bytes], child.stdout), copies).pieces(), measured)
            except RunbookError:
                self.time_left()
                if not child.running and (status := child.wait()) != 0:
                    raise self._failed(_said(child, status)) from None
                raise
            if (status := child.wait()) != 0:
                raise self._failed(_said(child, status))

    def _look(self) -> None:
        self.context.effect("go on loading")
        self.time_left()

    def _pieces(self, pieces: Iterator[tuple[str, bytes]], measured: Measured | None) -> None:
        import psycopg

        failure, looked_at = None, 0
        try:
            with self.session.connection.cursor() as cursor:
                for kind, body in pieces:
                    if kind == "sql":
                        cursor.execute(body)
                        self.go_on(measured.bytes if measured else 0)
                        continue
                    with cursor.copy(body) as copy:
                        for what, rows in pieces:
                            if what == "end":
                                break
                            copy.write(rows)
                            if measured is not None and measured.bytes - looked_at >= _STRIDE:
                                looked_at = measured.bytes
                                self.go_on(looked_at)
        except EOFError:
            failure = self._failed("pg_restore stopped before all rows had come")
        except psycopg.Error as error:
            text = self.context.redactor.text(failures.first_line(str(error)))
            failure = self._failed(text, error.sqlstate)
        if failure is not None:  # raised here, so that no traceback carries what psycopg quotes
            raise failure

    def _failed(self, reason: str, state: str | None = None) -> RunbookError:
        return RunbookError(
            code="restore_failed",
            attempted="restore in place",
            object=self.label,
            reason=reason,
            remedy=f"{UNTOUCHED} {AGAIN if state in LOCKS else _OTHERWISE}",
            details={"sqlstate": state} if state else None,
        )


class Feeder:
    """Writes to pg_restore beside whoever reads from it. What the store failed with comes before all that follows."""

    def __init__(self, child: process.Child, first: bytes, pieces: Iterator[bytes]) -> None:
        self._child = child
        self._error: RunbookError | None = None
        self._thread = threading.Thread(target=self._run, args=(first, pieces))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._thread.join()
        if self._error is not None:
            raise self._error from None

    def _run(self, first: bytes, pieces: Iterator[bytes]) -> None:
        try:
            write(self._child.stdin, first, pieces, lambda _written: None)
        except RunbookError as error:
            self._error = error


class Text:
    """SQL that pg_restore has written, cut at the COPY statements ``copies``, which come in this order.

    Nothing else is looked at: names and strings may hold whatever they like, line ends too.
    """

    def __init__(self, stream: IO[bytes], copies: Sequence[bytes]) -> None:
        self._stream = stream
        self._copies = deque(copies)
        self._key: bytes | None = None
        self._begun = False

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """``sql`` to run; ``copy``, after which ``rows`` come and an ``end``. Raises EOFError where rows lack."""
        lines: list[bytes] = []
        while line := self._stream.readline():
            lines.append(line)
            if not (self._copies and line.endswith(_BEGIN)):
                continue
            text = b"".join(lines)
            if text.endswith(self._copies[0]):
                copy = self._copies.popleft()
                yield "sql", self._plain(text.removesuffix(copy))
                yield "copy", copy
                yield from self._rows()
                lines = []
        if self._copies:
            raise EOFError
        yield "sql", self._plain(b"".join(lines))

    def _rows(self) -> Iterator[tuple[str, bytes]]:
        rows: list[bytes] = []
        size, at_start = 0, True
        while line := self._stream.readline(_PIECE):
            if at_start and line == _END:
                yield "rows", b"".join(rows)
                yield "end", b""
                return
            at_start = line.endswith(b"\n")
            rows.append(line)
            size += len(line)
            if size >= _PIECE:
                yield "rows", b"".join(rows)
                rows, size = [], 0
        raise EOFError

    def _plain(self, text: bytes) -> bytes:
        """Without the two lines that are for psql, in which the word is random, and with our limit on locks."""
        if not self._begun:
            self._begun = True
            text = text.replace(_LIMITS, _LIMIT, 1)
        if self._key is None and (found := _RESTRICT.search(text)) is not None:
            self._key = found[1]
            text = text[: found.start()] + text[found.end() :]
        return text if self._key is None else text.replace(b"\n\\unrestrict " + self._key + b"\n", b"\n")


def _said(child: process.Child, status: int) -> str:
    error = ERROR.search(child.stderr_tail())
    return f"pg_restore: {error['text'] if error else ending(status)}"
