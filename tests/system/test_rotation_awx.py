# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A credential of AWX gets what the app gets, and keeps its other inputs; written again where somebody changes it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.modules import ModuleRunner
from harness.rotations import KEY, OPTIONS, Secret, file_destination, to_the_end
from harness.stores import failing
from sandbox.awx import AwxServer, Credential, CredentialType, Field, Token

MACHINE = CredentialType(
    id="1",
    name="Machine",
    fields=(Field(id="username"), Field(id="password", secret=True), Field(id="key", secret=True)),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwxServer]:
    with AwxServer(tmp_path_factory.mktemp("awx")) as started:
        started.put(MACHINE)
        yield started


@pytest.fixture
def credential(server: AwxServer) -> Iterator[str]:
    """One with two inputs that are none of ours; its name is its id's."""
    server.faults()
    server.forget()
    id = str(secrets.randbelow(10**9) + 10)
    server.put(Credential(id=id, name=f"c{id}", type="1", inputs={"username": "app", "key": "kept-by-others"}))
    yield f"c{id}"
    server.faults()


def in_awx(server: AwxServer, credential: str, **changes: Any) -> dict[str, Any]:
    place = {"token": server.token, "api_url": server.api_url, "credential": credential, "input": "password"}
    return {**OPTIONS, **place, "name": "jobs", "type": "awx_credential", "value": "{value}", **changes}


def held(server: AwxServer, credential: str) -> dict[str, str]:
    """Its inputs, as a job gets them."""
    return dict(server.world().credentials[credential.removeprefix("c")].inputs)


def writes(server: AwxServer) -> int:
    return len(server.requests("PATCH"))


def test_jobs_get_what_the_app_gets(server: AwxServer, credential: str, tmp_path: Path) -> None:
    """Killed around each effect, or its answer lost: in the end both have the same, and the others' inputs stay."""
    current = tmp_path / "current"
    places = [file_destination(current), in_awx(server, credential)]
    secret = Secret(store=f"file://{tmp_path}/store", destinations=places)
    assert secret.run()["phase"] == "idle"
    first = current.read_text(encoding="utf-8")
    others = {"username": "app", "key": "kept-by-others"}
    assert held(server, credential) == {**others, "password": first}
    assert (secret.run()["changed"], writes(server)) == (False, 1)
    changed = {**others, "password": "x", "username": "app2"}
    server.change("credentials", credential[1:], inputs=changed, modified="2040-01-01T00:00:00.000000Z")
    assert secret.run()["steps"] == ["write jobs (awx_credential)"]
    others["username"] = "app2"
    assert held(server, credential) == {**others, "password": first}
    secret.days = 91
    server.faults({"method": "PATCH", "times": 1, "drop": True, "after": True})
    with failing("service_unreachable"):
        secret.run(sign_out_users=True)
    to_the_end(secret, sign_out_users=True)
    for point in range(100):
        before, secret.effects = current.read_text(encoding="utf-8"), []
        secret.days += 91
        killed = to_the_end(secret, point, sign_out_users=True)
        value = current.read_text(encoding="utf-8")
        assert (held(server, credential), value != before) == ({**others, "password": value}, True)
        if not killed:
            break
    assert point > 10


def test_several_inputs_at_once(server: AwxServer, credential: str, tmp_path: Path) -> None:
    """As one destination, or as several that share the credential, but not an input of it."""
    value = '{"password": "{value}", "key": "x{value}"}'
    place = in_awx(server, credential, input=None, value=value)
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[place])
    with failing("rotation_refused"):
        secret.run()
    before = held(server, credential)
    secret.run(adopt=True, current_value="in-force-already-0123456789")
    assert held(server, credential) == before
    assert not secret.run()["changed"]
    assert secret.run(reason="requested", min_age="0s", sign_out_users=True)["changed"]
    found = held(server, credential)
    assert found["username"] == "app"
    assert found["key"] == "x" + found["password"]
    twice = [place, in_awx(server, credential, name="twice")]
    with failing("invalid_parameter") as refused:
        Secret(store=f"file://{tmp_path}/other", destinations=twice).run()
    assert "another destination writes the input password" in refused().message
    with failing("invalid_parameter"):
        Secret(store=secret.store, destinations=[{**place, "value": "{value}"}]).run()


