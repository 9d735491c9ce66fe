# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a deployment is made of, which one is the one that is wanted, and what is done about it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.deployment_plan import (
    DeploymentPlan,
    Seen,
    Source,
    Wish,
    body_of,
    check_target,
    chosen,
    git_source,
    plan_of,
    prebuilt_source,
    redeploy_source,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import (
    AliasJob,
    Deployment,
    Link,
    Project,
    RollingRelease,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.output import Output, read_output

from harness.stores import failing

SHA = "4f" * 20
PROJECT = Project(
    id="prj_1",
    name="web",
    production=Deployment(id="dpl_now"),
    link=Link(kind="github", known_by={"repoId": 7}, production_branch="main", name="acme/web"),
    environments={"staging": "env_1"},
)
SOURCE = git_source(PROJECT, SHA, "")
WISH = Wish(state="present", identity="v1", source=SOURCE)
MADE = Deployment(
    id="dpl_A", project_id="prj_1", state="READY", target="production", identity="v1", source=SOURCE.mark, created_at=1
)


# --- Sources ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "git"),
    [
        ({"type": "github", "repoId": 7, "org": "acme", "repo": "web", "productionBranch": "main"},
         {"type": "github", "repoId": 7}),
        ({"type": "gitlab", "projectId": "9", "productionBranch": "main"}, {"type": "gitlab", "projectId": "9"}),
        ({"type": "bitbucket", "uuid": "{u}", "workspaceUuid": "{w}", "productionBranch": "main"},
         {"type": "bitbucket", "repoUuid": "{u}", "workspaceUuid": "{w}"}),
    ],
)  # fmt: skip
def test_a_commit_of_whatever_the_project_is_connected_with(link: dict[str, Any], git: dict[str, Any]) -> None:
    project = Project.read({"id": "prj_1", "name": "web", "link": link})
    assert git_source(project, SHA, "").body == {"gitSource": {**git, "ref": "main", "sha": SHA}}
    assert git_source(project, SHA, "topic").body["gitSource"]["ref"] == "topic"


def test_no_repository_and_no_whole_commit() -> None:
    for link in (None, {"type": "svn"}, {"type": "github"}):
        with failing("repository_unlinked"):
            git_source(Project.read({"id": "prj_1", "name": "web", "link": link}), SHA, "")
    with failing("invalid_parameter"):
        git_source(PROJECT, SHA[:12], "")


def test_requests() -> None:
    production = body_of(WISH, SOURCE, PROJECT)
    assert (production["target"], production["autoAssignCustomDomains"]) == ("production", False)
    assert production["meta"] == {"runbooks_identity": "v1", "runbooks_source": f"git:{SHA}"}
    assert "autoAssignCustomDomains" not in body_of(replace(WISH, assigns=True), SOURCE, PROJECT)
    assert "target" not in body_of(replace(WISH, target="preview"), SOURCE, PROJECT)
    custom = body_of(replace(WISH, target="staging"), SOURCE, PROJECT)
    assert ("target" not in custom, custom["customEnvironmentSlugOrId"]) == (True, "env_1")
    again = body_of(replace(WISH, meta={"by": "me"}), redeploy_source(MADE), PROJECT)
    assert (again["deploymentId"], again["meta"]["action"], again["meta"]["by"]) == ("dpl_A", "redeploy", "me")
    with failing("invalid_parameter") as failure:
        check_target(replace(WISH, target="prod"), PROJECT)
    assert "production, preview, staging" in failure().message


# --- What was built here ---------------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path: Path) -> Path:
    output = tmp_path / ".vercel" / "output"
    (output / "static").mkdir(parents=True)
    (output / "functions" / "api.func").mkdir(parents=True)
    (output / "config.json").write_text('{"version": 3}')
    (output / "builds.json").write_text('{"target": "production", "builds": []}')
    (output / "static" / "index.html").write_text("hello")
    (output / "static" / "empty.txt").write_text("")
    (output / "functions" / "api.func" / "run").write_text("#!/bin/sh\n")
    (output / "functions" / "api.func" / "run").chmod(0o755)
    (output / "functions" / "other.func").symlink_to("api.func")
    return tmp_path


