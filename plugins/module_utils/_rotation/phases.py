# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The phases of a rotation as one table (private to ops.runbooks): what may happen in which, and where it leads.

The planner chooses among the rows, the engine carries out the effects of the row that was chosen, in their order and
each after a look at the ledger, and then swaps the ledger. The state model of the tests reads the same table, so that
what it proves is what runs.

A run may die before, between or after the effects of a row. ``recovery`` says what the next run does then: in each
case it plans from the ledger, which still has the phase from before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import (
    BREAKING,
    CLEARING,
    DISABLING,
    DISTRIBUTING,
    DROPPING,
    GRACE,
    IDLE,
    MAKING,
    RETIRING,
    RETURNING,
    STAGED,
    VERIFYING,
    WATCHING,
)


class Effect(Enum):
    """What changes the outside world, each preceded by a look at the ledger; the value completes "could not ..."."""

    SWEEP = "remove credentials that a run which died has left"
    MAKE = "make a new value"
    KEEP = "keep the value until it is in use"
    APPLY = "set the new value where it is checked"
    TEST = "try the new value"
    END = "end the earlier value at once"
    WRITE = "write a destination"
    DISABLE = "disable the earlier value"
    ENABLE = "enable the earlier value again"
    DELETE = "remove the value that is out of use"
    FORGET = "remove values from the store that are out of use"


class Action(Enum):
    """The rows of the table."""

    ENTER = "go on with what an earlier run has begun"
    ADOPT = "take the value that is in force on record"
    BEGIN = "begin a rotation"
    MAKE = "make a value and keep it"
    TRY = "try the value"
    HASTEN = "end the earlier value at once after all"
    BREAK = "end the earlier value before anybody has the new one"
    WRITE = "write a destination"
    SPREAD = "find all destinations written"
    PROVE = "find the new value in use"
    RETIRE = "write down that the earlier value is disabled next"
    DISABLE = "disable the earlier value"
    GONE = "find the earlier value out of use"
    FINISH = "let go of the earlier value"
    CLEAR = "remove the earlier value"
    GIVE_UP = "give up a value that nobody has had"
    DROP = "remove a value that was given up"
    TAKE_BACK = "go back to the earlier value"
    RETURNED = "find the earlier value in use again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: the phases in which it may happen, its effects in their order, the phases to which it may lead."""

    phases: frozenset[str]
    effects: tuple[Effect, ...]
    leads_to: frozenset[str]
    recovery: str


def _row(phases: tuple[str, ...], effects: tuple[Effect, ...], leads_to: tuple[str, ...], recovery: str) -> Row:
    return Row(phases=frozenset(phases), effects=effects, leads_to=frozenset(leads_to), recovery=recovery)


_SPREADING = (DISTRIBUTING, VERIFYING, GRACE, DISABLING, RETIRING, WATCHING, RETURNING)
_UNDER_WAY = (MAKING, STAGED, BREAKING, CLEARING, DROPPING, *_SPREADING)

TABLE: dict[Action, Row] = {
    Action.ENTER: _row(
        (IDLE, *_UNDER_WAY), (), (IDLE, *_UNDER_WAY), "Nothing but the epoch has changed: the next run enters too."
    ),
    Action.ADOPT: _row((IDLE,), (Effect.KEEP,), (IDLE,), "The slot of that epoch is passed over, and swept later."),
    Action.BEGIN: _row((IDLE,), (), (MAKING,), "Nothing has happened outside; the next run makes the value."),
    Action.MAKE: _row(
        (MAKING,),
        (Effect.SWEEP, Effect.MAKE, Effect.KEEP),
        (STAGED,),
        "A value that was made and not kept was nobody's: the next run removes it and makes another one. One that was "
        "kept in a slot of an earlier epoch is passed over.",
    ),
    Action.TRY: _row((STAGED,), (Effect.APPLY, Effect.TEST), (DISTRIBUTING, BREAKING), "Both are done once more."),
    Action.HASTEN: _row(
        (MAKING, STAGED, DISTRIBUTING, VERIFYING, GRACE, DISABLING),
        (),
        (MAKING, STAGED, BREAKING, DISTRIBUTING, DISABLING),
        "Nothing but the record has changed: the next run ends it.",
    ),
    Action.BREAK: _row(
        (BREAKING,),
        (Effect.END,),
        (DISTRIBUTING,),
        "It is ended once more. Nobody relied on it any more before it was.",
    ),
    Action.WRITE: _row(
        (IDLE, *_SPREADING), (Effect.WRITE,), (IDLE, *_SPREADING), "It is written once more, with the same value."
    ),
    Action.SPREAD: _row((DISTRIBUTING,), (), (VERIFYING,), "It is found again."),
    Action.PROVE: _row((VERIFYING,), (), (GRACE, IDLE), "It is proven again."),
    Action.RETIRE: _row(
        (GRACE,),
        (),
        (DISABLING,),
        "Nothing but the phase has changed. It comes first, so that nobody relies on what may be disabled already.",
    ),
    Action.DISABLE: _row(
        (DISABLING,), (Effect.DISABLE,), (RETIRING,), "It is disabled once more, which changes nothing."
    ),
    Action.GONE: _row((RETIRING,), (), (WATCHING,), "It is found again."),
    Action.FINISH: _row(
        (WATCHING,), (), (CLEARING,), "Nothing but the phase has changed; from here on there is no way back."
    ),
    Action.CLEAR: _row((CLEARING,), (Effect.DELETE, Effect.FORGET), (IDLE,), "What is gone already counts as removed."),
    Action.GIVE_UP: _row((MAKING, STAGED), (), (DROPPING,), "Nothing but the phase has changed; it is removed then."),
    Action.DROP: _row(
        (DROPPING,), (Effect.SWEEP, Effect.DELETE, Effect.FORGET), (IDLE,), "What is gone counts as removed."
    ),
    Action.TAKE_BACK: _row(
        (BREAKING, DISTRIBUTING, VERIFYING, GRACE, DISABLING, RETIRING, WATCHING),
        (Effect.ENABLE,),
        (RETURNING,),
        "It is enabled once more, which changes nothing.",
    ),
    Action.RETURNED: _row(
        (RETURNING,),
        (Effect.ENABLE, Effect.DELETE, Effect.FORGET),
        (IDLE,),
        "What is gone already counts as removed. A run that was asleep may have disabled what counts: it is enabled.",
    ),
}
