# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a secret (private to ops.runbooks); pure. Never a value, and of a fingerprint only its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import age, iso
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Declaration, Target
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import IDLE, Ledger, Past, Value
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import (
    Seen,
    Wait,
    due_at,
    in_force,
    pending,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.sentences import described
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import BESIDE, SHOWN

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import Vault


def describe(
    declaration: Declaration, ledger: Ledger, seen: Seen, wait: Wait, vault: Vault, now: datetime
) -> dict[str, Any]:
    """The object ``rotation``."""
    due = due_at(declaration, ledger)
    awaiting = {each.name for each in pending(declaration, ledger, seen)}
    return {
        "id": ledger.rotation_id,
        "secret": declaration.name,
        "phase": ledger.phase,
        "reason": ledger.reason,
        "withdrawn": ledger.withdrawn_at is not None and ledger.phase != IDLE,
        "value": _value(ledger.current, vault, now),
        "next_value": _value(ledger.new, vault, now),
        "earlier_value": _value(ledger.old, vault, now),
        "due_at": iso(due) if due is not None else None,
        "overdue": due is not None and now >= due,
        "waits_for": described(wait),
        "destinations": [_target(each, ledger, seen, awaiting) for each in declaration.targets],
        "consumers": [{"name": each.consumer, "uses": each.uses} for each in seen.uses],
        "proof": ledger.proof,
        "last": _past(ledger.history[-1]) if ledger.history else None,
        "requests": {},
    }


def differences(ledger: Ledger) -> dict[str, Any]:
    """One side of diff mode."""
    return {
        "phase": ledger.phase,
        "rotation": ledger.rotation_id,
        "values": {
            name: value.id if value is not None else None
            for name, value in (("current", ledger.current), ("next", ledger.new), ("earlier", ledger.old))
        },
        "destinations": {each.destination: each.holds for each in ledger.written},
    }


def _value(value: Value | None, vault: Vault, now: datetime) -> dict[str, Any] | None:
    if value is None:
        return None
    return {
        "reference": vault.reference(value.slot) if value.slot else None,
        "fingerprint": value.fingerprint[:SHOWN],
        "since": iso(value.since),
        "age_seconds": age(value.since, now),
    }


def _target(target: Target, ledger: Ledger, seen: Seen, awaiting: set[str]) -> Mapping[str, Any]:
    written, sight = ledger.holding(target.name), seen.sight(target.name)
    _value, beside = ledger.wanted()
    filled = beside is not None or any(not part.startswith(BESIDE) for part in target.template.parts)
    return {
        "name": target.name,
        "type": target.kind,
        "project": target.options.get("project"),
        "variable": target.options.get("variable"),
        "written_at": iso(written.at) if written is not None else None,
        "as_written": written is not None and target.name not in awaiting,
        "unread": written is not None and written.unread,
        "missing": written is not None and filled and not sight.exists,
        "in_force": in_force(target, ledger, seen),
    }


def _past(past: Past) -> dict[str, Any]:
    return {
        "id": past.rotation_id,
        "reason": past.reason,
        "outcome": past.outcome,
        "started_at": iso(past.started_at),
        "ended_at": iso(past.ended_at),
        "proof": past.proof,
    }
