# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owners and privileges where roles are missing, and restores by roles that are no superuser."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from harness.modules import ModuleRunner
from harness.restores import Shop, copied, nothing_new
from harness.servers import Database, fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer

SCHEMA = """
CREATE SCHEMA things AUTHORIZATION {owner};
CREATE TABLE things.one (id int PRIMARY KEY, note text);
INSERT INTO things.one SELECT n, 'note' FROM generate_series(1, 10) n;
ALTER TABLE things.one OWNER TO {owner};
CREATE SCHEMA others AUTHORIZATION {stays};
CREATE TABLE others.two (id int);
ALTER TABLE others.two OWNER TO {stays};
GRANT USAGE ON SCHEMA things TO {reader}, {stays};
GRANT SELECT ON things.one TO {reader}, {stays};
GRANT SELECT ON others.two TO {reader};
ALTER TABLE things.one ENABLE ROW LEVEL SECURITY;
ALTER TABLE things.one FORCE ROW LEVEL SECURITY;
CREATE POLICY shared ON things.one AS RESTRICTIVE TO {reader}, {stays} USING (id < 5);
CREATE POLICY readers ON things.one TO {reader} USING (true);
CREATE POLICY everyone ON things.one USING (true);
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA things GRANT SELECT ON TABLES TO {stays};
CREATE FUNCTION things.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION things.f() OWNER TO {owner};
"""
OBJECTS = """
SELECT c.relname, pg_get_userbyid(c.relowner), c.relacl::text FROM pg_class c
WHERE c.relname IN ('one', 'two') ORDER BY 1"""
POLICIES = """
SELECT polname::text, ARRAY(SELECT CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END FROM unnest(polroles) r)
FROM pg_policy ORDER BY 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The roles: two that will be missing, one that stays."""

    owner: str
    reader: str
    stays: str

    def everybody(self) -> list[str]:
        return [self.owner, self.reader, self.stays]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A shop and its roles."""

    shop: Shop
    cast: Cast


def do(server: Database, statement: str, *names: str) -> None:
    """A statement with role names in the places of braces."""
    with server.connect() as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def staged(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A backup that names three roles, of which two do not exist any more."""
    directory = tmp_path_factory.mktemp("roles")
    token = secrets.token_hex(3)
    cast = Cast(owner=f"O wn'er {token}", reader=f"reader_{token}", stays=f"stays_{token}")
    with fresh_database(postgres, "roles") as database:
        maintenance = database.sibling("postgres")
        for role in cast.everybody():
            do(maintenance, "CREATE ROLE {}", role)
        with database.connect() as connection:
            names = {name: sql.Identifier(getattr(cast, name)) for name in ("owner", "reader", "stays")}
            connection.execute(sql.SQL(SCHEMA).format(**names))
        do(maintenance, "ALTER DATABASE {} OWNER TO {}", database.name, cast.owner)
        do(maintenance, "GRANT CREATE ON DATABASE {} TO {}", database.name, cast.reader)
        run = ModuleRunner(directory / "home")
        shop = Shop(database=database, store=fresh_file_store(directory / "store"), run=run)
        shop.backup()
        do(maintenance, "ALTER DATABASE {} OWNER TO CURRENT_USER", database.name)
        for role in cast.everybody()[:2]:
            do(database, "REASSIGN OWNED BY {} TO CURRENT_USER", role)
            do(database, "DROP OWNED BY {}", role)
            do(maintenance, "DROP ROLE {}", role)
        yield Stage(shop=shop, cast=cast)
        do(database, "DROP OWNED BY {} CASCADE", cast.stays)
    do(maintenance, "DROP OWNED BY {}", cast.stays)
    do(maintenance, "DROP ROLE {}", cast.stays)


@pytest.fixture
def stage(staged: Stage, tmp_path: Path, run_module: ModuleRunner) -> Iterator[Stage]:
    """The same with a store, a target and afterwards none of the missing roles."""
    shop = copied(staged.shop, tmp_path / "store", run_module)
    yield replace(staged, shop=shop)
    maintenance = shop.database.sibling("postgres")
    for name in shop.databases():
        do(maintenance, "DROP DATABASE {} WITH (FORCE)", name)
    for role in staged.cast.everybody()[:2]:
        do(maintenance, "DROP ROLE IF EXISTS {}", role)


def objects(shop: Shop) -> dict[str, tuple[str, str]]:
    """Owner and privileges of each table."""
    return {name: (owner, acl) for name, owner, acl in shop.restored.rows(OBJECTS)}


