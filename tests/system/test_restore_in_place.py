# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores in place: a Supabase-shaped database becomes what it was, in one transaction, or stays what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from harness.children import until
from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.restores import ENVIRONMENT, MIGRATED, NAME, ROOT, Shop, copied
from harness.servers import FileStoreAt, fresh_database, fresh_file_store
from harness.supabase import USER, Project, project
from roundtrip import nasty_database
from roundtrip.compare import compare

if TYPE_CHECKING:
    from sandbox import PostgresServer

#: What happens to the project after the backup.
DAMAGE = f"""
DELETE FROM public.note WHERE id > 5; TRUNCATE public.secret; INSERT INTO public.event VALUES (2, '2026-06-06');
DROP POLICY own ON public.note; ALTER TABLE public.secret DISABLE ROW LEVEL SECURITY;
SET ROLE {USER};
GRANT ALL ON public.secret TO anon; CREATE TABLE public.newer (id int); INSERT INTO public.newer VALUES (1);
CREATE FUNCTION public.later() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM service_role;
GRANT CREATE ON SCHEMA public TO anon;
"""
ROWS = 42
#: Writes down how long statements that make something would wait for locks. It is in nobody's backup.
SEEN = f"""
CREATE SCHEMA seen; CREATE TABLE seen.limits (waits text, looks text);
ALTER SCHEMA seen OWNER TO {USER}; ALTER TABLE seen.limits OWNER TO {USER};
CREATE FUNCTION seen.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN
    INSERT INTO seen.limits
    VALUES (current_setting('lock_timeout'), current_setting('client_connection_check_interval'));
END$$;
CREATE EVENT TRIGGER seeing ON ddl_command_end EXECUTE FUNCTION seen.note();
"""
#: Opens tables behind the back of whoever makes them, also to those to whom they are open for something else.
OPENING = """
CREATE SCHEMA seen;
CREATE FUNCTION seen.open() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN
    GRANT SELECT ON public.secret TO anon; GRANT ALL ON public.profile TO anon;
    GRANT UPDATE (nick) ON public.profile TO authenticator;
EXCEPTION WHEN undefined_table THEN NULL;
END$$;
CREATE EVENT TRIGGER opening ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION seen.open();
"""
#: Sessions that wait for a lock.
WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A damaged project with its store; ``before`` is what it looked like when it was backed up."""

    shop: Shop
    project: Project
    before: list[tuple[Any, ...]]
    damaged: list[tuple[Any, ...]]

    def args(self, **changes: Any) -> dict[str, Any]:
        given = {"strategy": "in_place", "restore_id": "inc7", "target_database": None, "backup": "b1", "jobs": 1}
        return self.shop.restore_args(**{**given, **self.project.login, **changes})

    def restore(self, *, check: bool = False, **changes: Any) -> Outcome:
        return self.shop.run("postgres_restore", self.args(**changes), check=check)

    def untouched(self) -> bool:
        return self.project.picture() == self.damaged

    def backups(self) -> list[str]:
        """Identities of complete backups, the first one apart."""
        keys = self.shop.store.keys(f"{ROOT}/backups/")
        return [key.split("/")[-2] for key in keys if key.endswith("/manifest.json") and "/b1/" not in key]


@pytest.fixture(scope="module")
def made(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """The project, two backups of it with one archive and with several, and then the damage."""
    directory = tmp_path_factory.mktemp("in_place")
    with project(postgres) as supa:
        run = ModuleRunner(directory / "home")
        shop = Shop(database=supa.database, store=fresh_file_store(directory / "store"), run=run)
        shop.backup("b1", **supa.login)
        before = supa.picture()
        supa.database.execute(DAMAGE)
        yield Case(shop=shop, project=supa, before=before, damaged=supa.picture())


@pytest.fixture
def case(made: Case, tmp_path: Path, run_module: ModuleRunner) -> Case:
    """The same with a store and a database of this test's own."""
    shop = copied(made.shop, tmp_path / "store", run_module)
    name, original = shop.target, made.project.database.name
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
    with shop.database.sibling("postgres").connect() as connection:
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(original), sql.Identifier(USER)))
    for key in shop.store.keys(ROOT):
        if "/binding/" in key:
            shop.store.write(key, shop.store.read(key).replace(original.encode(), name.encode()))
    database = made.project.database.sibling(name)
    own = replace(made, shop=replace(shop, database=database), project=replace(made.project, database=database))
    assert own.untouched()
    return own


