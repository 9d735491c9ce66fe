# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What migrations are made of, as values (private to ops.runbooks)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import Statement
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_away import Taken, both

EXPAND, CONTRACT = "expand", "contract"
#: A row of the ledger: a run is in it or has stopped in it, or it is done.
STARTED, APPLIED = "started", "applied"
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A migration as its files say it. ``phase`` is as declared, '' where nobody has; ``markers`` are its header's."""

    name: str
    up: str
    down: str | None = None
    checksum: str = ""
    markers: dict[str, str] = field(default_factory=dict)

    @property
    def phase(self) -> str:
        """The declared phase."""
        return self.markers.get("phase", "")

    @property
    def place(self) -> tuple[int, str]:
        """Its place in the order."""
        return place(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A migration that was looked into.

    ``reasons`` say why it is not plainly additive, ``refused`` why it cannot be run as it is written. ``blocks`` are
    tables whose writers wait for an index of it; ``lock_timeout`` and ``statement_timeout`` are its own limits.
    """

    name: str
    checksum: str
    phase: str
    destructive: bool
    transaction: bool
    statements: tuple[Statement, ...]
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    lock_timeout: timedelta | None = None
    statement_timeout: timedelta | None = None

    def describe(self) -> dict[str, Any]:
        """For results and differences: no SQL but the beginnings of its statements, which hold no data."""
        return {
            "name": self.name,
            "checksum": self.checksum,
            "phase": self.phase,
            "destructive": self.destructive,
            "reasons": list(self.reasons),
            "transaction": self.transaction,
            "statements": [each.head for each in self.statements],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the ledger says of one migration; ``done`` and ``failed`` are of one outside of a transaction."""

    name: str
    checksum: str
    phase: str
    state: str
    done: int = 0
    failed: bool = False
    applied_at: datetime | None = None
    release: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What is recorded in a database. ``exists`` is whether there is a ledger; rows are in their order."""

    exists: bool
    rows: tuple[Row, ...] = ()

    @property
    def applied(self) -> tuple[Row, ...]:
        """The rows of what is done, in the order of their names."""
        return tuple(row for row in self.rows if row.state == APPLIED)

    @property
    def head(self) -> str:
        """The last one by its name, as backups say it too; '' where there is none."""
        return self.applied[-1].name if self.applied else ""

    @property
    def last(self) -> Row | None:
        """What was applied last, by time; the later name where two have one time."""
        return max(self.applied, key=lambda row: (_stamp(row), place(row.name)), default=None)

    def row(self, name: str) -> Row | None:
        """The row of a name."""
        return next((row for row in self.rows if row.name == name), None)


def _stamp(row: Row) -> float:
    return row.applied_at.timestamp() if row.applied_at is not None else 0.0


def place(name: str) -> tuple[int, str]:
    """Where a migration stands in the order: by its number, however that is padded, then by its name."""
    number = _NUMBER.match(name)
    return (int(number[0]) if number else 0, name)


def taken_of(ledger: Ledger) -> tuple[Taken, ...]:
    """What its migrations have taken away, as the store has it for runbooks of apps; one in which a run has stopped may
    have."""
    rows = [row for row in ledger.rows if row.phase == CONTRACT]
    return tuple(
        Taken(name=row.name, applied_at=iso(row.applied_at) if row.applied_at else "", release=row.release)
        for row in rows
    )


def taken_by(tool: str, ledger: Ledger, recorded: Sequence[Taken], now: datetime) -> tuple[Taken, ...]:
    """The same where another tool keeps the ledger, which says nothing of phases, and Supabase's nothing of times.

    What the store has stays for as long as the tool has it: another checkout may lack the file that says what it was.
    A time that nobody knows is that of the first look, which is late and so allows nothing that is not.
    """
    known = {_known_as(each.name, tool): each for each in recorded}
    found = []
    for row in ledger.rows:
        before = known.get(_known_as(row.name, tool))
        if row.phase != CONTRACT and before is None:
            continue
        told = before.applied_at if before is not None else ""
        at = iso(row.applied_at) if row.applied_at else told or iso(now)
        name = row.name if before is None or row.phase == CONTRACT else before.name
        found.append(Taken(name=name, applied_at=at, release=before.release if before is not None else row.release))
    return tuple(found)


def _known_as(name: str, tool: str) -> str:
    """Supabase knows a migration by its version alone."""
    return name.partition("_")[0] if tool == "supabase" else name


def taken_before(taken: Sequence[Taken], plan: Plan, release: str, now: datetime) -> tuple[Taken, ...]:
    """The same with what a plan is about to take away, or to record as taken away."""
    coming: Sequence[Migration] = (*getattr(plan, "chosen", ()), *getattr(plan, "record", ()))
    if (finish := getattr(plan, "finish", None)) is not None:
        coming = (*coming, finish)
    new = (Taken(name=each.name, applied_at=iso(now), release=release) for each in coming if each.phase == CONTRACT)
    return both(taken, tuple(new))


def digest(migrations: Sequence[Migration]) -> str:
    """Sixteen hex digits over what would be run: names, contents, phases."""
    told = "\n".join(f"{each.name} {each.checksum} {each.phase}" for each in migrations)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
