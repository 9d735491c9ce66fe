# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgres_backup when things go wrong: whatever happens, what counts as a backup is one."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from harness.children import Child, until
from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.servers import Database, FileStoreAt, S3StoreAt, StoreAt
from sandbox import S3Server
from sandbox.faults import Fault, FaultProxy

MIB = 1024 * 1024


@pytest.fixture
def args(database: Database, store: StoreAt) -> dict[str, Any]:
    """Arguments for the test's own database and store, with a lease that a killed run does not hold for long."""
    return arguments(database, store)


def arguments(database: Database, store: StoreAt, **options: Any) -> dict[str, Any]:
    common = {"environment": "test", "name": "main", "backup_id": "one", "lock_lease": "5s", "lock_wait_timeout": "3s"}
    return {**common, **store.args, **database.args, **options}


@pytest.fixture
def bulky(database: Database) -> Database:
    """A database whose dump is about 40 MiB of what does not compress: several parts, and time to interfere."""
    database.execute("CREATE EXTENSION pgcrypto")
    database.execute(
        "CREATE TABLE noise AS SELECT n AS id, string_agg(encode(gen_random_bytes(1000), 'base64'), '') AS body"
        " FROM generate_series(1, 12000) n, generate_series(1, 3) GROUP BY n"
    )
    return database


def complete(store: StoreAt) -> list[str]:
    """What counts as a backup."""
    return [key for key in store.keys("test/databases/") if key.endswith("manifest.json") or "/index/" in key]


def own_objects(store: StoreAt) -> list[str]:
    return [key for key in store.keys("test/databases/main/backups/") if not key.endswith("manifest.json")]


