# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrations that Prisma and Supabase run, by stand-ins of their commands that keep the tables of the real ones.

What is proven is ours: when a command is started, with what, and that its tables and not its words are believed.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.servers import Database, FileStoreAt

PRISMA = """#!{python}
import hashlib, os, pathlib, sys, uuid
import psycopg
if sys.argv[1:3] not in (["migrate", "deploy"], ["migrate", "resolve"]):
    raise SystemExit("this is no command of production: " + " ".join(sys.argv[1:]))
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
    db.execute('''CREATE TABLE IF NOT EXISTS _prisma_migrations (
      id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255)
      NOT NULL, logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(),
      applied_steps_count integer NOT NULL DEFAULT 0)''')
    failed = "finished_at IS NULL AND rolled_back_at IS NULL"
    if sys.argv[2] == "resolve":
        db.execute(f"UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = %s AND {{failed}}",
                   [sys.argv[4]])
        raise SystemExit(0)
    if db.execute(f"SELECT count(*) FROM _prisma_migrations WHERE {{failed}}").fetchone()[0]:
        raise SystemExit("Error: P3009 migrate found failed migrations in the target database")
    query = "SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL"
    done = {{name for (name,) in db.execute(query)}}
    for path in sorted(pathlib.Path("prisma/migrations").glob("*/migration.sql")):
        if path.parent.name in done or os.environ.get("PRETEND"):
            continue
        body, key = path.read_bytes(), str(uuid.uuid4())
        db.execute("INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES (%s, %s, %s)",
                   [key, hashlib.sha256(body).hexdigest(), path.parent.name])
        try:
            db.execute(body)
        except psycopg.Error as error:
            raise SystemExit(f"Error: P3018 A migration failed to apply. {{error}}")
        db.execute("UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = 1 WHERE id = %s", [key])
"""
SUPABASE = """#!{python}
import os, pathlib, sys
import psycopg
if sys.argv[1:] != ["migration", "up", "--local"]:
    raise SystemExit("unknown command: " + " ".join(sys.argv[1:]))
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
    db.execute("CREATE SCHEMA IF NOT EXISTS supabase_migrations")
    db.execute("CREATE TABLE IF NOT EXISTS supabase_migrations.schema_migrations (version text PRIMARY KEY,"
               " statements text[], name text)")
    done = {{v for (v,) in db.execute("SELECT version FROM supabase_migrations.schema_migrations")}}
    for path in sorted(pathlib.Path("supabase/migrations").glob("*.sql")):
        version, _, name = path.stem.partition("_")
        if version not in done:
            db.execute(path.read_bytes())
            db.execute("INSERT INTO supabase_migrations.schema_migrations VALUES (%s, NULL, %s)", [version, name])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A checkout with a tool in it."""

    database: Database
    store: FileStoreAt
    directory: Path
    run: ModuleRunner

    def write(self, path: str, text: str) -> Path:
        made = self.directory / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(text, encoding="utf-8")
        return made

    @property
    def taken(self) -> str:
        """What the store says that was taken away, last."""
        documents = self.store.keys("production/databases/main/taken_away/")
        return str(self.store.read(max(documents))) if documents else ""

    def __call__(self, tool: str, *, check: bool = False, **options: Any) -> Outcome:
        login = {name: value for name, value in self.database.args.items() if name != "bindir"}
        verbs = {
            "prisma": ["./prisma_cli/prisma", "migrate", "deploy"],
            "supabase": ["./bin/supabase", "migration", "up"],
        }
        command = verbs[tool] + (["--local"] if tool == "supabase" else [])
        given = {"adapter": tool, "command": command, "chdir": str(self.directory)}
        given |= {"directory": str(self.directory / tool / "migrations"), "environment": "production", "name": "main"}
        return self.run("postgres_migration", {**self.store.args, **login, **given, **options}, check=check, diff=True)


@pytest.fixture
def project(database: Database, file_store: FileStoreAt, tmp_path: Path, run_module: ModuleRunner) -> Project:
    made = Project(database=database, store=file_store, directory=tmp_path / "checkout", run=run_module)
    for path, text in (("prisma_cli/prisma", PRISMA), ("bin/supabase", SUPABASE)):
        made.write(path, text.format(python=sys.executable)).chmod(0o755)
    return made


