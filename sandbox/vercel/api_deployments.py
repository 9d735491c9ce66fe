# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments and aliases over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.processes import wait_until
from sandbox.standin.http import Reply
from sandbox.standin.refusal import bad_request, not_found
from sandbox.vercel import deployments, jobs
from sandbox.vercel.call import Call, route
from sandbox.vercel.model import Alias, Deployment, Project, World
from sandbox.vercel.views import page

#: Seconds that a followed log may take.
FOLLOW = 300


@route("GET", "/deployments")
def list_(call: Call) -> Reply:
    """The deployments of an account, newest first."""
    world = call.store.look()
    mine = [each for each in world.deployments.values() if world.projects[each.project].account == call.account]
    chosen = [each for each in mine if _wanted(call, world, each)]
    view = call.view(world)
    shown = [view.item(each) for each in sorted(chosen, key=lambda each: each.created_at, reverse=True)]
    listed, pagination = page(shown, {**call.query, **_older_names(call.query)})
    return Reply(body={"deployments": listed, "pagination": pagination})


def _older_names(query: Mapping[str, str]) -> dict[str, str]:
    """``from`` and ``to`` are what ``since`` and ``until`` were called."""
    return {new: query[old] for old, new in (("from", "since"), ("to", "until")) if old in query and new not in query}


def _wanted(call: Call, world: World, deployment: Deployment) -> bool:
    query = call.query
    project = world.projects[deployment.project]
    names = {project.id, project.name}
    git = deployment.git_source or {}
    meta = deployment.meta
    states = [each for each in query.get("state", "").upper().split(",") if each]
    tests = (
        deployment.state != "DELETED",
        not query.get("projectId") or query["projectId"] in names,
        not query.get("projectIds") or bool(names & set(query["projectIds"].split(","))),
        not query.get("app") or query["app"] == project.name,
        not query.get("target") or query["target"] in _targets(project, deployment),
        not states or deployment.state in states,
        query.get("rollbackCandidate") != "true" or jobs.is_candidate(project, deployment),
        not query.get("branch") or query["branch"] in (git.get("ref"), meta.get("githubCommitRef")),
        not query.get("sha") or query["sha"] in (git.get("sha"), meta.get("githubCommitSha")),
        not query.get("users") or deployment.creator in query["users"].split(","),
        *(meta.get(key[5:]) == value for key, value in query.items() if key.startswith("meta-")),
    )
    return all(tests)


def _targets(project: Project, deployment: Deployment) -> tuple[str, ...]:
    """What the target of a deployment is called: a custom environment by its slug too."""
    if deployment.custom_environment is None:
        return (deployment.target or "preview",)
    return tuple(each.slug for each in project.custom_environments if each.id == deployment.custom_environment)


@route("GET", "/deployments/{name}")
def get(call: Call, name: str) -> Reply:
    """One deployment, by id or hostname."""
    world = call.store.look()
    return Reply(body=call.view(world).deployment(call.deployment(world, name)))


@route("GET", "/deployments/{name}/builds")
def builds(call: Call, name: str) -> Reply:
    """The one build of a deployment, as the official command line lists it."""
    deployment = call.deployment(call.store.look(), name)
    shown: dict[str, Any] = {
        "id": f"bld_{deployment.id.removeprefix('dpl_')}",
        "deploymentId": deployment.id,
        "entrypoint": ".",
        "readyState": deployment.state,
        "readyStateAt": deployment.ready_at,
        "createdAt": deployment.created_at,
        "scheduledAt": deployment.building_at,
        "output": [],
    }
    return Reply(body={"builds": [shown]})


@route("PATCH", "/deployments/{name}/cancel")
def cancel(call: Call, name: str) -> Reply:
    """Stop a build."""
    call.allow("deploy")

    def step(world: World, _now: int) -> tuple[World, str]:
        deployment = call.deployment(world, name)
        return deployments.cancel(world, deployment), deployment.id

    changed = call.change(step)
    world = call.store.look()
    return Reply(body=call.view(world).deployment(world.deployments[changed]))


@route("DELETE", "/deployments/{name}")
def delete(call: Call, name: str) -> Reply:
    """Take a deployment away."""
    call.allow("deploy")

    def step(world: World, _now: int) -> tuple[World, str]:
        deployment = call.deployment(world, name)
        return deployments.delete(world, deployment), deployment.id

    gone = call.change(step)
    call.shared.functions.drop(gone)
    call.files.drop_tree(gone)
    return Reply(body={"uid": gone, "state": "DELETED"})


