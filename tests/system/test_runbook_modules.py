# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""runbook_lock, runbook_record and runbook_notify as modules, on both kinds of store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.receiver import Receiver, receiver
from harness.servers import FileStoreAt, StoreAt

PATH = "/services/T000/B000/kan4ryXXXXXXXXXXXXXXXXX"
ADDRESSED = {"environment": "production", "name": "main"}


class Caller:
    """Calls one module with what every call has in common."""

    def __init__(self, run_module: ModuleRunner, module: str, **common: Any) -> None:
        self._run = run_module
        self._module = module
        self._common = {**ADDRESSED, **common}

    def __call__(self, *, check: bool = False, diff: bool = False, **given: Any) -> Outcome:
        return self._run(self._module, {**self._common, **given}, check=check, diff=diff)


@pytest.fixture
def lock(run_module: ModuleRunner, store: StoreAt) -> Caller:
    return Caller(run_module, "runbook_lock", **store.args)


def test_a_lock_between_tasks(lock: Caller, store: StoreAt) -> None:
    predicted = lock(run_id="run-1", check=True, diff=True).ok()
    assert predicted.changed
    assert predicted["lock"]["state"] == "held"
    assert predicted["diff"]["before"]["state"] == "free"
    assert store.keys() == []

    taken = lock(run_id="run-1", runbook="migrate", identity="v7").ok()
    assert taken.changed
    assert taken["lock"]["holder"] == {"runbook": "migrate", "target": "main", "identity": "v7"}
    assert not lock(run_id="run-1").ok().changed
    assert not lock(run_id="run-1", check=True).ok().changed

    assert not lock(run_id="run-2", state="absent").ok().changed, "the lock of another run is left alone"
    released = lock(run_id="run-1", state="absent").ok()
    assert released.changed
    assert released["lock"]["state"] == "free"
    assert not lock(run_id="run-1", state="absent").ok().changed
    assert "/runs/" not in " ".join(store.keys()), "a lock is no evidence"


def test_another_run_waits_for_the_end_of_the_lease(lock: Caller) -> None:
    assert lock(run_id="run-1", lock_lease="5s").ok().changed
    predicted = lock(run_id="run-2", lock_lease="5s", identity="other", check=True).ok()
    assert predicted["plan"]["steps"][0].startswith("wait until runbook_lock of main (run-1) in run run-1")
    started = time.monotonic()
    taken = lock(run_id="run-2", lock_lease="5s", identity="other").ok()
    assert taken["lock"]["run_id"] == "run-2"
    assert time.monotonic() - started > 3


def test_a_lock_is_renewed_after_half_of_its_lease(lock: Caller) -> None:
    first = lock(run_id="run-1", lock_lease="8s").ok()
    assert not lock(run_id="run-1", lock_lease="8s").ok().changed
    time.sleep(5)
    again = lock(run_id="run-1", lock_lease="8s").ok()
    assert again.changed
    assert again["plan"]["steps"] == ["renew the lock of database/main"]
    assert again["lock"]["until"] > first["lock"]["until"]


@pytest.mark.parametrize(
    "wrong", [{}, {"run_id": "run-1", "resource": "table/x"}, {"run_id": "run-1", "lock_lease": "1s"}]
)
def test_locks_that_make_no_sense(run_module: ModuleRunner, file_store: FileStoreAt, wrong: dict[str, Any]) -> None:
    lock = Caller(run_module, "runbook_lock", **file_store.args)
    assert lock(**wrong).refused("invalid_parameter")
    assert file_store.keys() == []


@pytest.fixture
def record(run_module: ModuleRunner, store: StoreAt) -> Caller:
    return Caller(run_module, "runbook_record", **store.args)


def test_evidence_of_a_step(record: Caller, store: StoreAt) -> None:
    step = {"identity": "dns-1", "what": "the record was moved", "measurements": {"seconds": 4}}
    assert record(**step, check=True).ok().changed
    assert store.keys() == []
    written = record(**step, run_id="run-1").ok()
    assert written.changed
    assert written["record"]["key"] == "production/evidence/main/dns-1.json"
    assert written["record"]["who"]["user"]

    again = record(**step, run_id="run-2").ok()
    assert not again.changed
    assert again["record"]["run_id"] == "run-1"
    assert not record(**step, check=True).ok().changed
    assert store.keys() == ["production/evidence/main/dns-1.json"]

    differing = record(**{**step, "what": "it was not"}).ok()
    assert not differing.changed
    assert differing["record"]["what"] == "the record was moved"
    assert "another what" in json.dumps(differing["warnings"])


def test_evidence_that_somebody_damaged(record: Caller, store: StoreAt) -> None:
    store.write("production/evidence/main/dns-1.json", b"oops")
    record(identity="dns-1", what="x").refused("object_corrupt")


def test_evidence_needs_an_identity(record: Caller) -> None:
    record(what="x").refused("invalid_parameter")
    record(what="x", identity="a/b").refused("invalid_parameter")


