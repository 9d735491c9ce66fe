# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a secret, as values (private to ops.runbooks): its values by reference, its phase, what holds what.

Nothing here holds a value of a secret. A value is known by its id, by a keyed fingerprint, and by the slot of the store
in which it lies encrypted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

#: The phases, in the order in which a rotation goes through them; the last two are the ways back.
IDLE: Final = "idle"
MAKING: Final = "making"
STAGED: Final = "staged"
BREAKING: Final = "breaking"
DISTRIBUTING: Final = "distributing"
VERIFYING: Final = "verifying"
GRACE: Final = "grace"
DISABLING: Final = "disabling"
RETIRING: Final = "retiring"
WATCHING: Final = "watching"
CLEARING: Final = "clearing"
RETURNING: Final = "returning"
DROPPING: Final = "dropping"
PHASES: Final = (
    IDLE,
    MAKING,
    STAGED,
    BREAKING,
    DISTRIBUTING,
    VERIFYING,
    GRACE,
    DISABLING,
    RETIRING,
    WATCHING,
    CLEARING,
    RETURNING,
    DROPPING,
)

#: Why a rotation began.
SCHEDULED: Final = "scheduled"
REQUESTED: Final = "requested"
COMPROMISE: Final = "compromise"
#: Finished rotations that stay on record.
KEPT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value by reference. ``id`` is the provider's name for it, ``since`` when it was proven to be in use."""

    id: str
    fingerprint: str
    slot: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a destination was given: ``holds`` names the values in it, ``mark`` how it looked right afterwards.

    ``changed`` is when that was by the clock of its service, in milliseconds; 0 where it makes no difference. Where the
    same was written again, since somebody else had changed it, what was built after ``doubtful`` and before that may
    hold what he wrote. Of a place that others write parts of, ``parts`` are this one's, and ``upon`` the marks of the
    place from which ``mark`` has come by nothing but this destination, the newest first.
    ``unread`` is one that was there when a value was adopted, and of which nobody can tell whether it holds that.
    """

    destination: str
    holds: str
    mark: str
    at: datetime
    changed: int = 0
    doubtful: int | None = None
    parts: tuple[str, ...] = ()
    upon: tuple[str, ...] = ()
    unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A rotation that is over, and how: ``rotated``, ``taken back``, ``dropped`` or ``adopted``."""

    rotation_id: str
    reason: str
    outcome: str
    started_at: datetime
    ended_at: datetime
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Where a secret stands. Every change of it is a compare-and-swap.

    ``current`` is what counts, ``new`` what is on its way (or on its way out, in ``returning``), ``old`` what counted
    before. ``epoch`` grows with each run that goes on with a rotation; ``known`` are the credentials that the provider
    had before the rotation began, none of which is ours to remove. ``broken`` is a rotation that withdraws the
    earlier value at once; since ``withdrawn_at`` its service no longer takes it, or is about not to. ``held`` says why
    no further rotation begins by itself. ``key`` is by what the key is known under which the values are kept, '' where
    an earlier release has not written it down.
    """

    phase: str = IDLE
    epoch: int = 0
    rotation_id: str = ""
    reason: str = ""
    broken: bool = False
    started_at: datetime | None = None
    current: Value | None = None
    new: Value | None = None
    old: Value | None = None
    known: tuple[str, ...] = ()
    written: tuple[Written, ...] = ()
    verified_at: datetime | None = None
    retired_at: datetime | None = None
    withdrawn_at: datetime | None = None
    not_before: datetime | None = None
    proof: str = ""
    held: str = ""
    key: str = ""
    history: tuple[Past, ...] = ()

    def holding(self, destination: str) -> Written | None:
        """What a destination was given last; None where nothing was."""
        return next((each for each in self.written if each.destination == destination), None)

    def having_written(self, written: Written) -> Ledger:
        """The same with what a destination was given now."""
        others = tuple(each for each in self.written if each.destination != written.destination)
        return replace(self, written=tuple(sorted((*others, written), key=lambda each: each.destination)))

    def slots(self) -> frozenset[str]:
        """The slots of the store that are still needed."""
        return frozenset(each.slot for each in (self.current, self.new, self.old) if each is not None)

    def wanted(self) -> tuple[Value | None, Value | None]:
        """The value that destinations are to hold, and the one that is still good beside it.

        While a value is on its way it is the new one, with the current one beside it. Once the old one is being
        retired nothing stands beside. On the way back the current one is wanted again, with the rejected one beside
        it: what was signed with that stays good until everybody is back.
        """
        if self.phase in (DISTRIBUTING, VERIFYING):
            value, beside = self.new, self.current
        elif self.phase in (GRACE, DISABLING):
            value, beside = self.current, self.old
        elif self.phase == RETURNING:
            value, beside = self.current, self.new
        else:
            value, beside = self.current, None
        return value, None if self.broken else beside

    def other(self) -> Value | None:
        """The value that consumers may still hold instead of the one that is wanted."""
        return {
            DISTRIBUTING: self.current,
            VERIFYING: self.current,
            GRACE: self.old,
            DISABLING: self.old,
            RETIRING: self.old,
            WATCHING: self.old,
            RETURNING: self.new,
        }.get(self.phase)

    def closed(self, outcome: str, now: datetime) -> Ledger:
        """The same at rest, with what was under way on record."""
        past = Past(
            rotation_id=self.rotation_id,
            reason=self.reason,
            outcome=outcome,
            started_at=self.started_at or now,
            ended_at=now,
            proof=self.proof,
        )
        return replace(
            self, phase=IDLE, new=None, old=None, known=(), not_before=None, history=(*self.history, past)[-KEPT:]
        )
