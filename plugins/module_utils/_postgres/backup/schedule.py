# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The identity of a scheduled backup (private to ops.runbooks).

Schedulers start a run a little early or late, and a retried one later still. The run belongs to the scheduled instant
that is nearest to its start, and that instant names the backup: ``daily-2026-11-20``. Pure; the scheduler itself is
cron, AWX or whatever starts the playbook.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.zones import zone_of

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)"
_FORMS = "'daily 02:00', 'weekly sunday 02:00', 'hourly', 'hourly:15' or 'every 6h'"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One scheduled instant, in UTC, and the backup id that it gives."""

    at: datetime
    backup_id: str


def nearest(schedule: str, time_zone: str, start: datetime) -> Occurrence:
    """The scheduled instant nearest to ``start``; of two equally near ones the later.

    ``schedule`` is ``daily HH:MM``, ``weekly <day> HH:MM``, ``hourly[:MM]`` (all in ``time_zone``) or ``every <N>h``
    (counted from midnight UTC of 1970-01-01, so that 2, 3, 4, 6, 8 and 12 meet midnight UTC each day). A local time
    that a change of clocks leaves out is taken as long after midnight as the clock says; of one that comes twice a day
    the first counts. Raises ``invalid_parameter``.
    """
    zone = zone_of(time_zone, "backup_time_zone")
    occurrences = _parse(schedule)(start, zone)
    return min(occurrences, key=lambda each: (abs(each.at - start), -each.at.timestamp()))


_Occurrences = Callable[[datetime, tzinfo], Iterator[Occurrence]]


def _parse(schedule: str) -> _Occurrences:
    text = " ".join(schedule.lower().split())
    if found := re.fullmatch(rf"daily {_CLOCK}", text):
        at = time(int(found["hour"]), int(found["minute"]))
        return lambda start, zone: _daily(start, zone, at)
    if found := re.fullmatch(rf"weekly (?P<day>[a-z]{{3,9}}) {_CLOCK}", text):
        at = time(int(found["hour"]), int(found["minute"]))
        day = next((number for number, name in enumerate(_DAYS) if name.startswith(found["day"])), None)
        if day is not None:
            return lambda start, zone: _weekly(start, zone, day, at)
    if found := re.fullmatch(r"hourly(?::(?P<minute>[0-5]\d))?", text):
        minute = int(found["minute"] or 0)
        return lambda start, zone: _hourly(start, zone, minute)
    if (found := re.fullmatch(r"every (?P<hours>\d{1,3}) ?h", text)) and int(found["hours"]):
        hours = int(found["hours"])
        return lambda start, _zone: _every(start, hours)
    raise _invalid("backup_schedule", schedule, "it is not one of the known forms", f"Write {_FORMS}.")


def _daily(start: datetime, zone: tzinfo, at: time) -> Iterator[Occurrence]:
    today = start.astimezone(zone).date()
    for offset in (-1, 0, 1):
        day = today + timedelta(days=offset)
        yield Occurrence(at=_instant(day, at, zone), backup_id=f"daily-{day.isoformat()}")


def _weekly(start: datetime, zone: tzinfo, weekday: int, at: time) -> Iterator[Occurrence]:
    today = start.astimezone(zone).date()
    first = today - timedelta(days=(today.weekday() - weekday) % 7)
    for offset in (-7, 0, 7):
        day = first + timedelta(days=offset)
        yield Occurrence(at=_instant(day, at, zone), backup_id=f"weekly-{day.isoformat()}")


def _hourly(start: datetime, zone: tzinfo, minute: int) -> Iterator[Occurrence]:
    """Every instant near ``start`` at which the local clock shows ``minute``; named in UTC, where no hour repeats."""
    local = start.astimezone(zone).replace(tzinfo=None, minute=0, second=0, microsecond=0, fold=0)
    for offset in range(-3, 4):
        shown = local + offset * _HOUR + timedelta(minutes=minute)
        for fold in (0, 1):
            at = shown.replace(tzinfo=zone, fold=fold).astimezone(UTC)
            if at.astimezone(zone).replace(tzinfo=None, fold=0) == shown:
                yield Occurrence(at=at, backup_id=f"hourly-{compact(at)}")


def _every(start: datetime, hours: int) -> Iterator[Occurrence]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    passed = (start - epoch) // (hours * _HOUR)
    for number in (passed, passed + 1):
        at = epoch + number * hours * _HOUR
        yield Occurrence(at=at, backup_id=f"every-{hours}h-{compact(at)}")


def _instant(day: date, at: time, zone: tzinfo) -> datetime:
    """A local time as an instant; ``fold=0`` takes the first of two and, in a gap, counts on as if there were none."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def _invalid(what: str, value: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter", attempted=f"read {what}", object=repr(value), reason=reason, remedy=remedy
    )
