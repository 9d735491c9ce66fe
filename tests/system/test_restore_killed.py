# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores that end in the middle: the same command again succeeds, and no leftover stays.

The database of these tests takes its time while it is restored, and only then: an index calls a function that sleeps
in databases with a temporary name.
"""

from __future__ import annotations

import re
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from psycopg import sql

from harness.children import Child, until
from harness.modules import ModuleRunner, read_outcome
from harness.restores import ROOT, Shop, copied, nothing_new
from harness.servers import fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer

ROWS = 20
SCHEMA = f"""
CREATE FUNCTION slow(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF current_database() LIKE '%restoring%' THEN PERFORM pg_catalog.pg_sleep(0.15); END IF;
  RETURN $1;
END $$;
CREATE TABLE t (a integer);
INSERT INTO t SELECT generate_series(1, {ROWS});
CREATE INDEX slowly ON t (slow(a));
"""
TEMPORARY = re.compile(r"__restoring_[0-9a-f]{12}$")


@pytest.fixture(scope="module")
def backed_up(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A database that is slow to restore, with one backup."""
    directory = tmp_path_factory.mktemp("killed")
    with fresh_database(postgres, "killed") as database:
        database.execute(SCHEMA)
        run = ModuleRunner(directory / "home")
        shop = Shop(database=database, store=fresh_file_store(directory / "store"), run=run)
        shop.backup()
        yield shop


@pytest.fixture
def shop(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner) -> Shop:
    """The same with a store and a target of this test's own."""
    return copied(backed_up, tmp_path / "store", run_module)


def started(shop: Shop) -> list[str]:
    """Restores that the store knows of."""
    return shop.store.keys(f"{ROOT}/restores/")


def created(shop: Shop) -> list[str]:
    """Temporary databases on the server."""
    return [name for name in shop.databases() if TEMPORARY.search(name)]


def indexing(shop: Shop) -> list[Any]:
    """Sessions that build the slow index."""
    query = "SELECT pid FROM pg_stat_activity WHERE starts_with(datname, %s) AND query LIKE 'CREATE INDEX%%'"
    return shop.database.sibling("postgres").rows(query, shop.target)


def begun(shop: Shop, **changes: Any) -> Child:
    """A restore that has begun."""
    return shop.run.start("postgres_restore", shop.restore_args(**changes))


@pytest.mark.parametrize("stage", [started, created, indexing])
def test_killed_at_each_stage_the_same_command_succeeds(shop: Shop, stage: Callable[[Shop], Any]) -> None:
    child = begun(shop)
    until(lambda: stage(shop))
    child.kill()
    child.wait()
    assert shop.target not in shop.databases()
    left = created(shop)
    planned = shop.restore(check=True).ok()
    assert planned.changed
    dropped = [step for step in planned["plan"]["steps"] if step.startswith("Drop")]
    assert [name for name in left if not any(name in step for step in dropped)] == []
    assert shop.restore().ok().changed
    assert set(shop.databases()) == {shop.target}
    assert shop.restored.value("SELECT count(*) FROM t") == ROWS
    assert not shop.restore().ok().changed


def test_neither_children_nor_definitions_outlive_a_killed_module(shop: Shop, tmp_path: Path) -> None:
    """Not even where ansible was killed too; what then lies on the disk goes when the next module begins."""
    child = begun(shop, jobs=2)
    until(lambda: indexing(shop))
    children = psutil.Process(child.pid).children(recursive=True)
    assert any("pg_restore" in process.name() for process in children)
    child.kill()
    child.wait()
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert (len(gone), alive) == (len(children), [])
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert "definitions.dump" in {path.name for path in files}
    shop.info()
    assert [path for path in files if path.exists()] == []


def test_what_another_restore_left_is_dropped_too(shop: Shop) -> None:
    child = begun(shop)
    until(lambda: created(shop))
    child.kill()
    child.wait()
    shop.backup("b2")
    # latest is another backup now, so this is another restore, with a mark of its own.
    done = shop.restore().ok()
    assert done["restore"]["backup"]["id"] == "b2"
    assert set(shop.databases()) == {shop.target}


def test_databases_that_only_look_like_leftovers_stay(shop: Shop) -> None:
    child = begun(shop)
    until(lambda: created(shop))
    child.kill()
    child.wait()
    maintenance = shop.database.sibling("postgres")
    stranger = f"{shop.target}__restoring_{secrets.token_hex(6)}"
    with maintenance.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(stranger)))
    shop.restore().ok()
    assert set(shop.databases()) == {shop.target, stranger}


