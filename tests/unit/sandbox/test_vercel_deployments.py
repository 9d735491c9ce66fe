# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments on the stand-in for Vercel: how they build, and when they take the traffic."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.standin import codec
from sandbox.standin.refusal import Refused
from sandbox.vercel import deployments, jobs, model
from sandbox.vercel.model import Build, Deployment, Domain, Project, Team, Variable, World

NOW = 1_000_000


def world(**fields: Any) -> World:
    made = World().put(Team(id="t", slug="t")).put(Project(id="p", name="web", account="t", **fields))
    return deployments.settle(made)


def deployed(before: World, **fields: Any) -> World:
    return deployments.create(before, Deployment(id="d", project="p", url="web-d.localhost", **fields), now=NOW)


def later(before: World, milliseconds: int) -> World:
    now = NOW + milliseconds
    return jobs.advance(deployments.advance(before, now), now)


def test_a_production_build_takes_the_traffic_some_time_after_it_is_ready() -> None:
    made = deployed(world())
    seen = []
    for milliseconds in (0, 50, 200, 250):
        now = later(made, milliseconds)
        seen.append((now.deployments["d"].state, now.deployments["d"].substate, now.projects["p"].production))
    assert seen == [
        ("QUEUED", None, None),
        ("BUILDING", None, None),
        ("READY", "STAGED", None),
        ("READY", "PROMOTED", "d"),
    ]


@pytest.mark.parametrize(("project", "own"), [(False, True), (True, False)])
def test_it_stays_staged_where_the_assignment_is_off(project: bool, own: bool) -> None:
    after = later(deployed(world(auto_assign=project), auto_assign=own), 10_000)
    # Its own hostname is assigned all the same: that says nothing of production.
    deployment = after.deployments["d"]
    assert (deployment.substate, deployment.alias_assigned_at) == ("STAGED", NOW + 250)
    assert after.projects["p"].production is None


def test_a_preview_never_takes_the_traffic() -> None:
    after = later(deployed(world(), target=None), 10_000)
    assert after.deployments["d"].substate is None
    assert after.projects["p"].production is None


def test_a_build_that_fails_or_is_blocked() -> None:
    failing = world(builds={"main": Build(fails=True, error="no")})
    after = later(deployed(failing, git_source={"ref": "main"}), 10_000).deployments["d"]
    assert (after.state, after.error_message) == ("ERROR", "no")
    blocked = deployed(world(builds={"*": Build(blocked=True)})).deployments["d"]
    assert blocked.state == "BLOCKED"


def test_a_hostname_that_fails_is_told_of_in_the_deployment() -> None:
    after = later(deployed(world(domains=(Domain(name="a.test", fails=True),))), 10_000)
    assert after.deployments["d"].alias_error is not None
    assert after.projects["p"].production is None


def test_only_builds_can_be_cancelled() -> None:
    made = deployed(world())
    assert later(deployments.cancel(made, made.deployments["d"]), 10_000).deployments["d"].state == "CANCELED"
    ended = later(made, 10_000)
    with pytest.raises(Refused):
        deployments.cancel(ended, ended.deployments["d"])


def test_deleting_takes_the_hostnames_along() -> None:
    ended = later(deployed(world()), 10_000)
    gone = deployments.delete(ended, ended.deployments["d"])
    assert (gone.deployments["d"].state, gone.projects["p"].production, dict(gone.aliases)) == ("DELETED", None, {})


def test_a_build_gets_the_values_of_its_target_and_branch() -> None:
    made = world()
    for number, (key, target, branch) in enumerate(
        [("A", "production", None), ("B", "preview", None), ("C", "preview", None), ("C", "preview", "fix")]
    ):
        made = made.put(
            Variable(id=f"{number}", project="p", key=key, value=f"{number}", target=(target,), git_branch=branch)
        )
    values = deployments.values_for
    project = made.projects["p"]
    assert values(made, project, "production", None) == {"A": "0"}
    assert values(made, project, None, {"ref": "main"}) == {"B": "1", "C": "2"}
    assert values(made, project, None, {"ref": "fix"}) == {"B": "1", "C": "3"}


def test_no_two_deployments_of_a_project_have_the_same_time() -> None:
    made = deployed(world())
    second = deployments.create(made, Deployment(id="e", project="p", url="web-e.localhost"), now=NOW)
    assert second.deployments["e"].created_at > second.deployments["d"].created_at


def test_a_world_survives_its_file() -> None:
    before = later(deployed(world(builds={"*": Build(error="x")}, crons=({"path": "/x"},)), env={"A": "1"}), 10_000)
    after = World()
    for thing in model.things(model.dump(before)):
        after = after.put(thing)
    assert after == before


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"projcts": []}, "projcts"),
        ({"projects": [{"id": "p", "name": "n", "account": "t", "colour": 1}]}, r"projects\[0\].*colour"),
        ({"projects": [{"id": "p", "name": "n", "account": "t", "paused": "yes"}]}, r"projects\[0\]\.paused"),
        ({"projects": [{"id": "p"}]}, "name"),
        ({"schema": 9}, "schema 9"),
    ],
)
def test_a_bad_file_is_refused_by_name(document: dict[str, Any], text: str) -> None:
    with pytest.raises(codec.BadState, match=text):
        model.things(document)
