# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules of Vercel against a stand-in that keeps state, takes time and fails on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.children import until
from harness.modules import ModuleRunner, Outcome
from harness.servers import FileStoreAt
from harness.sites import Site, continuous_probe, make_site

if TYPE_CHECKING:
    from sandbox.vercel import VercelServer

Call = Callable[..., Outcome]


@pytest.fixture
def site(vercel: VercelServer) -> Iterator[Site]:
    yield make_site(vercel)
    vercel.faults()


@pytest.fixture
def call(run_module: ModuleRunner, site: Site, file_store: FileStoreAt) -> Call:
    """``call("rollback", to="previous")``: with the options of the site and of a store."""

    def run(kind: str, *, check: bool = False, diff: bool = False, **params: Any) -> Outcome:
        return run_module(f"vercel_{kind}", arguments(site, file_store, kind, **params), check=check, diff=diff)

    return run


def arguments(site: Site, at: FileStoreAt, kind: str, /, **params: Any) -> dict[str, Any]:
    known = {**site.options, "timeout": "30s"} if kind != "info" else dict(site.options)
    if kind != "info":
        known |= {**at.args, "environment": "test", "name": "web", "reason": "it is broken"}
    return {**known, **params}


# --- What there is ---------------------------------------------------------------------------------------


def test_info(call: Call, site: Site) -> None:
    variable = {"key": "A_NAME", "value": "kanarienvogel", "target": ["production"], "type": "encrypted"}
    site.vercel.ask("POST", f"/v10/projects/{site.project_id}/env?teamId=team_sandbox", variable)
    said = call("info").ok()
    found = said["vercel"]
    assert found["production"]["id"] == site.id("C")
    assert [each["id"] for each in found["candidates"]] == [site.id("B"), site.id("A")]
    assert found["domains"] == {site.host: site.id("C")}
    assert (found["auto_assign"], found["pinned_by_rollback"], found["rolling_release"]) == (True, False, None)
    assert (found["repository"], found["production_branch"], found["ungated_pushes"]) == (None, None, False)
    assert [each["key"] for each in found["variables"]] == ["A_NAME"]
    assert "kanarienvogel" not in said.everything
    assert site.vercel.token not in said.everything


# --- Rollback and its undo -------------------------------------------------------------------------------


def test_a_rollback_and_its_undo(call: Call, site: Site, file_store: FileStoreAt) -> None:
    """Predicted, done, done again; undone, undone again: two requests in all, and no visitor notices."""
    told = call("rollback", to="previous", auto_assign="false", check=True, diff=True).ok()
    assert (told.changed, site.serves, site.posts()) == (True, "C", [])
    assert not list(file_store.keys())
    with continuous_probe(site) as statuses:
        done = call("rollback", to="previous", auto_assign="false", diff=True).ok()
        again = call("rollback", to="previous", auto_assign="false").ok()
        undone = call("promote", to=site.id("C")).ok()
        still = call("promote", to=site.id("C")).ok()
    assert set(statuses) == {200}
    assert done["plan"] == told["plan"]
    assert done["diff"] == told["diff"]
    move = done["move"]
    assert (move["production"], move["auto_assign"], move["domains"]) == (
        site.id("B"),
        False,
        {site.host: site.id("B")},
    )
    assert (again.changed, again["move"]["production"]) == (False, site.id("B"))
    assert "from_deployment" in again["move"]["reason"]
    assert (undone.changed, undone["move"]["auto_assign"]) == (True, True)
    assert not still.changed
    assert site.serves == "C"
    assert [each.split("/")[-2:] for each in site.posts()] == [["rollback", site.id("B")], ["promote", site.id("C")]]
    records = [key for key in file_store.keys() if "/runs/" in key]  # noqa: SIM118
    assert len(records) == 2, "an unchanged run writes none"


def test_a_second_run_without_a_store_goes_no_further_back(call: Call, site: Site) -> None:
    for auto_assign in ("keep", "keep", "false"):
        call("rollback", to="previous", store=None, name=None, environment=None, auto_assign=auto_assign).ok()
    assert site.serves == "B"
    assert len(site.posts()) == 1
    assert site.project.auto_assign is True, "what is not moved is not touched"


def test_one_further_back_by_its_name(call: Call, site: Site) -> None:
    call("rollback", to="previous").ok()
    further = call("rollback", to="previous", from_deployment=f"https://{site.tag}-b.localhost").ok()
    assert (further.changed, site.serves) == (True, "A")
    late = call("rollback", to="previous", from_deployment=site.id("C")).ok()
    assert (late.changed, site.serves) == (False, "A")


