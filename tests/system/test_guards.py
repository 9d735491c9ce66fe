# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""github_checks_info, runbook_window and release_approval as modules: a stand-in for GitHub, the web, both stores."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.servers import FileStoreAt, StoreAt
from harness.website import Website, website
from sandbox.github import Branch, CheckRun, Commit, Demand, GitHubServer, Repository, Status, Token

Call = Callable[..., Outcome]
SHA = "4f2c9e1d5b7a8c0e3f6a9b2d4c7e1f0a5b8d3c6e"


# --- github_checks_info ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubServer]:
    with GitHubServer(tmp_path_factory.mktemp("github")) as started:
        yield started


@pytest.fixture
def checks(github: GitHubServer, run_module: ModuleRunner) -> Iterator[Call]:
    """``checks(CheckRun(...), Status(...), wait="5s")``: of a fresh repository whose one commit has these."""

    def ask(
        *reported: CheckRun | Status,
        branch: Branch | None = None,
        unfinished: tuple[str, ...] = (),
        env: Any = None,
        **options: Any,
    ) -> Outcome:
        runs = tuple(each for each in reported if isinstance(each, CheckRun))
        statuses = tuple(each for each in reported if isinstance(each, Status))
        name = f"acme/{secrets.token_hex(4)}"
        commit = Commit(sha=SHA, check_runs=runs, statuses=statuses, unfinished=unfinished, idle=("dependabot",))
        branches = {"main": branch} if branch else {}
        github.put(Repository(name=name, refs={"main": SHA}, commits={SHA: commit}, branches=branches))
        given = {"repository": name, "sha": SHA, "token": github.token, "api_url": github.api_url, **options}
        return run_module("github_checks_info", given, env=env)

    github.faults()
    github.forget()
    yield ask
    github.faults()


def test_a_green_commit(checks: Call, github: GitHubServer) -> None:
    said = checks(CheckRun(name="test"), CheckRun(name="docs", conclusion="skipped"), Status(context="ci"), sha=SHA[:9])
    found = said.ok()["checks"]
    assert not said.changed
    assert (found["decision"], found["sha"], found["required_from"]) == ("pass", SHA, "all")
    assert found["passed"] == ["ci", "docs", "test"]
    assert found["url"].endswith(f"/commit/{SHA}")
    assert github.token not in said.everything


def test_every_page_is_read(checks: Call, github: GitHubServer) -> None:
    runs = [CheckRun(name=f"test {number}") for number in range(230)]
    statuses = [Status(context=f"ci {number}") for number in range(120)]
    runs[229] = CheckRun(name="last", conclusion="failure")
    found = checks(*runs, *statuses).ok()["checks"]
    assert (found["decision"], found["failed"], len(found["passed"])) == ("fail", ["last"], 349)
    assert [len(github.requests("GET", path)) for path in ("check-runs", "/status?")] == [3, 2]


def test_the_newest_run_counts(checks: Call) -> None:
    rerun = (CheckRun(name="test", conclusion="failure", id=5), CheckRun(name="test", id=9))
    assert checks(*rerun).ok()["checks"]["decision"] == "pass"
    other_app = CheckRun(name="test", conclusion="failure", id=1, app="other", app_id=7)
    assert checks(*rerun, other_app).ok()["checks"]["reasons"] == ["test (other) did not pass: failure."]


def test_what_the_branch_demands(checks: Call) -> None:
    """By rulesets and by protection; what else was reported does not count."""
    branch = Branch(protection=(Demand(context="test"),), rules=(Demand(context="lint", app_id=15368),))
    reported = (CheckRun(name="test"), CheckRun(name="extra", conclusion="failure"))
    found = checks(*reported, branch=branch).ok()["checks"]
    assert (found["decision"], found["missing"], found["others"]) == ("missing", ["lint"], ["extra"])
    assert (found["required"], found["required_from"], found["branch"]) == (["lint", "test"], "branch", "main")
    assert checks(*reported, CheckRun(name="lint"), branch=branch).ok()["checks"]["decision"] == "pass"
    chosen = checks(*reported, branch=branch, required=["extra"]).ok()["checks"]
    assert (chosen["decision"], chosen["required_from"]) == ("fail", "option")


