# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Swaps: the restored database becomes the live one, the old one stays aside, and every failure leaves it serving."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
from psycopg import sql

from harness.children import Child, until
from harness.modules import ModuleRunner, Outcome
from harness.restores import MIGRATED, NAME, ROOT, Shop, copied, nothing_new
from harness.servers import Database, fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer

SWAP: dict[str, Any] = {"strategy": "swap", "restore_id": "incident-7"}
BACK: dict[str, Any] = {**SWAP, "state": "reverted", "backup": None}
NEW, OLD = 3, 4


@pytest.fixture(scope="module")
def backed_up(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A small database with one backup; its live one has a row more, made after the backup."""
    directory = tmp_path_factory.mktemp("swap")
    with fresh_database(postgres, "swap") as database:
        database.execute("CREATE TABLE t (a integer); INSERT INTO t SELECT generate_series(1, 3)")
        run = ModuleRunner(directory / "home")
        shop = Shop(database=database, store=fresh_file_store(directory / "store"), run=run)
        shop.backup()
        yield shop


@pytest.fixture
def shop(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner) -> Shop:
    """The same with a store and a live database of this test's own, named as restores of it are."""
    shop = copied(backed_up, tmp_path / "store", run_module)
    maintenance = shop.database.sibling("postgres")
    with maintenance.connect() as connection:
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(copy.format(sql.Identifier(shop.target), sql.Identifier(shop.database.name)))
    shop.restored.execute("INSERT INTO t VALUES (4)")
    # The backups are of that one, as far as the store knows.
    (bound,) = (key for key in shop.store.keys(ROOT) if "/binding/" in key)
    document = json.loads(shop.store.read(bound).replace(shop.database.name.encode(), shop.target.encode()))
    shop.store.write(bound, json.dumps(document).encode())
    return shop


def swap(shop: Shop, **changes: Any) -> Outcome:
    return shop.restore(**{**SWAP, **changes})


def live_rows(shop: Shop) -> int:
    """Rows in whatever has the live name: the live database always answers."""
    return int(shop.restored.value("SELECT count(*) FROM t"))


def rows_in(shop: Shop, name: str) -> int:
    return int(shop.database.sibling(name).value("SELECT count(*) FROM t"))


def phase(shop: Shop) -> str | None:
    """How far the store says that it has come."""
    marks = shop.marks()
    return str(marks[-1]["phase"]) if marks else None


@contextmanager
def name_locked(shop: Shop) -> Iterator[None]:
    """Nobody can rename the live database meanwhile, and everybody can use it."""
    with shop.database.sibling("postgres").connect() as connection, connection.transaction():
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS 'held'").format(sql.Identifier(shop.target)))
        yield


def test_another_database_than_the_one_that_is_backed_up(shop: Shop) -> None:
    """A mistyped name must not cost somebody else's database its name."""
    with nothing_new(shop):
        refused = swap(shop, target_database=shop.database.name).refused("store_binding_mismatch")
    assert shop.target in refused.message


def test_only_a_whole_and_good_backup_goes_live(shop: Shop) -> None:
    shop.edit_manifest(lambda document: document.update(state="suspect", suspect_reason="3 rows instead of 900"))
    with nothing_new(shop):
        refused = swap(shop, backup="b1").refused("swap_refused")
    assert "3 rows instead of 900" in refused.message
    shop.edit_manifest(lambda document: document.update(state="complete"))
    shop.edit_manifest(lambda document: document["selection"].update(exclude_table_data=["public.t"]))
    with nothing_new(shop):
        assert "a part" in swap(shop, backup="b1").refused("swap_refused").message


def test_swapped_in_undone_and_each_only_once(shop: Shop) -> None:
    user = shop.restored.connect()
    user.execute("INSERT INTO t VALUES (5)")
    shop.restored.execute(MIGRATED)
    old_oid = shop.databases()[shop.target]
    with nothing_new(shop):
        predicted = swap(shop, check=True).ok()
    assert "End 1 session in" in "".join(predicted["plan"]["steps"])
    assert "What was written to database" in predicted["plan"]["irreversible"][0]

    done = swap(shop).ok()["restore"]
    assert done.keys() == predicted["restore"].keys()
    assert (done["database"], done["strategy"], done["sessions_ended"] >= 1) == (shop.target, "swap", True)
    assert live_rows(shop) == NEW
    with pytest.raises(psycopg.OperationalError):
        user.execute("SELECT 1")
    previous = done["previous_database"]
    assert shop.databases() == {shop.target: done["oid"], previous: old_oid}
    assert rows_in(shop, previous) == OLD + 1
    assert shop.taken() == []

    with nothing_new(shop):
        again = swap(shop).ok()
        assert not again.changed
        assert again["restore"] == done

    back = shop.restore(**BACK).ok()
    assert back.changed
    assert live_rows(shop) == OLD + 1
    assert shop.taken() == ["0001_drop"], "from what serves again it was taken away"
    assert shop.databases()[shop.target] == old_oid
    assert shop.databases()[back["restore"]["previous_database"]] == done["oid"]
    with nothing_new(shop):
        assert not shop.restore(**BACK).ok().changed
        assert "another restore_id" in swap(shop).refused("invalid_parameter").message


def test_what_belongs_to_the_live_database_is_carried_over(shop: Shop) -> None:
    name = shop.target
    owner, reader = f"{name}_owner", f"{name}_reader"
    maintenance = shop.database.sibling("postgres")
    maintenance.execute(
        f'CREATE ROLE "{owner}"; CREATE ROLE "{reader}"; ALTER DATABASE "{name}" OWNER TO "{owner}"; '
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC; GRANT CONNECT ON DATABASE "{name}" TO "{reader}"; '
        f'ALTER DATABASE "{name}" SET work_mem = \'7MB\'; ALTER DATABASE "{name}" SET search_path = app, public; '
        f'ALTER ROLE "{reader}" IN DATABASE "{name}" SET statement_timeout = \'9s\'; '
        f"COMMENT ON DATABASE \"{name}\" IS 'the shop''s'; ALTER DATABASE \"{name}\" CONNECTION LIMIT 40"
    )
    with maintenance.connect() as connection:
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute(f"CREATE TABLESPACE \"{name}\" LOCATION ''".encode())
    maintenance.execute(f'ALTER DATABASE "{name}" SET TABLESPACE "{name}"')
    query = """
        SELECT pg_get_userbyid(datdba), datacl::text, datconnlimit, shobj_description(oid, 'pg_database'),
               (SELECT spcname FROM pg_tablespace t WHERE t.oid = dattablespace),
               (SELECT array_agg(setrole::regrole::text || setconfig::text ORDER BY 1) FROM pg_db_role_setting
                WHERE setdatabase = d.oid)
        FROM pg_database d WHERE datname = %s"""
    before = maintenance.rows(query, name)
    try:
        swap(shop).ok()
        assert maintenance.rows(query, name) == before
    finally:
        for each in shop.databases():
            maintenance.execute(f'DROP DATABASE "{each}" WITH (FORCE)')
        maintenance.execute(f'DROP ROLE "{reader}"; DROP ROLE "{owner}"')
        maintenance.execute(f'DROP TABLESPACE "{name}"')


def test_what_cannot_be_carried_over_throws_nobody_out(shop: Shop) -> None:
    """A setting that only a superuser may give: the role that swaps owns the live database and is none."""
    name, role = shop.target, f"{shop.target}_role"
    maintenance = shop.database.sibling("postgres")
    maintenance.execute(
        f'CREATE ROLE "{role}" LOGIN CREATEDB PASSWORD \'pw\'; ALTER DATABASE "{name}" OWNER TO "{role}"; '
        f'ALTER DATABASE "{name}" SET log_min_messages = warning; GRANT pg_signal_backend TO "{role}"'
    )
    login = {"login_user": role, "login_password": "pw", "owner": role, "roles": "skip", "privileges": "skip"}
    try:
        maintenance.execute(f"CREATE ROLE \"{role}_user\" LOGIN PASSWORD 'pw'")
        with psycopg.connect(shop.restored.url, user=f"{role}_user", password="pw", autocommit=True) as user:
            refused = swap(shop, **login).refused("privilege_missing")
            assert "log_min_messages" in refused.message
            assert refused["restore"]["swap"] == "not begun"
            assert user.execute("SELECT 1").fetchone() == (1,)
        assert live_rows(shop) == OLD
    finally:
        for each in shop.databases():
            maintenance.execute(f'DROP DATABASE "{each}" WITH (FORCE)')
        maintenance.execute(f'DROP ROLE "{role}"; DROP ROLE "{role}_user"')


@pytest.mark.parametrize("stage", ["started", "loaded", "swapping"])
def test_killed_at_each_stage_the_same_command_succeeds(shop: Shop, stage: str) -> None:
    with name_locked(shop):
        child: Child = shop.run.start("postgres_restore", shop.restore_args(**SWAP))
        until(lambda: phase(shop) in (stage, "swapping"))
        child.kill()
        child.wait()
        assert live_rows(shop) == OLD
    done = swap(shop).ok()
    assert done.changed
    assert live_rows(shop) == NEW
    assert set(shop.databases()) == {shop.target, done["restore"]["previous_database"]}
    assert not swap(shop).ok().changed


def test_an_exchange_that_was_not_recorded_is_recorded(shop: Shop) -> None:
    first = swap(shop).ok()["restore"]
    *_before, last = shop.store.keys(f"{ROOT}/restores/")
    shop.store.remove(last)
    again = swap(shop).ok()
    assert again.changed
    assert again["plan"]["steps"][0].startswith("Record")
    assert again["restore"]["previous_database"] == first["previous_database"]
    assert shop.restore(**BACK).ok().changed
    *_before, last = shop.store.keys(f"{ROOT}/restores/")
    shop.store.remove(last)
    assert shop.restore(**BACK).ok()["plan"]["steps"][0].startswith("Record")
    assert live_rows(shop) == OLD
    assert not shop.restore(**BACK).ok().changed


@contextmanager
def in_the_way(shop: Shop, what: str) -> Iterator[dict[str, Any]]:
    """Something that forbids a swap; yields the options under which it does."""
    live, maintenance, name = shop.restored, shop.database.sibling("postgres"), shop.target
    role = f"{name}_role"
    options: dict[str, Any] = {}
    undo: list[tuple[Database, str]] = []
    if what == "prepared_transactions":
        live.execute(f"BEGIN; INSERT INTO t VALUES (9); PREPARE TRANSACTION '{name}'")
        undo = [(live, f"ROLLBACK PREPARED '{name}'")]
    if what == "subscriptions":
        live.execute(
            f"CREATE SUBSCRIPTION \"{name}\" CONNECTION 'host=127.0.0.1 port=9' PUBLICATION p "
            "WITH (connect = false, slot_name = NONE)"
        )
        maintenance.execute(f"UPDATE pg_subscription SET subenabled = true WHERE subname = '{name}'")
        undo = [
            (maintenance, f"UPDATE pg_subscription SET subenabled = false WHERE subname = '{name}'"),
            (live, f'DROP SUBSCRIPTION "{name}"'),
        ]
    if what == "logical_slots":
        live.execute(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
        undo = [(live, f"SELECT pg_drop_replication_slot('{name}')")]
    if what in ("rights", "sessions", "platform"):
        maintenance.execute(f"CREATE ROLE \"{role}\" LOGIN CREATEDB PASSWORD 'pw'")
        undo = [(maintenance, f'DROP ROLE "{role}"')]
        options = {"login_user": role, "login_password": "pw"}
    if what in ("sessions", "platform"):
        maintenance.execute(f'ALTER DATABASE "{name}" OWNER TO "{role}"')
        undo = [(maintenance, f'ALTER DATABASE "{name}" OWNER TO "{shop.database.server.user}"'), *undo]
    if what == "platform":
        maintenance.execute("CREATE ROLE supabase_admin")
        undo.append((maintenance, "DROP ROLE supabase_admin"))
    try:
        yield options
    finally:
        for database, statement in undo:
            database.execute(statement)


@pytest.mark.parametrize(
    "why", ["logical_slots", "prepared_transactions", "subscriptions", "rights", "sessions", "platform"]
)
def test_refused_by_name_before_anything_is_created(shop: Shop, why: str) -> None:
    with in_the_way(shop, why) as options, shop.restored.connect(), nothing_new(shop):
        refused = swap(shop, **options).refused("swap_refused")
        assert refused["failure"]["refused"] == why
    assert live_rows(shop) == OLD
    assert phase(shop) is None


def test_a_protected_environment_wants_its_name(shop: Shop) -> None:
    guarded: dict[str, Any] = {"protected": True, "disk_free": 2**40}
    with nothing_new(shop):
        assert f"production/{NAME}" in json.dumps(swap(shop, check=True, **guarded).ok()["warnings"])
        swap(shop, **guarded).refused("confirmation_missing")
        swap(shop, confirm=f"staging/{NAME}", **guarded).refused("confirmation_missing")
    confirmed = {**guarded, "confirm": f"production/{NAME}"}
    assert swap(shop, **confirmed).ok().changed
    assert not swap(shop, **guarded).ok().changed
    shop.restore(**BACK, **guarded).refused("confirmation_missing")
    assert live_rows(shop) == NEW
    assert shop.restore(**BACK, **confirmed).ok().changed


def test_what_cannot_be_meant_is_refused(shop: Shop) -> None:
    with nothing_new(shop):
        assert "restore_id" in swap(shop, restore_id=None).refused("invalid_parameter").message
        swap(shop, target_database=f"{shop.target}_x", adopt=True).refused("database_missing")
        shop.restore(**BACK).refused("invalid_parameter")
        shop.restore(**{**BACK, "strategy": "new_database"}).refused("invalid_parameter")


def test_when_the_old_database_is_gone_undo_says_so(shop: Shop) -> None:
    done = swap(shop).ok()["restore"]
    shop.database.sibling("postgres").execute(f'DROP DATABASE "{done["previous_database"]}"')
    assert not swap(shop).ok().changed
    shop.restore(**BACK).refused("previous_missing")
    assert live_rows(shop) == NEW


def test_another_run_is_locked_out_and_a_later_swap_must_be_undone_first(shop: Shop) -> None:
    with name_locked(shop):
        child = shop.run.start("postgres_restore", shop.restore_args(**SWAP, lock_lease="60s"))
        until(lambda: phase(shop) == "swapping")
        swap(shop, restore_id="incident-8").refused("lock_held")
    child.wait()
    assert live_rows(shop) == NEW
    swap(shop, restore_id="incident-8").ok()
    refused = shop.restore(**BACK).refused("swap_refused")
    assert refused["failure"]["refused"] == "other_live"
    # The first swap is done once and for all: its command brings nothing back.
    assert not swap(shop).ok().changed


def test_a_session_that_does_not_end_keeps_the_live_database_as_it_is(shop: Shop) -> None:
    with shop.restored.connect() as user:
        stuck = psutil.Process(user.info.backend_pid)
        stuck.suspend()
        try:
            refused = swap(shop).refused("sessions_remain")
        finally:
            stuck.resume()
    assert refused["restore"]["swap"] == "ending sessions"
    assert live_rows(shop) == OLD
    # What was restored waits, and the same command goes on with it.
    assert swap(shop, check=True).ok()["plan"]["steps"][0].startswith("Go on with database")
    assert swap(shop).ok().changed
    assert live_rows(shop) == NEW


def test_the_database_is_by_default_the_one_that_the_connection_names(shop: Shop) -> None:
    named = replace(shop, database=shop.database)
    predicted = swap(named, check=True, target_database=None, database=shop.target).ok()
    assert predicted["restore"]["database"] == shop.target


def retain(shop: Shop, *, check: bool = False, **changes: Any) -> Outcome:
    """Retention, with the way to the server that restores have."""
    args = shop.restore_args(maintenance_database="postgres")
    options = {key: args[key] for key in args.keys() - {"target_database", "backup", "bindir"}}
    return shop.run("postgres_backup_retention", {**options, **changes}, check=check)


def steady(outcome: Outcome) -> str:
    """What retention says, but for the size of databases: the server's own upkeep changes it from run to run."""
    said = json.dumps([outcome["retention"], outcome["plan"]])
    return re.sub(r'"bytes": \d+|\(\d+\.\d MiB\)', "size", said)


def test_retention_drops_what_was_put_aside_when_it_was_kept_for_long_enough(shop: Shop) -> None:
    kept = swap(shop).ok()["restore"]["previous_database"]
    again = retain(shop).ok()
    assert not again.changed
    assert again["retention"]["previous_databases"][0]["reason"] == "keep_previous"
    # The next swap is one that keeps what it puts aside for no time at all.
    due = swap(shop, restore_id="incident-8", keep_previous="0s").ok()["restore"]["previous_database"]
    nobody = dict.fromkeys(("login_host", "login_port", "login_user", "login_password"))
    blind = retain(shop, connection_fallback=False, **nobody).ok()
    assert not blind.changed
    assert blind["retention"]["previous_databases"] is None
    assert due in str(blind["warnings"])

    with shop.database.sibling(due).connect():
        busy = retain(shop).ok()
        assert not busy.changed
        assert f"Database {due}" in str(busy["warnings"])
    with nothing_new(shop):
        planned = retain(shop, check=True).ok()
    assert planned.changed
    assert due in str(planned["plan"]["steps"])
    assert due in str(planned["plan"]["irreversible"])
    done = retain(shop).ok()
    assert steady(done) == steady(planned)
    assert set(shop.databases()) == {shop.target, kept}
    assert live_rows(shop) == NEW
    assert not retain(shop).ok().changed
    # What has the name by now, but not the oid, is somebody else's.
    shop.database.sibling("postgres").execute(f'CREATE DATABASE "{due}"')
    assert not retain(shop).ok().changed
    shop.restore(**{**BACK, "restore_id": "incident-8"}).refused("previous_missing")


def test_what_was_put_aside_stays_while_nothing_has_replaced_it(shop: Shop) -> None:
    aside = swap(shop, keep_previous="0s").ok()["restore"]["previous_database"]
    shop.database.sibling("postgres").execute(f'DROP DATABASE "{shop.target}" WITH (FORCE)')
    for left in ({aside}, {aside, shop.target}):
        found = retain(shop).ok()
        assert not found.changed
        assert found["retention"]["previous_databases"][0]["reason"] == "not_replaced"
        assert set(shop.databases()) == left
        # An empty one in its place, such as a person makes in a hurry, replaces nothing either.
        if shop.target not in left:
            shop.database.sibling("postgres").execute(f'CREATE DATABASE "{shop.target}"')
