# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a gate decides."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._gate.figures import probe_figures
from ansible_collections.ops.runbooks.plugins.module_utils._gate.judge import Round, Rules, judge, outcome, settled

from harness.stores import failing

RULES = Rules(most={"error_rate": 0.05, "p95_ms": 2000}, min_samples=200)


def measured(samples: int = 200, **figures: float) -> Round:
    return Round(figures={"error_rate": 0.0, "p95_ms": 100.0, **figures}, samples=samples)


def test_objectives_that_are_kept() -> None:
    verdict = judge(RULES, [measured()])
    assert verdict.decision == "pass"
    assert [each["kept"] for each in verdict.objectives] == [True, True]
    # At the limit is within it.
    assert judge(RULES, [measured(error_rate=0.05, p95_ms=2000)]).decision == "pass"


def test_an_objective_that_is_not_kept() -> None:
    verdict = judge(RULES, [measured(p95_ms=2400)])
    assert verdict.decision == "fail"
    assert verdict.reason == "p95_ms was 2400, at most 2000 is promised"


def test_what_has_to_be_reached_at_least() -> None:
    rules = Rules(least={"orders": 10}, min_samples=0)
    assert judge(rules, [Round(figures={"orders": 10})]).decision == "pass"
    verdict = judge(rules, [Round(figures={"orders": 3})])
    assert (verdict.decision, verdict.reason) == ("fail", "orders was 3, at least 10 is promised")


def test_too_little_is_inconclusive_and_no_pass() -> None:
    assert judge(RULES, [measured(199)]).decision == "inconclusive"
    missing = judge(RULES, [Round(figures={"error_rate": 0.0}, samples=500)])
    assert (missing.decision, missing.reason) == ("inconclusive", "there is no figure for p95_ms")
    assert judge(RULES, []).decision == "inconclusive"


def test_few_samples_that_are_bad_fail() -> None:
    assert judge(RULES, [measured(3, error_rate=1.0)]).decision == "fail"


def test_failures_are_tolerated_up_to_their_limit() -> None:
    rules = Rules(most={"p95_ms": 2000}, failure_limit=1, min_samples=1)
    slow, good = measured(p95_ms=3000), measured()
    assert judge(rules, [good, slow, good]).decision == "pass"
    assert judge(rules, [good, slow, slow]).decision == "fail"
    assert not settled(rules, [slow])
    assert settled(rules, [slow, slow])


def test_errors_count_where_they_are_in_a_row() -> None:
    rules = Rules(most={"p95_ms": 2000}, error_limit=1, min_samples=1)
    error, good = Round(error="the database could not be reached"), measured()
    assert judge(rules, [error, good, error]).decision == "pass"
    verdict = judge(rules, [good, error, error])
    assert verdict.decision == "fail"
    assert "the database could not be reached" in verdict.reason
    assert settled(rules, [error, error])


@pytest.mark.parametrize(
    ("rule", "decided"),
    [("probe", "inconclusive"), ("fail", "fail"), ("rollback", "rollback"), ("accept", "pass")],
)
def test_what_follows_from_inconclusive(rule: str, decided: str) -> None:
    assert outcome(judge(RULES, [measured(1)]), rule) == decided
    assert outcome(judge(RULES, [measured()]), rule) == "pass"
    assert outcome(judge(RULES, [measured(p95_ms=9000)]), rule) == "fail"


def test_the_result_of_a_probe_is_figures() -> None:
    probe = {"requests": 40, "error_rate": 0.1, "consecutive_errors": 2, "latency": {"p95": 12.5, "p99": None}}
    figures = {"error_rate": 0.1, "consecutive_errors": 2.0, "p95_ms": 12.5}
    assert probe_figures(probe) == (figures, 40)
    assert probe_figures({"changed": False, "probe": probe}) == (figures, 40)


@pytest.mark.parametrize("nonsense", [{}, {"probe": "x"}, {"requests": "many", "latency": {}}])
def test_nonsense_is_no_probe(nonsense: dict[str, Any]) -> None:
    with failing("invalid_parameter"):
        probe_figures(nonsense)
