# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds on Vercel that hold a value of a secret which was taken away (private to ops.runbooks); pure.

A build keeps the environment variables that it was made with. So a rollback, or a promote of something old, brings
back the earlier value of a secret, and that works only until a rotation has taken it away. Ledgers say when each secret
got the value that counts; what was built before that, and what was built while a value was tried that was taken back,
can no longer serve.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import (
    BREAKING,
    CLEARING,
    DISABLING,
    DISTRIBUTING,
    GRACE,
    KEPT,
    RETIRING,
    VERIFYING,
    WATCHING,
    Ledger,
    Past,
    Written,
)

#: Phases in which the earlier value is disabled, or may be by now; ``take_back`` brings it back in all but the last.
_RETURNABLE = (DISABLING, RETIRING, WATCHING)
_DISABLED = (*_RETURNABLE, CLEARING)
#: Phases in which it is so where it was ended before the new one was in use.
_WITHDRAWN = (BREAKING, DISTRIBUTING, VERIFYING, GRACE)
#: A time that no build is from: as long as the new value is not where builds get it, none has it.
_NEVER = round(datetime(9999, 1, 1, tzinfo=UTC).timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Builds from after ``after`` and before ``before`` (milliseconds) hold a value of ``secret`` that is dead."""

    secret: str
    before: int
    after: int = 0
    reason: str

    def describe(self) -> dict[str, str | None]:
        """For results, in the form in which modules are told what is outdated."""
        return {
            "secret": self.secret,
            "built_after": _iso(self.after) if self.after else None,
            "built_before": _iso(self.before),
            "reason": self.reason,
        }


def spans(secret: str, ledger: Ledger, records: Collection[str]) -> tuple[Span, ...]:
    """What of a project is outdated by one secret. ``records`` are the ids of the project's environment variables.

    Nothing where none of them is a destination of the secret.
    """
    mine = _latest([each for each in ledger.written if records_of(each) & set(records)])
    if not mine:
        return ()
    return tuple(each for each in (_replaced(secret, ledger, mine), _rejected(secret, ledger, mine)) if each)


def _latest(written: Collection[Written]) -> list[Written]:
    """Without what has written nothing but variables that another one has written since: a destination that is called
    otherwise by now, or is declared no more."""

    def since(each: Written) -> set[str]:
        return set().union(*(records_of(other) for other in written if other.at > each.at))

    return [each for each in written if records_of(each) - since(each)]


def may_have_retired(ledger: Ledger) -> bool:
    """Whether it is worth asking which variables a project has."""
    return bool(ledger.written) and (_rotation(ledger) is not None or _taken_back(ledger) is not None)


def records_of(written: Written) -> set[str]:
    """The ids of environment variables in the mark of a destination on Vercel; others have marks of another form."""
    return {part.partition("@")[0] for part in written.mark.split() if "@" in part}


def _replaced(secret: str, ledger: Ledger, mine: Collection[Written]) -> Span | None:
    """What was built before the value that counts was written."""
    rotation = _rotation(ledger)
    if rotation is None:
        return None
    withdrawn = ledger.phase in _WITHDRAWN and ledger.withdrawn_at is not None
    returnable = withdrawn or ledger.phase in _RETURNABLE
    tail = ", which take_back of secret_rotation still brings back" if returnable else ""
    if withdrawn and any(each.at < rotation.began for each in mine):
        reason = f"the value of {secret} that builds get was ended at once (rotation {rotation.rotation_id}){tail}"
        return Span(secret=secret, before=_NEVER, reason=reason)
    before = max(_moment(each, rotation) for each in mine)
    reason = (
        f"it was built before {iso(_datetime(before))}, when the secret {secret} got another value (rotation "
        f"{rotation.rotation_id}), and the value that it holds was taken away{tail}"
    )
    return Span(secret=secret, before=before, reason=reason)


def _rejected(secret: str, ledger: Ledger, mine: Collection[Written]) -> Span | None:
    """What was built while a value was in force that was taken back. Where a destination was written since, nobody
    knows any more when that ended, and nothing is said."""
    past = _taken_back(ledger)
    if past is None:
        return None
    ended = [each.changed for each in mine if past.started_at <= each.at <= past.ended_at and each.changed]
    if len(ended) < len(mine):
        return None
    reason = f"it was built with a value of the secret {secret} that was taken back (rotation {past.rotation_id})"
    return Span(secret=secret, after=_milliseconds(past.started_at), before=max(ended) + 1, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rotation:
    """One that has ended an earlier value: when it began, when its own was proven to be in use, when it ended that."""

    rotation_id: str
    began: datetime
    proven: datetime | None
    retired: datetime | None


def _rotation(ledger: Ledger) -> _Rotation | None:
    """The one before which everything is dead; None where no earlier value was taken away."""
    withdrawn = ledger.phase in _WITHDRAWN and ledger.withdrawn_at is not None
    if (ledger.phase in _DISABLED or withdrawn) and ledger.started_at is not None:
        return _Rotation(
            rotation_id=ledger.rotation_id,
            began=ledger.started_at,
            proven=ledger.verified_at,
            retired=ledger.retired_at,
        )
    values = [each for each in ledger.history if each.outcome in ("rotated", "adopted")]
    first = len(values) < 2 and len(ledger.history) < KEPT
    if first or not values or values[-1].outcome == "adopted":
        return None
    held = ledger.old if ledger.phase == GRACE else ledger.current
    last = values[-1]
    return _Rotation(
        rotation_id=last.rotation_id,
        began=last.started_at,
        proven=held.since if held is not None else None,
        retired=ledger.retired_at if ledger.rotation_id == last.rotation_id else None,
    )


def _taken_back(ledger: Ledger) -> Past | None:
    last = ledger.history[-1] if ledger.history else None
    return last if last is not None and last.outcome == "taken back" else None


def _moment(written: Written, rotation: _Rotation) -> int:
    """Before when a build has not got the value from this destination.

    Vercel's own time, where it was written last for the value to be used. Where it was written again since, such as to
    take the earlier one out of it, that would be too late: then the beginning of the rotation, before which nothing can
    have the value.
    """
    used = rotation.proven is None or written.at <= rotation.proven
    again = rotation.retired is not None and written.at >= rotation.retired
    exact = written.at >= rotation.began and used and not again and written.changed
    return written.changed + 1 if exact else _milliseconds(rotation.began)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _datetime(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _iso(milliseconds: int) -> str:
    return iso(_datetime(milliseconds))
