# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a swap, or its undoing, would do (private to ops.runbooks). Pure: the observed state in, the plan out.

The store says what was intended, the server says by oid which of the two databases has the live name. Both renames are
one transaction, so that one of them always has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import counted, few
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.checks import LONGEST_NAME
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import is_temporary
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    LOADED,
    REVERTED,
    REVERTING,
    STARTED,
    SWAPPING,
    Exchange,
    Mark,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import (
    RestorePlan,
    RestoreState,
    age_seconds,
    build_steps,
    predicted,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.facts import Live, check_live, refused

_BESIDE = "__previous_"
_PREVIOUS = re.compile(_BESIDE + r"[0-9a-f]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapState(RestoreState):
    """What was found. ``databases`` maps names to oids; ``live`` is the database that has the live name."""

    databases: Mapping[str, int]
    live: Live | None
    keep: timedelta
    reverts: bool

    def name_of(self, oid: int | None) -> str | None:
        """The name of the database with that oid; None where it is gone."""
        return next((name for name, each in self.databases.items() if each == oid), None)


def previous_name(target: str, token: str) -> str:
    """``<target>__previous_<token>``, the target cut so that PostgreSQL keeps the token."""
    room = LONGEST_NAME - len(_BESIDE) - len(token)
    return target.encode()[:room].decode("utf-8", "ignore") + _BESIDE + token


def is_previous(name: str) -> bool:
    """Whether a database's name looks like one that a swap has put aside; whose it is, only the store knows."""
    return _PREVIOUS.search(name) is not None


def decide_swap(state: SwapState) -> RestorePlan:
    """The plan for a state. Raises where the swap, or its undoing, cannot be: with nothing changed."""
    if state.reverts:
        return _revert(state)
    mark = state.mark
    if mark is not None and mark.phase in (REVERTING, REVERTED):
        raise _invalid(state, "it was undone", "Give another restore_id to restore once more.")
    if mark is not None and mark.phase == FINISHED:
        return _finished(state, mark)
    live = _required(state)
    if mark is not None and mark.phase in (LOADED, SWAPPING) and state.found_as is not None:
        if live.database.oid == mark.oid:
            return _recorded(state, mark, _aside(state, mark), "swapped")
        if not is_temporary(state.found_as):
            # Only one that never was live keeps such a name: a later swap has put this one aside.
            reason = f"it was swapped in before, and is database {state.found_as} now"
            raise _invalid(state, reason, "Give another restore_id to restore once more.")
        check_live(live, state.endpoint)
        steps = [f"Go on with database {state.found_as}, which an earlier run has loaded and compared."]
        return _swap(state, live, "swap", steps, state.mark.result if state.mark else {})
    if state.work is None:
        raise ValueError("a swap that is not done was observed without what it needs")
    check_live(live, state.endpoint)
    steps = build_steps(state, state.work)
    return _swap(state, live, "restore", steps, predicted(state, state.work))


def _required(state: SwapState) -> Live:
    if state.live is not None:
        return state.live
    raise RunbookError(
        code="database_missing",
        attempted="swap the restored database in",
        object=f"database {state.target_database} on {state.endpoint}",
        reason="there is no database of that name to swap with",
        remedy="Correct target_database, or restore with strategy new_database, which makes it.",
    )


def _finished(state: SwapState, mark: Mark) -> RestorePlan:
    """A swap is done once: an old command must never bring old data back."""
    if state.found_as is None:
        where = "no longer on this server"
        raise _invalid(
            state, f"it was swapped in, and the database that it made is {where}", "Give another restore_id."
        )
    aside = _aside(state, mark)
    return RestorePlan(changed=False, result={**mark.result, "database": state.found_as, "previous_database": aside})


def _swap(state: SwapState, live: Live, action: str, steps: list[str], result: Mapping[str, Any]) -> RestorePlan:
    target, aside = state.target_database, previous_name(state.target_database, state.attempt.token)
    since = f"{iso(state.backup.snapshot_at)} ({human(age_seconds(state))} ago)"
    kept = f"for {human(int(state.keep.total_seconds()))}"
    ended = f"End {counted(len(live.sessions), 'session')} in database {target}" + _whose(live)
    return RestorePlan(
        changed=True,
        action=action,
        result={
            **result,
            "database": target,
            "strategy": "swap",
            "previous_database": aside,
            "previous_until": None,
            "sessions_ended": None,
        },
        steps=(
            *steps,
            f"Carry over what belongs to database {target}: owner {live.database.owner}, privileges, comment, "
            f"connection limit, {counted(len(live.database.settings), 'setting')}, settings of "
            f"{counted(len(live.of_roles), 'role')}.",
            ended,
            f"In one transaction rename database {target} to {aside}, kept {kept}, and the restored one to {target}.",
        ),
        irreversible=(
            f"What was written to database {target} since {since} is not in it from then on. It stays in {aside} "
            f"{kept}, and undo brings it back, without what is written after the swap.",
        ),
        before={"database": target, "oid": live.database.oid},
        after={"database": target, "backup": state.backup.id, "snapshot_at": iso(state.backup.snapshot_at)},
        warnings=state.work.warnings if state.work is not None else (),
        skipped=state.work.losses if state.work is not None else (),
    )


def _revert(state: SwapState) -> RestorePlan:
    mark = state.mark
    if mark is None or mark.exchange is None or mark.phase in (STARTED, LOADED):
        raise _invalid(state, "no swap of that restore has happened", "Give the restore_id that the swap was given.")
    if mark.phase == REVERTED:
        result = {**mark.result, "database": state.name_of(mark.exchange.replaced_oid)}
        return RestorePlan(changed=False, result={**result, "previous_database": state.found_as})
    live = _required(state)
    previous = state.name_of(mark.exchange.replaced_oid)
    if live.database.oid == mark.exchange.replaced_oid:
        if mark.phase == REVERTING:
            return _recorded(state, mark, state.found_as, "swapped back")
        raise _invalid(state, "the swap has not happened", "Nothing is to be undone: the old database is live.")
    if previous is None:
        raise RunbookError(
            code="previous_missing",
            attempted="undo the swap",
            object=f"database {mark.exchange.aside} on {state.endpoint}",
            reason=f"the database that was live before is gone; it was kept until {iso(mark.exchange.until)}",
            remedy="Restore a backup instead. Nothing was changed.",
        )
    if live.database.oid != mark.oid:
        raise refused(
            "other_live",
            state.target_database,
            state.endpoint,
            "another database than the one that this swap brought has the name now",
            "Undo the later swap first.",
        )
    check_live(live, state.endpoint)
    return _swap_back(state, mark, live, previous)


def _swap_back(state: SwapState, mark: Mark, live: Live, previous: str) -> RestorePlan:
    target, aside = state.target_database, previous_name(state.target_database, state.attempt.token)
    kept = f"for {human(int(state.keep.total_seconds()))}"
    return RestorePlan(
        changed=True,
        action="revert",
        result={
            **mark.result,
            "database": target,
            "previous_database": aside,
            "previous_until": None,
            "sessions_ended": None,
        },
        steps=(
            f"End {counted(len(live.sessions), 'session')} in database {target}" + _whose(live),
            f"In one transaction rename database {target} to {aside}, kept {kept}, and {previous} to {target}.",
        ),
        irreversible=(
            f"What was written to database {target} since the swap is not in it from then on. It stays in {aside} "
            f"{kept}.",
        ),
        before={"database": target, "backup": state.backup.id, "oid": live.database.oid},
        after={"database": target, "oid": mark.exchange.replaced_oid if mark.exchange else None},
    )


def _recorded(state: SwapState, mark: Mark, aside: str | None, done: str) -> RestorePlan:
    """What a killed run has done and not written down."""
    result = {**mark.result, "database": state.target_database, "previous_database": aside}
    return RestorePlan(
        changed=True,
        action="record",
        result=result,
        steps=(f"Record that an earlier run has {done} database {state.target_database}.",),
        before={"database": state.target_database, "recorded": False},
        after={"database": state.target_database, "recorded": True},
    )


def _aside(state: SwapState, mark: Mark) -> str | None:
    return state.name_of(mark.exchange.replaced_oid) if mark.exchange is not None else None


def _whose(live: Live) -> str:
    users = sorted({session.text for session in live.sessions})
    if not users:
        return ", and those that begin meanwhile."
    return f" ({few(users)}), and those that begin meanwhile."


def exchange_of(state: SwapState, replaced_oid: int) -> Exchange:
    """What a swap or its undoing that begins now writes down first."""
    aside = previous_name(state.target_database, state.attempt.token)
    return Exchange(replaced_oid=replaced_oid, aside=aside, until=state.now + state.keep)


def _invalid(state: SwapState, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted="use restore_id",
        object=state.restore_id,
        reason=reason,
        remedy=remedy,
    )
