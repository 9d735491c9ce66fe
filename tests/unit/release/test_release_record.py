# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written down of a release."""

from __future__ import annotations

from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._release.record import plan_record
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded

NOW = "2026-11-20T02:00:00Z"


def given(**options: Any) -> dict[str, Any]:
    names = ("release", "gate", "bad", "git_sha", "url", "baseline", "attempt", "rollback_to", "moves_before", "digest")
    nothing = dict.fromkeys(names)
    return {**nothing, "deployment_id": "dpl_A", **options}


def test_a_new_one() -> None:
    plan, after = plan_record(None, given(gate="pass", git_sha="abc"), NOW)
    assert plan.changed
    assert plan.steps == ("record the release dpl_A (dpl_A, gate pass)",)
    assert after == Recorded(release="dpl_A", deployment_id="dpl_A", gate="pass", git_sha="abc", recorded_at=NOW)


def test_the_same_again() -> None:
    _plan, first = plan_record(None, given(gate="pass"), NOW)
    plan, again = plan_record(first, given(gate="pass"), "2026-11-21T02:00:00Z")
    assert (plan.changed, again) == (False, first)


def test_what_is_not_given_stays() -> None:
    _plan, first = plan_record(None, given(release="v1", gate="pass"), NOW)
    plan, bad = plan_record(first, given(bad="it loses orders"), NOW)
    assert plan.changed
    assert (bad.release, bad.gate, bad.bad) == ("v1", "pass", "it loses orders")
    plan, good = plan_record(bad, given(bad=""), NOW)
    assert plan.changed
    assert good == first


def test_an_attempt_begins_anew() -> None:
    _plan, first = plan_record(None, given(attempt=1, rollback_to="dpl_0", moves_before=3), NOW)
    assert (first.open, first.started_at, first.rollback_to, first.moves_before) == (True, NOW, "dpl_0", 3)
    plan, again = plan_record(first, given(attempt=1), "2026-11-21T02:00:00Z")
    assert (plan.changed, again) == (False, first)
    _plan, bad = plan_record(first, given(gate="fail", bad="it loses orders"), NOW)
    assert (bad.open, bad.passed) == (False, False)
    plan, second = plan_record(bad, given(attempt=2), "2026-11-21T02:00:00Z")
    assert plan.changed
    assert (second.open, second.gate, second.bad, second.started_at) == (True, "", "", "2026-11-21T02:00:00Z")


def test_the_run_that_began_an_attempt_is_known() -> None:
    """Who records later what it came to is another run, and began nothing."""
    _plan, first = plan_record(None, given(attempt=1), NOW, "run-1")
    _plan, good = plan_record(first, given(attempt=1, gate="pass"), NOW, "run-2")
    assert (first.began_in, good.began_in, good.passed) == ("run-1", "run-1", True)
    _plan, second = plan_record(good, given(attempt=2), NOW, "run-3")
    assert second.began_in == "run-3"


def test_a_record_of_an_older_release_of_the_collection() -> None:
    body = {"release": "v1", "deployment_id": "dpl_A", "gate": "pass", "measurements": {}}
    read = Recorded.read(body)
    assert (read.passed, read.attempt, read.baseline) == (True, 0, False)
    assert Recorded.read(read.describe()) == read
