# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgres_backup on real servers: what it makes, when it does nothing, what it deletes."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.servers import Database, S3StoreAt, StoreAt, fresh_database
from sandbox import PostgresServer, pagila

Backup = Callable[..., Outcome]


@pytest.fixture
def backup(run_module: ModuleRunner, database: Database, store: StoreAt) -> Backup:
    """Run the module for the test's own database and store."""

    def run(*, check: bool = False, diff: bool = False, **options: Any) -> Outcome:
        args = {"environment": "test", "name": "main", **store.args, **database.args, **options}
        return run_module("postgres_backup", {k: v for k, v in args.items() if v is not None}, check=check, diff=diff)

    return run


@pytest.fixture(scope="session")
def template(postgres: PostgresServer) -> Iterator[str]:
    """A database with Pagila in it, to be copied."""
    with fresh_database(postgres, prefix="template") as made:
        pagila.load(postgres, made.name)
        yield made.name


@pytest.fixture
def shop(database: Database, template: str) -> Database:
    """The test's database, holding Pagila."""
    maintenance = database.sibling("postgres")
    maintenance.execute(f"DROP DATABASE {database.name}")
    maintenance.execute(f"CREATE DATABASE {database.name} TEMPLATE {template}")
    return database


def keys_with(store: StoreAt, *parts: str) -> list[str]:
    """The keys of the store that hold one of ``parts``."""
    return [key for key in store.keys() if any(part in key for part in parts)]  # noqa: SIM118 - not a mapping


