# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Environment variables are what they are listed as, for the targets that are listed, and no value is ever shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Timer
from typing import TYPE_CHECKING, Any

import pytest

from harness.children import until
from harness.modules import ModuleRunner, Outcome
from harness.servers import FileStoreAt
from harness.sites import Site, make_site

if TYPE_CHECKING:
    from sandbox.vercel import Variable, VercelServer

Call = Callable[..., Outcome]
KEY = "kept-for-the-tests-alone"
SECRET = {"name": "DATABASE_URL", "type": "sensitive", "value": "kanarienvogel-1"}
LEVEL = {"name": "LOG_LEVEL", "type": "plain", "value": "info", "targets": ["production", "preview"]}
TOKEN = {"name": "API_TOKEN", "value": "kanarienvogel-2", "targets": ["production", "staging"]}
ALL = [SECRET, LEVEL, TOKEN]


@pytest.fixture
def site(vercel: VercelServer) -> Iterator[Site]:
    from sandbox.vercel import CustomEnvironment

    vercel.faults()
    vercel.forget()
    yield make_site(vercel, custom_environments=(CustomEnvironment(id="env_1", slug="staging"),))
    vercel.faults()


@pytest.fixture
def call(run_module: ModuleRunner, site: Site) -> Call:
    """``call(ALL)``: with the options of the site and a key; no run may show a value."""

    def run(variables: list[dict[str, Any]], *, check: bool = False, diff: bool = False, **params: Any) -> Outcome:
        args = {**site.options, "fingerprint_key": KEY, "variables": variables, **params}
        said = run_module("vercel_env", args, check=check, diff=diff, verbosity=3)
        assert "kanarienvogel" not in said.everything
        assert KEY not in said.everything
        assert site.vercel.token not in said.everything
        return said

    return run


def there(site: Site) -> dict[str, Variable]:
    """Name and targets to record."""
    found = site.vercel.world().variables_of(site.project)
    return {f"{each.key} {' '.join((*each.target, *each.custom_environments))}": each for each in found}


def put(site: Site, key: str, value: str, *, target: tuple[str, ...] = ("production",), **fields: Any) -> str:
    """A record that somebody else has made."""
    from sandbox.vercel import Variable

    made = Variable(id=f"{site.tag}{key}", project=site.project_id, key=key, value=value, target=target, **fields)
    site.vercel.put(made)
    return made.id


def writes(site: Site) -> list[str]:
    """What was asked for of the variables, beside reading."""
    seen = site.vercel.requests(path=f"/projects/{site.project_id}/env")
    return [each["method"] for each in seen if each["method"] != "GET"]


def test_variables_are_set_once(call: Call, site: Site, file_store: FileStoreAt) -> None:
    """Predicted, set in one request, set again, changed, removed; each time the second run does nothing."""
    store = {**file_store.args, "environment": "test", "name": "web"}
    told = call(ALL, check=True, diff=True).ok()
    assert (told.changed, there(site)) == (True, {})
    done = call(ALL, diff=True, **store).ok()
    assert (done["plan"], done["diff"], done["env"]) == (told["plan"], told["diff"], told["env"])
    assert done["env"]["created"] == ["API_TOKEN", "DATABASE_URL", "LOG_LEVEL"]
    assert done["env"]["redeploy_required"] is True
    found = there(site)
    assert sorted(found) == ["API_TOKEN production env_1", "DATABASE_URL production", "LOG_LEVEL production preview"]
    assert (found["DATABASE_URL production"].value, found["DATABASE_URL production"].type) == (
        SECRET["value"],
        "sensitive",
    )
    site.vercel.forget()
    again, checked = call(ALL, **store).ok(), call(ALL, check=True).ok()
    assert (again.changed, checked.changed, writes(site)) == (False, False, [])
    assert again["env"]["unchanged"] == done["env"]["created"]
    assert again["env"]["redeploy_required"] is True, "until something newer serves"
    records = [file_store.read(key).decode() for key in file_store.keys("test/runs")]
    assert len(records) == 1
    assert "kanarienvogel" not in records[0]

    site.vercel.forget()
    other = [{**each, "value": f"{each['value']}-kanarienvogel"} for each in ALL]
    changed = call(other, **store).ok()
    assert changed["env"]["updated"] == ["API_TOKEN", "DATABASE_URL", "LOG_LEVEL"]
    assert writes(site) == ["PATCH"] * 3
    assert {each.value for each in there(site).values()} == {each["value"] for each in other}
    assert not call(other).ok().changed

    site.vercel.forget()
    gone = [{**each, "state": "absent"} for each in ALL]
    assert call(gone).ok()["env"]["deleted"] == ["API_TOKEN", "DATABASE_URL", "LOG_LEVEL"]
    assert (there(site), writes(site)) == ({}, ["DELETE"])
    assert not call(gone).ok().changed


