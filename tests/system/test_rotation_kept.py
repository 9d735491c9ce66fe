# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values kept by AWS while they are needed: under a key of KMS in a bucket, and in Secrets Manager."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_errors import ACTIONS

from harness.policies import allowed
from harness.rotations import KEPT_IN, Secret, file_destination, to_the_end
from harness.servers import S3StoreAt
from harness.stores import failing
from harness.warm import keep_descriptions
from sandbox.aws import AwsServer
from sandbox.faults import Fault, FaultProxy

if TYPE_CHECKING:
    from sandbox.aws.model import Secret as AwsSecret


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


def places(tmp_path: Path) -> list[dict[str, Any]]:
    return [file_destination(tmp_path / "value"), file_destination(tmp_path / "before", "{previous}")]


def value(tmp_path: Path) -> str:
    return (tmp_path / "value").read_text(encoding="utf-8")


# --- A key of KMS


def by_kms(store: S3StoreAt, tmp_path: Path, **kept_in: Any) -> Secret:
    secret = Secret(store=store.url, destinations=places(tmp_path))
    secret.more = {**store.options, "kept_in": {**KEPT_IN, "type": "sse_kms", **kept_in}, "environment": "production"}
    secret.more |= dict.fromkeys(("session_token", "profile", "store_kms_key_id")) | {"store_encryption": "none"}
    return secret


def test_a_value_under_a_key_of_kms(s3_store: S3StoreAt, tmp_path: Path) -> None:
    """With the key and the context that are declared; rotated, read again, and gone when it is out of use."""
    key = s3_store.server.client("kms").create_key()["KeyMetadata"]["KeyId"]
    secret = by_kms(s3_store, tmp_path, kms_key_id=key, encryption_context={"secret": "auth_secret"})
    assert "keep it encrypted by KMS" in str(secret.run()["steps"])
    client, folder = s3_store.server.client("s3"), f"{s3_store.prefix}/production/secrets/auth_secret/values/"
    (kept,) = client.list_objects_v2(Bucket=s3_store.bucket, Prefix=folder)["Contents"]
    answer = client.head_object(Bucket=s3_store.bucket, Key=kept["Key"])
    assert (answer["ServerSideEncryption"], key in answer["SSEKMSKeyId"]) == ("aws:kms", True)
    first = value(tmp_path)
    secret.days = 91
    assert secret.run()["phase"] == "grace"
    assert (tmp_path / "before").read_text(encoding="utf-8") == first, "it was read again"
    to_the_end(secret)
    assert client.list_objects_v2(Bucket=s3_store.bucket, Prefix=folder)["KeyCount"] == 1


def test_a_key_of_kms_that_does_not_do_it(s3_store: S3StoreAt, tmp_path: Path) -> None:
    """Denied, or disabled: said before a value is made, and a service that only looks like S3 gets none."""
    secret = by_kms(s3_store, tmp_path)
    probe = {"action": "s3:PutObject", "path": "encryption.json"}
    for fault, code, says in (
        (Fault(**probe, status=403), "store_denied", "s3:PutObject is denied"),
        (Fault(**probe, status=400, code="KMS.DisabledException"), "store_failed", "KMS.DisabledException"),
        (Fault(method="PUT", strip_headers=("x-amz-server-side-encryption",)), "values_unencrypted", "it says AES256"),
    ):
        with FaultProxy(s3_store.server.endpoint_url) as proxy:
            proxy.rules.append(fault)
            secret.more["endpoint_url"] = proxy.endpoint_url
            with failing(code) as refused:
                secret.run()
            assert says in refused().message
            assert not [each for each in proxy.requests if "/values/" in each.target]
    assert not (tmp_path / "value").exists()
    secret.more["endpoint_url"] = s3_store.server.endpoint_url
    with failing("values_unencrypted") as refused:
        secret.run(check=True)
    assert "of what an earlier run has written so" in refused().message
    assert secret.run()["phase"] == "idle"
    secret.days = 91
    assert secret.run(check=True)["changed"]


