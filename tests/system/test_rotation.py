# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret on Vercel and in files: rotated by the modules, in force when something newer serves, never shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.key_service import declared, filled, key_service
from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.rotations import KEY, OPTIONS, Killed, Secret, app
from harness.servers import FileStoreAt, StoreAt
from harness.sites import Site, make_site

if TYPE_CHECKING:
    from sandbox.vercel import VercelServer

Call = Callable[..., Outcome]


@pytest.fixture
def site(vercel: VercelServer) -> Iterator[Site]:
    vercel.faults()
    vercel.forget()
    yield make_site(vercel)
    vercel.faults()


def variables(site: Site) -> dict[str, str]:
    """Name to value."""
    return {each.key: each.value for each in site.vercel.world().variables_of(site.project)}


def on_vercel(site: Site, name: str, variable: str, value: str = "{value}") -> dict[str, Any]:
    return {**site.options, "name": name, "type": "vercel_env", "variable": variable, "value": value}


def deploy(site: Site, *, later: int = 0) -> None:
    """Something newer serves: it has the variables of now, or of so many milliseconds later."""
    from sandbox.vercel import Deployment

    now = int(time.time() * 1000) + later
    name = f"{site.id('N')}{now}"
    new = Deployment(id=name, project=site.project_id, url=f"{site.tag}-{now}.localhost", created_at=now)
    site.vercel.put(new)
    site.change(production=name, served=(*site.project.served, name))


def of_app(site: Site, store: StoreAt) -> dict[str, Any]:
    return {**store.args, "environment": "test", "name": "web", **site.options}


def what_is_gone(call: Call, site: Site, store: StoreAt) -> list[dict[str, Any]]:
    """The builds of the site that hold a value which was taken away."""
    found: list[dict[str, Any]] = call("secret_retired_info", of_app(site, store)).ok()["retired"]["builds"]
    return found


@pytest.fixture
def call(run_module: ModuleRunner) -> Call:
    """A module with the key; no run may show it, nor what is in ``secrets``."""

    def run(name: str, args: dict[str, Any], *, secrets: tuple[str, ...] = (), **options: Any) -> Outcome:
        key = {"secrets_key": KEY} if name.startswith("secret_rotation") else {}
        said = run_module(name, {**key, **args}, verbosity=3, diff=True, **options)
        for each in (KEY, *secrets):
            assert each not in said.everything
        return said

    return run


