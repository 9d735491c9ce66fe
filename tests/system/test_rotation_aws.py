# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access keys, secrets and parameters of AWS in a rotation: killed at any request, answers that are lost or late."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

from harness.modules import ModuleRunner
from harness.policies import allowed
from harness.rotations import KEY, OPTIONS, Killed, Secret, file_destination, to_the_end
from harness.stores import failing
from harness.warm import keep_descriptions
from sandbox.aws import AccessKey, AwsServer, Parameter, User

DAY = 86400
PAIR = '{"access_key_id": "{access_key_id}", "secret_access_key": "{secret_access_key}"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    with AwsServer(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def _descriptions() -> Iterator[None]:
    """Every run here is one in this process, with clients of its own."""
    with pytest.MonkeyPatch.context() as patch:
        keep_descriptions(patch.setattr)
        yield


@pytest.fixture
def tag(server: AwsServer) -> Iterator[str]:
    """What no other test has in its names; it is a user's too."""
    server.faults()
    server.forget()
    server.set_clock()
    name = f"t{secrets.token_hex(4)}"
    server.put(User(name=name))
    yield name
    server.faults()


def in_secret(server: AwsServer, tag: str, value: str = "{value}") -> dict[str, Any]:
    return {**OPTIONS, **server.args, "name": "secret", "type": "aws_secret", "secret": f"acme/{tag}", "value": value}


def in_parameter(server: AwsServer, tag: str, value: str = "{value}") -> dict[str, Any]:
    named = {"name": "parameter", "type": "aws_parameter", "parameter": f"/acme/{tag}", "value": value}
    return {**OPTIONS, **server.args, **named}


def generated(server: AwsServer, tag: str, tmp_path: Path) -> Secret:
    """A value of ours in all three kinds of places, the one before it in a parameter of its own."""
    before = {**in_parameter(server, tag, "{previous}"), "name": "before", "parameter": f"/acme/{tag}/before"}
    places = [file_destination(tmp_path / "current"), in_secret(server, tag), in_parameter(server, tag), before]
    return Secret(store=f"file://{tmp_path}/store", destinations=places)


def held(server: AwsServer, tag: str) -> tuple[str, str, str]:
    """What the secret, the parameter and the one with the value before it hold; '' where there is nothing."""
    world = server.world()
    secret = world.secrets.get(f"acme/{tag}")
    current = secret.holder("AWSCURRENT") if secret is not None and secret.deleted_at is None else None
    parameters = [world.parameters.get(f"/acme/{tag}{end}") for end in ("", "/before")]
    texts = [each.value if each is not None else "" for each in parameters]
    return (secret.versions[current].value if secret is not None and current else "", texts[0], texts[1])


def effects_of(secret: Secret, words: tuple[str, ...]) -> list[int]:
    """Of the effects so far those with such words, each by its number, and the one after it."""
    found = [number for number, each in enumerate(secret.effects) if any(word in each for word in words)]
    return sorted({near for number in found for near in (number, number + 1)})


def asked_for(server: AwsServer, service: str) -> set[str]:
    """The actions of a service that were used."""
    found = {each["target"].strip("/").replace("/", ":") for each in server.requests()}
    return {each for each in found if each.startswith(service)}


def settled(server: AwsServer, tag: str, value: str) -> None:
    """Everywhere the value and nothing beside it; no label is left, and no version that waits."""
    assert held(server, tag) == (value, value, "")
    labels = [stage for each in server.world().secrets[f"acme/{tag}"].versions.values() for stage in each.stages]
    assert sorted(labels) == sorted({"AWSCURRENT", "AWSPREVIOUS"} & set(labels)), "AWSPENDING is taken away"