def test_missing_roles_are_refused_with_the_statements_that_make_them(stage: Stage) -> None:
    shop, cast = stage.shop, stage.cast
    for check in (True, False):
        with nothing_new(shop):
            refused = shop.restore(check=check).refused("role_missing")
        assert refused["failure"]["roles"] == sorted([cast.owner, cast.reader])
    maintenance = shop.database.sibling("postgres")
    for statement in refused["failure"]["statements"]:
        maintenance.execute(statement)
    done = shop.restore().ok()
    assert done["restore"]["skipped"] == []
    assert objects(shop)["one"][0] == cast.owner


def test_missing_roles_are_made_without_login(stage: Stage) -> None:
    shop, cast = stage.shop, stage.cast
    with nothing_new(shop):
        planned = shop.restore(check=True, roles="create_nologin").ok()["restore"]
    assert planned["roles_created"] == sorted([cast.owner, cast.reader])
    done = shop.restore(roles="create_nologin").ok()["restore"]
    assert done["roles_created"] == planned["roles_created"]
    assert done["skipped"] == []
    query = "SELECT rolcanlogin, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = ANY(%s)"
    assert shop.restored.rows(query, done["roles_created"]) == [(False, False, False)] * 2
    assert {name: owner for name, (owner, _acl) in objects(shop).items()} == {"one": cast.owner, "two": cast.stays}
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert shop.restored.value(owner) == cast.owner


def test_roles_made_for_a_failed_restore_go_again(stage: Stage) -> None:
    shop = stage.shop

    def another_row(document: dict[str, Any]) -> None:
        next(table for table in document["tables"] if table["name"] == "one")["rows"] += 1

    shop.edit_manifest(another_row)
    with nothing_new(shop):
        shop.restore(roles="create_nologin").refused("restore_mismatch")


def test_skip_leaves_out_exactly_what_names_missing_roles(stage: Stage) -> None:
    shop, cast = stage.shop, stage.cast
    with nothing_new(shop):
        planned = shop.restore(check=True, roles="skip").ok()["restore"]
    done = shop.restore(roles="skip").ok()["restore"]
    assert set(planned["skipped"]) <= set(done["skipped"])
    me = shop.restored.value("SELECT current_user")
    found = objects(shop)
    assert found["one"][0] == me
    assert found["two"][0] == cast.stays
    assert cast.stays in found["one"][1]
    assert cast.reader not in str(found)
    assert shop.restored.rows(POLICIES) == [("everyone", ["public"]), ("shared", [cast.stays])]
    assert shop.restored.value("SELECT count(*) FROM pg_default_acl") == 0
    expected = {
        f"owner {cast.owner} of SCHEMA things",
        f"owner {cast.owner} of TABLE things.one",
        f"owner {cast.owner} of FUNCTION things.f()",
        f"owner {cast.owner} of the database",
        f"privileges of {cast.reader} (SCHEMA things)",
        f"privileges of {cast.reader} (things.TABLE one)",
        f"privileges of {cast.reader} (others.TABLE two)",
        f"privileges of {cast.reader} (the database)",
        f"role {cast.reader} of POLICY things.one shared",
        f"role {cast.reader} of POLICY things.one readers",
        f"default privileges of {cast.owner} (things.DEFAULT PRIVILEGES FOR TABLES)",
    }
    assert expected <= set(done["skipped"])
    assert all(cast.owner in loss or cast.reader in loss for loss in done["skipped"])


def test_one_owner_for_everything(stage: Stage) -> None:
    shop, cast = stage.shop, stage.cast
    shop.restore(owner=cast.stays).refused("role_missing")
    done = shop.restore(owner=cast.stays, roles="skip", privileges="skip").ok()["restore"]
    assert {owner for owner, _acl in objects(shop).values()} == {cast.stays}
    assert {acl for _owner, acl in objects(shop).values()} == {None}
    query = "SELECT nspname FROM pg_namespace WHERE nspowner = %s::regrole AND nspname = 'things'"
    assert shop.restored.rows(query, f'"{cast.stays}"') == [("things",)]
    assert "all privileges, since privileges is skip" in done["skipped"]
    assert f"role {cast.reader} of POLICY things.one readers" in done["skipped"]
    assert not any(loss.startswith("owner") for loss in done["skipped"])


