# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What postgres_backup refuses, on real servers, before it writes anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.modules import ModuleRunner, Outcome
from harness.paths import COLLECTIONS
from harness.pooler import Pooler
from harness.servers import Database, FileStoreAt
from sandbox import PostgresServer

Backup = Callable[..., Outcome]


@pytest.fixture
def backup(run_module: ModuleRunner, database: Database, file_store: FileStoreAt) -> Backup:
    """Run the module for the test's own database and store."""

    def run(*, check: bool = False, env: dict[str, str] | None = None, **options: Any) -> Outcome:
        args = {
            "environment": "test",
            "name": "main",
            "backup_id": "one",
            **file_store.args,
            **database.args,
            **options,
        }
        return run_module("postgres_backup", {k: v for k, v in args.items() if v is not None}, check=check, env=env)

    return run


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    name = f"{database.name}_reader"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'reader-password'")
    yield name
    database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


#: Options that take the connection apart, so that a test can describe another one.
NOWHERE = dict.fromkeys(("login_host", "login_port", "login_user", "login_password", "database"))


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("mode", "size", "fair"),
    [("transaction", 4, False), ("transaction", 4, True), ("transaction", 1, False), ("session", 1, False)],
)
def test_a_pooler_that_gives_no_sessions(
    mode: Any, size: int, fair: bool, check: bool, database: Database, backup: Backup, file_store: FileStoreAt
) -> None:
    with Pooler(database.url, mode=mode, size=size, fair=fair) as pooler:
        outcome = backup(login_port=pooler.port, check=check).refused("pooler_refused")
    assert "direct address" in outcome.message
    assert outcome["backup"]["endpoint"] == f"127.0.0.1:{pooler.port}/{database.name}"
    assert file_store.keys() == []


def test_a_pooler_under_load_is_recognised(database: Database, backup: Backup) -> None:
    """Other clients that take and return backends all the time do not hide what it is."""
    stopped = threading.Event()

    def work(port: int) -> None:
        with psycopg.connect(database.url, port=port, autocommit=True, prepare_threshold=None) as connection:
            while not stopped.is_set():
                connection.execute("SELECT pg_sleep(0.001)")

    with Pooler(database.url, size=6) as pooler:
        threads = [threading.Thread(target=work, args=(pooler.port,)) for _number in range(3)]
        for thread in threads:
            thread.start()
        try:
            backup(login_port=pooler.port).refused("pooler_refused")
        finally:
            stopped.set()
            for thread in threads:
                thread.join()


def test_a_session_pooler_is_accepted(database: Database, backup: Backup) -> None:
    with Pooler(database.url, mode="session", size=8) as pooler:
        assert backup(login_port=pooler.port, check=True).ok().changed


def test_tables_that_the_role_may_not_read(
    role: str, database: Database, backup: Backup, file_store: FileStoreAt
) -> None:
    database.execute("CREATE TABLE open (id serial); CREATE TABLE shut (id serial)")
    database.execute(f"GRANT SELECT ON open, open_id_seq TO {role}")
    as_role = {"login_user": role, "login_password": "reader-password"}
    for check in (True, False):
        outcome = backup(**as_role, check=check).refused("privilege_missing")
        assert "public.shut" in outcome.message
        assert "public.open" not in outcome.message
        assert f'GRANT pg_read_all_data TO "{role}"' in outcome.message
    assert file_store.keys() == []
    assert backup(**as_role, exclude_tables=["shut"]).ok().changed
    database.execute(f"GRANT pg_read_all_data TO {role}")
    assert backup(**as_role, backup_id="all").ok().changed


def test_a_sequence_that_the_role_may_not_read(role: str, database: Database, backup: Backup) -> None:
    """pg_dump of some minor versions writes a wrong value instead of failing."""
    database.execute(f"CREATE TABLE open (id serial); GRANT SELECT ON open TO {role}")
    outcome = backup(login_user=role, login_password="reader-password").refused("privilege_missing")
    assert "public.open_id_seq" in outcome.message


def test_large_objects_that_the_role_may_not_read(role: str, database: Database, backup: Backup) -> None:
    database.execute(f"GRANT pg_read_all_data TO {role}; SELECT lo_from_bytea(0, 'x')")
    outcome = backup(login_user=role, login_password="reader-password").refused("privilege_missing")
    assert "1 of the large objects" in outcome.message


def test_row_security(role: str, database: Database, backup: Backup, file_store: FileStoreAt) -> None:
    database.execute("CREATE TABLE tenants (id int); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY")
    database.execute(f"GRANT pg_read_all_data TO {role}")
    as_role = {"login_user": role, "login_password": "reader-password"}
    outcome = backup(**as_role).refused("row_security")
    assert "public.tenants" in outcome.message
    assert "BYPASSRLS" in outcome.message
    assert file_store.keys() == []
    # The owner is not bound by policies, unless they are forced.
    database.execute(f"ALTER TABLE tenants OWNER TO {role}")
    assert backup(**as_role).ok().changed
    database.execute("ALTER TABLE tenants FORCE ROW LEVEL SECURITY")
    backup(**as_role, backup_id="forced").refused("row_security")
    assert backup(**as_role, backup_id="without", exclude_table_data=["tenants"]).ok().changed
    database.execute(f"ALTER ROLE {role} BYPASSRLS")
    assert backup(**as_role, backup_id="forced").ok().changed


