# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles of ``docs/permissions.md``, made by exactly its SQL, can do their work and cannot write to the database.

The only change to the SQL is the database's name. Managed services are played by what makes the roles there: an
administrator who is no superuser, with the attributes that the service gives it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from harness.modules import ModuleRunner
from harness.paths import CHECKOUT
from harness.servers import Database, FileStoreAt, fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer

DOCUMENT = (CHECKOUT / "docs" / "permissions.md").read_text(encoding="utf-8")
#: Names in the document, which are made here for real.
ROLES = ("runbooks_backup", "runbooks_restore", "app_owner", "app_admin")
#: What an administrator is: of one's own server, of RDS (rds_superuser may grant pg_read_all_data), of Supabase.
ADMINISTRATORS = {
    "PostgreSQL of your own": "CREATE ROLE app_admin LOGIN SUPERUSER",
    "Amazon RDS and Aurora": "CREATE ROLE app_admin LOGIN CREATEDB CREATEROLE;"
    " GRANT pg_read_all_data TO app_admin WITH ADMIN OPTION; GRANT app_owner TO app_admin WITH ADMIN OPTION",
    "Supabase": "CREATE ROLE app_admin LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS",
}
SCHEMA = """
CREATE TABLE account (id serial PRIMARY KEY, tenant text);
INSERT INTO account (tenant) SELECT CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END FROM generate_series(1, 10) n;
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON account USING (tenant = current_user);
"""


def statements(platform: str) -> list[str]:
    """The SQL blocks below a heading, in their order."""
    section = DOCUMENT.split(f"### {platform}\n", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^```sql\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A database whose owner is a role of its own, with the roles of one platform."""

    platform: str
    database: Database
    password: str

    def options(self, store: FileStoreAt, role: str) -> dict[str, Any]:
        """How a module connects as one of the roles."""
        login = {**self.database.args, "login_user": role, "login_password": self.password}
        return {"environment": "test", "name": "main", "lock_lease": "5s", **store.args, **login}


@pytest.fixture(scope="module", params=ADMINISTRATORS)
def stage(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[Stage]:
    """The roles, made by who would make them there."""
    password = secrets.token_hex(8)
    with fresh_database(postgres, "permitted") as database:
        maintenance = database.sibling("postgres")
        maintenance.execute("CREATE ROLE app_owner NOLOGIN")
        try:
            maintenance.execute(ADMINISTRATORS[request.param])
            maintenance.execute(f"ALTER ROLE app_admin PASSWORD '{password}'")
            owner = "app_admin" if request.param == "Supabase" else "app_owner"
            maintenance.execute(f"ALTER DATABASE {database.name} OWNER TO {owner}")
            if request.param != "Supabase":
                maintenance.execute(f"REVOKE CONNECT ON DATABASE {database.name} FROM PUBLIC")
                maintenance.execute(f"GRANT CONNECT ON DATABASE {database.name} TO app_admin WITH GRANT OPTION")
            database.execute(f"ALTER SCHEMA public OWNER TO {owner}; SET ROLE {owner}; {SCHEMA}")
            with psycopg.connect(database.url, user="app_admin", password=password, autocommit=True) as admin:
                for block in statements(request.param):
                    admin.execute(re.sub(r"\bapp\b", database.name, block).encode())
            for role in ROLES[:2]:
                maintenance.execute(
                    f"DO $$BEGIN ALTER ROLE {role} PASSWORD '{password}';"
                    " EXCEPTION WHEN undefined_object THEN NULL; END$$"
                )
            yield Stage(platform=request.param, database=database, password=password)
        finally:
            _forget(database)


def _forget(database: Database) -> None:
    maintenance = database.sibling("postgres")
    for (name,) in maintenance.rows(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND datname <> %s",
        database.name,
        database.name,
    ):
        maintenance.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    maintenance.execute(f"ALTER DATABASE {database.name} OWNER TO CURRENT_USER")
    for place in (database, maintenance):
        for role in ROLES:
            if place.rows("SELECT FROM pg_roles WHERE rolname = %s", role):
                place.execute(f"DROP OWNED BY {role} CASCADE")
    # Who granted is dropped last.
    for role in ROLES:
        maintenance.execute(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture(scope="module")
def store(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> FileStoreAt:
    """The backup that the documented role takes."""
    made = fresh_file_store(tmp_path_factory.mktemp("permitted") / "store")
    part = {"schemas": ["public"]} if stage.platform == "Supabase" else {}
    run = ModuleRunner(tmp_path_factory.mktemp("home"))
    taken = run("postgres_backup", {**stage.options(made, "runbooks_backup"), "backup_id": "one", **part}).ok()
    assert taken["backup"]["rows"] == 10, "row level security hides nothing"
    return made


#: At RDS it acts for the owner, which the document says.
@pytest.mark.parametrize("stage", [name for name in ADMINISTRATORS if name != "Amazon RDS and Aurora"], indirect=True)
def test_the_role_of_backups_reads_and_does_not_write(stage: Stage, store: FileStoreAt) -> None:
    assert store.keys()
    database = stage.database
    with psycopg.connect(database.url, user="runbooks_backup", password=stage.password, autocommit=True) as session:
        for statement in ("DELETE FROM account", "INSERT INTO account VALUES (11, 'x')", "DROP TABLE account"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement.encode())


#: At Supabase the document gives no second role: postgres itself restores.
@pytest.mark.parametrize("stage", [name for name in ADMINISTRATORS if name != "Supabase"], indirect=True)
def test_the_role_of_restores_restores(stage: Stage, store: FileStoreAt, tmp_path: Path) -> None:
    options = stage.options(store, "runbooks_restore")
    del options["database"]
    target = f"{stage.database.name}_restored"
    run = ModuleRunner(tmp_path / "home")
    given = {**options, "backup": "one", "target_database": target, "disk_free": 10**12}
    assert run("postgres_restore", given).ok()["restore"]["rows_compared"] == 10
    owner = stage.database.sibling(target).value("SELECT tableowner FROM pg_tables WHERE tablename = 'account'")
    assert owner == "app_owner"
