# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQL taken apart into statements and words (private to ops.runbooks); pure.

Not a parser: it knows what can hide a semicolon or a word, which is all that a check has to rely on. Comments nest,
strings come plain, escaped and dollar-quoted, identifiers may be quoted, and a function's body of the standard's kind
(BEGIN ATOMIC ... END) has semicolons of its own. It reads as a server does that has standard_conforming_strings on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

#: word: an identifier or keyword, in lower case; quoted: a delimited identifier; string: a constant of any kind.
Kind = Literal["word", "quoted", "string", "number", "sign"]


class Unreadable(ValueError):
    """The text ends in the middle of something, or has what is no SQL; says so in words."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``text`` is the word in lower case, the identifier or string without its quotes, or the sign."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement: its text as it was written, the line it begins on, its tokens."""

    text: str
    line: int
    tokens: tuple[Token, ...] = field(repr=False)

    @property
    def words(self) -> tuple[str, ...]:
        """Its words, signs and quoted identifiers in order; quoted ones and strings as '' so that none is a keyword."""
        return tuple(each.text if each.kind in ("word", "sign") else "" for each in self.tokens)

    @property
    def head(self) -> str:
        """Its beginning for people: words and names, no value and no text of a string."""
        shown = []
        for each in self.tokens[:_HEAD]:
            if each.kind in ("string", "number"):
                break
            shown.append(each.text.upper() if each.kind == "word" and each.text in _KEYWORDS else each.text)
        return re.sub(r" ?([.(]) | (?=[,)])|(?<=\w) (?=\()", r"\1", " ".join(shown)).strip()


#: Tokens that a head shows at most.
_HEAD = 9
_KEYWORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "add alter as cascade column concurrently constraint create delete do drop exists extension from function"
        " if index insert into not null on only or policy rename replace schema select sequence set table to trigger"
        " truncate type unique update validate value values view where with",
    )
)
_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_LINE_COMMENT = re.compile(r"--[^\r\n]*")
_COMMENT_PART = re.compile(r"/\*|\*/")
_DOLLAR = re.compile(r"\$(?:[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*)?\$")
_WORD = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")
_NUMBER = re.compile(r"(?:\d[0-9A-Za-z_]*(?:\.\d[0-9_]*)?|\.\d[0-9_]*)(?:[eE][+-]?\d+)?|\$\d+")
_PLAIN_END = re.compile(r"'")
_QUOTED_END = re.compile(r'"')
_ESCAPED = re.compile(r"[^'\\]*(?:(?:\\.|'')[^'\\]*)*'", re.DOTALL)


def statements(text: str) -> tuple[Statement, ...]:
    """The statements of a text, without empty ones. Raises :class:`Unreadable`."""
    found: list[Statement] = []
    reader = _Reader(text)
    tokens: list[Token] = []
    begin = last = depth = 0
    body = _Body()
    for token, start, end in reader.tokens():
        if token.kind == "sign" and token.text == ";" and depth == 0 and not body.open:
            if tokens:
                found.append(_statement(text, begin, start, tokens))
            tokens, body = [], _Body()
            continue
        if not tokens:
            begin = start
        tokens.append(token)
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "sign" else 0
        if depth < 0:
            raise Unreadable(f"line {reader.line(start)} closes a parenthesis that was never opened")
        if token.kind == "word" and depth == 0:
            body.see(token.text)
        last = end
    if tokens:
        if body.open or depth:
            raise Unreadable("its last statement has a parenthesis or a BEGIN that nothing closes")
        found.append(_statement(text, begin, last, tokens))
    return tuple(found)


def _statement(text: str, begin: int, end: int, tokens: list[Token]) -> Statement:
    return Statement(text=text[begin:end].rstrip(), line=text.count("\n", 0, begin) + 1, tokens=tuple(tokens))


def follows(words: Sequence[str], first: str, second: str) -> bool:
    """Whether the one word comes directly before the other."""
    return any(pair == (first, second) for pair in pairwise(words))


def outside_parentheses(words: Sequence[str]) -> list[str]:
    """The words that no parenthesis is around."""
    found, depth = [], 0
    for word in words:
        depth -= word == ")"
        if depth == 0 and word not in ("(", ")"):
            found.append(word)
        depth += word == "("
    return found


