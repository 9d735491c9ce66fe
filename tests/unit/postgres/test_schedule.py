# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scheduled identities: each scheduled instant gives one backup, however early or late its run starts."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import ID
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.schedule import nearest
from hypothesis import given
from hypothesis import strategies as st

#: Clocks that change by an hour, by half an hour, at midnight, in the other half of the year, and not at all.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Pacific/Apia",
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["02:00", "00:00", "02:30", "23:59", "12:00"])
def test_a_year_of_jittered_daily_runs_doubles_and_skips_no_day(zone: str, at: str) -> None:
    """Runs start up to 11 hours early or late, across both changes of clocks."""
    chance = random.Random(f"{zone} {at}")
    hour, minute = map(int, at.split(":"))
    days = [date(2026, 6, 1) + timedelta(days=n) for n in range(366)]
    ids = []
    for day in days:
        planned = datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        start = planned + timedelta(seconds=chance.uniform(-11 * 3600, 11 * 3600))
        ids.append(nearest(f"daily {at}", zone, start).backup_id)
    assert ids == [f"daily-{day.isoformat()}" for day in days]


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone != "Australia/Lord_Howe"])
def test_jittered_hourly_runs_double_and_skip_no_hour(zone: str) -> None:
    """Through every change of clocks of a year."""
    chance = random.Random(zone)
    windows = [("2026-08-28", 15), ("2026-10-20", 30), ("2027-03-10", 30)]
    instants = [utc(f"{day}T00:00") + timedelta(hours=n) for day, days in windows for n in range(days * 24)]
    # Asia/Kolkata shows minute 15 when UTC shows 45; wherever it is, one instant an hour is scheduled.
    shift = nearest("hourly:15", zone, instants[0]).at - instants[0]
    late = [timedelta(seconds=chance.uniform(-1790, 1790)) for _each in instants]
    seen = [nearest("hourly:15", zone, at + shift + jitter).at for at, jitter in zip(instants, late, strict=True)]
    assert seen == [at + shift for at in instants]


def test_where_clocks_change_by_half_an_hour_no_hour_is_skipped() -> None:
    """Lord Howe went from 02:00 (UTC+11) back to 01:30 (UTC+10:30) on 2027-04-04, at 15:00 UTC the day before."""
    starts = [utc("2027-04-03T12:10") + timedelta(minutes=30 * n) for n in range(12)]
    seen = [nearest("hourly:45", "Australia/Lord_Howe", start).at for start in starts]
    shown = {at.astimezone(ZoneInfo("Australia/Lord_Howe")).strftime("%H:%M") for at in seen}
    assert shown >= {"23:45", "00:45", "01:45", "02:45"}


@pytest.mark.parametrize("hours", [1, 5, 6, 24, 100])
def test_every_n_hours_is_regular_through_every_change_of_clocks(hours: int) -> None:
    step = timedelta(hours=hours)
    first = nearest(f"every {hours}h", "Europe/Berlin", utc("2026-10-20T00:00")).at
    for number in range(60):
        start = first + number * step + step * 0.4
        assert nearest(f"every {hours}h", "Europe/Berlin", start).at == first + number * step


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    zone=st.sampled_from(ZONES),
    schedule=st.sampled_from(
        ["daily 02:30", "weekly sun 00:00", "weekly thursday 23:59", "hourly", "hourly:59", "every 7h"]
    ),
)
def test_what_is_nearest_stays_nearest(start: datetime, zone: str, schedule: str) -> None:
    """A run at the chosen instant chooses it again; ids can be used; no instant is farther than half an interval."""
    chosen = nearest(schedule, zone, start)
    assert nearest(schedule, zone, chosen.at) == chosen
    assert ID.fullmatch(chosen.backup_id)
    longest = {"daily": 25, "weekly": 7 * 24 + 1, "hourly": 1.5, "every": 7}[schedule.split(":")[0].split()[0]]
    # Apia left a whole day out once, in 2011; every other change is an hour at most.
    assert abs(chosen.at - start) <= timedelta(hours=longest / 2 + 0.5)


@pytest.mark.parametrize(
    ("schedule", "zone", "start", "expected"),
    [
        ("daily 02:00", "UTC", "2026-11-20T01:58:30", ("2026-11-20T02:00", "daily-2026-11-20")),
        ("daily 02:00", "UTC", "2026-11-20T13:59:59", ("2026-11-20T02:00", "daily-2026-11-20")),
        ("daily 02:00", "UTC", "2026-11-20T14:00:00", ("2026-11-21T02:00", "daily-2026-11-21")),
        ("daily 00:00", "America/New_York", "2026-11-20T04:59:00", ("2026-11-20T05:00", "daily-2026-11-20")),
        # Berlin has no 02:30 on 2027-03-28: it is taken as 03:30 summer time.
        ("daily 02:30", "Europe/Berlin", "2027-03-28T01:00:00", ("2027-03-28T01:30", "daily-2027-03-28")),
        # ... and two of them on 2026-10-25: the first counts, and runs at the second still belong to that day.
        ("daily 02:30", "Europe/Berlin", "2026-10-25T01:30:00", ("2026-10-25T00:30", "daily-2026-10-25")),
        ("weekly sunday 03:00", "UTC", "2026-11-20T12:00:00", ("2026-11-22T03:00", "weekly-2026-11-22")),
        ("Weekly  SUN 03:00", "UTC", "2026-11-18T00:00:00", ("2026-11-15T03:00", "weekly-2026-11-15")),
        ("hourly", "Asia/Kolkata", "2026-11-20T10:20:00", ("2026-11-20T10:30", "hourly-20261120T103000Z")),
        ("every 6h", "UTC", "2026-11-20T17:00:00", ("2026-11-20T18:00", "every-6h-20261120T180000Z")),
    ],
)
def test_examples(schedule: str, zone: str, start: str, expected: tuple[str, str]) -> None:
    chosen = nearest(schedule, zone, utc(start))
    assert (chosen.at, chosen.backup_id) == (utc(expected[0]), expected[1])


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "daily",
        "daily 25:00",
        "daily 02:60",
        "weekly 02:00",
        "weekly noday 02:00",
        "hourly 15",
        "every 0h",
        "every h",
    ],
)
def test_other_forms_are_refused(schedule: str) -> None:
    with pytest.raises(RunbookError, match="daily 02:00") as caught:
        nearest(schedule, "UTC", utc("2026-11-20T02:00"))
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", ""])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(RunbookError, match="time zone") as caught:
        nearest("daily 02:00", zone, utc("2026-11-20T02:00"))
    assert caught.value.code == "invalid_parameter"
