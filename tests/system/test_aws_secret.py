# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets of Secrets Manager are what they are described as, a version at a time, and no value is ever shown."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.policies import allowed
from harness.stores import failing, run_context
from sandbox.aws import AwsServer, Parameter, Secret

Call = Callable[..., Outcome]
ONE, TWO, THREE = (f"kanarienvogel-{number}" for number in (1, 2, 3))
TOKEN = "6b1f0c5e-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    with AwsServer(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.fixture
def name(server: AwsServer) -> Iterator[str]:
    """Of a secret that no other test has."""
    server.faults()
    server.forget()
    yield f"acme/{secrets.token_hex(4)}"
    server.faults()


@pytest.fixture
def call(run_module: ModuleRunner, server: AwsServer, name: str) -> Call:
    """``call(value=ONE)``; no run may show a value."""

    def run(*, check: bool = False, diff: bool = False, **params: Any) -> Outcome:
        said = run_module("aws_secret", {**server.args, "secret": name, **params}, check=check, diff=diff, verbosity=3)
        assert "kanarienvogel" not in said.everything
        assert server.secret_key not in said.everything
        return said

    return run


def there(server: AwsServer, name: str) -> Secret:
    return server.world().secrets[name]


def labels(server: AwsServer, name: str) -> dict[str, tuple[str, ...]]:
    """Value to labels, of versions that have some."""
    return {each.value: each.stages for each in there(server, name).versions.values() if each.stages}


def writes(server: AwsServer) -> list[str]:
    reading = ("DescribeSecret", "GetSecretValue")
    found = [each["target"].rpartition("/")[2] for each in server.requests()]
    return [each for each in found if each not in reading]


def test_a_secret_is_kept(call: Call, server: AwsServer, name: str) -> None:
    """Created, changed, deleted, brought back; each is predicted, and done again does nothing."""
    about = {"description": "of a test", "tags": {"team": "web"}}
    told = call(value=ONE, check=True, diff=True, **about).ok()
    assert (told.changed, name in server.world().secrets) == (True, False)
    done = call(value=ONE, diff=True, **about).ok()
    assert (done["plan"], done["diff"]) == (told["plan"], told["diff"])
    assert (labels(server, name), there(server, name).tags) == ({ONE: ("AWSCURRENT",)}, {"team": "web"})
    assert not call(value=ONE, **about).ok().changed
    server.forget()
    told = call(value=TWO, check=True).ok()
    assert writes(server) == []
    changed = call(value=TWO).ok()
    assert changed["plan"] == told["plan"]
    assert labels(server, name) == {ONE: ("AWSPREVIOUS",), TWO: ("AWSCURRENT",)}, "AWSPENDING is taken away"
    assert writes(server) == ["PutSecretValue", *["UpdateSecretVersionStage"] * 4]
    assert {each["target"].strip("/").replace("/", ":") for each in server.requests()} == allowed("aws_secret")
    assert changed["secret"]["version_id"] == there(server, name).holder("AWSCURRENT")
    assert not call(value=TWO).ok().changed
    other = {"tags": {"team": "ops"}, "description": "of another", "kms_key_id": "alias/acme"}
    assert call(**other, purge_tags=True).ok().changed
    assert not call(**other, purge_tags=True, check=True).ok().changed

    assert call(state="absent", recovery_window=7).ok()["secret"]["deletion_date"]
    assert not call(state="absent", recovery_window=7).ok().changed
    assert "take back" in call(value=THREE, check=True).ok()["plan"]["steps"][0]
    assert call(value=THREE).ok()["secret"]["deletion_date"] is None
    assert labels(server, name)[THREE] == ("AWSCURRENT",)
    gone = call(state="absent", recovery_window=0).ok()
    assert gone["plan"]["irreversible"]
    assert name not in server.world().secrets
    assert not call(state="absent").ok().changed
    call(description="nobody is there").refused("secret_missing")