@pytest.mark.parametrize("to", ["id", "url", "sha", "release"])
def test_a_target_by_each_of_its_names(call: Call, site: Site, to: str) -> None:
    names = {"id": site.id("A"), "url": f"https://{site.tag}-a.localhost/", "sha": "a" * 12, "release": "v1.2"}
    releases = [{"release": "v1.2", "deployment_id": site.id("A")}]
    said = call("rollback", to=names[to], releases=releases, check=True).ok()
    assert said["move"]["to_deployment"] == site.id("A")


def test_last_known_good(call: Call, site: Site) -> None:
    releases = [
        {"release": "v3", "deployment_id": site.id("C"), "gate": "pass"},
        {"release": "v2", "deployment_id": site.id("B"), "gate": "pass", "bad": "it loses orders"},
        {"release": "v1", "deployment_id": site.id("A"), "gate": "pass"},
    ]
    for _run in range(2):
        call("rollback", to="last_known_good", releases=releases).ok()
    assert site.serves == "A"
    assert len(site.posts()) == 1
    # A is sick too: C, which was left, is newer, and there is nothing good behind A.
    call("rollback", to="last_known_good", releases=releases, from_deployment=site.id("A")).refused("release_missing")
    assert site.serves == "A"


def test_previous_passes_over_what_is_bad(call: Call, site: Site) -> None:
    bad = [{"release": "v2", "deployment_id": site.id("B"), "gate": "pass", "bad": "it loses orders"}]
    assert call("rollback", to="previous", releases=bad, check=True).ok()["move"]["to_deployment"] == site.id("A")


def test_a_promote_of_what_never_served(call: Call, site: Site) -> None:
    done = call("promote", to=site.id("D")).ok()
    assert (done["move"]["production"], site.serves) == (site.id("D"), "D")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kind", ["rollback", "promote"])
def test_auto_assign_stays_as_it_was(call: Call, site: Site, kind: str, before: bool) -> None:
    """Vercel switches it off with the one and on with the other."""
    site.change(auto_assign=before)
    done = call(kind, to=site.id("B")).ok()
    assert (done["move"]["auto_assign"], site.project.auto_assign) == (before, before)


def test_a_setting_that_is_not_taken_is_no_success(call: Call, site: Site) -> None:
    """It is answered as done and is not; the next run finishes it."""
    site.vercel.faults({"method": "PATCH", "status": 200})
    call("rollback", to="previous", timeout="6s").refused("auto_assign_differs")
    site.vercel.faults({"method": "PATCH", "status": 403})
    denied = call("rollback", to="previous").refused("auto_assign_differs")
    assert f"production serves {site.id('B')} already" in denied.message
    site.vercel.faults()
    again = call("rollback", to="previous").ok()
    assert (again.changed, site.project.auto_assign, len(site.posts())) == (True, True, 1)


# --- Refusals: nothing is changed -------------------------------------------------------------------------


def test_refusals(call: Call, site: Site) -> None:
    other = make_site(site.vercel)
    forbidden = {"deployment_id": site.id("B"), "reason": "its key is retired"}
    bad = {"release": "v4", "deployment_id": site.id("D"), "bad": "it loses orders"}
    refusals = [
        ("rollback", {"to": site.id("D")}, "deployment_unusable", "never served"),
        ("rollback", {"to": other.id("A")}, "deployment_unusable", "another project"),
        ("rollback", {"to": "dpl_unknown"}, "deployment_missing", "dpl_unknown"),
        ("rollback", {"to": "last_known_good"}, "release_missing", "last_known_good"),
        ("rollback", {"to": "v9"}, "deployment_missing", "v9"),
        ("rollback", {"to": site.id("B"), "forbidden": [forbidden]},
         "deployment_forbidden", "its key is retired"),
        ("promote", {"to": site.id("D"), "releases": [bad]}, "deployment_forbidden", "it loses orders"),
        ("rollback", {"to": "previous", "from_deployment": "dpl_unknown"}, "deployment_missing", "dpl_unknown"),
        ("rollback", {"to": "previous", "from_deployment": site.host}, "deployment_missing", site.id("C")),
        ("rollback", {"to": "previous", "from_deployment": site.id("B")}, "deployment_unusable", site.id("C")),
        ("rollback", {"to": "previous", "project": "no-such"}, "project_missing", "no-such"),
        ("rollback", {"to": "previous", "team": "no-such"}, None, "no-such"),
        ("promote", {"to": site.id("D"), "token": "wrong-token-kanarienvogel"}, "service_denied", "VERCEL_TOKEN"),
        ("promote", {"to": site.id("D"), "api_url": "http://api.example.com"}, "invalid_parameter", "api_url"),
        ("promote", {"to": site.id("D"), "token": " "}, "connection_empty", "VERCEL_TOKEN"),
        ("promote", {"to": site.id("D"), "token": None}, "connection_missing", "VERCEL_TOKEN"),
        ("promote", {"to": site.id("D"), "api_url": "http://127.0.0.1:9", "timeout": "1s"}, "service_unreachable", "9"),
    ]  # fmt: skip
    for kind, params, code, word in refusals:
        said = call(kind, **params)
        assert said.failed, params
        assert said.code == code or code is None, said.message
        assert word in said.message, said.message
        assert "kanarienvogel" not in said.everything
    assert (site.posts(), site.serves) == ([], "C")