def test_a_value_in_secrets_manager_and_parameter_store(server: AwsServer, tag: str, tmp_path: Path) -> None:
    """Made, written once, written again where somebody else has changed it, rotated with the value before it beside."""
    secret = generated(server, tag, tmp_path)
    assert secret.run()["phase"] == "idle"
    first = (tmp_path / "current").read_text(encoding="utf-8")
    settled(server, tag, first)
    server.forget()
    assert not secret.run()["changed"]
    assert len(server.requests()) == 3, "each place is looked at with one request"
    server.put(replace(server.world().parameters[f"/acme/{tag}"], value="x", version=7))
    stored = server.world().secrets[f"acme/{tag}"]
    versions = {"x" * 32: {"value": "x", "stages": ["AWSCURRENT"]}}
    old = {id: {"value": each.value, "stages": []} for id, each in stored.versions.items()}
    server.change("secrets", stored.name, versions={**old, **versions})
    assert secret.run()["steps"] == ["write secret (aws_secret)", "write parameter (aws_parameter)"]
    assert held(server, tag)[:2] == (first, first)
    secret.days = 91
    server.change("secrets", stored.name, rotation=True)
    told = secret.run()
    assert (told["phase"], "AWS rotates" in str(told["warnings"])) == ("grace", True)
    second = (tmp_path / "current").read_text(encoding="utf-8")
    assert held(server, tag) == (second, second, first)
    secret.run(take_back=True)
    assert held(server, tag) == (first, first, "")
    assert not secret.run()["changed"]


def test_places_in_a_run_that_is_killed(server: AwsServer, tag: str, tmp_path: Path) -> None:
    """Before and after each request to AWS: the next run makes all places whole, and leaves nothing beside."""
    secret = generated(server, tag, tmp_path)
    secret.run()
    secret.days, secret.effects = 91, []
    to_the_end(secret)
    points = effects_of(secret, (" the secret arn:", "the parameter /"))
    assert len(points) > 10
    for point in points:
        before, secret.effects = held(server, tag)[0], []
        secret.days += 91
        assert to_the_end(secret, point) or point == points[-1]
        value = (tmp_path / "current").read_text(encoding="utf-8")
        assert value != before
        settled(server, tag, value)
        assert len(secret.kept) == 1
    assert asked_for(server, "ssm:") == allowed("secret_rotation with destinations on AWS")


@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage", "PutParameter", "DeleteParameter"])
def test_places_whose_answer_is_lost(server: AwsServer, tag: str, tmp_path: Path, operation: str) -> None:
    """AWS has done it, and denies it; the run ends there, and the next one comes to the same end."""
    secret = generated(server, tag, tmp_path)
    secret.run()
    secret.days = 91
    for skip in range(4 if operation == "UpdateSecretVersionStage" else 1):
        denied = {"path": operation, "skip": skip, "times": 1, "status": 400, "after": True}
        server.faults({**denied, "code": "AccessDeniedException"})
        with failing("service_denied"):
            to_the_end(secret)
        server.faults()
        to_the_end(secret)
        settled(server, tag, (tmp_path / "current").read_text(encoding="utf-8"))
        secret.days += 91


def test_a_version_that_waits_is_only_ours_to_take_away(server: AwsServer, tag: str, tmp_path: Path) -> None:
    """One of ours, of a rotation that was taken back, goes; where AWS or somebody else rotates, nothing is written."""
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[in_secret(server, tag)])
    secret.run()
    first = held(server, tag)[0]
    secret.days, secret.effects = 91, []
    with pytest.raises(Killed):
        secret.run(die_before=13, sign_out_users=True)
    assert server.world().secrets[f"acme/{tag}"].holder("AWSPENDING"), secret.effects
    assert secret.run(take_back=True)["last"]["outcome"] == "taken back"
    stored = server.world().secrets[f"acme/{tag}"]
    assert (held(server, tag)[0], stored.holder("AWSPENDING")) == (first, None)
    versions = {id: {"value": each.value, "stages": list(each.stages)} for id, each in stored.versions.items()}
    server.change("secrets", stored.name, versions={**versions, "x" * 32: {"value": "x", "stages": ["AWSPENDING"]}})
    assert not secret.run()["changed"]
    with failing("secret_conflict") as refused:
        secret.run(reason="requested", sign_out_users=True)
    assert "rotation is under way" in refused().message
    assert held(server, tag)[0] == first


def test_a_parameter_that_everybody_reads_is_refused(server: AwsServer, tag: str, tmp_path: Path) -> None:
    server.put(Parameter(name=f"/acme/{tag}", value="x", type="String"))
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[in_parameter(server, tag)])
    with failing("rotation_refused"):
        secret.run()
    secret.run(adopt=True)
    secret.days = 91
    with failing("destination_unusable") as refused:
        secret.run(sign_out_users=True)
    assert "SecureString" in refused().message


# --- Access keys


