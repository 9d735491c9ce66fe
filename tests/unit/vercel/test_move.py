# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which deployment is left, which one is meant, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.info import Known, describe, notes
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import (
    AliasJob,
    Deployment,
    Project,
    RollingRelease,
    Variable,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.move_plan import (
    Seen,
    arriving,
    judge,
    plan_move,
    record_of,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.moves import Moves, local_store, upload
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.resolve import departure, elsewhere, resolve
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import (
    Intent,
    Outdated,
    Release,
    Wish,
    last_good,
    leaving,
    left_behind,
    previous,
    reference_of,
    resumed,
    rolled_away,
    unfinished,
)

from harness.stores import failing, run_context


def deployment(name: str, **changes: Any) -> Deployment:
    """The n-th letter was made in the n-th second."""
    made = Deployment(
        id=f"dpl_{name}",
        url=f"web-{name.lower()}.example",
        project_id="prj_1",
        state="READY",
        substate="PROMOTED",
        target="production",
        created_at=ord(name) * 1000,
    )
    return replace(made, **changes)


def job(kind: str, to: str, *, old: str | None = None, at: int = 100, status: str = "succeeded") -> AliasJob:
    return AliasJob(kind=kind, to_id=f"dpl_{to}", from_id=f"dpl_{old}" if old else None, status=status, requested_at=at)


def project(production: str = "C", **changes: Any) -> Project:
    return replace(Project(id="prj_1", name="web", production=deployment(production)), **changes)


def wish(**changes: Any) -> Wish:
    return replace(Wish(kind="rollback", to="previous", reason="it is broken"), **changes)


def intent(**changes: Any) -> Intent:
    made = Intent(
        kind="rollback",
        from_id="dpl_C",
        to_id="dpl_B",
        asked="previous",
        noted=50,
        assigns_before=True,
        state="open",
        number=1,
    )
    return replace(made, **changes)


ALL = [deployment(name) for name in "ABCD"]


# --- What is left ----------------------------------------------------------------------------------------


def test_by_default_what_serves_is_left() -> None:
    assert leaving(wish(), project(), None) == "dpl_C"
    assert leaving(wish(from_id="dpl_X"), project(), None) == "dpl_X"


@pytest.mark.parametrize("state", ["open", "done"])
def test_a_second_run_leaves_what_the_first_one_left(state: str) -> None:
    assert leaving(wish(), project("B"), intent(state=state)) == "dpl_C"
    assert leaving(wish(to="last_known_good"), project("B"), intent(state=state, asked="last_known_good")) == "dpl_C"


def test_the_job_of_the_service_says_so_too_where_there_is_no_record() -> None:
    assert leaving(wish(), project("B", job=job("rollback", "B", old="C")), None) == "dpl_C"
    assert leaving(wish(), project("B", job=job("rollback", "B", old="C", status="failed")), None) == "dpl_B"


def test_a_promote_since_then_begins_anew() -> None:
    assert leaving(wish(), project("B", job=job("promote", "B", old="C")), intent(state="done")) == "dpl_B"


def test_another_deployment_since_then_begins_anew() -> None:
    assert leaving(wish(), project("D", job=job("rollback", "B", old="C")), intent(state="done")) == "dpl_D"


def test_a_named_target_leaves_what_serves() -> None:
    assert leaving(wish(to="dpl_A"), project("B", job=job("rollback", "B", old="C")), intent(state="done")) == "dpl_B"


def test_an_unfinished_run_keeps_its_target() -> None:
    assert resumed(wish(), "dpl_C", intent()) == "dpl_B"
    assert not resumed(wish(), "dpl_C", intent(state="done"))
    assert not resumed(wish(to="dpl_A"), "dpl_C", intent())
    assert not resumed(wish(), "dpl_D", intent())


def test_what_was_left_is_proven_by_a_chain_of_moves() -> None:
    first = intent(from_id="dpl_C", to_id="dpl_B", state="done")
    second = intent(from_id="dpl_B", to_id="dpl_A", state="done")
    both = [second, replace(second, state="open"), first, replace(first, state="open")]
    assert left_behind("dpl_B", "rollback", project("A"), both)
    assert left_behind("dpl_C", "rollback", project("A"), both)
    assert left_behind("dpl_C", "rollback", project("B", job=job("rollback", "B", old="C")), [])
    # Typed wrong, left in another way, or before something else served.
    assert not left_behind("dpl_X", "rollback", project("A"), both)
    assert not left_behind("dpl_C", "promote", project("A"), both)
    assert not left_behind("dpl_C", "rollback", project("D"), both)
    assert not left_behind("dpl_C", "rollback", project("D"), [intent(from_id="dpl_E", to_id="dpl_D"), *both])
    assert not left_behind("dpl_C", "rollback", project("B"), [replace(first, state="failed")])


class Directory:
    """What a few questions to Vercel answer."""

    place = "project web"

    def deployment(self, reference: str) -> Deployment | None:
        if reference == "acme.com":
            return ALL[2]
        return next((each for each in ALL if reference in (each.id, each.url)), None)

    def deployments(self, _project: Project, **_filters: str) -> list[Deployment]:
        return ALL

    candidates = deployments


def test_what_is_left_can_be_named_by_its_own_address() -> None:
    vercel: Any = Directory()
    assert departure(vercel, wish(), project()) == ""
    assert departure(vercel, wish(from_id="https://web-c.example/path"), project()) == "dpl_C"
    assert departure(vercel, wish(from_id="web-b.example"), project()) == "dpl_B"
    assert departure(vercel, wish(from_id="dpl_gone"), project()) == "dpl_gone"
    with failing("deployment_missing"):
        departure(vercel, wish(from_id="web-x.example"), project())
    with failing("deployment_missing"):
        departure(vercel, wish(from_id="dpl-C"), project())
    with failing("deployment_missing") as failure:
        departure(vercel, wish(from_id="acme.com"), project())
    assert "leads to dpl_C now" in failure().message


def test_what_does_not_serve_and_was_not_left_is_no_success() -> None:
    vercel: Any = Directory()
    with failing("deployment_missing"):
        elsewhere(vercel, wish(from_id="dpl_X"), project(), None, [])
    with failing("deployment_unusable") as failure:
        elsewhere(vercel, wish(from_id="dpl_B"), project(), None, [])
    assert "from_deployment=dpl_C" in failure().message
    # It was left, by a move of ours or by somebody else for what is wanted.
    done = intent(state="done")
    assert elsewhere(vercel, wish(from_id="dpl_C"), project("B"), done, [done]) is None
    assert elsewhere(vercel, wish(from_id="dpl_D"), project(), None, []) == ALL[2]
    assert elsewhere(vercel, wish(from_id="dpl_D", to="dpl_C"), project(), None, []) == ALL[2]


def test_only_the_same_move_goes_on() -> None:
    assert unfinished(intent(), "rollback", "dpl_C", "dpl_B")
    assert not unfinished(intent(), "rollback", "dpl_D", "dpl_B")
    assert not unfinished(intent(), "promote", "dpl_C", "dpl_B")
    assert not unfinished(intent(state="done"), "rollback", "dpl_C", "dpl_B")
    assert not unfinished(None, "rollback", "dpl_C", "dpl_B")


# --- What is meant ---------------------------------------------------------------------------------------


def test_previous_is_the_newest_before_it_that_has_served() -> None:
    never = deployment("B", substate="STAGED", candidate=False)
    assert previous(deployment("C"), project(), ALL, {}) == "dpl_B"
    assert previous(deployment("C"), project(), [ALL[0], never, *ALL[2:]], {}) == "dpl_A"
    assert previous(deployment("C"), project(), ALL, {"dpl_B": "x"}) == "dpl_A"
    assert not previous(deployment("A"), project("A"), ALL, {})


def test_previous_of_a_promoted_one_is_what_its_promote_left() -> None:
    """It was built before what served until then."""
    promoted = project("B", job=job("promote", "B", old="C"))
    assert previous(deployment("B"), promoted, ALL, {}) == "dpl_C"
    assert previous(deployment("B"), promoted, [ALL[0]], {}) == "dpl_A"


def release(name: str, **changes: Any) -> Release:
    return replace(Release(name=f"v{name}", deployment=f"dpl_{name}", passed=True), **changes)


def good_of(left: str, releases: list[Release], intent: Intent | None = None, **changes: Any) -> str:
    return last_good(deployment(left), ALL, wish(releases=tuple(releases), **changes), intent)


def test_last_known_good() -> None:
    assert good_of("C", [release("C"), release("B"), release("A")]) == "dpl_B"
    assert good_of("C", [release("B", bad="x"), release("A")]) == "dpl_A"
    assert good_of("C", [release("B", passed=False), release("A")]) == "dpl_A"
    assert good_of("C", [release("B"), release("A")], forbidden={"dpl_B": "x"}) == "dpl_A"
    assert last_good(None, ALL, wish(releases=(release("B"),)), None) == "dpl_B"


def test_last_known_good_never_goes_forward() -> None:
    """After D was rolled back to C, and C is sick too, D is no way back; nor is what the last rollback left."""
    every = [release(name) for name in "DCBA"]
    assert good_of("C", every) == "dpl_B"
    assert good_of("D", every, intent(from_id="dpl_C", to_id="dpl_A", state="done")) == "dpl_B"
    assert good_of("D", every, intent(kind="promote", from_id="dpl_C", state="done")) == "dpl_C"


def test_what_an_earlier_rollback_left_is_no_way_back() -> None:
    """C was rolled back to B, then D was promoted, and is sick: C is no better than it was."""
    back, on = intent(state="done"), intent(kind="promote", from_id="dpl_B", to_id="dpl_D", state="done")
    moves, every = (on, back, replace(back, state="open")), tuple(release(name) for name in "DCBA")
    vercel: Any = Directory()
    for to in ("last_known_good", "previous"):
        asked = wish(to=to, releases=every)
        assert resolve(vercel, asked, project("D"), "dpl_D", on, moves).id == "dpl_B"
        assert resolve(vercel, asked, project("D"), "dpl_D", on).id == "dpl_C"


def test_what_a_rollback_has_left_until_it_is_touched_again() -> None:
    back = intent(state="done", reason="it leaks")
    assert rolled_away([back, replace(back, state="open")]) == {"dpl_C": back}
    assert rolled_away([replace(back, state="failed"), replace(back, state="open")]) == {}
    assert rolled_away([intent(kind="promote", from_id="dpl_B", to_id="dpl_C", state="done"), back]) == {}
    assert set(rolled_away([intent(from_id="dpl_B", to_id="dpl_A"), back])) == {"dpl_B", "dpl_C"}


@pytest.mark.parametrize("releases", [[], [release("C")], [release("X")], [release("B", bad="it loses orders")]])
def test_without_a_good_release_it_is_refused(releases: list[Release]) -> None:
    with failing("release_missing") as failure:
        good_of("C", releases)
    assert "to=previous" in failure().remedy


@pytest.mark.parametrize(
    ("to", "reference"),
    [
        ("dpl_7Hk2", "dpl_7Hk2"),
        ("web-abc.vercel.app", "web-abc.vercel.app"),
        ("https://web-abc.vercel.app/path", "web-abc.vercel.app"),
        ("0a1b2c3d", ""),
        ("previous", ""),
        ("v42", ""),
    ],
)
def test_reference(to: str, reference: str) -> None:
    assert reference_of(to) == reference


# --- What is done ----------------------------------------------------------------------------------------


def seen(target: Deployment | None = ALL[1], **changes: Any) -> Seen:
    return replace(Seen(project=project(), left="dpl_C", target=target), **changes)


def test_a_rollback() -> None:
    plan = plan_move(wish(), seen())
    assert plan.changed
    assert plan.post
    assert plan.result["to_deployment"] == "dpl_B"
    assert plan.result["id"] == "rollback-dpl_C"
    assert plan.steps == (
        "roll production back from dpl_C to dpl_B (web-b.example), without a build",
        "set auto-assign of production domains to on",
        "read from every production domain that it serves it",
    )
    assert "goes live" in plan.warnings[0]


def test_what_auto_assign_becomes() -> None:
    off = project(auto_assign=False)
    assert plan_move(wish(auto_assign="false"), seen()).assigns is False
    assert plan_move(wish(), seen(project=off)).assigns is False
    assert plan_move(wish(auto_assign="true"), seen(project=off)).assigns is True
    # A killed run knows what it was.
    assert plan_move(wish(), seen(project=off, intent=intent())).assigns is True


def test_the_promote_that_undoes_a_rollback_gives_back_what_was_before_it() -> None:
    pinned = project("B", auto_assign=False, job=job("rollback", "B", old="C"))
    undo = seen(ALL[2], project=pinned, left="dpl_B")
    promote = wish(kind="promote", to="dpl_C")
    assert plan_move(promote, undo).assigns is True
    assert plan_move(promote, replace(undo, intent=intent(state="done", assigns_before=False))).assigns is False


def test_production_that_serves_it_already_stays() -> None:
    plan = plan_move(wish(to="dpl_C"), seen(ALL[2]))
    assert (plan.changed, plan.post, plan.steps) == (False, False, ())
    assert "already" in plan.result["reason"]


def test_production_that_serves_another_one_by_now_stays() -> None:
    plan = plan_move(wish(from_id="dpl_B"), seen(None, left="dpl_B"))
    assert not plan.changed
    assert "no longer serves dpl_B" in plan.result["reason"]
    assert "from_deployment=dpl_C" in plan_move(wish(), seen(None, left="dpl_B")).result["reason"]


def test_what_a_killed_run_left_undone_is_finished() -> None:
    moved = project("B", auto_assign=False, job=job("rollback", "B", old="C"))
    plan = plan_move(wish(), seen(None, project=moved, intent=intent()))
    assert plan.changed
    assert not plan.post
    assert plan.finishes
    assert plan.assigns is True


def test_a_domain_that_serves_something_else_is_no_success() -> None:
    with failing("domain_differs") as failure:
        plan_move(wish(to="dpl_C"), seen(ALL[2], domains={"app.acme.com": "dpl_B"}))
    assert "app.acme.com serves dpl_B" in failure().message


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (deployment("B", target=""), "previews"),
        (deployment("B", state="ERROR"), "ERROR"),
        (deployment("B", gone=True), "deleted"),
        (deployment("B", project_id="prj_2"), "another project"),
        (deployment("B", substate="STAGED"), "never served"),
        (deployment("B", candidate=False), "never served"),
    ],
)
def test_a_deployment_that_cannot_serve_is_refused(target: Deployment, said: str) -> None:
    with failing("deployment_unusable") as failure:
        plan_move(wish(), seen(target))
    assert said in failure().message


