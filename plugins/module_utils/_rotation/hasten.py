# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An earlier value that is ended at once, whoever uses it (private to ops.runbooks); pure."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Declaration, Request
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import (
    DISABLING,
    GRACE,
    RETIRING,
    WATCHING,
    Ledger,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.phases import TABLE, Action

#: Phases in which the new value is in use, and the one before it is good still.
AFTER_PROOF = (GRACE, DISABLING)
#: Phases in which the one before it is disabled, and is let go of once nobody needs it.
_AFTER_DISABLING = (RETIRING, WATCHING)


def breaks(declaration: Declaration, ledger: Ledger) -> str | None:
    """Why a service keeps the earlier value good until it is removed, although it was to be ended at once.

    '' where it is ended at once, None where no service keeps one, or nobody has asked for it.
    """
    earlier = ledger.old if ledger.phase in AFTER_PROOF else ledger.current
    return declaration.lasts(earlier.id) if ledger.broken and earlier is not None else None


def hastened(declaration: Declaration, ledger: Ledger, request: Request) -> Action | None:
    """What ends it next; None where nobody has asked for that, it is ended, or it comes in its turn.

    Whoever uses it is who it is taken away from, or is to fail: nobody is asked.
    """
    if ledger.phase == DISABLING and breaks(declaration, ledger) == "":
        return Action.DISABLE
    under_way = ledger.phase in TABLE[Action.HASTEN].phases and ledger.current is not None
    if not request.break_first or ledger.broken or not under_way:
        return None
    lasts = ledger.phase in AFTER_PROOF and breaks(declaration, replace(ledger, broken=True))
    return None if lasts else Action.HASTEN


def means(request: Request, ledger: Ledger) -> bool:
    """Whether the rotation on record is the one that is asked for, as far as anybody can tell."""
    return request.rotation_id in ("", ledger.rotation_id) and request.reason == ledger.reason


def unasked(declaration: Declaration, ledger: Ledger, request: Request) -> bool:
    """Whether a rotation is brought to its end whoever does not use its value yet, since another one has to follow.

    Its value is the one that is to be ended first, and of the one before it nothing more ends: it is disabled, or no
    service knows it. Where one keeps it good until it is removed, that would stop whoever uses it, who is asked.
    """
    if not request.break_first or ledger.phase not in _AFTER_DISABLING or means(request, ledger):
        return False
    return ledger.old is None or not declaration.lasts(ledger.old.id)
