# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether work may begin now (private to ops.runbooks). Pure.

Work begins and ends inside one stretch of open time: where it would reach over the end of the window, or into a freeze,
the answer is no. Where a calendar of freezes cannot be read nobody knows what it forbids, so that the answer is no too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, iso
from ansible_collections.ops.runbooks.plugins.module_utils._window.model import (
    FOREVER,
    NEVER,
    Freeze,
    Interval,
    merged,
    without,
)

Word = Literal["open", "closed", "frozen"]
#: How far ahead an opening is looked for.
HORIZON = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``judged`` is what windows and freezes say; ``decision`` is that, or open where glass was broken."""

    decision: Word
    judged: Word
    reason: str
    closes_at: datetime | None = None
    next_opening: datetime | None = None
    break_glass: str | None = None

    def describe(self) -> dict[str, Any]:
        """The object ``window``."""
        return {
            "decision": self.decision,
            "judged": self.judged,
            "reason": self.reason,
            "closes_at": iso(self.closes_at) if self.closes_at else None,
            "next_opening": iso(self.next_opening) if self.next_opening else None,
            "break_glass": self.break_glass,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Windows (None: none are configured, so that every time is one), freezes, and what could not be read."""

    windows: Sequence[Interval] | None = None
    freezes: Sequence[Freeze] = ()
    unreadable: Sequence[str] = ()


def decide(known: Known, at: datetime, duration: timedelta, break_glass: str = "") -> Decision:
    """Whether work that begins ``at`` and takes ``duration`` may begin."""
    windows = [Interval(NEVER, FOREVER)] if known.windows is None else merged(known.windows)
    free = without(windows, (each.interval for each in known.freezes))
    judged, reason, closes_at = _judge(known, windows, free, at, duration)
    opening = None if judged == "open" or known.unreadable else _next_opening(free, at, duration)
    decision = Decision(decision=judged, judged=judged, reason=reason, closes_at=closes_at, next_opening=opening)
    if break_glass and judged != "open":
        reason = f"{reason} It goes on all the same: {break_glass}"
        return replace(decision, decision="open", reason=reason, break_glass=break_glass)
    return decision


def _judge(
    known: Known, windows: Sequence[Interval], free: Sequence[Interval], at: datetime, duration: timedelta
) -> tuple[Word, str, datetime | None]:
    end = at + duration
    met = sorted(
        each
        for each in known.freezes
        if each.interval.start <= at < each.interval.end or at < each.interval.start < end
    )
    if met:
        return "frozen", _frozen(met[0], at, duration), None
    if known.unreadable:
        return "closed", f"What is frozen is not known: {'; '.join(known.unreadable)}.", None
    for each in free:
        if each.start <= at < each.end and end <= each.end:
            closes_at = each.end if each.end - at < HORIZON else None
            return "open", f"Open until {iso(closes_at)}." if closes_at else "Open.", closes_at
    for each in windows:
        if each.start <= at < each.end:
            work = human(duration.total_seconds())
            return "closed", f"The window closes at {iso(each.end)}, before work of {work} would have ended.", None
    return "closed", f"{iso(at)} is outside every window.", None


def _frozen(freeze: Freeze, at: datetime, duration: timedelta) -> str:
    if freeze.interval.start > at:
        work = human(duration.total_seconds())
        start = iso(freeze.interval.start)
        return f"{freeze.reason} freezes changes from {start}, before work of {work} would have ended."
    return f"{freeze.reason} freezes changes until {iso(freeze.interval.end)}."


def _next_opening(free: Sequence[Interval], at: datetime, duration: timedelta) -> datetime | None:
    for each in free:
        begin = max(at, each.start)
        if begin - at < HORIZON and begin < each.end and each.end - begin >= duration:
            return begin
    return None