@route("GET", "/deployments/{name}/events")
def events(call: Call, name: str) -> Reply:
    """The build's log; with ``follow`` the answer takes as long as the build."""
    if call.query.get("follow") == "1":
        wait_until(lambda: call.deployment(call.store.look(), name).state not in deployments.UNFINISHED, seconds=FOLLOW)
    deployment = call.deployment(call.store.look(), name)
    start = deployment.building_at or deployment.created_at
    shown = [_event(deployment, start + number, line) for number, line in enumerate(_log(deployment))]
    if call.query.get("since", "").isdigit():
        shown = [each for each in shown if each["created"] >= int(call.query["since"])]
    if call.query.get("direction") == "backward":
        shown.reverse()
    limit = int(call.query.get("limit", "-1"))
    shown = shown if limit < 0 else shown[:limit]
    if call.query.get("format") == "lines":
        return lines(shown)
    return Reply(body=shown)


@route("GET", "/projects/{project}/deployments/{name}/runtime-logs")
def runtime_logs(call: Call, project: str, name: str) -> Reply:
    """What the functions have printed and answered, one object a line; unlike the service's, this stream ends."""
    world = call.store.look()
    deployment = call.deployment(world, name)
    if deployment.project != call.project(world, project).id:
        raise not_found("Deployment not found.")
    return lines(call.shared.functions.log(deployment.id))


def lines(found: Iterable[Any]) -> Reply:
    """One object a line, as streams have it."""
    text = "".join(json.dumps(each) + "\n" for each in found)
    return Reply(body=text.encode(), content_type="application/stream+json")


def _log(deployment: Deployment) -> tuple[str, ...]:
    error = (f"Error: {deployment.error_message}",) if deployment.state == "ERROR" else ()
    return ("Running build in Washington, D.C., USA (East) - iad1", *deployment.log, *error)


def _event(deployment: Deployment, at: int, text: str) -> dict[str, Any]:
    info = {"type": "build", "name": "bld_sandbox", "entrypoint": "."}
    payload = {"deploymentId": deployment.id, "id": f"{at}", "date": at, "text": text, "info": info, "serial": f"{at}"}
    kind = "stderr" if text.startswith("Error") else "stdout"
    # Older clients read the payload, newer ones the fields beside it.
    return {"type": kind, "created": at, "payload": payload, "text": text, "date": at, "level": "info"}


@route("GET", "/deployments/{name}/aliases")
def aliases(call: Call, name: str) -> Reply:
    """The hostnames that show a deployment."""
    world = call.store.look()
    deployment = call.deployment(world, name)
    mine = [each for each in world.aliases.values() if each.deployment == deployment.id]
    return Reply(body={"aliases": [call.view(world).alias(each) for each in mine]})


@route("POST", "/deployments/{name}/aliases")
def add_alias(call: Call, name: str) -> Reply:
    """Let one hostname show a deployment."""
    call.allow("deploy")
    alias = str(call.body.get("alias", "")).lower()
    if not alias:
        raise bad_request("Invalid request: missing required property `alias`.")

    def step(world: World, now: int) -> tuple[World, str | None]:
        deployment = call.deployment(world, name)
        old = world.aliases.get(alias)
        project = world.projects[deployment.project]
        moved = deployments.point(world, project, deployment, alias, now=now)
        return moved, old.deployment if old is not None else None

    old = call.change(step)
    shown = call.view().alias(call.store.look().aliases[alias])
    answer = {"uid": shown["uid"], "alias": alias, "created": shown["created"]}
    return Reply(body=answer | ({"oldDeploymentId": old} if old else {}))


@route("GET", "/aliases/{name}")
def get_alias(call: Call, name: str) -> Reply:
    """What a hostname shows: the independent proof."""
    world = call.store.look()
    return Reply(body=call.view(world).alias(_alias(call, world, name)))


@route("DELETE", "/aliases/{name}")
def delete_alias(call: Call, name: str) -> Reply:
    """Let a hostname show nothing."""
    call.allow("deploy")
    call.change(lambda world, _now: (world.drop(_alias(call, world, name)), None))
    return Reply(body={"status": "SUCCESS"})


@route("GET", "/aliases")
def list_aliases(call: Call) -> Reply:
    """All hostnames of an account."""
    world = call.store.look()
    mine = [each for each in world.aliases.values() if world.projects[each.project].account == call.account]
    wanted = call.query.get("projectId")
    shown = [call.view(world).alias(each) for each in mine if not wanted or each.project == wanted]
    listed, pagination = page(sorted(shown, key=lambda each: -each["createdAt"]), call.query)
    return Reply(body={"aliases": listed, "pagination": pagination})


def _alias(call: Call, world: World, name: str) -> Alias:
    host = name.rsplit(":", 1)[0].lower()
    for each in world.aliases.values():
        if host in (each.alias, each.uid) and world.projects[each.project].account == call.account:
            return each
    raise not_found("The alias was not found.")
