# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps of a rotation, and what is waited for, in words (private to ops.runbooks); pure."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Declaration
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.hasten import AFTER_PROOF, breaks
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import DISTRIBUTING, VERIFYING, Ledger
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.phases import Action
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Step, Wait


def sentence(step: Step, declaration: Declaration, ledger: Ledger, *, unasked: bool = False) -> str:
    """A step for people; '' for what is only bookkeeping. ``unasked``: see ``hasten.unasked``."""
    if step.action is Action.HASTEN and ledger.phase in (DISTRIBUTING, VERIFYING):
        return _stays(declaration, replace(ledger, broken=True))
    if step.action in (Action.ENTER, Action.SPREAD, Action.RETIRE, Action.HASTEN):
        return ""
    rotation = ledger.rotation_id
    said = {
        Action.ADOPT: f"take the value of {declaration.name} that is in force on record, and change nothing outside",
        Action.BEGIN: f"begin a rotation of {declaration.name}",
        Action.MAKE: f"make a new value ({declaration.provider}), and {declaration.keeping}",
        Action.TRY: "try the new value before anybody gets it",
        Action.BREAK: "disable the earlier value at once, so that what uses it fails until it has the new one",
        Action.PROVE: "find the new value in use",
        Action.DISABLE: "disable the earlier value" + (", whoever uses it" if ledger.broken else ""),
        Action.GONE: "ask nobody about the earlier value" if unasked else "find the earlier value out of use",
        Action.FINISH: "let go of the earlier value",
        Action.CLEAR: "remove the earlier value for good",
        Action.GIVE_UP: f"give up the rotation {rotation}, whose value nobody has had",
        Action.DROP: f"remove the value of the rotation {rotation}",
        Action.TAKE_BACK: f"go back to the value from before the rotation {rotation}",
        Action.RETURNED: f"find the earlier value in use again, and remove that of the rotation {rotation}",
    }
    if step.action is Action.TRY and (why := _stays(declaration, ledger)):
        return f"{said[step.action]}; {why}"
    if step.action is Action.WRITE:
        target = declaration.target(step.target)
        return f"write {target.name} ({target.kind})"
    return said[step.action]


def _stays(declaration: Declaration, ledger: Ledger) -> str:
    """Why an earlier value that was to be ended first is not; '' where it is, or where no service keeps one."""
    why = breaks(declaration, ledger)
    return f"{declaration.name} stays good as it was until the new value is in use, since {why}" if why else ""


def irreversible(step: Step, declaration: Declaration, ledger: Ledger) -> str:
    """What of a step cannot be taken back; '' where all of it can."""
    if step.action is Action.FINISH:
        return "the earlier value is gone for good"
    if step.action is Action.RETURNED:
        return f"the value of the rotation {ledger.rotation_id} is gone for good"
    # With ``break_first`` nothing stands beside the new value, and tokens of a signing key, which goes nowhere, end.
    signs = declaration.ends_sessions or not declaration.targets
    ends = step.action is Action.BEGIN and not declaration.keeps_previous
    ends = ends or (step.action is Action.TRY and ledger.broken and signs)
    ends = ends or (step.action is Action.HASTEN and ledger.phase in (DISTRIBUTING, VERIFYING, *AFTER_PROOF) and signs)
    if not ends or ledger.current is None:
        return ""
    return "what was signed with the earlier value ends when the new one is in use: users are signed out"


def described(wait: Wait) -> dict[str, str | None]:
    """For results."""
    return {"what": wait.what, "until": iso(wait.until) if wait.until else None, "reason": wait.reason}