def test_a_leftover_goes_with_the_sessions_that_hang_in_it(shop: Shop) -> None:
    child = begun(shop)
    (left,) = until(lambda: created(shop))
    child.kill()
    child.wait()
    with shop.database.sibling(left).connect():
        shop.restore().ok()
    assert set(shop.databases()) == {shop.target}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop_it_drops_what_it_made(shop: Shop, number: signal.Signals) -> None:
    with nothing_new(shop):
        child = begun(shop)
        until(lambda: indexing(shop))
        child.kill(number)
        read_outcome(child.wait()).refused("run_aborted")
    assert shop.restore().ok().changed


def test_a_killed_pg_restore_is_a_failure(shop: Shop) -> None:
    with nothing_new(shop):
        child = begun(shop)
        until(lambda: indexing(shop))
        for process in psutil.Process(child.pid).children(recursive=True):
            if "pg_restore" in process.name():
                process.kill()
        refused = read_outcome(child.wait()).refused("restore_failed")
    assert "it was killed (signal 9)" in refused.message
    assert shop.restore().ok().changed


def test_a_session_that_the_server_ends_is_a_failure(shop: Shop) -> None:
    with nothing_new(shop):
        child = begun(shop)
        ((pid,),) = until(lambda: indexing(shop))
        shop.database.sibling("postgres").execute("SELECT pg_terminate_backend(%s)", pid)
        refused = read_outcome(child.wait()).refused("restore_failed")
    assert "INDEX slowly" in refused.message or "terminating connection" in refused.message
    assert shop.restore().ok().changed


def test_a_server_that_crashes_gets_its_room_back(shop: Shop) -> None:
    """As one does whose disk is full: what it needs then is that the new database goes, as soon as it is back."""
    with nothing_new(shop):
        child = begun(shop)
        ((pid,),) = until(lambda: indexing(shop))
        psutil.Process(pid).kill()
        refused = read_outcome(child.wait()).refused("restore_failed")
    assert "its log says" in refused.message
    assert "left behind" not in refused.message


def test_the_time_limit_is_kept(shop: Shop) -> None:
    with nothing_new(shop):
        shop.restore(timeout="2s").refused("timed_out")
    assert shop.restore(timeout="1h").ok().changed


def test_a_rename_that_was_not_recorded_is_recorded(shop: Shop) -> None:
    first = shop.restore().ok()["restore"]
    *_before, last = started(shop)
    shop.store.remove(last)
    assert shop.restore(check=True).ok()["plan"]["steps"][0].startswith("Record")
    again = shop.restore().ok()
    assert again.changed
    assert again["restore"]["oid"] == first["oid"]
    assert not shop.restore().ok().changed


def test_a_database_that_was_only_to_be_renamed_is_renamed(shop: Shop) -> None:
    first = shop.restore().ok()["restore"]
    *_before, last = started(shop)
    shop.store.remove(last)
    marked = shop.marks()[-1]
    name = marked["attempts"][-1]["database"]
    shop.database.sibling("postgres").execute(f'ALTER DATABASE "{shop.target}" RENAME TO "{name}"')
    planned = shop.restore(check=True, diff=True).ok()
    assert planned["plan"]["steps"][0].startswith(f"Rename database {name}")
    assert planned["diff"]["before"]["database"] == name
    again = shop.restore().ok()
    assert again.changed
    assert again["restore"]["oid"] == first["oid"]
    assert again["restore"]["rows_compared"] == ROWS
    assert set(shop.databases()) == {shop.target}
    assert not shop.restore().ok().changed


def test_a_loaded_database_is_not_renamed_onto_another(shop: Shop) -> None:
    shop.restore().ok()
    *_before, last = started(shop)
    shop.store.remove(last)
    name = shop.marks()[-1]["attempts"][-1]["database"]
    maintenance = shop.database.sibling("postgres")
    maintenance.execute(f'ALTER DATABASE "{shop.target}" RENAME TO "{name}"')
    maintenance.execute(f'CREATE DATABASE "{shop.target}"')
    with nothing_new(shop):
        shop.restore().refused("target_occupied")


def test_a_mark_that_cannot_be_read_is_an_error(shop: Shop) -> None:
    shop.restore().ok()
    *_before, last = started(shop)
    shop.store.write(last, b'{"schema": 1, "phase": 7}')
    with nothing_new(shop):
        assert shop.restore().refused("object_corrupt")
    shop.store.write(last, b'{"schema": 2}')
    shop.restore().refused("document_too_new")
