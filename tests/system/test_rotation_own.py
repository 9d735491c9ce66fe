# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A collection with a provider and a destination of its own, by the runbooks; and what preflight says of secrets."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import read_lock

from harness.modules import ModuleRunner
from harness.own_classes import declared, make_collection
from harness.paths import COLLECTIONS
from harness.playbooks import PlaybookRunner
from harness.rotations import KEY
from harness.servers import FileStoreAt
from harness.stores import open_at

ADMIN = "of-the-administrator-of-tokens"


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_collection(tmp_path_factory.mktemp("collections"))


def inventory(store: FileStoreAt, *listed: dict[str, Any], environment: str = "test", **more: Any) -> dict[str, Any]:
    variables = {"runbooks_environment": environment, "runbooks_store": store.url, "runbooks_lock_lease": "10s"}
    app = {"app_paths": [], "runbooks_secrets": list(listed), "runbooks_secrets_key": KEY}
    children = {"apps": {"hosts": {"web": app}}, **more}
    return {"all": {"vars": variables, "children": children}}


def value(folder: Path) -> str:
    """What the file of the example has; that and nothing else is taken by its daemon."""
    text = (folder / ".env").read_text(encoding="utf-8").removeprefix("WORKER_TOKEN=").strip()
    held = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "tokens").glob("*.json")]
    assert {"token": text, "enabled": True} in held
    return text


def test_a_collection_of_ones_own(
    collections: Path, file_store: FileStoreAt, run_module: ModuleRunner, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """Its first value by processes that are killed before each change; the next one by the runbook, shown nowhere.

    The runbook runs as at anybody's: its modules are sent as ansible sends them, which knows of no such collection.
    """
    secret = {**declared(tmp_path), "grace": "1s", "watch": "0s", "min_age": "0s"}
    secret["provider"] = {**secret["provider"], "secret_options": {"token": ADMIN}}
    args = {
        **file_store.args,
        **secret,
        "environment": "test",
        "secrets_key": KEY,
        "plugin_paths": [str(collections)],
        "run_id": "own",
    }
    passed: list[str] = []
    while effect := run_module.dies("secret_rotation", args, passed):
        passed.append(effect)
    assert {"make the token ... (1)", "remove the token ... (1)"} <= set(passed)
    store = open_at(file_store)
    holders = [
        json.loads(file_store.read(each))["holder"] for each in file_store.keys("test/locks/secret/worker_token/")
    ]
    assert {json.dumps(each) for each in holders} == {json.dumps(holders[0])}, "each run repeats the one before it"
    lock = read_lock(store, "test", "secret/worker_token")
    assert (lock.state, lock.number > 1) == ("free", True), "nobody waits for a lease of the dead"
    first = value(tmp_path)
    played = run_playbook(
        "ops.runbooks.rotate",
        inventory=inventory(file_store, secret),
        extra_vars={"reason": "requested", "secret": "worker_token"},
        env={"ANSIBLE_COLLECTIONS_PATH": f"{COLLECTIONS}:{collections}"},
        verbosity=3,
        diff=True,
    )
    second = value(tmp_path)
    assert second != first, played.ok().output
    time.sleep(1)
    over = run_module("secret_rotation", args).ok()["rotation"]
    assert (over["phase"], over["last"]["outcome"], value(tmp_path)) == ("idle", "rotated", second)
    assert len(list((tmp_path / "tokens").iterdir())) == 1, "the first one is gone for good"
    assert not [each for each in (first, second, ADMIN) if each in played.output]


def test_preflight_says_which_secrets_would_be_refused(
    file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """One that the runbooks work with themselves, and two whose values would lie in the clear; nothing is written."""
    place = {"destinations": [{"name": "file", "type": "file", "path": str(tmp_path / "value")}]}
    generated = {"provider": {"type": "generated"}, **place, "sign_out_users": True}
    listed: list[dict[str, Any]] = [
        {"name": "login", "provider": {"type": "postgres_role_pair", "group": "app"}, **place},
        {"name": "clear", **generated, "kept_in": {"type": "none"}},
        {"name": "kms", **generated, "kept_in": {"type": "sse_kms"}},
        {"name": "good", **generated},
    ]
    listed[0]["destinations"] = [{**place["destinations"][0], "value": "{password}"}]
    works = {"databases": {"hosts": {"main": {"database_user": "app_b"}}}}
    given = {"inventory": inventory(file_store, *listed, environment="production", **works), "limit": "web"}
    said = run_playbook("ops.runbooks.preflight", **given).red().output
    line = next(each for each in said.splitlines() if re.search(r"rotate +NOT READY", each))
    assert "Could not rotate a credential with itself (secret login): it is the login app_b" in line
    assert "Could not keep values of a secret (secret clear): kept_in is of type none" in line
    assert "Could not keep values of a secret (secret kms): kept_in is of type sse_kms" in line
    assert "secret good" not in line
    assert "Result: failed (not_ready): Could not count on rotate (web)" in said
    assert file_store.keys() == []
