# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fault switches: what goes wrong with which requests to the API, and what came in."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from sandbox.standin import codec

#: How many requests are remembered.
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Requests that match, without the first ``skip`` of them, and then ``times`` of them (None: all), are spoilt.

    Args:
        method: A regular expression for the whole method.
        path: A regular expression that is searched in path and query.
        delay: Milliseconds to wait before anything else.
        delay_after: Milliseconds to wait between the effect and the answer.
        status: Answer with this status.
        code: The code in that answer; by default the usual one.
        retry_after: Seconds in its ``Retry-After``, and until its ``X-RateLimit-Reset``.
        drop: Close the connection instead of answering.
        after: Carry the request out first: the client is told of a failure, or nothing, though it was done.
    """

    method: str = ".*"
    path: str = ""
    skip: int = 0
    times: int | None = None
    delay: int = 0
    delay_after: int = 0
    status: int | None = None
    code: str | None = None
    retry_after: int | None = None
    drop: bool = False
    after: bool = False

    def matches(self, method: str, target: str) -> bool:
        """Whether a request fulfils the criteria, whatever their number."""
        return re.fullmatch(self.method, method) is not None and re.search(self.path, target) is not None


#: Spoils nothing.
NONE = Switch()


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request that came in."""

    method: str
    #: Path and query.
    target: str
    at: int
    #: What the client got; 0 where the connection was closed instead.
    status: int = 0
    #: What it would have got.
    done: int = 0


class Switches:
    """The switches that are on, and the requests of this server's life."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on: list[tuple[Switch, list[int]]] = []
        self._seen: deque[Seen] = deque(maxlen=REMEMBERED)

    def turn_on(self, documents: list[Any]) -> None:
        """Replace all switches.

        Raises:
            BadState: One of them is not a switch; nothing was changed.
        """
        made = [codec.decode(Switch, each, f"faults[{number}]") for number, each in enumerate(documents)]
        for each in made:
            re.compile(each.method), re.compile(each.path)
        with self._lock:
            self._on = [(each, [0]) for each in made]

    def listed(self) -> list[Any]:
        """The switches that are on, and how many requests each has matched."""
        with self._lock:
            return [codec.encode(switch) | {"seen": count[0]} for switch, count in self._on]

    def take(self, method: str, target: str) -> Switch:
        """The first switch that spoils this request."""
        with self._lock:
            for switch, count in self._on:
                if not switch.matches(method, target):
                    continue
                count[0] += 1
                if switch.skip < count[0] and (switch.times is None or count[0] <= switch.skip + switch.times):
                    return switch
        return NONE

    def note(self, seen: Seen) -> None:
        """Remember a request."""
        with self._lock:
            self._seen.append(seen)

    def seen(self) -> list[Any]:
        """The requests, oldest first."""
        with self._lock:
            names = ("method", "target", "at", "status", "done")
            return [{name: getattr(each, name) for name in names} for each in self._seen]

    def forget(self) -> None:
        """Forget the requests."""
        with self._lock:
            self._seen.clear()