@pytest.mark.parametrize("kind", ["key", "age", "sse_kms"])
def test_what_the_store_is_asked_for(s3_store: S3StoreAt, tmp_path: Path, kind: str) -> None:
    """A whole rotation needs the policy of the documentation, and all of it."""
    given: dict[str, Any] = {"type": kind}
    if kind == "age":
        from pyrage import x25519

        identity = x25519.Identity.generate()
        given |= {"age_identity": str(identity), "age_recipients": [str(identity.to_public())]}
    with FaultProxy(s3_store.server.endpoint_url) as proxy:
        secret = by_kms(s3_store, tmp_path, **given)
        secret.more["endpoint_url"] = proxy.endpoint_url
        secret.run()
        secret.days = 91
        to_the_end(secret)
        asked = {ACTIONS[each.action.removeprefix("s3:")] for each in proxy.requests}
    assert asked == allowed("values in the store")


# --- Secrets Manager


@pytest.fixture
def managed(server: AwsServer, tmp_path: Path) -> Iterator[Secret]:
    """A secret whose values lie in Secrets Manager, with its first one; the environment is the test's own."""
    server.faults()
    server.forget()
    secret = Secret(store=f"file://{tmp_path}/store", destinations=places(tmp_path))
    environment = f"t{secrets.token_hex(4)}"
    secret.more = {"kept_in": {**KEPT_IN, **server.args, "type": "aws_secret"}, "environment": environment}
    secret.run()
    yield secret
    server.faults()


def stored(server: AwsServer, secret: Secret) -> AwsSecret:
    return server.world().secrets[f"ops.runbooks/{secret.more['environment']}/auth_secret"]


def labels(server: AwsServer, secret: Secret) -> list[str]:
    """The versions that are held by a label, beside the one that is no value."""
    versions = stored(server, secret).versions
    assert [each.value[:6] for each in versions.values() if "AWSCURRENT" in each.stages] == ["Values"]
    return [stage for each in versions.values() for stage in each.stages if stage.startswith("ops.runbooks.")]


def asked_for(server: AwsServer) -> set[str]:
    return {each["target"].strip("/").replace("/", ":") for each in server.requests()}


def test_a_value_in_secrets_manager(server: AwsServer, managed: Secret, tmp_path: Path) -> None:
    """A version for each value that is needed, and none for one that is not; nothing of it in the store."""
    first = value(tmp_path)
    held = [each.value for each in stored(server, managed).versions.values() if "AWSCURRENT" not in each.stages]
    assert [first in each for each in held] == [True]
    server.forget()
    assert not managed.run()["changed"]
    assert server.requests() == [], "a run that waits asks nobody for a value"
    managed.days = 91
    assert managed.run(check=True)["changed"]
    assert asked_for(server) == {"secretsmanager:DescribeSecret"}
    told = managed.run()
    assert (told["phase"], len(labels(server, managed))) == ("grace", 2)
    assert told["value"]["reference"].startswith(f"aws_secret:ops.runbooks/{managed.more['environment']}/auth_secret:")
    assert (tmp_path / "before").read_text(encoding="utf-8") == first
    to_the_end(managed)
    assert len(labels(server, managed)) == 1
    files = [each.read_text(encoding="utf-8") for each in (tmp_path / "store").rglob("*.json")]
    assert not [each for each in files if first in each or value(tmp_path) in each or '"sealed"' in each]
    managed.more["kept_in"]["kms_key_id"] = "alias/acme"
    managed.days += 91
    to_the_end(managed)
    assert stored(server, managed).kms_key_id == "alias/acme"
    assert asked_for(server) | {"secretsmanager:CreateSecret"} == allowed("values in Secrets Manager")


def test_another_place_than_secrets_manager_from_now_on(server: AwsServer, managed: Secret) -> None:
    """With the prefix that nobody has to write down: what lies there is cleared up as soon as it is out of use."""
    managed.more["kept_in"]["type"] = "key"
    managed.days = 91
    assert (managed.run()["phase"], len(labels(server, managed))) == ("grace", 1)
    to_the_end(managed)
    assert labels(server, managed) == []
    server.forget()
    managed.days += 91
    to_the_end(managed)
    assert server.requests() == []


