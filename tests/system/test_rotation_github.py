# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret of GitHub Actions gets what the app gets, sealed, once; and again where somebody else has changed it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.modules import ModuleRunner
from harness.rotations import KEY, Killed, Secret, file_destination
from harness.rotations import OPTIONS as NOTHING
from harness.stores import failing
from sandbox.github import GitHubServer, Repository


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHubServer]:
    with GitHubServer(tmp_path / "github") as started:
        yield started


@pytest.fixture
def repository(server: GitHubServer) -> str:
    name = f"o{secrets.token_hex(4)}/web"
    server.put(Repository(name=name, id=7))
    return name


def on_github(server: GitHubServer, repository: str) -> dict[str, Any]:
    place = {"token": server.token, "api_url": server.api_url, "repository": repository}
    return {**place, "name": "workflows", "type": "github_secret", "secret": "auth_secret", "value": "{value}"}


def held(server: GitHubServer, repository: str) -> str:
    """The secret, opened as GitHub opens it."""
    return str(server.vault(f"/repos/{repository}/actions").secrets["AUTH_SECRET"].value)


def writes(server: GitHubServer) -> int:
    return sum(each["method"] == "PUT" for each in server.requests(path="/actions/secrets"))


def test_workflows_get_what_the_app_gets(server: GitHubServer, repository: str, tmp_path: Path) -> None:
    current = tmp_path / "current"
    places = [file_destination(current), {**NOTHING, **on_github(server, repository)}]
    secret = Secret(store=f"file://{tmp_path}/store", destinations=places)
    assert secret.run()["phase"] == "idle"
    assert held(server, repository) == current.read_text(encoding="utf-8")
    assert (secret.run()["changed"], writes(server)) == (False, 1)
    state = server.control("GET", "state")["vaults"][0]
    changed = {**state["secrets"]["AUTH_SECRET"], "value": "x", "updated_at": "2040-01-01T00:00:00Z"}
    server.change("vaults", state["path"], secrets={"AUTH_SECRET": changed})
    assert secret.run()["steps"] == ["write workflows (github_secret)"]
    assert held(server, repository) == current.read_text(encoding="utf-8")
    secret.days, before = 91, held(server, repository)
    server.faults({"method": "PUT", "path": "/actions/secrets", "times": 1, "drop": True, "after": True})
    for number in range(40):
        secret.effects = []
        try:
            assert secret.run(die_before=number, sign_out_users=True)["phase"] == "grace"
            break
        except Killed:
            continue
    assert held(server, repository) == current.read_text(encoding="utf-8") != before


def test_what_somebody_else_writes_right_after_is_not_taken_for_ours(
    server: GitHubServer, repository: str, tmp_path: Path
) -> None:
    """The list already has the time of the other's change when it is asked whether ours has arrived."""
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[{**NOTHING, **on_github(server, repository)}])
    secret.run()
    secret.days = 91
    server.faults({"method": "PUT", "path": "/actions/secrets", "delay_after": 500, "times": 1})
    path = f"/repos/{repository}/actions"
    before = held(server, repository)

    def interfere() -> None:
        while held(server, repository) == before:
            time.sleep(0.02)
        theirs = {**server.control("GET", "state")["vaults"][0]["secrets"]["AUTH_SECRET"], "value": "theirs"}
        server.change("vaults", path, secrets={"AUTH_SECRET": {**theirs, "updated_at": "2040-01-01T00:00:00Z"}})

    with ThreadPoolExecutor() as pool:
        interfering = pool.submit(interfere)
        with failing("secrets_differ") as failed:
            secret.run(sign_out_users=True)
        interfering.result()
    assert "somebody else has changed it" in failed().message
    secret.run(sign_out_users=True)
    assert held(server, repository) not in (before, "theirs")


def test_by_the_module(server: GitHubServer, repository: str, tmp_path: Path, run_module: ModuleRunner) -> None:
    args = {"store": f"file://{tmp_path}/store", "environment": "test", "name": "auth_secret", "secrets_key": KEY}
    declared = {"provider": {"type": "generated"}, "destinations": [on_github(server, repository)]}
    said = run_module("secret_rotation", {**args, **declared}, verbosity=3, diff=True).ok()
    for each in (held(server, repository), server.token, KEY):
        assert each not in said.everything
    assert not run_module("secret_rotation", {**args, **declared}).ok().changed
    both = [{**on_github(server, repository), "organization": "acme"}]
    run_module("secret_rotation", {**args, **declared, "destinations": both}).refused("invalid_parameter")