def test_a_name_is_bound_to_its_database(
    make_database: Callable[[], Database], run_module: ModuleRunner, file_store: FileStoreAt
) -> None:
    first, second = make_database(), make_database()

    def backup(database: Database, **options: Any) -> Outcome:
        args = {"environment": "test", "name": "main", "backup_id": "one", **file_store.args, **database.args}
        return run_module("postgres_backup", {**args, **options})

    backup(first).ok()
    for options in ({}, {"backup_id": "two"}, {"max_age": "1h"}):
        refused = backup(second, **options).refused("store_binding_mismatch")
        assert first.name in refused.message
        assert second.name in refused.message
    backup(second, adopt=True).refused("store_binding_mismatch")
    assert backup(second, adopt=True, backup_id="two").ok().changed
    assert backup(second, backup_id="three", max_age="1h").ok()["backup"]["id"] == "two"
    backup(first, backup_id="four").refused("store_binding_mismatch")


def test_the_servers_own_major_version(
    database15: Database, postgres: PostgresServer, run_module: ModuleRunner, file_store: FileStoreAt
) -> None:
    args = {"environment": "test", "name": "main", "backup_id": "one", **file_store.args, **database15.args}
    path = {"PATH": str(postgres.bindir)}
    old_only = {"bindir": [str(postgres.bindir)]}
    missing = run_module("postgres_backup", {**args, **old_only}, env=path)
    if missing.failed:  # unless this machine has a PostgreSQL 15 in one of the usual places
        missing.refused("tool_missing")
        assert "postgresql-client-15" in missing.message
    both = {"bindir": [str(postgres.bindir), *database15.args["bindir"]]}
    made = run_module("postgres_backup", {**args, **both, "backup_id": "two"}).ok()["backup"]
    assert made["compression"] == "gzip:1"
    assert made["database"]["server_version"].startswith("15.")
    run_module("postgres_backup", {**args, **both, "backup_id": "three", "compression": "zstd"}).refused(
        "invalid_parameter"
    )


def test_connections_that_lead_nowhere(database: Database, backup: Backup, file_store: FileStoreAt) -> None:
    server = database.server
    backup(login_password="wrong-password").refused("login_denied")
    backup(database="no_such_database").refused("database_missing")
    backup(login_port=1).refused("server_unreachable")
    backup(login_host="host.invalid").refused("server_unreachable")
    tls = backup(ssl_mode="verify-full", ca_cert="/nowhere/ca.pem").refused("server_unreachable")
    assert "TLS" in tls.message
    backup(**NOWHERE).refused("connection_missing")
    backup(**NOWHERE, database_url="").refused("connection_empty")
    backup(database_url=database.url).refused("connection_ambiguous")
    assert file_store.keys() == []
    url = f"{database.url}?pgbouncer=true&schema=public&connect_timeout=5"
    outcome = backup(**NOWHERE, env={"DATABASE_URL": "postgres://wrong@nowhere/x", "DIRECT_URL": url}).ok()
    assert outcome["backup"]["connection_source"] == "DIRECT_URL"
    assert "pgbouncer, schema" in outcome.everything
    assert server.password not in outcome.everything
    variables = {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
    }
    from_variables = backup(**NOWHERE, env={**variables, "PGDATABASE": database.name}).ok()
    assert from_variables["backup"]["connection_source"] == "PG* variables"
    # A described host does not take its database, port or user from the environment.
    described = {**NOWHERE, "login_host": "127.0.0.1", "database": database.name}
    backup(**described, env={**variables, "PGHOST": "nowhere.invalid"}).refused("server_unreachable")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"backup_id": "with.dot"}, "invalid_parameter"),
        ({"name": "../x"}, "invalid_parameter"),
        ({"max_age": "soon"}, "invalid_parameter"),
        ({"timeout": "-1"}, "invalid_parameter"),
        ({"compression_level": 99}, "invalid_parameter"),
        ({"kms_key_id": "alias/acme"}, "invalid_parameter"),
        ({"tables": ["a.b.c"]}, "invalid_parameter"),
        ({"backup_id": None, "backup_schedule": "sometimes"}, "invalid_parameter"),
        ({"store": "ftp://somewhere"}, "invalid_parameter"),
        ({"store": "file:///nowhere/at/all"}, "store_missing"),
    ],
)
def test_bad_input(options: dict[str, Any], expected: str, backup: Backup) -> None:
    for check in (True, False):
        backup(check=check, **options).refused(expected)


def test_an_interpreter_without_psycopg(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('not installed')\n", encoding="utf-8")
    outcome = backup(env={"PYTHONPATH": f"{tmp_path}:{COLLECTIONS}"}).refused("library_missing")
    assert "psycopg[binary]" in outcome.message