def test_the_project_is_what_it_was_and_the_way_back_leads_back(case: Case) -> None:
    keys = case.shop.store.keys()
    predicted = case.restore(check=True).ok()
    assert case.untouched()
    assert case.shop.store.keys() == keys
    newer = predicted["restore"]["newer"]
    assert "table public.note: 5 rows now, 20 in the backup" in newer
    assert "table public.newer: dropped with its 1 row, the backup does not have it" in newer
    assert set(newer) < set(predicted["plan"]["irreversible"])
    assert "for readers too" in "".join(predicted["plan"]["steps"])
    assert f"Role {USER} may not lock auth.users first: " in "".join(predicted["plan"]["steps"])
    assert "trigger on_auth_user_created on table auth.users" in "".join(predicted["plan"]["steps"])
    assert any(
        each.startswith("schema auth of supabase (2 tables, 20 rows") for each in predicted["restore"]["left_alone"]
    )

    with case.project.database.connect() as listener:
        listener.execute("LISTEN pgrst")
        done = case.restore().ok()
        assert [each.payload for each in listener.notifies(timeout=10, stop_after=1)] == ["reload schema"]
    restore = done["restore"]
    assert case.project.picture() == case.before
    assert restore.keys() == predicted["restore"].keys()
    assert restore["rows_compared"] == ROWS
    assert restore["schemas"] == ["public"]
    assert "default privileges of role supabase_admin" in "".join(restore["skipped"])
    held = case.shop.info(selection="any")["backups"]["candidates"][0]
    assert (held["id"], held["kind"]) == (restore["pre_restore_backup"], "pre_restore")
    assert held["held"]

    keys = case.shop.store.keys()
    again = case.restore().ok()
    assert not again.changed
    assert again["restore"] == restore
    assert case.shop.store.keys() == keys

    assert f"backup={held['id']} restore_id=inc7-back" in restore["way_back"]
    case.restore(backup=held["id"], restore_id="inc7-back").ok()
    assert case.untouched()


def test_what_is_recorded_of_migrations_goes_back_with_what_they_did(case: Case) -> None:
    """They were first run after the backup, which therefore has nothing of that: to the next run they are pending."""
    case.project.database.execute(f"SET ROLE {USER}; {MIGRATED}")
    predicted = case.restore(check=True).ok()["restore"]
    assert "table ops_runbooks.migrations: dropped with its 1 row, the backup does not have it" in predicted["newer"]
    done = case.restore().ok()["restore"]
    assert done["schemas"] == predicted["schemas"] == ["ops_runbooks", "public"]
    assert case.project.database.value("SELECT to_regclass('ops_runbooks.migrations')") is None
    assert case.shop.taken() == []
    case.restore(backup=done["pre_restore_backup"], restore_id="inc7-back").ok()
    assert case.project.database.value("SELECT name FROM ops_runbooks.migrations") == "0001_drop"
    assert case.shop.taken() == ["0001_drop"]
    case.restore(restore_id="inc8").ok()
    assert case.shop.taken() == []


def test_everything_that_postgresql_has_is_dropped_and_made_again(
    postgres: PostgresServer, tmp_path: Path, run_module: ModuleRunner
) -> None:
    """Every kind of object, under names that nobody should choose; what belongs to the database itself stays."""
    with fresh_database(postgres, nasty_database.NAME) as database:
        nasty_database.load(database)
        other = database.sibling(f"{database.name} as it was")
        with database.sibling("postgres").connect() as connection:
            copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(copy.format(sql.Identifier(other.name), sql.Identifier(database.name)))
        shop = Shop(database=database, store=fresh_file_store(tmp_path / "store"), run=run_module)
        shop.backup("b1")
        given = {"strategy": "in_place", "restore_id": "inc7", "target_database": None, "database": database.name}
        done = shop.restore(**given).ok()["restore"]
        assert done["skipped"] == []
        assert done["left_alone"] == ["1104 large objects, which belong to no schema"]
        ours = ("comment this database", "database this database", "setting ")
        found = compare(nasty_database.conninfo(other), nasty_database.conninfo(database))
        assert [each for each in map(str, found) if not each.startswith(ours)] == []


def test_without_privileges_nobody_gains_any_and_default_ones_stay(case: Case) -> None:
    """And what pg_restore makes waits for locks no longer than all else, whatever it says about that itself."""
    database = case.project.database
    database.execute(SEEN)
    case.restore(privileges="skip").ok()
    after = case.project.picture()
    assert [row for row in after if row[0] == "default"] == [row for row in case.damaged if row[0] == "default"]
    assert [row for row in after if row[0] == "rows"] == [row for row in case.before if row[0] == "rows"]
    granted = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relacl IS NOT NULL"
    assert database.rows(granted) == []
    assert database.rows("SELECT DISTINCT waits, looks FROM seen.limits WHERE waits <> '500ms'") == [("1min", "2s")]


