# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Freezes from a calendar or from the inventory (private to ops.runbooks). Pure.

A calendar that is cut off, or has an event that cannot be understood, is not read in part: an event that goes missing
would be a freeze that nobody keeps. So everything that the parser forgives is looked for here and not forgiven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import masked
from ansible_collections.ops.runbooks.plugins.module_utils._core.zones import zone_of
from ansible_collections.ops.runbooks.plugins.module_utils._window.model import Freeze, Interval, Unreadable

#: Events beyond the times that are asked for, for those without a zone: no zone is further from UTC.
_MARGIN = timedelta(days=2)
_TIMED = ("DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID")


def read_freeze(given: Mapping[str, Any], number: int) -> Freeze:
    """An item of the option ``freezes`` that is given by ``start`` and ``end``. Raises ``invalid_parameter``."""
    where = f"freezes[{number}]"
    zone = zone_of(given.get("timezone") or "UTC", f"{where}.timezone")
    start = _given(given["start"], zone, f"{where}.start", whole_day=False)
    end = _given(given["end"], zone, f"{where}.end", whole_day=True)
    if end <= start:
        raise _refused(f"{where}.end", given["end"], "it is not after start")
    return Freeze(Interval(start, end), _line(given.get("reason")) or "A freeze")


def frozen_by(text: str, zone: tzinfo | None, first: datetime, last: datetime) -> list[Freeze]:
    """What the calendars in ``text`` freeze between two instants.

    ``zone`` is that of days and times that have none; else the calendar's own counts, else UTC. Raises
    :class:`Unreadable`.
    """
    import recurring_ical_events
    from icalendar import Calendar

    try:
        calendars = Calendar.from_ical(text, multiple=True)
        _require_whole(text, len(calendars))
        found: list[Freeze] = []
        for calendar in calendars:
            for component in calendar.walk():
                _require_understood(component)
            query = recurring_ical_events.of(calendar, components=["VEVENT"])
            own = zone or _zone_of(calendar)
            found += _freezes(query.between(first - _MARGIN, last + _MARGIN), own)
    except Unreadable:
        raise
    except Exception as error:
        # Whatever the parser makes of it: nobody knows what is frozen.
        raise Unreadable("it is not an iCalendar that can be understood") from error
    return [each for each in found if each.interval.end > first and each.interval.start < last]


def _require_whole(text: str, calendars: int) -> None:
    lines = [line.strip().upper() for line in text.splitlines()]
    begun, ended = lines.count("BEGIN:VCALENDAR"), lines.count("END:VCALENDAR")
    if not begun:
        raise Unreadable("it is not an iCalendar")
    if not calendars == begun == ended:
        raise Unreadable("it is cut off")


def _require_understood(component: Any) -> None:
    """The parser leaves out what it cannot read, and takes a time in an unknown zone for one without any."""
    for name, _error in component.errors:
        raise Unreadable(f"{_event(component)} has {name or 'a line'} that cannot be read")
    for name in _TIMED if component.name == "VEVENT" else ():
        value = component.get(name)
        for each in value if isinstance(value, list) else [value] if value is not None else []:
            moments = [item.dt for item in each.dts] if hasattr(each, "dts") else [each.dt]
            named = each.params.get("TZID")
            if named and any(isinstance(moment, datetime) and moment.tzinfo is None for moment in moments):
                raise Unreadable(f"{_event(component)} is in the unknown time zone {_line(named)}")
    if component.name == "VEVENT" and component.get("DTSTART") is None:
        raise Unreadable(f"{_event(component)} has no DTSTART")


def _freezes(events: Any, zone: tzinfo) -> Iterator[Freeze]:
    for event in events:
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            continue
        start, end = (_instant(moment, zone) for moment in (event.start, event.end))
        if end <= start:
            raise Unreadable(f"{_event(event)} has no end")
        yield Freeze(Interval(start, end), _line(event.get("SUMMARY")) or "A freeze")


def _zone_of(calendar: Any) -> tzinfo:
    """The zone of a calendar whose maker has written one down, which is no part of the standard, and common."""
    name = str(calendar.get("X-WR-TIMEZONE", "") or "UTC")
    try:
        return zone_of(name, "X-WR-TIMEZONE")
    except RunbookError:
        raise Unreadable(f"it is in the unknown time zone {_line(name)}") from None


def _instant(moment: date | datetime, zone: tzinfo) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def _given(text: str, zone: tzinfo, where: str, *, whole_day: bool) -> datetime:
    """An instant; of a day alone its beginning, or its end."""
    stripped = text.strip()
    try:
        if len(stripped) == 10:
            day = date.fromisoformat(stripped) + timedelta(days=whole_day)
            return _instant(day, zone)
        moment = datetime.fromisoformat(stripped)
        # Of a local time that comes twice, the first begins a freeze and the second ends it.
        return _instant(moment.replace(fold=int(whole_day)), zone)
    except (ValueError, OverflowError):
        raise _refused(where, text, "it is neither a day nor a time") from None


def _event(component: Any) -> str:
    summary = _line(component.get("SUMMARY"))
    return f"the event {summary!r}" if summary else "an event"


def _line(value: Any) -> str:
    return masked(" ".join(str(value or "").split()))[:80]


def _refused(where: str, value: str, reason: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted=f"read {where}",
        object=repr(value),
        reason=reason,
        remedy="Write a day such as 2026-12-24, or a time such as '2026-12-24 18:00'.",
    )
