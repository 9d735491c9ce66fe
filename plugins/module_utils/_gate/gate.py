# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module slo_gate (private to ops.runbooks): whether an app keeps its objectives.

Figures come from what was measured elsewhere (``measurements``), from the result of http_probe, from requests of its
own, and from PostgreSQL. Like a probe, a gate returns a decision: the playbook fails, or rolls back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._gate.figures import (
    database_figures,
    given_figures,
    probe_figures,
)
from ansible_collections.ops.runbooks.plugins.module_utils._gate.judge import (
    Round,
    Rules,
    Verdict,
    judge,
    outcome,
    settled,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import CONNECTION_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._probe.judge import summary
from ansible_collections.ops.runbooks.plugins.module_utils._probe.model import read_probes
from ansible_collections.ops.runbooks.plugins.module_utils._probe.probe import ASKING_SPEC, Asker

GATE_SPEC = ASKING_SPEC.merge(
    CONNECTION_SPEC,
    ArgumentSpec(
        options={
            "slo": {"type": "dict", "default": {}},
            "slo_least": {"type": "dict", "default": {}},
            "probe": {"type": "dict"},
            "measurements": {"type": "dict", "default": {}},
            "samples": {"type": "int", "default": 0},
            "postgres": {"type": "bool", "default": False},
            "rounds": {"type": "int", "default": 1},
            "pause": {"type": "str", "default": "10s"},
            "failure_limit": {"type": "int", "default": 0},
            "consecutive_error_limit": {"type": "int", "default": 4},
            "min_samples": {"type": "int", "default": 200},
            "on_inconclusive": {
                "type": "str",
                "choices": ["probe", "fail", "rollback", "accept"],
                "default": "probe",
            },
        },
    ),
)
_MOST_ROUNDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict, and whether requests of our own took the place of traffic."""

    verdict: Verdict
    rounds: int
    synthetic: bool


class SloGate(Operation[Judged, Plan]):
    """Measure and judge, in check mode too."""

    noun: ClassVar[str] = "gate"
    spec: ClassVar[ArgumentSpec] = GATE_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._rules = Rules(
            most=_numbers(params["slo"], "slo"),
            least=_numbers(params["slo_least"], "slo_least"),
            failure_limit=params["failure_limit"],
            error_limit=params["consecutive_error_limit"],
            min_samples=max(0, params["min_samples"]),
        )
        if not self._rules.names:
            raise _bad("slo", "there is no objective in it", "Name at least one, such as error_rate: 0.05.")
        self._rounds = max(1, min(params["rounds"], _MOST_ROUNDS))
        self._pause = parse_duration(params["pause"], "pause").total_seconds()
        probes = params["probes"] or []
        self._probes = read_probes(probes, self._each(probes), context.redactor) if probes else ()
        self._asker = Asker(params, context)

    def observe(self) -> Judged:
        """Judge what there is; where that is too little, and the rule is to ask, ask the probes instead."""
        given = self._given()
        asks = bool(self._probes)
        first = self._measured(given, own=asks and given is None)
        verdict = judge(self._rules, first)
        if verdict.decision != "inconclusive" or given is None or not asks:
            return Judged(verdict=verdict, rounds=len(first), synthetic=asks and given is None)
        if self.params["on_inconclusive"] != "probe":
            return Judged(verdict=verdict, rounds=len(first), synthetic=False)
        rounds = self._measured(given, own=True)
        return Judged(verdict=judge(self._rules, rounds), rounds=len(rounds), synthetic=True)

    def plan(self, state: Judged) -> Plan:
        """The answer; there is nothing to change."""
        verdict = state.verdict
        decided = outcome(verdict, self.params["on_inconclusive"])
        reason = verdict.reason
        if verdict.decision == "inconclusive" and decided != "inconclusive":
            reason = f"{reason} (on_inconclusive is {self.params['on_inconclusive']})"
        return Plan(
            changed=False,
            result={
                "decision": decided,
                "measured": verdict.decision,
                "reason": reason,
                "synthetic": state.synthetic,
                "samples": verdict.samples,
                "rounds": state.rounds,
                "failures": verdict.failures,
                "errors": verdict.errors,
                "objectives": [dict(each) for each in verdict.objectives],
            },
        )

    def act(self, state: Judged, plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("a question has nothing to carry out")

    def _each(self, probes: list[Any]) -> int:
        """Requests that each probe makes in one round, so that all of them together are enough."""
        needed: int = math.ceil(max(1, self._rules.min_samples) / (len(probes) * self._rounds))
        return max(1, needed)

    def _given(self) -> Round | None:
        """What was measured elsewhere; None where nothing was."""
        probe, numbers = self.params["probe"], _numbers(self.params["measurements"], "measurements")
        if probe is None and not numbers:
            return None
        figures, samples = probe_figures(probe) if probe is not None else ({}, 0)
        return Round(
            figures={**figures, **given_figures(numbers)}, samples=samples + max(0, int(self.params["samples"]))
        )

    def _measured(self, given: Round | None, *, own: bool) -> list[Round]:
        """The rounds: one of what was given, or as many as are asked for of what is measured here."""
        rounds: list[Round] = []
        count = self._rounds if own or (given is None and self.params["postgres"]) else 1
        while len(rounds) < count and not settled(self._rules, rounds) and (not rounds or self._asker.left > 0):
            if rounds:
                self.context.clock.sleep(min(self._pause, max(0.0, self._asker.left)))
            rounds.append(self._round(given, own=own))
        return rounds

    def _round(self, given: Round | None, *, own: bool) -> Round:
        found = given or Round()
        if own:
            asked = summary(self._asker.ask(self._probes), self.context.clock.now().timestamp())
            figures, samples = probe_figures(asked)
            # Of given figures those stay that requests cannot tell; the samples are the requests.
            found = Round(figures={**found.figures, **figures}, samples=samples)
        if self.params["postgres"]:
            try:
                figures = database_figures(self.params, self.context)
            except RunbookError as error:
                return replace(found, error=error.reason)
            found = replace(found, figures={**found.figures, **figures}, samples=max(found.samples, 1))
        return found


def _numbers(given: Mapping[str, Any], option: str) -> dict[str, float]:
    """Names and numbers; numbers may come as texts, as Jinja makes them."""
    found = {}
    for name, value in (given or {}).items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or isinstance(value, bool):
            raise _bad(option, f"{name} is not a number", "Give names and numbers, such as p95_ms: 500.")
        found[str(name)] = number
    return found


def _bad(what: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter", attempted="judge objectives", object=what, reason=reason, remedy=remedy
    )
