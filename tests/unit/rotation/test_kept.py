# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where values are kept while they are needed: nothing in the clear, nothing that could not be read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyrage
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import Vault
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import in_sandbox, read_kept, refuse_clear
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.vaults import open_vault

from harness.rotations import KEPT_IN, KEY, Secret, file_destination, to_the_end, watched
from harness.servers import FileStoreAt, fresh_file_store
from harness.stores import failing, open_at, run_context

S3, HERE = "s3://acme-runbooks-production", "http://127.0.0.1:4566"
PARTS = {"value": "what-nobody-may-see", "user": "app_a"}


@pytest.fixture(scope="module")
def people() -> list[Any]:
    """Two who have an age identity."""
    return [pyrage.x25519.Identity.generate() for _person in range(2)]


def by_age(*recipients: Any, identity: Any = None, **more: Any) -> dict[str, Any]:
    given = {**KEPT_IN, "type": "age", "age_recipients": [str(each.to_public()) for each in recipients]}
    return {**given, "age_identity": str(identity) if identity else None, **more}


def vault(store: FileStoreAt, kept_in: dict[str, Any], *, key: str = KEY, environment: str = "sandbox") -> Vault:
    kept = read_kept({**KEPT_IN, **kept_in})
    return open_vault({"environment": environment}, kept, "x", Keys.read(key), watched(), open_at(store))


@pytest.mark.parametrize(
    ("kind", "environment", "store", "endpoint", "refused"),
    [
        ("none", "production", "file:///var/lib/runbooks", None, True),
        ("none", "staging", S3, HERE, True),
        ("none", "sandbox", S3, None, True),
        ("none", "sandbox", S3, "https://s3.example.com", True),
        ("none", "sandbox", S3, "http://127.0.0.1.example.com", True),
        ("none", "sandbox", S3, "http://[", True),
        ("none", "sandbox", S3, HERE, False),
        ("none", "sandbox", "file:///tmp/x", None, False),
        ("sse_kms", "production", "file:///var/lib/runbooks", None, True),
        ("sse_kms", "sandbox", "file:///tmp/x", None, True),
        ("sse_kms", "production", S3, None, False),
        ("key", "production", "file:///var/lib/runbooks", None, False),
    ],
)
def test_what_would_lie_in_the_clear_is_refused(
    kind: str, environment: str, store: str, endpoint: str | None, refused: bool
) -> None:
    """A sandbox is called so, and its store is on this machine: neither alone is enough."""
    kept = read_kept({**KEPT_IN, "type": kind})
    if not refused:
        refuse_clear(kept, "x", environment, store, endpoint)
        return
    with failing("values_unencrypted") as why:
        refuse_clear(kept, "x", environment, store, endpoint)
    assert "Set kept_in to a type that encrypts" in why().message
    assert not in_sandbox("Sandbox", store, HERE)


@pytest.mark.parametrize(
    "given",
    [
        {"type": "age"},
        {"type": "key", "kms_key_id": "alias/x"},
        {"type": "aws_secret", "encryption_context": {"a": "b"}},
        {"type": "aws_secret", "secret_prefix": "a b"},
        {"type": "aws_secret", "secret_prefix": "/a"},
        {"type": "age", "age_recipients": ["AGE-SECRET-KEY-1XYZ"]},
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], tmp_path: Path) -> None:
    with failing("invalid_parameter") as refused:
        vault(fresh_file_store(tmp_path / "store"), given).check()
    assert "AGE-SECRET-KEY" not in refused().message


def test_a_secret_in_the_clear_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """In check mode and when nothing is due as well; what is called a sandbox may."""
    place = [file_destination(tmp_path / "value")]
    for environment in ("production", "sandbox"):
        for check in (True, False):
            secret = Secret(store=f"file://{tmp_path}/{environment}", destinations=place)
            secret.more = {"kept_in": {**KEPT_IN, "type": "none"}, "environment": environment}
            if environment == "sandbox":
                assert "in the clear, in this sandbox" in str(secret.run(check=check)["steps"])
                continue
            with failing("values_unencrypted"):
                secret.run(check=check)
            assert list(tmp_path.iterdir()) == []
    (kept,) = (tmp_path / "sandbox/sandbox/secrets/auth_secret/values").iterdir()
    assert (tmp_path / "value").read_text(encoding="utf-8") in kept.read_text(encoding="utf-8")


