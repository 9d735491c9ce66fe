# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plain SQL dump, statement by statement (private to ops.runbooks).

The dump is not given to psql, which would carry out what a dump may ask of it on this machine (``\\!``, ``\\i``,
``\\o |``, ``\\copy ... from program``). Its statements go to the server through an ordinary session, so that whatever a
statement is taken for here, it is SQL in the new database and nothing else. What psql alone would understand is refused
by name.

A dump is whole where pg_dump's last line is its last: a file that was cut at a row, or between two statements, is SQL
that runs without an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

HEADER = b"-- PostgreSQL database dump"
TRAILER = b"-- PostgreSQL database dump complete"
CLUSTER = b"-- PostgreSQL database cluster dump"
#: Statements are sent together up to this many bytes, rows too.
_BATCH = 256 * 1024
_ROW_PIECE = 1024 * 1024
#: The longest line of SQL; PostgreSQL itself takes no statement above 1 GiB.
_LONGEST = 256 * 1024 * 1024

_TOKEN = re.compile(
    rb"--[^\n\r]*|/\*|[eE]'|'|\"|\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$"
    rb"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*|[();\\]"
)
_COMMENT = re.compile(rb"/\*|\*/")
_ESCAPED = re.compile(rb"\\.|''|'", re.DOTALL)
_QUOTED = rb'(?:"(?:[^"]|"")+"|[^\s".();]+)'
#: As pg_dump writes it, and nothing else: here rows begin.
_COPY = re.compile(
    rb"COPY " + _QUOTED + rb"(?:\." + _QUOTED + rb")?(?: \(" + _QUOTED + rb"(?:, " + _QUOTED + rb")*\))? FROM stdin;\s*"
)
_RESTRICT = re.compile(rb"\\(?:un)?restrict [A-Za-z0-9]+\s*")
_END_OF_ROWS = (b"\\.\n", b"\\.\r\n", b"\\.")
#: Words of a statement that are looked at, and lines that one statement may have.
_MOST_WORDS, _MOST_LINES = 64, 4_000_000
_LABELLED = (["DATABASE"], ["ROLE"], ["TABLESPACE"])
_CLUSTER = frozenset({("ON", "DATABASE"), ("ON", "PARAMETER"), ("ON", "TABLESPACE")})
#: What reaches beyond the new database, by the first words of a statement.
_BEYOND = {
    (verb, what)
    for verb in ("CREATE", "ALTER", "DROP", "COMMENT ON")
    for what in ("DATABASE", "ROLE", "USER", "GROUP", "TABLESPACE", "SYSTEM", "OWNED")
}


class Lines(Protocol):
    """A buffered binary stream."""

    def readline(self, limit: int = -1, /) -> bytes:
        """The next line, at most ``limit`` bytes of it; empty at the end."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a dump: statements to run, the COPY that begins rows, rows, or their end. ``line`` is where it begins."""

    kind: Literal["sql", "copy", "rows", "end"]
    body: bytes
    line: int