def test_the_whole_project_beside_and_in_a_drill(case: Case) -> None:
    """With the schemas, roles and policies of the platform, where nobody has made these before."""
    case.shop.with_target(f"{case.shop.suffix}_beside").restore().ok()
    beside = case.project.database.sibling(f"{case.shop.target}_beside")
    assert replace(case.project, database=beside).picture() == case.before
    given = {**case.shop.store.args, "environment": ENVIRONMENT, "name": NAME, "backup": "b1", "level": "restore"}
    given["bindir"] = [str(case.project.database.server.bindir)]
    seen = case.shop.run("postgres_backup_verify", given).ok()["verification"]
    assert seen["proven"], seen["not_provable_here"]


def test_what_extensions_have_made_stays_as_it_is(case: Case) -> None:
    """A table that belongs to another role, with grants, which pg_dump writes down since the extension has not made
    them.
    """
    case.project.database.execute(
        "CREATE TABLE public.spatial (id int); ALTER EXTENSION hstore ADD TABLE public.spatial;"
        f"GRANT SELECT ON public.spatial TO anon, {USER}; GRANT UPDATE (id) ON public.spatial TO anon"
    )
    picture = case.project.picture()
    case.shop.backup("b2", accept_shrink=True, **case.project.login)
    case.restore(backup="b2", restore_id="inc8").ok()
    assert case.project.picture() == picture


