# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention on real stores: what goes is what was announced, and nothing else, whatever stands in the way."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_errors import ACTIONS
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import verdict
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import entry_of
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Selection

from harness.histories import DAY, ENVIRONMENT, History, whole
from harness.modules import ModuleRunner
from harness.paths import CHECKOUT
from harness.servers import FileStoreAt, S3StoreAt, StoreAt, s3_client
from harness.stores import run_context
from sandbox.faults import Fault, FaultProxy, deny

if TYPE_CHECKING:
    from sandbox import S3Server


@pytest.fixture
def history(store: StoreAt, run_module: ModuleRunner) -> History:
    return History(store=store, run=run_module)


@pytest.fixture
def on_file(file_store: FileStoreAt, run_module: ModuleRunner) -> History:
    return History(store=file_store, run=run_module)


@pytest.fixture
def on_s3(s3_store: S3StoreAt, run_module: ModuleRunner) -> History:
    return History(store=s3_store, run=run_module)


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint_url) as started:
        yield started


def test_what_no_rule_keeps_goes_and_nothing_else(history: History) -> None:
    for days in range(5):
        history.add(f"b{days}", days)
    history.add("part", 9, selection=Selection(schemas=("app",)))
    history.add("deploy", 3, kind="pre_deploy")
    neighbours = [
        History(store=history.store, run=history.run, name=name) for name in ("main_staging", "mai", "main.b")
    ]
    for each in neighbours:
        each.add("other", 900)
    beside = {key: history.store.read(key) for each in neighbours for key in each.objects()}
    kept: dict[str, Any] = {"kinds": {"pre_deploy": {"keep_within": "2d"}}, "floor": 2}

    planned = history.retain(check=True, diff=True, **kept).ok()
    assert len(history.objects()) == 7 * 3
    done = history.retain(diff=True, **kept).ok()
    assert (planned["retention"], planned["plan"], planned["diff"]) == (done["retention"], done["plan"], done["diff"])
    assert planned.changed
    assert done.changed
    assert [each["id"] for each in done["retention"]["removed"]] == ["b4", "b3", "deploy", "b2"]
    assert len(done["plan"]["irreversible"]) == 4
    assert done["retention"]["freed_bytes"] == 4 * 3
    reasons = {each["id"]: each["reasons"] for each in done["retention"]["kept"]}
    assert reasons == {
        "part": ["newest", "floor", "keep_last"],
        "b1": ["floor"],
        "b0": ["newest", "floor", "keep_last"],
    }
    assert history.ids() == whole(history) == ["part", "b1", "b0"]
    assert len(history.objects()) == 3 * 3
    assert {key: history.store.read(key) for each in neighbours for key in each.objects()} == beside

    again = history.retain(**kept).ok()
    assert not again.changed
    assert again["retention"]["removed"] == again["plan"]["steps"] == []


def test_killed_at_each_stage_the_same_command_ends_it(on_s3: History, proxy: FaultProxy) -> None:
    """Deletions of the index key, the manifest and the archive: before each of them the module is killed."""
    for days in range(3):
        on_s3.add(f"b{days}", days)
    for stage in range(3):
        stop = Fault(action="s3:DeleteObjects", skip=min(stage, 1), delay=5, status=503)
        proxy.rules[:] = [stop]
        # Of one run, so that nobody waits for the end of a lease.
        args = on_s3.args(endpoint_url=proxy.endpoint_url, run_id="killed")
        child = on_s3.run.start("postgres_backup_retention", args)
        deadline = time.monotonic() + 60
        while stop.seen <= stop.skip:
            assert time.monotonic() < deadline
            assert child.process.poll() is None, child.wait().output
            time.sleep(0.02)
        child.kill()
        child.wait()
        assert whole(on_s3)[-1] == "b0", "the newest stays, and what is listed is whole"
    proxy.rules.clear()
    assert on_s3.retain(run_id="killed").ok().changed
    assert on_s3.ids() == whole(on_s3) == ["b0"]
    assert len(on_s3.objects()) == 3
    assert not on_s3.retain().ok().changed


