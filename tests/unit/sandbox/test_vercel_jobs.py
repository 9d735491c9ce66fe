# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Promote and rollback on the stand-in for Vercel: what is accepted, how long it takes, what it leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandbox.standin.refusal import Refused
from sandbox.vercel import deployments, jobs
from sandbox.vercel.model import Deployment, Domain, Project, Team, World

NOW = 1_000_000


def world(**fields: Any) -> World:
    """A project where ``a``, ``b`` and ``c`` have served in this order, and ``d`` waits."""
    made = World().put(Team(id="t", slug="t"))
    made = made.put(
        Project(id="p", name="web", account="t", production="c", served=("a", "b", "c"), **fields),
    )
    for number, name in enumerate("abcd"):
        made = made.put(Deployment(id=name, project="p", url=f"web-{name}.localhost", created_at=number))
    made = made.put(Deployment(id="preview", project="p", url="web-p.localhost", target=None))
    return deployments.settle(made)


def promoted(before: World, name: str, *, now: int = NOW) -> World:
    return jobs.promote(before, before.projects["p"], name, user="u", now=now)[0]


def rolled_back(before: World, name: str, *, now: int = NOW) -> World:
    return jobs.rollback(before, before.projects["p"], name, description="why", user="u", now=now)[0]


def later(before: World, milliseconds: int) -> World:
    return jobs.advance(before, NOW + milliseconds)


def test_a_job_passes_through_its_states_and_moves_hostnames_only_at_its_end() -> None:
    accepted = promoted(world(), "d")
    seen = []
    for milliseconds in (0, 99, 100, 299, 300):
        now = later(accepted, milliseconds)
        job = now.projects["p"].job
        assert job is not None
        seen.append((job.status, now.projects["p"].production, now.aliases["web.localhost"].deployment))
    assert seen == [
        ("pending", "c", "c"),
        ("pending", "c", "c"),
        ("in-progress", "c", "c"),
        ("in-progress", "c", "c"),
        ("succeeded", "d", "d"),
    ]


def test_a_promote_switches_the_automatic_assignment_on_even_where_it_was_off_on_purpose() -> None:
    after = later(promoted(world(auto_assign=False), "d"), 300).projects["p"]
    assert after.auto_assign


def test_a_rollback_switches_it_off_and_a_promote_ends_the_rollback() -> None:
    back = later(rolled_back(world(), "b"), 300)
    assert not back.projects["p"].auto_assign
    note = back.projects["p"].rollback_note
    assert note is not None
    assert note.description == "why"
    forward = jobs.advance(promoted(back, "c", now=NOW + 400), NOW + 800).projects["p"]
    assert (forward.production, forward.auto_assign, forward.rollback_note) == ("c", True, None)


def test_a_staged_build_shows_that_it_has_served() -> None:
    assert world().deployments["d"].substate == "STAGED"
    assert later(promoted(world(), "d"), 300).deployments["d"].substate == "PROMOTED"


@pytest.mark.parametrize(
    ("move", "name", "status"),
    [
        (promoted, "c", 409),
        (promoted, "preview", 400),
        (promoted, "nobody", 404),
        (rolled_back, "c", 422),
        (rolled_back, "d", 422),
        (rolled_back, "preview", 422),
        (rolled_back, "nobody", 404),
    ],
)
def test_refused(move: Any, name: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        move(world(), name)
    assert refused.value.status == status


def test_the_text_by_which_clients_know_that_a_deployment_is_current() -> None:
    with pytest.raises(Refused, match="is already the current production deployment"):
        promoted(world(), "c")


def test_hobby_goes_back_one_only() -> None:
    hobby = world().put(Team(id="t", slug="t", plan="hobby"))
    with pytest.raises(Refused) as refused:
        rolled_back(hobby, "a")
    assert refused.value.status == 402
    assert later(rolled_back(hobby, "b"), 300).projects["p"].production == "b"


def test_a_long_description_is_refused() -> None:
    before = world()
    with pytest.raises(Refused):
        jobs.rollback(before, before.projects["p"], "b", description="x" * 251, user="u", now=NOW)


def test_a_deleted_deployment_is_no_candidate() -> None:
    before = deployments.delete(world(), world().deployments["b"])
    with pytest.raises(Refused) as refused:
        rolled_back(before, "b")
    assert refused.value.status == 404


def test_a_second_job_takes_the_place_of_one_that_has_not_ended() -> None:
    first = rolled_back(world(), "b")
    second = jobs.advance(rolled_back(first, "a", now=NOW + 250), NOW + 310)
    assert second.projects["p"].production == "c"
    assert jobs.advance(second, NOW + 600).projects["p"].production == "a"


def test_a_hostname_that_cannot_be_moved_fails_the_job_and_the_others_move_all_the_same() -> None:
    domains = (Domain(name="a.test"), Domain(name="b.test", fails=True))
    after = later(promoted(world(domains=domains), "d"), 300)
    job = after.projects["p"].job
    assert job is not None
    assert (job.status, job.failed_aliases, after.projects["p"].production) == ("failed", ("b.test",), "c")
    assert (after.aliases["a.test"].deployment, after.aliases["b.test"].deployment) == ("d", "c")


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_a_job_that_comes_to_nothing(outcome: str) -> None:
    after = later(promoted(world(job_outcome=outcome), "d"), 300)
    job = after.projects["p"].job
    assert job is not None
    assert (job.status, after.projects["p"].production, after.projects["p"].auto_assign) == (outcome, "c", True)


def test_crons_follow_unless_they_are_told_to_stay() -> None:
    crons = ({"path": "/api/cron", "schedule": "0 * * * *", "host": "web.localhost"},)
    assert later(rolled_back(world(crons=crons), "b"), 300).projects["p"].cron_deployment == "b"
    assert later(rolled_back(world(crons=crons, crons_stay=True), "b"), 300).projects["p"].cron_deployment == "c"


def test_a_project_that_is_gone_on_with_is_not_looked_at_again() -> None:
    settled = later(promoted(world(), "d"), 300)
    assert jobs.advance(settled, NOW + 10_000) is settled


def test_a_rolling_release_shares_the_traffic_until_its_last_stage() -> None:
    before = world(rolling_stages=(10, 100))
    started = promoted(before, "d")
    project = started.projects["p"]
    assert project.release is not None
    assert (project.production, project.release.state, project.job) == ("c", "ACTIVE", None)
    queued, status = jobs.promote(started, project, "b", user="u", now=NOW)
    assert (status, queued.projects["p"].release) == (202, replace(project.release, queued="b"))
    second = jobs.approve_stage(started, project, canary="d", stage=1, now=NOW)
    done = jobs.approve_stage(second, second.projects["p"], canary="d", stage=2, now=NOW).projects["p"]
    assert done.release is not None
    assert (done.production, done.release.state) == ("d", "COMPLETE")


def test_a_rollback_stops_a_rolling_release() -> None:
    started = promoted(world(rolling_stages=(10, 100)), "d")
    stopped = rolled_back(started, "b").projects["p"]
    assert stopped.release is not None
    assert stopped.release.state == "ABORTED"