def test_an_owner_that_does_not_exist_is_refused(stage: Stage) -> None:
    with nothing_new(stage.shop):
        refused = stage.shop.restore(owner="nobody at all", roles="skip").refused("role_missing")
    assert refused["failure"]["roles"] == ["nobody at all"]


@pytest.fixture
def admin(stage: Stage) -> Iterator[str]:
    """A role as managed services give it: it creates databases and roles, and is no superuser."""
    name = f"admin_{secrets.token_hex(3)}"
    maintenance = stage.shop.database.sibling("postgres")
    do(maintenance, "CREATE ROLE {} LOGIN PASSWORD 'secret word' CREATEDB CREATEROLE", name)
    do(maintenance, "GRANT {} TO {}", stage.cast.stays, name)
    yield name
    for each in stage.shop.databases():
        do(maintenance, "DROP DATABASE {} WITH (FORCE)", each)
    for role in stage.cast.everybody()[:2]:
        do(maintenance, "DROP ROLE IF EXISTS {}", role)
    do(maintenance, "DROP ROLE {}", name)


@pytest.mark.parametrize("roles", ["skip", "create_nologin"])
def test_a_role_without_superuser_can_restore(stage: Stage, admin: str, roles: str) -> None:
    shop, cast = stage.shop, stage.cast
    done = shop.restore(roles=roles, login_user=admin, login_password="secret word").ok()["restore"]
    # Row security is forced on this table: its rows were counted nevertheless, and it still is.
    assert done["rows_compared"] == 10
    forced = "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'things.one'::regclass"
    assert shop.restored.value(forced) is True
    assert objects(shop)["one"][0] == (admin if roles == "skip" else cast.owner)
    assert objects(shop)["two"][0] == cast.stays


@pytest.mark.parametrize("lacks", ["REVOKE {} FROM {}", "GRANT {} TO {} WITH INHERIT FALSE"])
def test_owners_that_one_may_not_act_for_are_refused(stage: Stage, admin: str, lacks: str) -> None:
    """Nor those whose rights one does not have at once: nothing could be loaded into what is theirs, nor dropped."""
    shop, cast = stage.shop, stage.cast
    maintenance = shop.database.sibling("postgres")
    do(maintenance, lacks, cast.stays, admin)
    with nothing_new(shop):
        refused = shop.restore(roles="skip", login_user=admin, login_password="secret word")
        refused.refused("privilege_missing")
    assert refused["failure"]["roles"] == [cast.stays]
    advised = refused.message.partition("WITH INHERIT TRUE")[0].rpartition("GRANT ")[2]
    do(maintenance, f"GRANT {advised} WITH INHERIT TRUE, SET TRUE")
    assert shop.restore(roles="skip", login_user=admin, login_password="secret word", check=True).ok().changed


def test_what_one_may_not_drop_keeps_nobody_from_restoring(stage: Stage, admin: str) -> None:
    """A run with more rights was killed here before."""
    shop, passed = stage.shop, list[str]()
    while not shop.marks():
        passed.append(shop.run.dies("postgres_restore", shop.restore_args(roles="skip", run_id="one"), passed))
    left = shop.marks()[-1]["attempts"][-1]["database"]
    maintenance = shop.database.sibling("postgres")
    do(maintenance, "CREATE DATABASE {}", left)
    done = shop.restore(roles="skip", login_user=admin, login_password="secret word", run_id="one").ok()
    assert "What run one has left behind stays" in done.everything
    assert shop.databases().keys() == {shop.target, left}


def test_rights_that_are_lacking_are_named(stage: Stage, admin: str) -> None:
    shop = stage.shop
    maintenance = shop.database.sibling("postgres")
    login = {"owner": admin, "roles": "skip", "login_user": admin, "login_password": "secret word"}
    shop.database.execute("CREATE TABLE public.tied (one int REFERENCES things.one)")
    shop.backup("b2")
    shop.database.execute("DROP TABLE public.tied")
    assert "things.one force" in shop.restore(**login, check=True).refused("privilege_missing").message
    do(maintenance, "ALTER ROLE {} BYPASSRLS", admin)
    assert shop.restore(**login, check=True).ok().changed
    do(maintenance, "ALTER ROLE {} NOCREATEDB NOCREATEROLE", admin)
    with nothing_new(shop):
        refused = shop.restore(backup="b1", roles="create_nologin", login_user=admin, login_password="secret word")
        refused.refused("privilege_missing")
    assert "CREATEDB and CREATEROLE" in refused.message