def test_a_preview_is_not_promoted(call: Call, site: Site) -> None:
    site.vercel.change("deployments", site.id("D"), target=None)
    assert "previews" in call("promote", to=site.id("D")).refused("deployment_unusable").message


def test_a_rolling_release_is_refused_by_name(call: Call, site: Site) -> None:
    release = {"id": f"rr_{site.tag}", "current": site.id("C"), "canary": site.id("D"), "state": "ACTIVE"}
    site.change(rolling_stages=[10, 100], release=release)
    assert site.id("D") in call("rollback", to="previous").refused("rolling_release_active").message
    assert site.posts() == []


def test_what_is_queued_behind_a_rolling_release_stays_on_record(
    call: Call, site: Site, file_store: FileStoreAt
) -> None:
    """It has not failed: once it has happened, the same command again proves it and closes the record."""
    from sandbox.vercel import Alias

    site.vercel.faults({"method": "POST", "path": "/promote/", "times": 1, "status": 202})
    assert "queued" in call("promote", to=site.id("D")).refused("rolling_release_active").message
    assert len(file_store.keys("test/apps/web/moves")) == 1
    site.vercel.faults()
    site.change(production=site.id("D"))
    site.vercel.put(Alias(alias=site.host, deployment=site.id("D"), project=site.project_id))
    assert call("promote", to=site.id("D")).ok().changed
    assert not call("promote", to=site.id("D")).ok().changed


def test_the_limit_of_the_hobby_plan(call: Call, site: Site) -> None:
    from sandbox.vercel import Team

    team = Team(id="team_sandbox", slug="sandbox", name="Sandbox", plan="hobby")
    site.vercel.put(team)
    try:
        said = call("rollback", to=site.id("A")).refused("plan_limit")
        assert "to=previous" in said.message
    finally:
        site.vercel.put(Team(id="team_sandbox", slug="sandbox", name="Sandbox"))
    assert site.serves == "C"


# --- When things go wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [{"drop": True}, {"drop": True, "after": True}, {"status": 502, "after": True}, {"status": 503}]
)
def test_an_answer_that_is_lost(call: Call, site: Site, fault: dict[str, Any]) -> None:
    """Whether or not the request was carried out: one job, and it is found."""
    site.vercel.faults({"method": "POST", "path": "/rollback/", "times": 1, **fault})
    assert call("rollback", to="previous").ok().changed
    assert site.serves == "B"
    assert len(site.project.served) == 4
    assert len(site.posts()) == (1 if fault.get("after") else 2)


def test_too_many_requests_are_waited_for(call: Call, site: Site) -> None:
    site.vercel.faults({"path": "", "times": 3, "status": 429, "retry_after": 1})
    call("rollback", to="previous").ok()
    assert site.serves == "B"


def test_a_limit_for_longer_than_the_run_may_wait(call: Call, site: Site) -> None:
    site.vercel.faults({"method": "POST", "status": 429, "retry_after": 3600})
    call("rollback", to="previous").refused("rate_limited")
    assert site.serves == "C"


def test_a_job_that_fails_names_its_domains_and_can_be_tried_again(call: Call, site: Site) -> None:
    site.change(job_outcome="failed", domains=[{"name": site.host, "fails": True}])
    said = call("rollback", to="previous").refused("job_failed")
    assert site.host in said.message
    site.change(job_outcome="succeeded", domains=[{"name": site.host}])
    assert call("rollback", to="previous").ok().changed
    assert site.serves == "B"