def test_other_targets_keep_what_they_have(call: Call, site: Site) -> None:
    put(site, "DATABASE_URL", "everybody's", target=("production", "preview", "development"))
    put(site, "API_TOKEN", "of an integration", configuration="icfg_1", target=("preview",))
    call([{**SECRET, "type": "encrypted"}]).ok()
    found = {name: each.value for name, each in there(site).items()}
    assert found["DATABASE_URL preview development"] == "everybody's"
    assert found["DATABASE_URL production"] == SECRET["value"]
    assert not call([{**SECRET, "type": "encrypted"}]).ok().changed
    call([{**TOKEN, "targets": ["preview"]}]).refused("variable_owned")
    call([{**SECRET, "state": "absent", "targets": ["development"]}]).ok()
    assert "DATABASE_URL preview" in there(site)


def test_sensitive_values_are_known_by_their_marks(call: Call, site: Site) -> None:
    """Not without a key, nor without a mark; and what somebody else has written since is written over."""
    put(site, "DATABASE_URL", "unknown", type="sensitive", comment="do not touch")
    skipped = call([SECRET]).ok()
    assert (skipped.changed, skipped["env"]["unknown"]) == (False, ["DATABASE_URL"])
    assert "no mark" in str(skipped["warnings"])
    call([SECRET], on_unknown="fail").refused("variable_unknown")
    assert call([SECRET], on_unknown="update").ok().changed
    record = there(site)["DATABASE_URL production"]
    assert record.value == SECRET["value"]
    assert str(record.comment).startswith("do not touch rb1:")
    for run in ({}, {"on_unknown": "update"}):
        assert not call([SECRET], **run).ok().changed
    assert call([SECRET], fingerprint_key=None).ok()["env"]["unknown"] == ["DATABASE_URL"]
    later = int(time.time() * 1000) + 600_000
    site.vercel.change("variables", record.id, value="somebody else's", updated_at=later)
    assert "somebody else" in call([SECRET], check=True).ok()["plan"]["steps"][0]


def test_exclusive_and_hidden_variables(call: Call, site: Site, run_module: ModuleRunner) -> None:
    from sandbox.vercel import Token

    put(site, "SURPLUS", "x")
    put(site, "SHARED", "x", target=("production", "preview"))
    put(site, "OWNED", "x", configuration="icfg_1")
    short = Token(token=f"vcp_{site.tag}hides", user="usr_sandbox", teams=("team_sandbox",), hides=("SURPLUS",))
    site.vercel.put(short)
    refused = call([SECRET], exclusive=True, token=short.token).refused("variables_hidden")
    assert "1 variables" in refused.message
    hidden = {"name": "SURPLUS", "value": "kanarienvogel"}
    assert "does not see" in call([hidden], token=short.token).refused("variables_hidden").message
    assert there(site)["SURPLUS production"].value == "x"
    done = call([SECRET], exclusive=True).ok()
    assert (done["env"]["deleted"], done["env"]["updated"]) == (["SURPLUS"], ["SHARED"])
    assert sorted(there(site)) == ["DATABASE_URL production", "OWNED production", "SHARED preview"]
    info = run_module(
        "vercel_info", {**site.options, "required": ["DATABASE_URL", "SHARED"], "token": short.token}
    ).ok()
    assert info["vercel"]["missing_variables"] == ["SHARED"]


def test_the_policy_of_a_team_is_told_and_no_endless_change(call: Call, site: Site) -> None:
    from sandbox.vercel import Team

    site.vercel.put(Team(id="team_sandbox", slug="sandbox", name="Sandbox", sensitive_only=True))
    try:
        done = call([TOKEN]).ok()
        assert there(site)["API_TOKEN production env_1"].type == "sensitive"
        assert "stays so" in str(done["warnings"])
        assert not call([TOKEN]).ok().changed
    finally:
        site.vercel.put(Team(id="team_sandbox", slug="sandbox", name="Sandbox"))


@pytest.mark.parametrize(
    "fault", [{"drop": True}, {"drop": True, "after": True}, {"status": 502, "after": True}, {"status": 503}]
)
def test_an_answer_that_is_lost(call: Call, site: Site, fault: dict[str, Any]) -> None:
    """Also that of a change, and of a removal."""
    for method in ("PATCH", "POST", "DELETE"):
        put(site, f"CHANGED_{method}", "debug")
        put(site, f"OLD_{method}", "x")
        listed = [
            {"name": f"CHANGED_{method}", "value": "kanarienvogel"},
            {**SECRET, "name": f"NEW_{method}"},
            {"name": f"OLD_{method}", "state": "absent"},
        ]
        site.vercel.faults({"method": method, "path": f"{site.project_id}/env", "times": 1, **fault})
        call(listed).ok()
        assert not call(listed).ok().changed
    found = {name: each.value for name, each in there(site).items()}
    assert len(found) == 6
    assert {value for name, value in found.items() if name.startswith("NEW")} == {SECRET["value"]}
    assert {value for name, value in found.items() if name.startswith("CHANGED")} == {"kanarienvogel"}