class Script:
    """Cuts a plain dump into pieces; :meth:`pieces` raises ``backup_unusable`` or ``object_corrupt``."""

    def __init__(self, stream: Lines, name: str) -> None:
        self._stream = stream
        self._name = name
        self._line = 0
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._batch_line = 1
        self._state = _State()
        self._complete = False
        #: Whether the statement that is being read began behind the end of a dump.
        self._beyond_end = False

    @property
    def line(self) -> int:
        """How many lines were read so far."""
        return self._line

    def pieces(self) -> Iterator[Piece]:
        """All of them, in order; whatever is wrong with a line is raised before anything of it is handed on."""
        while line := self._stream.readline(_LONGEST):
            self._line += 1
            if len(line) == _LONGEST and not line.endswith(b"\n"):
                raise self.refused(f"line {self._line} is longer than {_LONGEST} bytes")
            if self._line == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if self._state.fresh and _RESTRICT.fullmatch(line):
                continue
            if self._lex(line):
                if self._batch:
                    yield self._flush()
                yield Piece("copy", line, self._line)
                yield from self._rows()
                continue
            self._batch.append(line)
            self._batch_bytes += len(line)
            self._check_length()
            if self._batch_bytes >= _BATCH and self._state.fresh:
                yield self._flush()
        if not (self._state.fresh and self._complete):
            raise self.cut("the last line is not the one that pg_dump writes at the end of a dump")
        if self._batch:
            yield self._flush()

    def _flush(self) -> Piece:
        piece = Piece("sql", b"".join(self._batch), self._batch_line)
        self._batch, self._batch_bytes, self._batch_line = [], 0, self._line + 1
        return piece

    def _rows(self) -> Iterator[Piece]:
        """Rows up to the line that ends them. Raises ``object_corrupt`` where there is none."""
        rows: list[bytes] = []
        begun, size, at_start = self._line, 0, True
        while line := self._stream.readline(_ROW_PIECE):
            if at_start and line in _END_OF_ROWS:
                self._line += 1
                self._batch_line = self._line + 1
                yield Piece("rows", b"".join(rows), begun)
                yield Piece("end", b"", self._line)
                return
            at_start = line.endswith(b"\n")
            self._line += at_start
            rows.append(line)
            size += len(line)
            if size >= _BATCH:
                yield Piece("rows", b"".join(rows), begun)
                rows, size = [], 0
        raise self.cut(f"it ends within the rows that begin in line {begun + 1}")

    def _lex(self, line: bytes) -> bool:
        """Follow one line of SQL; whether it is the COPY after which rows come."""
        state, position = self._state, 0
        was_fresh = state.fresh
        while True:
            if (found := state.next_token(line, position)) is None:
                return False
            token, position = found.group(), found.end()
            if token.startswith(b"--"):
                if state.fresh and found.start() == 0 and token.rstrip() == TRAILER:
                    self._complete = True
                continue
            if token == b"\\":
                command = line[found.start() :].split(maxsplit=1)[0].decode("ascii", "replace")[:30]
                raise self.refused(f"line {self._line} has {command}, a command of psql", psql=True)
            began = state.fresh
            if state.take(token):
                continue
            self._beyond_end = self._complete if began else self._beyond_end
            self._complete = False
            if token != b";" or state.depth or state.blocks:
                continue
            words = state.finish()
            # As the Supabase CLI ends its own.
            self._complete = self._beyond_end and words == ["RESET", "ALL"]
            if words[:1] == ["COPY"]:
                if not (was_fresh and _COPY.fullmatch(line)):
                    raise self.refused(f"line {self._line} has a COPY that is none of pg_dump's")
                return True
            self._check_reach(words)

    def _check_length(self) -> None:
        """A statement is kept until it ends, and may not be longer than memory is."""
        if self._batch_bytes > _LONGEST or len(self._batch) > _MOST_LINES:
            raise self.refused(f"the statement before line {self._line} is longer than any of pg_dump's")

    def _check_reach(self, words: list[str]) -> None:
        first = words[0] if words else ""
        pair = (f"{first} {words[1]}", words[2]) if words[1:2] == ["ON"] and words[2:] else (first, *words[1:2])
        mapping = words[1:3] == ["USER", "MAPPING"] and "FOR" in words[3:7]
        beyond = (pair in _BEYOND and not mapping) or words[:2] == ["REASSIGN", "OWNED"]
        beyond = beyond or (words[:3] == ["SECURITY", "LABEL", "ON"] and words[3:4] in _LABELLED)
        # The lexer relies on it.
        beyond = beyond or ("STANDARD_CONFORMING_STRINGS" in words and words[-1:] != ["ON"])
        if first in ("GRANT", "REVOKE"):
            roles = "ON" not in words and len(words) < _MOST_WORDS
            beyond = roles or any(each in _CLUSTER for each in pairwise(words))
        if beyond:
            said = " ".join(words[:3])
            raise self.refused(f"line {self._line} has {said}, which reaches beyond the new database")

    def cut(self, reason: str) -> RunbookError:
        """The failure for a dump that is not whole."""
        return RunbookError(
            code="object_corrupt",
            attempted="restore the dump",
            object=self._name,
            reason=f"it is cut: {reason}",
            remedy="Copy or take the dump again. Nothing was changed outside the new database, which does not stay.",
        )

    def refused(self, reason: str, *, psql: bool = False) -> RunbookError:
        """The failure for a dump that is not to be run."""
        again = "without --create, " if psql else ""
        return RunbookError(
            code="backup_unusable",
            attempted="restore the dump",
            object=self._name,
            reason=reason,
            remedy=f"Take the dump of this one database with pg_dump, {again}best with --format=custom.",
        )