def test_what_is_kept_is_read_from_its_own_slot_with_the_right_key_only(tmp_path: Path, people: list[Any]) -> None:
    """Anybody may encrypt to a recipient: what does not carry our seal is not taken, whoever has put it there."""
    one, other = people
    for number, given in enumerate((by_age(one, other, identity=other), {"type": "none"})):
        store = fresh_file_store(tmp_path / f"store-{number}")
        mine = vault(store, given)
        mine.check()
        assert mine.keep("a.1", Made(id="a", parts=PARTS)) == "a.1"
        assert mine.keep("a.1", Made(id="a", parts={"value": "another"})) is None, "a slot is written once"
        assert (mine.open("a.1"), mine.open("a.2")) == (PARTS, None)
        raw = store.read(mine.reference("a.1"))
        assert (b"what-nobody" in raw) == (given["type"] == "none")
        writer = open_at(store)
        writer.put(mine.reference("b.1"), raw)
        forged = json.loads(raw)
        forged |= {
            "sealed": _encrypted(other, {**PARTS, "host": "evil"}),
            "text": json.dumps({**PARTS, "host": "evil"}),
        }
        writer.put(mine.reference("c.1"), json.dumps(forged).encode())
        writer.put(mine.reference("d.1"), json.dumps({**forged, "schema": 3}).encode())
        for slot, code in (("b.1", "secret_unreadable"), ("c.1", "secret_unreadable"), ("d.1", "document_too_new")):
            with failing(code):
                mine.open(slot)
        with failing("secret_unreadable") as refused:
            vault(store, given, key="another-key-for-the-tests-0123456789").open("a.1")
        assert "written under another secrets_key" in refused().message
        assert mine.slots() == ("a.1", "b.1", "c.1", "d.1")


def _encrypted(recipient: Any, parts: dict[str, str]) -> str:
    import base64

    return base64.b64encode(pyrage.encrypt(json.dumps(parts).encode(), [recipient.to_public()])).decode()


def test_who_could_not_read_it_again_does_not_keep_it(tmp_path: Path, people: list[Any]) -> None:
    """The identity of somebody else, none, one that others may read; said before a value is made."""
    one, other = people
    file = tmp_path / "identity"
    file.write_text(f"# mine\n{one}\n", encoding="utf-8")
    file.chmod(0o600)
    store = fresh_file_store(tmp_path / "store")
    vault(store, by_age(one, age_identity_file=str(file))).check()
    place = [file_destination(tmp_path / "value")]
    secret = Secret(store=store.url, destinations=place)
    for given, code in (
        (by_age(one, identity=other), "age_identity_wrong"),
        (by_age(one), "age_identity_missing"),
        (by_age(one, age_identity_file=str(tmp_path / "none")), "age_identity_unusable"),
    ):
        secret.more = {"kept_in": given}
        with failing(code) as refused:
            secret.run()
        assert str(other) not in refused().message
    assert not (tmp_path / "value").exists()
    assert store.keys() == []


def test_another_place_from_now_on(tmp_path: Path, people: list[Any]) -> None:
    """What was kept before is found where it lies, as long as it is needed; the next value goes to the new place."""
    (one, _other), place = (
        people,
        [file_destination(tmp_path / "value"), file_destination(tmp_path / "p", "{previous}")],
    )
    secret = Secret(store=f"file://{tmp_path}/store", destinations=place)
    assert secret.run()["phase"] == "idle"
    secret.more, secret.days = {"kept_in": by_age(one, identity=one)}, 91
    assert secret.run()["phase"] == "grace"
    folder = tmp_path / "store/test/secrets/auth_secret/values"
    assert sorted(json.loads(each.read_text())["cipher"] for each in folder.iterdir()) == ["aes-256-gcm", "age"]
    assert (tmp_path / "p").read_text() != (tmp_path / "value").read_text()
    assert secret.run(take_back=True)["last"]["outcome"] == "taken back"
    secret.days += 91
    to_the_end(secret, reason="requested")
    secret.more, secret.days = {}, secret.days + 91
    with failing("age_identity_missing"):
        to_the_end(secret)
    secret.more = {"kept_in": {**by_age(one, identity=one), "type": "key"}}
    to_the_end(secret)
    assert [json.loads(each.read_text())["cipher"] for each in folder.iterdir()] == ["aes-256-gcm"]