def test_killed_around_each_request_to_secrets_manager(server: AwsServer, managed: Secret, tmp_path: Path) -> None:
    """Before and after each, and where the ledger is written then: one value in the end, and it is kept."""
    managed.days, managed.effects = 91, []
    to_the_end(managed)
    words = ("the secret ops.runbooks/", "auth_secret is staged")
    numbers = [number for number, each in enumerate(managed.effects) if any(word in each for word in words)]
    points = sorted({near for number in numbers for near in (number, number + 1)})
    assert len(points) >= 4
    for point in points:
        before, managed.effects = value(tmp_path), []
        managed.days += 91
        assert to_the_end(managed, point)
        assert value(tmp_path) != before
        assert len(labels(server, managed)) == 1


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue", "UpdateSecretVersionStage"])
def test_an_answer_of_secrets_manager_that_is_lost(
    server: AwsServer, managed: Secret, tmp_path: Path, operation: str
) -> None:
    """AWS has done it, and denies it. The next run ends as if nothing had been."""
    if operation == "CreateSecret":
        managed.more["environment"] += "x"
        for name in ("value", "before"):
            (tmp_path / name).unlink(missing_ok=True)
    managed.days = 91
    denied = {"path": operation, "times": 1, "status": 400, "after": True, "code": "AccessDeniedException"}
    server.faults(denied)
    if operation == "UpdateSecretVersionStage":
        to_the_end(managed)
        assert "stay where they were kept" in str(managed.warnings)
    else:
        with failing("service_denied") as refused:
            to_the_end(managed)
        assert "where a key of KMS encrypts it, that key too" in refused().message
    server.faults()
    to_the_end(managed)
    managed.days += 91
    to_the_end(managed)
    assert len(labels(server, managed)) == 1


def test_a_secret_of_somebody_else_is_left_alone(server: AwsServer, managed: Secret, tmp_path: Path) -> None:
    """Another store that happens to call a secret alike neither writes there nor clears it up."""
    before, (kept,) = stored(server, managed), labels(server, managed)
    other = Secret(store=f"file://{tmp_path}/other", destinations=[file_destination(tmp_path / "elsewhere")])
    other.more = managed.more
    for check in (True, False):
        with failing("secret_conflict") as refused:
            other.run(check=check)
    assert "Give another secret_prefix" in refused().message
    other.more = {
        **managed.more,
        "kept_in": {**managed.more["kept_in"], "type": "key", "secret_prefix": "ops.runbooks"},
    }
    to_the_end(other)
    other.days = 91
    to_the_end(other, sign_out_users=True)
    assert (stored(server, managed), labels(server, managed)) == (before, [kept])


def test_the_value_that_lies_there_is_needed_and_not_to_be_had(server: AwsServer, managed: Secret) -> None:
    """Denied by a policy, or of its key of KMS; changed there by somebody; gone."""
    managed.destinations[0]["value"] = "again: {value}"
    for path in [Path(each["path"]) for each in managed.destinations]:
        path.unlink(missing_ok=True)
    denied = {"path": "GetSecretValue", "times": 1, "status": 400, "code": "AccessDeniedException"}
    server.faults(denied)
    with failing("service_denied"):
        managed.run()
    server.faults()
    secret = stored(server, managed)
    (id,) = (id for id, each in secret.versions.items() if "AWSCURRENT" not in each.stages)
    body = json.loads(secret.versions[id].value)
    whole = {each: {"value": one.value, "stages": list(one.stages)} for each, one in secret.versions.items()}
    forged = {**body, "text": json.dumps({"value": "chosen by somebody"})}
    server.change("secrets", secret.name, versions={**whole, id: {**whole[id], "value": json.dumps(forged)}})
    with failing("secret_unreadable") as refused:
        managed.run()
    assert "written under another secrets_key, or by somebody else" in refused().message
    server.change("secrets", secret.name, versions={each: one for each, one in whole.items() if each != id})
    with failing("secret_unreadable") as refused:
        managed.run()
    assert "there is nothing" in refused().message
    server.change("secrets", secret.name, versions=whole)
    assert managed.run()["changed"]


def test_two_runs_at_once_keep_one_value(server: AwsServer, managed: Secret) -> None:
    """Another run goes on while this one is about to keep its value; the one that is overtaken writes nothing more."""
    managed.days, managed.effects = 91, []
    managed.run()
    number = next(i for i, each in enumerate(managed.effects) if each.startswith("put a version into"))
    to_the_end(managed)
    managed.days += 91
    with pytest.raises(RunbookError) as overtaken:
        managed.run(meanwhile={number: lambda: managed.run() and None})
    assert overtaken.value.code == "rotation_overtaken"
    to_the_end(managed)
    assert len(labels(server, managed)) == 1
