# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgres_backup_info: which backups there are, at what cost, and whether the newest is young enough."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import open_store
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups, encode_entry, entry_of
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Selection

from harness.manifests import NOON, make_context, make_manifest
from harness.modules import ModuleRunner
from harness.restores import ENVIRONMENT, NAME, ROOT
from harness.servers import FileStoreAt, S3StoreAt, StoreAt
from sandbox.faults import FaultProxy

PART = Selection(tables=("public.t",))


def put(store: StoreAt, backup_id: str, moment: datetime, marks: Iterable[str] = (), **changes: Any) -> None:
    """A backup as the store has it: archives, a manifest and its index keys."""
    manifest = make_manifest(backup_id, snapshot_at=moment, **changes)
    for archive in manifest.archives:
        store.write(archive.key, bytes(archive.bytes))
    store.write(f"{ROOT}/backups/{backup_id}/manifest.json", json.dumps(manifest.to_json()).encode())
    for mark in ("", *marks):
        store.write(f"{ROOT}/index/{encode_entry(entry_of(manifest, mark))}", b"")


def ask(run: ModuleRunner, store: StoreAt, **changes: Any) -> dict[str, Any]:
    """The answer, which never changes anything and is the same in check mode."""
    args = {**store.args, "environment": ENVIRONMENT, "name": NAME, **changes}
    keys = store.keys()
    outcome = run("postgres_backup_info", args).ok()
    assert not outcome.changed
    assert set(outcome["backups"]) == set(run("postgres_backup_info", args, check=True).ok()["backups"])
    assert store.keys() == keys
    answer: dict[str, Any] = outcome["backups"]
    return answer


def test_an_empty_store_has_no_backup_and_is_past_its_rpo(run_module: ModuleRunner, store: StoreAt) -> None:
    answer = ask(run_module, store)
    assert (answer["total"], answer["candidates"], answer["latest"]) == (0, [], None)
    assert answer["rpo"] == {"seconds": 93600, "age_seconds": None, "past": True}


def test_backups_are_listed_newest_first_with_their_state(run_module: ModuleRunner, store: StoreAt) -> None:
    now = datetime.now(UTC)
    put(store, "old", now - timedelta(days=400), ["proven", "held"])
    put(store, "deploy", now - timedelta(hours=30), kind="pre_deploy")
    put(store, "part", now - timedelta(hours=2), selection=PART)
    put(store, "small", now - timedelta(hours=1), ["suspect"])
    store.write(f"{ROOT}/index/notes.txt", b"somebody's")
    answer = ask(run_module, store)
    assert [each["id"] for each in answer["candidates"]] == ["small", "deploy", "old"]
    assert [each["state"] for each in answer["candidates"]] == ["suspect", "complete", "proven"]
    assert [each["held"] for each in answer["candidates"]] == [False, False, True]
    assert (answer["total"], answer["of_other_selections"]) == (3, 1)
    assert answer["latest"]["id"] == "deploy"
    stored = answer["stored"]
    assert (stored["backups"], stored["bytes"], stored["oldest"]["id"]) == (3, 3000, "old")
    assert stored["oldest"]["age_seconds"] // 86400 == 400
    assert answer["rpo"]["past"] is True
    assert 107_990 <= answer["rpo"]["age_seconds"] <= 108_600

    assert ask(run_module, store, rpo="31h")["rpo"]["past"] is False
    assert [each["id"] for each in ask(run_module, store, limit=1)["candidates"]] == ["small"]
    deploys = ask(run_module, store, kind="pre_deploy")
    assert [each["id"] for each in deploys["candidates"]] == ["deploy"]
    anything = ask(run_module, store, selection="any")
    assert [each["selection"] for each in anything["candidates"]] == ["whole", PART.hash, "whole", "whole"]
    assert anything["latest"]["id"] == "part"
    parts = ask(run_module, store, selection=PART.hash)
    assert [each["id"] for each in parts["candidates"]] == ["part"]
    recent = ask(run_module, store, since=(now - timedelta(hours=3)).isoformat())
    assert [each["id"] for each in recent["candidates"]] == ["small"]
    # What is past the bound of the list still is the newest good backup.
    assert recent["latest"]["id"] == "deploy"