def test_a_forbidden_one_is_refused_with_its_reason() -> None:
    with failing("deployment_forbidden") as failure:
        plan_move(wish(forbidden={"dpl_B": "its schema is gone"}), seen())
    assert "its schema is gone" in failure().message


@pytest.mark.parametrize("kind", ["rollback", "promote"])
def test_one_that_is_on_record_as_bad_is_refused_by_any_name(kind: Any) -> None:
    with failing("deployment_forbidden") as failure:
        plan_move(wish(kind=kind, to="dpl_B", releases=(release("B", bad="it loses orders"),)), seen())
    assert "it loses orders" in failure().message


def test_what_was_built_with_something_that_is_gone() -> None:
    """It is refused with the reason, by either way; where it is what is left, its undo would be, which is said."""
    gone = Outdated(before=ord("C") * 1000, after=0, reason="its database_url is gone")
    for kind in ("rollback", "promote"):
        with failing("deployment_outdated") as failure:
            plan_move(wish(kind=kind, outdated=(gone,)), seen(ALL[1]))
        assert "what it was built with is gone: its database_url is gone" in failure().message
    newer = plan_move(wish(kind="promote", outdated=(replace(gone, before=gone.before + 1),)), seen(ALL[3]))
    assert newer.warnings == ("What is left cannot serve again: its database_url is gone.",)
    assert plan_move(wish(kind="promote", outdated=(gone,)), seen(ALL[3])).warnings == ()
    given = {"built_before": "1970-01-01T00:01:07Z", "built_after": None, "reason": "its database_url is gone"}
    assert Outdated.read(given) == gone


