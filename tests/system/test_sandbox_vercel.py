# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for Vercel over HTTP: who may ask, what is served, what goes wrong on demand."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path

import pytest

from harness.vercel import ProjectAt, fresh_project
from sandbox.standin.service import Heard
from sandbox.vercel import Behaviour, Deployment, VercelServer


def ask(project: ProjectAt, method: str, path: str, body: object = None) -> Heard:
    join = "&" if "?" in path else "?"
    return project.server.ask(method, f"{path}{join}slug={project.team}", body, token=project.token)


def finished(project: ProjectAt) -> str:
    """Wait for the job to end, as a client does."""
    for _attempt in range(1000):
        job = ask(project, "GET", f"/v9/projects/{project.id}?rollbackInfo=true").json["lastAliasRequest"]
        if job["jobStatus"] not in ("pending", "in-progress"):
            return str(job["jobStatus"])
        threading.Event().wait(0.02)
    raise AssertionError("the job does not end")


def test_who_may_ask(vercel: VercelServer, vercel_project: ProjectAt) -> None:
    path = f"/v9/projects/{vercel_project.name}"
    foreign = fresh_project(vercel)
    assert vercel.send("GET", path).status == 401
    unknown = vercel.ask("GET", path, token="nobody's")
    assert (unknown.status, unknown.json["error"]["invalidToken"]) == (403, True)
    # Without its team a token sees the personal account; with somebody else's it sees nothing.
    assert vercel.ask("GET", path, token=vercel_project.token).status == 404
    assert vercel.ask("GET", f"{path}?slug={foreign.team}", token=vercel_project.token).status == 403
    assert ask(vercel_project, "GET", f"/v9/projects/{foreign.id}").status == 404
    assert ask(vercel_project, "GET", path).status == 200


@pytest.mark.parametrize("version", ["/v1", "/v9", "/v10", ""])
def test_every_version_of_a_path_is_taken(vercel_project: ProjectAt, version: str) -> None:
    assert ask(vercel_project, "GET", f"{version}/projects/{vercel_project.name}").json["id"] == vercel_project.id


def test_promote_and_rollback_want_the_id(vercel_project: ProjectAt) -> None:
    path = f"promote/{vercel_project.staged}"
    assert ask(vercel_project, "POST", f"/v10/projects/{vercel_project.name}/{path}", {}).status == 404


def test_a_list_has_other_names_than_a_single_deployment(vercel_project: ProjectAt) -> None:
    listed = ask(vercel_project, "GET", f"/v7/deployments?projectId={vercel_project.name}&limit=100").json
    item = next(each for each in listed["deployments"] if each["uid"] == vercel_project.good)
    assert "id" not in item
    single = ask(vercel_project, "GET", f"/v13/deployments/{item['url']}").json
    assert (single["id"], single["aliasAssigned"]) == (vercel_project.good, True)
    assert single["alias"] == [vercel_project.host]
    assert "uid" not in single


def test_pages_follow_each_other(vercel_project: ProjectAt) -> None:
    found: list[str] = []
    until = ""
    for _page in range(10):
        page = ask(vercel_project, "GET", f"/v6/deployments?limit=4{until}").json
        found += [each["uid"] for each in page["deployments"]]
        if page["pagination"]["next"] is None:
            break
        until = f"&until={page['pagination']['next']}"
    assert len(found) == len(set(found)) == 6


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("target=production&state=READY", {"older", "previous", "good", "staged"}),
        ("target=preview", {"preview"}),
        ("state=ERROR,CANCELED", {"failed"}),
        ("rollbackCandidate=true", {"older", "previous"}),
        (f"sha={'1' * 40}", {"previous"}),
        (f"meta-githubCommitSha={'0' * 40}", {"older"}),
    ],
)
def test_filters_of_the_list(vercel_project: ProjectAt, query: str, kinds: set[str]) -> None:
    listed = ask(vercel_project, "GET", f"/v7/deployments?{query}").json["deployments"]
    assert {each["uid"] for each in listed} == {getattr(vercel_project, each) for each in kinds}


def test_visitors_see_the_promoted_deployment_and_each_at_its_own_name(vercel_project: ProjectAt) -> None:
    project = vercel_project
    assert project.serving() == project.good
    assert ask(project, "POST", f"/v10/projects/{project.id}/promote/{project.staged}", {}).status == 201
    assert project.serving() == project.good
    assert finished(project) == "succeeded"
    assert project.serving() == project.staged
    assert ask(project, "GET", f"/v4/aliases/{project.host}").json["deploymentId"] == project.staged
    old = project.server.visit(project.deployment(project.good).url)
    assert old.json["deployment"] == project.good
    assert project.server.visit(project.deployment(project.failed).url).status == 404
    assert project.server.visit("nobody.localhost").status == 404


