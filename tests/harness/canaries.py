# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Canaries: unmistakable secrets, and the search for them wherever a run leaves something."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil

#: Characters that quoting, escaping and encoding change.
ODD = "/+:@'é\"\\ %&=z"
#: A cut message may show the beginning of a secret: as many characters as nothing else begins with.
BEGINNING = 8


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret; its first characters are its own, and it is new in each run."""

    text: str

    @property
    def quoted(self) -> str:
        """For a URL."""
        return quote(self.text, safe="")

    def forms(self) -> set[str]:
        """How it is met in output: as it is, cut, backwards, quoted, escaped, in base64 wherever it stands."""
        text = self.text
        found = {text, text[:BEGINNING], text[::-1], quote(text), quote_plus(text), self.quoted, repr(text)[1:-1]}
        found |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], text.replace("'", "''")}
        return found | set(_base64(text.encode()))


def _base64(raw: bytes) -> Iterator[str]:
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(shift) + raw)[4 if shift else 0 : (len(raw) + shift) // 3 * 4].decode()


def new_canary(tail: str = ODD) -> Canary:
    """A canary that ends in ``tail``."""
    return Canary(secrets.token_hex(12) + tail)


@dataclass(frozen=True, slots=True)
class Search:
    """Looks for canaries in texts, files and trees of files."""

    canaries: tuple[Canary, ...]
    _forms: dict[str, Canary] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._forms.update({form: canary for canary in self.canaries for form in canary.forms()})

    def text(self, text: str) -> set[Canary]:
        """The canaries that a text gives away."""
        return {canary for form, canary in self._forms.items() if form in text}

    def places(self, texts: Iterable[tuple[str, str]]) -> dict[str, set[Canary]]:
        """Where canaries are, from pairs of place and text; empty where all is well."""
        return {place: found for place, text in texts if (found := self.text(text))}


def files(*roots: Path) -> Iterator[tuple[str, str]]:
    """Place and text of every file below some directories."""
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                yield str(path), path.read_bytes().decode(errors="replace")


@contextmanager
def watched_command_lines() -> Iterator[set[str]]:
    """Collects the command line of every process that runs meanwhile."""
    lines: set[str] = set()
    seen: Counter[int] = Counter()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            # A young process may still turn into another program; an old one has nothing new to show.
            for pid in psutil.pids():
                if seen[pid] < 20:
                    seen[pid] += 1
                    lines.add(_command_line(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lines
    finally:
        over.set()
        thread.join()


def _command_line(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""
