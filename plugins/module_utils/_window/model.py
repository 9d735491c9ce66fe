# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spans of time, and what is done to them (private to ops.runbooks). Pure; all instants are UTC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

#: Before and after everything.
NEVER = datetime.min.replace(tzinfo=UTC)
FOREVER = datetime.max.replace(tzinfo=UTC)


class Unreadable(Exception):
    """A calendar of freezes that nobody could read; its text says why, and holds no part of a secret address."""


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """From ``start`` up to, and without, ``end``."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, order=True)
class Freeze:
    """A time in which nothing is to be changed, and what it is called."""

    interval: Interval
    reason: str


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """In order, with those that overlap or touch made one."""
    found: list[Interval] = []
    for each in sorted(intervals):
        if found and each.start <= found[-1].end:
            found[-1] = Interval(found[-1].start, max(found[-1].end, each.end))
        elif each.start < each.end:
            found.append(each)
    return found


def without(intervals: Sequence[Interval], holes: Iterable[Interval]) -> list[Interval]:
    """What is left of merged intervals where the holes are taken out of them."""
    left = list(intervals)
    for hole in merged(holes):
        left = [part for each in left for part in _cut(each, hole)]
    return left


def _cut(each: Interval, hole: Interval) -> list[Interval]:
    if hole.end <= each.start or each.end <= hole.start:
        return [each]
    parts = (Interval(each.start, hole.start), Interval(hole.end, each.end))
    return [part for part in parts if part.start < part.end]