def rotating(server: AwsServer, tag: str, tmp_path: Path) -> Secret:
    """The key of a user, as a pair in a file and in Secrets Manager."""
    provider = {**server.args, "session_token": None, "profile": None, "type": "aws_access_key", "user": tag}
    return Secret(
        store=f"file://{tmp_path}/store",
        destinations=[file_destination(tmp_path / "pair", PAIR), in_secret(server, tag, PAIR)],
        provider={**provider, "unused_for": "1d", "timeout": "3s"},
    )


def keys(server: AwsServer, tag: str) -> dict[str, AccessKey]:
    return {key.id: key for key in server.world().keys.values() if key.user == tag}


def in_time(server: AwsServer, secret: Secret) -> None:
    """Let AWS have the calendar of the secret's runs."""
    server.set_clock(int(secret.days * DAY))


def whole(server: AwsServer, secret: Secret, die_before: int = -1) -> bool:
    """A rotation to its end, at AWS by the same calendar; whether it was killed on the way."""
    return to_the_end(secret, die_before, between=lambda: in_time(server, secret))


def only_one(server: AwsServer, secret: Secret, tag: str, tmp_path: Path, *others: str) -> str:
    """One live key, in both places, and beside it only those of others; its id."""
    text = (tmp_path / "pair").read_text(encoding="utf-8")
    pair = json.loads(text)
    there = keys(server, tag)
    assert set(there) == {pair["access_key_id"], *others}
    assert (there[pair["access_key_id"]].status, there[pair["access_key_id"]].secret) == (
        "Active",
        pair["secret_access_key"],
    )
    assert held(server, tag)[0] == text
    assert (secret.ledger.phase, len(secret.kept)) == ("idle", 1)
    return str(pair["access_key_id"])


def test_an_access_key_in_a_run_that_is_killed(server: AwsServer, tag: str, tmp_path: Path) -> None:
    """Before and after each request: one live key in the end, in both places, and no orphan."""
    secret = rotating(server, tag, tmp_path)
    assert secret.run()["phase"] == "idle"
    first = only_one(server, secret, tag, tmp_path)
    secret.days, secret.effects = 91, []
    whole(server, secret)
    assert only_one(server, secret, tag, tmp_path) != first
    points = effects_of(secret, ("an access key", "the access key", "try the", "keep the"))
    assert len(points) > 5
    for point in points:
        before, secret.effects = only_one(server, secret, tag, tmp_path), []
        secret.days += 91
        assert whole(server, secret, point) or point == points[-1]
        assert only_one(server, secret, tag, tmp_path) != before
    assert asked_for(server, "iam:") == allowed("aws_access_key") - {"sts:GetAccessKeyInfo"}


@pytest.mark.parametrize("operation", ["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"])
def test_an_access_key_whose_answer_is_lost(server: AwsServer, tag: str, tmp_path: Path, operation: str) -> None:
    """The key whose secret nobody has is deleted by the next run."""
    secret = rotating(server, tag, tmp_path)
    secret.run()
    first = only_one(server, secret, tag, tmp_path)
    secret.days = 91
    server.faults({"path": operation, "times": 9, "drop": True, "after": True})
    with pytest.raises(RunbookError) as lost:
        whole(server, secret)
    assert lost.value.code == "service_unreachable"
    server.faults()
    whole(server, secret)
    assert only_one(server, secret, tag, tmp_path) != first


def test_a_key_of_somebody_else_stays(server: AwsServer, tag: str, tmp_path: Path) -> None:
    """One from before is named at the limit. One that a killed run has made is none that was used, or switched off, or
    is older than the rotation."""
    secret = rotating(server, tag, tmp_path)
    secret.run()
    first = only_one(server, secret, tag, tmp_path)
    secret.days = 91
    in_time(server, secret)
    now = server.world().now
    theirs = AccessKey(id=f"AKIA{tag.upper()}THEIRS", secret="x" * 40, user=tag, created_at=now)
    server.put(theirs)
    for check in (True, False):
        with failing("access_key_limit") as refused:
            secret.run(check=check)
        assert theirs.id in refused().message
    only_one(server, secret, tag, tmp_path, theirs.id)
    server.change("keys", theirs.id, user="nobody")
    with pytest.raises(Killed):
        secret.run(reason="requested", die_before=1)
    assert secret.ledger.phase == "making"
    for state in ({"last_used_at": now}, {"status": "Inactive"}, {"created_at": now - 60}):
        server.put(replace(theirs, **{"created_at": now + 1, **state}))
        with failing("access_key_limit"):
            secret.run()
        assert set(keys(server, tag)) == {first, theirs.id}
    server.change("keys", theirs.id, user="nobody")
    whole(server, secret)
    only_one(server, secret, tag, tmp_path)