def test_a_value_waits_until_it_is_made_current(call: Call, server: AwsServer, name: str) -> None:
    call(value=ONE).ok()
    staged = call(value=TWO, stage="pending", version_id=TOKEN).ok()
    assert staged["secret"]["pending_version_id"] == TOKEN
    assert labels(server, name) == {ONE: ("AWSCURRENT",), TWO: ("AWSPENDING",)}
    assert not call(value=TWO, stage="pending", version_id=TOKEN).ok().changed
    refused = call(value=THREE, stage="pending", version_id=TOKEN).refused("secret_conflict")
    assert "already with another value" in refused.message
    assert "rotation is under way" in call(value=THREE).refused("secret_conflict").message
    server.forget()
    assert call(version_id=TOKEN).ok().changed
    assert "GetSecretValue" not in str(server.requests()), "the value need not be readable for that"
    assert labels(server, name) == {ONE: ("AWSPREVIOUS",), TWO: ("AWSCURRENT",)}
    assert not call(version_id=TOKEN).ok().changed
    call(version_id=TOKEN.replace("1", "2")).refused("secret_missing")
    call(value=THREE, stage="pending").ok()
    assert call(value=ONE, replace_pending=True).ok().changed
    assert labels(server, name)[ONE] == ("AWSCURRENT",)


