# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drills: a backup is proven by a real restore, and nothing of that stays behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.equip import make_extension
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.private_server import LOADER

from harness.children import until
from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.restores import ENVIRONMENT, NAME, ROOT, Shop, copied, nothing_new
from harness.servers import Database, fresh_database, fresh_file_store, without_extension
from harness.stores import run_context

if TYPE_CHECKING:
    from sandbox import PostgresServer

SCHEMA = """
CREATE ROLE drill_owner NOLOGIN; CREATE ROLE drill_reader NOLOGIN;
CREATE SCHEMA extensions AUTHORIZATION drill_owner; CREATE EXTENSION hstore SCHEMA extensions;
CREATE EXTENSION citext;
CREATE TABLE customer (id int PRIMARY KEY, email citext UNIQUE, tags extensions.hstore);
CREATE TABLE orders (
    id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customer, total numeric CHECK (total > 0)
);
CREATE VIEW emails AS SELECT email FROM customer;
INSERT INTO customer SELECT n, 'c' || n || '@example.com', 'a=>1' FROM generate_series(1, 500) n;
INSERT INTO orders (customer, total) SELECT 1 + n % 500, n FROM generate_series(1, 2000) n;
ALTER TABLE customer OWNER TO drill_owner; GRANT SELECT ON customer TO drill_reader;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orders TO drill_reader USING (customer = 1);
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
CREATE INDEX ON orders (twice(customer));
"""
ROWS = 2500