def test_what_aws_tells_late(server: AwsServer, tag: str, tmp_path: Path) -> None:
    """A new key is refused at first; the last use of the old one is told by and by, and waited for."""
    server.put(User(name=tag, unknown_for=2, told_late=3600))
    secret = rotating(server, tag, tmp_path)
    assert secret.run()["phase"] == "idle"
    first = only_one(server, secret, tag, tmp_path)

    def run(days: float, **changes: Any) -> dict[str, Any]:
        secret.days += days
        in_time(server, secret)
        return secret.run(**changes)

    server.change("users", tag, unknown_for=99)
    with failing("access_key_unproven"):
        run(91)
    assert secret.ledger.phase == "staged", "nobody has been given it"
    server.change("users", tag, unknown_for=0)
    for each in keys(server, tag):
        server.change("keys", each, unknown_for=0)
    assert run(0)["phase"] == "grace"
    secret.days += 8
    in_time(server, secret)
    server.change("keys", first, used_at=server.world().now)
    assert run(0.01)["phase"] == "watching", "nobody can know it yet"
    over = run(0, take_back=True)
    assert (over["last"]["outcome"], keys(server, tag)[first].status) == ("taken back", "Active")
    assert only_one(server, secret, tag, tmp_path) == first
    assert run(1, reason="requested")["phase"] == "grace"
    server.change("keys", first, used_at=server.world().now + 8 * DAY - 7200)
    waiting = run(8)
    assert (waiting["phase"], waiting["waits_for"]["what"]) == ("grace", "use")
    assert "was used at" in waiting["waits_for"]["reason"]
    assert "up to 4 h late" in waiting["waits_for"]["reason"]
    assert run(1)["phase"] == "grace", "a day, and what AWS tells late"
    assert run(0.2)["phase"] == "watching"


def test_a_key_that_somebody_activates_again_stays(server: AwsServer, tag: str, tmp_path: Path) -> None:
    """During the watch period: at its end it is named, with its use, until it is off again."""
    secret = rotating(server, tag, tmp_path)
    secret.run()
    first = only_one(server, secret, tag, tmp_path)
    for days in (91, 8):
        secret.days += days
        in_time(server, secret)
        secret.run()
    assert (secret.ledger.phase, keys(server, tag)[first].status) == ("watching", "Inactive")
    secret.days += 2
    in_time(server, secret)
    server.change("keys", first, status="Active", last_used_at=server.world().now)
    for check in (True, False):
        with failing("rotation_refused") as refused:
            secret.run(check=check)
        assert f"{first} of {tag} is active again, and was used last at" in refused().message
    server.change("keys", first, status="Inactive")
    with pytest.raises(Killed):
        secret.run(die_before=1)
    assert secret.ledger.phase == "clearing"
    server.change("keys", first, status="Active")
    with failing("rotation_refused"):
        secret.run()
    server.change("keys", first, status="Inactive")
    whole(server, secret)
    only_one(server, secret, tag, tmp_path)


def test_after_a_compromise_nobody_waits_for_the_old_key_to_rest(server: AwsServer, tag: str, tmp_path: Path) -> None:
    secret = rotating(server, tag, tmp_path)
    secret.run()
    first = only_one(server, secret, tag, tmp_path)
    secret.days = 1
    in_time(server, secret)
    # Somebody has not waited for the rotation.
    server.change("keys", first, last_used_at=server.world().now, status="Inactive")
    over = secret.run(reason="compromise")
    assert (over["phase"], over["last"]["reason"]) == ("idle", "compromise")
    third = only_one(server, secret, tag, tmp_path)
    assert third != first
    secret.effects = []
    secret.run(reason="compromise", break_first=True, min_age="0s", rotation_id="at-once")
    assert secret.ledger.history[-1].rotation_id == "at-once"
    ends = secret.effects.index(f"deactivate the access key {third} of {tag}")
    assert ends < next(number for number, each in enumerate(secret.effects) if each.startswith("write a destination"))
    second = only_one(server, secret, tag, tmp_path)
    assert second != third
    secret.days = 92
    in_time(server, secret)
    assert secret.run()["phase"] == "grace"
    server.change("keys", second, user="nobody")
    with failing("access_key_missing") as refused:
        secret.run(take_back=True)
    assert "leave take_back out" in refused().message
    whole(server, secret)
    assert only_one(server, secret, tag, tmp_path) != second