def test_a_denied_deletion_names_the_action(on_s3: History, proxy: FaultProxy) -> None:
    on_s3.add("old", 9)
    on_s3.add("new", 0)
    before = on_s3.objects()
    proxy.rules.append(deny("s3:DeleteObject"))
    assert on_s3.retain(check=True, endpoint_url=proxy.endpoint_url).ok().changed
    outcome = on_s3.retain(endpoint_url=proxy.endpoint_url).refused("store_denied")
    assert "s3:DeleteObject" in outcome.message
    assert outcome["failure"]["denied_action"] == "s3:DeleteObject"
    assert outcome["retention"]["removed"] == []
    assert on_s3.objects() == before


def test_more_backups_than_a_page(on_s3: History, proxy: FaultProxy) -> None:
    """Objects and index keys come in several pages; the oldest of them must be seen."""
    proxy.rules.append(Fault(action="s3:ListObjectsV2", page=7))
    backups = on_s3.backups
    body = b"{}"
    manifests = [on_s3.add("b0", 0, size=2)]
    text = on_s3.store.read(backups.manifest_key("b0"))
    at = manifests[0].snapshot_at

    def add(number: int) -> None:
        name, moment = f"b{number}", at - number * timedelta(hours=1)
        document = text.replace(b'"b0"', f'"{name}"'.encode()).replace(b"/b0/", f"/{name}/".encode())
        stamp = at.isoformat().replace("+00:00", "Z").encode()
        document = document.replace(stamp, moment.isoformat().replace("+00:00", "Z").encode())
        on_s3.store.write(manifests[0].keys[0].replace("/b0/", f"/{name}/"), body)
        on_s3.store.write(backups.manifest_key(name), document)
        entry = replace(entry_of(manifests[0]), backup_id=name, snapshot_at=moment)
        on_s3.store.write(backups.index_key(entry), b"")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(1, 40)))
    assert len(on_s3.store.keys(f"{on_s3.root}/backups/")) == 80
    done = on_s3.retain(keep_last=35, endpoint_url=proxy.endpoint_url).ok()
    assert proxy.count(action="s3:ListObjectsV2") > 80 / 7
    assert [each["id"] for each in done["retention"]["removed"]] == [f"b{number}" for number in range(39, 34, -1)]
    assert len(done["retention"]["kept"]) == len(on_s3.ids()) == 35


def test_more_than_a_thousand_objects_go(on_file: History) -> None:
    """Whatever lies beside the archives of a backup goes with it."""
    for number in range(12):
        key = on_file.add(f"b{number}", number).keys[0]
        for part in range(100):
            on_file.store.write(f"{key.removesuffix('.dump')}-{part}.dump", b"x")
    done = on_file.retain(keep_last=2).ok()
    assert len(done["retention"]["removed"]) == 10
    assert on_file.ids() == whole(on_file) == ["b1", "b0"]
    assert len(on_file.objects()) == 2 * 103
    assert not on_file.retain(keep_last=2).ok().changed


def test_held_suspect_and_proven_ones(history: History) -> None:
    context, backups = run_context(), history.backups
    made = {days: history.add(f"b{days}", days) for days in (0, 1, 2, 40, 50, 60)}
    verdict.set_held(backups, made[40], True, "audit of 2026", context)
    verdict.set_proven(backups, made[50], {"rto_seconds": 1}, context)
    verdict.set_suspicion(backups, made[0], True, "damaged", "a bit is flipped", context)
    verdict.set_suspicion(backups, made[60], True, "damaged", "a bit is flipped", context)
    done = history.retain().ok()["retention"]
    assert {each["id"]: (each["state"], each["reasons"]) for each in done["kept"]} == {
        "b50": ("proven", ["floor"]),
        "b40": ("complete", ["held"]),
        "b1": ("complete", ["newest", "keep_last"]),
        "b0": ("suspect", ["suspect"]),
    }
    assert {each["id"] for each in done["removed"]} == {"b60", "b2"}
    verdict.set_held(backups, made[40], False, "the audit is over", context)
    assert [each["id"] for each in history.retain().ok()["retention"]["removed"]] == ["b40"]


def test_a_damaged_newest_one_stops_everything(on_file: History) -> None:
    for days in range(3):
        on_file.add(f"b{days}", days)
    manifest = on_file.backups.by_id("b0")
    on_file.store.remove(manifest.keys[0])
    before = on_file.objects()
    for check in (True, False):
        outcome = on_file.retain(check=check).refused("object_missing")
        assert "b0" in outcome.message
        assert "may be all there is" in outcome.message
    assert on_file.objects() == before


