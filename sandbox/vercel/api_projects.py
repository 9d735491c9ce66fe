# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Projects, promote and rollback over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused, bad_request, not_found
from sandbox.vercel import jobs
from sandbox.vercel.call import Call, route
from sandbox.vercel.model import Domain, Project, World
from sandbox.vercel.views import page

#: Settings of a project that are kept and shown, and mean nothing here.
SETTINGS = (
    "buildCommand",
    "devCommand",
    "framework",
    "installCommand",
    "nodeVersion",
    "outputDirectory",
    "rootDirectory",
)


@route("GET", "/projects/{name}")
def get(call: Call, name: str) -> Reply:
    """One project; ``rollbackInfo`` makes no difference."""
    world = call.store.look()
    return Reply(body=call.view(world).project(call.project(world, name)))


@route("GET", "/projects")
def list_(call: Call) -> Reply:
    """The projects of an account."""
    world = call.store.look()
    wanted = call.query.get("search", "")
    mine = [each for each in world.projects.values() if each.account == call.account and wanted in each.name]
    shown = [call.view(world).project(each) for each in sorted(mine, key=lambda each: -each.updated_at)]
    projects, pagination = page(shown, call.query, key="updatedAt")
    return Reply(body={"projects": projects, "pagination": pagination})


@route("PATCH", "/projects/{name}")
def patch(call: Call, name: str) -> Reply:
    """Change settings."""
    call.allow("project")
    body = call.body
    unknown = sorted(set(body) - {"autoAssignCustomDomains", "autoAssignCustomDomainsUpdatedBy", "name", *SETTINGS})
    if unknown:
        raise bad_request(f"Invalid request: should NOT have additional property `{unknown[0]}`.")
    if not isinstance(body.get("autoAssignCustomDomains", True), bool):
        raise bad_request("Invalid request: `autoAssignCustomDomains` should be boolean.")

    def step(world: World, now: int) -> tuple[World, Project]:
        project = call.project(world, name)
        changed = replace(
            project,
            name=body.get("name", project.name),
            auto_assign=body.get("autoAssignCustomDomains", project.auto_assign),
            auto_assign_by=body.get("autoAssignCustomDomainsUpdatedBy", project.auto_assign_by),
            settings={**project.settings, **{key: body[key] for key in SETTINGS if key in body}},
            updated_at=now,
        )
        return world.put(changed), changed

    changed = call.change(step)
    return Reply(body=call.view().project(changed))


@route("POST", "/projects/{project_id}/promote/{deployment_id}")
def promote(call: Call, project_id: str, deployment_id: str) -> Reply:
    """Let a deployment serve production, without a rebuild."""
    call.allow("promote")

    def step(world: World, now: int) -> tuple[World, int]:
        project = call.project(world, project_id, by_name=False)
        return jobs.promote(world, project, deployment_id, user=call.user.id, now=now)

    return Reply(status=call.change(step))


@route("POST", "/projects/{project_id}/rollback/{deployment_id}")
def rollback(call: Call, project_id: str, deployment_id: str) -> Reply:
    """Let an earlier production deployment serve again."""
    call.allow("rollback")
    description = call.query.get("description", "")

    def step(world: World, now: int) -> tuple[World, int]:
        project = call.project(world, project_id, by_name=False)
        return jobs.rollback(world, project, deployment_id, description=description, user=call.user.id, now=now)

    return Reply(status=call.change(step))


@route("PATCH", "/projects/{project_id}/rollback/{deployment_id}/update-description")
def describe(call: Call, project_id: str, deployment_id: str) -> Reply:
    """Change the reason of a rollback."""
    call.allow("rollback")
    description = str(call.body.get("description", ""))

    def step(world: World, now: int) -> tuple[World, None]:
        project = call.project(world, project_id, by_name=False)
        if project.production != deployment_id:
            raise not_found("The project is not rolled back to this deployment.")
        return jobs.describe(world, project, description, user=call.user.id, now=now), None

    call.change(step)
    return Reply()