def arguments(store: StoreAt, destinations: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    declared = {"provider": {"type": "generated"}, "destinations": destinations}
    return {**store.args, "environment": "test", "name": "auth_secret", **declared, **changes}


def test_a_value_on_vercel_is_in_force_when_something_newer_serves(call: Call, site: Site, store: StoreAt) -> None:
    """Predicted, written, waited for; and a rollback to what has the earlier value stops what follows."""
    pair = [on_vercel(site, "web", "AUTH_SECRET"), on_vercel(site, "web-previous", "AUTH_SECRET_1", "{previous}")]
    args = arguments(store, pair)
    told = call("secret_rotation", args, check=True).ok()
    assert (told.changed, variables(site), store.keys("test")) == (True, {}, [])
    first = call("secret_rotation", args).ok()
    assert first["plan"] == told["plan"]
    assert first["rotation"]["waits_for"]["what"] == "deployment"
    value = variables(site)["AUTH_SECRET"]
    assert (len(value), list(variables(site))) == (43, ["AUTH_SECRET"])
    assert not call("secret_rotation", args, secrets=(value,)).ok().changed
    deploy(site)
    assert call("secret_rotation", args, secrets=(value,)).ok()["rotation"]["phase"] == "idle"
    asked = {**args, "reason": "requested", "min_age": "0s", "grace": "0s", "watch": "0s", "rotation_id": "ticket-1"}
    verifying = call("secret_rotation", asked, secrets=(value,)).ok()
    assert (verifying["rotation"]["phase"], variables(site)["AUTH_SECRET_1"]) == ("verifying", value)
    assert sum(verifying["rotation"]["requests"].values()) < 80
    old = site.project.production
    assert what_is_gone(call, site, store) == []
    deploy(site)
    retiring = call("secret_rotation", asked, secrets=(value, variables(site)["AUTH_SECRET"])).ok()
    assert (retiring["rotation"]["phase"], list(variables(site))) == ("retiring", ["AUTH_SECRET"])
    site.change(production=old)
    assert not call("secret_rotation", asked).ok().changed
    # A removal leaves no time behind but the second in which Vercel was asked for it.
    deploy(site, later=1000)
    over = call("secret_rotation", asked).ok()
    assert (over["rotation"]["phase"], over["rotation"]["proof"]) == ("idle", "deployment")
    assert not call("secret_rotation", asked).ok().changed
    gone = what_is_gone(call, site, store)
    assert [each["secret"] for each in gone] == ["auth_secret"]
    assert call("secret_retired_info", {**of_app(site, store), "environment": "other"}).ok()["retired"]["builds"] == []
    back = {**site.options, "to": site.id("B"), "reason": "it is slow", "outdated": gone}
    refused = call("vercel_rollback", back).refused("deployment_outdated")
    assert f"Could not roll production back to {site.id('B')}" in refused.message
    assert "secret auth_secret got another value (rotation ticket-1)" in refused.message
    assert call("vercel_promote", back).refused("deployment_outdated").message.count("auth_secret") == 1
    everything = "".join(store.read(key).decode() for key in store.keys("test"))
    assert value not in everything
    assert variables(site)["AUTH_SECRET"] not in everything


def test_what_was_built_with_the_value_of_somebody_else_is_built_again(
    call: Call, site: Site, file_store: FileStoreAt
) -> None:
    """He has changed the variable right after it was written, or removed it, and something was built: that is not in
    force, whatever date is waited for."""
    args = arguments(file_store, [on_vercel(site, "web", "AUTH_SECRET")], sign_out_users=True, min_age="0s")

    def run(*, check: bool = False, **changes: Any) -> tuple[bool, str]:
        found = call("secret_rotation", {**args, **changes}, check=check).ok()
        return found.changed, found["rotation"]["waits_for"]["what"]

    def told() -> dict[str, Any]:
        listed = [{each: args[each] for each in ("name", "provider", "destinations")}]
        info = {**file_store.args, "environment": "test", "name": "secrets", "secrets": listed}
        found: dict[str, Any] = call("secret_rotation_info", info).ok()["secrets"]["all"][0]
        return found

    def his(method: str, body: dict[str, str] | None) -> None:
        (record,) = site.vercel.world().variables_of(site.project)
        site.vercel.ask(method, f"/v9/projects/{site.project_id}/env/{record.id}?slug=sandbox", body)

    run()
    deploy(site)
    assert run() == (True, "date")
    for phase in ("idle", "grace"):
        if phase == "grace":
            assert run(reason="requested") == (True, "deployment")
            deploy(site)
            assert run() == (True, "date")
        value = variables(site)["AUTH_SECRET"]
        for method, body in (("PATCH", {"value": "another"}), ("DELETE", None)):
            his(method, body)
            assert variables(site).get("AUTH_SECRET") != value
            deploy(site)
            found = told()
            assert (found["phase"], found["destinations"][0]["as_written"]) == (phase, False)
            assert found["destinations"][0]["missing"] is (method == "DELETE")
            assert run(check=True) == (True, "deployment")
            assert run() == (True, "deployment")
            assert variables(site)["AUTH_SECRET"] == value
            assert told()["waits_for"]["what"] == "deployment"
            deploy(site)
            assert run() == (False, "date")


def test_a_run_killed_right_after_it_has_disabled_a_value(call: Call, site: Site, file_store: FileStoreAt) -> None:
    """Nobody can go back to what was built with it, from that moment on and not only after the next run."""
    with key_service() as service:
        place, key = {**OPTIONS, **on_vercel(site, "web", "API_KEY")}, filled(declared(service, "acme-web"))
        secret = Secret(store=file_store.url, destinations=[place], provider=key)
        for days in (0, 0, 91, 0):
            secret.days += days
            secret.run()
            deploy(site)
        assert secret.run()["phase"] == "grace"
        assert what_is_gone(call, site, file_store) == []
        secret.days += 8
        for number in range(12):
            with suppress(Killed):
                secret.run(die_before=number)
            if not all(each.enabled for each in service.keys.values()):
                break
        assert secret.ledger.phase == "disabling"
        gone = what_is_gone(call, site, file_store)
        back = {**site.options, "to": site.id("B"), "reason": "it is slow", "outdated": gone}
        refused = call("vercel_rollback", back).refused("deployment_outdated")
        assert "which take_back of secret_rotation still brings back" in refused.message
        assert secret.run(take_back=True)["phase"] == "returning"
        assert all(each.enabled for each in service.keys.values())
        assert what_is_gone(call, site, file_store) == []


def test_a_request_whose_answer_is_lost(site: Site, tmp_path: Path) -> None:
    """Vercel has taken the value and the answer is gone, or the run is: the next run writes nothing twice."""
    destination = {**OPTIONS, **on_vercel(site, "web", "AUTH_SECRET")}
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[destination])
    site.vercel.faults({"method": "POST", "path": f"{site.project_id}/env", "times": 1, "drop": True, "after": True})
    assert secret.run()["phase"] == "verifying"
    site.vercel.faults()
    first = variables(site)["AUTH_SECRET"]
    deploy(site)
    assert secret.run()["phase"] == "idle"
    secret.days = 91
    for number in range(60):
        try:
            said = secret.run(die_before=number - len(secret.effects), sign_out_users=True)
        except Killed:
            secret.effects = []
            continue
        assert said["phase"] in ("verifying", "distributing")
        if said["phase"] == "verifying":
            break
    written = [each.value for each in site.vercel.world().variables_of(site.project)]
    assert len(written) == 1
    assert written[0] != first