def test_a_damaged_newest_one_stops_everything_beside_a_floor_of_proven_ones(on_file: History) -> None:
    """The floor is full without it, and yet what is newest was lost: the next may be."""
    made = {days: on_file.add(f"b{days}", days) for days in range(3)}
    verdict.set_proven(on_file.backups, made[1], {"rto_seconds": 1}, run_context())
    on_file.store.remove(made[0].keys[0])
    before = on_file.objects()
    refused = on_file.retain(keep_last=0, keep_daily=1).refused("object_missing")
    assert "b0" in refused.message
    assert on_file.objects() == before


def test_a_damaged_one_does_not_fill_the_floor(on_file: History) -> None:
    for days in range(4):
        on_file.add(f"b{days}", days)
    on_file.store.write(on_file.backups.by_id("b1").keys[0], b"too long for it")
    done = on_file.retain(floor=2).ok()
    assert {each["id"]: each["reasons"] for each in done["retention"]["kept"]} == {
        "b2": ["floor"],
        "b1": ["damaged"],
        "b0": ["newest", "floor", "keep_last"],
    }
    assert "b1 counts for nothing" in json.dumps(done["warnings"])
    assert not on_file.retain(floor=2).ok().changed


def test_dated_ahead_it_stays_and_counts_for_nothing(on_file: History) -> None:
    for days in (-2, 0, 1):
        on_file.add(f"b{days % 7}", days)
    done = on_file.retain().ok()
    assert [each["id"] for each in done["retention"]["removed"]] == ["b1"]
    assert "counted for nothing: b5" in json.dumps(done["warnings"])


def test_what_runs_and_deletions_left(on_file: History) -> None:
    """A backup that lost its index key gets it again; objects without a manifest go when nobody works on them."""
    for days in range(3):
        on_file.add(f"b{days}", days)
    doubtful = on_file.add("doubtful", 0.5)
    verdict.set_suspicion(on_file.backups, doubtful, True, "damaged", "a bit is flipped", run_context())
    for name in ("b0", "b2", "doubtful"):
        for key in on_file.backups.index_keys(on_file.backups.by_id(name)):
            on_file.store.remove(key)
    # What a deleted backup of the same id has left says nothing of the one that is there.
    former = replace(on_file.backups.by_id("b1"), run_token="fedcba987654", snapshot_at=datetime.now(UTC) - 9 * DAY)
    verdict.set_suspicion(on_file.backups, former, True, "damaged", "a bit is flipped", run_context())
    on_file.store.remove(on_file.backups.index_key(entry_of(former, "suspect")))
    old, young = (f"{on_file.root}/backups/{name}/0123456789ab/database.dump" for name in ("dead", "alive"))
    foreign = f"{on_file.root}/backups/notes/README.txt"
    for key in (old, young, foreign):
        on_file.store.write(key, b"12345")
    on_file.store.write(f"{on_file.root}/attempts/{compact(datetime.now(UTC))}.alive.0123456789ab", b"")
    dead = f"{on_file.root}/attempts/{compact(datetime.now(UTC) - 2 * DAY)}.dead.0123456789ab"
    on_file.store.write(dead, b"")
    assert isinstance(on_file.store, FileStoreAt)
    long_ago = time.time() - 2 * DAY.total_seconds()
    os.utime(on_file.store.directory / dead, (long_ago, long_ago))
    planned = on_file.retain(check=True, keep_last=2).ok()
    done = on_file.retain(keep_last=2).ok()
    assert dead not in on_file.store.keys(f"{on_file.root}/attempts/")
    assert planned["retention"] == done["retention"]
    assert done["retention"]["remains"] == ["dead"]
    assert done["retention"]["freed_bytes"] == 3 + 5
    assert on_file.ids() == whole(on_file) == ["b1", "doubtful", "b0"]
    assert [found.state for _listed, found in on_file.backups.judged(on_file.backups.listed())][1] == "suspect"
    assert old not in on_file.objects()
    assert {young, foreign} <= set(on_file.objects())
    assert not on_file.retain(keep_last=2).ok().changed


