# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a release stands, what is left to do, and what stands in its way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._release.digest import check_holds, digest_of
from ansible_collections.ops.runbooks.plugins.module_utils._release.plan import (
    Found,
    Migration,
    Wanted,
    plan_release,
)
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import AliasJob, Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Intent, Outdated

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
WANTED = Wanted(environment="test", name="web", release="dpl_D")


def deployment(letter: str) -> Deployment:
    return Deployment(
        id=f"dpl_{letter}", state="READY", target="production", substate="PROMOTED", created_at=ord(letter) * 1000
    )


def found(serving: str = "C", **changes: Any) -> Found:
    """D is to be released; A to C have served."""
    known: dict[str, Any] = {
        "project": Project(id="prj_1", name="web", production=deployment(serving) if serving else None),
        "now": NOW,
        "deployment": deployment("D"),
        "candidates": tuple(deployment(each) for each in "CBA"),
    }
    return Found(**{**known, **changes})


def recorded(letter: str, **changes: Any) -> Recorded:
    return Recorded(release=f"dpl_{letter}", deployment_id=f"dpl_{letter}", **changes)


def opened(letter: str = "D", **changes: Any) -> Recorded:
    """An attempt that began five minutes ago, after the seventh move."""
    known = {"attempt": 1, "started_at": "2026-11-20T01:55:00Z", "rollback_to": "dpl_C", "moves_before": 7}
    return recorded(letter, **{**known, **changes})


def move(kind: str, old: str, new: str, number: int, state: str = "done", reason: str = "") -> Intent:
    return Intent(
        kind=kind,
        from_id=f"dpl_{old}",
        to_id=f"dpl_{new}",
        asked="",
        noted=0,
        assigns_before=True,
        state=state,
        number=number,
        reason=reason,
    )


def phase(state: Found, wanted: Wanted = WANTED) -> tuple[str, int, bool]:
    result = plan_release(wanted, state).result
    return result["phase"], result["attempt"], result["resumes"]


def refusal(state: Found, wanted: Wanted = WANTED) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        plan_release(wanted, state)
    return caught.value


def test_the_first_release() -> None:
    """What serves, and was never judged, is the baseline to go back to."""
    plan = plan_release(WANTED, found())
    assert (plan.result["phase"], plan.result["attempt"], plan.changed) == ("promote", 1, False)
    assert (plan.result["rollback_to"], plan.result["rollback_kind"], plan.result["baseline"]) == (
        "dpl_C",
        "baseline",
        True,
    )
    assert plan.steps == (
        "ask dpl_D at its own address for what every user needs",
        "promote production from dpl_C to dpl_D, without a build",
        "hold the gate at the production address; where it fails, roll production back to dpl_C",
        "record the release as good where it is passed",
    )


def test_it_has_to_be_built() -> None:
    state = found(deployment=None)
    assert phase(state)[0] == "build"
    assert plan_release(replace(WANTED, build="git"), state).steps[0] == (
        "build dpl_D for production, without traffic (git)"
    )


def test_migrations_are_steps_and_stay() -> None:
    migrations = (Migration(database="main", name="0002_b"), Migration(database="main", name="0003_c"))
    plan = plan_release(replace(WANTED, migrations=migrations), found())
    assert plan.steps[:2] == (
        "back up main",
        "apply 2 expand migrations to main: 0002_b, 0003_c",
    )
    assert len(plan.irreversible) == 2


def test_it_serves_and_is_good() -> None:
    state = found("D", releases=(recorded("D", gate="pass", attempt=1),))
    assert phase(state) == ("done", 1, False)
    assert plan_release(WANTED, state).steps == ()


def test_it_serves_and_nobody_knows() -> None:
    """A push, or a run that was killed at the gate."""
    assert phase(found("D")) == ("gate", 1, False)
    assert plan_release(WANTED, found("D")).result["rollback_to"] == "dpl_C"
    killed = found("D", releases=(opened(),), moves=(move("promote", "C", "D", 8),))
    assert phase(killed) == ("gate", 1, True)
    assert plan_release(WANTED, killed).result["rollback_to"] == "dpl_C"