def test_what_cannot_hold_a_secret_is_refused(server: AwxServer, credential: str, tmp_path: Path) -> None:
    """An input that AWX shows, one that is looked up elsewhere or not there, a credential that is not seen."""

    def refused(code: str, **changes: Any) -> str:
        place = {**in_awx(server, credential), **changes}
        with failing(code) as failed:
            Secret(store=f"file://{tmp_path}/{secrets.token_hex(4)}", destinations=[place]).run()
        return failed().message

    server.change("credentials", credential[1:], inputs={})
    assert "AWX shows what is in its input username" in refused("destination_unusable", input="username")
    assert "has no input nothing" in refused("destination_unusable", input="nothing")
    assert "there is none" in refused("destination_unusable", credential="nobody's")
    assert "there is none" in refused("destination_unusable", credential="999999999999")
    assert "there is none" in refused("destination_unusable", organization="Other")
    server.put(Credential(id="7", name=credential, type="1", organization="Other"))
    assert "2 of this name" in refused("destination_unusable")
    server.change("credentials", credential[1:], looked_up=["password"])
    assert "looked up in another system" in refused("destination_unusable", organization="Default")
    server.put(Token(token="reader", scope="read"))
    server.change("credentials", credential[1:], looked_up=[])
    assert "(403)" in refused("service_denied", token="reader", organization="Default")
    assert "(401)" in refused("service_denied", token="nobody")
    assert "CONTROLLER_HOST" in refused("connection_missing", api_url=None)
    assert held(server, credential) == {}


def test_by_the_module(server: AwxServer, credential: str, tmp_path: Path, run_module: ModuleRunner) -> None:
    """By its id, with the token from the environment; nothing of the value is shown."""
    args = {"store": f"file://{tmp_path}/store", "environment": "test", "name": "auth_secret", "secrets_key": KEY}
    place = {"name": "jobs", "type": "awx_credential", "credential": credential[1:], "input": "password"}
    declared = {"provider": {"type": "generated"}, "destinations": [place]}
    env = {"CONTROLLER_HOST": server.api_url, "CONTROLLER_OAUTH_TOKEN": server.token}
    said = run_module("secret_rotation", {**args, **declared}, verbosity=3, diff=True, env=env).ok()
    for each in (held(server, credential)["password"], server.token, KEY):
        assert each not in said.everything
    assert not run_module("secret_rotation", {**args, **declared}, env=env).ok().changed
    both = [{**declared, "name": name} for name in ("auth_secret", "another")]
    told = run_module("secret_rotation_info", {**args, "secrets": both}, env=env).ok()["secrets"]
    assert told["all"][0]["destinations"][0]["as_written"]
    assert "another destination writes the input password" in told["all"][1]["problem"]
    run_module(
        "secret_rotation", {**args, **declared, "name": "another", "adopt": True, "current_value": "x"}, env=env
    ).ok()
    asked = {"reason": "requested", "min_age": "0s", "sign_out_users": True}
    run_module("secret_rotation", {**args, **declared, "name": "another", **asked}, env=env).ok()
    for name in ("auth_secret", "another"):
        twice = run_module("secret_rotation", {**args, **declared, "name": name}, env=env)
        if twice.failed:
            break
    assert "its input password is written by jobs of the secret" in twice.refused("destination_unusable").message


def test_two_secrets_in_one_credential(
    server: AwxServer, credential: str, tmp_path: Path, run_module: ModuleRunner
) -> None:
    """Each writes its own inputs and leaves the other's; neither takes the other's change for one of somebody else."""
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[])
    inputs = ("password", "key")

    def run(input: str, **changes: Any) -> bool:
        places = [in_awx(server, credential, input=input)]
        return bool(secret.run(name=input, destinations=places, sign_out_users=True, **changes)["changed"])

    def told() -> list[bool]:
        place = {"name": "jobs", "type": "awx_credential", "credential": credential}
        root = {"store": secret.store, "environment": "test", "name": "secrets", "secrets_key": KEY}
        declared = [{"name": each, "provider": {}, "destinations": [{**place, "input": each}]} for each in inputs]
        env = {"CONTROLLER_HOST": server.api_url, "CONTROLLER_OAUTH_TOKEN": server.token}
        found = run_module("secret_rotation_info", {**root, "secrets": declared}, env=env).ok()["secrets"]["all"]
        return [each["destinations"][0]["as_written"] for each in found]

    def still() -> dict[str, str]:
        """A second run of each changes nothing; what is there."""
        sent = writes(server)
        assert [run(each) for each in (*inputs, *inputs)] == [False] * 4
        assert writes(server) == sent
        return held(server, credential)

    for each in inputs:
        run(each, adopt=True, current_value=f"in-force-{each}")
        run(each)
    found = still()
    assert found["username"] == "app"
    for each in ("password", "key", "key", "password"):
        assert run(each, reason="requested", min_age="0s", grace="0s", watch="0s")
        now = still()
        assert {name for name in now if now[name] != found[name]} == {each}
        found = now
    assert told() == [True, True]
    server.change("credentials", credential[1:], inputs={**found, "key": "x"}, modified="2040-01-01T00:00:00.000000Z")
    assert told() == [False, False]
    assert [run(each) for each in inputs] == [True, True]
    assert still() == found
