# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role deploy decides for several apps: who leads, what is asked of GitHub, what is taken back."""

from __future__ import annotations

from typing import Any

import pytest

from harness.decisions import Decisions

SHA = "d" * 40
SETTINGS: dict[str, Any] = {
    "ansible_check_mode": False,
    "deploy_release": SHA,
    "groups": {"databases": ["main", "old"]},
}


def app(phase: str, *databases: str, began_in: str = "run-1", **facts: Any) -> dict[str, Any]:
    """An app whose first look has found it in a phase."""
    seen = {
        "phase": phase,
        "resumes": phase in ("gate", "rollback", "failed"),
        "began_in": began_in,
        "attempt": 1,
        "repository": "acme/web",
        "branch": "release",
        "deployment": {"id": "dpl_D", "git_sha": SHA},
    }
    return {"deploy_seen": {"release": seen}, "app_databases": list(databases), **facts}


def failed(code: str = "smoke_failed") -> dict[str, Any]:
    return {"deploy_failure": {"code": code, "message": "it failed."}}


def role(variables: dict[str, Any] | None = None, **apps: dict[str, Any]) -> Decisions:
    databases = {"main": {"migrations_directory": "db"}, "old": {"migrations_directory": "db"}, "plain": {}}
    return Decisions("deploy", apps, **{**SETTINGS, "hostvars": {**apps, **databases}, **(variables or {})})


def test_who_leads() -> None:
    """The first app that still has to be promoted: what is done once is done by none that has nothing before it."""
    assert role(admin=app("done"), web=app("promote"), zoo=app("build"))("zoo", "_deploy_lead") == "web"
    assert role(admin=app("gate"), web=app("promote"))("admin", "_deploy_lead") == "web"
    assert role(admin=app("done"), web=app("gate"), zoo=app("failed"))("admin", "_deploy_lead") == "web"
    assert role(web=app("done"), admin=app("done"))("web", "_deploy_lead") == "admin"
    # One that failed before it was looked at leads nobody.
    assert role(admin={"app_databases": []}, web=app("promote"))("web", "_deploy_lead") == "web"


def test_what_is_built_again_takes_the_place_of_what_it_was_built_from_alone() -> None:
    """A release that somebody has let serve while it was built is not written over by its predecessor."""
    known = {"deploy_deployment": "dpl_E", "deploy_prebuilt": ""}
    assert role({**known, "deploy_rebuild": "dpl_D"}, web=app("promote"))("web", "_deploy_question")["planned"] == {
        "serving": "dpl_D"
    }
    assert role(known, web=app("promote"))("web", "_deploy_question")["planned"] == {}


def test_databases_of_apps_that_are_done_are_left_alone() -> None:
    """Those of the apps that are ahead, each once, where they have migrations; the lead's answer holds for all."""
    looked = {"deploy_migrations": {"results": [asked("main", "0001_a", "0002_b"), asked("old")]}}
    said = role(
        admin=app("done", "old"), web=app("promote", "main", "plain", **looked), zoo=app("build", "main", "old")
    )
    assert said("web", "_deploy_sources") == ["main", "old"]
    assert said("zoo", "_deploy_pending") == ["main"]
    assert said("zoo", "_deploy_resources") == [
        *("app/admin", "app/web", "app/zoo"),
        *("database/main", "database/old", "database/plain"),
    ]
    assert [each["name"] for each in said("zoo", "_deploy_migrations")] == ["0001_a", "0002_b"]
    assert said("admin", "_deploy_migrations") == []
    alone = role(admin=app("done", "old"), web=app("gate", "main"))
    assert alone("web", "_deploy_sources") == []


def test_exactly_what_was_looked_at_is_run() -> None:
    looked = {"deploy_migrations": {"results": [asked("main", "0001_a"), asked("old", "0009_z")]}}
    said = role({"deploy_database": "old"}, web=app("promote", "main", "old", **looked))
    assert said("web", "_deploy_planned") == {"0009_z": "sum of 0009_z"}


@pytest.mark.parametrize(
    ("repository", "sha", "branch", "asks"),
    [
        ("", SHA, "release", True),
        ("acme/web", SHA, "release", True),
        ("acme/other", SHA, "", True),
        ("", "v1", "", False),
    ],
)
def test_checks_are_those_of_the_production_branch(repository: str, sha: str, branch: str, asks: bool) -> None:
    """Where another repository is named, nobody knows its branches, and its default one counts."""
    found = app("promote")
    if not asks:
        found["deploy_seen"]["release"]["deployment"] = {"id": "dpl_D", "git_sha": None}
    said = role({"deploy_repository": repository, "deploy_checks": True, "deploy_release": sha}, web=found)
    assert said("web", "_deploy_checks") is asks
    if asks:
        assert said("web", "_deploy_checks_branch") == branch