def test_all_secrets_of_an_environment_in_one_task(call: Call, site: Site, file_store: FileStoreAt) -> None:
    """Fifty of them, each with three destinations, of which nothing is due."""
    root = file_store.directory.parent / "places"
    root.mkdir()

    def destinations(number: int) -> list[dict[str, Any]]:
        files = [{"name": f"file{each}", "type": "file", "path": str(root / f"{number}-{each}")} for each in range(2)]
        return [*files, on_vercel(site, "web", f"SECRET_{number}")]

    declared = [
        {"name": f"secret-{number}", "provider": {"type": "generated"}, "destinations": destinations(number)}
        for number in range(50)
    ]
    for number in range(2):
        args = arguments(file_store, destinations(number), name=f"secret-{number}")
        call("secret_rotation", args).ok()
    site.vercel.forget()
    begun = time.monotonic()
    args = {**file_store.args, "environment": "test", "name": "secrets", "secrets": declared}
    found = call("secret_rotation_info", args).ok()["secrets"]
    assert time.monotonic() - begun < 10
    assert len(found["all"]) == 50
    assert (found["under_way"], len(found["due"])) == (["secret-0", "secret-1"], 50)
    assert found["all"][0]["waits_for"]["what"] == "deployment"
    assert found["all"][9]["waits_for"]["what"] == "run"
    assert len(site.vercel.requests(path=f"/projects/{site.project_id}/env")) == 1
    broken = [{**declared[0], "destinations": [{**declared[0]["destinations"][0], "path": "/no/such/folder/x"}]}]
    said = call("secret_rotation_info", {**args, "secrets": broken}).ok()["secrets"]
    assert (said["unreachable"], said["all"][0]["destinations"][0]["as_written"]) == (["secret-0"], None)


def test_two_runs_at_once(run_module: ModuleRunner, file_store: FileStoreAt, tmp_path: Path) -> None:
    """One waits for the other, and finds that there is nothing left to do."""
    place = {"name": "here", "type": "file", "path": str(tmp_path / "secret")}
    args = {**arguments(file_store, [place]), "secrets_key": KEY}
    children = [run_module.start("secret_rotation", args) for _child in range(2)]
    said = [read_outcome(child.wait(60)) for child in children]
    assert sum(each.changed for each in said if not each.failed) == 1
    assert {each.code for each in said if each.failed} <= {"lock_held"}
    assert len(file_store.keys("test/secrets/auth_secret/values")) == 1


def test_what_cannot_work_is_refused_before_anything_is_done(call: Call, file_store: FileStoreAt) -> None:
    place = {"name": "here", "type": "file", "path": "/tmp/x"}
    wrong: list[dict[str, Any]] = [
        {"destinations": [place, place]},
        {"destinations": [{**place, "value": "{password}"}]},
        {"destinations": [{**place, "value": "{previous}"}]},
        {"destinations": [{**place, "path": None}]},
        {"destinations": []},
        {"provider": {"type": "generated", "length": 8}},
        {"grace": "90d"},
        {"min_age": "90d"},
        {"secrets_key": "short"},
        {"rotation_id": "a b"},
        {"consumers": [{"name": "app", "url": "http://192.0.2.1/x"}]},
    ]
    for each in wrong:
        call("secret_rotation", {**arguments(file_store, [place]), **each}).refused("invalid_parameter")
    assert file_store.keys() == []
    call("secret_rotation", {**arguments(file_store, [place]), "secrets_key": None}).refused("connection_missing")
    args = arguments(file_store, [{**place, "path": "/no/such/folder/x"}])
    call("secret_rotation", args).refused("destination_unusable")


