# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What else the stand-in for Vercel knows: settings, domains, cancelling, deleting, rolling releases, switches."""

from __future__ import annotations

from harness.vercel import ProjectAt, fresh_project
from sandbox.standin.service import Heard
from sandbox.vercel import Build, GitLink, GlobalConfig, VercelServer


def ask(project: ProjectAt, method: str, path: str, body: object = None) -> Heard:
    join = "&" if "?" in path else "?"
    return project.server.ask(method, f"{path}{join}slug={project.team}", body, token=project.token)


def test_the_automatic_assignment_is_a_setting(vercel_project: ProjectAt) -> None:
    path = f"/v9/projects/{vercel_project.name}"
    changed = ask(vercel_project, "PATCH", path, {"autoAssignCustomDomains": False}).json
    assert changed["autoAssignCustomDomains"] is False
    assert ask(vercel_project, "GET", path).json["autoAssignCustomDomains"] is False
    for wrong in ({"autoAssignCustomDomains": "no"}, {"colour": "red"}):
        assert ask(vercel_project, "PATCH", path, wrong).status == 400


def test_what_a_token_may_not_do(vercel_project: ProjectAt) -> None:
    project = vercel_project
    project.server.change("tokens", project.token, denied=["promote", "project", "deploy", "env"])
    refused = [
        ask(project, "POST", f"/v10/projects/{project.id}/promote/{project.staged}", {}),
        ask(project, "PATCH", f"/v9/projects/{project.id}", {"autoAssignCustomDomains": False}),
        ask(project, "DELETE", f"/v13/deployments/{project.older}"),
        ask(project, "POST", f"/v10/projects/{project.id}/env", {}),
    ]
    assert [each.status for each in refused] == [403] * 4
    assert project.now.job is None
    assert ask(project, "POST", f"/v9/projects/{project.id}/rollback/{project.older}", {}).status == 201


def test_hobby_over_http(vercel: VercelServer) -> None:
    project = fresh_project(vercel, plan="hobby")
    far = ask(project, "POST", f"/v1/projects/{project.id}/rollback/{project.older}", {})
    assert (far.status, far.json["error"]["code"]) == (402, "payment_required")
    stages = {"target": "production", "stages": [{"targetPercentage": 10}, {"targetPercentage": 100}]}
    assert ask(project, "PATCH", f"/v1/projects/{project.id}/rolling-release/config", stages).status == 402


def test_hostnames_of_a_project_and_one_that_is_moved_alone(vercel_project: ProjectAt) -> None:
    project = vercel_project
    path = f"/v9/projects/{project.name}/domains"
    name = f"www-{project.name}.localhost"
    assert ask(project, "POST", path, {"name": name}).status == 200
    assert ask(project, "POST", path, {"name": name}).status == 409
    listed = ask(project, "GET", f"{path}?production=true").json["domains"]
    assert {each["name"] for each in listed} == {project.host, name}
    assert project.server.visit(name).json["deployment"] == project.good
    moved = ask(project, "POST", f"/v2/deployments/{project.older}/aliases", {"alias": name}).json
    assert moved["oldDeploymentId"] == project.good
    assert (project.server.visit(name).json["deployment"], project.serving()) == (project.older, project.good)
    assert project.now.production == project.good
    shown = ask(project, "GET", f"/v2/deployments/{project.older}/aliases").json["aliases"]
    assert [each["alias"] for each in shown] == [name]
    foreign = fresh_project(project.server)
    assert ask(foreign, "POST", f"/v2/deployments/{foreign.good}/aliases", {"alias": name}).status == 409
    assert ask(foreign, "GET", f"/v4/aliases/{name}").status == 404


def test_cancelling_and_deleting(vercel: VercelServer) -> None:
    link = GitLink(org="acme", repo="web", repo_id=7)
    project = fresh_project(vercel, link=link, builds={"main": Build(fails=True, error="no")})
    project.change(timings={"queue": 600_000})
    body = {"name": project.name, "gitSource": {"type": "github", "repoId": 7, "ref": "main"}}
    made = ask(project, "POST", "/v13/deployments?forceNew=1", body).json
    assert ask(project, "PATCH", f"/v12/deployments/{made['id']}/cancel").json["readyState"] == "CANCELED"
    assert ask(project, "PATCH", f"/v12/deployments/{made['id']}/cancel").status == 400
    gone = ask(project, "DELETE", f"/v13/deployments/{project.previous}").json
    assert gone == {"uid": project.previous, "state": "DELETED"}
    assert ask(project, "GET", f"/v13/deployments/{project.previous}").status == 404
    assert ask(project, "POST", f"/v9/projects/{project.id}/rollback/{project.previous}", {}).status == 404


