# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What comes back is what was backed up: object by object, row by row, for a real database and for a nasty one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from harness.modules import ModuleRunner, Outcome
from harness.servers import Database, StoreAt, fresh_database
from roundtrip import nasty_database
from roundtrip.compare import compare
from sandbox import pagila

if TYPE_CHECKING:
    from sandbox import PostgresServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a database is filled with, and a beginning for its name."""

    prefix: str
    load: Callable[[Database], None]


CONTENTS = {
    "pagila": Content(prefix="pagila", load=lambda database: pagila.load(database.server, database.name)),
    "nasty": Content(prefix=nasty_database.NAME, load=nasty_database.load),
}

#: Server, content, store, options of the backup. Each store and each compression meets each server and each content.
CASES = [
    ("18", "nasty", "s3", {"compression": "auto", "include_globals": True}),
    ("18", "nasty", "file", {"compression": "none"}),
    ("18", "pagila", "file", {"compression": "zstd", "compression_level": 19}),
    ("18", "pagila", "s3", {"compression": "gzip", "row_counts": "none"}),
    ("15", "nasty", "file", {"compression": "auto"}),
    ("15", "nasty", "s3", {"compression": "none", "row_counts": "exact"}),
    ("15", "pagila", "s3", {"compression": "gzip", "compression_level": 9}),
    ("15", "pagila", "file", {"compression": "none", "include_globals": True}),
    ("18", "nasty", "s3", {"jobs": 4, "jobs_min_table_bytes": 1}),
    ("15", "nasty", "file", {"jobs": 2, "jobs_min_table_bytes": 1}),
]


@contextmanager
def loaded(server: PostgresServer, content: Content) -> Iterator[Database]:
    """A filled database; a restored one whose name begins with its name is dropped with it."""
    with fresh_database(server, content.prefix) as made:
        content.load(made)
        yield made


@pytest.mark.parametrize(
    ("major", "content", "store_kind", "options"), CASES, ids=lambda value: "" if isinstance(value, dict) else value
)
def test_round_trip(
    request: pytest.FixtureRequest,
    run_module: ModuleRunner,
    major: str,
    content: str,
    store_kind: str,
    options: dict[str, Any],
) -> None:
    server: PostgresServer = request.getfixturevalue("postgres" if major == "18" else "postgres15")
    store: StoreAt = request.getfixturevalue(f"{store_kind}_store")
    with loaded(server, CONTENTS[content]) as source:
        backup = _backup(run_module, source, store, backup_id="one", **options).ok()
        target = source.sibling(f"{source.name} restored")
        restore = _restore(run_module, source, store, backup="one", target_database=target.name).ok()

        assert backup.changed
        assert restore.changed
        assert restore["restore"]["skipped"] == []
        assert _differences(source, target) == []
        assert not _backup(run_module, source, store, backup_id="one", **options).ok().changed
        assert not _restore(run_module, source, store, backup="one", target_database=target.name).ok().changed
        if content == "pagila" and options.get("row_counts") != "none":
            assert backup["backup"]["rows"] == pagila.ROWS
            assert restore["restore"]["rows_compared"] == pagila.ROWS


@pytest.mark.parametrize("content", CONTENTS)
def test_a_backup_of_a_restored_database_restores_to_the_same_again(
    run_module: ModuleRunner, postgres: PostgresServer, file_store: StoreAt, content: str
) -> None:
    """What a restore changes would add up: the second generation is compared with the original."""
    with loaded(postgres, CONTENTS[content]) as source:
        child, grandchild = (source.sibling(f"{source.name} {generation}") for generation in ("child", "grandchild"))
        _backup(run_module, source, file_store, backup_id="one").ok()
        _restore(run_module, source, file_store, backup="one", target_database=child.name).ok()
        _backup(run_module, child, file_store, name="child", backup_id="two").ok()
        _restore(run_module, child, file_store, name="child", backup="two", target_database=grandchild.name).ok()
        assert _differences(source, grandchild) == []


@pytest.mark.parametrize("content", CONTENTS)
def test_a_backup_from_an_older_server_restores_to_a_newer_one(
    run_module: ModuleRunner, postgres: PostgresServer, postgres15: PostgresServer, s3_store: StoreAt, content: str
) -> None:
    """Catalogs of two majors are not comparable; rows, sequences and large objects are."""
    with loaded(postgres15, CONTENTS[content]) as source, fresh_database(postgres) as beside:
        if content == "nasty":
            # The roles are made by the script, on the server that it runs on.
            with loaded(postgres, CONTENTS[content]):
                pass
        target = beside.sibling(f"{beside.name} from 15")
        _backup(run_module, source, s3_store, backup_id="one").ok()
        where = {"environment": "newer", "source_environment": "test"}
        _restore(run_module, target, s3_store, backup="one", target_database=target.name, **where).ok()
        assert _differences(source, target, with_objects=False) == []


def test_a_backup_by_url_reaches_a_database_of_any_name(
    run_module: ModuleRunner, postgres: PostgresServer, file_store: StoreAt
) -> None:
    with loaded(postgres, CONTENTS["nasty"]) as source:
        args = {**file_store.args, "environment": "test", "name": "main", "bindir": source.args["bindir"]}
        args["database_url"] = postgres.url(source.name)
        outcome = run_module("postgres_backup", {**args, "backup_id": "by-url"}).ok()
        assert outcome["backup"]["database"]["name"] == source.name


@pytest.mark.parametrize("content", CONTENTS)
def test_the_commands_in_the_manifest_restore_it_with_stock_tools(
    run_module: ModuleRunner, postgres: PostgresServer, file_store: StoreAt, tmp_path: Path, content: str
) -> None:
    """After the loss of the database, on a machine where there is nothing of ours."""
    with loaded(postgres, CONTENTS[content]) as source:
        backup = _backup(run_module, source, file_store, backup_id="one", include_globals=True).ok()
        lost = source.sibling(f"{source.name} lost")
        _rename(source, lost)
        environment = {
            "PATH": os.pathsep.join([str(postgres.bindir), os.defpath]),
            "LC_ALL": "C.UTF-8",
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGUSER": postgres.user,
            "PGPASSWORD": postgres.password,
        }
        for command in backup["backup"]["restore_by_hand"]:
            done = subprocess.run(
                command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert _differences(lost, source) == []


def _rename(database: Database, to: Database) -> None:
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(database.name), sql.Identifier(to.name))
    with database.sibling("postgres").connect() as connection:
        connection.execute(statement)


def _backup(run_module: ModuleRunner, database: Database, store: StoreAt, **args: Any) -> Outcome:
    return run_module("postgres_backup", {"environment": "test", "name": "main", **database.args, **store.args, **args})


def _restore(run_module: ModuleRunner, database: Database, store: StoreAt, **args: Any) -> Outcome:
    return run_module(
        "postgres_restore", {"environment": "test", "name": "main", **database.args, **store.args, **args}
    )


def _differences(one: Database, other: Database, *, with_objects: bool = True) -> list[str]:
    found = compare(nasty_database.conninfo(one), nasty_database.conninfo(other), with_objects=with_objects)
    return [str(difference) for difference in found]
