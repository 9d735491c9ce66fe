# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases, stores and surroundings whose owners mean no good, or had bad luck."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from harness.modules import ModuleRunner
    from harness.servers import Database, S3StoreAt


@pytest.fixture
def stranger(database: Database) -> Iterator[tuple[str, str]]:
    """A role that may log in and nothing more, and its password."""
    name, password = f"r_{secrets.token_hex(4)}", secrets.token_hex(12)
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    yield name, password
    database.execute(f"ALTER DATABASE {database.name} OWNER TO postgres; REASSIGN OWNED BY {name} TO postgres")
    database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def _as(stranger: tuple[str, str], database: Database, *statements: str) -> None:
    server = database.server
    with psycopg.connect(
        host=server.host,
        port=server.port,
        user=stranger[0],
        password=stranger[1],
        dbname=database.name,
        autocommit=True,
    ) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _args(database: Database, store: S3StoreAt) -> dict[str, Any]:
    return {**database.args, **store.args, "environment": "test", "name": "main"}


def _backup(run_module: ModuleRunner, database: Database, store: S3StoreAt, **more: Any) -> Any:
    return run_module("postgres_backup", {**_args(database, store), "backup_id": "b1", **more})


def _restore(run_module: ModuleRunner, database: Database, store: S3StoreAt, **more: Any) -> Any:
    target = {"backup": "b1", "target_database": f"{database.name}_r", **more}
    return run_module("postgres_restore", {**_args(database, store), **target})


def test_a_cast_of_a_stranger_does_not_run_with_the_rights_of_the_backup(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner, stranger: tuple[str, str], tmp_path: Path
) -> None:
    database.execute(f"GRANT CREATE ON SCHEMA public TO {stranger[0]}")
    proof = tmp_path / "proof"
    tmp_path.chmod(0o777)
    _as(
        stranger,
        database,
        "CREATE TYPE public.v AS (x int)",
        f"""CREATE FUNCTION public.evil(public.v) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
            EXECUTE 'COPY (SELECT current_user) TO PROGRAM ''cat > {proof}''';
            RETURN 'x'; EXCEPTION WHEN OTHERS THEN RETURN 'denied'; END $$""",
        "CREATE CAST (public.v AS text) WITH FUNCTION public.evil(public.v)",
        "CREATE TABLE public.alembic_version (version_num public.v)",
        "INSERT INTO public.alembic_version VALUES (row(1))",
    )
    _backup(run_module, database, s3_store).ok()
    assert not proof.exists()