def test_files_links_and_modes(built: Path) -> None:
    found = {each.name: each for each in read_output(built, "production").files}
    assert sorted(found) == [
        ".vercel/output/builds.json",
        ".vercel/output/config.json",
        ".vercel/output/functions/api.func/run",
        ".vercel/output/functions/other.func",
        ".vercel/output/static/empty.txt",
        ".vercel/output/static/index.html",
    ]
    link = found[".vercel/output/functions/other.func"]
    assert (link.mode & 0o170000, link.size, link.sha) == (0o120000, 8, sha1(b"api.func").hexdigest())
    with link.content() as content:
        assert content.read() == b"api.func"
    assert found[".vercel/output/functions/api.func/run"].mode & 0o111
    assert found[".vercel/output/static/index.html"].sha == sha1(b"hello").hexdigest()


def test_the_same_build_elsewhere_is_the_same(built: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the umask and the time; not with another content, kind or name."""
    before = read_output(built, "production")
    page = built / ".vercel" / "output" / "static" / "index.html"
    page.chmod(0o600)
    os.utime(page, (1, 1))
    assert read_output(built, "production").digest == before.digest
    page.chmod(0o755)
    assert read_output(built, "production").digest != before.digest
    source = prebuilt_source(before, str(built))
    assert (source.identity, source.body["projectSettings"]["rootDirectory"]) == (
        f"prebuilt-{before.digest[:40]}",
        None,
    )


def test_what_functions_take_in_from_elsewhere(built: Path) -> None:
    config = built / ".vercel" / "output" / "functions" / "api.func" / ".vc-config.json"
    (built / "node_modules" / "x").mkdir(parents=True)
    (built / "node_modules" / "x" / "index.js").write_text("1")
    config.write_text(json.dumps({"filePathMap": {"x/index.js": "node_modules/x/index.js", "y": "node_modules/x"}}))
    names = [each.name for each in read_output(built, "production").files]
    assert names.count("node_modules/x/index.js") == 1
    config.write_text(json.dumps({"filePathMap": {"x": "../secrets"}}))
    with failing("source_unusable") as failure:
        read_output(built, "production")
    assert "../secrets" in failure().message


@pytest.mark.parametrize(
    ("spoil", "code", "word"),
    [
        (lambda output: (output / "config.json").unlink(), "source_missing", "config.json"),
        (lambda output: (output / "config.json").write_text('{"version": 2}'), "source_unusable", "version"),
        (lambda output: (output / "config.json").write_text("["), "source_unusable", "JSON"),
        (lambda output: (output / "builds.json").write_text('{"target": "preview"}'), "source_unusable", "preview"),
        (lambda output: (output / "builds.json").write_text('{"builds": [{"error": {}}], "error": {"a": 1}}'),
         "source_unusable", "failed"),
        (lambda output: os.mkfifo(output / "static" / "pipe"), "source_unusable", "pipe"),
    ],
)  # fmt: skip
def test_what_cannot_be_deployed(built: Path, spoil: Callable[[Path], object], code: str, word: str) -> None:
    spoil(built / ".vercel" / "output")
    with failing(code) as failure:
        read_output(built, "production")
    assert word in failure().message


def test_a_file_that_changes_between_reading_and_upload(built: Path) -> None:
    page = built / ".vercel" / "output" / "static" / "index.html"
    found = next(each for each in read_output(built, "production").files if each.path == page)
    page.write_text("hello again")
    with failing("source_changed"), found.content():
        pass


def test_nothing_was_built(tmp_path: Path) -> None:
    with failing("source_missing") as failure:
        read_output(tmp_path, "production")
    assert "vercel build" in failure().message


# --- Which one, and what is done -------------------------------------------------------------------------


def test_the_first_of_what_has_not_failed_is_chosen() -> None:
    others = [
        replace(MADE, id="dpl_later", created_at=9),
        replace(MADE, id="dpl_failed", state="ERROR", created_at=0),
        replace(MADE, id="dpl_gone", gone=True, created_at=0),
        replace(MADE, id="dpl_preview", target="", created_at=0),
        replace(MADE, id="dpl_other", identity="v2", created_at=0),
        replace(MADE, id="dpl_source", source="git:other", created_at=0),
    ]
    found = chosen([*others, MADE], WISH, SOURCE)
    assert found == MADE
    assert chosen(others[1:], WISH, SOURCE) is None


def planned(wish: Wish = WISH, **seen: Any) -> DeploymentPlan:
    return plan_of(wish, Seen(**{"project": PROJECT, **seen}))


def test_a_deployment_that_is_there() -> None:
    plan = planned(found=MADE)
    assert (plan.changed, plan.result["id"], plan.result["serving"]) == (False, "dpl_A", False)
    assert planned(found=replace(MADE, id="dpl_now")).result["serving"] is True


def test_a_deployment_of_another_commit_is_not_that_one() -> None:
    with failing("deployment_differs") as failure:
        planned(found=replace(MADE, sha="aa" * 20))
    assert "aaaaaaaaaaaa" in failure().message


@pytest.mark.parametrize(
    ("changes", "assigns", "waits"),
    [
        ({"state": "BUILDING"}, False, True),
        ({}, False, False),
        ({}, True, True),
        ({"aliased": True}, True, False),
        ({"aliased": True, "alias_error": "no"}, True, True),
    ],
)
def test_what_is_waited_for(changes: dict[str, Any], assigns: bool, waits: bool) -> None:
    plan = planned(replace(WISH, assigns=assigns), found=replace(MADE, **changes))
    assert (plan.changed, plan.creates) == (waits, False)


def test_a_deployment_that_is_not_there() -> None:
    plan = planned()
    assert (plan.changed, plan.creates, plan.result["id"], plan.result["substate"]) == (True, True, None, "STAGED")
    assert plan.steps == (
        f"build commit {SHA[:12]} of acme/web for production as v1",
        "wait until it is ready; it takes no traffic until it is promoted",
    )
    files = Source(mark="prebuilt:x", name="the build", body={}, output=Output(files=(), digest="x"))
    assert planned(replace(WISH, source=files)).steps[0] == "hand over what Vercel lacks of 0 files (0 B)"


def test_ends() -> None:
    cancel = Wish(state="canceled", named="dpl_A")
    assert planned(cancel, found=replace(MADE, state="QUEUED")).steps == ("cancel the build of dpl_A",)
    assert not planned(cancel, found=replace(MADE, state="ERROR")).changed
    with failing("deployment_unusable"):
        planned(cancel, found=MADE)
    with failing("deployment_missing"):
        planned(cancel)
    absent = Wish(state="absent", named="dpl_A")
    assert planned(absent, found=MADE).irreversible
    assert not planned(absent).changed


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        ({"project": replace(PROJECT, production=MADE)}, "serves production"),
        ({"domains": ("a.example", "b.example")}, "a.example, b.example lead to it"),
        ({"rolling": RollingRelease(state="ACTIVE", canary_id="dpl_A", current_id="", percentage=None)}, "rolling"),
        ({"project": replace(PROJECT, job=AliasJob(kind="promote", to_id="dpl_A", from_id=None, status="pending",
                                                   requested_at=1))}, "promote"),
    ],
)  # fmt: skip
def test_what_visitors_get_is_not_deleted(seen: dict[str, Any], word: str) -> None:
    with failing("deployment_unusable") as failure:
        planned(Wish(state="absent", named="dpl_A"), found=MADE, **seen)
    assert word in failure().message