def pg_dumps(database: Database) -> list[psutil.Process]:
    """pg_dump processes that work for a database."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "pg_dump" in process.name() and database.name in " ".join(process.cmdline()):
                found.append(process)
    return found


@contextlib.contextmanager
def holding(database: Database, statement: str) -> Iterator[psycopg.Connection[Any]]:
    """A session that has run ``statement`` in a transaction that stays open."""
    with psycopg.connect(database.url) as connection:
        connection.execute(statement.encode())
        yield connection
        connection.rollback()


def test_a_truncate_during_the_dump_takes_nothing_from_it(
    bulky: Database, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    """TRUNCATE waits until the dump has ended; what was committed before the snapshot is in the backup."""
    bulky.execute("CREATE TABLE victim AS SELECT generate_series(1, 1000) AS id")
    with FaultProxy(s3.endpoint_url) as proxy:
        proxy.rules.append(Fault(action="s3:UploadPart", rate=8 * MIB))
        child = run_module.start("postgres_backup", arguments(bulky, s3_store, endpoint_url=proxy.endpoint_url))
        (pg_dump,) = until(lambda: pg_dumps(bulky))
        assert bulky.server.password not in " ".join(pg_dump.cmdline())
        locks = "SELECT count(DISTINCT pid) FROM pg_locks WHERE relation = 'victim'::regclass AND granted"
        until(lambda: bulky.value(locks) == 2)
        with psycopg.connect(bulky.url, autocommit=True) as connection:
            connection.execute("TRUNCATE victim")
        outcome = read_outcome(child.wait()).ok()
    assert bulky.value("SELECT count(*) FROM victim") == 0
    manifest = json.loads(s3_store.read(outcome["backup"]["manifest"]))
    assert {t["name"]: t["rows"] for t in manifest["tables"]}["victim"] == 1000


def test_tables_that_come_and_go_while_it_locks(
    database: Database, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    """Each attempt that saw another list of tables is begun anew; the backup then holds a consistent one."""
    stopped = threading.Event()

    def churn() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            for number in range(400):
                if stopped.is_set():
                    return
                connection.execute(f"CREATE TABLE t{number} (id int)".encode())
                if number % 2:
                    connection.execute(f"DROP TABLE t{number - 1}".encode())
                time.sleep(0.01)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        outcome = run_module("postgres_backup", arguments(database, file_store, lock_wait_timeout="30s"))
    finally:
        stopped.set()
        thread.join()
    if outcome.failed:
        # Where the machine is slow, a DROP may come between our locks and pg_dump's, more often than is tried again.
        assert outcome.code in ("database_changing", "timed_out"), outcome.message
        assert complete(file_store) == []
    else:
        assert outcome.changed


def test_a_lock_that_somebody_holds(
    bulky: Database, args: dict[str, Any], store: StoreAt, run_module: ModuleRunner
) -> None:
    with holding(bulky, "SET application_name = 'migration'; LOCK TABLE noise IN ACCESS EXCLUSIVE MODE"):
        outcome = run_module("postgres_backup", args).refused("timed_out")
    assert "migration" in outcome.message
    assert "noise" in outcome.message
    assert "lock_wait_timeout" in outcome.message
    assert complete(store) == own_objects(store) == []
    assert run_module("postgres_backup", args).ok().changed


def test_a_session_that_comes_between_the_locks(
    bulky: Database, file_store: FileStoreAt, run_module: ModuleRunner, tmp_path: Path
) -> None:
    """A TRUNCATE that queues after our lock and before pg_dump's gets its turn; the backup then begins anew.

    Were nothing locked before the snapshot, it would go through at once and take the rows from under the snapshot.
    """
    slow = tmp_path / "pg_dump"
    real, first = bulky.server.bindir / "pg_dump", tmp_path / "first"
    slow.write_text(
        f"#!/bin/sh\ncase $1 in --version) exec {real} --version;; esac\n"
        f'test -e {first} || {{ touch {first}; sleep 3; }}\nexec {real} "$@"\n',
        encoding="utf-8",
    )
    slow.chmod(0o755)
    options = arguments(bulky, file_store, compression="gzip", lock_wait_timeout="1s")
    child = run_module.start("postgres_backup", {**options, "bindir": [str(tmp_path), *options["bindir"]]})
    until(first.exists)
    with psycopg.connect(bulky.url, autocommit=True) as connection:
        asked = connection.execute("SELECT clock_timestamp()").fetchall()[0][0]
        connection.execute("TRUNCATE noise")
    outcome = read_outcome(child.wait()).ok()
    manifest = json.loads(file_store.read(outcome["backup"]["manifest"]))
    assert datetime.fromisoformat(manifest["snapshot_at"]) > asked
    assert manifest["tables"][0]["rows"] == 0
    assert len(own_objects(file_store)) == 1


def test_two_runs_at_once_make_one_backup(
    bulky: Database, args: dict[str, Any], store: StoreAt, run_module: ModuleRunner
) -> None:
    children = [run_module.start("postgres_backup", args) for _number in range(2)]
    outcomes = [read_outcome(child.wait()) for child in children]
    made = [outcome for outcome in outcomes if outcome.changed and not outcome.failed]
    others = [outcome for outcome in outcomes if outcome not in made]
    assert len(made) == 1
    # The second waits for a lease as it first saw it; where the first was at work longer than that, it says so.
    for outcome in others:
        assert (not outcome.failed and outcome["backup"]["id"] == "one") or outcome.code == "lock_held", outcome.result
    assert len(complete(store)) == 2  # one manifest, one index key
    assert len(own_objects(store)) == 1
    assert not run_module("postgres_backup", args).ok().changed


def test_two_runs_that_do_not_know_of_each_other(
    bulky: Database, tmp_path_factory: pytest.TempPathFactory, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    """With locks in two places nothing but the create-only manifest decides; the loser removes what is its own."""
    children = []
    for number in range(2):
        locks = tmp_path_factory.mktemp(f"locks{number}")
        options = arguments(bulky, file_store, state_store=f"file://{locks}")
        children.append(run_module.start("postgres_backup", options))
    outcomes = [read_outcome(child.wait()).ok() for child in children]
    first, second = (outcome["backup"] for outcome in outcomes)
    assert first["archives"] == second["archives"]
    assert len(complete(file_store)) == 2
    assert own_objects(file_store) == [first["archives"][0]["key"]]


@pytest.mark.parametrize("stage", ["dump", "upload"])
def test_kill_9_leaves_nothing_that_counts(
    stage: str, bulky: Database, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    with FaultProxy(s3.endpoint_url) as proxy:
        proxy.rules.append(Fault(action="s3:UploadPart", rate=2 * MIB))
        options = arguments(bulky, s3_store, endpoint_url=proxy.endpoint_url)
        child = run_module.start("postgres_backup", options)
        until(lambda: pg_dumps(bulky))
        if stage == "upload":
            until(lambda: proxy.count(action="s3:UploadPart"))
        child.kill(signal.SIGKILL)
        child.wait()
        until(lambda: not pg_dumps(bulky))
    assert complete(s3_store) == []
    assert [key for key in s3_store.keys() if "/attempts/" in key] != []  # noqa: SIM118 - not a mapping
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    until(lambda: bulky.value(sessions) == 0)
    # The killed run's lease has to end first; the same command then does it all.
    again = until(lambda: retried(run_module, arguments(bulky, s3_store)))
    assert again.changed
    assert len(complete(s3_store)) == 2


def retried(run_module: ModuleRunner, options: dict[str, Any]) -> Outcome | None:
    """The outcome; None while the lock is held."""
    outcome = run_module("postgres_backup", options)
    return None if outcome.code == "lock_held" else outcome.ok()


def test_leftovers_are_swept_after_a_day(database: Database, file_store: FileStoreAt, run_module: ModuleRunner) -> None:
    root = "test/databases/main"
    two_days_ago, now = time.time() - 2 * 86400, time.time()
    aged = {
        f"{root}/backups/gone/aaaaaaaaaaaa/database.dump": b"x",
        f"{root}/attempts/{compact(two_days_ago)}.gone.aaaaaaaaaaaa": b"",
    }
    young = {
        f"{root}/backups/busy/bbbbbbbbbbbb/database.dump": b"x",
        f"{root}/attempts/{compact(now)}.busy.bbbbbbbbbbbb": b"",
    }
    for key, body in {**aged, **young}.items():
        file_store.write(key, body)
    for key in aged:
        os.utime(file_store.directory / key, (two_days_ago, two_days_ago))
    assert run_module("postgres_backup", arguments(database, file_store)).ok().changed
    left = file_store.keys(root)
    assert not set(aged) & set(left)
    assert set(young) <= set(left)


def test_a_damaged_manifest_stands_in_the_way_of_no_other_backup(
    database: Database, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    root = "test/databases/main"
    two_days_ago = time.time() - 2 * 86400
    marker = f"{root}/attempts/{compact(two_days_ago)}.bad.aaaaaaaaaaaa"
    file_store.write(marker, b"")
    os.utime(file_store.directory / marker, (two_days_ago, two_days_ago))
    file_store.write(f"{root}/backups/bad/manifest.json", b"{ not json")
    assert run_module("postgres_backup", arguments(database, file_store)).ok().changed

    # The newest backup is damaged now: it is no reason to go without a young one.
    file_store.write(f"{root}/backups/one/manifest.json", b"{ not json")
    by_age = arguments(database, file_store, max_age="1h") | {"backup_id": None}
    taken = run_module("postgres_backup", by_age).ok()
    assert taken.changed
    assert "another backup is due" in taken.everything


def test_a_store_without_conditional_writes_beside_one_with_them(
    database: Database, s3: S3Server, s3_store: S3StoreAt, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    with FaultProxy(s3.endpoint_url) as proxy:
        options = arguments(database, s3_store, endpoint_url=proxy.endpoint_url, state_store=file_store.url)
        proxy.rules.append(Fault(method="PUT", path="manifest.json", times=1, status=501, code="NotImplemented"))
        assert run_module("postgres_backup", options).ok().changed
        assert not run_module("postgres_backup", options).ok().changed
    assert len(complete(s3_store)) == 2
    state = ("/binding/", "/locks/", "/runs/")
    assert [key for key in s3_store.keys("") if any(part in key for part in state)] == []


def compact(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


@pytest.mark.parametrize("status", [500, 403])
def test_a_store_that_fails_at_the_third_part(
    status: int, bulky: Database, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    with FaultProxy(s3.endpoint_url) as proxy:
        rule = Fault(action="s3:UploadPart", skip=2, status=status)
        proxy.rules.append(rule)
        options = arguments(bulky, s3_store, endpoint_url=proxy.endpoint_url)
        outcome = run_module("postgres_backup", options)
        outcome.refused("store_denied" if status == 403 else "store_failed")
        assert complete(s3_store) == own_objects(s3_store) == []
        assert [key for key in s3_store.unfinished() if key.startswith(s3_store.prefix)] == []
        assert not pg_dumps(bulky)
        proxy.rules.remove(rule)
        proxy.rules.append(Fault(action="s3:UploadPart", skip=1, times=2, status=503))
        assert run_module("postgres_backup", options).ok().changed


def test_credentials_that_cannot_delete(
    bulky: Database, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    """The backup credential need not be able to delete: that is a way to set it up, and nothing to be warned of."""
    with FaultProxy(s3.endpoint_url) as proxy:
        proxy.rules.append(Fault(action="s3:DeleteObject", status=403))
        outcome = run_module("postgres_backup", arguments(bulky, s3_store, endpoint_url=proxy.endpoint_url)).ok()
        assert proxy.count(action="s3:DeleteObject", status=403)
    assert outcome.changed
    assert "harms no backup" not in outcome.everything
    assert len(complete(s3_store)) == 2
    assert not run_module("postgres_backup", arguments(bulky, s3_store)).ok().changed


def test_a_manifest_whose_answer_was_lost_keeps_its_archive(
    bulky: Database, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    """The write of the manifest went through, nobody was told: the backup is one, and the next run says so."""
    with FaultProxy(s3.endpoint_url) as proxy:
        proxy.rules.append(Fault(method="PUT", path="manifest.json", times=1, cut_response=0))
        proxy.rules.append(Fault(method="PUT", path="manifest.json", status=500))
        # It is looked for twice before: without the lock, and again under it.
        proxy.rules.append(Fault(method="GET|HEAD", path="manifest.json", skip=2, status=500))
        outcome = run_module("postgres_backup", arguments(bulky, s3_store, endpoint_url=proxy.endpoint_url))
    assert outcome.failed
    again = run_module("postgres_backup", arguments(bulky, s3_store)).ok()
    assert again["plan"]["steps"][0].startswith("write the index key")
    assert s3_store.read(again["backup"]["archives"][0]["key"])


def test_a_full_disk(bulky: Database, file_store: FileStoreAt, run_module: ModuleRunner, tmp_path: Path) -> None:
    """A file size limit stands for the disk: the system refuses the write in the middle of the dump all the same."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MIB, limits[1]))
    try:
        child = run_module.start("postgres_backup", arguments(bulky, file_store))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    outcome = read_outcome(child.wait()).refused("store_full")
    assert "space" in outcome.message
    assert complete(file_store) == own_objects(file_store) == []
    assert list(file_store.directory.rglob(".tmp-*")) == []