@pytest.mark.parametrize(
    ("operation", "skip"),
    [("CreateSecret", 0), ("PutSecretValue", 0), *[("UpdateSecretVersionStage", number) for number in range(4)]],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_what_a_run_has_left_is_continued(
    call: Call, server: AwsServer, name: str, operation: str, skip: int, after: bool
) -> None:
    """Refused before or after each effect; one clean run later the value is current, and nothing is left beside it."""
    if operation != "CreateSecret":
        call(value=ONE).ok()
    server.faults(
        {"path": operation, "skip": skip, "times": 1, "status": 400, "code": "AccessDeniedException", "after": after}
    )
    assert f"secretsmanager:{operation} is denied" in call(value=TWO).refused("service_denied").message
    server.faults()
    call(value=TWO).ok()
    assert labels(server, name)[TWO] == ("AWSCURRENT",)
    assert ("AWSPENDING" in str(labels(server, name)), "ops.runbooks" in str(labels(server, name))) == (False, False)
    assert len(there(server, name).versions) == (1 if operation == "CreateSecret" else 2), "no version too many"
    assert not call(value=TWO).ok().changed


def test_answers_that_are_lost_are_asked_for_again(call: Call, server: AwsServer, name: str) -> None:
    """Each request is sent again by the same token, and a label that has moved already is where it should be."""
    server.faults({"path": "CreateSecret", "times": 1, "drop": True, "after": True})
    call(value=ONE).ok()
    server.faults(
        {"path": "PutSecretValue", "times": 1, "drop": True, "after": True},
        {"path": "UpdateSecretVersionStage", "times": 1, "status": 500, "after": True},
    )
    call(value=TWO).ok()
    assert labels(server, name) == {ONE: ("AWSPREVIOUS",), TWO: ("AWSCURRENT",)}


def test_of_two_at_once_one_becomes_current(call: Call, server: AwsServer, name: str) -> None:
    """Another writer makes its version current while ours is about to be: ours is refused, and its label stays."""
    call(value=ONE).ok()
    server.faults({"path": "UpdateSecretVersionStage", "skip": 2, "times": 1, "delay": 600})

    def interfere() -> None:
        while str(server.requests()).count("UpdateSecretVersionStage") < 3:
            time.sleep(0.02)
        versions = {
            id: {"value": each.value, "stages": ["AWSPREVIOUS" if each.value == ONE else "AWSPENDING"]}
            for id, each in there(server, name).versions.items()
        }
        server.change("secrets", name, versions={**versions, "x" * 32: {"value": THREE, "stages": ["AWSCURRENT"]}})

    with ThreadPoolExecutor() as pool:
        interfering = pool.submit(interfere)
        refused = call(value=TWO).refused("secret_conflict")
        interfering.result()
    assert "has become current in the meantime" in refused.message
    assert labels(server, name)[THREE] == ("AWSCURRENT",)


def test_a_label_is_taken_only_from_whom_it_was_seen_at(server: AwsServer, name: str, call: Call) -> None:
    """A rotation begins after the plan, or a value is written after ours: both stay."""
    from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager import SecretsManager
    from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws

    call(value=ONE).ok()
    call(value=TWO, stage="pending", version_id=TOKEN).ok()
    manager = SecretsManager(Aws(server.args, run_context()))
    with failing("secret_conflict") as failure:
        manager.stage(name, THREE, token="y" * 32, seen=None)
    assert f"version {TOKEN} has got AWSPENDING" in failure().message
    assert labels(server, name)[TWO] == ("AWSPENDING",)


def test_a_value_that_is_written_after_ours_stays(call: Call, server: AwsServer, name: str) -> None:
    call(value=ONE).ok()
    server.forget()
    server.faults({"path": "UpdateSecretVersionStage", "skip": 3, "times": 1, "delay_after": 600})

    def interfere() -> None:
        while str(server.requests()).count("UpdateSecretVersionStage") < 4:
            time.sleep(0.02)
        time.sleep(0.2)
        versions = {id: {"value": each.value, "stages": []} for id, each in there(server, name).versions.items()}
        server.change("secrets", name, versions={**versions, "x" * 32: {"value": THREE, "stages": ["AWSCURRENT"]}})

    with ThreadPoolExecutor() as pool:
        interfering = pool.submit(interfere)
        refused = call(value=TWO).refused("secret_conflict")
        interfering.result()
    assert "somebody else changes it too" in refused.message
    assert labels(server, name)[THREE] == ("AWSCURRENT",)


def test_refusals_say_what_to_do(call: Call, server: AwsServer) -> None:
    call(version_id=TOKEN, stage="pending").refused("invalid_parameter")
    call(value={"a": "kanarienvogel"}).refused("invalid_parameter")
    assert "to_json" in call(value=["kanarienvogel"]).message
    call(value="k" * 65537).refused("invalid_parameter")
    call(value=ONE, version_id="short").refused("invalid_parameter")
    call(state="absent", recovery_window=3).refused("invalid_parameter")
    call(value=ONE, stage="pending").refused("secret_missing")
    assert "not active" in call(value=ONE, access_key="AKIANOBODY").refused("service_denied").message
    wrong = call(value=ONE, secret_key="kanarienvogel-of-nobody").refused("service_denied")
    assert "does not belong" in wrong.message
    server.faults({"path": "DescribeSecret", "status": 400, "code": "ThrottlingException", "times": 2})
    assert call(value=ONE, check=True).ok().changed, "a limit is waited for"
    call(value=ONE, endpoint_url="https://127.0.0.1:9").refused("service_unreachable")


def test_parameters_are_written_where_they_differ(server: AwsServer, name: str) -> None:
    """The class that a rotation writes to Parameter Store with."""
    from ansible_collections.ops.runbooks.plugins.module_utils._aws.parameters import Parameters
    from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws

    context = run_context()
    parameters = Parameters(Aws(server.args, context))
    assert parameters.describe(f"/{name}") is None
    assert [parameters.write(f"/{name}", value).version for value in (ONE, ONE, TWO)] == [1, 1, 2]
    assert parameters.value(f"/{name}") == TWO == server.world().parameters[f"/{name}"].value
    assert context.redactor.text(TWO) != TWO
    assert parameters.write(f"/{name}", "k" * 5000).version == 3, "an advanced one"
    with failing("destination_unusable"):
        parameters.write(f"/{name}", "k" * 8193)
    server.put(Parameter(name="/plain", value="x", type="String"))
    with failing("destination_unusable") as failure:
        parameters.write("/plain", ONE)
    assert "SecureString" in failure().message
