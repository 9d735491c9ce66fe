# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrations from the archive of exactly one commit, fetched from a stand-in for GitHub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.servers import Database, FileStoreAt
from sandbox.github import Commit, GitHubServer, Repository

SHA = hashlib.sha1(b"a commit").hexdigest()


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubServer]:
    with GitHubServer(tmp_path_factory.mktemp("github")) as started:
        sources = tmp_path_factory.mktemp("sources")
        (sources / "db" / "old").mkdir(parents=True)
        (sources / "db" / "0001_a.sql").write_text("CREATE TABLE a (x int)")
        (sources / "db" / "old" / "0000_z.sql").write_text("DROP TABLE a")
        commits = {SHA: Commit(sha=SHA, sources=str(sources))}
        started.put(Repository(name="acme/web", commits=commits, refs={"main": SHA}, formerly=("acme/old",)))
        yield started


def test_the_archive_of_a_commit(
    github: GitHubServer, database: Database, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    login = {name: value for name, value in database.args.items() if name != "bindir"}
    common = {**file_store.args, **login, "environment": "production", "name": "main", "release": SHA}

    def call(*, check: bool = False, env: dict[str, str] | None = None, **changes: Any) -> Outcome:
        archive = {"repository": "acme/web", "sha": SHA, "path": "db", "api_url": github.api_url, **changes}
        return run_module("postgres_migration", {**common, "archive": archive}, check=check, env=env)

    good = {"token": github.token}
    assert call(check=True, **good).ok().changed
    done = call(**good).ok()
    assert [each["name"] for each in done["migration"]["applied"]] == ["0001_a"]
    assert done["migration"]["applied"][0]["release"] == SHA
    assert done["migration"]["source"] == f"acme/web/db at {SHA[:12]}"
    assert github.token not in done.everything
    assert not call(env={"GITHUB_TOKEN": github.token}).ok().changed

    # As a file has it, with the end of its line.
    assert not call(token=f"{github.token}\n").ok().changed

    call(token="wrong").refused("service_denied")
    call(env={"GITHUB_TOKEN": ""}).refused("connection_empty")
    assert "renamed" in call(**good, repository="acme/old").refused("repository_missing").message
    call().refused("source_missing")
    call(**good, sha="f" * 40).refused("source_missing")
    call(**good, sha="main").refused("invalid_parameter")
    call(**good, sha=SHA[:12]).refused("invalid_parameter")
    call(**good, path="none").refused("source_missing")
    call(**good, path="../..").refused("invalid_parameter")
    call(**good, repository="acme").refused("invalid_parameter")
    assert "plain http" in call(**good, api_url="http://192.0.2.1").refused("invalid_parameter").message
    asked = [each["target"] for each in github.requests("GET", "/_codeload/")]
    assert asked
    assert github.token not in "".join(asked)