def test_the_success_of_an_earlier_job_is_not_this_ones(call: Call, site: Site) -> None:
    call("rollback", to="previous").ok()
    call("promote", to=site.id("C")).ok()
    site.change(job_outcome="failed")
    call("rollback", to=site.id("B")).refused("job_failed")


def test_a_job_that_takes_too_long_is_found_by_the_next_run(call: Call, site: Site) -> None:
    site.change(timings={"job_pending": 1500, "job_work": 4000})
    said = call("rollback", to="previous", timeout="2s").refused("job_running")
    assert "asks for no second one" in said.message
    assert call("rollback", to="previous").ok()["move"]["production"] == site.id("B")
    assert len(site.posts()) == 1


def test_what_is_to_be_left_may_still_be_on_its_way(call: Call, site: Site) -> None:
    """A promote was not seen through: production serves B, and C a moment later, which the way back waits for."""
    call("rollback", to="previous").ok()
    site.change(timings={"job_pending": 1000, "job_work": 2000})
    call("promote", to=site.id("C"), from_deployment=site.id("B"), timeout="1s").refused("job_running")
    assert site.serves == "B"
    call("rollback", to=site.id("B"), from_deployment=site.id("C"), timeout="1s").refused("job_running")
    back = call("rollback", to=site.id("B"), from_deployment=site.id("C")).ok()
    assert (back.changed, site.serves) == (True, "B")


def test_somebody_else_was_faster(call: Call, site: Site) -> None:
    """Between the reading and the request: refused as the current one, which a reading confirms."""
    site.change(timings={"job_pending": 0, "job_work": 0})
    site.vercel.faults({"method": "POST", "path": "/rollback/", "times": 1, "status": 422, "after": True})
    said = call("rollback", to="previous", auto_assign="false").ok()
    assert (said.changed, site.serves) == (False, "B")


@pytest.mark.parametrize("moment", ["before", "asked", "settled"])
def test_a_run_that_is_killed(
    run_module: ModuleRunner, call: Call, site: Site, file_store: FileStoreAt, moment: str
) -> None:
    """At any point; the same command again asks for no second job, and restores auto-assign."""
    slow = {"method": "POST", "path": "/rollback/", "times": 1}
    faults = {
        "before": {**slow, "delay": 60_000},
        "asked": {**slow, "delay_after": 60_000},
        "settled": {"method": "PATCH", "path": "/projects/", "times": 1, "delay": 60_000},
    }
    site.vercel.faults(faults[moment])
    child = run_module.start(
        "vercel_rollback", {**arguments(site, file_store, "rollback", to="previous"), "lock_lease": "5s"}
    )

    def reached() -> bool:
        asked = {each["method"] for each in site.vercel.requests(path=site.project_id)}
        return "PATCH" in asked if moment == "settled" else bool(asked & {"POST", "PATCH"})

    until(reached)
    child.kill()
    site.vercel.faults()
    again = call("rollback", to="previous", lock_lease="5s").ok()
    assert (again["move"]["production"], site.serves, site.project.auto_assign) == (site.id("B"), "B", True)
    assert len(site.project.served) == 4
    assert not call("rollback", to="previous").ok().changed


# --- Without the store -----------------------------------------------------------------------------------


def test_breaking_the_glass(call: Call, site: Site, file_store: FileStoreAt, tmp_path: Path) -> None:
    """The evidence stays on this machine until a run reaches the store; then it is there, and is not here."""
    here = tmp_path / "here"
    gone = {
        "store": "s3://no-such-bucket",
        "endpoint_url": "http://127.0.0.1:9",
        "access_key": "a",
        "secret_key": "b" * 8,
    }
    refused = call("rollback", to="previous", break_glass_dir=str(here), **gone)
    assert refused.failed
    assert "break_glass" in refused.message
    assert site.posts() == []
    done = call("rollback", to="previous", break_glass_dir=str(here), break_glass="S3 is down", **gone).ok()
    assert (done.changed, site.serves) == (True, "B")
    assert any("S3 is down" in str(each) for each in done["warnings"])
    kept = [path for path in here.rglob("*.json") if "/runs/" in str(path) or "/moves/" in str(path)]
    assert kept
    uploaded = call("rollback", to="previous", break_glass_dir=str(here)).ok()
    assert uploaded.changed
    assert uploaded["plan"]["steps"]
    assert len(site.posts()) == 1
    assert [key for key in file_store.keys() if "/moves/" in key]  # noqa: SIM118
    assert not [path for path in kept if path.exists()]
    assert not call("rollback", to="previous", break_glass_dir=str(here)).ok().changed