def test_an_operator_of_the_owner_does_not_run_with_the_rights_of_the_backup(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner, stranger: tuple[str, str], tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    tmp_path.chmod(0o777)
    name = stranger[0]
    database.execute(f"ALTER DATABASE {database.name} OWNER TO {name}; ALTER SCHEMA public OWNER TO {name}")
    _as(
        stranger,
        database,
        f"""CREATE FUNCTION public.evil(a name, b name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
            EXECUTE 'COPY (SELECT current_user) TO PROGRAM ''cat > {proof}''';
            RETURN a OPERATOR(pg_catalog.=) b;
            EXCEPTION WHEN OTHERS THEN RETURN a OPERATOR(pg_catalog.=) b; END $$""",
        "CREATE OPERATOR public.= (leftarg = name, rightarg = name, function = public.evil)",
        f"ALTER DATABASE {database.name} SET search_path = public, pg_catalog",
    )
    run_module("postgres_backup", {**_args(database, s3_store), "backup_id": "b1"}, check=True).ok()
    _backup(run_module, database, s3_store).ok()
    assert not proof.exists()


def test_a_restore_drops_no_database_but_temporary_ones_whatever_the_store_says(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    _backup(run_module, database, s3_store).ok()
    _restore(run_module, database, s3_store).ok()
    maintenance = database.sibling("postgres")
    live, other = f"{database.name}_live", f"{database.name}__restoring_abcdef"
    for name in (live, other):
        maintenance.execute(f"CREATE DATABASE {name}")
    key = [each for each in s3_store.keys("") if "/restores/" in each][-1]
    mark = json.loads(s3_store.read(key))
    identifier = mark["system_identifier"]
    mark["attempts"] = [{"database": live, "token": "x", "system_identifier": identifier, "run_id": "r"}]
    s3_store.write(key, json.dumps(mark).encode())
    _restore(run_module, database, s3_store, target_database=f"{database.name}_r2").ok()
    assert maintenance.value("SELECT count(*) FROM pg_database WHERE datname = %s", live) == 1


@pytest.mark.parametrize("how", ["gone", "truncated"])
def test_a_backup_without_its_archive_satisfies_nobody(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner, how: str
) -> None:
    database.execute("CREATE TABLE a (x int)")
    _backup(run_module, database, s3_store).ok()
    (archive,) = [each for each in s3_store.keys("") if each.endswith(".dump")]
    if how == "gone":
        s3_store.remove(archive)
    else:
        s3_store.write(archive, s3_store.read(archive)[:-7])
    code = "object_missing" if how == "gone" else "object_corrupt"
    _backup(run_module, database, s3_store).refused(code)
    status = run_module("runbook_status_info", {**s3_store.args, "environment": "test", "name": "main"})["status"]
    assert status["newest_backup"] is None
    assert status["past_rpo"] is None
    young = run_module("postgres_backup", {**_args(database, s3_store), "max_age": "1h"}).ok()
    assert young.changed
    assert young["backup"]["id"] != "b1"


def test_a_backup_from_the_future_is_not_young(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    _backup(run_module, database, s3_store).ok()
    (key,) = [each for each in s3_store.keys("") if each.endswith("manifest.json")]
    manifest = json.loads(s3_store.read(key)) | {"snapshot_at": "2041-01-01T00:00:00Z"}
    s3_store.write(key, json.dumps(manifest).encode())
    (index,) = [each for each in s3_store.keys("") if "/index/" in each]
    s3_store.write(re.sub(r"/index/\w+\.", "/index/20410101T000000000000Z.", index), b"")
    s3_store.remove(index)
    assert run_module("postgres_backup", {**_args(database, s3_store), "max_age": "1h"}).ok().changed


def test_a_login_trigger_does_not_write_into_what_is_compared(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    database.execute(
        "CREATE TABLE log (x timestamptz); CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO public.log VALUES (now()); END $$; CREATE EVENT TRIGGER t ON login EXECUTE FUNCTION f()"
    )
    _backup(run_module, database, s3_store).ok()
    _restore(run_module, database, s3_store).ok()


@pytest.mark.parametrize("style", ["German", "SQL, DMY", "Postgres, MDY"])
def test_any_date_style_will_do(database: Database, s3_store: S3StoreAt, run_module: ModuleRunner, style: str) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET datestyle = {style}")
    _backup(run_module, database, s3_store).ok()
    _restore(run_module, database, s3_store).ok()
    run_module("postgres_backup", {**_args(database, s3_store), "max_age": "1h"}).ok()


def test_the_password_of_an_endpoint_stays_out_of_the_manifest(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    url = str(s3_store.options["endpoint_url"]).replace("://", "://somebody:Canary-5up3r@")
    _backup(run_module, database, s3_store, endpoint_url=url).ok()
    assert not [key for key in s3_store.keys("") if b"Canary-5up3r" in s3_store.read(key)]


@pytest.mark.parametrize("password", ["backup", "restore", "changed"])
def test_a_password_that_is_a_word_takes_no_result_apart(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner, password: str
) -> None:
    role = f"r_{secrets.token_hex(4)}"
    database.execute(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{password}'")
    try:
        login = {"login_user": role, "login_password": password}
        made = _backup(run_module, database, s3_store, **login).ok()
        assert made.changed
        assert made["backup"]["id"]
        restored = _restore(run_module, database, s3_store, **login).ok()
        assert restored["restore"]["backup"]["id"]
    finally:
        database.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("lease", ["abc", 1e18, 1e9, None])
def test_a_lock_with_an_impossible_lease_is_no_riddle(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner, lease: object
) -> None:
    _backup(run_module, database, s3_store).ok()
    key = [each for each in s3_store.keys("") if "/locks/" in each][-1]
    lock = json.loads(s3_store.read(key)) | {"state": "held", "lease_seconds": lease, "controller": {}}
    s3_store.write(key, json.dumps(lock).encode())
    status = run_module("runbook_status_info", {**s3_store.args, "environment": "test", "name": "main"})["status"]
    assert status["lock"]["state"] == "held"
    assert status["lock"]["until"] < "2040"


def test_a_time_limit_of_centuries_is_refused_in_words(
    database: Database, s3_store: S3StoreAt, run_module: ModuleRunner
) -> None:
    args = _args(database, s3_store)
    run_module("postgres_backup", {**args, "max_age": "999999d"}).refused("invalid_parameter")
    where = {**s3_store.args, "environment": "test", "name": "main"}
    early = {**where, "since": "0001-01-01T00:00:00+14:00"}
    run_module("postgres_backup_info", early).refused("invalid_parameter")