def test_rolling_releases_are_refused_by_name() -> None:
    active = RollingRelease(state="ACTIVE", canary_id="dpl_D", current_id="dpl_C", percentage=10)
    with failing("rolling_release_active") as failure:
        plan_move(wish(), seen(rolling=active))
    assert "dpl_D" in failure().message
    with failing("rolling_release_active"):
        plan_move(wish(kind="promote", to="dpl_D"), seen(ALL[3], project=project(rolling_configured=True)))
    assert plan_move(wish(), seen(project=project(rolling_configured=True))).post


def test_another_job_at_work_is_waited_for_by_a_person() -> None:
    with failing("job_running"):
        plan_move(wish(), seen(project=project(job=job("promote", "D", status="pending"))))
    assert plan_move(wish(), seen(project=project(job=job("rollback", "B", status="in-progress")))).post


def test_production_does_not_stay_while_a_job_moves_it() -> None:
    """X is promoted at this moment, and to leave it for what serves still is no work done."""
    moving = project("B", job=job("promote", "C", old="B", status="in-progress"))
    for target in (ALL[1], None):
        with failing("job_running"):
            plan_move(wish(to="dpl_B", from_id="dpl_C"), seen(target, project=moving))
    ending = project("B", job=job("rollback", "B", old="C", status="in-progress"))
    assert not plan_move(wish(to="dpl_B"), seen(ALL[1], project=ending)).changed


