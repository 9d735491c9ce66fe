# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments are made once, whatever happens on the way, and take no traffic."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.memory import PeakMemory
from harness.children import until
from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.servers import FileStoreAt
from harness.sites import Site, make_site

if TYPE_CHECKING:
    from sandbox.vercel import Deployment, VercelServer

Call = Callable[..., Outcome]
MIB = 1024 * 1024
SHA = "5c1e" * 10
GIT = {"sha": SHA}


@pytest.fixture
def site(vercel: VercelServer) -> Iterator[Site]:
    from sandbox.vercel import CustomEnvironment, GitLink

    vercel.faults()
    vercel.forget()
    custom = CustomEnvironment(id="env_1", slug="staging")
    yield make_site(vercel, link=GitLink(org="acme", repo="web", repo_id=7), custom_environments=(custom,))
    vercel.faults()


@pytest.fixture
def call(run_module: ModuleRunner, site: Site) -> Call:
    """``call(git=GIT)``: with the options of the site."""

    def run(*, check: bool = False, diff: bool = False, **params: Any) -> Outcome:
        return run_module("vercel_deployment", {**site.options, "timeout": "30s", **params}, check=check, diff=diff)

    return run


def asked(site: Site) -> int:
    """How many deployments were asked for."""
    return len(site.vercel.requests("POST", "/v13/deployments"))