def test_a_time_limit(bulky: Database, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner) -> None:
    with FaultProxy(s3.endpoint_url) as proxy:
        proxy.rules.append(Fault(action="s3:UploadPart", rate=2 * MIB))
        options = arguments(bulky, s3_store, endpoint_url=proxy.endpoint_url, timeout="3s")
        outcome = run_module("postgres_backup", options).refused("timed_out")
    assert "timeout" in outcome.message
    assert complete(s3_store) == own_objects(s3_store) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop(
    number: signal.Signals, bulky: Database, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    with FaultProxy(s3.endpoint_url) as proxy:
        proxy.rules.append(Fault(action="s3:UploadPart", rate=4 * MIB))
        child: Child = run_module.start("postgres_backup", arguments(bulky, s3_store, endpoint_url=proxy.endpoint_url))
        until(lambda: proxy.count(action="s3:UploadPart"))
        child.kill(number)
        outcome = read_outcome(child.wait()).refused("run_aborted")
    assert outcome["backup"]["id"] == "one"
    assert complete(s3_store) == own_objects(s3_store) == []
    assert not pg_dumps(bulky)


def test_a_role_with_short_timeouts_of_its_own(
    bulky: Database, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    """As at Supabase, where roles have a statement_timeout: the sessions of a backup take it off."""
    role = f"{bulky.name}_hasty"
    bulky.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'hasty-password'")
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"):
        bulky.execute(f"ALTER ROLE {role} SET {setting} = '100ms'")
    bulky.execute("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    try:
        options = arguments(bulky, file_store, login_user=role, login_password="hasty-password", row_counts="exact")
        assert run_module("postgres_backup", options).ok().changed
    finally:
        bulky.execute(f"DROP ROLE {role}")


def test_the_coordinator_loses_its_session(
    bulky: Database, s3: S3Server, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    """Everything that the backup rests on is gone with the server's sessions: it fails, and says why."""
    with FaultProxy(s3.endpoint_url) as proxy:
        proxy.rules.append(Fault(action="s3:UploadPart", rate=2 * MIB))
        child = run_module.start("postgres_backup", arguments(bulky, s3_store, endpoint_url=proxy.endpoint_url))
        until(lambda: proxy.count(action="s3:UploadPart"))
        bulky.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        outcome = read_outcome(child.wait())
    outcome.refused("server_unreachable")
    assert complete(s3_store) == own_objects(s3_store) == []