def test_what_is_to_be_left_may_still_be_on_its_way() -> None:
    leave, open_ = wish(to="dpl_B", from_id="dpl_C"), intent(kind="promote", from_id="dpl_B", to_id="dpl_C")
    at_work = job("promote", "C", old="B", status="pending")
    assert arriving(leave, project("B", job=at_work), None) == "running"
    assert arriving(leave, project("C", job=at_work), None) == "running"
    assert arriving(leave, project("B"), open_) == "unseen"
    assert arriving(leave, project("B", job=job("promote", "C")), open_) == "ended"
    assert arriving(leave, project("B", job=job("promote", "C", status="failed")), open_) == "failed"
    assert arriving(leave, project("C"), open_) == "done"
    # What has ended, or is on its way to something else.
    assert arriving(leave, project("B"), replace(open_, state="done")) == "done"
    assert arriving(leave, project("B", job=job("promote", "D", status="pending")), None) == "done"
    assert arriving(wish(), project("B", job=at_work), replace(open_, to_id="")) == "done"


@pytest.mark.parametrize(
    ("now", "found", "verdict"),
    [
        ("C", None, "unseen"),
        ("B", None, "done"),
        ("C", job("rollback", "B", at=101, status="pending"), "running"),
        ("C", job("rollback", "B", at=101, status="in-progress"), "running"),
        ("C", job("rollback", "B", at=101, status="failed"), "failed"),
        ("C", job("rollback", "B", at=101, status="skipped"), "skipped"),
        ("B", job("rollback", "B", at=101, status="skipped"), "done"),
        ("B", job("rollback", "B", at=101), "done"),
        # The job has ended, and the project does not show it: not yet, or no longer.
        ("C", job("rollback", "B", at=101), "ended"),
        # Success of an earlier one, of another kind, or to another deployment is none of ours.
        ("C", job("rollback", "B", at=100), "unseen"),
        ("C", job("promote", "B", at=101), "unseen"),
        ("C", job("rollback", "A", at=101), "unseen"),
        ("C", job("rollback", "B", at=101, status="a word of the future"), "running"),
    ],
)
def test_only_a_job_of_the_right_time_counts(now: str, found: AliasJob | None, verdict: str) -> None:
    assert judge(project(now, job=found), "rollback", "dpl_B", 100) == verdict


