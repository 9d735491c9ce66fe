# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several pg_dump on one snapshot, several streams into one restore: whole together, or nothing."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from harness.children import until
from harness.modules import ModuleRunner, read_outcome
from harness.restores import ROOT, Shop, copied, nothing_new
from harness.servers import Database, FileStoreAt, fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer

ROWS = 20_000
#: One table for each of two streams, one that refers to both, and what no single table owns.
SCRIPT = f"""
CREATE TABLE one AS SELECT n AS id, repeat(md5(n::text), 5) AS body FROM generate_series(1, {ROWS}) n;
CREATE TABLE two AS SELECT * FROM one;
ALTER TABLE one ADD PRIMARY KEY (id);
ALTER TABLE two ADD PRIMARY KEY (id);
CREATE TABLE small (id serial PRIMARY KEY, one int REFERENCES one, two int REFERENCES two);
INSERT INTO small (one, two) VALUES (1, 2), (2, 1);
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM one JOIN two USING (id);
CREATE SEQUENCE free; SELECT setval('free', 42);
SELECT lo_from_bytea(0, 'content');
"""
PARALLEL = {"jobs": 2, "jobs_min_table_bytes": 1 << 20}


@pytest.fixture(scope="module")
def backed_up(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A database with two equal tables, and a backup of it by two jobs."""
    directory = tmp_path_factory.mktemp("parallel")
    with fresh_database(postgres, "parallel") as database:
        database.execute(SCRIPT)
        run = ModuleRunner(directory / "home")
        shop = Shop(database=database, store=fresh_file_store(directory / "store"), run=run)
        shop.backup(**PARALLEL)
        yield shop


@pytest.fixture
def shop(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner) -> Shop:
    """The same, with a store to damage."""
    return copied(backed_up, tmp_path / "store", run_module)


def archives(shop: Shop, backup_id: str = "b1") -> list[tuple[str, str | None]]:
    return [(each["role"], each["table"]) for each in shop.manifest(backup_id)["archives"]]


def contents(database: Database) -> tuple[Any, ...]:
    (row,) = database.rows(
        "SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two), (SELECT count(*) FROM small),"
        " (SELECT n FROM sums), (SELECT last_value FROM free), (SELECT last_value FROM small_id_seq),"
        " (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_constraint)"
    )
    return tuple(row)


def test_big_tables_have_archives_of_their_own(shop: Shop) -> None:
    assert archives(shop) == [("sections", None), ("rest", None), ("table", "public.one"), ("table", "public.two")]
    # How many worked on it is no part of what it is; and where nothing is big, it is one archive as ever.
    assert not shop.backup(jobs=1).changed
    assert shop.backup("none-big", jobs=4).changed
    assert archives(shop, "none-big") == [("whole", None)]


def test_check_mode_knows_everything_but_the_archives(shop: Shop) -> None:
    args = {**shop.store.args, **shop.database.args, "environment": "production", "name": "main", **PARALLEL}
    predicted = shop.run("postgres_backup", {**args, "backup_id": "b2"}, check=True, diff=True).ok()
    made = shop.run("postgres_backup", {**args, "backup_id": "b2"}, diff=True).ok()
    assert set(predicted["backup"]) == set(made["backup"])
    assert predicted["backup"]["archives"] is None
    assert predicted["diff"] == made["diff"]
    assert "up to 2 archives at once" in "\n".join(predicted["plan"]["steps"])


@pytest.mark.parametrize("jobs", [1, 3])
def test_it_comes_back_with_any_number_of_jobs(shop: Shop, jobs: int) -> None:
    shop.restore(jobs=jobs).ok()
    assert contents(shop.restored) == contents(shop.database)


@pytest.mark.parametrize("file", ["sections", "rest", "table-001", "table-002"])
def test_damage_of_any_archive_is_named(shop: Shop, file: str) -> None:
    (key,) = [each["key"] for each in shop.manifest()["archives"] if each["key"].endswith(f"{file}.dump")]
    body = shop.store.read(key)
    place = len(body) * 6 // 10
    shop.store.write(key, body[:place] + bytes((body[place] ^ 0x10,)) + body[place + 1 :])
    with nothing_new(shop):
        assert key in shop.restore().refused("object_corrupt").message
    shop.store.remove(key)
    with nothing_new(shop):
        assert key in shop.restore().refused("object_missing").message


def test_the_commands_in_the_manifest_restore_it_with_stock_tools(
    make_database: Callable[[], Database], run_module: ModuleRunner, file_store: FileStoreAt, tmp_path: Path
) -> None:
    database = make_database()
    database.execute(SCRIPT)
    shop = Shop(database=database, store=file_store, run=run_module)
    shop.backup(**PARALLEL)
    lost = contents(database)
    database.sibling("postgres").execute(f"DROP DATABASE {database.name}")
    server = database.server
    environment = {
        "PATH": os.pathsep.join([str(server.bindir), os.defpath]),
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
    }
    for command in shop.manifest()["restore_by_hand"]["commands"]:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert contents(database) == lost


def pg_dump_that(database: Database, directory: Path, case: str) -> dict[str, Any]:
    """Options with a pg_dump that does something by its arguments before it is the real one."""
    real, tool = database.server.bindir / "pg_dump", directory / "bin" / "pg_dump"
    tool.parent.mkdir()
    script = f'#!/bin/sh\ncase "$*" in --version) exec {real} --version;; {case} esac\nexec {real} "$@"\n'
    tool.write_text(script, encoding="utf-8")
    tool.chmod(0o755)
    return {**PARALLEL, "compression": "gzip", "bindir": [str(tool.parent), str(database.server.bindir)]}


def of(shop: Shop, backup_id: str) -> list[str]:
    """Every object of a backup, and its index key."""
    return shop.store.keys(f"{ROOT}/backups/{backup_id}/") + [
        key for key in shop.store.keys(f"{ROOT}/index/") if f".{backup_id}." in key
    ]


def backup_args(shop: Shop, **options: Any) -> dict[str, Any]:
    common = {"environment": "production", "name": "main", "backup_id": "b2", "lock_lease": "5s"}
    return {**common, **shop.store.args, **shop.database.args, **options}


def test_a_stream_that_fails_ends_the_others(shop: Shop, tmp_path: Path) -> None:
    """The others would go on for a minute; nothing of any of them stays."""
    case = '*public*one*--dbname*) echo "pg_dump: error: no" >&2; exit 1;; *snapshot*) exec sleep 60;;'
    options = pg_dump_that(shop.database, tmp_path, case)
    began = time.monotonic()
    refused = shop.run("postgres_backup", backup_args(shop, **options)).refused("dump_failed")
    assert time.monotonic() - began < 40
    assert "error: no" in refused.message
    assert of(shop, "b2") == []


def test_kill_9_leaves_nothing_that_counts(shop: Shop, tmp_path: Path) -> None:
    """While one archive is stored and the others are on their way."""
    waiting = tmp_path / "waiting"
    options = pg_dump_that(shop.database, tmp_path, f"*section=data*--dbname*) touch {waiting}; exec sleep 60;;")
    child = shop.run.start("postgres_backup", backup_args(shop, **options))
    until(waiting.exists)
    child.kill()
    child.wait()
    assert not [key for key in of(shop, "b2") if key.endswith("manifest.json") or "/index/" in key]
    assert shop.restore(check=True).ok()["restore"]["backup"]["id"] == "b1"
    deadline = time.monotonic() + 60
    while (again := shop.run("postgres_backup", backup_args(shop, **PARALLEL))).failed:
        assert again.code == "lock_held", again.message
        assert time.monotonic() < deadline
    assert again.changed


def test_what_races_with_the_dump_takes_nothing_from_it(
    make_database: Callable[[], Database],
    run_module: ModuleRunner,
    file_store: FileStoreAt,
    tmp_path: Path,
) -> None:
    """It queues after the coordinator's lock and before pg_dump's, gets its turn, and the dump begins anew after it."""
    database = make_database()
    database.execute(SCRIPT)
    shop = Shop(database=database, store=file_store, run=run_module)
    waiting = tmp_path / "waiting"
    slow = f"*table*) test -e {waiting} || {{ touch {waiting}; sleep 2; }};;"
    options = {**pg_dump_that(database, tmp_path, slow), "lock_wait_timeout": "1s"}
    child = shop.run.start("postgres_backup", backup_args(shop, **options))
    until(waiting.exists)
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("TRUNCATE small, one; ALTER TABLE two ALTER body TYPE varchar")
    read_outcome(child.wait()).ok()
    restored = shop.restore(backup="b2").ok()["restore"]
    assert restored["rows_compared"] == sum(table["rows"] or 0 for table in shop.manifest("b2")["tables"])
    # One after the other, whichever: all of a table before the statement, or all of it after.
    assert shop.restored.value("SELECT count(*) FROM one") in (0, ROWS)
    assert shop.restored.value("SELECT count(*) FROM two") == ROWS
