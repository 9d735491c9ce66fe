# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The course of a rotation (private to ops.runbooks): the ledger that follows a step, and where a run would come to.

Pure. A step that leads to a phase which its row of the table does not name is a mistake of ours and raises
``ValueError``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Declaration, Request
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.hasten import AFTER_PROOF, breaks, means, unasked
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
    Written,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.phases import TABLE, Action
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import (
    BEFORE_PROOF,
    Seen,
    Sight,
    Step,
    Wait,
    due_at,
    holds,
    next_step,
    pending,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.sentences import irreversible, sentence
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.shared import upon

#: More steps than any run takes: a plan that does not end is a mistake of ours.
_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What came of the effects of a step: the value that was made or adopted, the mark of what was written, ..."""

    rotation_id: str = ""
    known: tuple[str, ...] = ()
    value: Value | None = None
    written: tuple[Written, ...] = ()
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Where a run would come to from here, and by which steps."""

    ledger: Ledger
    wait: Wait
    steps: tuple[str, ...] = ()
    irreversible: tuple[str, ...] = ()


def after(
    ledger: Ledger, step: Step, facts: Facts, declaration: Declaration, request: Request, seen: Seen, now: datetime
) -> Ledger:
    """The ledger once a step is done. ``seen`` is the world as it is then."""
    moment = _Moment(facts=facts, declaration=declaration, request=request, now=now)
    follows = _FOLLOWS[step.action](ledger, moment)
    spread = step.action is Action.WRITE and ledger.phase == DISTRIBUTING
    if spread and next(pending(declaration, follows, seen), None) is None:
        follows = replace(follows, phase=VERIFYING)
    row = TABLE[step.action]
    if ledger.phase not in row.phases or follows.phase not in row.leads_to:
        raise ValueError(f"{step.action.name} leads from {ledger.phase} to {follows.phase}")
    return follows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What the ledger that follows is made from, beside the one before."""

    facts: Facts
    declaration: Declaration
    request: Request
    now: datetime


def _hastened(ledger: Ledger, moment: _Moment) -> Ledger:
    hastened = replace(ledger, broken=True)
    if ledger.phase in AFTER_PROOF:
        return replace(hastened, phase=DISABLING, retired_at=ledger.retired_at or moment.now, not_before=None)
    return hastened if ledger.phase in (MAKING, STAGED) else _tried(hastened, moment)


def _adopted(ledger: Ledger, moment: _Moment) -> Ledger:
    begun = replace(_begun(ledger, moment), current=moment.facts.value, written=moment.facts.written)
    return begun.closed("adopted", moment.now)


def _written(ledger: Ledger, moment: _Moment) -> Ledger:
    (written,) = moment.facts.written
    return ledger.having_written(written)


def _watched(ledger: Ledger, moment: _Moment) -> Ledger:
    until = moment.now + _unless_compromised(ledger, moment.declaration.watch)
    return replace(ledger, phase=WATCHING, not_before=until)


def _dropped(ledger: Ledger, moment: _Moment) -> Ledger:
    return replace(ledger.closed("dropped", moment.now), held="the last rotation was given up")


def _returned(ledger: Ledger, moment: _Moment) -> Ledger:
    return replace(ledger.closed("taken back", moment.now), held="the last rotation was taken back")


def _begun(ledger: Ledger, moment: _Moment) -> Ledger:
    """What is declared no more is nobody's to wait for; what it holds is not changed."""
    facts, request, now = moment.facts, moment.request, moment.now
    names = {each.name for each in moment.declaration.targets}
    return replace(
        ledger,
        phase=MAKING,
        written=tuple(each for each in ledger.written if each.destination in names),
        epoch=ledger.epoch + 1,
        rotation_id=facts.rotation_id,
        reason=request.reason,
        broken=request.break_first,
        started_at=now,
        known=facts.known,
        verified_at=None,
        retired_at=None,
        withdrawn_at=None,
        not_before=None,
        proof="",
        held="",
    )


def _tried(ledger: Ledger, moment: _Moment) -> Ledger:
    """What is ended before anybody has the new value is on record as ended before it is."""
    if breaks(moment.declaration, ledger) != "":
        return replace(ledger, phase=DISTRIBUTING)
    return replace(ledger, phase=BREAKING, withdrawn_at=moment.now)


def _proven(ledger: Ledger, moment: _Moment) -> Ledger:
    now = moment.now
    if ledger.new is None:
        raise ValueError("what is proven is there")
    proven = replace(
        ledger,
        phase=GRACE,
        old=ledger.current,
        current=replace(ledger.new, since=now),
        new=None,
        verified_at=now,
        not_before=now + _unless_compromised(ledger, moment.declaration.grace),
        proof=moment.facts.proof,
    )
    return proven if proven.old is not None else proven.closed("rotated", now)


def _turned(ledger: Ledger, moment: _Moment) -> Ledger:
    """On the way back the value from before counts again, and ``new`` is the one that is rejected."""
    turned = replace(ledger, phase=RETURNING, not_before=None, broken=False, withdrawn_at=None)
    if ledger.phase in BEFORE_PROOF:
        return turned
    return replace(turned, current=ledger.old, new=ledger.current, old=None)


def _unless_compromised(ledger: Ledger, period: timedelta) -> timedelta:
    return timedelta() if ledger.reason == COMPROMISE else period


_FOLLOWS: dict[Action, Callable[[Ledger, _Moment], Ledger]] = {
    Action.ENTER: lambda ledger, moment: replace(ledger, epoch=ledger.epoch + 1),
    Action.ADOPT: _adopted,
    Action.BEGIN: _begun,
    Action.MAKE: lambda ledger, moment: replace(ledger, phase=STAGED, new=moment.facts.value),
    Action.TRY: _tried,
    Action.HASTEN: _hastened,
    Action.BREAK: lambda ledger, moment: replace(ledger, phase=DISTRIBUTING),
    Action.WRITE: _written,
    Action.SPREAD: lambda ledger, moment: replace(ledger, phase=VERIFYING),
    Action.PROVE: _proven,
    Action.RETIRE: lambda ledger, moment: replace(ledger, phase=DISABLING, retired_at=moment.now, not_before=None),
    Action.DISABLE: lambda ledger, moment: replace(ledger, phase=RETIRING),
    Action.GONE: _watched,
    Action.FINISH: lambda ledger, moment: replace(ledger, phase=CLEARING, not_before=None),
    Action.CLEAR: lambda ledger, moment: ledger.closed("rotated", moment.now),
    Action.GIVE_UP: lambda ledger, moment: replace(ledger, phase=DROPPING),
    Action.DROP: _dropped,
    Action.TAKE_BACK: _turned,
    Action.RETURNED: _returned,
}


def identity(ledger: Ledger, declaration: Declaration, request: Request, run_id: str, now: datetime) -> str:
    """The identity of a rotation that begins: given, or that of the period, or that of the run that was asked."""
    if request.rotation_id:
        return request.rotation_id
    if request.reason != SCHEDULED:
        return f"{request.reason}-{run_id}"[:128]
    due = due_at(declaration, ledger)
    return f"first-{now:%Y%m%dT%H%M%SZ}" if due is None else f"due-{due:%Y%m%dT%H%M%SZ}"


def remaining(request: Request, step: Step, before: Ledger, ledger: Ledger) -> Request:
    """What is left of a request after a step: it is fulfilled with the rotation that was begun for it."""
    if step.action is Action.ADOPT and request.adopt:
        return Request(rests=True)
    if ledger.phase != IDLE or step.action in (Action.WRITE, Action.ENTER):
        return request
    return Request() if means(request, before) or request.take_back else request


def adopted_places(value: Value, seen: Seen, now: datetime) -> tuple[Written, ...]:
    """The destinations that hold a value which is adopted, or may: none of them is touched."""
    sights = {name: seen.sight(name) for name in (*seen.held, *seen.unread)}
    return tuple(
        Written(
            destination=name,
            holds=value.id,
            mark=sight.mark,
            at=now,
            changed=0,
            parts=sight.parts,
            unread=name in seen.unread,
        )
        for name, sight in sights.items()
    )


def placed(ledger: Ledger, destination: str, content: str, sight: Sight, now: datetime) -> Written:
    """What is on record of a destination that has been written. ``sight`` is how it looked right afterwards."""
    before, doubtful = ledger.holding(destination), None
    if sight.changed and before is not None and before.holds == content:
        # Somebody else has changed it, nobody knows how often, and the first time right after it was written last.
        doubtful = before.changed if before.doubtful is None else before.doubtful
    return Written(
        destination=destination,
        holds=content,
        mark=sight.mark,
        at=now,
        changed=sight.changed,
        doubtful=doubtful,
        parts=sight.parts,
        upon=upon(before, sight.upon),
    )


def foresee(
    declaration: Declaration, ledger: Ledger, seen: Seen, request: Request, now: datetime, run_id: str
) -> Foresight:
    """Where a run would come to if all went well, without an effect: until something has to be waited for."""
    said: list[str] = []
    gone: list[str] = []
    for _step in range(_MOST):
        step = next_step(declaration, ledger, seen, request, now, entered=True)
        if isinstance(step, Wait):
            return Foresight(ledger=ledger, wait=step, steps=tuple(said), irreversible=tuple(dict.fromkeys(gone)))
        said.append(sentence(step, declaration, ledger, unasked=unasked(declaration, ledger, request)))
        gone.append(irreversible(step, declaration, ledger))
        rotation_id = identity(ledger, declaration, request, run_id, now)
        before = ledger
        ledger, seen = _imagined(declaration, ledger, seen, request, now, step, rotation_id)
        request = remaining(request, step, before, ledger)
        said, gone = [each for each in said if each], [each for each in gone if each]
    raise ValueError("the plan does not end")


def _imagined(
    declaration: Declaration,
    ledger: Ledger,
    seen: Seen,
    request: Request,
    now: datetime,
    step: Step,
    rotation_id: str,
) -> tuple[Ledger, Seen]:
    """Ledger and world after a step that is not carried out."""
    value = Value(id=rotation_id, fingerprint="", slot="", since=now)
    written: tuple[Written, ...] = ()
    if step.action is Action.WRITE:
        wanted, beside = ledger.wanted()
        if wanted is None:
            raise ValueError("what is written is there")
        sight = seen.sight(step.target).predicted()
        seen = seen.having(step.target, sight)
        content = holds(declaration.target(step.target), wanted, beside)
        written = (placed(ledger, step.target, content, sight, now),)
    if step.action is Action.ADOPT:
        written = adopted_places(value, seen, now)
    facts = Facts(rotation_id=rotation_id, value=value, written=written)
    return after(ledger, step, facts, declaration, request, seen, now), seen