def manifest_of(store: StoreAt, backup_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(store.read(f"test/databases/main/backups/{backup_id}/manifest.json"))
    return document


def test_check_then_make_then_nothing(shop: Database, store: StoreAt, backup: Backup) -> None:
    predicted = backup(backup_id="one", check=True, diff=True).ok()
    assert predicted.changed
    assert store.keys() == []
    assert predicted["plan"]["irreversible"] == []

    made = backup(backup_id="one", diff=True).ok()
    assert made.changed
    assert set(made["backup"]) == set(predicted["backup"])
    assert made["diff"] == predicted["diff"]
    for field in ("id", "kind", "state", "tables", "selection", "compression", "part_size", "endpoint", "manifest"):
        assert made["backup"][field] == predicted["backup"][field], field
    assert made["backup"]["rows"] == pagila.ROWS
    assert made["backup"]["endpoint"] == f"127.0.0.1:{shop.server.port}/{shop.name}"

    before = store.keys()
    again = backup(backup_id="one").ok()
    assert not again.changed
    assert again["plan"]["steps"] == []
    assert not backup(backup_id="one", check=True).ok().changed
    assert {**again["backup"], **changing(made)} == made["backup"]
    assert store.keys() == before


def changing(outcome: Outcome) -> dict[str, Any]:
    """What may differ between two looks at the same backup."""
    return {name: outcome["backup"][name] for name in ("age_seconds", "part_size", "memory_budget")}


def test_the_manifest_says_what_the_database_holds(shop: Database, store: StoreAt, backup: Backup) -> None:
    shop.execute(f"ALTER DATABASE {shop.name} SET work_mem = '5MB'")
    owner, group = f"{shop.name}_owner", f"{shop.name}_group"
    shop.execute(f"CREATE ROLE {owner}; CREATE ROLE {group}; GRANT {group} TO {owner}")
    try:
        shop.execute(f"CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO {owner}")
        shop.execute("ALTER TABLE actor ENABLE ROW LEVEL SECURITY; CREATE POLICY all_of_it ON actor USING (true)")
        shop.execute("SELECT lo_from_bytea(0, 'content')")
        before = datetime.now(UTC)
        result = backup(backup_id="one", include_globals=True).ok()["backup"]
        manifest = manifest_of(store, "one")
    finally:
        shop.execute(f"DROP OWNED BY {owner}; DROP ROLE {owner}, {group}")

    assert manifest["state"] == "complete"
    assert before <= datetime.fromisoformat(manifest["snapshot_at"]) <= datetime.now(UTC)
    assert manifest["server"]["major"] == 18
    assert manifest["database"]["settings"] == ["work_mem=5MB"]
    roles = {role["name"]: role for role in manifest["roles"]}
    assert roles[owner]["member_of"] == [group]
    assert {group, "postgres"} <= roles.keys()
    tables = {table["name"]: table for table in manifest["tables"]}
    assert tables["rental"]["rows"] == 16044
    assert tables["payment"] == {**tables["payment"], "kind": "partitioned", "rows": None, "rows_by": "none"}
    assert tables["actor"]["row_security"]
    assert tables["actor"]["policies"] == ["all_of_it"]
    sequences = {sequence["name"]: sequence for sequence in manifest["sequences"]}
    assert sequences["rental_rental_id_seq"]["before"] == sequences["rental_rental_id_seq"]["after"] == 16049
    assert len(sequences) == 13
    assert manifest["large_objects"]["count"] == 1
    for stored in (*manifest["archives"], manifest["globals"]):
        body = store.read(stored["key"])
        assert (len(body), hashlib.sha256(body).hexdigest()) == (stored["bytes"], stored["sha256"])
    assert b"PASSWORD" not in store.read(manifest["globals"]["key"])
    index = keys_with(store, "/index/")
    assert [key.split("/")[-1].split(".")[1:4] for key in index] == [["one", "manual", str(result["bytes"])]]
    assert keys_with(store, "/attempts/") == []


def test_stock_pg_restore_reads_what_is_stored(shop: Database, store: StoreAt, backup: Backup, tmp_path: Path) -> None:
    """The manifest's own commands, apart from the one that fetches, after the database is gone."""
    archive = backup(backup_id="one").ok()["backup"]["archives"][0]
    (tmp_path / "database.dump").write_bytes(store.read(archive["key"]))
    commands = manifest_of(store, "one")["restore_by_hand"]["commands"][1:]
    environment = {
        "PATH": f"{shop.server.bindir}:/usr/bin:/bin",
        "PGHOST": shop.server.host,
        "PGPORT": str(shop.server.port),
        "PGUSER": shop.server.user,
        "PGPASSWORD": shop.server.password,
    }
    shop.sibling("postgres").execute(f"DROP DATABASE {shop.name}")
    for command in commands:
        subprocess.run(command, shell=True, check=True, cwd=tmp_path, env=environment, capture_output=True)
    assert len(commands) == 3
    assert shop.value("SELECT count(*) FROM rental") == 16044


def test_a_part_of_the_database(shop: Database, store: StoreAt, backup: Backup) -> None:
    shop.execute("CREATE TABLE owner (id serial); CREATE TABLE other (id serial)")
    names = ["rental", "public.payment", "owner"]
    part = backup(backup_id="part", tables=names).ok()["backup"]
    assert not part["selection"]["whole"]
    tables = {table["name"] for table in manifest_of(store, "part")["tables"]}
    assert {"rental", "payment", "payment_p2007_01"} <= tables
    assert "actor" not in tables
    assert [sequence["name"] for sequence in manifest_of(store, "part")["sequences"]] == ["owner_id_seq"]

    bare = backup(backup_id="bare", exclude_table_data=["payment"], exclude_tables=["film"]).ok()["backup"]
    facts = {table["name"]: table for table in manifest_of(store, "bare")["tables"]}
    assert "film" not in facts
    assert facts["payment_p2007_01"] == {**facts["payment_p2007_01"], "data": False, "rows": None}
    assert (
        len(
            {
                part["selection"]["hash"],
                bare["selection"]["hash"],
                backup(backup_id="all").ok()["backup"]["selection"]["hash"],
            }
        )
        == 3
    )

    # Written in another way it is the same selection; another one under the same id is refused.
    assert not backup(backup_id="part", tables=["public.owner", "payment", "public.rental", "rental"]).ok().changed
    refused = backup(backup_id="part").refused("invalid_parameter")
    assert "public.rental" in refused.message
    # A part is no answer to the question for a young backup of everything.
    assert not backup(max_age="1h").ok().changed
    assert backup(max_age="1h", tables=["actor"]).ok().changed


def test_names_that_need_quotes(database: Database, store: StoreAt, backup: Backup) -> None:
    """Names are literal: no case is folded, nothing in them is a pattern."""
    odd = ["Users", 'we"ird', "dot.ted", "st*r", "que?tion", "back\\slash", "da$h", "(paren|theses)", "ümläut", "a b"]
    for name in odd:
        quoted = '"' + name.replace('"', '""') + '"'
        database.execute(f"CREATE TABLE {quoted} (id int); INSERT INTO {quoted} VALUES (1)")
    database.execute("CREATE TABLE users (id int); CREATE TABLE star (id int)")
    wanted = [f'"{name}"' if name == "dot.ted" else name.replace('"', '"') for name in odd if name != 'we"ird']
    made = backup(backup_id="odd", tables=[*wanted, '"we""ird"']).ok()["backup"]
    assert {table["name"] for table in manifest_of(store, "odd")["tables"]} == set(odd)
    assert made["rows"] == len(odd)
    backup(backup_id="nothing", tables=["USERS"]).refused("invalid_parameter")
    backup(backup_id="nothing", schemas=["nowhere"]).refused("invalid_parameter")
    left_out = backup(backup_id="left-out", exclude_table_data=["gone"]).ok()
    assert "gone" in json.dumps(left_out.result)


def test_age_satisfies(shop: Database, store: StoreAt, backup: Backup) -> None:
    first = backup(max_age="1h", kind="pre_deploy").ok()
    assert first.changed
    assert first["backup"]["id"].startswith("pre_deploy-2")
    second = backup(max_age="1h", kind="pre_deploy").ok()
    assert not second.changed
    assert second["backup"]["id"] == first["backup"]["id"]
    assert backup(max_age="0s").ok().changed


def test_a_scheduled_run_twice_is_one_backup(database: Database, store: StoreAt, backup: Backup) -> None:
    options = {"backup_schedule": "every 168h", "backup_time_zone": "Europe/Berlin"}
    first = backup(**options).ok()
    assert first["backup"]["kind"] == "scheduled"
    assert first["backup"]["id"].startswith("every-168h-")
    assert not backup(**options).ok().changed


def test_deletion(shop: Database, store: StoreAt, backup: Backup) -> None:
    backup(backup_id="old").ok()
    backup(backup_id="new").ok()
    absent = {"state": "absent", "database": None, "login_host": None, "login_port": None, "login_user": None}

    protected = backup(backup_id="new", **absent).refused("backup_protected")
    assert "newest good" in protected.message
    before = store.keys()
    predicted = backup(backup_id="old", check=True, **absent).ok()
    assert predicted.changed
    assert len(predicted["plan"]["irreversible"]) == 1
    assert store.keys() == before

    deleted = backup(backup_id="old", **absent).ok()
    assert deleted.changed
    assert deleted["backup"]["state"] == "absent"
    assert keys_with(store, "/old/", ".old.") == []
    assert not backup(backup_id="old", **absent).ok().changed
    assert not backup(backup_id="never", **absent).ok().changed

    (held,) = keys_with(store, "/index/")
    store.write(f"{held}.held", b"")
    backup(backup_id="new", force=True, **absent).refused("backup_protected")
    store.remove(f"{held}.held")
    assert backup(backup_id="new", force=True, **absent).ok().changed
    assert keys_with(store, "/backups/", "/index/") == []


def test_an_index_key_that_a_killed_run_left_out_is_written(database: Database, store: StoreAt, backup: Backup) -> None:
    backup(backup_id="one").ok()
    (index,) = keys_with(store, "/index/")
    store.remove(index)
    assert backup(backup_id="one", check=True).ok().changed
    assert keys_with(store, "/index/") == []
    assert backup(backup_id="one").ok().changed
    assert keys_with(store, "/index/") == [index]
    assert not backup(backup_id="one").ok().changed


def test_a_supabase_project_is_known_by_its_roles(database: Database, store: StoreAt, backup: Backup) -> None:
    """Roles and schemas as the platform makes them, by SQL of our own; what is the platform's is named."""
    made_role = not database.value("SELECT count(*) FROM pg_roles WHERE rolname = 'supabase_admin'")
    if made_role:
        database.execute("CREATE ROLE supabase_admin")
    try:
        database.execute("CREATE SCHEMA auth; CREATE TABLE auth.users (id int); CREATE SCHEMA vault; CREATE SCHEMA app")
        platform = backup(backup_id="one").ok()["backup"]["platform"]
        said = backup(backup_id="two", platform="postgres").ok()["backup"]["platform"]
    finally:
        if made_role:
            database.execute("DROP ROLE supabase_admin")
    assert platform == {
        "name": "supabase",
        "managed_schemas": ["auth", "vault"],
        "managed_schemas_with_data": ["auth"],
    }
    assert manifest_of(store, "one")["platform"] == platform
    assert said["name"] == "postgres"


def test_empty_database(database: Database, store: StoreAt, backup: Backup) -> None:
    made = backup(backup_id="empty").ok()["backup"]
    assert (made["tables"], made["rows"]) == (0, 0)


@pytest.mark.parametrize(("given", "expected"), [("auto", "zstd:1"), ("gzip", "gzip:1"), ("none", "none")])
def test_compression(given: str, expected: str, shop: Database, s3_store: S3StoreAt, run_module: ModuleRunner) -> None:
    args = {"environment": "test", "name": "main", **s3_store.args, **shop.args, "compression": given}
    made = run_module("postgres_backup", {**args, "backup_id": given}).ok()["backup"]
    assert made["compression"] == expected


def test_everything_in_the_store_is_encrypted(shop: Database, s3_store: S3StoreAt, run_module: ModuleRunner) -> None:
    """A policy of the bucket may refuse any write that does not ask for it."""
    key_id = s3_store.server.client("kms").create_key()["KeyMetadata"]["KeyId"]
    args = {"environment": "test", "name": "main", **s3_store.args, **shop.args}
    args |= {"store_encryption": "sse-kms", "store_kms_key_id": key_id}
    made = run_module("postgres_backup", {**args, "backup_id": "one", "include_globals": True}).ok()
    assert made["backup"]["encryption"] == "sse-kms"
    stored = s3_store.keys()
    assert {key.split("/")[1] for key in stored} >= {"databases", "locks", "runs"}
    for key in stored:
        head = s3_store.client.head_object(Bucket=s3_store.bucket, Key=f"{s3_store.prefix}/{key}")
        assert key_id in head.get("SSEKMSKeyId", ""), key
    own = run_module("postgres_backup", {**args, "backup_id": "two", "encryption": "sse-s3"}).ok()
    assert own["backup"]["encryption"] == "sse-s3"


def test_uncounted(shop: Database, store: StoreAt, backup: Backup) -> None:
    assert backup(backup_id="none", row_counts="none").ok()["backup"]["rows"] is None
    some = backup(backup_id="small", row_counts="auto", row_counts_max_bytes=100_000).ok()["backup"]["rows"]
    assert 0 < some < pagila.ROWS


def test_through_ansible(shop: Database, store: StoreAt, run_module: ModuleRunner) -> None:
    """With the payload that ansible makes of the module, as a user runs it."""
    args = {"environment": "test", "name": "main", **store.args, **shop.args, "backup_id": "one"}
    made = run_module("postgres_backup", args, through="ansible", env={"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}).ok()
    assert made.changed
    assert (
        not run_module("postgres_backup", args, through="ansible", env={"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"})
        .ok()
        .changed
    )
    assert shop.server.password not in made.everything