# --- What is written down --------------------------------------------------------------------------------


def test_a_run_that_goes_on_keeps_what_its_first_run_wrote() -> None:
    here = seen(intent=intent(assigns_before=False), project=project(job=job("promote", "C", at=70)))
    told = record_of(wish(to="dpl_B"), here, plan_move(wish(), here))
    assert (told["asked"], told["noted"], told["assigns_before"]) == ("previous", 50, False)


@pytest.mark.parametrize("other", [{"kind": "promote"}, {"from_id": "dpl_D"}, {"to_id": "dpl_A"}, {"state": "done"}])
def test_another_move_is_written_down_as_itself(other: dict[str, Any]) -> None:
    here = seen(intent=intent(assigns_before=False, **other), project=project(job=job("promote", "C", at=70)))
    told = record_of(wish(), here, plan_move(wish(), here))
    assert (told["kind"], told["from_deployment"], told["to_deployment"]) == ("rollback", "dpl_C", "dpl_B")
    assert (told["noted"], told["assigns_before"]) == (70, True)


@pytest.mark.parametrize(("noted", "newest"), [(10, "dpl_C"), (90, "dpl_E")])
def test_what_was_kept_elsewhere_does_not_hide_newer_moves(tmp_path: Path, noted: int, newest: str) -> None:
    context = run_context()
    here, there = (local_store(tmp_path / name, context) for name in ("here", "there"))
    moves = Moves(there, "test", "web", context)
    moves.write({"kind": "rollback", "from_deployment": "dpl_C", "noted": 50}, "write")
    Moves(here, "test", "web", context).write({"kind": "rollback", "from_deployment": "dpl_E", "noted": noted}, "write")
    for _run in range(2):
        upload(tmp_path / "here", there, "test", "web", context)
        found = moves.newest()
        assert found is not None
        assert found.from_id == newest
    assert len(moves.bodies()) == (3 if newest == "dpl_C" else 2)


