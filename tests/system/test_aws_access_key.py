# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access keys: the secret goes to its place alone, no key of others is deleted, and killed runs are continued."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys import AccessKeys
from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws

from harness.modules import ModuleRunner, Outcome
from harness.policies import allowed
from harness.stores import run_context
from sandbox.aws import AccessKey, AwsServer, User

Call = Callable[..., Outcome]
DAY = 86400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsServer]:
    with AwsServer(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.fixture
def user(server: AwsServer) -> Iterator[str]:
    """One without keys."""
    server.faults()
    name = f"u{secrets.token_hex(4)}"
    server.put(User(name=name))
    yield name
    server.faults()


@pytest.fixture
def call(run_module: ModuleRunner, server: AwsServer, user: str) -> Call:
    """``call(file=...)``; no run may show a secret, of whatever key there is then."""

    def run(*, check: bool = False, diff: bool = False, **params: Any) -> Outcome:
        given = {**server.args, "user": user, "timeout": "3s", **params}
        said = run_module("aws_access_key", given, check=check, diff=diff, verbosity=3)
        assert not [key.id for key in server.world().keys.values() if key.secret in said.everything]
        return said

    return run


def asked_for(server: AwsServer) -> set[str]:
    """Actions of IAM."""
    found = {each["target"].strip("/").replace("/", ":") for each in server.requests()}
    return {each for each in found if each.startswith("iam:") or each == "sts:GetAccessKeyInfo"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "key.json"


def keys(server: AwsServer, user: str) -> dict[str, AccessKey]:
    return {key.id: key for key in server.world().keys.values() if key.user == user}


def foreign(server: AwsServer, user: str, number: int = 1, **fields: Any) -> AccessKey:
    """A key that somebody else has made."""
    made = AccessKey(id=f"AKIA{user.upper():0>15}{number}", secret=secrets.token_hex(20), user=user, **fields)
    server.put(made)
    return made


def test_a_place_has_a_key(call: Call, server: AwsServer, user: str, file: Path) -> None:
    """Predicted, made, proven, kept to its owner; deactivated and deleted, each once."""
    told = call(file=str(file), check=True, diff=True).ok()
    assert (told.changed, file.exists(), keys(server, user)) == (True, False, {})
    done = call(file=str(file), diff=True).ok()
    assert (done["plan"], done["diff"]) == (told["plan"], told["diff"])
    (key,) = keys(server, user).values()
    held = {"user": user, "access_key_id": key.id, "secret_access_key": key.secret}
    assert (json.loads(file.read_text()), file.stat().st_mode & 0o777) == (held, 0o600)
    assert (done["access_key"]["id"], done["access_key"]["status"]) == (key.id, "active")
    assert [each.name for each in file.parent.iterdir() if each.name.startswith(".")] == []
    assert not call(file=str(file)).ok().changed
    file.chmod(0o644)
    assert call(file=str(file)).ok().changed
    assert (file.stat().st_mode & 0o777, call(file=str(file), check=True).ok().changed) == (0o600, False)

    one = {"access_key_id": key.id}
    assert "Deactivate it first" in call(state="absent", **one).refused("access_key_in_use").message
    assert call(state="inactive", **one).ok()["access_key"]["status"] == "inactive"
    assert not call(state="inactive", **one).ok().changed
    call(file=str(file)).refused("access_key_unusable")
    assert call(state="active", **one).ok().changed
    assert not call(state="active", **one).ok().changed
    call(state="inactive", **one).ok()
    assert call(state="absent", **one).ok()["plan"]["irreversible"] == [f"the access key {key.id} is gone"]
    assert (keys(server, user), call(state="absent", **one).ok().changed) == ({}, False)
    call(state="inactive", **one).refused("access_key_missing")
    assert asked_for(server) == allowed("aws_access_key")
    assert call(file=str(file)).ok()["access_key"]["id"] != key.id, "what is gone is made anew"


def test_a_secret_as_the_place(call: Call, server: AwsServer, user: str) -> None:
    name = f"acme/{user}"
    done = call(secret=name).ok()
    (key,) = keys(server, user).values()
    stored = server.world().secrets[name]
    current = stored.versions[stored.holder("AWSCURRENT") or ""]
    assert json.loads(current.value)["secret_access_key"] == key.secret
    assert (done["access_key"]["id"], stored.holder("AWSPENDING")) == (key.id, None)
    assert not call(secret=name).ok().changed


def test_no_key_of_others_is_touched(call: Call, server: AwsServer, user: str, file: Path) -> None:
    """Neither at the limit, which inactive keys count to, nor where it looks like one that was lost."""
    mine = foreign(server, user, created_at=int(time.time()) - 90 * DAY)
    theirs = foreign(server, user, 2, status="Inactive", created_at=int(time.time()))
    refused = call(file=str(file)).refused("access_key_limit")
    assert mine.id in refused.message
    assert f"{theirs.id} (inactive" in refused.message
    assert set(keys(server, user)) == {mine.id, theirs.id}
    other = f"x{user}"
    server.put(User(name=other))
    stranger = foreign(server, other)
    assert f"belongs to the user {other}" in call(state="absent", access_key_id=stranger.id).message
    assert stranger.id in keys(server, other)
    own = {"user": server.user, "access_key_id": server.access_key}
    for state in ("inactive", "absent"):
        call(state=state, **own).refused("own_credential")
    assert keys(server, server.user)[server.access_key].status == "Active"


def test_a_key_in_use_stays(call: Call, server: AwsServer, user: str) -> None:
    """AWS tells late of a use: what was used yesterday may have been used since."""
    now = int(time.time())
    key = foreign(server, user, created_at=now - 90 * DAY, last_used_at=now - DAY - 3600)
    one = {"state": "inactive", "access_key_id": key.id, "unused_for": "1d"}
    refused = call(**one).refused("access_key_in_use")
    assert "for s3" in refused.message
    server.change("keys", key.id, last_used_at=now - 2 * DAY)
    done = call(**one).ok()
    assert (done.changed, keys(server, user)[key.id].status) == (True, "Inactive")
    assert done["access_key"]["last_used_service"] == "s3"


@pytest.mark.parametrize("place", ["file", "secret"])
def test_a_secret_that_was_lost(call: Call, server: AwsServer, user: str, file: Path, place: str) -> None:
    """The key was made and its answer lost: the next run names the key that nobody has, and deletes none."""
    where = {"file": str(file)} if place == "file" else {"secret": f"acme/{user}"}
    server.faults({"path": "CreateAccessKey", "times": 1, "drop": True, "after": True})
    assert "looks first" in call(**where).refused("service_unreachable").message
    server.faults()
    (lost,) = keys(server, user)
    old = foreign(server, user, created_at=int(time.time()) - 90 * DAY)
    refused = call(**where).refused("access_key_limit")
    assert f"{lost} was made while another run was about to make a key" in refused.message
    call(state="inactive", access_key_id=old.id).ok()
    call(state="absent", access_key_id=old.id).ok()
    told = call(**where, check=True).ok()
    assert (told["plan"]["irreversible"], lost in str(told["warnings"])) == ([], True)
    done = call(**where).ok()
    assert (done["plan"], done["warnings"]) == (told["plan"], told["warnings"])
    assert set(keys(server, user)) == {lost, done["access_key"]["id"]}
    assert not call(**where).ok().changed


@pytest.mark.parametrize("place", ["file", "secret"])
def test_of_two_at_once_one_delivers(call: Call, server: AwsServer, user: str, file: Path, place: str) -> None:
    """The second announces its key while the first has made one: the first takes its own back, and nothing of the
    second's is touched."""
    where = {"file": str(file)} if place == "file" else {"secret": f"acme/{user}"}
    server.forget()
    server.faults({"path": "CreateAccessKey", "times": 1, "delay_after": 6000})
    with ThreadPoolExecutor() as pool:
        first = pool.submit(call, **where)
        while not keys(server, user):
            time.sleep(0.02)
        second = call(**where).ok()
        assert "written there in the meantime" in first.result().refused("secret_conflict").message
    assert set(keys(server, user)) == {second["access_key"]["id"]}
    again = call(**where).ok()
    assert (again.changed, again["access_key"]["id"]) == (False, second["access_key"]["id"])


@pytest.mark.parametrize(("place", "used"), [("file", False), ("secret", True)])
def test_a_run_that_is_killed(
    run_module: ModuleRunner, call: Call, server: AwsServer, user: str, tmp_path: Path, place: str, used: bool
) -> None:
    """SIGKILL at each effect: the next run makes the place whole, deletes no key, and leaves nothing beside it."""
    known = AccessKeys(Aws(server.args, run_context()), user)
    passes: list[str] = []
    died = "yes"
    while died:
        name = str(len(passes))
        where = {"file": str(tmp_path / name)} if place == "file" else {"secret": f"acme/{user}/{name}"}
        if used:
            # A pair whose key is gone.
            call(**where).ok()
            for id in keys(server, user):
                known.delete(id)
        died = run_module.dies("aws_access_key", {**server.args, "user": user, "timeout": "3s", **where}, passes)
        passes.append(died)
        before = set(keys(server, user))
        done = call(**where).ok()
        after = keys(server, user)
        assert before <= set(after), died
        if place == "file":
            held = json.loads((tmp_path / name).read_text())
        else:
            stored = server.world().secrets[where["secret"]]
            held = json.loads(stored.versions[stored.holder("AWSCURRENT") or ""].value)
            assert stored.holder("AWSPENDING") is None
        assert held["secret_access_key"] == after[done["access_key"]["id"]].secret, died
        for id in after:
            known.delete(id)
    assert not [each.name for each in tmp_path.iterdir() if each.name.startswith(".")]
    assert len(passes) == (5 if place == "file" else 10)


def test_what_a_killed_run_has_left_beside_a_file(call: Call, file: Path) -> None:
    call(file=str(file)).ok()
    torn = file.with_name(f".{file.name}.new")
    torn.write_text("a secret")
    assert call(file=str(file), check=True).ok().changed
    assert (call(file=str(file)).ok().changed, torn.exists()) == (True, False)


def test_a_pair_of_another_account_stays(call: Call, server: AwsServer, user: str, file: Path) -> None:
    """It is not listed here, and lives; neither is it overwritten nor is it said to be gone."""
    call(file=str(file)).ok()
    (id,) = keys(server, user)
    server.change("keys", id, account="210987654321")
    held = file.read_text()
    assert "210987654321" in call(file=str(file)).refused("destination_unusable").message
    assert (file.read_text(), set(keys(server, user))) == (held, {id})
    assert "account 210987654321" in call(state="absent", access_key_id=id).refused("access_key_missing").message
    server.faults({"path": "GetAccessKeyInfo", "status": 403, "code": "AccessDenied"})
    call(state="absent", access_key_id=id).refused("service_denied")


def test_who_may_not_ask_is_told_nothing_is_gone(call: Call, server: AwsServer, user: str) -> None:
    """A key that is not the user's may be another user's, and denied is no proof that it is gone."""
    other = f"x{user}"
    server.put(User(name=other))
    stranger = foreign(server, other)
    server.faults({"path": "GetAccessKeyLastUsed", "status": 403, "code": "AccessDenied"})
    refused = call(state="absent", access_key_id=stranger.id).refused("service_denied")
    assert "iam:GetAccessKeyLastUsed is denied" in refused.message
    server.faults()
    call(state="absent", access_key_id=stranger.id).refused("access_key_missing")
    server.put(AccessKey(id=f"ASIA{user.upper()}0000", secret=secrets.token_hex(20), user="role"))
    session = server.world().keys[f"ASIA{user.upper()}0000"]
    gone = call(state="absent", access_key_id="AKIA0NOBODY0NOBODY0", access_key=session.id, secret_key=session.secret)
    assert (gone.ok().changed, "could not be asked" in str(gone["warnings"])) == (False, True)


def test_a_label_that_somebody_moves_meanwhile(call: Call, server: AwsServer, user: str) -> None:
    """The key was made and its pair put beside the current one, which is another by then: no live key is left."""
    name = f"acme/{user}"
    call(secret=name).ok()
    (gone,) = keys(server, user)
    AccessKeys(Aws(server.args, run_context()), user).delete(gone)
    server.forget()
    server.faults({"path": "UpdateSecretVersionStage", "skip": 4, "times": 1, "delay": 600})

    def interfere() -> None:
        while str(server.requests()).count("UpdateSecretVersionStage") < 5:
            time.sleep(0.02)
        stored = server.world().secrets[name]
        versions = {
            id: {"value": each.value, "stages": [stage for stage in each.stages if stage != "AWSCURRENT"]}
            for id, each in stored.versions.items()
        }
        server.change("secrets", name, versions={**versions, "x" * 32: {"value": "theirs", "stages": ["AWSCURRENT"]}})

    with ThreadPoolExecutor() as pool:
        interfering = pool.submit(interfere)
        call(secret=name).refused("secret_conflict")
        interfering.result()
    assert keys(server, user) == {}, "nobody has ever had its secret"
    stored = server.world().secrets[name]
    assert (stored.versions[stored.holder("AWSCURRENT") or ""].value, stored.holder("AWSPENDING")) == ("theirs", None)


def test_the_key_behind_a_session_is_refused(
    run_module: ModuleRunner, call: Call, server: AwsServer, user: str, tmp_path: Path
) -> None:
    """One of the environment, one of a profile's source, and any of the user where its own session does it."""
    key = foreign(server, user, status="Inactive", created_at=int(time.time()) - DAY)
    one = {"state": "absent", "access_key_id": key.id}
    config = tmp_path / "config"
    config.write_text(
        f"[profile base]\naws_access_key_id = {key.id}\naws_secret_access_key = x\n"
        "[profile ops]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\n"
    )
    for env in ({"AWS_ACCESS_KEY_ID": key.id}, {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "ops"}):
        run_module("aws_access_key", {**server.args, "user": user, **one}, check=True, env=env).refused(
            "own_credential"
        )
    session = AccessKey(id=f"ASIA{key.id[4:]}", secret=secrets.token_hex(20), user=user)
    server.put(session)
    call(**one, access_key=session.id, secret_key=session.secret).refused("own_credential")
    assert call(**one).ok().changed


@pytest.mark.parametrize(
    ("operation", "skip"),
    [("CreateSecret", 0), ("CreateAccessKey", 0), ("PutSecretValue", 0), ("UpdateSecretVersionStage", 0),
     ("UpdateSecretVersionStage", 1)],
)  # fmt: skip
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_that_ends_at_any_step(
    call: Call, server: AwsServer, user: str, operation: str, skip: int, after: bool
) -> None:
    """One clean run later a key is in its place and works; one that was lost is there beside it, and nothing else."""
    name = f"acme/{user}"
    server.faults({"path": operation, "skip": skip, "times": 1, "status": 400, "code": "AccessDenied", "after": after})
    assert call(secret=name).failed
    server.faults()
    before = set(keys(server, user))
    id = call(secret=name).ok()["access_key"]["id"]
    key = keys(server, user)[id]
    assert set(keys(server, user)) == before | {id}
    stored = server.world().secrets[name]
    assert json.loads(stored.versions[stored.holder("AWSCURRENT") or ""].value)["access_key_id"] == key.id
    assert stored.holder("AWSPENDING") is None
    assert not call(secret=name).ok().changed


def test_a_new_key_is_not_known_at_once(call: Call, server: AwsServer, user: str, file: Path) -> None:
    slow = {"path": "sts/GetCallerIdentity", "status": 403, "code": "InvalidClientTokenId"}
    server.faults({**slow, "times": 2})
    assert call(file=str(file), timeout="30s").ok().changed
    server.faults(slow)
    refused = call(file=str(file), timeout="1s").refused("access_key_unproven")
    assert "in a minute" in refused.message
    server.faults()
    assert not call(file=str(file)).ok().changed
    held = json.loads(file.read_text())
    file.write_text(json.dumps({**held, "secret_access_key": "of-another-key-altogether"}))
    assert "SignatureDoesNotMatch" in call(file=str(file), timeout="0s").refused("access_key_unproven").message


def test_refusals_say_what_to_do(call: Call, user: str, file: Path) -> None:
    file.write_text("the notes of somebody")
    call(file=str(file)).refused("destination_unusable")
    assert file.read_text() == "the notes of somebody"
    call(file=str(file.parent / "nowhere" / "x")).refused("destination_unusable")
    call(file=str(file), secret="x").refused("invalid_parameter")
    call(state="absent").refused("invalid_parameter")
    call(state="absent", access_key_id="short").refused("invalid_parameter")
    call(user="no such", file=str(file)).refused("invalid_parameter")
    call(user=f"not-{user}", file=f"{file}.new").refused("access_key_missing")
