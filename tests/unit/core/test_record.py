# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run records: what they say, when they are written, and that evidence never gets into the way of the work."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core import record
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.record import RunRecord, close_interrupted, who
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore

from harness.stores import failing, run_context

PLAN = {"steps": ["dump the database"], "irreversible": []}


@pytest.fixture
def context() -> Context:
    return run_context("20261120T020000Z-1")


@pytest.fixture
def store(tmp_path: Path, context: Context) -> FileStore:
    return FileStore(tmp_path / "store", context)


def begin(store: FileStore, context: Context, **changes: Any) -> RunRecord:
    options: dict[str, Any] = {"environment": "production", "host": "main", "identity": "daily-1", "plan": PLAN}
    return RunRecord.create(store, context=context, **{**options, **changes})


def read(store: FileStore, key: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(store.get(key) or b"{}")
    return body


def refusing(store: FileStore, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def put(_self: FileStore, _key: str, _body: bytes) -> None:
        raise error

    monkeypatch.setattr(FileStore, "put", put)


DENIED = RunbookError(code="store_denied", attempted="write", object="k", reason="no right", remedy="Grant it.")


def test_from_plan_to_result(store: FileStore, context: Context) -> None:
    begun = begin(store, context)
    assert begun.key == "production/runs/20261120T020000Z-1/main/000001.json"
    early = read(store, begun.key)
    assert early["status"] == "running"
    assert early["plan"] == PLAN
    assert early["module"] == "postgres_backup"
    assert early["who"]["user"]
    assert early["who"]["host"]
    assert "ended" not in early
    begun.progress({"bytes": 7})
    begun.finish("done", None, {"id": "daily-1"})
    late = read(store, begun.key)
    assert {key: late[key] for key in early if key not in ("status", "measurements")} == {
        key: value for key, value in early.items() if key not in ("status", "measurements")
    }
    assert (late["status"], late["result"], late["measurements"]) == ("done", {"id": "daily-1"}, {"bytes": 7})
    assert late["ended"] >= late["started"]
    assert not context.warnings


def test_records_of_one_run_are_numbered(store: FileStore, context: Context) -> None:
    keys = [begin(store, context).key for _number in range(11)]
    assert [key.rpartition("/")[2] for key in keys] == [f"{number:06d}.json" for number in range(1, 12)]
    assert keys == sorted(keys)


def test_a_number_that_another_module_takes_meanwhile(
    store: FileStore, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, context)
    monkeypatch.setattr(FileStore, "list", lambda *_arguments, **_options: iter(()))
    assert begin(store, context).key.endswith("/000002.json")


def test_no_evidence_no_change(store: FileStore, monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    def create(_self: FileStore, _key: str, _body: bytes) -> bool:
        raise DENIED

    monkeypatch.setattr(FileStore, "create", create)
    with failing("store_denied"):
        begin(store, context)


def test_a_failure_is_kept(store: FileStore, context: Context) -> None:
    begun = begin(store, context)
    begun.finish("failed", {"code": "dump_failed"}, {})
    assert read(store, begun.key)["failure"] == {"code": "dump_failed"}
    assert read(store, begun.key)["status"] == "failed"


@pytest.mark.parametrize("error", [DENIED, OSError("disk"), ValueError("json")])
def test_finishing_never_raises(
    store: FileStore, context: Context, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    begun = begin(store, context)
    refusing(store, monkeypatch, error)
    begun.finish("failed", {"code": "dump_failed"}, {})
    (warning,) = context.warnings
    assert begun.key in warning
    assert "disk" not in warning


def test_nothing_secret_gets_into_it(store: FileStore, context: Context) -> None:
    context.redactor.protect("s3cr3t-word")
    begun = begin(store, context, plan={"steps": ["use s3cr3t-word"], "irreversible": []})
    begun.progress({"last": "s3cr3t-word"})
    begun.finish("failed", {"code": "x", "object": "postgresql://u:other@h/d"}, {"a": ["s3cr3t-word"]})
    text = (store.get(begun.key) or b"").decode()
    assert "s3cr3t-word" not in text
    assert "other" not in text


def test_progress_is_written_now_and_then(store: FileStore, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_EVERY", 0.2)
    writes: list[str] = []
    put = FileStore.put

    def counted(self: FileStore, key: str, body: bytes) -> None:
        writes.append(threading.current_thread().name)
        put(self, key, body)

    monkeypatch.setattr(FileStore, "put", counted)
    begun = begin(store, context)
    end = time.monotonic() + 1
    number = 0
    while time.monotonic() < end:
        number += 1
        begun.progress({"bytes": number})
        time.sleep(0.002)
    assert 2 <= len(writes) <= 6
    assert set(writes) == {"record"}, "the thread that works does not wait for the store"
    assert 0 < read(store, begun.key)["measurements"]["bytes"] <= number
    quiet = len(writes)
    time.sleep(0.5)
    assert len(writes) <= quiet + 1, "nothing new, nothing written"
    begun.finish("done", None, {})
    assert read(store, begun.key)["measurements"] == {"bytes": number}


def test_progress_that_cannot_be_written_is_a_warning(
    store: FileStore, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_EVERY", 0.05)
    begun = begin(store, context)
    with monkeypatch.context() as patched:
        refusing(store, patched, DENIED)
        begun.progress({"bytes": 1})
        time.sleep(0.4)
    begun.finish("done", None, {})
    assert read(store, begun.key)["status"] == "done"
    assert len(context.warnings) == 1


def test_closing_what_a_killed_run_left(store: FileStore, context: Context) -> None:
    begun = begin(store, context)
    assert close_interrupted(store, begun.key, "next-run")
    closed = read(store, begun.key)
    assert (closed["status"], closed["interrupted_by"]) == ("interrupted", "next-run")
    assert closed["plan"] == PLAN
    assert not close_interrupted(store, begun.key, "third-run")
    assert read(store, begun.key)["interrupted_by"] == "next-run"


def test_what_is_not_open_is_not_closed(store: FileStore, context: Context) -> None:
    begun = begin(store, context)
    begun.finish("done", None, {})
    assert not close_interrupted(store, begun.key, "next-run")
    assert not close_interrupted(store, "production/runs/none", "next-run")
    store.put("production/runs/x/main/000001.json", b"not json")
    assert not close_interrupted(store, "production/runs/x/main/000001.json", "next-run")


def test_a_run_that_was_taken_over_says_so(store: FileStore, context: Context) -> None:
    begun = begin(store, context)
    close_interrupted(store, begun.key, "next-run")
    begun.finish("failed", {"code": "lock_lost"}, {})
    late = read(store, begun.key)
    assert (late["status"], late["interrupted_by"]) == ("failed", "next-run")


@pytest.mark.parametrize(
    ("environ", "launch"),
    [
        ({}, {}),
        (
            {"JOB_ID": "4711", "PROJECT_REVISION": "abc", "AWX_USER_NAME": "ann", "AWX_JOB_LAUNCH_TYPE": "scheduled"},
            {
                "awx_job_id": "4711",
                "project_revision": "abc",
                "awx_user_name": "ann",
                "awx_launch_type": "scheduled",
            },
        ),
        ({"GITHUB_ACTOR": "bob", "GITHUB_RUN_ID": "7"}, {"github_actor": "bob", "github_run_id": "7"}),
        ({"AWX_USER_NAME": "", "SECRET": "x"}, {}),
    ],
)
def test_who(environ: Mapping[str, str], launch: dict[str, str]) -> None:
    said = who(environ)
    assert said.pop("user")
    assert said.pop("host")
    assert said == launch


def test_who_is_behind_sudo() -> None:
    assert who({"SUDO_USER": "ann"})["user"].startswith("ann as ")
