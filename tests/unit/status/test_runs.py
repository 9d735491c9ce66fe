# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading run records back, on a real store."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import LockState
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore
from ansible_collections.ops.runbooks.plugins.module_utils._status.runs import abandoned, newest_run, open_records

from harness.stores import run_context

NOW = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store", run_context())


def put(store: FileStore, directory: Path, started: datetime, run_id: str = "", host: str = "main", **body: Any) -> str:
    run_id = run_id or f"{compact(started)}-aaaa"
    key = f"e/runs/{run_id}/{host}/000001.json"
    store.put(key, json.dumps({"run_id": run_id, "module": "m", "status": "done", **body}).encode())
    os.utime(directory / "store" / key, (started.timestamp(), started.timestamp()))
    return key


def test_none(store: FileStore) -> None:
    assert newest_run(store, "e", "main", NOW) is None


@pytest.mark.parametrize("days", [0.5, 10, 100, 1000])
def test_the_newest_however_old(store: FileStore, tmp_path: Path, days: float) -> None:
    key = put(store, tmp_path, NOW - timedelta(days=days), failure={"code": "dump_failed"}, status="failed")
    put(store, tmp_path, NOW - timedelta(days=days + 1))
    put(store, tmp_path, NOW - timedelta(days=days + 400), host="other")
    found = newest_run(store, "e", "main", NOW)
    assert found is not None
    assert (found.key, found.status, found.code) == (key, "failed", "dump_failed")


def test_a_run_with_an_id_of_its_own(store: FileStore, tmp_path: Path) -> None:
    """It does not sort by time; when it was written counts."""
    put(store, tmp_path, NOW - timedelta(hours=30), run_id="release-7")
    newest = put(store, tmp_path, NOW - timedelta(hours=3))
    found = newest_run(store, "e", "main", NOW)
    assert found is not None
    assert found.key == newest


def test_what_is_no_record_is_passed_over(store: FileStore, tmp_path: Path) -> None:
    key = put(store, tmp_path, NOW - timedelta(hours=3))
    store.put(f"e/runs/{compact(NOW)}-b/main/000001.json", b"damaged")
    store.put(f"e/runs/{compact(NOW)}-b/main/deeper/000001.json", b"{}")
    found = newest_run(store, "e", "main", NOW)
    assert found is not None
    assert found.key == key


def test_open_records(store: FileStore, tmp_path: Path) -> None:
    put(store, tmp_path, NOW - timedelta(days=1))
    key = put(store, tmp_path, NOW - timedelta(days=2), status="running")
    put(store, tmp_path, NOW - timedelta(days=2), status="running", host="other")
    put(store, tmp_path, NOW - timedelta(days=9), status="running")
    assert [key for key, _body in open_records(store, "e", "main", NOW - timedelta(days=3))] == [key]


@pytest.mark.parametrize(
    ("lock", "is_abandoned"),
    [
        (LockState(resource="r", state="free"), True),
        (LockState(resource="r", state="held", run_id="mine"), False),
        (LockState(resource="r", state="lapsed", run_id="mine"), True),
        (LockState(resource="r", state="held", run_id="another"), True),
    ],
)
def test_abandoned(lock: LockState, is_abandoned: bool) -> None:
    assert abandoned("mine", lock) is is_abandoned
