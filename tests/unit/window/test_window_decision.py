# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether work may begin: every minute of generated windows and freezes, and the sentences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from ansible_collections.ops.runbooks.plugins.module_utils._window.model import Freeze, Interval, merged, without
from ansible_collections.ops.runbooks.plugins.module_utils._window.plan import Known, decide
from hypothesis import given
from hypothesis import strategies as st

ZERO = datetime(2026, 11, 2, tzinfo=UTC)


def at(minute: int) -> datetime:
    return ZERO + timedelta(minutes=minute)


def span(start: int, end: int) -> Interval:
    return Interval(at(start), at(end))


spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: span(pair[0], sum(pair))), max_size=5
)
minutes = st.integers(0, 70)
lengths = st.integers(0, 15)


def minutes_in(intervals: list[Interval]) -> set[int]:
    return {minute for minute in range(-5, 100) if any(each.start <= at(minute) < each.end for each in intervals)}


@given(spans, spans)
def test_spans_are_what_their_minutes_are(one: list[Interval], other: list[Interval]) -> None:
    both = merged(one)
    assert minutes_in(both) == minutes_in(one)
    assert all(first.end < second.start for first, second in pairwise(both))
    assert minutes_in(without(both, other)) == minutes_in(one) - minutes_in(other)


@given(spans, spans, minutes, lengths, st.booleans())
def test_work_is_open_in_every_minute_of_it(
    windows: list[Interval], frozen: list[Interval], minute: int, length: int, configured: bool
) -> None:
    freezes = [Freeze(each, "Freeze") for each in frozen]
    decision = decide(Known(windows=windows if configured else None, freezes=freezes), at(minute), _length(length))
    needed = set(range(minute, minute + max(length, 1)))
    in_window = not configured or needed <= minutes_in(windows)
    hit = needed & minutes_in(frozen)
    assert decision.judged == ("frozen" if hit else "open" if in_window else "closed")
    if decision.judged == "open" and decision.closes_at is not None:
        assert decision.closes_at >= at(minute) + _length(length)


@given(spans, spans, minutes, lengths)
def test_the_next_opening_is_one_and_the_first(
    windows: list[Interval], frozen: list[Interval], minute: int, length: int
) -> None:
    known = Known(windows=windows, freezes=[Freeze(each, "Freeze") for each in frozen])
    decision = decide(known, at(minute), _length(length))
    openings = [later for later in range(minute, 100) if decide(known, at(later), _length(length)).judged == "open"]
    if decision.judged == "open":
        assert decision.next_opening is None
    else:
        assert decision.next_opening == (at(openings[0]) if openings else None)


@given(spans, spans, minutes, lengths, st.booleans())
def test_a_broken_glass_opens_and_says_so(
    windows: list[Interval], frozen: list[Interval], minute: int, length: int, readable: bool
) -> None:
    freezes = [Freeze(each, "Freeze") for each in frozen]
    known = Known(windows=windows, freezes=freezes, unreadable=() if readable else ("the calendar x cannot be read",))
    plain = decide(known, at(minute), _length(length))
    broken = decide(known, at(minute), _length(length), "nobody can pay")
    assert (broken.decision, broken.judged) == ("open", plain.judged)
    assert (broken.break_glass == "nobody can pay") == (plain.judged != "open")
    assert (plain.decision, plain.break_glass) == (plain.judged, None)


def _length(length: int) -> timedelta:
    return timedelta(minutes=length)


def test_nothing_configured_is_open() -> None:
    decision = decide(Known(), at(0), timedelta(days=400))
    assert (decision.decision, decision.closes_at, decision.reason) == ("open", None, "Open.")


def test_what_cannot_be_read_is_closed_and_never_open() -> None:
    known = Known(unreadable=("the calendar at example.com cannot be read, its host answered 503",))
    decision = decide(known, at(0), timedelta(0))
    assert (decision.decision, decision.next_opening) == ("closed", None)
    assert decision.reason == (
        "What is frozen is not known: the calendar at example.com cannot be read, its host answered 503."
    )


def test_sentences() -> None:
    windows, freeze = [span(0, 60)], Freeze(span(40, 50), "Payday")
    hour = timedelta(minutes=30)
    assert decide(Known(windows=windows), at(0), hour).reason == "Open until 2026-11-02T01:00:00Z."
    late = decide(Known(windows=windows), at(45), hour)
    assert late.reason == "The window closes at 2026-11-02T01:00:00Z, before work of 30 min would have ended."
    assert decide(Known(windows=windows), at(60), hour).reason == "2026-11-02T01:00:00Z is outside every window."
    frozen = decide(Known(windows=windows, freezes=[freeze]), at(45), timedelta(0))
    assert frozen.reason == "Payday freezes changes until 2026-11-02T00:50:00Z."
    assert frozen.next_opening == at(50)
    into = decide(Known(freezes=[freeze]), at(20), hour)
    assert into.reason == "Payday freezes changes from 2026-11-02T00:40:00Z, before work of 30 min would have ended."
    assert into.next_opening == at(50)