def test_closing_what_killed_runs_left(record: Caller, lock: Caller, store: StoreAt) -> None:
    def left_by(run_id: str, status: str = "running") -> str:
        key = f"production/runs/{run_id}/main/000001.json"
        store.write(key, json.dumps({"schema": 1, "run_id": run_id, "status": status}).encode())
        return key

    killed, _done, living = left_by("run-1"), left_by("run-2", "done"), left_by("run-3")
    lock(run_id="run-3").ok()
    predicted = record(state="closed", check=True).ok()
    assert predicted["record"]["closed"] == [killed]
    assert json.loads(store.read(killed))["status"] == "running"
    assert record(state="closed", run_id="run-9").ok()["record"]["closed"] == [killed]
    assert json.loads(store.read(killed))["interrupted_by"] == "run-9"
    assert not record(state="closed").ok().changed
    lock(run_id="run-3", state="absent").ok()
    assert record(state="closed").ok()["record"]["closed"] == [living]


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


@pytest.fixture
def notify(run_module: ModuleRunner, store: StoreAt, server: Receiver) -> Caller:
    return Caller(run_module, "runbook_notify", webhook_url=server.url + PATH, **store.args)


FAILED = {"runbook": "backup", "failed": "True", "msg": "Could not do it.", "failure": {"code": "login_denied"}}
FINE = {"runbook": "backup", "failed": False}


def test_failures_and_the_recovery(notify: Caller, server: Receiver, store: StoreAt) -> None:
    assert notify(outcome=FINE, run_id="run-0").ok()["notification"]["kind"] == "none"
    assert notify(outcome=FAILED, run_id="run-1", check=True).ok()["notification"]["kind"] == "failure"
    assert (server.received, store.keys()) == ([], [])

    told = notify(outcome=FAILED, run_id="run-1").ok()
    assert told.changed
    assert told["notification"] == {"sent": True, "kind": "failure", "reason": "the run failed", "heartbeat": False}
    assert not notify(outcome=FAILED, run_id="run-1").ok().changed
    assert notify(outcome=FAILED, run_id="run-2").ok().changed
    recovered = notify(outcome=FINE, run_id="run-3").ok()
    assert recovered["notification"]["kind"] == "recovery"
    assert not notify(outcome=FINE, run_id="run-4").ok().changed

    texts = [json.loads(request.body)["text"] for request in server.received]
    assert [text.split(".")[0] for text in texts] == [
        "production/main: backup failed (login_denied)",
        "production/main: backup failed (login_denied)",
        texts[2].split(".")[0],
    ]
    assert "backup works again" in texts[2]
    assert "kan4ry" not in recovered.everything + told.everything


def test_a_message_that_is_not_taken_fails_nothing(notify: Caller, server: Receiver) -> None:
    server.answers = [500]
    lost = notify(outcome=FAILED, run_id="run-1").ok()
    assert lost["notification"] == {
        "sent": False, "kind": "failure", "reason": "it answered 500", "heartbeat": False,
    }  # fmt: skip
    assert "it answered 500" in json.dumps(lost["warnings"])
    assert notify(outcome=FAILED, run_id="run-1").ok()["notification"]["sent"], "it is told with the next call"
    server.answers = [404]
    assert not notify(outcome=FINE, run_id="run-2").ok()["notification"]["sent"]
    assert notify(outcome=FINE, run_id="run-3").ok()["notification"]["kind"] == "recovery"


def test_heartbeats(run_module: ModuleRunner, file_store: FileStoreAt, server: Receiver) -> None:
    notify = Caller(
        run_module, "runbook_notify", heartbeat_url=f"{server.url}/ping/kan4ry-0123456789", **file_store.args
    )
    assert notify(outcome=FINE, alive=True).ok()["notification"]["heartbeat"] is True
    for outcome, alive, check in ((FINE, False, False), (FAILED, True, False), (FINE, True, True)):
        assert not notify(outcome=outcome, alive=alive, check=check).ok()["notification"]["heartbeat"]
    assert [(request.method, request.path) for request in server.received] == [("GET", "/ping/kan4ry-0123456789")]
    server.answers = [500] * 3
    lost = notify(outcome=FINE, alive=True).ok()
    assert "The heartbeat was not called: it answered 500." in json.dumps(lost["warnings"])
    assert "kan4ry" not in lost.everything


def test_without_a_store_a_failure_is_still_told(run_module: ModuleRunner, server: Receiver) -> None:
    unreachable = {
        "store": "s3://bucket",
        "endpoint_url": "http://127.0.0.1:9",
        "access_key": "a",
        "secret_key": "b" * 8,
    }
    notify = Caller(run_module, "runbook_notify", webhook_url=server.url + PATH, **unreachable)
    assert notify(outcome=FAILED).ok()["notification"]["sent"]
    silent = notify(outcome=FINE).ok()
    assert silent["notification"]["kind"] == "none"
    assert "whether this is a recovery is unknown" in silent["notification"]["reason"]


def test_an_odd_outcome_is_no_failure(notify: Caller, server: Receiver) -> None:
    assert notify(outcome={"runbook": "ops.runbooks.backup", "failed": "yes"}).ok()["notification"]["sent"]
    assert notify(outcome={"failed": True, "runbook": "../x y"}, run_id="run-2").ok()["notification"]["sent"]
    assert len(server.received) == 2
