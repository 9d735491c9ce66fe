# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups that cannot bring everything back say so, in a warning before and in the manifest for later."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from harness.modules import ModuleRunner
from harness.restores import Shop
from harness.servers import Database, fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer

CONTENT = """
CREATE SCHEMA lib; CREATE SCHEMA app; CREATE SCHEMA "Odd.S";
CREATE EXTENSION citext SCHEMA lib;
CREATE TYPE lib.mood AS ENUM ('good', 'bad');
CREATE TYPE "Odd.S".size AS ENUM ('s', 'l');
CREATE FUNCTION lib.price() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE COLLATION lib.plain (locale = 'C');
CREATE TABLE lib.parent (id int PRIMARY KEY);
CREATE TABLE lib.year (day date) PARTITION BY RANGE (day);
CREATE TABLE app.y2026 PARTITION OF lib.year FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE app.item (id serial PRIMARY KEY, price int DEFAULT lib.price(), moods lib.mood[], email lib.citext,
                       parent int REFERENCES lib.parent, name text COLLATE lib.plain);
CREATE TABLE app.note (item int REFERENCES app.item, of_item app.item);
CREATE TABLE app.child () INHERITS (lib.parent);
CREATE VIEW app.parents AS SELECT * FROM lib.parent;
CREATE TABLE "Odd.S"."T x" (size "Odd.S".size);
"""


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A database whose schemas use each other."""
    directory = tmp_path_factory.mktemp("lacks")
    with fresh_database(postgres, "lacks") as database:
        database.execute(CONTENT)
        yield Shop(database=database, store=fresh_file_store(directory / "store"), run=ModuleRunner(directory / "home"))


@pytest.mark.parametrize(
    ("selected", "lacks"),
    [
        ({"tables": ["app.note"]}, ["schema app", "table app.item"]),
        ({"tables": ["app.y2026"]}, ["schema app", "table lib.year"]),
        ({"schemas": ["Odd.S"]}, []),
        ({"schemas": ["lib", "app"]}, ["extension citext"]),
        ({"exclude_tables": ["lib.parent"]}, ["table lib.parent"]),
        ({"exclude_table_data": ["lib.parent"]}, []),
    ],
    ids=str,
)
def test_what_a_part_uses_from_outside(selected: dict[str, list[str]], lacks: list[str], shop: Shop) -> None:
    given = {**shop.store.args, **shop.database.args, "environment": "production", "name": "main", "backup_id": "b"}
    predicted = shop.run("postgres_backup", {**given, **selected}, check=True).ok()
    assert predicted["backup"]["lacks"] == lacks
    assert ("from outside of the selection" in str(predicted.get("warnings"))) is bool(lacks)


def test_the_manifest_keeps_it(shop: Shop) -> None:
    made = shop.backup("part", schemas=["app"])
    expected = [
        "collation lib.plain", "extension citext", "function lib.price()", "table lib.parent", "table lib.year",
        "type lib.mood",
    ]  # fmt: skip
    assert shop.manifest("part")["lacks"] == made["backup"]["lacks"] == expected
    assert "and 1 more" in str(made["warnings"])


def test_a_whole_backup_lacks_nothing(shop: Shop) -> None:
    made = shop.backup("whole")
    assert made["backup"]["lacks"] == []
    assert "warnings" not in made.result


def test_user_mappings_that_the_role_may_not_see(shop: Shop) -> None:
    """The role of the backup may read every table, which shows it no password of a foreign server."""
    role = f"reader_{secrets.token_hex(3)}"
    database = shop.database
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret word'; GRANT pg_read_all_data TO {role}")
    try:
        database.execute("CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing")
        database.execute(f"CREATE USER MAPPING FOR {role} SERVER far OPTIONS (password 'mapped word')")
        login = {"login_user": role, "login_password": "secret word"}
        made = shop.backup("mapped", **login)
        assert made["backup"]["lacks"] == [f"options of user mapping for {role} on server far"]
        assert f"user mapping for {role} on server far" in str(made["warnings"])
        assert "mapped word" not in made.everything
        assert shop.backup("seen")["backup"]["lacks"] == []
        database.execute(f"GRANT USAGE ON FOREIGN SERVER far TO {role}")
        assert shop.backup("granted", **login)["backup"]["lacks"] == []
    finally:
        database.execute(f"DROP FOREIGN DATA WRAPPER IF EXISTS nothing CASCADE; DROP OWNED BY {role}; DROP ROLE {role}")


def test_names_that_are_no_utf8(database: Database, tmp_path: Path, run_module: ModuleRunner) -> None:
    maintenance = database.sibling("postgres")
    name = f"{database.name}_ascii"
    maintenance.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    with psycopg.connect(database.sibling(name).url, autocommit=True, client_encoding="latin1") as connection:
        connection.execute('CREATE TABLE "caf\u00e9" (a int)')
    given = {**fresh_file_store(tmp_path / "store").args, **database.args, "database": name, "backup_id": "one"}
    refused = run_module("postgres_backup", {**given, "environment": "test", "name": "main"}).refused("server_failed")
    assert "SQL_ASCII" in refused.message
