# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module runbook_window (private to ops.runbooks): may work begin now?

The answer is a decision and no failure. Only where glass is broken there is something to write down: the reason, as the
record of this run, before the work that it allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_duration, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.record import read_record
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import S3_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.zones import zone_of
from ansible_collections.ops.runbooks.plugins.module_utils._window.freezes import frozen_by, read_freeze
from ansible_collections.ops.runbooks.plugins.module_utils._window.model import Freeze, Unreadable
from ansible_collections.ops.runbooks.plugins.module_utils._window.plan import HORIZON, Decision, Known, decide
from ansible_collections.ops.runbooks.plugins.module_utils._window.rules import read_window
from ansible_collections.ops.runbooks.plugins.module_utils._window.source import name_of, text_of

_WINDOW = {
    "rrule": {"type": "str", "required": True},
    "duration": {"type": "str", "required": True},
    "timezone": {"type": "str", "default": "UTC"},
    "start": {"type": "str"},
}
_FREEZE = {
    # An address is often the only secret of a calendar.
    "ics": {"type": "str", "no_log": True},
    "start": {"type": "str"},
    "end": {"type": "str"},
    "reason": {"type": "str"},
    "timezone": {"type": "str"},
}
_FREEZES = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": _FREEZE,
    "required_one_of": [["ics", "start"]],
    "required_together": [["start", "end"]],
    "mutually_exclusive": [["ics", "start"], ["ics", "reason"]],
}
WINDOW_SPEC = S3_SPEC.merge(
    ArgumentSpec(
        options={
            "windows": {"type": "list", "elements": "dict", "default": [], "options": _WINDOW},
            "freezes": _FREEZES,
            "at": {"type": "str"},
            "duration": {"type": "str", "default": "0s"},
            "exempt": {"type": "bool", "default": False},
            "break_glass": {"type": "str"},
            "timeout": {"type": "str", "default": "30s"},
            "store": {"type": "str"},
            "state_store": {"type": "str"},
            "environment": {"type": "str"},
            "name": {"type": "str"},
            "store_encryption": {"type": "str", "choices": ["none", "sse-s3", "sse-kms"], "default": "none"},
            "store_kms_key_id": {"type": "str"},
            "run_id": {"type": "str"},
        },
        required_by={"store": ("environment", "name")},
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found: windows and freezes, and the steps that this run has on record already."""

    known: Known = field(default_factory=Known)
    recorded: tuple[str, ...] = ()


def plan_window(decision: Decision, recorded: tuple[str, ...], *, keeps: bool) -> Plan:
    """The answer; ``keeps`` says whether there is a store in which a broken glass is written down."""
    broken = decision.break_glass is not None
    step = f"record that this run goes on although it is {decision.judged}: {decision.break_glass}"
    changed = broken and keeps and step not in recorded
    return Plan(
        changed=changed,
        result=decision.describe(),
        steps=(step,) if changed else (),
        after={"break_glass": decision.break_glass} if changed else {},
        warnings=(decision.reason,) if broken else (),
    )


def _given(source: str, number: int) -> str:
    """A calendar that was looked up where there is nothing is no calendar without freezes."""
    if source.strip():
        return source
    raise RunbookError(
        code="connection_empty",
        attempted="read a calendar of freezes",
        object=f"freezes[{number}].ics",
        reason="it is given but empty",
        remedy="Set the environment variable that it is looked up from, or take it out of the inventory.",
    )


class RunbookWindow(Operation[Looked, Plan]):
    """Judge this moment."""

    noun: ClassVar[str] = "window"
    spec: ClassVar[ArgumentSpec] = WINDOW_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._at = parse_iso(params["at"], "read at") if params["at"] else context.clock.now().replace(microsecond=0)
        self._duration = parse_duration(params["duration"], "duration")
        self._patience = parse_duration(params["timeout"], "timeout").total_seconds()
        self._windows = [read_window(each, number) for number, each in enumerate(params["windows"])]
        self._freezes = [
            read_freeze(each, number) for number, each in enumerate(params["freezes"]) if each["ics"] is None
        ]
        self._calendars = [
            (
                _given(each["ics"], number),
                zone_of(each["timezone"], f"freezes[{number}].timezone") if each["timezone"] else None,
            )
            for number, each in enumerate(params["freezes"])
            if each["ics"] is not None
        ]
        self._glass = " ".join((params["break_glass"] or "").split())

    def observe(self) -> Looked:
        """Read the calendars, unless this work may always begin, and what this run has written down."""
        if self.params["exempt"]:
            return Looked()
        first, last = self._at, self._at + max(self._duration, HORIZON) + timedelta(days=1)
        freezes: list[Freeze] = list(self._freezes)
        unreadable = []
        for source, zone in self._calendars:
            try:
                freezes += frozen_by(text_of(source, self.context, self._patience), zone, first, last)
            except Unreadable as error:
                unreadable.append(f"{name_of(source)} cannot be read, {error}")
        intervals = [each for window in self._windows for each in window.intervals(first, last)]
        known = Known(
            windows=intervals if self._windows else None, freezes=tuple(freezes), unreadable=tuple(unreadable)
        )
        return Looked(known=known, recorded=self._recorded())

    def plan(self, state: Looked) -> Plan:
        """See :func:`decide` and :func:`plan_window`."""
        if self.params["exempt"]:
            return Plan(
                changed=False,
                result=Decision(decision="open", judged="open", reason="Exempt from windows and freezes.").describe(),
            )
        decision = decide(state.known, self._at, self._duration, self._glass)
        return plan_window(decision, state.recorded, keeps=bool(self.params["store"]))

    def act(self, state: Looked, plan: Plan) -> Mapping[str, Any]:
        """The run record, which is written around this, is all that there is to do."""
        return plan.result

    def identity(self, plan: Plan) -> str:
        """What the record is about."""
        return f"break-glass at {iso(self._at)}"

    def _recorded(self) -> tuple[str, ...]:
        """The steps in this run's records: a second task of the same run writes no second one."""
        if not (self._glass and self.params["store"] and self.params["run_id"]):
            return ()
        prefix = f"{self.params['environment']}/runs/{self.context.run_id}/{self.params['name']}/"
        store = self.state_store
        records = [read_record(store, each.key) or {} for each in store.list(prefix)]
        plans = [each.get("plan") for each in records if each.get("status") == "done"]
        return tuple(str(step) for plan in plans if isinstance(plan, dict) for step in plan.get("steps") or ())
