# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run has come to, for its last lines (private to ops.runbooks); pure."""

from __future__ import annotations

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Request
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
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Wait

#: Phases in which what was asked for is still on its way: the same command again goes on with it.
_ON_ITS_WAY = (MAKING, STAGED, BREAKING, DISTRIBUTING, VERIFYING)
_UNDER_WAY = {
    MAKING: "a rotation has begun",
    STAGED: "a new value is made, and nobody has it yet",
    BREAKING: "a new value is made, and the earlier one is being ended",
    DISTRIBUTING: "a new value is made, and not all destinations have it yet",
    VERIFYING: "a new value is where it belongs, and not in use everywhere yet",
    GRACE: "rotated; the earlier value is good",
    DISABLING: "rotated; the earlier value is about to be disabled",
    RETIRING: "the earlier value is disabled, and not out of use everywhere yet",
    WATCHING: "the earlier value is disabled, and can be brought back",
    CLEARING: "the earlier value is being removed",
    RETURNING: "the earlier value is where it belongs again, and not in use everywhere yet",
    DROPPING: "the new value, which nobody has had, is being removed",
}
_OVER = {
    "adopted": "taken on record; nothing outside was changed",
    "dropped": "given up; nobody has had the new value",
    "taken back": "the earlier value counts again",
}


def summary(before: Ledger, after: Ledger) -> str:
    """What became of a secret in a run that has changed something, or where one that is under way is."""
    if after.phase != IDLE:
        until = f" until {iso(after.not_before)}" if after.not_before is not None else ""
        return _UNDER_WAY[after.phase] + until
    if len(after.history) == len(before.history) and after.history[-1:] == before.history[-1:]:
        return "written again where it was not as it belongs"
    outcome = after.history[-1].outcome
    if outcome == "rotated":
        return "rotated; the earlier value is gone for good" if after.retired_at else "its first value is in use"
    return _OVER[outcome]


def not_begun(before: Ledger, after: Ledger, request: Request, identity: str, wait: Wait) -> str:
    """Why the rotation that was asked for has not begun, and how to get it; '' where it has, or nobody has asked.

    ``identity`` is what a rotation that begins in this run is called. One that began for the same reason and is still
    on its way is the one that is meant; after a compromise nothing waits for a date, so that it always is.
    """
    if (request.reason == SCHEDULED and not request.rotation_id) or request.adopt or request.take_back:
        return ""
    known = {before.rotation_id, *(each.rotation_id for each in after.history)}
    if request.rotation_id and request.rotation_id in known:
        return ""
    if after.rotation_id in (identity, request.rotation_id) or after.rotation_id != before.rotation_id:
        return ""
    same = before.reason == request.reason and not request.rotation_id
    if same and (before.phase in _ON_ITS_WAY or (before.phase != IDLE and before.reason == COMPROMISE)):
        return ""
    until = f" until {iso(wait.until)}" if wait.until is not None else ""
    if before.phase == IDLE:
        return f"{wait.reason}{until}; give the same command after that"
    if after.phase == IDLE:
        return f"the rotation {before.rotation_id}, which was under way, is over now; give the same command again"
    sooner = "" if COMPROMISE in (request.reason, after.reason) else "; reason=compromise waits for no date"
    waits = f"{wait.reason}, {iso(wait.until)}" if wait.until is not None else wait.reason
    return (
        f"the rotation {after.rotation_id} is under way and comes first ({after.phase}: {waits}); "
        f"give the same command once it is over{sooner}"
    )