class _Body:
    """Whether the place is inside of the body of a function that is BEGIN ATOMIC ... END, as psql sees it."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._routine = False
        self._depth = 0

    @property
    def open(self) -> bool:
        return self._depth > 0

    def see(self, word: str) -> None:
        if len(self._words) < 4:
            self._words.append(word)
            first = [each for each in self._words if each not in ("or", "replace")]
            self._routine = first[:1] == ["create"] and first[1:2] in (["function"], ["procedure"])
        if not self._routine:
            return
        if word == "begin" or (word == "case" and self._depth):
            self._depth += 1
        elif word == "end" and self._depth:
            self._depth -= 1


class _Reader:
    """Reads tokens from a text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def tokens(self) -> Iterator[tuple[Token, int, int]]:
        """Each token with where it begins and ends."""
        at = 0
        while (at := self._skip(at)) < len(self._text):
            token, end = self._token(at)
            yield token, at, end
            at = end

    def _skip(self, at: int) -> int:
        """Past white space and comments."""
        while True:
            if match := _SPACE.match(self._text, at) or _LINE_COMMENT.match(self._text, at):
                at = match.end()
            elif self._text.startswith("/*", at):
                at = self._after_comment(at)
            else:
                return at

    def _after_comment(self, start: int) -> int:
        depth, at = 1, start + 2
        while depth:
            part = _COMMENT_PART.search(self._text, at)
            if part is None:
                raise self._unfinished("a comment", start)
            depth += 1 if part[0] == "/*" else -1
            at = part.end()
        return at

    def _token(self, at: int) -> tuple[Token, int]:
        text, sign = self._text, self._text[at]
        if sign == "'":
            return self._string(at, at + 1)
        if sign == '"':
            return self._identifier(at)
        if match := _DOLLAR.match(text, at):
            end = text.find(match[0], match.end())
            if end < 0:
                raise self._unfinished(f"a string that begins with {match[0]}", at)
            return Token("string", text[match.end() : end]), end + len(match[0])
        if match := _NUMBER.match(text, at):
            return Token("number", match[0]), match.end()
        if match := _WORD.match(text, at):
            return self._word(at, match[0], match.end())
        if sign == "\\":
            raise Unreadable(f"line {self.line(at)} has a command of psql (a backslash), which no server understands")
        return Token("sign", sign), at + 1

    def _word(self, at: int, word: str, end: int) -> tuple[Token, int]:
        following = self._text[end : end + 1]
        prefix = word.lower()
        if following == "'" and prefix in ("e", "b", "x", "n"):
            return self._escaped(at, end + 1) if prefix == "e" else self._string(at, end + 1)
        if prefix == "u" and self._text[end : end + 2] in ("&'", '&"'):
            return self._string(at, end + 2) if self._text[end + 1] == "'" else self._identifier(end + 1)
        return Token("word", prefix), end

    def _string(self, start: int, at: int) -> tuple[Token, int]:
        body, end = self._until(_PLAIN_END, "'", start, at, "a string")
        return Token("string", body), end

    def _identifier(self, start: int) -> tuple[Token, int]:
        body, end = self._until(_QUOTED_END, '"', start, start + 1, "a quoted name")
        return Token("quoted", body), end

    def _until(self, closing: re.Pattern[str], quote: str, start: int, at: int, what: str) -> tuple[str, int]:
        """Up to a quote that is not doubled."""
        begin = at
        while match := closing.search(self._text, at):
            at = match.end()
            if self._text[at : at + 1] != quote:
                return self._text[begin : at - 1].replace(quote * 2, quote), at
            at += 1
        raise self._unfinished(what, start)

    def _escaped(self, start: int, at: int) -> tuple[Token, int]:
        match = _ESCAPED.match(self._text, at)
        if match is None:
            raise self._unfinished("a string", start)
        return Token("string", match[0][:-1]), match.end()

    def _unfinished(self, what: str, at: int) -> Unreadable:
        return Unreadable(f"{what} that begins on line {self.line(at)} has no end")

    def line(self, at: int) -> int:
        """The line of a place, counted from 1."""
        return self._text.count("\n", 0, at) + 1