def test_the_newest_manifest_must_be_readable(run_module: ModuleRunner, file_store: FileStoreAt) -> None:
    put(file_store, "old", NOON - timedelta(days=1))
    put(file_store, "new", NOON)
    key = f"{ROOT}/backups/new/manifest.json"
    file_store.write(key, b"{")
    args = {**file_store.args, "environment": ENVIRONMENT, "name": NAME}
    assert key in run_module("postgres_backup_info", args).refused("object_corrupt").message
    file_store.remove(key)
    outcome = run_module("postgres_backup_info", args).ok()
    assert outcome["backups"]["latest"]["id"] == "old"
    assert "backup new, which has no manifest" in outcome.everything


def test_a_newest_backup_whose_archive_is_gone_is_no_protection(run_module: ModuleRunner, store: StoreAt) -> None:
    put(store, "new", datetime.now(UTC))
    good = ask(run_module, store)
    assert (good["latest"]["damage"], good["rpo"]["past"]) == (None, False)
    (archive,) = make_manifest("new").archives
    for spoil in (lambda: store.write(archive.key, b"short"), lambda: store.remove(archive.key)):
        spoil()
        bad = ask(run_module, store)
        assert archive.key in bad["latest"]["damage"]
        assert (bad["latest"]["id"], bad["rpo"]["past"], bad["rpo"]["age_seconds"]) == ("new", True, None)


@pytest.mark.parametrize("change", [{"limit": 0}, {"since": "yesterday"}, {"rpo": "a day"}, {"selection": "half"}])
def test_values_that_mean_nothing(run_module: ModuleRunner, file_store: FileStoreAt, change: dict[str, Any]) -> None:
    args = {**file_store.args, "environment": ENVIRONMENT, "name": NAME, **change}
    run_module("postgres_backup_info", args).refused("invalid_parameter")


def test_a_store_that_is_not_there(run_module: ModuleRunner, s3_store: S3StoreAt, tmp_path: Path) -> None:
    args = {"environment": ENVIRONMENT, "name": NAME}
    missing = {**s3_store.args, "store": "s3://no-such-bucket-of-ours", **args}
    run_module("postgres_backup_info", missing).refused("store_missing")
    run_module("postgres_backup_info", {"store": f"file://{tmp_path}/a/b", **args}).refused("store_missing")


def index_key(number: int) -> str:
    """One of many backups, an hour apart."""
    manifest = make_manifest(f"hourly-{number}", snapshot_at=NOON - timedelta(hours=number))
    return f"{ROOT}/index/{encode_entry(entry_of(manifest))}"


def test_a_hundred_thousand_backups_in_a_directory(run_module: ModuleRunner, file_store: FileStoreAt) -> None:
    directory = file_store.directory / f"{ROOT}/index"
    directory.mkdir(parents=True)
    for number in range(1, 100_001):
        (file_store.directory / index_key(number)).touch()
    put(file_store, "newest", NOON)
    args = {**file_store.args, "environment": ENVIRONMENT, "name": NAME, "limit": 3}
    answer = run_module("postgres_backup_info", args).ok()["backups"]
    assert (answer["total"], answer["latest"]["id"]) == (100_001, "newest")
    assert [each["id"] for each in answer["candidates"]] == ["newest", "hourly-1", "hourly-2"]


def test_a_thousand_backups_cost_one_request(run_module: ModuleRunner, s3_store: S3StoreAt, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: s3_store.write(index_key(number), b""), range(1, 2501)))
    put(s3_store, "newest", NOON)
    with FaultProxy(s3_store.server.endpoint_url) as proxy:
        args = {**s3_store.args, "environment": ENVIRONMENT, "name": NAME, "endpoint_url": proxy.endpoint_url}
        answer = run_module("postgres_backup_info", args).ok()["backups"]
        assert (answer["total"], len(answer["candidates"]), answer["latest"]["id"]) == (2501, 50, "newest")
        # Three pages of the index; of the newest its manifest, its marks and its archive.
        about = ["s3:GetObject", "s3:ListObjectsV2", "s3:HeadObject"]
        assert [request.action for request in proxy.requests] == ["s3:ListObjectsV2"] * 3 + about
        proxy.requests.clear()
        context = make_context(tmp_path)
        backups = Backups(open_store(args, s3_store.url, context), ENVIRONMENT, NAME, context)
        assert backups.newest(Selection().hash, until=NOON + timedelta(hours=1)) is not None
    # Whoever wants only the latest reads the last weeks, which is one page.
    assert [request.action for request in proxy.requests] == ["s3:ListObjectsV2", "s3:GetObject"]