MINE = {"deploy_sure": True, "deploy_moved": 1.0}


@pytest.mark.parametrize(
    ("web", "admin", "back"),
    [
        # The gate of another app fails: what this run has let serve goes back, and nothing else.
        (app("promote", **MINE), app("promote", **MINE, **failed("release_rolled_back")), True),
        (app("gate", **MINE), app("promote", **MINE, **failed()), True),
        (app("done"), app("promote", **MINE, **failed()), False),
        (app("promote", deploy_sure=True), app("promote", **failed("smoke_failed")), False),
        # A lock that is held, a look that failed: nothing is known against what serves.
        (app("gate"), app("gate", **failed("lock_held")), False),
        (app("gate"), {"app_databases": []}, False),
        (app("promote", **MINE), app("promote", **MINE, **failed("domain_differs"), deploy_undecided=True), False),
        # A run that died on the way back took all of it along.
        (app("gate", deploy_sure=True), app("rollback", deploy_sure=True), True),
        (app("failed", deploy_sure=True), app("gate", deploy_sure=True), True),
        (app("gate"), app("rollback"), False),
    ],
)
def test_what_is_taken_back(web: dict[str, Any], admin: dict[str, Any], back: bool) -> None:
    assert role(web=web, admin=admin)("web", "_deploy_taken_back") is back


@pytest.mark.parametrize(
    ("admin", "rejoins"),
    [
        (app("gate"), True),
        (app("failed"), True),
        (app("gate", began_in="run-2"), False),
        (app("promote"), False),
        (app("done"), False),
        ({"app_databases": []}, False),
    ],
)
def test_what_was_good_is_decided_again_with_the_rest_of_its_release(admin: dict[str, Any], rejoins: bool) -> None:
    """Not where it was good in another run, or where none of what one run began is undecided."""
    said = role(web=app("done"), admin=admin)
    assert said("web", "_deploy_rejoins") is rejoins
    assert role(web=app("done", began_in=""), admin=app("gate", began_in=""))("web", "_deploy_rejoins") is False


def test_apps_that_serve_it_and_were_not_selected_are_named() -> None:
    """``--limit`` has left one out: the plan asks for it, and the red end says how it is taken back."""
    away = {"app": "admin", "deployment_id": "dpl_A", "decided": True}
    found = app("promote", **MINE, **failed("release_rolled_back"), deploy_returns=True)
    found["deploy_seen"]["release"]["elsewhere"] = [away]
    known = {"groups": {"apps": ["admin", "web"]}, "_record_inventories": "-i inventories/production"}
    said = role(known, web=found)
    assert said("web", "_deploy_question")["others"] == ["admin"]
    told = said("web", "_deploy_problem")
    assert "admin serves it still, and was not part of this run" in told
    command = (
        "ops.runbooks.rollback -i inventories/production --limit admin -e from_deployment=dpl_A -e to=last_known_good"
    )
    assert command in told


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        # The gate has moved production itself, and measured it: its task ended with the way back.
        (
            {"verify_gate": {"changed": True, "gate": {"back_seconds": 1.5, "back": {"production": "dpl_C"}}}},
            {"gate_seconds": 8.5, "back_seconds": 1.5, "exposed_seconds": 10.0},
        ),
        # The gate was passed, and another app failed: it goes back later.
        (
            {"verify_gate": {"changed": False, "gate": {"back_seconds": None, "back": None}}},
            {"gate_seconds": 10.0, "back_seconds": 4.0, "exposed_seconds": 14.0},
        ),
    ],
)
def test_how_long_users_met_it(facts: dict[str, Any], seconds: dict[str, float]) -> None:
    times = {"deploy_moved": 100.0, "deploy_gated": 110.0, "deploy_returned": 114.0, "deploy_returns": True}
    found = app("promote", deploy_sure=True, **times, **facts)
    assert role(web=found)("web", "_deploy_measured") == seconds


@pytest.mark.parametrize(("code", "wrong"), [("deployment_missing", True), ("smoke_failed", False)])
def test_a_name_that_nothing_has_is_for_its_giver_to_correct(code: str, wrong: bool) -> None:
    assert role(web=app("promote", record_failure={"code": code}))("web", "_deploy_inputs_wrong") is wrong
    assert role(web=app("promote"))("web", "_deploy_inputs_wrong") is False


def asked(database: str, *names: str) -> dict[str, Any]:
    pending = [{"name": name, "checksum": f"sum of {name}"} for name in names]
    return {"deploy_database": database, "migration": {"pending": pending, "known": {"head": None}}}