def test_no_visitor_is_lost_while_production_changes(vercel_project: ProjectAt) -> None:
    project = vercel_project
    seen: list[tuple[int, str]] = []
    ended = threading.Event()

    def visit() -> None:
        while not ended.is_set():
            heard = project.server.visit(project.host)
            seen.append((heard.status, heard.json["deployment"]))

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        for path in (f"promote/{project.staged}", f"rollback/{project.previous}"):
            assert ask(project, "POST", f"/v9/projects/{project.id}/{path}", {}).status == 201
            assert finished(project) == "succeeded"
        before = len(seen)
        while len(seen) < before + 3:
            ended.wait(0.01)
    finally:
        ended.set()
        visitor.join()
    order = list(dict.fromkeys(seen))
    assert order == [(200, project.good), (200, project.staged), (200, project.previous)]


def test_a_slow_and_a_failing_deployment(vercel_project: ProjectAt) -> None:
    project = vercel_project
    bad = Behaviour(paths={"/api/health": 503}, error_percent=50)
    project.server.put(Deployment(id=f"{project.good}x", project=project.id, url="bad.localhost", behaviour=bad))
    statuses = [project.server.visit("bad.localhost", "/").status for _visit in range(10)]
    assert statuses.count(500) == 5
    quiet = Behaviour(paths={"/api/health": 503})
    project.server.put(Deployment(id=f"{project.good}x", project=project.id, url="bad.localhost", behaviour=quiet))
    assert project.server.visit("bad.localhost", "/api/health?x=1").status == 503


def test_a_paused_project(vercel_project: ProjectAt) -> None:
    project = vercel_project
    assert ask(project, "POST", f"/v1/projects/{project.id}/pause").status == 200
    heard = project.server.visit(project.host)
    assert (heard.status, heard.headers["X-Vercel-Error"]) == (503, "DEPLOYMENT_PAUSED")
    assert (project.now.paused, project.now.auto_assign) == (True, False)
    assert ask(project, "POST", f"/v1/projects/{project.id}/unpause").status == 200
    assert project.server.visit(project.host).status == 200
    assert ask(project, "POST", "/v1/projects/prj_nobody/pause").status == 400


def test_answers_that_fail_before_and_after_the_effect(vercel_project: ProjectAt) -> None:
    project = vercel_project
    path = f"/v10/projects/{project.id}/promote/{project.staged}"
    switch = {"method": "POST", "path": "/promote/", "times": 1}
    project.server.faults(switch | {"status": 503})
    assert ask(project, "POST", path, {}).status == 503
    assert project.now.job is None
    project.server.faults(switch | {"drop": True})
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        ask(project, "POST", path, {})
    assert project.now.job is None
    project.server.faults(switch | {"drop": True, "after": True})
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        ask(project, "POST", path, {})
    assert project.now.job is not None
    assert [each["done"] for each in project.server.requests("POST", project.id)] == [0, 0, 201]


def test_too_many_requests(vercel_project: ProjectAt) -> None:
    project = vercel_project
    project.server.faults({"path": "/projects/", "times": 1, "status": 429, "retry_after": 7})
    heard = ask(project, "GET", f"/v9/projects/{project.id}")
    assert (heard.status, heard.headers["Retry-After"], heard.headers["X-RateLimit-Remaining"]) == (429, "7", "0")
    assert heard.json["error"]["limit"]["reset"] > 1_000_000_000_000
    assert ask(project, "GET", f"/v9/projects/{project.id}").status == 200


def test_the_announced_limits_hold(vercel_project: ProjectAt) -> None:
    project = vercel_project
    project.server.control("PUT", "limits", {"deployment-list": 2})
    try:
        left = [ask(project, "GET", "/v6/deployments").headers["X-RateLimit-Remaining"] for _request in range(2)]
        assert left == ["1", "0"]
        assert ask(project, "GET", "/v6/deployments").status == 429
    finally:
        project.server.control("PUT", "limits", {})


def test_a_job_that_is_not_shown_yet_and_one_that_lags(vercel_project: ProjectAt) -> None:
    project = vercel_project
    path = f"/v9/projects/{project.id}?rollbackInfo=true"
    project.change(timings={"job_visible": 600_000, "job_work": 600_000})
    assert ask(project, "POST", f"/v9/projects/{project.id}/promote/{project.staged}", {}).status == 201
    assert ask(project, "GET", path).json["lastAliasRequest"] is None
    project.change(timings={"job_pending": 0, "job_work": 600_000})
    assert ask(project, "POST", f"/v9/projects/{project.id}/rollback/{project.previous}", {}).status == 201
    shown = ask(project, "GET", path).json
    assert shown["lastAliasRequest"]["jobStatus"] == "in-progress"
    assert shown["targets"]["production"]["id"] == project.good


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    with VercelServer(tmp_path) as server:
        project = fresh_project(server)
        assert ask(project, "POST", f"/v9/projects/{project.id}/rollback/{project.previous}", {}).status == 201
        assert server.stop()
        assert server.start()
        assert finished(project) == "succeeded"
        assert project.serving() == project.previous
        assert server.state_file.stat().st_mode & 0o777 == 0o600
