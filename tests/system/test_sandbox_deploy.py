# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments on the stand-in for Vercel that run: built, started, asked, logged, moved, on a real database."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from harness.servers import Database, fresh_database
from harness.vercel import ProjectAt, fresh_project
from sandbox import app
from sandbox.github import CheckRun, Commit, GitHubServer, Repository, Status
from sandbox.processes import wait_until
from sandbox.standin.service import Heard
from sandbox.vercel import Deployment, GitLink, VercelServer

if TYPE_CHECKING:
    from sandbox import PostgresServer

REPOSITORY = "acme/web"


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubServer]:
    with GitHubServer(tmp_path_factory.mktemp("github")) as started:
        yield started


@pytest.fixture(scope="module")
def films(postgres: PostgresServer) -> Iterator[Database]:
    with fresh_database(postgres) as made:
        made.execute("CREATE TABLE film (title text); INSERT INTO film VALUES ('ACADEMY DINOSAUR')")
        yield made


@pytest.fixture(scope="module")
def project(vercel: VercelServer, github: GitHubServer, films: Database) -> ProjectAt:
    """A project with a repository, and the database's address among its variables."""
    link = GitLink(org="acme", repo="web", repo_id=7, api_url=github.api_url, token=github.token)
    made = fresh_project(vercel, link=link)
    document = {"key": "DATABASE_URL", "value": films.url, "type": "sensitive", "target": ["production", "preview"]}
    assert ask(made, "POST", f"/v10/projects/{made.id}/env", document).status == 201
    return made


def ask(project: ProjectAt, method: str, path: str, body: object = None) -> Heard:
    join = "&" if "?" in path else "?"
    return project.server.ask(method, f"{path}{join}slug={project.team}", body, token=project.token)


def ended(project: ProjectAt, name: str) -> Deployment:
    """Wait for the end of a build, and of the move of the hostnames after it."""
    done = ("READY", "ERROR", "CANCELED")
    assert wait_until(lambda: project.deployment(name).state in done, seconds=60)
    assert wait_until(lambda: project.deployment(name).alias_at is None, seconds=10)
    return project.deployment(name)


def prebuilt(project: ProjectAt, sources: Path, **fields: Any) -> str:
    """Deploy as the official command line does, in its order."""
    output = app.build(sources)
    paths = [path for path in output.rglob("*") if path.is_file()]
    contents = {str(path.relative_to(sources)): path.read_bytes() for path in paths}
    files = [
        {"file": name, "sha": digest(content), "size": len(content), "mode": 0o100644}
        for name, content in contents.items()
    ]
    body = {"name": project.name, "project": project.id, "files": files, "version": 2, "source": "cli", **fields}
    path = "/v13/deployments?prebuilt=1&skipAutoDetectionConfirmation=1"
    first = ask(project, "POST", path, body)
    assert first.status == 400
    assert first.json["error"]["code"] == "missing_files"
    for missing in first.json["error"]["missing"]:
        content = next(each for each in contents.values() if digest(each) == missing)
        assert upload(project, content, missing).status == 200
    second = ask(project, "POST", path, body)
    assert second.status == 200, second.body
    return str(second.json["id"])