def test_an_index_key_that_lies(on_file: History) -> None:
    """It says that a backup is old, and its manifest that it is the newest."""
    on_file.add("b3", 3)
    manifest = on_file.add("b0", 0)
    lie = on_file.backups.index_key(entry_of(manifest))
    moment = (on_file.now - 99 * DAY).strftime("%Y%m%dT%H%M%S000000Z")
    on_file.store.remove(lie)
    prefix = f"{on_file.root}/index/"
    on_file.store.write(f"{prefix}{moment}.{lie.removeprefix(prefix).partition('.')[2]}", b"")
    done = on_file.retain().ok()
    assert [each["id"] for each in done["retention"]["removed"]] == ["b3"]
    assert done["retention"]["kept"][0]["reasons"] == ["newest", "floor", "keep_last"]
    on_file.backups.require_objects(manifest)


def locked_history(s3: S3Server, s3_store: S3StoreAt, run: ModuleRunner) -> History:
    """In a bucket with Object Lock: ``b2`` under a retention period, ``b3`` under a legal hold, ``b4`` under none."""
    bucket = f"locked-{os.urandom(4).hex()}"
    client = s3_client(s3)
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    store = S3StoreAt(url=f"s3://{bucket}/x", options=s3_store.options, bucket=bucket, prefix="x", server=s3)
    history = History(store=store, run=run)
    archives = {days: f"x/{history.add(f'b{days}', days).keys[0]}" for days in (0, 2, 3, 4)}
    until = datetime.now(UTC) + 30 * DAY
    client.put_object_retention(
        Bucket=bucket, Key=archives[2], Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    client.put_object_legal_hold(Bucket=bucket, Key=archives[3], LegalHold={"Status": "ON"})
    return history


def documented_policy() -> set[str]:
    """The actions that ``docs/permissions.md`` gives to the identity that deletes."""
    document = (CHECKOUT / "docs" / "permissions.md").read_text(encoding="utf-8")
    policy = document.split("### retention\n", 1)[1].split("```json\n", 1)[1].split("```", 1)[0]
    return {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}


def test_object_lock_and_versions(
    s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner, proxy: FaultProxy
) -> None:
    history = locked_history(s3, s3_store, run_module)
    proxy.rules[:] = [deny("s3:GetObjectRetention"), deny("s3:GetObjectLegalHold")]
    unknown = history.retain(check=True, endpoint_url=proxy.endpoint_url).ok()
    assert unknown["retention"]["removed"] == []
    assert "s3:GetObjectRetention is denied" in json.dumps(unknown["warnings"])

    proxy.rules[:] = [deny("s3:GetObjectLockConfiguration")]
    blind = history.retain(check=True, endpoint_url=proxy.endpoint_url).ok()
    assert blind["retention"]["object_lock"] is None
    assert "s3:GetBucketObjectLockConfiguration is denied" in json.dumps(blind["warnings"])

    permitted = documented_policy()
    proxy.rules[:] = [deny(f"s3:{name}") for name, action in ACTIONS.items() if action not in permitted]
    proxy.requests.clear()
    done = history.retain(endpoint_url=proxy.endpoint_url).ok()["retention"]
    needed = {ACTIONS[request.action.removeprefix("s3:")] for request in proxy.requests}
    assert needed == permitted - {"s3:AbortMultipartUpload"}, "which drops what killed backups had sent"
    assert [each["id"] for each in done["removed"]] == ["b4"]
    assert {each["id"]: each["lock"] for each in done["kept"]}["b3"] == "legal hold"
    assert "Object Lock until" in {each["id"]: each["lock"] for each in done["kept"]}["b2"]
    assert (done["versioned"], done["object_lock"]) == (True, True)
    assert history.ids() == whole(history) == ["b3", "b2", "b0"]
    assert not history.retain().ok().changed


@pytest.mark.parametrize(
    "wrong",
    [
        {"floor": 0},
        {"keep_last": -1},
        {"keep_last": 0},
        {"time_zone": "Mars/Olympus"},
        {"suspect_within": "soon"},
        {"kinds": {"weekly": {"keep_last": 1}}},
        {"kinds": {"manual": {}}},
        {"kinds": {"manual": {"last": 1}}},
        {"kinds": {"manual": {"keep_last": "many"}}},
        {"kinds": {"manual": "1"}},
    ],
)
def test_rules_that_cannot_be_meant(wrong: dict[str, object], run_module: ModuleRunner) -> None:
    given = {"store": "file:///nonexistent/x", "environment": ENVIRONMENT, "name": "main", "keep_last": 1}
    none = {"keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0, "keep_within": "0"}
    run_module("postgres_backup_retention", {**given, **none, **wrong}).refused("invalid_parameter")
