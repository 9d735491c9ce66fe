# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time as the collection speaks it (private to ops.runbooks): UTC, ISO 8601, seconds; durations such as ``26h``."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# At most nine digits a number: more than any duration means, and less than timedelta can hold.
_DURATION = re.compile(r"^(?:\d{1,9}[smh]|\d{1,6}[dw])+$|^\d{1,9}$")


#: A hundred years in seconds: a time that far ago can still be told.
_LONGEST = 36525 * 86400
#: What seems younger than now by more than this makes its age unknown.
CLOCKS_MAY_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Clock:
    """The controller's two clocks; tests pass another with the same three methods."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back and go on while a process is stopped, for deadlines.

        ``CLOCK_BOOTTIME`` where there is one: unlike ``CLOCK_MONOTONIC`` it also counts a suspended laptop's sleep.
        """
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def iso(moment: datetime) -> str:
    """``2026-11-20T02:00:00Z``, with microseconds only where there are any."""
    moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="auto" if moment.microsecond else "seconds").replace("+00:00", "Z")


def compact(moment: datetime) -> str:
    """``20261120T020000Z``: the form inside keys and ids; sorts by time."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def parse_iso(text: str, attempted: str = "read a time") -> datetime:
    """An ISO 8601 moment; one without a zone is refused, since nobody can say what it means."""
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
        if moment.tzinfo is None:
            raise ValueError("it has no zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RunbookError(
            code="invalid_parameter",
            attempted=attempted,
            object=repr(text),
            reason="it is not an ISO 8601 time with a zone",
            remedy="Write it like 2026-11-20T02:00:00Z or 2026-11-20T03:00:00+01:00.",
        ) from error


def parse_compact(text: str) -> datetime:
    """The inverse of :func:`compact`. Raises ``ValueError``."""
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def parse_duration(text: str, name: str) -> timedelta:
    """``90``, ``90s``, ``15m``, ``26h``, ``7d``, ``2w`` or a sum such as ``1d12h``; ``name`` is the parameter's."""
    stripped = text.strip().lower()
    numbers = re.findall(r"(\d+)([smhdw]?)", stripped) if _DURATION.match(stripped) else []
    seconds = sum(int(number) * _UNITS[unit or "s"] for number, unit in numbers)
    if not numbers or seconds > _LONGEST:
        raise RunbookError(
            code="invalid_parameter",
            attempted=f"read the duration {name}",
            object=repr(text),
            reason="it is not a duration",
            remedy="Write a number of seconds, or numbers with s, m, h, d or w, such as 26h or 1d12h.",
        )
    return timedelta(seconds=seconds)


def age(moment: datetime, now: datetime) -> int:
    """Whole seconds since ``moment``; never negative, since clocks differ."""
    return max(0, int((now - moment).total_seconds()))


def clocks_differ(moment: datetime, now: datetime) -> str | None:
    """Why the age of something is not known: it is dated so far ahead that one of the clocks must be wrong."""
    if moment - now <= CLOCKS_MAY_DIFFER:
        return None
    ahead = human((moment - now).total_seconds())
    return f"it is dated {ahead} ahead of this machine's clock, so that clock or the database server's is wrong"


def human(seconds: float) -> str:
    """A duration for a person: ``45 s``, ``12 min``, ``3.5 h``, ``9 d``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{round(seconds / 3600, 1):g} h"
    return f"{seconds / 86400:.0f} d"


def human_bytes(count: int) -> str:
    """A size for a person, in binary units: ``512 B``, ``3.4 MiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