def test_a_rolling_release(vercel_project: ProjectAt) -> None:
    project = vercel_project
    base = f"/v1/projects/{project.id}/rolling-release"
    assert ask(project, "GET", base).json == {"rollingRelease": None}
    stages = {"target": "production", "stages": [{"targetPercentage": 10}, {"targetPercentage": 100}]}
    assert ask(project, "PATCH", f"{base}/config", stages).status == 200
    promote = f"/v10/projects/{project.id}/promote"
    assert ask(project, "POST", f"{promote}/{project.staged}", {}).status == 201
    active = ask(project, "GET", f"{base}?state=ACTIVE").json["rollingRelease"]
    assert (active["canaryDeployment"]["id"], active["activeStage"]["targetPercentage"]) == (project.staged, 10)
    assert ask(project, "POST", f"{promote}/{project.previous}", {}).status == 202
    step = {"nextStageIndex": 1, "canaryDeploymentId": project.staged}
    assert ask(project, "POST", f"{base}/approve-stage", {**step, "nextStageIndex": 7}).status == 400
    assert ask(project, "POST", f"{base}/approve-stage", step).json["rollingRelease"]["activeStage"]["index"] == 1
    done = ask(project, "POST", f"{base}/complete", {"canaryDeploymentId": project.staged})
    assert done.status == 200
    assert project.now.production == project.staged
    # What was queued begins.
    active = ask(project, "GET", f"{base}?state=ACTIVE").json["rollingRelease"]
    assert active["canaryDeployment"]["id"] == project.previous


def test_maintenance_switches(vercel_project: ProjectAt) -> None:
    project = vercel_project
    until = 1_900_000_000_000
    body = {"projectId": project.id, "attackModeEnabled": True, "attackModeActiveUntil": until}
    assert ask(project, "POST", "/v1/security/attack-mode", body).json["attackModeEnabled"] is True
    shown = ask(project, "GET", f"/v9/projects/{project.id}").json["security"]
    assert (shown["attackModeEnabled"], shown["attackModeActiveUntil"]) == (True, until)
    name = f"ecfg_{project.id}"
    project.server.put(GlobalConfig(id=name, slug=f"flags-{project.name}", account=project.now.account))
    items = f"/v1/global-config/{name}/items"
    assert ask(project, "GET", f"/v1/edge-config/{name}/item/maintenance").status == 404
    change = {"operation": "upsert", "key": "maintenance", "value": True}
    # All of a request's operations, or none.
    broken = [change, {"operation": "update", "key": "nobody", "value": 1}]
    assert ask(project, "PATCH", items, {"items": broken}).status == 404
    assert ask(project, "GET", items).json == []
    assert ask(project, "PATCH", items, {"items": [change]}).json == {"status": "ok"}
    assert ask(project, "GET", f"/v1/global-config/{name}/item/maintenance").json["value"] is True


def test_the_reason_of_a_rollback(vercel_project: ProjectAt) -> None:
    project = vercel_project
    project.change(timings={"job_pending": 0, "job_work": 0})
    path = f"/v1/projects/{project.id}/rollback/{project.previous}"
    assert ask(project, "POST", f"{path}?description=it%20is%20broken", {}).status == 201
    shown = ask(project, "GET", f"/v9/projects/{project.id}").json
    assert shown["rollbackDescription"]["description"] == "it is broken"
    assert (shown["autoAssignCustomDomains"], shown["lastAliasRequest"]["type"]) == (False, "rollback")
    assert ask(project, "PATCH", f"{path}/update-description", {"description": "the cart is broken"}).status == 200
    shown = ask(project, "GET", f"/v9/projects/{project.id}").json
    assert shown["rollbackDescription"]["description"] == "the cart is broken"