def test_several_archives_and_a_role_that_is_gone(case: Case) -> None:
    database, role = case.project.database, f"supa_{case.shop.suffix}"
    case.restore().ok()
    database.execute(f"CREATE ROLE {role}; GRANT SELECT ON public.note TO {role}")
    picture = case.project.picture()
    case.shop.backup("b2", jobs=2, jobs_min_table_bytes=1, **case.project.login)
    assert len(case.shop.manifest("b2")["archives"]) > 2
    database.execute(f"{DAMAGE}; RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
    assert role in case.restore(backup="b2", restore_id="inc8").refused("role_missing").message
    done = case.restore(backup="b2", restore_id="inc8", roles="create_nologin").ok()
    assert done["restore"]["roles_created"] == [role]
    assert case.project.picture() == picture
    database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_an_older_server(made: Case, postgres15: PostgresServer, tmp_path: Path, run_module: ModuleRunner) -> None:
    """It takes its own backups, and none of a newer server, whoever adopts its name."""
    with project(postgres15) as supa:
        shop = Shop(database=supa.database, store=fresh_file_store(tmp_path / "store"), run=run_module)
        shop.backup("b1", **supa.login)
        before = supa.picture()
        supa.database.execute(DAMAGE)
        old = replace(made, shop=shop, project=supa, before=before, damaged=supa.picture())
        new = replace(old, shop=replace(shop, store=copied(made.shop, tmp_path / "newer", run_module).store))
        new.restore(adopt=True).refused("server_too_old")
        assert old.untouched()
        old.restore().ok()
        assert supa.picture() == before


def test_an_extension_that_the_server_no_longer_has(case: Case, tmp_path: Path) -> None:
    files = tmp_path / "share" / "extension"
    files.mkdir(parents=True)
    (files / "glue.control").write_text("default_version = '1.0'\n", encoding="utf-8")
    (files / "glue--1.0.sql").write_text("CREATE DOMAIN glue AS int;\n", encoding="utf-8")
    case.project.database.execute(
        f"SET extension_control_path = '$system:{files.parent}'; CREATE EXTENSION glue SCHEMA extensions;"
        f"SET ROLE {USER}; CREATE TABLE public.glued (at extensions.glue)"
    )
    case.shop.backup("b2", accept_shrink=True, **case.project.login)
    case.project.database.execute("DROP EXTENSION glue CASCADE")
    picture = case.project.picture()
    assert "extension glue" in case.restore(backup="b2", restore_id="inc8").refused("extension_missing").message
    assert case.project.picture() == picture


def test_whoever_signs_up_meanwhile_neither_fails_nor_is_in_the_way(case: Case) -> None:
    """One that holds a table of the platform, and then waits for ours while we wait for that."""
    database = case.project.database
    with database.connect() as visitor:
        visitor.execute("BEGIN; LOCK TABLE auth.users IN ROW EXCLUSIVE MODE")
        child = case.shop.run.start("postgres_restore", case.args())
        until(lambda: database.rows(f"{WAITING} AND starts_with(query, 'DROP')"))
        # Its trigger writes to public.profile.
        visitor.execute("INSERT INTO auth.users VALUES (gen_random_uuid(), 'new@example.com')")
        visitor.execute("COMMIT")
    read_outcome(child.wait(60)).ok()
    assert case.project.picture() == case.before
    assert database.value("SELECT count(*) FROM auth.users") == 21


@pytest.mark.parametrize(
    ("hold", "stage"),
    [
        ("LOCK TABLE auth.users IN ACCESS EXCLUSIVE MODE", "started"),
        ("LOCK TABLE public.note IN ACCESS SHARE MODE", "prepared"),
        ("LOCK TABLE auth.users IN ROW EXCLUSIVE MODE", "prepared"),
    ],
    ids=["while it backs up", "while it locks", "within the transaction"],
)
def test_killed_at_each_stage_the_same_command_succeeds(case: Case, hold: str, stage: str) -> None:
    database = case.project.database
    with database.connect() as holder:
        holder.execute(f"BEGIN; {hold}".encode())
        child = case.shop.run.start("postgres_restore", case.args())
        until(lambda: case.shop.marks() and case.shop.marks()[-1]["phase"] == stage and database.rows(WAITING))
        child.kill()
        child.wait()
        if stage == "prepared":
            # Nobody has let go of anything yet: the server has seen that the run is gone.
            until(lambda: not database.rows(WAITING), seconds=30)
        holder.execute("ROLLBACK")
    until(lambda: not database.rows(f"{WAITING} OR state LIKE 'idle in%%' AND datname = current_database()"))
    assert case.untouched()
    assert case.backups() == ([] if stage == "started" else [case.shop.marks()[-1]["before"]])
    assert case.restore().ok().changed
    assert case.project.picture() == case.before
    assert not case.restore().ok().changed


def test_a_run_that_loses_its_lock_waits_no_longer(case: Case) -> None:
    """It waits first for the table of the platform that is tied to what goes, while all others are free."""
    database = case.project.database
    database.execute(f"GRANT UPDATE ON auth.users TO {USER}")
    picture = case.project.picture()
    assert ", and auth.users, to which keys" in "".join(case.restore(check=True).ok()["plan"]["steps"])
    store = case.shop.store
    assert isinstance(store, FileStoreAt)
    away = store.directory.with_name("away")
    with database.connect() as holder:
        holder.execute("BEGIN; LOCK TABLE auth.users IN ROW EXCLUSIVE MODE")
        child = case.shop.run.start("postgres_restore", case.args())
        until(lambda: case.shop.marks() and case.shop.marks()[-1]["phase"] == "prepared" and database.rows(WAITING))
        locks = "SELECT relation::regclass::text FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
        assert not [name for (name,) in database.rows(f"{locks} AND relation IS NOT NULL") if "note" in name]
        store.directory.rename(away)
        store.directory.touch()
        read_outcome(child.wait(60)).refused("lock_lost")
        holder.execute("ROLLBACK")
    assert case.project.picture() == picture


def test_the_server_knows_whether_it_became_final(case: Case) -> None:
    """The last word of a run that died around the commit is in the store only where it came to write it."""
    first = case.restore().ok()["restore"]
    *_before, last = case.shop.store.keys(f"{ROOT}/restores/")
    case.shop.store.remove(last)
    again = case.restore().ok()
    assert again.changed
    assert again["plan"]["steps"][0].startswith("Record")
    assert again["restore"] == first

    *_before, replacing, last = case.shop.store.keys(f"{ROOT}/restores/")
    case.shop.store.remove(last)
    document = json.loads(case.shop.store.read(replacing))
    with case.project.database.connect() as other:
        other.execute("BEGIN")
        (number,) = other.execute("SELECT pg_current_xact_id()::text").fetchone() or ("",)
        case.shop.store.write(replacing, json.dumps({**document, "transaction": number}).encode())
        refused = case.restore().refused("outcome_unknown")
        assert refused["failure"]["pre_restore_backup"] == first["pre_restore_backup"]
        other.execute("ROLLBACK")
    case.project.database.execute(DAMAGE)
    assert case.restore().ok()["plan"]["steps"][0].startswith("Read backup")
    assert case.project.picture() == case.before


def test_a_damaged_archive_is_found_before_anything_is_locked(case: Case) -> None:
    key = case.shop.archive()
    whole = case.shop.store.read(key)
    place = len(whole) - 60
    case.shop.store.write(key, whole[:place] + bytes((whole[place] ^ 0x10,)) + whole[place + 1 :])
    with case.project.database.connect() as reader:
        reader.execute("BEGIN; SELECT FROM public.note")
        refused = case.restore().refused("object_corrupt")
    assert refused["restore"]["in_place"] == "reading"
    case.shop.store.write(key, whole[:place])
    case.restore().refused("object_corrupt")
    assert case.untouched()
    assert not case.backups()


def test_what_differs_does_not_become_final(case: Case) -> None:
    case.shop.edit_manifest(lambda document: document["tables"][0].update(policies=["never"]))
    case.shop.edit_manifest(
        lambda document: [each.update(rows=99) for each in document["tables"] if each["name"] == "secret"]
    )
    case.project.database.execute(OPENING)
    picture = case.project.picture()
    refused = case.restore().refused("restore_mismatch")
    assert "public.secret has 1 row instead of 99" in refused.message
    for opened in (
        "public.secret is open to anon (SELECT)",
        "public.profile is open to anon (DELETE, ",
        "public.profile, column nick, is open to authenticator (UPDATE)",
    ):
        assert opened in refused.message
    assert refused["restore"]["way_back"].endswith("restore_id=inc7-back")
    assert case.project.picture() == picture


def test_the_way_back_comes_first(case: Case) -> None:
    """Where no backup can be taken, nothing is restored."""
    case.project.database.execute("CREATE TABLE auth.hidden (id int); ALTER TABLE auth.hidden OWNER TO supabase_admin")
    refused = case.restore().refused("privilege_missing")
    assert refused["restore"]["in_place"] == "backing up"
    case.project.database.execute("DROP TABLE auth.hidden")
    assert case.untouched()


IN_THE_WAY = {
    "outside": "CREATE SCHEMA reports; CREATE VIEW reports.notes AS SELECT body FROM public.note",
    "rights": "CREATE SCHEMA app; ALTER TABLE public.newer OWNER TO supabase_admin; "
    "ALTER DATABASE {0} OWNER TO supabase_admin",
    "grants": "GRANT SELECT ON public.note TO anon WITH GRANT OPTION; "
    "SET ROLE anon; GRANT SELECT ON public.note TO service_role",
    "subscriptions": "CREATE SUBSCRIPTION {0} CONNECTION '' PUBLICATION p WITH (connect = false, slot_name = NONE);"
    "SET allow_system_table_mods = on; INSERT INTO pg_subscription_rel SELECT oid, 'public.note'::regclass, 'i' "
    "FROM pg_subscription WHERE subname = '{0}'",
}


@pytest.mark.parametrize("why", [*IN_THE_WAY, "suspect", "partial", "empty"])
def test_refused_by_name(case: Case, why: str) -> None:
    if why in IN_THE_WAY:
        case.project.database.execute(IN_THE_WAY[why].format(case.project.database.name))
    if why == "suspect":
        case.shop.edit_manifest(lambda document: document.update(state="suspect", suspect_reason="3 rows"))
    if why == "partial":
        case.shop.edit_manifest(lambda document: document["selection"].update(exclude_tables=["public.note"]))
    if why == "empty":
        case.shop.edit_manifest(lambda document: document["platform"].update(managed_schemas=["public"]))
    if why == "grants":
        case.shop.backup("b2", accept_shrink=True, **case.project.login)
    damaged = case.project.picture()
    refused = case.restore(backup="b2" if why == "grants" else "b1", check=True).refused("in_place_refused")
    if why == "subscriptions":
        case.project.database.execute(f"DROP SUBSCRIPTION {case.project.database.name}")
    assert refused["failure"]["refused"] == why
    assert case.project.picture() == damaged
    if why == "outside":
        assert "view reports.notes" in refused.message


def test_what_cannot_be_meant_is_refused(case: Case) -> None:
    guarded: dict[str, Any] = {"protected": True, "disk_free": 2**40}
    assert f"{ENVIRONMENT}/{NAME}" in json.dumps(case.restore(check=True, **guarded).ok()["warnings"])
    case.restore(**guarded).refused("confirmation_missing")
    case.restore(confirm=f"staging/{NAME}", **guarded).refused("confirmation_missing")
    assert "restore_id" in case.restore(restore_id=None).refused("invalid_parameter").message
    case.restore(state="reverted", backup=None).refused("invalid_parameter")
    case.restore(target_database="other").refused("invalid_parameter")
    case.restore(disk_free=1).refused("disk_too_small")
    case.restore(database=case.shop.database.name[:-7]).refused("store_binding_mismatch")
    assert case.untouched()
    assert not case.backups()