def test_what_was_good_is_decided_again_with_the_rest_of_its_release() -> None:
    """Where the run that began both did not come to its end; not where it was good long ago, in another one."""
    good = opened(gate="pass", began_in="run-1")
    there = found("D", releases=(good, recorded("A", gate="pass")), moves=(move("promote", "C", "D", 8),))
    assert phase(there) == ("done", 1, False)
    assert phase(replace(there, unfinished=frozenset({"run-2"}))) == ("done", 1, False)
    again = replace(there, unfinished=frozenset({"run-1"}))
    assert phase(again) == ("gate", 1, True)
    result = plan_release(WANTED, again).result
    assert (result["rollback_to"], result["began_in"]) == ("dpl_C", "run-1")
    assert "before the whole release was decided" in result["reason"]
    for state, there_by_then, word in (("open", "D", "rollback"), ("done", "C", "failed")):
        moves = (move("rollback", "D", "C", 9, state, "another app"), *there.moves)
        left = found(there_by_then, releases=there.releases, moves=moves, unfinished=again.unfinished)
        assert phase(left)[0] == word


@pytest.mark.parametrize("state", ["open", "done"])
def test_killed_on_the_way_back(state: str) -> None:
    """Before Vercel was asked, and when all was done but the record: the verdict stands."""
    back = move("rollback", "D", "C", 9, state, "its gate failed")
    there = found("D" if state == "open" else "C", releases=(opened(),), moves=(back, move("promote", "C", "D", 8)))
    plan = plan_release(WANTED, there)
    assert plan.result["phase"] == ("rollback" if state == "open" else "failed")
    assert plan.result["reason"].endswith(": its gate failed")
    assert plan.result["rollback_to"] == "dpl_C"


def test_killed_before_the_promote() -> None:
    """The same attempt goes on while it is young, and what an earlier one came to is not its own."""
    earlier = (move("rollback", "D", "C", 7, reason="slow"), move("promote", "C", "D", 6))
    assert phase(found(releases=(opened(attempt=2),), moves=earlier)) == ("promote", 2, True)
    late = found(releases=(opened(attempt=2),), moves=earlier, now=NOW + timedelta(hours=1))
    assert phase(late) == ("promote", 3, False)


def test_what_was_bad_is_not_released_again() -> None:
    bad = found(releases=(recorded("D", gate="fail", bad="its gate failed: slow", attempt=1),))
    assert refusal(bad).code == "release_bad"
    assert "slow" in refusal(bad).message
    again = replace(WANTED, retry="the database was down")
    assert phase(bad, again) == ("promote", 2, False)
    assert "break-glass: the database was down" in plan_release(again, bad).warnings[0]


def test_what_a_person_rolled_back_is_not_released_again() -> None:
    state = found(
        releases=(recorded("D", gate="pass", attempt=1),),
        moves=(move("rollback", "D", "C", 9, reason="it loses orders"), move("promote", "C", "D", 8)),
    )
    assert "it loses orders" in refusal(state).message
    undone = replace(state, moves=(move("promote", "C", "D", 10), *state.moves))
    assert phase(undone) == ("promote", 2, False)


def test_bad_and_serving() -> None:
    error = refusal(found("D", releases=(recorded("D", gate="pass", bad="it loses orders"),)))
    assert (error.code, "ops.runbooks.rollback" in error.message) == ("release_bad", True)


def test_the_way_back_is_the_newest_good_one() -> None:
    good = (recorded("C"), recorded("B", gate="pass"), recorded("A", gate="pass"))
    result = plan_release(WANTED, found(releases=good)).result
    assert (result["rollback_to"], result["rollback_kind"], result["baseline"]) == ("dpl_B", "good", False)
    marked = (good[0], replace(good[1], bad="slow"), good[2])
    assert plan_release(WANTED, found(releases=marked)).result["rollback_to"] == "dpl_A"
    forbidden = replace(WANTED, forbidden={"dpl_B": "its secret is gone"})
    assert plan_release(forbidden, found(releases=good)).result["rollback_to"] == "dpl_A"
    gone = found(releases=good, candidates=(deployment("C"),))
    assert plan_release(WANTED, gone).result["rollback_to"] == "dpl_C"