@pytest.fixture(scope="module")
def backed_up(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A database with owners, policies and extensions, and one backup of it."""
    directory = tmp_path_factory.mktemp("backed_up")
    with fresh_database(postgres, "drill") as database:
        database.execute(SCHEMA)
        shop = Shop(
            database=database, store=fresh_file_store(directory / "store"), run=ModuleRunner(directory / "home")
        )
        shop.backup("b1")
        yield shop
        database.execute("DROP OWNED BY drill_owner, drill_reader CASCADE")
        database.execute("DROP ROLE drill_owner; DROP ROLE drill_reader")


@pytest.fixture
def shop(backed_up: Shop, tmp_path: Path, run_module: ModuleRunner) -> Shop:
    """The same, with a store to damage."""
    return copied(backed_up, tmp_path / "store", run_module)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory with a short name for private servers, empty again at the end."""
    with tempfile.TemporaryDirectory(prefix="d-") as directory:
        yield Path(directory)
        assert not list(Path(directory).iterdir())
        assert not servers(Path(directory))


def servers(directory: Path) -> list[str]:
    """The command lines of private servers and their sessions in that directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and str(directory) in process.cwd():
                found.append(" ".join(process.cmdline()).strip())
    return found


def arguments(shop: Shop, scratch: Path, **changes: Any) -> dict[str, Any]:
    given = {**shop.store.args, "environment": ENVIRONMENT, "name": NAME, "backup": "latest", "lock_lease": "5s"}
    given |= {"bindir": [str(shop.database.server.bindir)], "level": "restore", "scratch_directory": str(scratch)}
    return {**given, **changes}


def drill(shop: Shop, scratch: Path, *, check: bool = False, **changes: Any) -> Outcome:
    return shop.run("postgres_backup_verify", arguments(shop, scratch, **changes), check=check)


def test_a_backup_is_proven_on_a_private_server(shop: Shop, scratch: Path) -> None:
    before = shop.store.keys()
    predicted = drill(shop, scratch, check=True).ok()
    assert predicted.changed
    assert shop.store.keys() == before
    for which in ("latest", "b1"):
        assert "prove" in shop.restore(backup=which, min_state="proven", check=True).refused("backup_not_found").message
    assertions = [
        {"name": "orders", "sql": "SELECT count(*) FROM orders", "expect": 2000},
        {"name": "like", "sql": "SELECT bool_and(email LIKE '%@example.com') FROM emails"},
    ]
    with nothing_new(shop):
        done = drill(shop, scratch, assertions=assertions, amcheck=True).ok()
    seen = done["verification"]
    assert done.changed
    assert seen.keys() == predicted["verification"].keys()
    assert seen["not_provable_here"] == []
    assert seen["proven"]
    assert seen["backup"]["state"] == "proven"
    assert (seen["rows_compared"], seen["tables_compared"]) == (ROWS, 2)
    assert seen["assertions"] == ["orders", "like"]
    assert seen["indexes_checked"] >= 4
    assert seen["heaps_checked"] == 2
    assert seen["skipped"] == []
    proof = json.loads(shop.store.read(f"{ROOT}/backups/b1/proven.json"))
    assert proof["rto_seconds"] == seen["rto_seconds"] > 0
    assert proof["server"]["label"] == "a private server"
    assert shop.info()["backups"]["latest"]["state"] == "proven"
    for which in ("latest", "b1"):
        assert shop.restore(backup=which, min_state="proven", check=True).ok()["restore"]["backup"]["id"] == "b1"
    # Once is enough, and every other level is included.
    again = drill(shop, scratch).ok()
    assert not again.changed
    assert again["verification"]["proven"]
    assert not drill(shop, scratch, level="archive").changed


def test_an_assertion_that_does_not_hold_proves_nothing(shop: Shop, postgres: PostgresServer, scratch: Path) -> None:
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "false": ({"sql": "SELECT false"}, "returned False instead of True"),
        "number": ({"sql": "SELECT count(*) FROM orders", "expect": 7}, "returned 2000 instead of 7"),
        "data": ({"sql": "SELECT email FROM customer WHERE id = 1"}, "returned something else"),
        "rows": ({"sql": "SELECT 1 FROM orders LIMIT 2"}, "returned 2 rows instead of one"),
        "writes": ({"sql": "DELETE FROM orders"}, "read-only"),
        "slow": ({"sql": "SELECT pg_sleep(9)"}, "could not be asked"),
        "syntax": ({"sql": "SELECT no_such_column"}, "could not be asked"),
    }
    assertions = [{"name": name, **given} for name, (given, _words) in wrong.items()]
    assertions.append({"name": "right", "sql": "SELECT true"})
    with nothing_new(shop):
        refused = drill(
            shop,
            scratch,
            assertions=assertions,
            assertion_timeout="1s",
            drill_server_url=postgres.url("postgres"),
            allow_live_server=True,
        )
    refused.refused("verification_failed")
    said = refused["failure"]["wrong"]
    assert len(said) == len(wrong)
    for sentence, (name, (_given, words)) in zip(said, wrong.items(), strict=True):
        assert f"assertion {name} " in sentence
        assert words in sentence
    assert "and 2 more" in refused.message
    assert "example.com" not in refused.everything
    assert shop.info()["backups"]["latest"]["state"] == "complete"


def test_a_server_of_the_users_own(shop: Shop, postgres: PostgresServer, scratch: Path) -> None:
    url = postgres.url("postgres")
    keys = shop.store.keys()
    refused = drill(shop, scratch, drill_server_url=url, check=True).refused("drill_on_live_server")
    assert postgres.password not in refused.everything
    drill(shop, scratch, drill_server_url=url).refused("drill_on_live_server")
    assert shop.store.keys() == keys
    drill(shop, scratch, drill_server_url="").refused("connection_empty")
    mistyped = drill(shop, scratch, drill_server_url="postgresql://u:p@[::1/x").refused("invalid_parameter")
    assert "(drill_server_url)" in mistyped.message
    with nothing_new(shop):
        seen = drill(shop, scratch, drill_server_url=url, allow_live_server=True).ok()["verification"]
    assert seen["proven"]
    assert seen["server"]["label"].startswith("127.0.0.1:")


def test_a_private_server_that_cannot_be(shop: Shop, scratch: Path, tmp_path: Path) -> None:
    far = tmp_path / ("x" * 100)
    far.mkdir()
    for directory, words in ((far, "too long"), (scratch / "none", "no directory can be made")):
        assert words in drill(shop, scratch, scratch_directory=str(directory)).refused("drill_server_failed").message
    drill(shop, scratch, bindir=[str(tmp_path)]).refused("tool_missing")


def test_damage_is_found_by_a_drill_too(shop: Shop, scratch: Path) -> None:
    key = shop.archive()
    whole = shop.store.read(key)
    place = len(whole) * 9 // 10
    shop.store.write(key, whole[:place] + bytes((whole[place] ^ 0x10,)) + whole[place + 1 :])
    refused = drill(shop, scratch).refused("object_corrupt")
    assert key in refused.message
    assert "is called suspect" in refused.message
    drill(shop, scratch).refused("backup_not_found")


def test_what_the_server_lacks_is_named_and_nothing_is_proven(shop: Shop, scratch: Path, tmp_path: Path) -> None:
    bindir = without_extension(shop.database.server.bindir, "hstore", tmp_path)
    done = drill(shop, scratch, bindir=[str(bindir)]).ok()
    seen = done["verification"]
    assert done.changed
    assert not seen["proven"]
    assert seen["not_provable_here"][0] == "extension hstore, which the server does not offer"
    assert "table public.customer, which depends on that" in seen["not_provable_here"]
    assert seen["rows_compared"] == 2000
    assert shop.info()["backups"]["latest"]["state"] == "complete"
    # It is tried again, and on a server that has everything it succeeds.
    assert drill(shop, scratch).ok()["verification"]["proven"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_drill_leaves_no_server(shop: Shop, scratch: Path, number: signal.Signals) -> None:
    slow = [{"name": "slow", "sql": "SELECT pg_sleep(60) IS NULL"}]
    child = shop.run.start("postgres_backup_verify", arguments(shop, scratch, assertions=slow, assertion_timeout="90s"))
    until(lambda: any(line.endswith(" SELECT") for line in servers(scratch)), pause=0.1)
    os.kill(child.pid, number)
    finished = child.wait(30)
    if number == signal.SIGTERM:
        read_outcome(finished).refused("run_aborted")
    until(lambda: not servers(scratch), pause=0.1)
    # The directory of one that was killed is removed by the next run.
    assert bool(list(scratch.iterdir())) == (number == signal.SIGKILL)
    assert drill(shop, scratch, lock_lease="5s").ok()["verification"]["proven"]


def test_a_part_of_a_supabase_project(
    postgres: PostgresServer, scratch: Path, tmp_path: Path, run_module: ModuleRunner
) -> None:
    """The schema that belongs to the application, with policies that call the platform's functions."""
    with fresh_database(postgres, "supa") as database:
        database.execute("""
            CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY);
            CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT gen_random_uuid()';
            CREATE TABLE note (id int PRIMARY KEY, owner uuid DEFAULT auth.uid(), text text);
            INSERT INTO note SELECT n, gen_random_uuid(), 'x' FROM generate_series(1, 10) n;
            ALTER TABLE note ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON note USING (owner = auth.uid())
        """)
        shop = Shop(database=database, store=fresh_file_store(tmp_path / "store"), run=run_module)
        shop.backup("b1", schemas=["public"])
        seen = drill(shop, scratch, selection="any").ok()["verification"]
        assert seen["proven"], seen
        assert seen["rows_compared"] == 10
        assert any("auth.uid()" in each for each in seen["skipped"])
        database.execute("INSERT INTO auth.users SELECT owner FROM note")
        database.execute("ALTER TABLE note ADD FOREIGN KEY (owner) REFERENCES auth.users")
        shop.backup("b2", schemas=["public"])
        seen = drill(shop, scratch, selection="any").ok()["verification"]
        assert not seen["proven"]
        assert "table auth.users is not in the backup" in seen["not_provable_here"][0]
        assert seen["rows_compared"] == 10


def test_of_the_checks_schema_only_amchecks_own_functions_are_granted(database: Database) -> None:
    """A backup may keep amcheck beside functions that are a superuser's."""
    context = run_context()
    maintenance = database.sibling("postgres")
    maintenance.execute(f"CREATE ROLE {LOADER}")
    way = connector(database.args, context)
    try:
        with way.open() as session:
            assert make_extension(session, "pg_visibility", "tools")
            assert make_extension(session, "amcheck", "tools")
        for function, granted in (
            ("bt_index_check(regclass)", True),
            ("verify_heapam(regclass, boolean, boolean, text, bigint, bigint)", True),
            ("pg_truncate_visibility_map(regclass)", False),
        ):
            query = "SELECT has_function_privilege(%s, %s, 'EXECUTE')"
            assert database.value(query, LOADER, f"tools.{function}") is granted, function
    finally:
        way.close()
        database.execute(f"DROP OWNED BY {LOADER}")
        maintenance.execute(f"DROP ROLE {LOADER}")