def test_a_job_that_waits_for_others_is_not_there_yet(checks: Call) -> None:
    """What was reported is green, and the app is not done; where it is said what is needed, that is enough."""
    early = checks(CheckRun(name="test"), unfinished=("github-actions",)).ok()["checks"]
    assert (early["decision"], early["pending"]) == ("pending", ["further checks"])
    assert early["reasons"] == ["further checks (github-actions) is not done: in_progress."]
    known = checks(CheckRun(name="test"), unfinished=("github-actions",), required=["test"]).ok()["checks"]
    assert known["decision"] == "pass"


def test_a_token_that_is_not_shown_what_the_branch_demands(checks: Call, github: GitHubServer) -> None:
    github.put(Token(token="github_pat_poor", lacks=("statuses",)))
    refused = checks(CheckRun(name="test"), token="github_pat_poor").refused("service_denied")
    assert "Commit statuses" in refused.message
    github.faults({"path": "/rules/branches/", "status": 404}, {"path": "/branches/main", "status": 404})
    said = checks(CheckRun(name="test"), branch=Branch(rules=(Demand(context="lint"),))).ok()
    assert said["checks"]["required_from"] == "all"
    assert "was not shown its rulesets and its protection" in json.dumps(said["warnings"])


def test_waiting_for_what_is_not_done(checks: Call, github: GitHubServer) -> None:
    pending = CheckRun(name="test", status="in_progress")
    assert checks(pending, wait="1s").ok()["checks"]["decision"] == "pending"
    assert checks(wait="0s").ok()["checks"]["decision"] == "missing"
    # A failed one ends it at once.
    github.forget()
    assert checks(pending, CheckRun(name="lint", conclusion="failure"), wait="1h").ok()["checks"]["decision"] == "fail"
    assert len(github.requests("GET", "check-runs")) == 1


@pytest.mark.parametrize(
    "switch", [{"status": 403}, {"status": 429}, {"status": 403, "code": "primary"}, {"status": 502}]
)
def test_limits_and_troubles_are_waited_for(checks: Call, github: GitHubServer, switch: dict[str, Any]) -> None:
    github.faults({"path": "check-runs", "times": 1, "retry_after": 1, **switch})
    assert checks(CheckRun(name="test")).ok()["checks"]["decision"] == "pass"
    assert [each["status"] for each in github.requests("GET", "check-runs")] == [switch["status"], 200]


def test_a_limit_that_lasts_too_long(checks: Call, github: GitHubServer) -> None:
    github.faults({"path": "check-runs", "status": 403, "retry_after": 3600})
    assert "60 min" in checks(CheckRun(name="test"), wait="2s").refused("rate_limited").message


def test_what_is_not_there_or_not_shown(checks: Call, github: GitHubServer) -> None:
    github.put(Token(token="github_pat_other", repositories=("acme/other",)))
    github.put(Token(token="ghp_classic", repositories=("acme/other",), scopes="gist, read:org"))
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"repository": "acme/nothing"}, "repository_missing", "the token is a good one, and is shown no repository"),
        ({"repository": "nobody/web"}, "repository_missing", "GitHub knows no account nobody"),
        ({"token": "github_pat_wrong"}, "service_denied", "does not know the token"),
        ({"token": "github_pat_other"}, "repository_missing", "the token was not given it"),
        ({"token": "ghp_classic"}, "repository_missing", "without the scope repo"),
        ({"token": None}, "repository_missing", "without a token no private one is shown"),
        ({"token": ""}, "connection_empty", "given but empty"),
        ({"sha": "0" * 40}, "commit_missing", "no such commit"),
        ({"sha": "main"}, "invalid_parameter", "a tag may move"),
        ({"repository": "https://github.com/acme/web"}, "invalid_parameter", "owner/name"),
        ({"api_url": "http://192.0.2.1"}, "invalid_parameter", "plain http"),
    ]
    for options, code, words in cases:
        said = checks(CheckRun(name="test"), **options).refused(code)
        assert words in said.message
        assert "github_pat" not in said.everything
    github.put(Repository(name="acme/new", formerly=("acme/old",)))
    assert "renamed" in checks(repository="acme/old").refused("repository_missing").message