def made(site: Site) -> list[Deployment]:
    """What was made by this collection, and has not failed."""
    mine = site.vercel.world().of_project(site.project)
    return [each for each in mine if "runbooks_identity" in each.meta and each.state not in ("CANCELED", "ERROR")]


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What `vercel build` would have left, with a link, an empty file, and two files of one content.

    The service has had none of it but the link and the empty file, where another test has handed them over.
    """
    mark = tmp_path.name
    output = tmp_path / "built" / ".vercel" / "output"
    (output / "static" / "docs").mkdir(parents=True)
    (output / "config.json").write_text(f'{{"version": 3, "routes": [], "by": "{mark}"}}')
    (output / "builds.json").write_text(f'{{"target": "production", "builds": [], "by": "{mark}"}}')
    for page in ("page.html", "docs/page.html"):
        (output / "static" / page).write_text(f"<p>{mark}</p>")
    (output / "static" / "empty.txt").write_text("")
    (output / "static" / "linked.html").symlink_to("page.html")
    return tmp_path / "built"


# --- From Git ----------------------------------------------------------------------------------------------


def test_a_commit_is_built_once_and_takes_no_traffic(
    call: Call, site: Site, run_module: ModuleRunner, file_store: FileStoreAt
) -> None:
    """Predicted, done, done again; with a record; promoted later it is still the same."""
    store = {**file_store.args, "environment": "test", "name": "web"}
    told = call(git=GIT, check=True, diff=True).ok()
    assert (told.changed, told["deployment"]["id"], made(site)) == (True, None, [])
    done = call(git=GIT, diff=True, meta={"by": "a test"}, **store).ok()
    again, checked = call(git=GIT, **store).ok(), call(git=GIT, check=True).ok()
    assert (done.changed, again.changed, checked.changed, asked(site)) == (True, False, False, 1)
    assert (done["plan"], done["diff"]) == (told["plan"], told["diff"])
    found = done["deployment"]
    assert again["deployment"]["id"] == checked["deployment"]["id"] == found["id"]
    assert (found["state"], found["substate"], found["serving"]) == ("READY", "STAGED", False)
    assert (found["sha"], found["ref"], found["target"]) == (SHA, "main", "production")
    assert made(site)[0].meta["by"] == "a test"
    assert site.serves == "C"
    keys = list(file_store.keys())
    assert len([key for key in keys if "/runs/" in key]) == 1
    assert [key for key in keys if "/locks/deployment/web.production" in key]
    run_module("vercel_promote", {**site.options, "to": found["id"]}).ok()
    after = call(git=GIT).ok()
    assert (after.changed, after["deployment"]["serving"], after["deployment"]["substate"]) == (False, True, "PROMOTED")
    assert site.vercel.token not in done.everything


def test_another_identity_target_or_commit_is_another_deployment(call: Call, site: Site) -> None:
    for changes in (
        {},
        {"identity": "second"},
        {"target": "preview"},
        {"target": "staging"},
        {"git": {"sha": "ab" * 20}},
    ):
        said = call(**{"git": GIT, **changes}).ok()
        assert said.changed
        assert said["deployment"]["target"] == changes.get("target", "production")
        assert not call(**{"git": GIT, **changes}).ok().changed
    assert len({each.id for each in made(site)}) == 5
    assert [each.custom_environment for each in made(site) if each.custom_environment] == ["env_1"]
    assert site.serves == "C"


def test_domains_follow_where_that_is_wanted(call: Call, site: Site) -> None:
    done = call(git=GIT, assign_domains=True).ok()
    assert (done["deployment"]["serving"], done["deployment"]["substate"]) == (True, "PROMOTED")
    assert not call(git=GIT, assign_domains=True).ok().changed
    site.change(auto_assign=False)
    pinned = call(git={"sha": "ab" * 20}, assign_domains=True).ok()
    assert pinned["deployment"]["serving"] is False
    assert any("auto-assign" in str(each) for each in pinned["warnings"])
    site.change(auto_assign=True, domains=[{"name": site.host, "fails": True}])
    failed = call(git={"sha": "cd" * 20}, assign_domains=True).refused("build_failed")
    assert site.host in failed.message


def test_another_commit_than_the_one_that_was_asked_for_is_no_success(call: Call, site: Site) -> None:
    found = call(git=GIT).ok()["deployment"]["id"]
    meta = dict(made(site)[0].meta) | {"githubCommitSha": "ee" * 20}
    site.vercel.change("deployments", found, meta=meta)
    assert "eeeeeeeeeeee" in call(git=GIT).refused("deployment_differs").message


# --- Prebuilt, and again -----------------------------------------------------------------------------------


def test_what_was_built_here_is_handed_over_once(call: Call, site: Site, built: Path, tmp_path: Path) -> None:
    """Each content once, in the order in which the official command line does it; then it really serves."""
    told = call(prebuilt=str(built), check=True).ok()
    assert site.vercel.requests("POST") == []
    done = call(prebuilt=str(built)).ok()
    posts = [each["target"].partition("?")[0] for each in site.vercel.requests("POST")]
    uploads = len(posts) - 2
    assert posts == ["/v13/deployments", *["/v2/files"] * uploads, "/v13/deployments"]
    assert 3 <= uploads <= 5, "six files, five contents"
    assert done["plan"] == told["plan"]
    found = made(site)[0]
    assert (found.prebuilt, found.substate, done["deployment"]["prebuilt"]) == (True, "STAGED", True)
    for path in ("/page", "/docs/page", "/linked.html"):
        assert site.vercel.visit(found.url, path).body == f"<p>{tmp_path.name}</p>".encode(), path
    assert site.vercel.visit(found.url, "/empty.txt").status == 200
    assert not call(prebuilt=str(built)).ok().changed
    other = call(prebuilt=str(built), identity="other").ok()
    assert (other.changed, len(site.vercel.requests("POST", "/v2/files"))) == (True, uploads)
    (built / ".vercel" / "output" / "builds.json").write_text('{"target": "preview"}')
    assert "preview" in call(prebuilt=str(built)).refused("source_unusable").message


@pytest.mark.skipif(sys.platform != "linux", reason="PSS is read from /proc")
def test_a_large_file_is_not_held_in_memory(run_module: ModuleRunner, site: Site, built: Path) -> None:
    with (built / ".vercel" / "output" / "static" / "film.bin").open("wb") as film:
        film.truncate(160 * MIB)
    child = run_module.start("vercel_deployment", {**site.options, "prebuilt": str(built)})
    with PeakMemory(child.pid, "vercel_deployment", interval=0.02) as memory:
        read_outcome(child.wait(120)).ok()
    assert 0 < memory.peak < 100 * MIB, f"it took {memory.peak / MIB:.0f} MiB"


def test_an_upload_that_is_dropped_or_refused(call: Call, site: Site, built: Path) -> None:
    site.vercel.faults({"path": "/v2/files", "times": 2, "drop": True})
    call(prebuilt=str(built)).ok()
    (built / ".vercel" / "output" / "static" / "page.html").write_text(f"<p>another {built}</p>")
    site.vercel.faults({"path": "/v2/files", "status": 429, "code": "api-upload-free", "retry_after": 5})
    said = call(prebuilt=str(built)).refused("rate_limited")
    assert "api-upload-free" in said.message
    assert len(made(site)) == 1


def test_a_deployment_is_built_again_with_the_variables_of_today(call: Call, site: Site) -> None:
    first = call(git=GIT).ok()["deployment"]["id"]
    variable = {"key": "A_NAME", "value": "new", "target": ["production"], "type": "plain"}
    site.vercel.ask("POST", f"/v10/projects/{site.project_id}/env?slug=sandbox", variable)
    done = call(redeploy=first, identity="rotation-1").ok()
    assert not call(redeploy=first, identity="rotation-1").ok().changed
    again = site.vercel.world().deployments[done["deployment"]["id"]]
    assert (again.env["A_NAME"], again.source, again.substate) == ("new", "redeploy", "STAGED")
    assert (done["deployment"]["sha"], again.meta["action"]) == (SHA, "redeploy")
    assert not call(git=GIT).ok().changed, "what was copied of its marks does not make it the first"


# --- When things go wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [{"drop": True}, {"drop": True, "after": True}, {"status": 502, "after": True}, {"status": 503}]
)
def test_an_answer_that_is_lost(call: Call, site: Site, fault: dict[str, Any]) -> None:
    """Whether or not the request was carried out: one deployment, and it is found."""
    site.vercel.faults({"method": "POST", "path": "/v13/deployments", "times": 1, **fault})
    assert call(git=GIT).ok().changed
    assert (len(made(site)), asked(site)) == (1, 1 if fault.get("after") else 2)


@pytest.mark.parametrize("moment", ["asked", "building", "uploading"])
def test_a_run_that_is_killed(run_module: ModuleRunner, call: Call, site: Site, built: Path, moment: str) -> None:
    """At any point; the same command again converges to one deployment."""
    source: dict[str, Any] = {"prebuilt": str(built)} if moment == "uploading" else {"git": GIT}
    posts, upload = {"method": "POST", "path": "/v13/deployments"}, {"path": "/v2/files", "skip": 1}
    if moment == "building":
        site.change(timings={"build": 2500})
    else:
        spoilt = {**posts, "delay_after": 60_000} if moment == "asked" else {**upload, "delay": 60_000}
        site.vercel.faults({**spoilt, "times": 1})
    child = run_module.start("vercel_deployment", {**site.options, **source})
    path = "/v2/files" if moment == "uploading" else "/v13/deployments"
    until(lambda: len(site.vercel.requests("POST", path)) > (1 if moment == "uploading" else 0))
    until(lambda: moment == "uploading" or made(site))
    child.kill()
    site.vercel.faults()
    before = asked(site)
    again = call(**source).ok()
    assert again["deployment"]["state"] == "READY"
    assert [each.id for each in made(site)] == [again["deployment"]["id"]]
    assert asked(site) - before == (2 if moment == "uploading" else 0)
    assert not call(**source).ok().changed


def test_two_runs_at_once_without_a_lock_agree_on_one(run_module: ModuleRunner, site: Site) -> None:
    site.change(timings={"build": 2500})
    site.vercel.faults({"method": "POST", "path": "/v13/deployments", "delay": 1500})
    args = {**site.options, "git": GIT, "timeout": "60s"}
    children = [run_module.start("vercel_deployment", args) for _run in range(2)]
    said = [read_outcome(child.wait(60)).ok() for child in children]
    assert len({each["deployment"]["id"] for each in said}) == 1
    assert len(made(site)) == 1


def test_a_build_that_fails_is_told_with_the_end_of_its_log(call: Call, site: Site) -> None:
    """Every attempt builds it anew: its source may have been mended, and its account."""
    from sandbox.vercel import Build

    broken = Build(fails=True, error='Command "npm run build" exited with 1')
    site.change(builds={SHA: {"fails": broken.fails, "error": broken.error}})
    said = call(git=GIT).refused("build_failed")
    assert broken.error in said.message
    assert said["failure"]["log"][-1] == f"Error: {broken.error}"
    assert said["failure"]["deployment_id"].startswith("dpl_")
    assert said["deployment"]["id"] == said["failure"]["deployment_id"]
    site.change(builds={SHA: {"blocked": True}})
    assert "seat" in call(git=GIT).refused("build_failed").message
    site.change(builds={})
    assert call(git=GIT).ok().changed
    assert site.serves == "C"


def test_a_build_that_takes_too_long_is_found_by_the_next_run_or_cancelled(call: Call, site: Site) -> None:
    site.change(timings={"build": 60_000})
    late = call(git=GIT, timeout="1s").refused("build_running")
    assert "asks for no second one" in late.message
    found = late["failure"]["deployment_id"]
    predicted = call(git=GIT, check=True).ok()
    assert predicted["plan"]["steps"] == [predicted["plan"]["steps"][0]]
    assert found in predicted["plan"]["steps"][0]
    cancel = {"state": "canceled", "deployment": found}
    assert call(**cancel, check=True).ok().changed
    assert len(made(site)) == 1
    site.vercel.faults({"method": "PATCH", "path": "/cancel", "times": 1, "drop": True})
    done = call(**cancel).ok()
    assert (done.changed, done["deployment"]["state"]) == (True, "CANCELED")
    assert not call(**cancel).ok().changed
    assert asked(site) == 1


def test_limits(call: Call, site: Site) -> None:
    posts = {"method": "POST", "path": "/v13/deployments", "status": 429}
    site.vercel.faults({**posts, "code": "api-deployments-free-per-day", "retry_after": 5})
    assert "limit of the day" in call(git=GIT).refused("rate_limited").message
    site.vercel.faults({**posts, "times": 1, "retry_after": 1})
    assert call(git=GIT).ok().changed
    assert len(made(site)) == 1


# --- Ends and refusals -------------------------------------------------------------------------------------


def test_what_is_taken_away(call: Call, site: Site) -> None:
    """Not what visitors get; what is gone stays gone, and a lost answer is no trouble."""
    gone = {"state": "absent", "deployment": site.id("D")}
    assert call(**gone, check=True).ok()["plan"]["irreversible"]
    assert site.id("D") in str(call(state="canceled", deployment=site.id("D")).refused("deployment_unusable").message)
    site.vercel.faults({"method": "DELETE", "status": 403})
    call(**gone).refused("service_denied")
    site.vercel.faults({"method": "DELETE", "times": 1, "drop": True, "after": True})
    done = call(**gone).ok()
    assert (done.changed, done["deployment"]["state"]) == (True, "DELETED")
    assert site.vercel.world().deployments[site.id("D")].state == "DELETED"
    assert not call(**gone).ok().changed
    assert "serves production" in call(state="absent", deployment=site.id("C")).refused("deployment_unusable").message


def test_refusals(call: Call, site: Site) -> None:
    """One sentence that names the thing; nothing is changed."""
    from sandbox.vercel import GitLink

    other = make_site(site.vercel)
    refusals: list[tuple[dict[str, Any], str, str]] = [
        ({"git": {"sha": "main"}}, "invalid_parameter", "git.sha"),
        ({"git": GIT, "target": "prod"}, "invalid_parameter", "staging"),
        ({"git": GIT, "identity": "a b"}, "invalid_parameter", "identity"),
        ({"git": GIT, "meta": {"runbooks_identity": "x"}}, "invalid_parameter", "meta"),
        ({"git": GIT, "project": "no-such"}, "project_missing", "no-such"),
        ({"git": GIT, "team": "no-such"}, "service_denied", "no-such"),
        ({"git": GIT, "token": "wrong-token-kanarienvogel"}, "service_denied", "VERCEL_TOKEN"),
        ({"git": GIT, "api_url": "http://api.example.com"}, "invalid_parameter", "api_url"),
        ({"git": GIT, "api_url": "http://127.0.0.1:9", "timeout": "1s"}, "service_unreachable", "9"),
        ({"git": GIT, "redeploy": "x"}, "invalid_parameter", "mutually exclusive"),
        ({}, "invalid_parameter", "git, prebuilt, redeploy"),
        ({"prebuilt": "/no/such"}, "source_missing", "vercel build"),
        ({"redeploy": "dpl_unknown"}, "deployment_missing", "dpl_unknown"),
        ({"redeploy": other.id("A")}, "deployment_unusable", "another project"),
        ({"redeploy": site.host}, "deployment_missing", site.id("C")),
        ({"state": "absent", "deployment": other.id("A")}, "deployment_unusable", "another project"),
        ({"state": "canceled", "deployment": "dpl_unknown"}, "deployment_missing", "dpl_unknown"),
    ]
    for params, code, word in refusals:
        said = call(**params).refused(code)
        assert word in said.message, said.message
        assert "kanarienvogel" not in said.everything
    site.change(link=None)
    assert "prebuilt" in call(git=GIT).refused("repository_unlinked").message
    site.change(link={"org": "acme", "repo": "web", "repo_id": GitLink().repo_id}, rolling_stages=[10, 100])
    call(git=GIT, assign_domains=True).refused("rolling_release_active")
    assert (made(site), site.serves, asked(site)) == ([], "C", 0)
