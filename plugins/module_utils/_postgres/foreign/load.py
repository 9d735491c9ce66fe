# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A foreign dump into a database (private to ops.runbooks). Everything that ends badly here is a failure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import failures
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.dump import Dump, Hashed, Kind
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.sql import Piece, Script
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Ownership
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import DROPPED
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.load import ending
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.watch import Watch, ender

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
_CHUNK = 1 << 20
_PAUSE = 0.2
_ERROR = re.compile(r"error:\s+(?P<text>.*)")
_FORMATS = {"custom": "custom", "directory": "directory", "tar": "tar"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """How to load: the tool and how it connects, or ``session`` in the new database for plain SQL.

    ``go_on`` gets the bytes read so far, now and then, and raises where the work must stop.
    """

    tool: str | None
    dbname: str
    environment: Mapping[str, str] = field(repr=False)
    ownership: Ownership
    label: str
    session: Session
    go_on: Callable[[int], None]
    context: Context

    def load(self, dump: Dump, kind: Kind) -> str | None:
        """Load it; the SHA-256 of what was read on the way, None where pg_restore reads the files itself."""
        if kind.format == "plain":
            return self._load_plain(dump, kind)
        if kind.format == "custom":
            return self._load_stream(dump, kind)
        self._load_files(dump, kind)
        return None

    def _argv(self, kind: Kind) -> list[str]:
        argv = [str(self.tool), f"--dbname={self.dbname}", f"--format={_FORMATS[kind.format]}", "--exit-on-error"]
        argv += ["--no-password"]
        if not self.ownership.keeps_owners:
            argv += ["--no-owner", f"--role={self.ownership.owner}"]
        return argv if self.ownership.keeps_privileges else [*argv, "--no-privileges"]

    def _load_stream(self, dump: Dump, kind: Kind) -> str:
        started = {"context": self.context, "env": self.environment, "stdout": process.DEVNULL, "name": "pg_restore"}
        with (
            dump.unpacked(kind) as (stream, hashed),
            process.start(self._argv(kind), stdin=process.PIPE, **started) as child,  # type: ignore[arg-type]
            Watch(lambda: self.go_on(hashed.bytes), child.kill),
        ):
            with suppress(BrokenPipeError):
                while chunk := stream.read(_CHUNK):
                    if child.stdin is not None:
                        child.stdin.write(chunk)
                if child.stdin is not None:
                    child.stdin.close()
            self._ended(child, hashed)
            while stream.read(_CHUNK):
                continue
            return hashed.sha256

    def _load_files(self, dump: Dump, kind: Kind) -> None:
        started = {"context": self.context, "env": self.environment, "stdout": process.DEVNULL, "name": "pg_restore"}
        with process.start([*self._argv(kind), dump.name], **started) as child:  # type: ignore[arg-type]
            self._ended(child, None)

    def _ended(self, child: process.Child, hashed: Hashed | None) -> None:
        """Wait for pg_restore's end, which has to be a good one."""
        while child.running:
            self.go_on(hashed.bytes if hashed is not None else 0)
            time.sleep(_PAUSE)
        status = child.wait()
        if status == 0:
            return
        self.go_on(0)
        error = _ERROR.search(child.stderr_tail())
        raise self._failed(f"pg_restore: {error['text'] if error else ending(status)}")

    def _load_plain(self, dump: Dump, kind: Kind) -> str:
        """Every statement through the session, every row through its COPY."""
        import psycopg

        with dump.unpacked(kind) as (stream, hashed):
            script = Script(stream, dump.name)
            failure = None
            try:
                with Watch(lambda: self.go_on(hashed.bytes), ender(self.session)):
                    self._run(script.pieces())
                if self.session.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    failure = self._failed("it leaves a transaction open, and all in it would be undone")
            except psycopg.Error as error:
                text = self.context.redactor.text(failures.first_line(str(error)))
                failure = self._failed(f"{text} (before line {script.line + 1})")
            if failure is not None:  # raised here, so that no traceback carries what psycopg quotes
                raise failure
            while stream.read(_CHUNK):
                continue
            return hashed.sha256

    def _run(self, pieces: Iterator[Piece]) -> None:
        with self.session.connection.cursor() as cursor:
            for piece in pieces:
                if piece.kind == "sql":
                    cursor.execute(piece.body)
                    continue
                with cursor.copy(piece.body) as copy:
                    for rows in pieces:
                        if rows.kind == "end":
                            break
                        copy.write(rows.body)

    def _failed(self, reason: str) -> RunbookError:
        remedy = f"{DROPPED} Remove the cause, then run this again."
        if "role" in reason and "does not exist" in reason:
            remedy += " Create the role, or give everything to one that exists with owner (archives only)."
        return RunbookError(
            code="restore_failed", attempted="restore the dump", object=self.label, reason=reason, remedy=remedy
        )
