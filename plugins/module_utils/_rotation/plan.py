# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to a secret next (private to ops.runbooks); pure.

:func:`next_step` chooses a row of the table, or says what is waited for; ``course.after`` is the ledger that follows.
The engine calls both in turn with what it has found outside, check mode with what it would find, and the state model
of the tests with a world of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import (
    Declaration,
    Request,
    Target,
    unrotatable,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.hasten import hastened, unasked
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import (
    BREAKING,
    CLEARING,
    COMPROMISE,
    DISABLING,
    DISTRIBUTING,
    DROPPING,
    GRACE,
    IDLE,
    MAKING,
    RETIRING,
    RETURNING,
    SCHEDULED,
    STAGED,
    VERIFYING,
    WATCHING,
    Ledger,
    Value,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.phases import TABLE, Action

#: Phases in which what consumers use decides, always or once the date has come.
_ASKING, _ASKING_IN_TIME = (VERIFYING, DISABLING, RETIRING, RETURNING), (GRACE, WATCHING)
#: Phases in which a new value is tried, and the one before it counts still.
BEFORE_PROOF = (BREAKING, DISTRIBUTING, VERIFYING)
#: Phases in which there is but one thing to do, whatever the world looks like.
_AT_ONCE = {
    MAKING: Action.MAKE,
    STAGED: Action.TRY,
    BREAKING: Action.BREAK,
    CLEARING: Action.CLEAR,
    DROPPING: Action.DROP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A destination as it is. ``mark`` changes whenever its content may have; '' where there is nothing.

    Where a change reaches only what is built afterwards, ``built`` is when what runs now was, ``changed`` when the
    destination was, both in milliseconds by the clock of its service. ``built`` is None where a change is in force at
    once. Of a place that has but one mark for several destinations ``parts`` are what this one writes of it, and
    ``upon`` is the mark that it had right before that.
    """

    exists: bool
    mark: str = ""
    built: int | None = None
    changed: int = 0
    parts: tuple[str, ...] = ()
    upon: str = ""

    def predicted(self) -> Sight:
        """As it would be after a change."""
        return Sight(exists=True, mark="predicted", built=self.built, changed=(self.built or 0) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a consumer says: whether it uses the ``wanted`` value, the ``other`` one, ``neither``, or is ``silent``."""

    consumer: str
    uses: Literal["wanted", "other", "neither", "silent"]
    accepts_other: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was found outside. ``in_use`` is why the provider knows the earlier value to be in use, '' where not.

    ``held`` are the destinations that are known to hold the value which is to be adopted, ``unread`` those of which
    nobody can tell. ``revived`` is why the
    provider knows a value that was disabled to be good again.
    """

    sights: tuple[tuple[str, Sight], ...] = ()
    uses: tuple[Use, ...] = ()
    in_use: str = ""
    held: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    revived: str = ""

    def sight(self, target: str) -> Sight:
        """One destination."""
        return next((sight for name, sight in self.sights if name == target), Sight(exists=False))

    def having(self, target: str, sight: Sight) -> Seen:
        """The same with one destination as it is now; who was asked before has to be asked again."""
        others = tuple(each for each in self.sights if each[0] != target)
        return Seen(sights=(*others, (target, sight)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A row that is to be carried out, on one destination where it is about one."""

    action: Action
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing can be done now. ``until`` is the date, where it is one that is waited for."""

    what: Literal["date", "use", "deployment", "person", "run"]
    reason: str
    until: datetime | None = None


def next_step(
    declaration: Declaration,
    ledger: Ledger,
    seen: Seen,
    request: Request,
    now: datetime,
    *,
    entered: bool,
) -> Step | Wait:
    """What is to be done next. A step with effects is taken only by a run that has made the epoch its own."""
    chosen = _chosen(declaration, ledger, seen, request, now)
    if isinstance(chosen, Step):
        return Step(action=Action.ENTER) if TABLE[chosen.action].effects and not entered else chosen
    return _doubtful(declaration, ledger, seen) or chosen if chosen.what in ("date", "person") else chosen


def _doubtful(declaration: Declaration, ledger: Ledger, seen: Seen) -> Wait | None:
    """What runs and may hold what somebody else wrote is built anew before a date is waited for."""
    for target in declaration.targets:
        built, written = seen.sight(target.name).built, ledger.holding(target.name)
        if built is None or written is None or written.doubtful is None:
            continue
        if written.doubtful < built <= written.changed:
            reason = f"somebody else had changed {target.name}, and what runs may have been built with that"
            return Wait(what="deployment", reason=reason)
    return None


def _chosen(declaration: Declaration, ledger: Ledger, seen: Seen, request: Request, now: datetime) -> Step | Wait:
    if chosen := _by_request(declaration, ledger, seen, request):
        return chosen
    if wait := _unripe(declaration, ledger, now):
        return wait
    if seen.revived:
        raise _revived(declaration, ledger, seen.revived)
    if ledger.phase in _AT_ONCE:
        return Step(action=_AT_ONCE[ledger.phase])
    if ledger.phase == IDLE and ledger.current is None and not request.take_back:
        return _first(declaration, seen, request)
    if target := next(pending(declaration, ledger, seen), None):
        return Step(action=Action.WRITE, target=target.name)
    if ledger.phase == IDLE and request.take_back:
        return Wait(what="person", reason="no rotation is under way that could be taken back")
    if ledger.phase == IDLE:
        return _rest(declaration, ledger, request, now)
    if ledger.phase == DISTRIBUTING:
        return Step(action=Action.SPREAD)
    return _onwards(declaration, ledger, seen, request, now)


def _by_request(declaration: Declaration, ledger: Ledger, seen: Seen, request: Request) -> Step | Wait | None:
    """What somebody asks for, of a rotation that is under way or of a value on record, whatever would come next."""
    if request.rests:
        return _at_rest(declaration, ledger, seen)
    if not request.take_back:
        action = hastened(declaration, ledger, request)
        return Step(action=action) if action is not None else None
    if step := _way_back(ledger):
        return step
    if ledger.phase in (IDLE, CLEARING) and not ledger.held:
        raise _gone(declaration, ledger)
    return None


def _unripe(declaration: Declaration, ledger: Ledger, now: datetime) -> Wait | None:
    """A new value that not everybody has learned of yet; where the earlier one is withdrawn at once, nobody waits."""
    if ledger.phase != STAGED or ledger.new is None or ledger.broken:
        return None
    until = ledger.new.since + declaration.ripens
    if now >= until:
        return None
    return Wait(what="date", reason="everybody has had the time to learn of the new value", until=until)


def _way_back(ledger: Ledger) -> Step | None:
    """From where a rotation is; None where there is nothing to take back, or it is on its way."""
    if ledger.phase in TABLE[Action.GIVE_UP].phases:
        return Step(action=Action.GIVE_UP)
    if ledger.phase not in TABLE[Action.TAKE_BACK].phases:
        return None
    if (ledger.current if ledger.phase in BEFORE_PROOF else ledger.old) is None:
        raise RunbookError(
            code="rotation_refused",
            attempted="go back to the earlier value",
            object=f"rotation {ledger.rotation_id}",
            reason="it is the first value on record, so that there is none to go back to",
            remedy="Go on with it: run the same command without take_back.",
        )
    return Step(action=Action.TAKE_BACK)


def _gone(declaration: Declaration, ledger: Ledger) -> RunbookError:
    """Somebody relies on a value from before, and there is none."""
    past = ledger.history[-1] if ledger.history else None
    if ledger.phase == CLEARING:
        reason = "the watch period is over, and it is being removed for good"
    elif past is None or past.outcome == "adopted" or ledger.retired_at is None:
        reason = "there is none: no rotation has replaced it yet"
    else:
        reason = f"it is gone since {iso(past.ended_at)}, when the rotation {past.rotation_id} was over"
    return RunbookError(
        code="rotation_refused",
        attempted="go back to the earlier value",
        object=f"secret {declaration.name}",
        reason=reason,
        remedy="The present value stays. Where that is bad, get another one: reason=requested.",
    )


def _at_rest(declaration: Declaration, ledger: Ledger, seen: Seen) -> Wait:
    """After a value was taken on record: what is missing somewhere the next run writes."""
    missing = [each.name for each in pending(declaration, ledger, seen)]
    if missing:
        return Wait(what="run", reason=f"the value is on record; the next run writes {', '.join(missing)}")
    return Wait(what="date", reason="the next rotation is due", until=due_at(declaration, ledger))


def _revived(declaration: Declaration, ledger: Ledger, why: str) -> RunbookError:
    """Somebody has brought an earlier value back, for a reason that only he knows, and may be using it."""
    back = "; where it is to count again, use take_back=true" if ledger.phase == WATCHING else ""
    return RunbookError(
        code="rotation_refused",
        attempted="remove the earlier value for good",
        object=f"secret {declaration.name}",
        reason=f"somebody has brought it back since it was disabled: {why}",
        remedy=f"See who needs it, disable it again, then run the same command again{back}.",
    )


def _first(declaration: Declaration, seen: Seen, request: Request) -> Step:
    """Nothing is on record: a value of somebody else's is not written over unless it is taken on record first."""
    taken = [each.name for each in declaration.targets if seen.sight(each.name).exists]
    if request.adopt or not declaration.targets:
        # What nobody ever sees is in force all the same.
        return Step(action=Action.ADOPT)
    if taken:
        has = "has" if len(taken) == 1 else "have"
        raise RunbookError(
            code="rotation_refused",
            attempted="make the first value",
            object=f"secret {declaration.name}",
            reason=f"{' and '.join(taken)} {has} a value already, which is not on record",
            remedy="Run once with adopt=true, which takes that value on record and changes nothing outside.",
        )
    return Step(action=Action.BEGIN)


def _rest(declaration: Declaration, ledger: Ledger, request: Request, now: datetime) -> Step | Wait:
    """Whether a rotation is due."""
    current = ledger.current
    if current is None:
        raise ValueError("a secret at rest has a value")
    due = current.since + declaration.max_age
    again = current.since + declaration.min_age
    if request.rotation_id and any(each.rotation_id == request.rotation_id for each in ledger.history):
        return Wait(what="date", reason=f"the rotation {request.rotation_id} is done; the next one is due", until=due)
    if request.reason == SCHEDULED and not request.rotation_id:
        if ledger.held:
            return Wait(what="person", reason=f"{ledger.held}; somebody has to ask for the next rotation")
        if now < due:
            return Wait(what="date", reason="the next rotation is due", until=due)
    elif now < again and not (request.reason == COMPROMISE and ledger.reason != COMPROMISE):
        reason = f"the value is younger than {human(declaration.min_age.total_seconds())} (min_age)"
        return Wait(what="date", reason=reason, until=again)
    if refusal := unrotatable(declaration):
        raise refusal
    return Step(action=Action.BEGIN)


def _onwards(declaration: Declaration, ledger: Ledger, seen: Seen, request: Request, now: datetime) -> Step | Wait:
    """The phases that wait for consumers or for a date."""
    if wait := _date(ledger, request, now):
        return wait
    asked = not unasked(declaration, ledger, request)
    if asked and (wait := _unproven(declaration, ledger, seen)):
        begun = ledger.phase == DISABLING
        told = f"{wait.reason}; a run that ended may have disabled the earlier value, which take_back brings back"
        return replace(wait, reason=told) if begun else wait
    action = {
        VERIFYING: Action.PROVE,
        GRACE: Action.RETIRE,
        DISABLING: Action.DISABLE,
        RETIRING: Action.GONE,
        WATCHING: Action.FINISH,
        RETURNING: Action.RETURNED,
    }[ledger.phase]
    return Step(action=action)


def _date(ledger: Ledger, request: Request, now: datetime) -> Wait | None:
    """What a date keeps; after a compromise no date keeps anything."""
    if ledger.phase not in _ASKING_IN_TIME or ledger.not_before is None or now >= ledger.not_before:
        return None
    if COMPROMISE in (ledger.reason, request.reason):
        return None
    what = "the grace period ends" if ledger.phase == GRACE else "the watch period ends"
    return Wait(what="date", reason=what, until=ledger.not_before)


def _unproven(declaration: Declaration, ledger: Ledger, seen: Seen) -> Wait | None:
    """What consumers keep: whoever does not use the wanted value, or still takes one that is being retired."""
    for target in declaration.targets:
        if not in_force(target, ledger, seen):
            return Wait(what="deployment", reason=f"what runs was built before {target.name} was changed last")
    for consumer in declaration.consumers:
        use = next((each for each in seen.uses if each.consumer == consumer.name), None)
        if use is None:
            return Wait(what="use", reason=f"{consumer.name} has not been asked yet")
        if use.uses != "wanted":
            said = {"other": "still uses the other value", "neither": "uses a value that is not on record"}
            return Wait(what="use", reason=f"{consumer.name} {said.get(use.uses, use.why)}")
        if ledger.phase == RETIRING and use.accepts_other:
            return Wait(what="use", reason=f"{consumer.name} still takes the earlier value")
    if seen.in_use and not ledger.broken:
        which = "the earlier value" if ledger.phase in (GRACE, DISABLING) else "the value that is given up"
        return Wait(what="use", reason=f"{which} is in use: {seen.in_use}")
    return None


def in_force(target: Target, ledger: Ledger, seen: Seen) -> bool:
    """Whether what runs was built with what the destination holds."""
    built, written = seen.sight(target.name).built, ledger.holding(target.name)
    return built is None or written is None or built > written.changed


def pending(declaration: Declaration, ledger: Ledger, seen: Seen) -> Iterator[Target]:
    """The destinations that do not hold what they are to hold, as far as anybody can tell."""
    value, beside = ledger.wanted()
    if value is None:
        return
    for target in declaration.targets:
        written = ledger.holding(target.name)
        differs = written is None or written.mark != seen.sight(target.name).mark
        if differs or (written is not None and written.holds != holds(target, value, beside)):
            yield target


def holds(target: Target, value: Value, beside: Value | None) -> str:
    """The name of a content: the values that are in it."""
    return f"{value.id}+{beside.id}" if beside is not None and target.template.uses_previous else value.id


def asks(ledger: Ledger, request: Request, now: datetime) -> bool:
    """Whether consumers have to be asked before the next step is chosen."""
    return ledger.phase in _ASKING or (ledger.phase in _ASKING_IN_TIME and _date(ledger, request, now) is None)


def due_at(declaration: Declaration, ledger: Ledger) -> datetime | None:
    """When the next rotation begins by itself; None before the first value, and where somebody has to ask."""
    if ledger.current is None or ledger.held:
        return None
    return ledger.current.since + declaration.max_age
