# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows that come again and again (private to ops.runbooks): an RFC 5545 rule in a time zone, and a duration. Pure.

The rule speaks of the clock on the wall, so that 09:00 stays 09:00 when clocks change. A local time that a change of
clocks leaves out is taken by the offset that was in force before it, and of one that comes twice the first counts, as
RFC 5545 says. The duration is time that passes: a window over a change of clocks lasts as long as any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.zones import zone_of
from ansible_collections.ops.runbooks.plugins.module_utils._window.model import Interval

#: What a rule may say, and between which numbers, negative ones counting from the end. COUNT is none of it, since it
#: would count from a start that moves, and seconds are no scale for people.
_NUMBERS = {
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYSETPOS": (1, 366, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "INTERVAL": (1, 9999, False),
}
_PARTS = frozenset({*_NUMBERS, "FREQ", "UNTIL", "WKST", "BYDAY"})
#: What RFC 5545 knows only with longer periods, and what would let a short one run to the end of time without a hit.
_COARSE = frozenset({"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"})
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY")
#: One of these says on which day; without any of them it is the day of the rule's start.
_DAYS = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?")
_LONGEST = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One rule. ``start`` and ``until`` are local times without a zone."""

    rule: str
    zone: tzinfo
    duration: timedelta
    start: datetime | None = None
    until: datetime | None = None

    def intervals(self, first: datetime, last: datetime) -> Iterator[Interval]:
        """All that begin before ``last`` and end after ``first``."""
        for local in self._occurrences(first - self.duration, last):
            begin = local.replace(tzinfo=self.zone).astimezone(UTC)
            end = begin + self.duration
            if begin < last and end > first:
                yield Interval(begin, end)

    def _occurrences(self, first: datetime, last: datetime) -> Iterator[datetime]:
        from dateutil.rrule import rrulestr

        # A day on either side: no zone is further from UTC, and no change of clocks is longer.
        day = timedelta(days=1)
        begin, end = (moment.astimezone(self.zone).replace(tzinfo=None) for moment in (first - day, last + day))
        # Two weeks before, so that the first week is a whole one.
        anchor = self.start or datetime(begin.year, begin.month, begin.day) - timedelta(days=14)
        if self.until is not None:
            end = min(end, self.until)
        if end < anchor:
            return
        # An end, so that a rule that never comes true ends too.
        for local in rrulestr(f"{self.rule};UNTIL={end:%Y%m%dT%H%M%S}", dtstart=anchor):
            if local >= begin:
                yield local


def read_window(given: Mapping[str, Any], number: int) -> Window:
    """One item of the option ``windows``. Raises ``invalid_parameter``."""
    where = f"windows[{number}]"
    text = str(given["rrule"])
    zone = zone_of(given.get("timezone") or "UTC", f"{where}.timezone")
    duration = parse_duration(given["duration"], f"{where}.duration")
    if not timedelta(0) < duration <= _LONGEST:
        raise _refused(where, given["duration"], f"a window lasts from 1 s to {human(_LONGEST.total_seconds())}")
    start = _start(given["start"], where) if given.get("start") else None
    parts = _parts(text, where)
    if start is None and (reason := _needs_start(parts)):
        raise _refused(where, text, f"{reason}, and there is no start", "Add start, such as '2026-01-05 09:00'.")
    until = _until(parts.pop("UNTIL"), zone, where) if "UNTIL" in parts else None
    rule = ";".join(f"{name}={value}" for name, value in parts.items())
    window = Window(rule=rule, zone=zone, duration=duration, start=start, until=until)
    try:
        next(window.intervals(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)), None)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise _refused(where, text, "it is no rule of RFC 5545") from None
    return window


def _parts(text: str, where: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").strip(";").split(";"):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value or name in parts:
            raise _refused(where, text, f"{part!r} is no part of a rule, or comes twice")
        if name not in _PARTS:
            raise _refused(where, text, f"{name} is not supported; a window knows {', '.join(sorted(_PARTS))}")
        parts[name] = value
    if parts.get("FREQ") not in _FREQUENCIES:
        raise _refused(where, text, f"FREQ must be one of {', '.join(_FREQUENCIES)}")
    for name, (least, most, negative) in _NUMBERS.items():
        values = [_number(value, where, text) for value in parts.get(name, str(most)).split(",")]
        if any(not least <= (abs(value) if negative else value) <= most for value in values):
            raise _refused(where, text, f"{name} must be from {least} to {most}")
    if reason := _never(parts):
        raise _refused(where, text, reason)
    return parts


def _number(text: str, where: str, rule: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,4}", text):
        raise _refused(where, rule, f"{text!r} is no number")
    return int(text)


def _never(parts: Mapping[str, str]) -> str:
    """Why a rule can never come true, or would be looked through without end; empty where it can."""
    if parts["FREQ"] in ("WEEKLY", "DAILY", "HOURLY") and (coarse := sorted(_COARSE & set(parts))):
        return f"{coarse[0]} belongs to MONTHLY or YEARLY"
    if parts["FREQ"] in ("WEEKLY", "DAILY", "HOURLY") and re.search(r"\d", parts.get("BYDAY", "")):
        return "the number of a weekday belongs to MONTHLY or YEARLY"
    if parts["FREQ"] in ("DAILY", "HOURLY") and parts.get("INTERVAL", "1") != "1" and {"BYDAY", "BYMONTH"} & set(parts):
        return f"{parts['FREQ']} has either an INTERVAL or days; WEEKLY and MONTHLY may have both"
    if "BYMONTHDAY" in parts and "BYMONTH" in parts:
        days = [int(day) for day in parts["BYMONTHDAY"].split(",")]
        if not any(abs(day) <= _LONGEST_MONTHS[int(m) - 1] for m in parts["BYMONTH"].split(",") for day in days):
            return "there is no such day"
    return ""


def _needs_start(parts: Mapping[str, str]) -> str:
    """Why a rule means nothing without a start, empty where it does."""
    if parts.get("INTERVAL", "1") != "1":
        return f"INTERVAL={parts['INTERVAL']} counts from a start"
    if parts["FREQ"] in ("YEARLY", "MONTHLY", "WEEKLY") and not any(name in parts for name in _DAYS):
        return "it does not say on which day"
    return ""


def _start(text: str, where: str) -> datetime:
    try:
        start = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _refused(where, text, "it is no time", "Write start like '2026-01-05 09:00'.") from None
    if start.tzinfo is not None:
        raise _refused(where, text, "start is a local time in the zone of timezone", "Leave its zone out.")
    return start.replace(microsecond=0)


def _until(text: str, zone: tzinfo, where: str) -> datetime:
    found = _UNTIL.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        moment = datetime.strptime(found[1] + (found[2] or "235959"), "%Y%m%d%H%M%S")
    except ValueError:
        raise _refused(where, text, "UNTIL is neither YYYYMMDD nor YYYYMMDDTHHMMSS") from None
    if found[3]:
        moment = moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None, fold=0)
    return moment


def _refused(
    where: str, value: str, reason: str, remedy: str = "Write it like 'FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=9'."
) -> RunbookError:
    return RunbookError(
        code="invalid_parameter", attempted=f"read {where}", object=repr(value), reason=reason, remedy=remedy
    )
