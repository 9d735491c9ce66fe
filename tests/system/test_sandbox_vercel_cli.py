# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requests of the official command line (64.0.2, recorded on loopback), and what it needs in the answers.

It is no dependency of the tests; `sandbox/README.md` says how it was tried.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.vercel import ProjectAt
from sandbox.processes import wait_until
from sandbox.standin.service import Heard
from sandbox.vercel import VercelServer

#: Requests in the order in which a command makes them: method, path, status, fields that it reads.
Requests = list[tuple[str, str, int, set[str]]]

BEGIN: Requests = [
    ("GET", "/v2/user", 200, {"user"}),
    ("GET", "/teams/{team}", 200, {"id", "slug", "name"}),
]
PROJECT: Requests = [("GET", "/v9/projects/{project}", 200, {"id", "name", "accountId", "targets"})]
STATUS: Requests = [("GET", "/v9/projects/{project}?rollbackInfo=true", 200, {"lastAliasRequest"})]
DEPLOYMENT = {"id", "url", "readyState", "aliasAssigned", "target", "meta", "alias", "creator", "projectId"}

COMMANDS: dict[str, Requests] = {
    "ls": [
        *BEGIN,
        *PROJECT,
        ("GET", "/v6/deployments?limit=20&projectId={project}", 200, {"deployments", "pagination"}),
    ],
    "inspect": [
        *BEGIN,
        ("GET", "/v13/deployments/{good}", 200, DEPLOYMENT),
        ("GET", "/v11/deployments/{good}/builds", 200, {"builds"}),
    ],
    "promote": [
        *BEGIN,
        ("GET", "/v13/deployments/{staged}", 200, DEPLOYMENT),
        *PROJECT,
        ("POST", "/v10/projects/{project}/promote/{staged}", 201, set()),
        *STATUS,
        ("GET", "/v9/projects/{project}/promote/aliases?failedOnly=true&limit=20", 200, {"aliases", "pagination"}),
    ],
    "rollback": [
        *BEGIN,
        ("GET", "/v13/deployments/{previous}", 200, DEPLOYMENT),
        *PROJECT,
        ("POST", "/v9/projects/{project}/rollback/{previous}", 201, set()),
        *STATUS,
        ("GET", "/v9/projects/{project}/rollback/aliases?failedOnly=true&limit=20", 200, {"aliases", "pagination"}),
    ],
    "env ls": [
        *PROJECT,
        ("GET", "/v10/projects/{project}/env?source=vercel-cli%3Aenv%3Als", 200, {"envs"}),
        ("GET", "/projects/{project}/custom-environments", 200, {"environments"}),
    ],
    "redeploy": [("GET", "/v13/deployments/{host}", 200, DEPLOYMENT)],
}


def ask(project: ProjectAt, method: str, path: str, body: object = None) -> Heard:
    filled = path.format(
        project=project.id,
        team=project.team,
        good=project.good,
        staged=project.staged,
        previous=project.previous,
        host=f"{project.deployment(project.good).url}%3A{project.server.port}",
    )
    mark = "&" if "?" in filled else "?"
    return project.server.ask(method, f"{filled}{mark}teamId={team_id(project)}", body, token=project.token)


def team_id(project: ProjectAt) -> str:
    return project.now.account


@pytest.mark.parametrize("command", COMMANDS)
def test_the_requests_of_a_command(vercel_project: ProjectAt, command: str) -> None:
    for method, path, status, fields in COMMANDS[command]:
        heard = ask(vercel_project, method, path, {} if method == "POST" else None)
        assert heard.status == status, (method, path, heard.body)
        if fields:
            assert fields <= set(heard.json), (method, path)
        else:
            assert heard.body == b""


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v10/projects/{project}/promote/{good}", 409, "is already the current production deployment"),
        ("/v9/projects/{project}/rollback/{good}", 422, "is already the current production deployment"),
    ],
)
def test_what_it_recognises_of_errors(vercel_project: ProjectAt, path: str, status: int, text: str) -> None:
    heard = ask(vercel_project, "POST", path, {})
    assert heard.status == status
    assert text in heard.json["error"]["message"]