def digest(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def upload(project: ProjectAt, content: bytes, claimed: str) -> Heard:
    headers = {
        "Authorization": f"Bearer {project.token}",
        "Content-Type": "application/octet-stream",
        "x-now-digest": claimed,
        "x-now-size": str(len(content)),
    }
    return project.server.send("POST", f"/v2/files?slug={project.team}", body=content, headers=headers)


def test_a_release_from_git_is_built_and_works_on_the_database(
    project: ProjectAt, github: GitHubServer, tmp_path: Path
) -> None:
    sha = app.commit(github, tmp_path, repository=REPOSITORY, query="SELECT title FROM film")
    git = {"type": "github", "repoId": 7, "ref": "main", "sha": sha}
    body = {"name": project.name, "target": "production", "gitSource": git, "autoAssignCustomDomains": False}
    made = ask(project, "POST", "/v13/deployments?forceNew=1", body).json
    assert made["readyState"] in ("QUEUED", "INITIALIZING", "BUILDING"), "nobody waits for the build"
    deployment = ended(project, made["id"])
    assert (deployment.state, deployment.substate) == ("READY", "STAGED")
    assert project.now.production == project.good, "it was asked to take no traffic"
    heard = project.server.visit(deployment.url, "/api/selftest")
    assert (heard.status, heard.json["release"], heard.json["ok"]) == (200, sha, True)
    assert [each["name"] for each in heard.json["checks"]] == ["query", "write"]
    assert b"release " + sha.encode() in project.server.visit(deployment.url, "/").body
    log = ask(project, "GET", f"/v3/deployments/{deployment.id}/events?limit=-1&builds=1").json
    assert f"Built release {sha}" in [each["text"] for each in log]


def test_a_release_that_does_not_build(project: ProjectAt, github: GitHubServer, tmp_path: Path) -> None:
    sha = app.commit(github, tmp_path, repository=REPOSITORY, build_fails=True)
    git = {"type": "github", "org": "acme", "repo": "web", "ref": "main", "sha": sha}
    made = ask(project, "POST", "/v13/deployments?forceNew=1", {"name": project.name, "gitSource": git}).json
    deployment = ended(project, made["id"])
    assert (deployment.state, deployment.error_message) == ("ERROR", 'Command "python3 build.py" exited with 1')
    foreign = {**git, "repo": "other"}
    assert ask(project, "POST", "/v13/deployments", {"name": project.name, "gitSource": foreign}).status == 400


def test_prebuilt_takes_over_and_old_builds_keep_their_values(
    project: ProjectAt, films: Database, tmp_path: Path
) -> None:
    healthy = app.write(tmp_path / "healthy", release="healthy", query="SELECT title FROM film")
    first = ended(project, prebuilt(project, healthy, target="production"))
    assert (project.now.production, first.prebuilt) == (first.id, True)
    assert project.server.visit(project.host, "/api/health").json["release"] == "healthy"
    # What changes now reaches later builds only.
    variable = next(iter(project.server.world().variables_of(project.now)))
    wrong = films.url.replace(films.name, "nobody")
    assert ask(project, "PATCH", f"/v9/projects/{project.id}/env/{variable.id}", {"value": wrong}).status == 200
    assert project.server.visit(project.host, "/api/health").status == 200
    body = {"name": project.name, "deploymentId": first.id, "meta": {"action": "redeploy"}, "target": "production"}
    again = ended(project, ask(project, "POST", "/v13/deployments?forceNew=1", body).json["id"])
    assert (again.source, again.meta["action"]) == ("redeploy", "redeploy")
    heard = project.server.visit(project.host, "/api/health")
    assert (heard.status, heard.json["checks"][0]["error"]) == (503, "OperationalError")
    assert films.server.password.encode() not in heard.body
    assert ask(project, "PATCH", f"/v9/projects/{project.id}/env/{variable.id}", {"value": films.url}).status == 200
    logs = ask(project, "GET", f"/v1/projects/{project.id}/deployments/{again.id}/runtime-logs").body
    assert b'"responseStatusCode": 503' in logs


def test_a_migration_breaks_the_release_that_needs_what_it_takes_away(
    project: ProjectAt, films: Database, tmp_path: Path
) -> None:
    films.execute("ALTER TABLE film ADD COLUMN rating text")
    sources = app.write(tmp_path / "needs", release="needs-rating", query="SELECT rating FROM film")
    deployment = ended(project, prebuilt(project, sources))
    assert deployment.target is None
    assert project.server.visit(deployment.url, "/api/health").status == 200
    films.execute("ALTER TABLE film DROP COLUMN rating")
    heard = project.server.visit(deployment.url, "/api/health")
    assert (heard.status, heard.json["checks"][0]["error"]) == (503, "UndefinedColumn")


def test_a_slow_and_an_erring_release(project: ProjectAt, tmp_path: Path) -> None:
    sources = app.write(tmp_path / "bad", release="bad", slow_ms=200, error_percent=50)
    deployment = ended(project, prebuilt(project, sources))
    statuses = [project.server.visit(deployment.url, "/api/health").status for _visit in range(4)]
    assert sorted(statuses) == [200, 200, 500, 500]


def has_ended(process: psutil.Process) -> bool:
    """Whether it has, with its last thread: until then its port takes visitors. Its parent may not have looked yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE and len(os.listdir(f"/proc/{process.pid}/task")) <= 1
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True


def test_a_function_that_was_killed_is_started_again(project: ProjectAt, tmp_path: Path) -> None:
    sources = app.write(tmp_path / "killed", release="killed")
    deployment = ended(project, prebuilt(project, sources))
    assert project.server.visit(deployment.url, "/api/health").status == 200
    (server,) = project.server.processes()
    trees = str(deployment.id)
    (function,) = [each for each in server.children() if any(trees in part for part in each.cmdline())]
    function.kill()
    assert wait_until(lambda: has_ended(function), seconds=10), "until then it may still take a visitor with it"
    assert project.server.visit(deployment.url, "/api/health").status == 200


def test_functions_end_with_a_server_that_is_killed_and_come_back_with_it(tmp_path: Path) -> None:
    with VercelServer(tmp_path / "server") as server:
        project = fresh_project(server)
        sources = app.write(tmp_path / "app", release="survivor")
        deployment = ended(project, prebuilt(project, sources))
        assert server.visit(deployment.url, "/api/none").json["release"] == "survivor"
        (process,) = server.processes()
        (function,) = process.children()
        process.kill()
        assert wait_until(lambda: not function.is_running(), seconds=10)
        assert server.start() is True
        assert server.visit(deployment.url, "/api/none").json["release"] == "survivor"


def test_what_prebuilt_files_must_be(project: ProjectAt) -> None:
    assert upload(project, b"x", "0" * 40).status == 400
    place = f"/v13/deployments?prebuilt=1&slug={project.team}"
    outside = {"name": project.name, "files": [{"file": "../x", "data": "x"}]}
    assert project.server.ask("POST", place, outside, token=project.token).status == 400
    lacking = {"name": project.name, "files": [{"file": ".vercel/output/static/x", "data": "x"}]}
    made = project.server.ask("POST", place, lacking, token=project.token).json
    assert "config.json is missing" in str(ended(project, made["id"]).error_message)


def test_a_batch_of_variables_is_created_though_some_fail(project: ProjectAt) -> None:
    path = f"/v10/projects/{project.name}/env"
    one = {"key": "ONE", "value": "1", "type": "encrypted", "target": ["preview"]}
    done = ask(project, "POST", path, [one, {**one, "value": "2"}, {**one, "key": "TWO", "type": "plain"}])
    assert done.status == 201
    assert [each["key"] for each in done.json["created"]] == ["ONE", "TWO"]
    assert [each["error"]["code"] for each in done.json["failed"]] == ["ENV_ALREADY_EXISTS"]
    single = ask(project, "POST", path, one)
    assert (single.status, single.json["error"]["envVarId"]) == (403, done.json["created"][0]["id"])
    listed = {each["key"]: each for each in ask(project, "GET", path).json["envs"]}
    assert (listed["TWO"]["value"], listed["DATABASE_URL"]["value"]) == ("1", "")
    assert listed["ONE"]["decrypted"] is False
    assert ask(project, "GET", f"/v1/projects/{project.id}/env/{listed['ONE']['id']}").json["value"] == "1"
    ids = [listed["ONE"]["id"], listed["TWO"]["id"], "nobody"]
    gone = ask(project, "DELETE", f"/v1/projects/{project.id}/env", {"ids": ids}).json
    assert gone == {"deleted": 2, "ids": gone["ids"]}


def test_variables_that_a_token_cannot_see_collide_all_the_same(project: ProjectAt) -> None:
    project.server.change("tokens", project.token, hides=["HIDDEN"])
    path = f"/v10/projects/{project.name}/env"
    document = {"key": "HIDDEN", "value": "1", "type": "encrypted", "target": ["production"]}
    assert ask(project, "POST", path, document).status == 201
    listed = ask(project, "GET", path).json
    assert listed["hiddenProductionEnvCount"] == 1
    assert "HIDDEN" not in {each["key"] for each in listed["envs"]}
    assert ask(project, "POST", path, document).status == 403


def test_github_checks_and_archives(github: GitHubServer, tmp_path: Path) -> None:
    runs = (
        CheckRun(name="test", conclusion="failure", superseded=True),
        CheckRun(name="test"),
        CheckRun(name="lint", status="in_progress"),
    )
    sha = app.commit(github, tmp_path / "app", repository="acme/checked", check_runs=runs)
    place = "/repos/acme/checked"
    found = github.ask("GET", f"{place}/commits/{sha}/check-runs").json
    shown = [(each["name"], each["status"], each["conclusion"]) for each in found["check_runs"]]
    assert shown == [("test", "completed", "success"), ("lint", "in_progress", None)]
    assert github.ask("GET", f"{place}/commits/main/check-runs?filter=all&per_page=2").json["total_count"] == 3
    assert github.ask("GET", f"{place}/commits/{sha[:7]}/status").json["state"] == "pending"
    commit = Commit(sha=sha, statuses=(Status(context="ci"), Status(context="deploy", state="error")))
    github.put(Repository(name="acme/statuses", commits={sha: commit}))
    assert github.ask("GET", f"/repos/acme/statuses/commits/{sha}/status").json["state"] == "failure"
    moved = github.ask("GET", f"{place}/tarball/main")
    assert moved.status == 302
    packed = tmp_path / "archive.tar.gz"
    target = moved.headers["Location"].removeprefix(github.api_url)
    packed.write_bytes(github.ask("GET", target).body)
    names = subprocess.run(["tar", "-tzf", packed], capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"acme-checked-{sha[:7]}/build.py" in names
    for path, token, status in (
        ("/repos/acme/nobody", None, 404),
        (place, "wrong", 401),
        (f"{place}/commits/{'0' * 40}/status", None, 422),
    ):
        assert github.ask("GET", path, token=token).status == status
    assert github.send("GET", place).status == 404, "a private repository does not exist for strangers"