@route("GET", "/projects/{project_id}/promote/aliases")
@route("GET", "/projects/{project_id}/rollback/aliases")
def job_aliases(call: Call, project_id: str) -> Reply:
    """How far the hostnames have been moved."""
    world = call.store.look()
    project = call.project(world, project_id)
    job = project.job
    shown = []
    if job is not None:
        for domain in project.domains:
            status = "failed" if domain.name in job.failed_aliases else _alias_status(job.status)
            shown.append({"alias": domain.name, "id": f"als_{domain.name}", "status": status})
    if call.query.get("failedOnly") == "true":
        shown = [each for each in shown if each["status"] == "failed"]
    pagination = {"count": len(shown), "next": None, "prev": None}
    return Reply(body={"aliases": shown, "pagination": pagination})


def _alias_status(job_status: str) -> str:
    return {"succeeded": "completed", "failed": "completed"}.get(job_status, job_status)


@route("GET", "/projects/{name}/domains")
def domains(call: Call, name: str) -> Reply:
    """The hostnames of a project."""
    world = call.store.look()
    project = call.project(world, name)
    found = [each for each in project.domains if call.query.get("production") != "true" or each.git_branch is None]
    shown = [call.view(world).domain(project, each) for each in found]
    return Reply(body={"domains": shown, "pagination": {"count": len(shown), "next": None, "prev": None}})


@route("POST", "/projects/{name}/domains")
def add_domain(call: Call, name: str) -> Reply:
    """Give a project one more hostname; it shows the production deployment at once."""
    call.allow("project")
    domain = Domain(
        name=str(call.body.get("name", "")).lower(),
        redirect=call.body.get("redirect"),
        git_branch=call.body.get("gitBranch"),
    )
    if not domain.name:
        raise bad_request("Invalid request: missing required property `name`.")

    def step(world: World, now: int) -> tuple[World, Project]:
        project = call.project(world, name)
        if any(domain.name == held.name for each in world.projects.values() for held in each.domains):
            raise Refused(409, "domain_already_in_use", f"Cannot add {domain.name} since it's already in use.")
        project = replace(project, domains=(*project.domains, domain), updated_at=now)
        world = world.put(project)
        serving = world.deployments.get(project.production or "")
        return (jobs.serve(world, project, serving, now=now) if serving else world), project

    return Reply(body=call.view().domain(call.change(step), domain))


@route("GET", "/projects/{name}/custom-environments")
def custom_environments(call: Call, name: str) -> Reply:
    """Environments beside the three that every project has; here there are none."""
    call.project(call.store.look(), name)
    return Reply(body={"environments": []})


@route("GET", "/domains/{domain}/config")
def domain_config(call: Call, domain: str) -> Reply:
    """Whether a hostname's records lead to the service."""
    return Reply(body={"configuredBy": "A", "acceptedChallenges": ["http-01"], "misconfigured": False, "name": domain})


@route("POST", "/projects/{project_id}/pause")
def pause(call: Call, project_id: str) -> Reply:
    """Answer every request to production with 503; also switches the automatic assignment off."""
    return _set_paused(call, project_id, paused=True)


@route("POST", "/projects/{project_id}/unpause")
def unpause(call: Call, project_id: str) -> Reply:
    """Serve again."""
    return _set_paused(call, project_id, paused=False)


def _set_paused(call: Call, project_id: str, *, paused: bool) -> Reply:
    call.allow("project")

    def step(world: World, now: int) -> tuple[World, None]:
        try:
            project = call.project(world, project_id, by_name=False)
        except Refused as error:
            raise bad_request("The project does not exist.") from error
        auto_assign = False if paused else project.auto_assign
        return world.put(replace(project, paused=paused, auto_assign=auto_assign, updated_at=now)), None

    call.change(step)
    return Reply()


@route("POST", "/security/attack-mode")
def attack_mode(call: Call) -> Reply:
    """Challenge every visitor."""
    call.allow("project")
    body: dict[str, Any] = call.body
    if not isinstance(body.get("attackModeEnabled"), bool) or not isinstance(body.get("projectId"), str):
        raise bad_request("Invalid request: `projectId` and `attackModeEnabled` are required.")

    def step(world: World, now: int) -> tuple[World, int]:
        changed = replace(
            call.project(world, body["projectId"]),
            attack_mode=body["attackModeEnabled"],
            attack_mode_until=body.get("attackModeActiveUntil") if body["attackModeEnabled"] else None,
            attack_mode_updated_at=now,
        )
        return world.put(changed), now

    now = call.change(step)
    return Reply(body={"attackModeEnabled": body["attackModeEnabled"], "attackModeUpdatedAt": now})