def test_a_variable_that_nobody_can_read_is_left_alone_by_adopting(
    call: Call, site: Site, file_store: FileStoreAt, tmp_path: Path
) -> None:
    """Even where the value is a wrong one, which nobody can tell here: it says so, and what serves goes on."""
    here = [on_vercel(site, "web", "AUTH_SECRET")]
    call("secret_rotation", arguments(file_store, here, name="before")).ok()
    value = variables(site)["AUTH_SECRET"]
    args = arguments(file_store, here, adopt=True, current_value="kanarienvogel")
    for check in (True, False):
        said = call("secret_rotation", args, check=check, secrets=("kanarienvogel",)).ok()
        assert len(said["plan"]["steps"]) == 1
        assert "Nobody could prove that the value given for auth_secret" in said.everything
    (place,) = said["rotation"]["destinations"]
    assert (place["unread"], place["variable"], said["rotation"]["waits_for"]["what"]) == (True, "AUTH_SECRET", "date")
    for _run in range(2):
        assert not call("secret_rotation", args).ok().changed
    assert variables(site) == {"AUTH_SECRET": value}


def test_a_mistake_is_said_of_the_one_that_it_is_in(call: Call, file_store: FileStoreAt) -> None:
    place = {"name": "here", "type": "file", "path": "/tmp/x"}
    declared = [{"name": each, "provider": {"type": "generated"}, "destinations": [place]} for each in ("a", "b")]
    args = {**file_store.args, "environment": "test", "name": "secrets"}
    (found,) = call("secret_rotation_info", {**args, "secrets": declared[:1]}).ok()["secrets"]["all"]
    assert "Could not rotate it as it is declared (secret a): no destination keeps" in found["cannot_rotate"]
    agreed = [{**declared[0], "sign_out_users": True}]
    (found,) = call("secret_rotation_info", {**args, "secrets": agreed}).ok()["secrets"]["all"]
    assert found["cannot_rotate"] == ""
    wrong = [declared[0], {**declared[1], "destinations": [{**place, "pth": "kanarienvogel"}]}]
    said = call("secret_rotation_info", {**args, "secrets": wrong}, secrets=("kanarienvogel",)).refused(
        "invalid_parameter"
    )
    assert "secrets: b, destinations: here): Unsupported parameters" in said["msg"]
    assert "Supported parameters include" not in said["msg"]
    for key, env in (("short", {}), (None, {"RUNBOOKS_SECRETS_KEY": "short"})):
        said = call("secret_rotation_info", {**args, "secrets": agreed, "secrets_key": key}, env=env)
        assert "it is shorter than 32 characters" in said.refused("invalid_parameter")["msg"]


def test_what_a_run_works_with_is_neither_adopted_nor_rotated(
    call: Call, file_store: FileStoreAt, tmp_path: Path
) -> None:
    """A token of its own, taken for a secret of the app's."""
    place = {"name": "here", "type": "file", "path": str(tmp_path / "token")}
    (tmp_path / "token").write_text("kanarienvogel", encoding="utf-8")
    args = arguments(file_store, [place], sign_out_users=True)
    own = {"VERCEL_TOKEN": "kanarienvogel"}
    call("secret_rotation", {**args, "adopt": True}, env=own, secrets=("kanarienvogel",)).refused("rotation_refused")
    assert file_store.keys("test/secrets") == []
    call("secret_rotation", {**args, "adopt": True}, secrets=("kanarienvogel",)).ok()
    asked = {**args, "reason": "requested", "min_age": "0s"}
    call("secret_rotation", asked, env=own, secrets=("kanarienvogel",)).refused("rotation_refused")
    listed = [{"name": "auth_secret", "provider": args["provider"], "destinations": [place]}]
    info = {**file_store.args, "environment": "test", "name": "secrets", "secrets": listed}
    (found,) = call("secret_rotation_info", info, env=own).ok()["secrets"]["all"]
    assert found["waits_for"]["what"] == "person"
    assert "the token of Vercel that this run works with" in found["waits_for"]["reason"]


def test_a_consumer_that_says_nothing_is_waited_for(call: Call, file_store: FileStoreAt, tmp_path: Path) -> None:
    place = {"name": "here", "type": "file", "path": str(tmp_path / "secret")}
    with app() as consumer:
        asked = {"name": "app", "url": consumer.url, "secret_headers": {"x-bypass": "kanarienvogel"}}
        args = arguments(file_store, [place], consumers=[asked])
        told = silent(call("secret_rotation", args, secrets=("kanarienvogel",)).ok())
        assert told == "app says nothing of auth_secret"
        consumer.start(tmp_path / "secret")
        assert call("secret_rotation", args).ok()["rotation"]["proof"] == "asked app"


def silent(said: Outcome) -> str:
    assert said["rotation"]["consumers"] == [{"name": "app", "uses": "silent"}]
    return str(said["rotation"]["waits_for"]["reason"])