def test_the_token_of_the_environment(checks: Call, github: GitHubServer) -> None:
    env = {"GITHUB_TOKEN": github.token, "GITHUB_RUN_ID": "77"}
    own = CheckRun(name="deploy", status="in_progress", details_url="https://github.com/acme/web/actions/runs/77/job/1")
    found = checks(CheckRun(name="test"), own, token=None, env=env).ok()["checks"]
    assert (found["decision"], found["pending"]) == ("pending", ["deploy", "further checks"])
    assert "name it in ignore" in found["reasons"][0]
    # Its own suite is not done either, as long as it asks; jobs of other workflows may still come.
    ours = replace(own, suite=1)
    for unfinished, decision in (((), "pass"), (("github-actions",), "pending")):
        reported = (CheckRun(name="test"), CheckRun(name="build", suite=1), ours)
        said = checks(*reported, token=None, env=env, ignore=["deploy"], unfinished=unfinished).ok()["checks"]
        assert (said["decision"], said["pending"]) == (decision, ["further checks"] * len(unfinished))
    assert checks(token=None, env={"GITHUB_TOKEN": " "}).refused("connection_empty")


# --- runbook_window --------------------------------------------------------------------------------------

CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//acme//freezes
BEGIN:VEVENT
UID:1
SUMMARY:Black Friday
DTSTART:20261127T000000Z
DTEND:20261201T000000Z
END:VEVENT
END:VCALENDAR
"""
IN_FREEZE, BEFORE, AFTER = "2026-11-28T10:00:00Z", "2026-11-26T10:00:00Z", "2026-12-01T00:00:00Z"
OFFICE = {"rrule": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYHOUR=9", "duration": "7h", "timezone": "Europe/Berlin"}


@pytest.fixture
def window(run_module: ModuleRunner) -> Call:
    def ask(check: bool = False, diff: bool = False, **options: Any) -> Outcome:
        return run_module("runbook_window", options, check=check, diff=diff)

    return ask


@pytest.fixture
def site() -> Iterator[Website]:
    with website() as running:
        running.calendar = CALENDAR
        yield running


def test_windows(window: Call) -> None:
    assert window().ok()["window"]["decision"] == "open"
    found = window(windows=[OFFICE], at="2026-11-26T10:00:00Z", duration="30m").ok()["window"]
    assert (found["decision"], found["closes_at"]) == ("open", "2026-11-26T15:00:00Z")
    found = window(windows=[OFFICE], at="2026-11-26T14:45:00Z", duration="30m").ok()["window"]
    assert (found["decision"], found["next_opening"]) == ("closed", "2026-11-30T08:00:00Z")
    found = window(windows=[OFFICE], at="2026-11-28T12:00:00Z", exempt=True).ok()["window"]
    assert (found["decision"], found["reason"]) == ("open", "Exempt from windows and freezes.")


def test_a_calendar_as_text_as_a_file_and_from_the_web(window: Call, site: Website, tmp_path: Path) -> None:
    path = tmp_path / "freezes.ics"
    path.write_text("\ufeff" + CALENDAR, encoding="utf-8")
    secret = "kanarienvogel"
    for source in (CALENDAR, str(path), f"{site.url}/calendar/{secret}.ics", f"{site.url}/moved/{secret}.ics"):
        for moment, decision in ((IN_FREEZE, "frozen"), (BEFORE, "open"), (AFTER, "open")):
            said = window(freezes=[{"ics": source}], at=moment).ok()
            assert said["window"]["decision"] == decision
            assert secret not in said.everything
    found = window(freezes=[{"ics": CALENDAR}], at=IN_FREEZE, duration="1h").ok()["window"]
    assert found["reason"] == "Black Friday freezes changes until 2026-12-01T00:00:00Z."
    assert found["next_opening"] == AFTER


def test_a_host_that_is_busy_is_asked_again(window: Call, site: Website) -> None:
    site.busy = 1
    said = window(freezes=[{"ics": f"{site.url}/calendar"}], at=IN_FREEZE).ok()
    assert said["window"]["decision"] == "frozen"
    assert len(site.seen) == 2


def test_what_cannot_be_read_is_closed_and_says_why(window: Call, site: Website, tmp_path: Path) -> None:
    """Never open, never a failure, and no secret address in the reason."""
    (tmp_path / "latin.ics").write_bytes(CALENDAR.replace("Black", "Bläck").encode("latin-1"))
    secret = "kanarienvogel"
    cases = {
        f"{site.url}/nothing/{secret}": "the calendar at 127.0.0.1 cannot be read, its host answered 404",
        f"{site.url}/home/{secret}": "it is not an iCalendar",
        f"{site.url}/cut/{secret}": "",
        f"{site.url}/drop/{secret}": "its host could not be reached, or did not answer in time",
        f"{site.url}/drip/{secret}": "",
        f"{site.url}/endless/{secret}": "it is larger than",
        f"http://192.0.2.1/{secret}": "over plain http anybody on the way could change it",
        f"http://127.0.0.1:9/{secret}": "its host could not be reached",
        "https://[": "cannot be read",
        str(tmp_path / "none.ics"): "No such file",
        str(tmp_path): "Is a directory",
        str(tmp_path / "latin.ics"): "it is not a text in UTF-8",
        "freezes.ics": "neither an absolute path",
        CALENDAR[:-16]: "it is cut off",
    }
    for source, reason in cases.items():
        said = window(freezes=[{"ics": source}], at=BEFORE, timeout="1s").ok()
        found = said["window"]
        assert (found["decision"], found["next_opening"]) == ("closed", None), source
        assert found["reason"].startswith("What is frozen is not known: ")
        assert reason in found["reason"], found
        assert secret not in said.everything
    # What is known to be frozen is, whatever else cannot be read.
    both = [{"ics": "freezes.ics"}, {"start": "2026-11-26", "end": "2026-11-26", "reason": "Stocktaking"}]
    assert window(freezes=both, at=BEFORE).ok()["window"]["decision"] == "frozen"


def test_a_broken_glass_is_written_down_once(window: Call, store: StoreAt) -> None:
    at = {**store.args, "environment": "production", "name": "web", "run_id": "run-1", "freezes": [{"ics": CALENDAR}]}
    assert not window(**at, at=BEFORE, break_glass="nobody can pay").ok().changed
    assert store.keys() == []
    told = window(**at, at=IN_FREEZE, break_glass="nobody can pay", check=True, diff=True).ok()
    assert told.changed
    assert store.keys() == []
    done = window(**at, at=IN_FREEZE, break_glass="nobody can pay", diff=True).ok()
    assert (done["plan"], done["diff"], done["window"]) == (told["plan"], told["diff"], told["window"])
    assert (done["window"]["decision"], done["window"]["judged"]) == ("open", "frozen")
    assert "nobody can pay" in json.dumps(done["warnings"])
    (key,) = store.keys()
    assert re.fullmatch(r"production/runs/run-1/web/\d+\.json", key)
    record = json.loads(store.read(key))
    assert (record["status"], record["result"]["break_glass"]) == ("done", "nobody can pay")
    assert record["who"]["user"]
    again = window(**at, at=IN_FREEZE, break_glass="nobody can pay").ok()
    assert (again.changed, again["window"]) == (False, done["window"])
    assert store.keys() == [key]


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows": [{**OFFICE, "rrule": "FREQ=WEEKLY"}]},
        {"windows": [{**OFFICE, "timezone": "Mars/Base"}]},
        {"freezes": [{"start": "2026-11-26"}]},
        {"freezes": [{"reason": "x"}]},
        {"freezes": [{"ics": CALENDAR, "timezone": "Mars/Base"}]},
        {"freezes": [{"start": "", "end": ""}]},
        {"at": "tomorrow"},
        {"duration": "long"},
        {"break_glass": "x", "store": "file:///tmp/x"},
    ],
)
def test_mistakes_in_the_inventory_are_failures(window: Call, wrong: dict[str, Any]) -> None:
    assert window(**wrong).refused("invalid_parameter")


def test_a_calendar_that_was_looked_up_where_there_is_nothing(window: Call) -> None:
    """Its environment variable is not set: that is no calendar without freezes."""
    assert (
        "freezes[1].ics"
        in window(freezes=[{"ics": CALENDAR}, {"ics": ""}], at=BEFORE).refused("connection_empty").message
    )


# --- release_approval ------------------------------------------------------------------------------------

PLAN = {"release": "4f2c9e1", "digest": "a" * 64}


@pytest.fixture
def approve(run_module: ModuleRunner) -> Callable[..., Outcome]:
    """As a user of AWX, unless ``user`` is None."""

    def call(at: StoreAt, user: str | None = "ben", *, check: bool = False, diff: bool = False, **more: Any) -> Outcome:
        awx = {"AWX_USER_NAME": user or "", "JOB_ID": "7", "AWX_HOST": "https://awx.acme.com"}
        given = {**at.args, "environment": "production", "name": "web", **PLAN, **more}
        return run_module("release_approval", given, check=check, diff=diff, env=awx if user else {})

    return call


def test_an_approval(approve: Call, store: StoreAt) -> None:
    assert approve(store, "ann", state="query").ok()["approval"]["decision"] == "missing"
    told = approve(store, requester="ann", check=True, diff=True).ok()
    assert told.changed
    assert store.keys() == []
    done = approve(store, requester="ann", diff=True).ok()
    assert done["plan"] == told["plan"]
    assert done["approval"]["decision"] == "approved"
    (key,) = store.keys()
    assert key == f"production/apps/web/approvals/4f2c9e1/{'a' * 64}/000000000001.json"
    for check in (False, True):
        assert not approve(store, requester="ann", check=check).ok().changed
    asked = approve(store, "ann", state="query").ok()
    assert (asked.changed, asked["approval"]["decision"], asked["approval"]["approver"]) == (False, "approved", "ben")
    assert asked["approval"]["unauthenticated"] is False
    assert approve(store, "ben", state="query").ok()["approval"]["decision"] == "own"
    changed = approve(store, "ann", state="query", digest="b" * 64).ok()["approval"]
    assert (changed["decision"], changed["approver"]) == ("other_plan", None)
    assert approve(store, "ann", state="query", release="another").ok()["approval"]["decision"] == "missing"
    assert store.keys() == [key]

    taken = approve(store, "eva", state="absent", check=True).ok()
    assert taken.changed
    assert approve(store, "eva", state="absent").ok().changed
    assert not approve(store, "eva", state="absent").ok().changed
    assert approve(store, "ann", state="query").ok()["approval"]["decision"] == "missing"
    assert len(store.keys()) == 2, "what was approved stays on record"


def test_who_asked_cannot_approve(approve: Call, file_store: FileStoreAt) -> None:
    assert "Let somebody else" in approve(file_store, "Ann", requester="ann").refused("approval_refused").message
    assert file_store.keys() == []


def test_at_a_terminal_nobody_vouches_for_a_name(approve: Call, file_store: FileStoreAt) -> None:
    done = approve(file_store, None).ok()["approval"]
    assert (done["authenticated_by"], done["unauthenticated"]) == ("terminal", True)
    assert approve(file_store, None, state="query").ok()["approval"]["decision"] == "own"
    assert approve(file_store, "ann", state="query").ok()["approval"]["unauthenticated"] is True


def test_it_ends_by_the_stores_clock(approve: Call, file_store: FileStoreAt) -> None:
    approve(file_store).ok()
    (key,) = file_store.keys()
    document = json.loads(file_store.read(key))
    document["approval"]["approved_at"] = "2026-01-01T00:00:00Z"
    file_store.write(key, json.dumps(document).encode())
    asked = approve(file_store, "ann", state="query").ok()["approval"]
    assert (asked["decision"], asked["expires_at"]) == ("expired", "2026-01-01T04:00:00Z")
    assert approve(file_store).ok().changed, "once more"
    assert approve(file_store, "ann", state="query").ok()["approval"]["decision"] == "approved"
    assert approve(file_store, valid_for="30d").refused("invalid_parameter")
    assert approve(file_store, digest="../x").refused("invalid_parameter")
    file_store.write(key.replace("01.json", "03.json"), b"oops")
    assert approve(file_store, "ann", state="query").refused("object_corrupt")
