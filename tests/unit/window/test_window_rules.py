# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows by rule: local clocks, changes of clocks, midnight, and rules that say too little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._window.rules import Window, read_window
from hypothesis import given
from hypothesis import strategies as st

BERLIN = "Europe/Berlin"


def window(rrule: str, duration: str, timezone: str = BERLIN, **more: Any) -> Window:
    return read_window({"rrule": rrule, "duration": duration, "timezone": timezone, "start": None, **more}, 0)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def spans(made: Window, first: str, last: str) -> list[tuple[str, str]]:
    found = made.intervals(moment(first), moment(last))
    return [(f"{each.start:%m-%d %H:%M}", f"{each.end:%m-%d %H:%M}") for each in found]


def test_office_hours_stay_at_the_same_local_time() -> None:
    made = window("RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYHOUR=9", "7h")
    assert spans(made, "2026-10-22", "2026-10-27") == [("10-22 07:00", "10-22 14:00"), ("10-26 08:00", "10-26 15:00")]


def test_a_window_over_midnight_is_seen_from_both_days() -> None:
    made = window("FREQ=DAILY;BYHOUR=22", "4h", "UTC")
    assert spans(made, "2026-11-02T01:30", "2026-11-02T01:31") == [("11-01 22:00", "11-02 02:00")]
    assert spans(made, "2026-11-02T02:00", "2026-11-02T02:01") == []


