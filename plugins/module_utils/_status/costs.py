# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What backups cost (private to ops.runbooks): time, bytes that leave the database, bytes that stay in the store.

Measured, not modelled: earlier backups say how long one takes and how large it is, the schedule says how often, and the
rules of retention say how many there will be.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, human_bytes
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.plan import Policy, stored_backups

#: How many of the newest backups are looked at.
LOOKED_AT = 5
#: Older ones say little about the next.
_RECENT = timedelta(days=35)
#: What a price list calls a month.
_MONTH = timedelta(days=30)
#: Rules that keep backups for longer than this are as good as keeping them for ever.
_LONGEST = timedelta(days=800)
_EVERY = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "hourly": timedelta(hours=1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an earlier backup took: seconds in all, bytes in the store, and about how many the server had to send."""

    seconds: float
    stored: int
    read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What is to be expected. ``backups`` is how many the rules will keep; ``based_on`` how many were looked at."""

    seconds: int
    per_month: int
    read_per_month: int
    backups: int
    stored: int
    based_on: int

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {
            "seconds": self.seconds,
            "backups_per_month": self.per_month,
            "leaving_bytes_per_month": self.read_per_month,
            "stored_backups": self.backups,
            "stored_bytes": self.stored,
            "based_on": self.based_on,
            "text": self.text,
        }

    @property
    def text(self) -> str:
        """In one line."""
        many = f"the last {self.based_on} backups" if self.based_on > 1 else "the only backup"
        return (
            f"a backup takes about {human(self.seconds)}; in 30 days {self.per_month} of them, for which about "
            f"{human_bytes(self.read_per_month)} leave the database; {self.backups} kept, which is "
            f"{human_bytes(self.stored)} in the store (by {many} and the rules of retention)"
        )


def taken_of(manifest: Manifest) -> Taken:
    """What a backup took. pg_dump compresses where it runs, so the server sends what its tables hold."""
    return Taken(
        seconds=manifest.durations.get("total", 0.0),
        stored=manifest.bytes,
        read=sum(table.bytes for table in manifest.tables if table.data) + manifest.large_objects.bytes,
    )


def newest_taken(backups: Backups, selection_hash: str | None) -> list[Taken]:
    """What the newest good backups of a selection took, the newest first."""
    newest = backups.newest(selection_hash)
    if newest is None:
        return []
    recent = reversed(list(backups.listed(since=newest.snapshot_at - _RECENT, until=newest.snapshot_at)))
    same = (
        each for each in recent if "suspect" not in each.marks and selection_hash in (None, each.entry.selection_hash)
    )
    ids = [each.entry.backup_id for each in same if each.entry.backup_id != newest.backup_id]
    older = (backups.manifest(each) for each in ids[: LOOKED_AT - 1])
    return [taken_of(manifest) for manifest in (newest, *older) if manifest is not None]


def interval(schedule: str) -> timedelta | None:
    """How often a schedule asks for a backup; None for one that is none (see ``_postgres.backup.schedule``)."""
    words = schedule.lower().split()
    if len(words) > 1 and words[0] == "every" and re.fullmatch(r"0*[1-9]\d{0,3}h", words[1]):
        return timedelta(hours=int(words[1][:-1]))
    return _EVERY.get(words[0].partition(":")[0]) if words else None


def costs(taken: Sequence[Taken], every: timedelta, policy: Policy) -> Costs | None:
    """What to expect of backups as the newest ones were, the newest first; None where there is none yet."""
    if not taken:
        return None
    per_month = max(1, _MONTH // every)
    backups = stored_backups(policy, every=every, after=max(_LONGEST, every))
    return Costs(
        seconds=max(1, round(statistics.median(each.seconds for each in taken))),
        per_month=per_month,
        read_per_month=per_month * taken[0].read,
        backups=backups,
        stored=backups * taken[0].stored,
        based_on=len(taken),
    )