def test_prisma(project: Project) -> None:
    project.write("prisma/migrations/migration_lock.toml", 'provider = "postgresql"')
    first = 'CREATE TABLE "User" (id int PRIMARY KEY); CREATE UNIQUE INDEX u ON "User"(id);'
    project.write("prisma/migrations/20260101000000_init/migration.sql", first)
    predicted = project("prisma", check=True).ok()
    assert predicted["plan"]["steps"] == ["run ./prisma_cli/prisma migrate deploy for 20260101000000_init"]
    assert project.database.value("SELECT to_regclass('_prisma_migrations')") is None
    done = project("prisma").ok()
    assert (done.changed, done["plan"]) == (True, predicted["plan"])
    assert done["migration"]["head"] == "20260101000000_init"
    assert project.database.server.password not in done.everything
    assert not project("prisma").ok().changed

    # It would run what is for later, too.
    later = "prisma/migrations/20260102000000_drop/migration.sql"
    project.write(later, "-- runbooks: phase=contract\nDROP INDEX u")
    assert not project("prisma").ok().changed
    project.write("prisma/migrations/20260103000000_more/migration.sql", "CREATE TABLE more (id int)")
    assert "20260102000000_drop is for later" in project("prisma").refused("migration_unusable").message
    assert project("prisma", phase="all").ok()["migration"]["head"] == "20260103000000_more"

    # A checkout that lacks it does not make the store forget it, and what only the store lacks starts nothing.
    (project.directory / later).rename(project.directory / "kept")
    assert not project("prisma").ok().changed
    assert "20260102000000_drop" in project.taken
    (project.directory / "kept").rename(project.directory / later)
    for key in project.store.keys("production/databases/main/taken_away/"):
        project.store.remove(key)
    new = project.write("prisma/migrations/20260103500000_new/migration.sql", "CREATE TABLE new (id int)")
    clear = {"state": "resolved", "migration": "20260103500000_new", "resolve_as": "rolled_back"}
    assert project("prisma", **clear).ok().changed
    assert "20260102000000_drop" in project.taken
    assert project.database.value("SELECT to_regclass('new')") is None
    new.unlink()
    new.parent.rmdir()

    # One that fails, and how it is cleared.
    bad = project.write("prisma/migrations/20260104000000_bad/migration.sql", "CREATE TABLE more (id int)")
    assert "P3018" in project("prisma").refused("migration_failed").message
    stuck = project("prisma").refused("migration_unfinished")
    assert "resolve_as=rolled_back" in stuck.message
    clear = {"state": "resolved", "migration": "20260104000000_bad", "resolve_as": "rolled_back"}
    assert project("prisma", check=True, **clear).ok().changed
    assert project("prisma", **clear).ok().changed
    assert not project("prisma", **clear).ok().changed
    good = {**clear, "migration": "20260103000000_more"}
    assert "it has not failed" in project("prisma", **good).refused("migration_unusable").message
    bad.write_text("CREATE TABLE other (id int)")
    assert project("prisma").ok()["migration"]["head"] == "20260104000000_bad"

    # What it runs is what it reads, which may be another checkout than the one that was judged.
    judged = project.directory / "judged"
    shutil.copytree(project.directory / "prisma" / "migrations", judged)
    for place, kind in ((judged, "int"), (project.directory / "prisma" / "migrations", "bigint")):
        project.write(f"{place}/20260105000000_last/migration.sql", f"CREATE TABLE last (id {kind})")
    other = project("prisma", directory=str(judged)).refused("migration_drift")
    assert "of 20260105000000_last it has run other contents" in other.message

    project.write(later, "-- runbooks: phase=contract\nDROP TABLE more")
    project("prisma").refused("migration_drift")
    project("prisma", state="rolled_back", migration="20260104000000_bad").refused("migration_unusable")


def test_supabase_and_a_command_that_did_nothing(project: Project) -> None:
    project.write("supabase/migrations/20260101000000_init.sql", "CREATE TABLE a (id int)")
    idle = project.write("bin/idle/supabase", "#!/bin/sh\nexit 0\n")
    idle.chmod(0o755)
    idling = ["./bin/idle/supabase", "migration", "up", "--local"]
    astray = project("supabase", check=True).refused("command_refused")
    assert "--local goes to 127.0.0.1:54322" in astray.message
    linked = project("supabase", command=["./bin/supabase", "migration", "up", "--linked"])
    assert "supabase link" in linked.refused("command_refused").message
    project.write("supabase/config.toml", f"[db]\nport = {project.database.args['login_port']}\n")
    assert "is not recorded" in project("supabase", command=idling).refused("migration_failed").message
    project("supabase", command=["supabase", "db", "reset", "--linked"]).refused("command_refused")
    assert project("supabase").ok().changed
    assert not project("supabase").ok().changed
    assert project("supabase").ok()["migration"]["head"] == "20260101000000_init"