# --- Reading ---------------------------------------------------------------------------------------------


def test_unknown_and_missing_fields_do_no_harm() -> None:
    bare = Project.read({"id": "prj_1", "name": "web", "targets": None, "lastAliasRequest": None, "future": [1]})
    assert (bare.production_id, bare.job, bare.assigns) == ("", None, True)
    assert Deployment.read({"uid": "dpl_A", "target": None, "state": "NEW"}).describe()["target"] == "preview"
    assert Variable.read({"key": "A", "target": "production"}).targets == ("production",)
    assert RollingRelease.read({"rollingRelease": None}) is None


def test_info_says_what_would_be_overlooked() -> None:
    pinned = project("B", auto_assign=False, job=job("rollback", "B", old="C"), crons_deployment="dpl_C")
    known = Known(project=pinned, domains={"app.acme.com": "dpl_C"}, hidden=2)
    assert describe(known)["pinned_by_rollback"] is True
    assert len(notes(known)) == 4
    # Switched off on purpose.
    assert not project(auto_assign=False).pinned_by_rollback


def test_the_message_of_a_commit_is_masked_before_it_is_cut() -> None:
    """The ``@`` that a password is known by may lie behind the end of the line."""
    message = f"{'x' * 90} postgresql://app:{'hunter2' * 20}@db/app\nmore"
    told = Deployment.read({"uid": "dpl_A", "meta": {"githubCommitMessage": message}}).message
    assert told.startswith("xxx")
    assert len(told) <= 120
    assert "hunter2" not in told