class _State:
    """Where in a statement we are, as PostgreSQL's own lexer sees it with standard_conforming_strings on."""

    def __init__(self) -> None:
        self.depth = 0
        #: Nested BEGIN ... END and CASE ... END in the body of a function (``BEGIN ATOMIC``).
        self.blocks = 0
        self._quote = b""
        #: After E'...', whether a quote in a later line, with nothing between, goes on with it; whether there was one.
        self._resumable = self._crossed = False
        self._comments = 0
        self._words: list[str] = []
        self._any = False

    @property
    def inside(self) -> bool:
        """Whether a string, a quoted name or a comment goes on."""
        return bool(self._quote or self._comments)

    @property
    def fresh(self) -> bool:
        """Whether the next token begins a statement."""
        return not (self._any or self.inside)

    def leave(self, line: bytes, position: int) -> int:
        """Behind the end of the string or comment that goes on, or at the end of the line where that does not end."""
        while self._comments:
            found = _COMMENT.search(line, position)
            if found is None:
                return len(line)
            self._comments += 1 if found.group() == b"/*" else -1
            position = found.end()
        while self._quote == b"E'":
            found = _ESCAPED.search(line, position)
            if found is None:
                return len(line)
            position = found.end()
            if found.group() == b"'":
                self._quote = b""
                self._resumable, self._crossed = True, False
        if self._quote:
            at = line.find(self._quote, position)
            if at < 0:
                return len(line)
            position = at + len(self._quote)
            self._quote = b""
        return position

    def next_token(self, line: bytes, position: int) -> re.Match[bytes] | None:
        """The first token from ``position`` on that is outside of strings and comments; None where there is none."""
        position = self.leave(line, position)
        if self.inside:
            return None
        found = _TOKEN.search(line, position)
        self._pass_over(line[position : len(line) if found is None else found.start()])
        return found

    def _pass_over(self, gap: bytes) -> None:
        """What stands between two tokens: literals in two lines are one string, with the escapes of its beginning."""
        self._resumable = self._resumable and not gap.strip()
        self._crossed = self._crossed or b"\n" in gap or b"\r" in gap

    def take(self, token: bytes) -> bool:
        """Note a token; whether it only opens something that :meth:`leave` ends."""
        resumed = token == b"'" and self._resumable and self._crossed
        self._resumable = False
        if token == b"/*":
            self._comments = 1
            return True
        self._any = True
        if token in (b"e'", b"E'") or resumed:
            self._quote = b"E'"
            return False
        if token in (b"'", b'"') or token.startswith(b"$"):
            self._quote = token
            return False
        if token in (b"(", b")"):
            self.depth = max(0, self.depth + (1 if token == b"(" else -1))
        elif token != b";":
            self._word(token.decode("utf-8", "replace").upper())
        return False

    def _word(self, word: str) -> None:
        if self._words[:1] == ["CREATE"] and {"FUNCTION", "PROCEDURE"} & set(self._words[:4]):
            if word == "BEGIN" or (word == "CASE" and self.blocks):
                self.blocks += 1
            elif word == "END" and self.blocks:
                self.blocks -= 1
        if len(self._words) < _MOST_WORDS:
            self._words.append(word)

    def finish(self) -> list[str]:
        """The end of a statement; its words outside of strings and quoted names."""
        words, self._words, self._any = self._words, [], False
        return words