def test_a_pair_from_before_is_adopted(server: AwsServer, tag: str, tmp_path: Path) -> None:
    """Where it is the user's and works; the key that the run works with is never rotated by it."""
    key = AccessKey(id=f"AKIA{tag.upper()}BEFORE", secret="y" * 40, user=tag, created_at=1)
    server.put(key)
    secret = rotating(server, tag, tmp_path)
    text = PAIR.replace("{access_key_id}", key.id).replace("{secret_access_key}", key.secret)
    (tmp_path / "pair").write_text(text, encoding="utf-8")
    with failing("rotation_refused"):
        secret.run()
    elsewhere = replace(secret, destinations=[file_destination(tmp_path / "elsewhere", PAIR)])
    for check in (True, False):
        with failing("rotation_refused") as refused:
            elsewhere.run(check=check)
        assert f"the user {tag} has the access key {key.id} already" in refused().message
    for wrong in ("x", "{}", text.replace(key.id, "AKIAOFSOMEBODYELSE0")):
        with failing("invalid_parameter"):
            secret.run(adopt=True, current_value=wrong)
    with failing("access_key_unproven"):
        secret.run(adopt=True, current_value=text.replace("y" * 40, "z" * 40))
    assert secret.run(adopt=True, current_value=text)["last"]["outcome"] == "adopted"
    assert secret.run()["steps"] == ["write secret (aws_secret)"]
    assert only_one(server, secret, tag, tmp_path) == key.id
    secret.days = 91
    whole(server, secret)
    assert only_one(server, secret, tag, tmp_path) != key.id
    own = replace(secret, provider={**secret.provider, "user": server.user}, store=f"file://{tmp_path}/own")
    with failing("rotation_refused"):
        own.run()
    own.destinations = [file_destination(tmp_path / "own-pair", PAIR)]
    with failing("own_credential"):
        own.run()
    id = only_one(server, secret, tag, tmp_path)
    for place, what in ({}, "the store"), ({"access_key": id, "secret_key": "x"}, "secret is written"):
        secret.destinations[1] |= place
        with failing("rotation_refused") as refused:
            secret.run(access_key=None if place else id)
        assert f"it is the access key {'with which ' if place else 'of '}{what}" in refused().message


def test_by_the_module(server: AwsServer, tag: str, tmp_path: Path, run_module: ModuleRunner) -> None:
    """No value is shown; what cannot work is refused before anything is done."""
    args = {"store": f"file://{tmp_path}/store", "environment": "test", "name": "pair", "secrets_key": KEY}
    place = {name: value for name, value in in_secret(server, tag, PAIR).items() if value is not None}
    declared = {"provider": {**server.args, "type": "aws_access_key", "user": tag}, "destinations": [place]}
    said = run_module("secret_rotation", {**args, **declared}, verbosity=3, diff=True).ok()
    assert json.loads(held(server, tag)[0])["access_key_id"] in keys(server, tag)
    assert said["rotation"]["requests"]["distributing"] > 3
    assert sum(said["rotation"]["requests"].values()) < 60
    for key in server.world().keys.values():
        assert key.secret not in said.everything
    assert not run_module("secret_rotation", {**args, **declared}).ok().changed
    wrong: list[dict[str, Any]] = [
        {"provider": {**declared["provider"], "user": "arn:aws:iam::1:user/x"}},
        {"provider": {**declared["provider"], "secret_key": None}},
        {"destinations": [{**place, "profile": "x"}]},
        {"destinations": [{**place, "secret": "not allowed"}]},
        {"destinations": [{**place, "type": "aws_parameter", "parameter": "acme//x"}]},
        {"destinations": [{**place, "value": "{value}"}]},
    ]
    for each in wrong:
        run_module("secret_rotation", {**args, **declared, "name": "wrong", **each}).refused("invalid_parameter")
