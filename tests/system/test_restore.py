# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgres_restore: a backup becomes an equal database, once."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.modules import ModuleRunner, read_outcome
from harness.restores import NAME, ROOT, Shop, copied, nothing_new
from harness.servers import Database, StoreAt, fresh_database, fresh_file_store
from roundtrip.compare import compare
from roundtrip.nasty_database import conninfo
from sandbox import pagila

if TYPE_CHECKING:
    from sandbox import PostgresServer


@pytest.fixture(scope="module")
def pagila_database(postgres: PostgresServer) -> Iterator[Database]:
    """Pagila on PostgreSQL 18."""
    with fresh_database(postgres, "pagila") as database:
        pagila.load(postgres, database.name)
        yield database


@pytest.fixture(scope="module")
def backed_up(pagila_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Pagila with one backup in a file store."""
    directory = tmp_path_factory.mktemp("backed_up")
    run = ModuleRunner(directory / "home")
    shop = Shop(database=pagila_database, store=fresh_file_store(directory / "store"), run=run)
    shop.backup()
    return shop


@pytest.fixture
def shop(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner) -> Shop:
    """The same, with a store and a target of this test's own."""
    return copied(backed_up, tmp_path / "store", run_module)


def test_a_backup_becomes_an_equal_database_once(
    pagila_database: Database, store: StoreAt, run_module: ModuleRunner
) -> None:
    shop = Shop(database=pagila_database, store=store, run=run_module)
    taken = shop.backup()["backup"]
    before = store.keys()

    with nothing_new(shop):
        predicted = shop.restore(check=True, diff=True).ok()
    assert predicted.changed
    assert store.keys() == before
    assert predicted["diff"]["before"] == {"database": None}
    assert predicted["diff"]["after"]["database"] == shop.target
    assert [step.split()[0] for step in predicted["plan"]["steps"]] == ["Create", "Load", "Compare", "Rename"]

    done = shop.restore().ok()
    restore = done["restore"]
    assert done.changed
    assert restore["database"] == restore["target_database"] == shop.target
    assert restore["backup"]["id"] == "b1"
    assert restore["oid"] == shop.databases()[shop.target]
    assert restore["bytes"] == taken["bytes"]
    assert restore["rows_compared"] == pagila.ROWS
    assert restore["tables_compared"] >= pagila.TABLES_WITH_ROWS
    assert restore["skipped"] == []
    assert 0 <= restore["rpo_seconds"] < 600
    durations = restore["durations"]
    assert durations["total"] >= durations["load"] + durations["compare"] > 0
    assert compare(conninfo(pagila_database), conninfo(shop.restored)) == []
    assert restore.keys() == predicted["restore"].keys()
    assert set(shop.databases()) == {shop.target}

    shop.restored.execute("DELETE FROM payment")
    keys = store.keys()
    for check in (False, True):
        again = shop.restore(check=check, diff=True).ok()
        assert not again.changed
        assert again["restore"] == restore
        assert again["plan"] == {"steps": [], "irreversible": []}
    assert store.keys() == keys
    assert shop.restored.value("SELECT count(*) FROM payment") == 0


def test_statistics_are_there(shop: Shop) -> None:
    shop.restore().ok()
    query = (
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples < 0"
    )
    assert shop.restored.value(query) == 0


@pytest.mark.parametrize("jobs", [1, 2])
def test_rows_are_loaded_frozen(shop: Shop, jobs: int) -> None:
    shop.restore(jobs=jobs).ok()
    query = "SELECT relname, relallvisible FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    visible = dict(shop.restored.rows(f"{query} AND reltuples > 0"))
    assert len(visible) >= pagila.TABLES_WITH_ROWS
    # A table is extended by several pages at once: those at its end are empty, and not visible to all.
    pages = "SELECT count(DISTINCT (ctid::text::point)[0])"
    assert visible == {table: shop.restored.value(f"{pages} FROM public.{table}") for table in visible}


def test_a_database_that_was_dropped_is_restored_again(shop: Shop) -> None:
    first = shop.restore().ok()["restore"]
    shop.database.sibling("postgres").execute(f'DROP DATABASE "{shop.target}"')
    planned = shop.restore(check=True).ok()
    assert "no longer on this server" in planned["plan"]["steps"][0]
    second = shop.restore().ok()
    assert second.changed
    assert second["restore"]["id"] == first["id"]
    assert second["restore"]["oid"] != first["oid"]
    assert not shop.restore().ok().changed


def test_a_database_that_was_renamed_is_still_restored(shop: Shop) -> None:
    shop.restore().ok()
    shop.database.sibling("postgres").execute(f'ALTER DATABASE "{shop.target}" RENAME TO "{shop.target}_live"')
    again = shop.restore().ok()
    assert not again.changed
    assert again["restore"]["database"] == f"{shop.target}_live"


def test_latest_is_resolved_once_for_an_explicit_restore_id(shop: Shop) -> None:
    shop.restore(restore_id="incident-7").ok()
    shop.backup("b2")
    again = shop.restore(restore_id="incident-7").ok()
    assert not again.changed
    assert again["restore"]["backup"]["id"] == "b1"


def test_latest_is_resolved_anew_without_a_restore_id(shop: Shop) -> None:
    shop.restore().ok()
    shop.backup("b2")
    # The newer backup is another restore, whose target is taken by the older one.
    shop.restore().refused("target_occupied")
    other = shop.with_target(secrets.token_hex(3)).restore().ok()
    assert other["restore"]["backup"]["id"] == "b2"


@pytest.mark.parametrize("change", [{"target_database": "other"}, {"backup": "b9"}, {"source_environment": "staging"}])
def test_a_restore_id_means_one_restore(shop: Shop, change: dict[str, str]) -> None:
    shop.restore(restore_id="incident-7").ok()
    with nothing_new(shop):
        refused = shop.restore(restore_id="incident-7", **change).refused("invalid_parameter")
    assert "backup b1 of production" in refused.message


def test_at_is_the_state_of_that_moment(shop: Shop) -> None:
    first = datetime.fromisoformat(shop.manifest()["snapshot_at"])
    shop.backup("b2")
    second = datetime.fromisoformat(shop.manifest("b2")["snapshot_at"])
    between = second - timedelta(microseconds=1)
    assert shop.restore(at=between.isoformat(), check=True).ok()["restore"]["backup"]["id"] == "b1"
    assert shop.restore(at=second.isoformat(), check=True).ok()["restore"]["backup"]["id"] == "b2"
    shop.restore(at=(first - timedelta(seconds=1)).isoformat()).refused("backup_not_found")
    shop.restore(at="2026-11-20T12:00:00").refused("invalid_parameter")


def test_production_is_restored_into_staging(shop: Shop) -> None:
    staging = {"environment": "staging", "source_environment": "production"}
    done = shop.restore(**staging).ok()
    assert done["restore"]["backup"]["environment"] == "production"
    assert shop.store.keys(f"staging/databases/{NAME}/restores/")
    assert not shop.restore(**staging).ok().changed
    # The same backup into the same name, for production itself, is another restore.
    shop.restore().refused("target_occupied")


def test_locks_and_marks_may_be_in_another_store(shop: Shop, tmp_path: Path) -> None:
    state = fresh_file_store(tmp_path / "state")
    before = shop.store.keys()
    shop.restore(state_store=state.url).ok()
    assert shop.store.keys() == before
    assert state.keys(f"{ROOT}/restores/")
    assert not shop.restore(state_store=state.url).ok().changed


@pytest.mark.parametrize(
    "suffix",
    [
        " \"quoted\" 'ü' 100%\\",
        "=x y",
        ";DROP DATABASE postgres;--",
        "-" + "long" * 20,
        "-" + "ü" * 30,
    ],
)
def test_names_may_hold_anything(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner, suffix: str) -> None:
    shop = copied(backed_up, tmp_path / "store", run_module)
    room = 63 - len(shop.target.encode())
    shop = shop.with_target(shop.suffix + suffix.encode()[:room].decode(errors="ignore"))
    done = shop.restore().ok()
    assert set(shop.databases()) == {shop.target}
    assert done["restore"]["rows_compared"] == pagila.ROWS
    assert not shop.restore().ok().changed


def test_properties_of_the_database_are_carried_over(shop: Shop, make_database: type[Database]) -> None:
    database = make_database()  # type: ignore[call-arg]
    name = database.name
    database.execute(f"CREATE ROLE {name}_owner; CREATE ROLE {name}_reader")
    try:
        database.execute("CREATE TABLE t (a int)")
        for statement in (
            f"COMMENT ON DATABASE {name} IS 'it''s \\ a comment'",
            f'ALTER DATABASE {name} SET search_path TO "$user", "o,dd", public',
            f"ALTER DATABASE {name} SET work_mem TO '7MB'",
            f"ALTER DATABASE {name} SET app.note TO 'x, \\ y''s'",
            f"ALTER DATABASE {name} CONNECTION LIMIT 17",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {name} TO {name}_reader WITH GRANT OPTION",
            f"ALTER DATABASE {name} OWNER TO {name}_owner",
        ):
            database.execute(statement)
        own = Shop(database=database, store=fresh_file_store(Path(shop.store.url[7:]).parent / "own"), run=shop.run)
        own.backup()
        own.restore().ok()
        query = """
            SELECT pg_get_userbyid(datdba), datacl::text, datconnlimit, datcollate, pg_encoding_to_char(encoding),
                   shobj_description(d.oid, 'pg_database'), s.setconfig, datallowconn, datistemplate
            FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0
            WHERE datname = %s"""
        (before,), (after,) = (database.rows(query, each) for each in (name, own.target))
        assert after == before
        # Nothing inside the database tells that it was restored.
        assert own.restored.rows("SELECT nspname FROM pg_namespace") == database.rows(
            "SELECT nspname FROM pg_namespace"
        )
    finally:
        maintenance = database.sibling("postgres")
        for (each,) in maintenance.rows("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", name):
            maintenance.execute(f'ALTER DATABASE "{each}" OWNER TO CURRENT_USER')
            maintenance.execute(f'REVOKE ALL ON DATABASE "{each}" FROM {name}_reader')
        maintenance.execute(f"DROP ROLE {name}_owner; DROP ROLE {name}_reader")


def test_of_two_at_once_one_restores(shop: Shop) -> None:
    args = shop.restore_args()
    runs = [shop.run.start("postgres_restore", args) for _number in range(2)]
    outcomes = [read_outcome(run.wait(60)) for run in runs]
    # The second waits for a lease as it first saw it; where the first was at work longer than that, it says so.
    done = [outcome for outcome in outcomes if outcome.code != "lock_held"]
    assert [outcome.ok().changed for outcome in done].count(True) == 1
    assert {outcome["restore"]["oid"] for outcome in done} == set(shop.databases().values())
    assert len(shop.databases()) == 1
