# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module release_gate (private to ops.runbooks): the gate of what serves, and the way back where it fails.

Between the verdict and the way back users meet a release that is known to be bad. So one process does both: whatever
can be loaded, reached and looked up for a rollback is, before the gate begins to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC, Store
from ansible_collections.ops.runbooks.plugins.module_utils._gate.gate import GATE_SPEC, SloGate
from ansible_collections.ops.runbooks.plugins.module_utils._probe.probe import HttpProbe
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import VERCEL_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.move_plan import MovePlan, Seen
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.options import FORBIDDEN
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.rollback import Rollback

#: What may not be taken for a way back that is closed.
_ENDS_THE_RUN = frozenset({"controller_gone", "run_aborted"})

RELEASE_GATE_SPEC = GATE_SPEC.merge(
    STORE_SPEC,
    RUN_SPEC,
    VERCEL_SPEC,
    ArgumentSpec(
        options={
            "deployment": {"type": "str", "required": True},
            "rollback_to": {"type": "str", "default": ""},
            "forbidden": {"type": "list", "elements": "dict", "default": [], "options": FORBIDDEN},
            "rollback_timeout": {"type": "str", "default": "5m"},
            "wait_for": {"type": "str", "default": "0s"},
        }
    ),
)


@dataclass(frozen=True, kw_only=True)
class GatePlan(Plan):
    """The verdict, and what is to be done about it; ``back`` is None where nothing is."""

    back: MovePlan | None = None


class ReleaseGate(Operation["Seen | None", GatePlan]):
    """Judge what serves; where it does not pass, let what served before it serve again."""

    noun: ClassVar[str] = "gate"
    spec: ClassVar[ArgumentSpec] = RELEASE_GATE_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._questions = {name: params[name] for name in GATE_SPEC.options}
        # What cannot be judged is refused before anything is looked at.
        SloGate(self._questions, context)
        self._back = Rollback(_rollback(params), context) if params["rollback_to"] else None
        #: What the gate has said; asked once, however often the world is looked at.
        self._verdict: dict[str, Any] = {}
        self._decided = 0.0

    @cached_property
    def state_store(self) -> Store:
        """The connection that the way back has opened already, where there is one."""
        return self._back.state_store if self._back is not None else super().state_store

    def observe(self) -> Seen | None:
        """The verdict, and what a rollback has to know; None where none follows.

        The first look of the rollback is before the gate asks. The one that counts is the second, under the lock.
        """
        ready = None
        if not self._verdict:
            ready = self._prepared()
            self._verdict = self._unanswered() or self._judged()
            self._decided = self.context.clock.monotonic()
        if self._back is None or self._verdict["decision"] == "pass":
            return None
        self._back.explain(f"its gate failed: {self._verdict['reason']}")
        return ready or self._back.observe()

    def _unanswered(self) -> dict[str, Any]:
        """The verdict where the app does not even answer as expected once; empty where it does."""
        if not self.params["probes"]:
            return {}
        asked = HttpProbe({**self._questions, "samples": 1, "wait_for": self.params["wait_for"]}, self.context)
        found = asked.plan(asked.observe()).result
        if found["decision"] == "pass":
            return {}
        return {
            "decision": found["decision"],
            "measured": found["decision"],
            "reason": "; ".join(found["reasons"]) or "the time was over before everything was asked",
            "synthetic": True,
            "samples": found["requests"],
            "rounds": 0,
            "failures": 0,
            "errors": 0,
            "objectives": [],
        }

    def _judged(self) -> dict[str, Any]:
        """The verdict of the gate. Certificates were looked at before it, once."""
        probes = [{**each, "tls_min_days": None} for each in self._questions["probes"] or ()]
        gate = SloGate({**self._questions, "probes": probes}, self.context)
        return dict(gate.plan(gate.observe()).result)

    def _prepared(self) -> Seen | None:
        """The world before the gate. Whatever is wrong with the way back says nothing of the release: it may pass."""
        try:
            return self._back.observe() if self._back is not None else None
        except RunbookError as error:
            if error.code in _ENDS_THE_RUN:
                raise
            return None

    def plan(self, state: Seen | None) -> GatePlan:
        """Nothing where the gate is passed, or nothing can take the place of what serves."""
        told = {**self._verdict, "back": None, "back_seconds": None}
        if self._back is None or state is None:
            return GatePlan(changed=False, result=told)
        back = self._back.plan(state)
        return GatePlan(
            changed=back.changed,
            result={**told, "back": dict(back.result)},
            steps=back.steps,
            irreversible=back.irreversible,
            before=back.before,
            after=back.after,
            warnings=back.warnings,
            back=back,
        )

    def resources(self, plan: GatePlan) -> tuple[str, ...]:
        """The app, where production is moved."""
        return self._back.resources(plan.back) if self._back is not None and plan.back is not None else ()

    def identity(self, plan: GatePlan) -> str:
        """That of the rollback."""
        return str((plan.result["back"] or {}).get("id") or self.params["deployment"])

    def act(self, state: Seen | None, plan: GatePlan) -> Mapping[str, Any]:
        """The rollback, and how long after the verdict the last production domain was led back."""
        if self._back is None or state is None or plan.back is None:
            raise ValueError("what is carried out was planned")
        moved = self._back.act(state, plan.back)
        self.came_late = self._back.came_late
        seconds = round(self._back.proven - self._decided, 1) if self._back.proven else None
        return {**plan.result, "back": dict(moved), "back_seconds": seconds}

    def context_of_failure(self) -> Mapping[str, Any]:
        """The verdict stands, whatever became of the way back."""
        return self._verdict

    def close(self) -> None:
        """Let go of connections."""
        if self._back is not None:
            self._back.close()


def _rollback(params: Mapping[str, Any]) -> dict[str, Any]:
    """The same options as vercel_rollback knows them."""
    return {
        **params,
        "to": params["rollback_to"],
        "from_deployment": params["deployment"],
        "reason": "its gate failed",
        "releases": [],
        "outdated": [],
        "auto_assign": "keep",
        "timeout": params["rollback_timeout"],
        "break_glass": None,
        "break_glass_dir": None,
    }