def test_what_was_built_with_secrets_that_are_gone_is_no_way_back() -> None:
    """C is older than a secret that was taken away, and so is everything before it; a newer one takes its place."""
    gone = (Outdated(before=ord("C") * 1000 + 1, after=0, reason="its database_url is gone"),)
    wanted = replace(WANTED, outdated=gone)
    refused = refusal(found(), wanted)
    assert refused.code == "deployment_outdated"
    assert "dpl_C, its way back, may not serve again: its database_url is gone" in refused.message
    assert plan_release(replace(wanted, retry="it is worse"), found()).result["rollback_to"] is None
    good = (recorded("C", gate="pass"), recorded("B", gate="pass"))
    older = replace(WANTED, outdated=(Outdated(before=ord("C") * 1000, after=0, reason="gone"),))
    assert plan_release(older, found(releases=good)).result["rollback_to"] == "dpl_C"
    tried = replace(WANTED, outdated=(Outdated(before=ord("D") * 1000, after=ord("B") * 1000, reason="tried"),))
    assert plan_release(tried, found(releases=good)).result["rollback_to"] == "dpl_B"
    # The same where the one before what serves already would be it.
    served = found("D", releases=(opened(rollback_to=""),), candidates=(deployment("C"),))
    assert plan_release(WANTED, served).result["rollback_to"] == "dpl_C"
    assert plan_release(wanted, served).result["rollback_to"] is None


def test_no_way_back() -> None:
    state = found(releases=(recorded("C", bad="slow"),), candidates=())
    assert refusal(state).code == "rollback_target_missing"
    plan = plan_release(replace(WANTED, retry="it is worse"), state)
    assert (plan.result["rollback_to"], plan.result["rollback_kind"]) == (None, "none")
    first = plan_release(WANTED, found("", candidates=()))
    assert first.warnings == ("Nothing can take its place should its gate fail.",)


def test_pushes_past_the_gate() -> None:
    project = Project(id="prj_1", name="web", production=deployment("C"), auto_assign=True, production_branch="main")
    assert refusal(found(project=project)).code == "ungated_pushes"
    assert phase(found(project=project), replace(WANTED, ungated_pushes="accept"))[0] == "promote"
    assert phase(found(project=replace(project, auto_assign=False)))[0] == "promote"


def test_variables_that_are_missing() -> None:
    wanted = replace(WANTED, required=("DATABASE_URL", "STRIPE_KEY"))
    error = refusal(found(variables=frozenset({"DATABASE_URL"})), wanted)
    assert (error.code, "STRIPE_KEY" in error.message, "DATABASE_URL" in error.message) == (
        "variables_missing",
        True,
        False,
    )


def test_a_digest_is_over_what_will_be_done() -> None:
    before = digest_of(WANTED, found(), "dpl_C", 1)
    assert digest_of(WANTED, found(now=NOW + timedelta(days=1)), "dpl_C", 1) == before
    others = [
        digest_of(WANTED, found("B"), "dpl_C", 1),
        digest_of(WANTED, found(), "dpl_B", 1),
        digest_of(WANTED, found(), "dpl_C", 2),
        digest_of(replace(WANTED, release="dpl_E"), found(), "dpl_C", 1),
        digest_of(WANTED, found(deployment=deployment("E")), "dpl_C", 1),
        digest_of(with_one("a"), found(), "dpl_C", 1),
        digest_of(with_one("b"), found(), "dpl_C", 1),
        digest_of(replace(WANTED, env_changes=("KEY",)), found(), "dpl_C", 1),
    ]
    assert len({before, *others}) == 9


def with_one(checksum: str, name: str = "1") -> Wanted:
    return replace(WANTED, migrations=(Migration(database="main", name=name, checksum=checksum),))


def digest(wanted: Wanted, state: Found) -> str:
    return str(plan_release(wanted, state).result["digest"])


def test_a_digest_outlives_the_build_and_not_another_content() -> None:
    """A commit is what it is; of a build with a name its content counts, and of anything else the deployment."""
    commit = replace(WANTED, build="git", release="a" * 40)
    built = replace(deployment("D"), sha="a" * 40)
    assert digest(commit, found(deployment=None)) == digest(commit, found(deployment=built))
    named = replace(WANTED, build="prebuilt", release="v1")
    built = replace(deployment("D"), source="prebuilt:1")
    here = found(deployment=None, output="prebuilt:1")
    assert digest(named, here) == digest(named, found(deployment=built))
    assert digest(named, here) != digest(named, replace(here, output="prebuilt:2"))