def test_killed_around_keeping_a_value_for_age(tmp_path: Path, people: list[Any]) -> None:
    """Before it is kept, and between that and the ledger: the next run ends with one value, and one that is kept."""
    place = [file_destination(tmp_path / "value")]
    secret = Secret(store=f"file://{tmp_path}/store", destinations=place)
    secret.more = {"kept_in": by_age(people[0], identity=people[0]), "sign_out_users": True}
    secret.run()
    secret.days = 91
    secret.effects = []
    to_the_end(secret)
    words = ("keep the value", "write down that auth_secret is staged", "remove values")
    points = [number for number, each in enumerate(secret.effects) if each.startswith(words)]
    assert len(points) == 3
    for point in points:
        before, secret.effects = (tmp_path / "value").read_text(encoding="utf-8"), []
        secret.days += 91
        assert to_the_end(secret, point)
        assert (tmp_path / "value").read_text(encoding="utf-8") != before
        assert len(secret.kept) == 1


def test_check_mode_reads_no_value_that_it_does_not_need(tmp_path: Path, people: list[Any]) -> None:
    """Nor does a run that waits for a date."""
    place = [file_destination(tmp_path / "value")]
    secret = Secret(store=f"file://{tmp_path}/store", destinations=place)
    secret.more = {"kept_in": by_age(people[0], identity=people[0]), "sign_out_users": True}
    secret.run()
    (kept,) = (tmp_path / "store/test/secrets/auth_secret/values").iterdir()
    kept.write_text("nothing that could be read", encoding="utf-8")
    assert not secret.run()["changed"]
    secret.days = 91
    assert secret.run(check=True)["changed"]


class Ghost:
    """A provider that shows what it has made as often as it is asked, and may lose it."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def read(self, credential: str) -> dict[str, str] | None:
        """See ``provider.Readable``."""
        return {"value": self.values[credential]} if credential in self.values else None


def test_a_value_that_its_provider_shows_again_is_not_kept(tmp_path: Path) -> None:
    store, ghost = fresh_file_store(tmp_path / "store"), Ghost()
    kept, keys = read_kept({**KEPT_IN, "type": "provider"}), Keys.read(KEY)
    mine = open_vault({"environment": "test"}, kept, "x", keys, run_context(), open_at(store), provider=ghost)  # type: ignore[arg-type]
    mine.check()
    ghost.values["key-1"] = "shown"
    slot = mine.keep("a.1", Made(id="key-1", parts={"value": "shown"}))
    assert slot is not None
    assert (slot, mine.open(slot), mine.slots(), store.keys()) == ("provider:key-1", {"value": "shown"}, (), [])
    ghost.values.clear()
    assert mine.open(slot) is None
    secret = Secret(store=store.url, destinations=[file_destination(tmp_path / "value")])
    secret.more = {"kept_in": {**KEPT_IN, "type": "provider"}}
    with failing("invalid_parameter") as refused:
        secret.run(check=True)
    assert "a value of generated cannot be read again there" in refused().message


def test_a_value_that_somebody_has_changed_is_not_written(tmp_path: Path) -> None:
    """By the fingerprint on record, wherever it lies: such as at a provider that shows another one."""
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[file_destination(tmp_path / "value")])
    secret.run()
    folder = tmp_path / "store/test/secrets/auth_secret/values"
    (kept,) = folder.iterdir()
    store = fresh_file_store(tmp_path / "other")
    other = open_vault(
        {"environment": "test"}, read_kept(None), "auth_secret", Keys.read(KEY), watched(), open_at(store)
    )
    assert other.keep(kept.stem, Made(id="x", parts={"value": "another"}))
    kept.write_bytes(store.read(other.reference(kept.stem)))
    (tmp_path / "value").unlink()
    with failing("secret_unreadable") as refused:
        secret.run()
    assert "not the value that is on record" in refused().message