def test_somebody_else_was_faster(call: Call, site: Site) -> None:
    """Of a batch some are there by now: these are changed, the others made."""
    site.vercel.faults({"method": "GET", "path": f"{site.project_id}/env", "times": 1, "delay_after": 1500})
    timer = Timer(0.7, lambda: put(site, "API_TOKEN", "faster", target=("production",), type="encrypted"))
    timer.start()
    done = call(ALL).ok()
    timer.join()
    assert done.changed
    found = {name: each.value for name, each in there(site).items()}
    assert (found["API_TOKEN production"], found["API_TOKEN env_1"]) == (TOKEN["value"], TOKEN["value"])
    assert not call(ALL).ok().changed


def test_what_is_answered_and_not_done_is_no_success(call: Call, site: Site) -> None:
    put(site, "API_TOKEN", "old", target=("production",), custom_environments=("env_1",))
    site.vercel.faults({"method": "PATCH", "path": f"{site.project_id}/env", "status": 200})
    assert "API_TOKEN" in call([TOKEN]).refused("variables_differ").message


def test_what_vercel_does_not_take_is_named(call: Call, site: Site) -> None:
    """The answer is 201, and the others were made."""
    said = call([{**TOKEN, "name": "VERCEL_URL"}, LEVEL])
    assert (said.failed, said.code) == (True, "service_failed")
    assert "VERCEL_URL" in said.message
    assert "LOG_LEVEL production preview" in there(site)


@pytest.mark.parametrize("moment", ["narrowed", "created"])
def test_a_run_that_is_killed(run_module: ModuleRunner, call: Call, site: Site, moment: str) -> None:
    """Between the parts of a change; the same command again finishes it."""
    put(site, "DATABASE_URL", "everybody's", target=("production", "preview"))
    wait = {"delay": 60_000} if moment == "narrowed" else {"delay_after": 60_000}
    site.vercel.faults({"method": "POST", "path": f"{site.project_id}/env", "times": 1, **wait})
    listed = [{**SECRET, "type": "encrypted"}, LEVEL]
    child = run_module.start("vercel_env", {**site.options, "variables": listed})
    until(lambda: "POST" in writes(site) if moment == "narrowed" else "DATABASE_URL production" in there(site))
    child.kill()
    site.vercel.faults()
    call(listed).ok()
    found = {name: each.value for name, each in there(site).items()}
    assert found == {
        "DATABASE_URL preview": "everybody's",
        "DATABASE_URL production": SECRET["value"],
        "LOG_LEVEL production preview": "info",
    }
    assert not call(listed).ok().changed


def test_what_ansible_shows_of_values(run_module: ModuleRunner, site: Site) -> None:
    """They are hidden by where they stand: a value such as ``production`` does not take the result apart."""
    listed = [
        {"name": "NODE_ENV", "value": "production"},
        {"name": "WORKERS", "value": 1},
        {**LEVEL, "value": "chatty"},
    ]
    child = run_module.start(
        "vercel_env",
        {**site.options, "variables": listed},
        env={"ANSIBLE_INJECT_INVOCATION": "true"},
        through="ansible",
        verbosity=5,
        diff=True,
    )
    said = child.wait(60).output
    assert said.count("value: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER") >= len(listed)
    assert "create NODE_ENV for production as encrypted" in said
    assert "kanarienvogel" not in said
    assert "chatty" not in said


def test_refusals(call: Call, site: Site) -> None:
    refusals: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
        ({"name": "NEXT_PUBLIC_KEY"}, {}, "invalid_parameter", "browser"),
        ({"targets": ["prod"]}, {}, "invalid_parameter", "staging"),
        ({"value": None}, {}, "invalid_parameter", "DATABASE_URL"),
        ({}, {"fingerprint_key": "kanarienvogel-1"}, "invalid_parameter", "fingerprint_key"),
        ({}, {"project": "no-such"}, "project_missing", "no-such"),
        ({}, {"token": "wrong-token-kanarienvogel"}, "service_denied", "VERCEL_TOKEN"),
    ]
    for entry, params, code, word in refusals:
        assert word in call([{**SECRET, **entry}], **params).refused(code).message
    assert (there(site), writes(site)) == ({}, [])
