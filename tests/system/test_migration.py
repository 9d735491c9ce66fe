# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrations on real servers: once each, whole or not at all, whatever happens in between."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.children import Child, until
from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.servers import Database, FileStoreAt, StoreAt, fresh_file_store

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY, email text); INSERT INTO orders VALUES (1, 'a@example.com')"
NOTES = "ALTER TABLE orders ADD COLUMN note text"
DROP = "-- runbooks: phase=contract\nALTER TABLE orders DROP COLUMN email"
SAMPLE = {
    "0001_orders.up.sql": ORDERS,
    "0001_orders.down.sql": "DROP TABLE orders",
    "0002_notes.up.sql": NOTES,
    "0002_notes.down.sql": "ALTER TABLE orders DROP COLUMN note",
    "0003_drop_email.sql": DROP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A database, a directory of migrations, and how the one gets into the other."""

    database: Database
    store: StoreAt
    directory: Path
    run: ModuleRunner

    def write(self, **contents: str) -> None:
        """``_1_a="..."`` is the file ``1_a.sql``."""
        for name, text in contents.items():
            (self.directory / f"{name[1:].replace('__', '.')}.sql").write_text(text, encoding="utf-8")

    def args(self, **options: Any) -> dict[str, Any]:
        login = {name: value for name, value in self.database.args.items() if name != "bindir"}
        named = {"environment": "production", "name": "main", "directory": str(self.directory)}
        return {**self.store.args, **login, **named, **options}

    def __call__(self, *, check: bool = False, **options: Any) -> Outcome:
        return self.run("postgres_migration", self.args(**options), check=check, diff=True)

    def start(self, **options: Any) -> Child:
        return self.run.start("postgres_migration", self.args(**options))

    def backup(self, backup_id: str) -> None:
        args = {**self.store.args, **self.database.args, "environment": "production", "name": "main"}
        self.run("postgres_backup", {**args, "backup_id": backup_id}).ok()

    @property
    def recorded(self) -> list[str]:
        rows = self.database.rows("SELECT name || ' ' || state FROM ops_runbooks.migrations ORDER BY name")
        return [str(text) for (text,) in rows]

    @property
    def columns(self) -> list[str]:
        """Of the table orders."""
        query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('orders') AND attnum > 0"
        return [str(name) for (name,) in self.database.rows(f"{query} AND NOT attisdropped ORDER BY attnum")]


@pytest.fixture
def schema(database: Database, file_store: FileStoreAt, tmp_path: Path, run_module: ModuleRunner) -> Schema:
    directory = tmp_path / "migrations"
    directory.mkdir()
    return Schema(database=database, store=file_store, directory=directory, run=run_module)


def sample(schema: Schema) -> Schema:
    for name, text in SAMPLE.items():
        (schema.directory / name).write_text(text, encoding="utf-8")
    return schema


def names(outcome: Outcome, key: str = "pending") -> list[str]:
    return [each["name"] for each in outcome["migration"][key]]


# --- The whole way ---------------------------------------------------------------------------------------


def test_expand_then_contract_then_back(schema: Schema) -> None:
    sample(schema)
    predicted = schema(check=True, release="r1").ok()
    assert (predicted.changed, names(predicted)) == (True, ["0001_orders", "0002_notes"])
    assert schema.database.value("SELECT to_regnamespace('ops_runbooks')") is None, "a prediction writes nothing"
    assert not schema.store.keys()
    planned = {each["name"]: each["checksum"] for each in predicted["migration"]["pending"]}
    changed = schema(release="r1", planned={**planned, "0002_notes": "0" * 64}).refused("plan_changed")
    assert "not planned like this: 0002_notes" in changed.message
    assert not schema.store.keys()
    done = schema(release="r1", planned=planned).ok()
    for key in ("plan", "diff"):
        assert done[key] == predicted[key]
    assert done["migration"]["digest"] == predicted["migration"]["digest"]
    assert (done["migration"]["head"], done["migration"]["later"]) == ("0002_notes", ["0003_drop_email"])
    assert done["migration"]["known"] == {
        "head": "0003_drop_email",
        "needs": "0002_notes",
        "contract": ["0003_drop_email"],
    }
    assert "a@example.com" not in predicted.everything + done.everything, "statements are shown without data"
    assert schema.columns == ["id", "email", "note"]
    assert [each["release"] for each in done["migration"]["applied"]] == ["r1", "r1"]
    assert not schema().ok().changed
    assert not schema(check=True).ok().changed

    contract = schema(phase="contract").ok()
    assert names(contract) == ["0003_drop_email"]
    assert contract["plan"]["irreversible"] == ["0003_drop_email: DROP COLUMN takes a column away"]
    assert schema.columns == ["id", "note"]
    assert not schema(phase="all").ok().changed

    # Only the last one, only with a way back, only with a backup that is younger.
    back = {"state": "rolled_back", "migration": "0002_notes"}
    assert "0003_drop_email was applied after it" in schema(**back).refused("migration_unusable").message
    lost = schema(state="rolled_back", migration="0003_drop_email").refused("migration_unusable")
    assert "0003_drop_email.down.sql" in lost.message
    schema.write(_0003_drop_email__down="ALTER TABLE orders ADD COLUMN email text")
    (schema.directory / "0003_drop_email.sql").rename(schema.directory / "0003_drop_email.up.sql")
    schema(state="rolled_back", migration="0003_drop_email").refused("backup_not_found")
    schema.backup("b1")
    for name, columns in (("0003_drop_email", ["id", "note", "email"]), ("0002_notes", ["id", "email"])):
        back = {"state": "rolled_back", "migration": name}
        predicted = schema(check=True, **back).ok()
        undone = schema(**back).ok()
        assert (undone.changed, undone["plan"], undone["diff"]) == (True, predicted["plan"], predicted["diff"])
        assert not schema(**back).ok().changed
        assert schema.columns == columns
    assert schema.recorded == ["0001_orders applied"]
    schema(state="rolled_back", migration="0099_typo").refused("migration_missing")


def test_the_head_goes_into_backups(schema: Schema) -> None:
    import json

    sample(schema)()
    schema.backup("b1")
    manifest = json.loads(schema.store.read("production/databases/main/backups/b1/manifest.json"))
    assert manifest["migration_head"] == {"tool": "runbooks", "id": "0002_notes"}


def test_nothing_is_run_where_anything_is_refused(schema: Schema) -> None:
    sample(schema).write(_0004_bad="DROP TABLE orders", _0005_worse="BEGIN; SELECT 1; COMMIT")
    for check in (True, False):
        refused = schema(check=check).refused("migration_unusable")
        assert set(refused["failure"]["refused"]) == {"0004_bad", "0005_worse"}
    assert schema.database.value("SELECT to_regclass('orders')") is None
    (schema.directory / "0004_bad.sql").unlink()
    (schema.directory / "0005_worse.sql").unlink()
    schema().ok()
    schema.write(_0002_notes__up=NOTES + "; -- changed")
    drifted = schema().refused("migration_drift")
    assert drifted["migration"]["drift"] == ["0002_notes"]


def test_a_source_that_is_none(schema: Schema) -> None:
    schema().refused("source_unusable")
    schema(directory=str(schema.directory / "no")).refused("source_missing")
    (schema.directory / "migration_lock.toml").write_text("")
    assert "Prisma" in schema().refused("source_unusable").message


def test_baseline(schema: Schema) -> None:
    schema.database.execute(f"{ORDERS}; {NOTES}")
    sample(schema)
    given = {"state": "resolved", "migration": "0002_notes", "resolve_as": "baseline"}
    assert schema(check=True, **given).ok().changed
    assert schema(**given).ok().changed
    assert not schema(**given).ok().changed
    assert schema.recorded == ["0001_orders applied", "0002_notes applied"]
    assert not schema().ok().changed


def test_on_the_oldest_server(
    database15: Database, file_store: FileStoreAt, tmp_path: Path, run_module: ModuleRunner
) -> None:
    directory = tmp_path / "migrations"
    directory.mkdir()
    old = sample(Schema(database=database15, store=file_store, directory=directory, run=run_module))
    assert old(phase="all").ok().changed
    assert not old(phase="all").ok().changed


# --- What goes wrong -------------------------------------------------------------------------------------


def test_a_file_is_whole_or_not_there(schema: Schema) -> None:
    sample(schema).write(
        _0004_fails="CREATE TABLE half (x int);\nINSERT INTO half VALUES (1);\nINSERT INTO gone VALUES (1)"
    )
    failed = schema().refused("migration_failed")
    assert failed.changed
    for part in ("statement 3 of 3", "line 3", 'relation "gone" does not exist', "nothing of it was done"):
        assert part in failed.message
    assert failed["migration"]["head"] == "0002_notes"
    assert schema.database.value("SELECT to_regclass('half')") is None
    schema.write(_0004_fails="CREATE TABLE half (x int)")
    assert names(schema().ok()) == ["0004_fails"]


def test_what_a_file_sets_ends_with_it(schema: Schema) -> None:
    schema.write(
        _1_a="-- runbooks: phase=expand\n"
        "SET ROLE pg_read_all_data; SELECT set_config('search_path', '', false); SET lock_timeout = 1",
        _2_b="CREATE TABLE b AS SELECT current_user::text AS me, current_setting('lock_timeout') AS patience",
    )
    assert schema().ok()["migration"]["head"] == "2_b"
    assert schema.database.rows("SELECT me, patience FROM public.b") == [(schema.database.server.user, "5s")]


def test_a_statement_is_one_to_the_server_too(schema: Schema) -> None:
    """What the check took for one statement is not two."""
    with schema.database.connect() as connection, pytest.raises(psycopg.errors.SyntaxError):
        connection.execute(b"SELECT 1; SELECT 2", binary=True)


@contextmanager
def locked(database: Database, table: str = "orders") -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.url) as connection:
        connection.execute(f"LOCK TABLE {table}".encode())
        yield connection
        connection.rollback()


def test_a_lock_that_cannot_be_had(schema: Schema) -> None:
    schema.write(_1_orders=ORDERS)
    schema().ok()
    schema.write(_2_notes="-- runbooks: lock_timeout=1s\n" + NOTES)
    with locked(schema.database) as connection:
        waited = schema().refused("timed_out")
        assert f"process {connection.info.backend_pid}" in waited.message
    assert schema.columns == ["id", "email"]
    assert schema().ok().changed


def waiting(database: Database) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    return bool(database.value(query, database.name))


def test_killed_in_the_middle_of_a_file(schema: Schema) -> None:
    """While the server still waits for the killed run, its lock keeps the next one out; then that does the work."""
    sample(schema).write(_0001_orders__up=ORDERS)
    schema.write(
        _0004_more="CREATE TABLE more (x int); ALTER TABLE orders ADD COLUMN more int; INSERT INTO more VALUES (1)"
    )
    (schema.directory / "0004_more.sql").rename(schema.directory.parent / "kept")
    schema().ok()
    (schema.directory.parent / "kept").rename(schema.directory / "0004_more.sql")
    with locked(schema.database):
        child = schema.start(lock_timeout="60s", lock_lease="5s")
        until(lambda: waiting(schema.database))
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()
        again = schema.start(lock_timeout="60s", lock_lease="5s", run_id="another")
        time.sleep(1)
    done = read_outcome(again.wait(60)).ok()
    assert done["migration"]["head"] == "0004_more"
    assert schema.database.value("SELECT count(*) FROM more") == 1
    assert not schema().ok().changed


def test_two_at_once(schema: Schema) -> None:
    """With stores of their own even: one does it, the other waits, and finds nothing to do."""
    sample(schema)
    other = Schema(
        database=schema.database,
        store=fresh_file_store(schema.directory.parent / "other"),
        directory=schema.directory,
        run=schema.run,
    )
    children = [schema.start(), other.start()]
    outcomes = [read_outcome(child.wait(60)).ok() for child in children]
    assert sorted(each.changed for each in outcomes) == [False, True]
    assert schema.recorded == ["0001_orders applied", "0002_notes applied"]


def test_what_somebody_else_has_recorded_meanwhile(schema: Schema) -> None:
    """Who keeps to the lock does no such thing; here a migration does."""
    recorded = "INSERT INTO ops_runbooks.migrations (name, checksum, phase, state)"
    schema.write(
        _1_a=f"-- runbooks: phase=expand\n{recorded} VALUES ('2_b', 'x', 'expand', 'applied')",
        _2_b="CREATE TABLE b (x int)",
    )
    assert "since this run looked" in schema().refused("migration_drift").message
    assert schema.database.value("SELECT to_regclass('b')") is None


def test_another_run_that_does_not_end(schema: Schema) -> None:
    sample(schema)
    with schema.database.connect(application_name="a laptop") as connection:
        connection.execute(f"SELECT pg_advisory_lock({0x6F70735F6D696772})".encode())
        refused = schema(wait="1s").refused("lock_held")
        assert "a laptop" in refused.message
    assert schema().ok().changed


def test_a_role_that_may_not(schema: Schema) -> None:
    role = f"{schema.database.name}_poor"
    schema.database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        refused = sample(schema)(check=True, login_user=role, login_password="x").refused("privilege_missing")
        assert "CREATE on the database" in refused.message
    finally:
        schema.database.execute(f"DROP ROLE {role}")


# --- Outside of a transaction ----------------------------------------------------------------------------

UNIQUE = (
    "-- runbooks: phase=expand no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one ON orders (email);\n"
)


def test_an_index_that_was_left_invalid_is_built_again(schema: Schema) -> None:
    schema.write(_1_orders=ORDERS + "; INSERT INTO orders VALUES (2, 'a@example.com')")
    schema().ok()
    schema.write(_2_one=UNIQUE + "ANALYZE orders; INSERT INTO orders VALUES (3, 'c')")
    failed = schema().refused("migration_failed")
    assert "0 of its statements are done" in failed.message
    assert schema.recorded == ["1_orders applied", "2_one started"]
    assert not schema.database.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'one'::regclass")
    schema.database.execute("DELETE FROM orders WHERE id = 2")
    predicted = schema(check=True).ok()
    assert "after dropping the invalid index one" in predicted["plan"]["steps"][0]
    assert schema().ok()["plan"] == predicted["plan"]
    assert schema.database.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'one'::regclass")
    assert schema.recorded == ["1_orders applied", "2_one applied"]


def test_killed_outside_of_a_transaction(schema: Schema) -> None:
    """What is in doubt is not done a second time; what is known to be harmless is."""
    schema.write(_1_orders=ORDERS)
    schema().ok()
    schema.write(_2_rows="-- runbooks: no-transaction\nANALYZE orders; INSERT INTO orders VALUES (2, 'b')")
    with locked(schema.database):
        child = schema.start(lock_timeout="60s", lock_lease="5s")
        until(lambda: waiting(schema.database))
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()
    until(lambda: not schema.database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
    if schema.database.value("SELECT statements_done FROM ops_runbooks.migrations WHERE name = '2_rows'") == 0:
        # It waited in ANALYZE, which is harmless.
        assert schema(lock_lease="5s").ok().changed
        assert schema.database.value("SELECT count(*) FROM orders") == 2
    schema.database.execute(
        "UPDATE ops_runbooks.migrations SET state = 'started', statements_done = 1 WHERE name = '2_rows'"
    )
    stuck = schema(lock_lease="5s").refused("migration_unfinished")
    for part in ("1 of 2 statements", "INSERT INTO orders", "resolve_as=applied", "resolve_as=rolled_back"):
        assert part in stuck.message
    resolved = {"state": "resolved", "migration": "2_rows", "resolve_as": "applied"}
    assert schema(check=True, **resolved).ok().changed
    assert schema(**resolved).ok().changed
    assert not schema(**resolved).ok().changed
    assert not schema().ok().changed


def test_what_a_stopped_run_left_is_gone_on_with_as_this_run(schema: Schema) -> None:
    """The row is of the file that is run and of the run that runs it, and what failed once is in doubt once begun."""
    schema.write(_1_orders=ORDERS)
    schema().ok()
    row = "SELECT statements_done, failed, phase, release, checksum FROM ops_runbooks.migrations WHERE name = '2_rows'"
    schema.write(_2_rows="-- runbooks: no-transaction\nINSERT INTO gone VALUES (1)")
    schema(release="r1").refused("migration_failed")
    ((done, failed, phase, release, before),) = schema.database.rows(row)
    assert (done, failed, phase, release) == (0, True, "expand", "r1")
    assert not schema.store.keys("production/databases/main/taken_away/")

    # Edited, it is another file and of another phase; killed in a statement, nobody knows.
    schema.write(_2_rows="-- runbooks: no-transaction phase=contract\nINSERT INTO orders VALUES (2, 'b')")
    with locked(schema.database):
        child = schema.start(phase="all", release="r2", lock_timeout="60s", lock_lease="5s")
        until(lambda: waiting(schema.database))
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()
        ((done, failed, phase, release, after),) = schema.database.rows(row)
    assert (done, failed, phase, release, after != before) == (0, False, "contract", "r2", True)
    until(lambda: not schema.database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
    schema(phase="all", lock_lease="5s").refused("migration_unfinished")
    assert schema.database.value("SELECT count(*) FROM orders") <= 2, "it is not done a second time"
    documents = schema.store.keys("production/databases/main/taken_away/")
    assert "2_rows" in str(schema.store.read(max(documents))), "it may have taken something away"

    # A procedure may have made something final before it failed.
    schema(state="resolved", migration="2_rows", resolve_as="rolled_back", lock_lease="5s").ok()
    schema.write(
        _2_rows="-- runbooks: no-transaction phase=expand\n"
        "DO $$ BEGIN INSERT INTO orders VALUES (9, 'z'); COMMIT; RAISE EXCEPTION 'no'; END $$"
    )
    schema().refused("migration_failed")
    schema().refused("migration_unfinished")
    assert schema.database.value("SELECT count(*) FROM orders WHERE id = 9") == 1
    schema(state="resolved", migration="2_rows", resolve_as="rolled_back").ok()

    # Its marker was the mistake: the row of the run that stopped is taken over.
    schema.write(_2_rows="-- runbooks: no-transaction\nINSERT INTO gone VALUES (1)")
    schema().refused("migration_failed")
    schema.write(_2_rows="CREATE TABLE gone (x int)")
    assert schema().ok().changed
    assert schema.recorded == ["1_orders applied", "2_rows applied"]


def test_an_index_is_looked_at_under_the_name_that_it_got(schema: Schema) -> None:
    long, odd = "i" * 70, "ÄHRE"
    schema.write(_1_orders=ORDERS + "; CREATE TABLE other (x int); CREATE INDEX taken ON other (x)")
    schema().ok()
    build = "-- runbooks: phase=expand no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON orders (email)"
    schema.write(_2_long=build.format(long), _3_odd=build.format(odd), _4_taken=build.format("taken"))
    failed = schema().refused("migration_failed")
    assert "orders has no index taken" in failed.message
    assert schema.recorded[-2:] == ["3_odd applied", "4_taken started"]


# --- Releases that no longer fit -------------------------------------------------------------------------


def test_releases_that_do_not_know_what_was_taken_away_are_bad(schema: Schema) -> None:
    sample(schema)
    known = schema().ok()["migration"]["known"]
    app = {**schema.store.args, "environment": "production", "name": "web"}

    def record(name: str, **options: Any) -> None:
        schema.run("release_record", {**app, "deployment_id": name, "gate": "pass", **options}).ok()

    def bad() -> dict[str, str]:
        listed = schema.run("release_info", {**app, "databases": ["main"]}).ok()["releases"]["known"]
        return {each["deployment_id"]: each["bad"] for each in listed}

    record("dpl_old", migrations={"main": {"head": "0002_notes", "contract": []}})
    record("dpl_new", migrations={"main": known})
    assert set(bad().values()) == {""}
    schema(phase="contract").ok()
    assert bad()["dpl_new"] == ""
    assert "0003_drop_email" in bad()["dpl_old"]
    # It is the database that says so: a document that was lost is written again, and what came back fits again.
    for key in schema.store.keys("production/databases/main/taken_away/"):
        schema.store.remove(key)
    assert set(bad().values()) == {""}
    assert schema(check=True).ok().changed
    assert schema().ok().changed
    assert not schema().ok().changed
    assert "0003_drop_email" in bad()["dpl_old"]
    schema.database.execute("DELETE FROM ops_runbooks.migrations WHERE name = '0003_drop_email'")
    assert schema(phase="expand").ok().changed
    assert set(bad().values()) == {""}


def test_the_plan_of_a_restore_says_whether_what_serves_fits(schema: Schema) -> None:
    sample(schema)
    schema().ok()
    schema.backup("before")
    schema(phase="contract").ok()
    schema.backup("after")
    for name, needs, contract in (
        ("ahead", "0004_more", ["0003_drop_email"]),
        ("fits", "0002_notes", ["0003_drop_email"]),
        ("left", "0002_notes", []),
    ):
        app = {**schema.store.args, "environment": "production", "name": name, "deployment_id": f"dpl_{name}"}
        known = {"main": {"head": "0004_more", "needs": needs, "contract": contract}}
        schema.run("release_record", {**app, "gate": "pass", "migrations": known}).ok()

    def restored(backup: str, *, check: bool = True, **options: Any) -> Outcome:
        names = {"environment": "production", "name": "main", "backup": backup, "restore_id": f"r-{backup}"}
        return schema.run(
            "postgres_restore", {**schema.store.args, **schema.database.args, **names, **options}, check=check
        ).ok()

    def said(outcome: Outcome) -> dict[str, tuple[str, bool]]:
        return {each["app"]: (each["relation"], each["fits"]) for each in outcome["restore"]["releases"]}

    live = {"strategy": "swap", "target_database": schema.database.name}
    older, newer = restored("before", **live), restored("after", **live)
    assert said(older) == {"ahead": ("older", False), "fits": ("same", True), "left": ("same", True)}
    assert said(newer) == {"ahead": ("older", False), "fits": ("newer", True), "left": ("newer", False)}
    assert "fits goes on with release dpl_fits, which needs migrations up to 0002_notes" in older["plan"]["steps"][-2]
    assert "Run ops.runbooks.migrate with its migrations as soon as main is restored" in str(older["warnings"])
    assert "it does not know 0003_drop_email" in str(newer["warnings"])
    # Beside it, nothing meets what was restored; what is done says what was foretold.
    beside = {"target_database": f"{schema.database.name}_beside"}
    told, done = restored("before", **beside), restored("before", check=False, **beside)
    assert said(told) == said(done) == said(older)
    assert "goes on with" not in "".join(told["plan"]["steps"])
    assert not restored("before", check=False, **beside).changed