def test_a_local_time_that_is_left_out() -> None:
    """02:30 does not exist on 29 March 2026; by the offset before the change it is 03:30, 01:30 UTC."""
    made = window("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "1h")
    assert spans(made, "2026-03-28T12:00", "2026-03-29T12:00") == [("03-29 01:30", "03-29 02:30")]


def test_a_local_time_that_comes_twice() -> None:
    """The first of the two counts, and the window lasts as long as any other."""
    made = window("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "1h")
    assert spans(made, "2026-10-24T12:00", "2026-10-25T12:00") == [("10-25 00:30", "10-25 01:30")]


def test_a_window_over_a_change_of_clocks_lasts_as_long_as_any_other() -> None:
    made = window("FREQ=WEEKLY;BYDAY=SA;BYHOUR=22", "8h")
    assert spans(made, "2026-10-24T12:00", "2026-10-26") == [("10-24 20:00", "10-25 04:00")]
    assert spans(made, "2026-03-28T12:00", "2026-03-30") == [("03-28 21:00", "03-29 05:00")]


def test_rules_that_count_from_a_start() -> None:
    made = window("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9", "1h", "UTC", start="2026-01-05 09:00")
    assert spans(made, "2026-01-04", "2026-02-03") == [
        ("01-05 09:00", "01-05 10:00"),
        ("01-19 09:00", "01-19 10:00"),
        ("02-02 09:00", "02-02 10:00"),
    ]
    assert spans(window("FREQ=YEARLY", "1d", "UTC", start="2020-03-01"), "2026-01-01", "2027-01-01") == [
        ("03-01 00:00", "03-02 00:00")
    ]


def test_the_last_weekday_of_a_month() -> None:
    made = window("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=18", "2h", "UTC")
    assert spans(made, "2026-10-01", "2026-12-01") == [("10-30 18:00", "10-30 20:00"), ("11-30 18:00", "11-30 20:00")]


@pytest.mark.parametrize(
    ("until", "days"),
    [("20261103", ["02", "03"]), ("20261103T080000", ["02"]), ("20261103T083000Z", ["02", "03"])],
)
def test_until(until: str, days: list[str]) -> None:
    made = window(f"FREQ=DAILY;BYHOUR=9;UNTIL={until}", "1h")
    assert [begin[3:5] for begin, _end in spans(made, "2026-11-02", "2026-11-07")] == days


def test_a_day_that_is_rare() -> None:
    assert spans(window("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "1d", "UTC"), "2026-01-01", "2028-12-31") == [
        ("02-29 00:00", "03-01 00:00")
    ]


WRONG = {
    "FREQ=SOMETIMES": "FREQ must be one of",
    "FREQ=SECONDLY": "FREQ must be one of",
    "BYHOUR=9": "FREQ must be one of",
    "FREQ=DAILY;COUNT=3": "COUNT is not supported",
    "FREQ=DAILY;BYSECOND=3": "BYSECOND is not supported",
    "FREQ=DAILY;FREQ=DAILY": "comes twice",
    "FREQ=DAILY;BYHOUR": "is no part of a rule",
    "FREQ=DAILY;BYHOUR=25": "BYHOUR must be from 0 to 23",
    "FREQ=DAILY;BYHOUR=nine": "'NINE' is no number",
    "FREQ=MONTHLY;BYMONTHDAY=0": "BYMONTHDAY must be from 1 to 31",
    # Without an end, or nearly so, if they were looked through.
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30": "BYMONTHDAY belongs to MONTHLY",
    "FREQ=YEARLY;BYMONTH=2,4;BYMONTHDAY=31,-31": "no such day",
    "FREQ=DAILY;INTERVAL=7;BYDAY=MO": "either an INTERVAL or days",
    "FREQ=WEEKLY;BYDAY=2MO": "the number of a weekday belongs to MONTHLY",
    "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=9": "BYSETPOS belongs to MONTHLY",
    "FREQ=WEEKLY;BYDAY=XX": "no rule of RFC 5545",
    "FREQ=DAILY;INTERVAL=0": "INTERVAL must be",
    "FREQ=DAILY;INTERVAL=2": "INTERVAL=2 counts from a start",
    "FREQ=WEEKLY;BYHOUR=9": "does not say on which day",
    "FREQ=YEARLY;BYMONTH=12": "does not say on which day",
    "FREQ=DAILY;UNTIL=tomorrow": "UNTIL is neither",
    "": "is no part of a rule",
}


@pytest.mark.parametrize("rule", WRONG)
def test_a_rule_that_says_too_little_or_nothing(rule: str) -> None:
    with pytest.raises(RunbookError, match=WRONG[rule]) as refused:
        window(rule, "1h")
    assert refused.value.code == "invalid_parameter"


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration": "0s"},
        {"duration": "400d"},
        {"timezone": "Mars/Base"},
        {"start": "x"},
        {"start": "2026-01-01T00:00Z"},
    ],
)
def test_other_mistakes(wrong: dict[str, str]) -> None:
    given_ = {"rrule": "FREQ=DAILY", "duration": "1h", "timezone": "UTC", "start": None, **wrong}
    with pytest.raises(RunbookError) as refused:
        read_window(given_, 3)
    assert refused.value.code == "invalid_parameter"
    assert "windows[3]" in refused.value.message


zones = st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"])
starts = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31))


@given(zones, starts, st.integers(0, 23), st.integers(1, 30))
def test_what_is_seen_does_not_depend_on_where_one_looks_from(
    zone: str, first: datetime, hour: int, hours: int
) -> None:
    """Every window that holds a moment is found from there, and each begins at its hour, or in a gap beside it."""
    made = window(f"FREQ=DAILY;BYHOUR={hour}", f"{hours}h", zone)
    begin = first.replace(tzinfo=UTC)
    whole = list(made.intervals(begin - timedelta(days=5), begin + timedelta(days=5)))
    here = list(made.intervals(begin, begin + timedelta(microseconds=1)))
    assert here == [each for each in whole if each.start <= begin < each.end]
    assert all(each.end - each.start == timedelta(hours=hours) for each in whole)
    locals_ = [each.start.astimezone(ZoneInfo(zone)) for each in whole]
    assert all(each.hour == hour or not _exists(each, hour) for each in locals_)
    assert whole == sorted(set(whole))


def _exists(local: datetime, hour: int) -> bool:
    """Whether the local clock shows this hour on that day."""
    shown = local.replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    return shown.astimezone(UTC).astimezone(shown.tzinfo).replace(tzinfo=None) == shown.replace(tzinfo=None)
