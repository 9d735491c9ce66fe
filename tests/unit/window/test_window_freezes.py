# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Freezes: calendars whole or not at all, and days and times from the inventory."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._window.freezes import frozen_by, read_freeze
from ansible_collections.ops.runbooks.plugins.module_utils._window.model import Unreadable

FIRST, LAST = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 15, tzinfo=UTC)


def calendar(*lines: str, head: tuple[str, ...] = (), tail: tuple[str, ...] = ()) -> str:
    event = ("BEGIN:VEVENT", "UID:1", "SUMMARY:Christmas", *lines, "END:VEVENT")
    whole = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y", *head, *event, *tail, "END:VCALENDAR", "")
    return "\r\n".join(whole)


def spans(text: str, zone: str | None = None) -> list[tuple[str, str]]:
    found = frozen_by(text, ZoneInfo(zone) if zone else None, FIRST, LAST)
    return sorted((f"{each.interval.start:%m-%d %H:%M}", f"{each.interval.end:%m-%d %H:%M}") for each in found)


WHOLE_DAYS = ("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227")


def test_whole_days_in_a_zone() -> None:
    """Those of the option before those of the calendar, else UTC."""
    assert spans(calendar(*WHOLE_DAYS)) == [("12-24 00:00", "12-27 00:00")]
    berlin = ("X-WR-TIMEZONE:Europe/Berlin",)
    assert spans(calendar(*WHOLE_DAYS, head=berlin)) == [("12-23 23:00", "12-26 23:00")]
    assert spans(calendar(*WHOLE_DAYS, head=berlin), "America/New_York") == [("12-24 05:00", "12-27 05:00")]


def test_what_recurs_is_excepted_and_is_moved() -> None:
    moved = ("BEGIN:VEVENT", "UID:1", "SUMMARY:Moved", "RECURRENCE-ID:20261215T100000Z")
    moved = (*moved, "DTSTART:20261216T100000Z", "DTEND:20261216T120000Z", "END:VEVENT")
    weekly = ("DTSTART:20261201T100000Z", "DURATION:PT2H", "RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE:20261208T100000Z")
    assert spans(calendar(*weekly, tail=moved)) == [
        ("12-01 10:00", "12-01 12:00"),
        ("12-16 10:00", "12-16 12:00"),
        ("12-22 10:00", "12-22 12:00"),
    ]


@pytest.mark.parametrize("name", ["Europe/Berlin", "W. Europe Standard Time"])
def test_time_zones_by_name(name: str) -> None:
    text = calendar(f"DTSTART;TZID={name}:20261224T180000", f"DTEND;TZID={name}:20261224T200000")
    assert spans(text) == [("12-24 17:00", "12-24 19:00")]


def test_a_calendar_may_define_its_own_time_zone() -> None:
    zone = ("BEGIN:VTIMEZONE", "TZID:Ours", "BEGIN:STANDARD", "DTSTART:19700101T000000")
    zone = (*zone, "TZOFFSETFROM:+0300", "TZOFFSETTO:+0300", "END:STANDARD", "END:VTIMEZONE")
    text = calendar("DTSTART;TZID=Ours:20261224T180000", "DTEND;TZID=Ours:20261224T200000", head=zone)
    assert spans(text) == [("12-24 15:00", "12-24 17:00")]


def test_cancelled_events_and_those_outside_freeze_nothing() -> None:
    assert spans(calendar(*WHOLE_DAYS, "STATUS:CANCELLED")) == []
    assert spans(calendar("DTSTART;VALUE=DATE:20250101")) == []
    # An event for which its owner is free, as all-day events often are, is a freeze nevertheless.
    assert spans(calendar(*WHOLE_DAYS, "TRANSP:TRANSPARENT")) == [("12-24 00:00", "12-27 00:00")]


def test_a_calendar_without_events_is_one() -> None:
    assert spans("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n") == []


GOOD = calendar("DTSTART:20261224T100000Z", "DTEND:20261225T100000Z")
UNREADABLE = {
    "nothing": ("", "not an iCalendar"),
    "a page": ("<html>Sign in</html>", "not an iCalendar"),
    "cut": (GOOD[:90], "cut off"),
    "cut before the end": (GOOD.partition("END:VEVENT")[0], "cut off"),
    "cut behind the first of two": (GOOD + GOOD[:60], "cut off"),
    "no start": (calendar(), "'Christmas' has no DTSTART"),
    "a month too many": (calendar("DTSTART:20261324T100000Z"), "'Christmas' has DTSTART that cannot be read"),
    "a broken rule": (calendar("DTSTART:20261224T100000Z", "RRULE:FREQ=NEVER"), "has RRULE that cannot be read"),
    "a broken exception": (
        calendar("DTSTART:20261201T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY", "EXDATE:soon"),
        "has EXDATE that cannot be read",
    ),
    "a broken line": (calendar(*WHOLE_DAYS, "this is no line"), "has a line that cannot be read"),
    "an unknown zone": (calendar("DTSTART;TZID=Mars/Base:20261224T100000"), "in the unknown time zone Mars/Base"),
    "an unknown zone of its own": (calendar(*WHOLE_DAYS, head=("X-WR-TIMEZONE:Mars/Base",)), "time zone|understood"),
    "no end": (calendar("DTSTART:20261224T100000Z"), "'Christmas' has no end"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_understood_as_a_whole_is_not_read(case: str) -> None:
    text, reason = UNREADABLE[case]
    with pytest.raises(Unreadable, match=reason):
        frozen_by(text, None, FIRST, LAST)


@pytest.mark.parametrize(
    ("start", "end", "zone", "expected"),
    [
        ("2026-12-24", "2026-12-26", None, ("12-24 00:00", "12-27 00:00")),
        ("2026-12-24", "2026-12-26", "Europe/Berlin", ("12-23 23:00", "12-26 23:00")),
        ("2026-12-24 18:00", "2026-12-24T20:00:00Z", "Europe/Berlin", ("12-24 17:00", "12-24 20:00")),
        # Both edges at 02:30 of the night in which it comes twice: from the first to the second.
        ("2026-10-25 02:30", "2026-10-25 02:30", "Europe/Berlin", ("10-25 00:30", "10-25 01:30")),
    ],
)
def test_days_and_times(start: str, end: str, zone: str | None, expected: tuple[str, str]) -> None:
    freeze = read_freeze({"start": start, "end": end, "timezone": zone, "reason": None}, 0)
    assert (f"{freeze.interval.start:%m-%d %H:%M}", f"{freeze.interval.end:%m-%d %H:%M}") == expected
    assert freeze.reason == "A freeze"


@pytest.mark.parametrize(("start", "end"), [("soon", "2026-12-26"), ("2026-12-26", "2026-12-24"), ("2026-12-24", "x")])
def test_days_that_are_none(start: str, end: str) -> None:
    with pytest.raises(RunbookError, match=r"freezes\[2\]") as refused:
        read_freeze({"start": start, "end": end, "timezone": None, "reason": None}, 2)
    assert refused.value.code == "invalid_parameter"


def test_what_a_freeze_is_called_is_masked_before_it_is_cut() -> None:
    """The ``@`` that a password is known by may lie behind the end of the line."""
    reason = f"{'x' * 50} postgresql://app:{'hunter2' * 20}@db/app"
    told = read_freeze({"start": "2026-12-24", "end": "2026-12-26", "reason": reason}, 0).reason
    assert len(told) <= 80
    assert "hunter2" not in told
