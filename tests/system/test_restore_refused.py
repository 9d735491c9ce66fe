# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores that cannot succeed are refused before anything is made, in check mode too."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.restores import NAME, Shop, copied, nothing_new
from harness.servers import Database, fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer


@pytest.fixture(scope="module")
def backed_up(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A small database with one backup."""
    directory = tmp_path_factory.mktemp("refused")
    with fresh_database(postgres, "refused") as database:
        database.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        run = ModuleRunner(directory / "home")
        shop = Shop(database=database, store=fresh_file_store(directory / "store"), run=run)
        shop.backup()
        yield shop


@pytest.fixture
def shop(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner) -> Shop:
    """The same with a store and a target of this test's own."""
    return copied(backed_up, tmp_path / "store", run_module)


@pytest.fixture
def guest(shop: Shop) -> Iterator[dict[str, str]]:
    """A login that may create databases and read nothing of the server's settings."""
    name = f"guest_{secrets.token_hex(3)}"
    maintenance = shop.database.sibling("postgres")
    maintenance.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret word' CREATEDB")
    yield {"login_user": name, "login_password": "secret word", "owner": name, "privileges": "skip"}
    for each in shop.databases():
        maintenance.execute(f'DROP DATABASE "{each}" WITH (FORCE)')
    maintenance.execute(f"DROP ROLE {name}")


def refused(shop: Shop, code: str, **changes: Any) -> Outcome:
    """The same refusal in check mode and outside, with nothing made and nothing written."""
    keys = shop.store.keys()
    with nothing_new(shop):
        predicted = shop.restore(check=True, **changes).refused(code)
        outcome = shop.restore(**changes).refused(code)
    assert predicted.message == outcome.message
    assert shop.store.keys() == keys
    return outcome


def test_an_occupied_target(shop: Shop) -> None:
    outcome = refused(shop, "target_occupied", target_database=shop.database.name)
    assert shop.database.name in outcome.message
    assert shop.database.value("SELECT a FROM t") == 1


def test_a_backup_that_is_not_there(shop: Shop) -> None:
    refused(shop, "backup_not_found", backup="b9")
    refused(shop, "backup_not_found", at="2001-01-01T00:00:00Z")
    refused(shop, "backup_not_found", selection="0123456789ab")
    refused(shop, "backup_not_found", source_environment="staging")


def test_a_part_is_not_the_whole(shop: Shop) -> None:
    shop.backup("part", tables=["public.t"])
    assert shop.restore(check=True).ok()["restore"]["backup"]["id"] == "b1"
    assert shop.restore(check=True, selection="any").ok()["restore"]["backup"]["id"] == "part"
    assert shop.restore(backup="part").ok().changed
    assert shop.restored.value("SELECT a FROM t") == 1


def test_schemas_of_a_part(shop: Shop) -> None:
    """A dump of a schema makes public again; one of tables makes none, and expects it to be there."""
    shop.database.execute('CREATE SCHEMA "App"; CREATE TABLE "App".u AS SELECT 7 AS b')
    shop.backup("schemas", schemas=["public", "App"])
    shop.restore(backup="schemas").ok()
    assert shop.restored.value("SELECT a FROM t") == 1
    shop.backup("tables", tables=["App.u"])
    other = shop.with_target("tables")
    made = other.restore(backup="tables").ok()["restore"]
    assert other.restored.value('SELECT b FROM "App".u') == 7
    assert [loss for loss in made["skipped"] if "schema App" in loss]


@pytest.mark.parametrize(
    "change",
    [
        {"backup": "../b1"},
        {"restore_id": "a.b"},
        {"at": "yesterday"},
        {"selection": "half"},
        {"target_database": "x" * 64},
        {"target_database": ""},
        {"target_database": "postgres"},
        {"owner": ""},
        {"disk_free": -1},
        {"timeout": "soon"},
        {"source_environment": "../staging"},
    ],
    ids=str,
)
def test_values_that_mean_nothing(shop: Shop, change: dict[str, Any]) -> None:
    refused(shop, "invalid_parameter", **change)


def test_options_that_exclude_each_other(shop: Shop) -> None:
    both = shop.restore(backup="b1", at="2026-11-20T00:00:00Z")
    assert both.failed
    assert "mutually exclusive" in both.message
    neither = shop.restore(backup=None)
    assert neither.failed
    assert "any of the following are missing: backup, at, path" in neither.message


def test_a_server_that_is_not_the_one_of_the_name(shop: Shop, postgres15: PostgresServer) -> None:
    other = {"login_port": postgres15.port, "login_password": postgres15.password}
    outcome = refused(shop, "store_binding_mismatch", **other)
    assert "adopt" in outcome.message


def test_a_server_older_than_the_backup(shop: Shop, postgres15: PostgresServer) -> None:
    other = {"login_port": postgres15.port, "login_password": postgres15.password, "bindir": [str(postgres15.bindir)]}
    outcome = refused(shop, "server_too_old", adopt=True, **other)
    assert "18 or later" in outcome.message


def test_a_tool_of_another_major(shop: Shop, postgres15: PostgresServer) -> None:
    outcome = refused(shop, "tool_missing", bindir=[str(postgres15.bindir)])
    assert "postgresql-client-18" in outcome.message


def test_no_space(shop: Shop) -> None:
    outcome = refused(shop, "disk_too_small", disk_free=1000)
    assert outcome["failure"]["bytes_free"] == 1000
    assert outcome["failure"]["bytes_needed"] > 1_000_000


def test_free_space_is_read_where_the_server_is_here(shop: Shop) -> None:
    planned = shop.restore(check=True, protected=True).ok()["restore"]
    assert planned["bytes_free"] > planned["bytes_needed"] > 1_000_000


def test_unknown_space_on_a_protected_server(shop: Shop, guest: dict[str, str]) -> None:
    refused(shop, "disk_free_unknown", protected=True, roles="skip", **guest)
    unprotected = shop.restore(check=True, roles="skip", **guest).ok()["restore"]
    assert unprotected["bytes_free"] is None
    stated = shop.restore(protected=True, disk_free=10**12, roles="skip", **guest).ok()
    assert stated["restore"]["rows_compared"] == 1


def test_a_login_that_is_refused(shop: Shop) -> None:
    outcome = refused(shop, "login_denied", login_password="not the password")
    assert "not the password" not in outcome.everything


def test_a_maintenance_database_that_is_not_there(shop: Shop) -> None:
    refused(shop, "database_missing", maintenance_database="no such database")


def test_a_maintenance_database_of_another_name(shop: Shop) -> None:
    assert shop.restore(maintenance_database="template1").ok().changed


def test_a_whole_url_names_the_server_only(shop: Shop) -> None:
    url = {"database_url": shop.database.url, **dict.fromkeys(("login_host", "login_port", "login_user"))}
    done = shop.restore(**url, login_password=None).ok()
    assert done["restore"]["endpoint"].endswith("/postgres")
    assert shop.database.server.password not in done.everything


def test_an_extension_that_the_server_does_not_offer(
    database15: Database, postgres: PostgresServer, tmp_path: Path, run_module: ModuleRunner
) -> None:
    # PostgreSQL 17 has dropped this extension.
    database15.execute("CREATE EXTENSION adminpack")
    shop = Shop(database=database15, store=fresh_file_store(tmp_path / "store"), run=run_module)
    shop.backup()
    newer = {"login_port": postgres.port, "login_password": postgres.password, "bindir": [str(postgres.bindir)]}
    outcome = refused(shop, "extension_missing", adopt=True, **newer)
    assert outcome["failure"]["extensions"] == ["adminpack"]


def test_an_older_backup_is_restored_to_a_newer_server(
    database15: Database, postgres: PostgresServer, tmp_path: Path, run_module: ModuleRunner
) -> None:
    database15.execute(
        "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t SELECT n, n FROM generate_series(1, 99) n"
    )
    database15.execute("CREATE EXTENSION pg_trgm; CREATE INDEX ON t USING gin (b gin_trgm_ops)")
    old = Shop(database=database15, store=fresh_file_store(tmp_path / "store"), run=run_module)
    assert old.backup()["backup"]["compression"].startswith("gzip")
    newer = {"login_port": postgres.port, "login_password": postgres.password, "bindir": [str(postgres.bindir)]}
    done = old.restore(environment="staging", source_environment="production", **newer).ok()["restore"]
    restored = Database(name=old.target, server=postgres)
    try:
        assert done["rows_compared"] == 99
        assert done["server"]["version"].startswith("18.")
        assert restored.value("SELECT count(*) FROM t WHERE b LIKE '%9%'") == 19
    finally:
        restored.sibling("postgres").execute(f'DROP DATABASE "{old.target}"')


def test_a_replaced_server_is_adopted_once(
    database15: Database, postgres: PostgresServer, tmp_path: Path, run_module: ModuleRunner
) -> None:
    old = Shop(database=database15, store=fresh_file_store(tmp_path / "store"), run=run_module)
    old.backup()
    new = {"login_port": postgres.port, "login_password": postgres.password, "bindir": [str(postgres.bindir)]}
    refused(old, "store_binding_mismatch", **new)
    planned = old.restore(check=True, adopt=True, **new).ok()
    assert planned["plan"]["steps"][0].startswith("Bind the name to this server")
    refused(old, "store_binding_mismatch", **new)
    try:
        assert old.restore(adopt=True, **new).ok().changed
        assert not old.restore(**new).ok().changed
        # From now on the name stands for the new server.
        old.restore().refused("store_binding_mismatch")
    finally:
        Database(name="postgres", server=postgres).execute(f'DROP DATABASE IF EXISTS "{old.target}"')


def test_a_server_without_icu(shop: Shop) -> None:
    def icu(document: dict[str, Any]) -> None:
        document["database"] |= {"locale_provider": "icu", "locale": "de-AT"}

    shop.edit_manifest(icu)
    assert "de-AT" in refused(shop, "locale_missing").message


def test_a_locale_that_the_server_has_not(shop: Shop) -> None:
    def foreign(document: dict[str, Any]) -> None:
        document["database"] |= {"collate": "xx_YY.UTF-8", "ctype": "xx_YY.UTF-8"}

    shop.edit_manifest(foreign)
    planned = shop.restore(check=True).ok()
    assert "uses locale xx_YY.UTF-8" in planned.everything
    with nothing_new(shop):
        outcome = shop.restore().refused("locale_missing")
    assert "xx_YY.UTF-8" in outcome.message


def test_backups_of_a_name_with_a_common_beginning_are_not_taken(shop: Shop) -> None:
    refused(shop, "backup_not_found", name=NAME[:2])
    refused(shop, "backup_not_found", name=f"{NAME}_staging")


def test_a_role_that_may_only_read(shop: Shop, guest: dict[str, str]) -> None:
    maintenance = shop.database.sibling("postgres")
    maintenance.execute(f"ALTER ROLE {guest['owner']} SET default_transaction_read_only = on")
    outcome = refused(shop, "privilege_missing", **guest)
    assert "default_transaction_read_only" in outcome.message
