# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rolling releases over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused, bad_request
from sandbox.vercel import jobs
from sandbox.vercel.call import Call, route
from sandbox.vercel.model import Project, World
from sandbox.vercel.views import rolling_config


@route("GET", "/projects/{name}/rolling-release")
def get(call: Call, name: str) -> Reply:
    """The last rolling release, or none where it has another state than was asked for."""
    world = call.store.look()
    project = call.project(world, name)
    shown = call.view(world).release(project)
    wanted = call.query.get("state")
    return Reply(body={"rollingRelease": shown if shown and wanted in (None, "", shown["state"]) else None})


@route("POST", "/projects/{name}/rolling-release/start")
def start(call: Call, name: str) -> Reply:
    """Begin to share the traffic."""
    canary = str(call.body.get("canaryDeploymentId"))

    def move(world: World, project: Project, now: int) -> World:
        if not project.rolling_stages:
            raise bad_request("Rolling releases are not configured for this project.")
        return jobs.promote(world, project, canary, user=call.user.id, now=now)[0]

    return _moved(call, name, move)


@route("POST", "/projects/{name}/rolling-release/approve-stage")
def approve(call: Call, name: str) -> Reply:
    """Go on to the next stage."""
    canary, stage = str(call.body.get("canaryDeploymentId")), call.body.get("nextStageIndex")
    if not isinstance(stage, int):
        raise bad_request("Invalid request: missing required property `nextStageIndex`.")
    return _moved(
        call, name, lambda world, project, now: jobs.approve_stage(world, project, canary=canary, stage=stage, now=now)
    )


@route("POST", "/projects/{name}/rolling-release/complete")
def complete(call: Call, name: str) -> Reply:
    """Give all traffic to the new deployment."""
    canary = str(call.body.get("canaryDeploymentId"))
    return _moved(call, name, lambda world, project, now: jobs.complete_release(world, project, canary=canary, now=now))


def _moved(call: Call, name: str, move: Callable[[World, Project, int], World]) -> Reply:
    call.allow("promote")
    call.change(lambda world, now: (move(world, call.project(world, name), now), None))
    world = call.store.look()
    return Reply(body={"rollingRelease": call.view(world).release(call.project(world, name))})


@route("GET", "/projects/{name}/rolling-release/config")
def get_config(call: Call, name: str) -> Reply:
    """The stages that releases go through."""
    return Reply(body={"rollingRelease": rolling_config(call.project(call.store.look(), name))})


@route("PATCH", "/projects/{name}/rolling-release/config")
def set_config(call: Call, name: str) -> Reply:
    """Have releases go through stages from now on."""
    stages = call.body.get("stages")
    if not isinstance(stages, list) or not all(isinstance(each.get("targetPercentage"), int) for each in stages):
        raise bad_request("Invalid request: missing required property `stages`.")
    return _configured(call, name, tuple(each["targetPercentage"] for each in stages))


@route("DELETE", "/projects/{name}/rolling-release/config")
def delete_config(call: Call, name: str) -> Reply:
    """Have promotes move all traffic at once again."""
    return _configured(call, name, ())


def _configured(call: Call, name: str, stages: tuple[int, ...]) -> Reply:
    call.allow("project")

    def step(world: World, now: int) -> tuple[World, Project]:
        project = call.project(world, name)
        if stages and jobs.plan_of(world, project.account) == "hobby":
            raise Refused(402, "payment_required", "Rolling releases are a feature of the Pro plan.")
        changed = replace(project, rolling_stages=stages, updated_at=now)
        return world.put(changed), changed

    return Reply(body={"rollingRelease": rolling_config(call.change(step))})
