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
    nothing = dict.fromkeys(("release", "gate", "bad", "git_sha", "url"))
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
