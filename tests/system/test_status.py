# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""runbook_status_info over real backups, locks and records, and over servers that do not answer."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.servers import Database, S3StoreAt, StoreAt

ADDRESSED = {"environment": "production", "name": "main"}
NAMES = ["Result", "Changed", "Production affected", "Newest good backup", "Lock", "Next"]
DONE = {"runbook": "backup", "changed": True, "summary": "backup b1", "affected": "no"}


class Asker:
    """Asks for the status of ``production/main``."""

    def __init__(self, run_module: ModuleRunner, **store: Any) -> None:
        self.run_module = run_module
        self.store = store

    def __call__(self, **given: Any) -> Outcome:
        asked = self.run_module("runbook_status_info", {**self.store, **ADDRESSED, **given}).ok()
        assert not asked.changed
        assert [line.split(": ")[0] for line in asked["status"]["lines"]] == NAMES
        return asked


@pytest.fixture
def ask(run_module: ModuleRunner, store: StoreAt) -> Asker:
    return Asker(run_module, **store.args)


def lines(asked: Outcome) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in asked["status"]["lines"])


def test_before_anything(ask: Asker, store: StoreAt) -> None:
    status = ask(command_options="-i inv --limit main")["status"]
    assert status["complete"]
    assert status["past_rpo"]
    assert (status["newest_backup"], status["last_run"], status["newest_restore"]) == (None, None, None)
    assert status["lock"]["state"] == "free"
    assert status["lines"][5] == "Next: ansible-playbook ops.runbooks.backup -i inv --limit main"
    assert store.keys() == [], "looking writes nothing"


def test_after_a_backup_and_a_restore(ask: Asker, run_module: ModuleRunner, database: Database) -> None:
    common = {**ask.store, **ADDRESSED, **database.args}
    run_module("postgres_backup", {**common, "backup_id": "b1", "run_id": "run-1"}).ok()
    asked = ask(outcome=DONE)
    status = asked["status"]
    assert (status["newest_backup"]["id"], status["newest_backup"]["state"]) == ("b1", "complete")
    assert (status["past_rpo"], status["complete"]) == (False, True)
    assert (status["last_run"]["run_id"], status["last_run"]["status"]) == ("run-1", "done")
    assert lines(asked)["Newest good backup"].startswith("b1, ")
    assert lines(asked)["Lock"] == "free"

    restore = {"backup": "b1", "target_database": f"{database.name}_r", "run_id": "run-2"}
    run_module("postgres_restore", {**common, **restore}).ok()
    assert status["stored"] is None
    status = ask()["status"]
    assert (status["stored"]["backups"], status["stored"]["oldest"]["id"]) == (1, "b1")
    assert status["stored"]["bytes"] == status["newest_backup"]["bytes"]
    assert "; 1 stored, " in status["lines"][3]
    assert status["newest_restore"]["phase"] == "finished"
    assert status["newest_restore"]["target_database"] == f"{database.name}_r"
    assert status["last_run"]["module"].endswith("postgres_restore")
    assert "last recorded run run-2" in status["lines"][0]

    time.sleep(2)
    assert ask(rpo="1s")["status"]["past_rpo"]
    assert "OLDER" in lines(ask(rpo="1s"))["Newest good backup"]


def test_a_run_that_was_killed(ask: Asker, run_module: ModuleRunner, store: StoreAt) -> None:
    body = {"schema": 1, "run_id": "run-1", "module": "postgres_backup", "identity": "b1", "status": "running"}
    store.write("production/runs/run-1/main/000001.json", json.dumps(body).encode())
    status = ask()["status"]
    assert status["last_run"]["status"] == "interrupted"
    assert "interrupted (killed before its end)" in status["lines"][0]
    run_module("runbook_lock", {**ask.store, **ADDRESSED, "run_id": "run-1", "runbook": "backup"}).ok()
    status = ask()["status"]
    assert status["last_run"]["status"] == "running"
    assert status["lines"][4].startswith("Lock: held by backup of main (run-1), run run-1 since ")


def test_one_thing_that_cannot_be_read(ask: Asker, store: StoreAt) -> None:
    """What is damaged is told; the rest is there."""
    store.write("production/databases/main/restores/r1/000000000001.json", b"damaged")
    status = ask(outcome=DONE)["status"]
    assert not status["complete"]
    assert len(status["unknown"]) == 1
    assert status["lock"]["state"] == "free"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"endpoint_url": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"store": "s3://no-such-bucket-anywhere"}, "no-such-bucket-anywhere"),
        ({"store": "ftp://x"}, "neither s3:// nor file://"),
        ({"store": "file:///proc/1/nowhere"}, ""),
    ],
    ids=["unreachable", "missing", "nonsense", "unwritable"],
)
def test_six_lines_without_a_store(
    run_module: ModuleRunner, s3_store: S3StoreAt, broken: dict[str, Any], reason: str
) -> None:
    ask = Asker(run_module, **{**s3_store.args, **broken})
    started = time.monotonic()
    asked = ask(outcome={"runbook": "backup", "failed": True, "code": "store_unreachable", "msg": "Could not."})
    assert time.monotonic() - started < 60
    assert lines(asked)["Result"] == "failed (store_unreachable): Could not."
    if reason:
        assert asked["status"]["complete"] is False
        assert asked["status"]["past_rpo"] is None
        assert lines(asked)["Newest good backup"].startswith("unknown: ")
        assert reason in lines(asked)["Lock"]
    assert s3_store.server.secret_key not in asked.everything


def test_parameters_are_still_checked(ask: Asker) -> None:
    given = {**ask.store, **ADDRESSED, "rpo": "soon"}
    ask.run_module("runbook_status_info", given).refused("invalid_parameter")
