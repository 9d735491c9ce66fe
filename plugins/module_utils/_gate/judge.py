# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what was measured keeps what was promised (private to ops.runbooks); pure.

A gate passes, fails, or is inconclusive: too little was measured to say. What then follows is the caller's rule and
never a pass in disguise. The words for limits are Argo's: failures are rounds in which a figure was past its limit,
errors are rounds in which there was no figure at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Limits that no figure may pass, by name; the rest says how much of it is tolerated."""

    most: Mapping[str, float] = field(default_factory=dict)
    least: Mapping[str, float] = field(default_factory=dict)
    failure_limit: int = 0
    error_limit: int = 4
    min_samples: int = 200

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives, sorted."""
        return tuple(sorted({*self.most, *self.least}))

    def kept(self, name: str, value: float) -> bool:
        """Whether a figure is within its limits."""
        return value <= self.most.get(name, value) and value >= self.least.get(name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What was measured at one time. ``error`` is why nothing was."""

    figures: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """pass, fail or inconclusive, and why, in a clause."""

    decision: str
    reason: str
    failures: int = 0
    errors: int = 0
    samples: int = 0
    objectives: tuple[Mapping[str, Any], ...] = ()


def broken(rules: Rules, each: Round) -> tuple[str, ...]:
    """The objectives that a round does not keep."""
    return tuple(name for name in rules.names if name in each.figures and not rules.kept(name, each.figures[name]))


def settled(rules: Rules, rounds: Sequence[Round]) -> bool:
    """Whether more rounds could change nothing any more: too many have failed, or had errors in a row."""
    failures = sum(bool(broken(rules, each)) for each in rounds)
    return failures > rules.failure_limit or _in_a_row(rounds) > rules.error_limit


def judge(rules: Rules, rounds: Sequence[Round]) -> Verdict:
    """The verdict on all rounds. Failures count before errors, and errors before what is missing."""
    failed = [each for each in rounds if broken(rules, each)]
    errors = sum(bool(each.error) for each in rounds)
    samples = sum(each.samples for each in rounds)
    measured = {name for each in rounds for name in each.figures}
    lacking = [name for name in rules.names if name not in measured]
    if len(failed) > rules.failure_limit:
        decision, reason = "fail", _worst(rules, failed)
    elif _in_a_row(rounds) > rules.error_limit:
        decision, reason = "fail", f"it could not be measured {_in_a_row(rounds)} times in a row: {_last_error(rounds)}"
    elif lacking:
        cause = f": {_last_error(rounds)}" if errors else ""
        decision, reason = "inconclusive", f"there is no figure for {', '.join(lacking)}{cause}"
    elif samples < rules.min_samples:
        decision, reason = "inconclusive", f"{samples} samples are fewer than the {rules.min_samples} that are needed"
    else:
        decision, reason = "pass", f"{len(rules.names)} objectives were kept in {samples} samples"
    return Verdict(
        decision=decision,
        reason=reason,
        failures=len(failed),
        errors=errors,
        samples=samples,
        objectives=tuple(_objective(rules, name, rounds) for name in rules.names),
    )


def _in_a_row(rounds: Sequence[Round]) -> int:
    """The longest run of rounds with an error."""
    longest = run = 0
    for each in rounds:
        run = run + 1 if each.error else 0
        longest = max(longest, run)
    return longest


def _worst(rules: Rules, failed: Sequence[Round]) -> str:
    said = []
    for name in rules.names:
        values = [each.figures[name] for each in failed if name in broken(rules, each)]
        if values:
            low = any(value < rules.least.get(name, value) for value in values)
            value = min(values) if low else max(values)
            limit = rules.least[name] if low else rules.most[name]
            said.append(f"{name} was {value:g}, {'at least' if low else 'at most'} {limit:g} is promised")
    return "; ".join(said)


def _last_error(rounds: Sequence[Round]) -> str:
    return next((each.error for each in reversed(rounds) if each.error), "")


def _objective(rules: Rules, name: str, rounds: Sequence[Round]) -> dict[str, Any]:
    values = [each.figures[name] for each in rounds if name in each.figures]
    return {
        "name": name,
        "at_most": rules.most.get(name),
        "at_least": rules.least.get(name),
        "value": values[-1] if values else None,
        "kept": all(rules.kept(name, value) for value in values) if values else None,
    }


def outcome(verdict: Verdict, on_inconclusive: str) -> str:
    """What the caller is to do: ``pass``, ``fail``, ``rollback``, or ``inconclusive`` where no rule decides."""
    if verdict.decision != "inconclusive" or on_inconclusive == "probe":
        return verdict.decision
    return {"accept": "pass"}.get(on_inconclusive, on_inconclusive)