def test_an_approval_does_not_outlive_a_release_that_failed() -> None:
    again = replace(WANTED, retry="the database was down")
    bad = found(releases=(recorded("D", gate="fail", attempt=1),))
    worse = found(releases=(recorded("D", gate="fail", attempt=2),))
    assert len({digest(WANTED, found()), digest(again, bad), digest(again, worse)}) == 3
    # Of an attempt that goes on it does.
    assert digest(WANTED, found(releases=(opened(),))) == digest(WANTED, found())


def test_what_goes_on_is_what_it_began_with() -> None:
    def goes_on(wanted: Wanted, record: Recorded) -> bool:
        return bool(plan_release(wanted, found(releases=(record,))).result["continues"])

    two = replace(WANTED, migrations=(*with_one("a").migrations, *with_one("b", "2").migrations))
    record = opened(digest=digest(two, found()), pending={"main": {"1": "a", "2": "b"}})
    assert goes_on(two, record)
    assert goes_on(with_one("b", "2"), record), "the first is applied by now"
    assert goes_on(WANTED, record)
    assert not goes_on(with_one("c", "2"), record)
    assert not goes_on(with_one("b", "2"), replace(record, pending={}))
    assert not goes_on(replace(two, env_changes=("KEY",)), record)
    assert not goes_on(two, replace(record, digest=""))
    assert not plan_release(WANTED, found()).result["continues"]


def test_what_was_planned_holds_or_is_refused() -> None:
    planned = plan_release(WANTED, found()).result
    check_holds(WANTED, planned, planned)
    check_holds(WANTED, {**planned, "phase": "build"}, planned)
    check_holds(WANTED, {}, planned)
    now = plan_release(WANTED, found("B")).result
    with pytest.raises(RunbookError) as caught:
        check_holds(WANTED, planned, now)
    assert caught.value.code == "plan_changed"
    assert "serving was dpl_C and is dpl_B" in caught.value.message


def ways_back(state: Found) -> str | None:
    return plan_release(WANTED, state).result["rollback_to"]


def test_what_somebody_has_rolled_back_is_no_way_back() -> None:
    """C passed its gate, leaked, and was rolled back to B; D is the repair."""
    good = (recorded("C", gate="pass"), recorded("B", gate="pass"), recorded("A", gate="pass"))
    back, on = move("rollback", "C", "B", 8, reason="it leaks"), move("promote", "B", "C", 7)
    assert ways_back(found("B", releases=good, moves=(back, on))) == "dpl_B"
    # While D serves, whoever has put it there.
    assert ways_back(found("D", releases=good, moves=(back, on))) == "dpl_B"
    # Chosen for an attempt before it was rolled back.
    begun = (opened(), *good)
    assert ways_back(found("B", releases=begun, moves=(back, on))) == "dpl_B"
    # One that failed has left nothing; one that was undone, or is undone by what serves, is over.
    failed = (replace(back, number=9, state="failed"), replace(back, state="open"), on)
    assert ways_back(found("C", releases=good, moves=failed)) == "dpl_C"
    assert ways_back(found("C", releases=good, moves=(move("promote", "B", "C", 9), back, on))) == "dpl_C"
    assert ways_back(found("C", releases=good, moves=(back, on))) == "dpl_C"
    # One that is asked for has left it already, as far as anybody can tell.
    assert ways_back(found("C", releases=good, moves=(replace(back, state="open"), on))) == "dpl_B"


def test_what_serves_and_is_good_is_the_way_back() -> None:
    """Though another one was recorded later."""
    good = (recorded("C", gate="pass"), recorded("B", gate="pass"))
    assert ways_back(found("B", releases=good)) == "dpl_B"


def test_what_the_last_job_put_there_by_a_promote_says_what_was_before() -> None:
    job = AliasJob(kind="promote", to_id="dpl_D", from_id="dpl_A", status="succeeded", requested_at=1)
    project = Project(id="prj_1", name="web", production=deployment("D"), job=job)
    result = plan_release(WANTED, found(project=project)).result
    assert (result["rollback_to"], result["rollback_kind"]) == ("dpl_A", "previous")