def test_the_log_of_a_build_line_by_line(vercel_project: ProjectAt) -> None:
    path = "/v3/now/deployments/{good}/events?direction=forward&follow=&format=lines"
    lines = [json.loads(line) for line in ask(vercel_project, "GET", path).body.splitlines()]
    assert {"type", "created", "payload"} <= set(lines[0])
    assert lines[0]["payload"]["text"].startswith("Running build")


def test_a_secret_and_a_readable_variable(vercel_project: ProjectAt) -> None:
    path = "/v10/projects/{project}/env"
    secret = {"key": "API_KEY", "value": "s", "type": "sensitive", "visibility": "secret", "target": ["production"]}
    config = {"key": "CONF", "value": "c", "type": "encrypted", "visibility": "config", "target": ["production"]}
    made = [ask(vercel_project, "POST", path, each).json["created"] for each in (secret, config)]
    assert [each["visibility"] for each in made] == ["secret", "config"]
    pulled = ask(vercel_project, "GET", "/v3/env/pull/{project}/production?source=vercel-cli%3Aenv%3Apull").json
    # It writes a placeholder for what the list names as sensitive.
    assert pulled["env"] == {"API_KEY": "", "CONF": "c"}
    listed = ask(vercel_project, "GET", f"{path}?target=production").json["envs"]
    assert {each["key"]: each["type"] for each in listed} == {"API_KEY": "sensitive", "CONF": "encrypted"}
    # It deletes with another version than the documented one.
    assert ask(vercel_project, "DELETE", f"{path}/{made[0]['id']}").status == 200


def deployed(project: ProjectAt, query: str, body: dict[str, Any]) -> dict[str, Any]:
    heard = ask(project, "POST", f"/v13/deployments?{query}", {"name": project.name, "version": 2, **body})
    assert heard.status == 200, heard.body
    made: dict[str, Any] = heard.json
    return made


def assigned(vercel: VercelServer, name: str) -> bool:
    """What the command line waits for, also of a build that takes no traffic."""
    return wait_until(lambda: vercel.world().deployments[name].alias_assigned_at is not None, seconds=10)


def test_skip_domain_ends_and_takes_no_traffic(vercel: VercelServer, vercel_project: ProjectAt) -> None:
    files = [{"file": ".vercel/output/config.json", "data": '{"version": 3}'}]
    body = {"files": files, "target": "production", "source": "cli", "project": vercel_project.id}
    staged = deployed(vercel_project, "prebuilt=1", {**body, "autoAssignCustomDomains": False})
    ask(vercel_project, "GET", f"/v3/now/deployments/{staged['id']}/events?direction=forward&follow=1&format=lines")
    assert vercel.world().deployments[staged["id"]].state == "READY", "the log ends with the build"
    assert assigned(vercel, staged["id"])
    assert vercel_project.now.production == vercel_project.good
    # The same files for production are no repetition of that.
    promoted = deployed(vercel_project, "prebuilt=1", body)
    assert promoted["id"] != staged["id"]
    assert assigned(vercel, promoted["id"])
    assert vercel_project.now.production == promoted["id"]
    assert deployed(vercel_project, "prebuilt=1", body)["id"] == promoted["id"]
    assert deployed(vercel_project, "prebuilt=1&forceNew=1", body)["id"] != promoted["id"]


def test_redeploying_a_preview_for_production_is_a_build(vercel_project: ProjectAt) -> None:
    project = vercel_project
    body = {"deploymentId": project.preview, "target": "production", "meta": {"action": "promote"}}
    made = deployed(project, "forceNew=1", body)
    assert (made["target"], made["source"]) == ("production", "redeploy")
    assert made["readyState"] in ("QUEUED", "BUILDING")
    assert made["meta"]["action"] == "promote"
    assert made["meta"]["githubCommitSha"] == project.deployment(project.preview).meta["githubCommitSha"]
