# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests of restores: a database with a backup in a store, and what a server has before and after."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.modules import ModuleRunner, Outcome
from harness.servers import Database, FileStoreAt, StoreAt

ENVIRONMENT = "production"
NAME = "main"
#: Where everything about the database lies in the store.
ROOT = f"{ENVIRONMENT}/databases/{NAME}"


#: One migration that took something away, as a database remembers it.
MIGRATED = """
CREATE SCHEMA ops_runbooks;
CREATE TABLE ops_runbooks.migrations (
    name text PRIMARY KEY, phase text, state text, applied_at timestamptz DEFAULT now(), release text DEFAULT ''
);
INSERT INTO ops_runbooks.migrations VALUES ('0001_drop', 'contract', 'applied')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A database, the store with its backups, and the way to run modules on both."""

    database: Database
    store: StoreAt
    run: ModuleRunner
    suffix: str = field(default_factory=lambda: secrets.token_hex(3))

    @property
    def target(self) -> str:
        """The name that restores are given: a free one that goes with the database."""
        return f"{self.database.name}_{self.suffix}"

    @property
    def restored(self) -> Database:
        """The database that a restore makes."""
        return self.database.sibling(self.target)

    def backup(self, backup_id: str = "b1", **changes: Any) -> Outcome:
        """Back the database up."""
        given = {**self._common, **self.database.args, "backup_id": backup_id, "lock_lease": "5s"}
        return self.run("postgres_backup", {**given, **changes}).ok()

    def restore_args(self, **changes: Any) -> dict[str, Any]:
        """What a restore of the newest backup is told; ``None`` takes an option away."""
        login = {key: value for key, value in self.database.args.items() if key != "database"}
        given = {**self._common, **login, "target_database": self.target, "lock_lease": "5s"}
        if "at" not in changes:
            given["backup"] = "latest"
        return {key: value for key, value in {**given, **changes}.items() if value is not None}

    def restore(self, *, check: bool = False, diff: bool = False, **changes: Any) -> Outcome:
        """Restore."""
        return self.run("postgres_restore", self.restore_args(**changes), check=check, diff=diff)

    def info(self, **changes: Any) -> Outcome:
        """What backups there are."""
        return self.run("postgres_backup_info", {**self._common, **changes}).ok()

    def databases(self) -> dict[str, int]:
        """Databases of this test, that is with the target's beginning, and their oids."""
        query = "SELECT datname, oid FROM pg_database WHERE starts_with(datname, %s)"
        return dict(self.database.sibling("postgres").rows(query, self.target))

    def manifest(self, backup_id: str = "b1") -> dict[str, Any]:
        """A backup's manifest."""
        found: dict[str, Any] = json.loads(self.store.read(f"{ROOT}/backups/{backup_id}/manifest.json"))
        return found

    def edit_manifest(self, edit: Callable[[dict[str, Any]], None], backup_id: str = "b1") -> None:
        """Change a manifest behind the collection's back."""
        document = self.manifest(backup_id)
        edit(document)
        self.store.write(f"{ROOT}/backups/{backup_id}/manifest.json", json.dumps(document).encode())

    def archive(self, backup_id: str = "b1") -> str:
        """The key of a backup's only archive."""
        (only,) = self.manifest(backup_id)["archives"]
        return str(only["key"])

    def taken(self) -> list[str]:
        """Migrations that took something away, as the store says it."""
        keys = self.store.keys(f"{ROOT}/taken_away/")
        return [each["name"] for each in json.loads(self.store.read(max(keys)))["taken_away"]] if keys else []

    def marks(self) -> list[dict[str, Any]]:
        """What the store knows of restores, oldest first."""
        return [json.loads(self.store.read(key)) for key in self.store.keys(f"{ROOT}/restores/")]

    def with_target(self, suffix: str) -> Shop:
        """The same with another target."""
        return replace(self, suffix=suffix)

    @property
    def _common(self) -> Mapping[str, Any]:
        return {**self.store.args, "environment": ENVIRONMENT, "name": NAME}


def copied(shop: Shop, directory: Path, run: ModuleRunner) -> Shop:
    """The same database with a copy of its file store, to be damaged at will."""
    if not isinstance(shop.store, FileStoreAt):
        raise TypeError("only a file store can be copied")
    shutil.copytree(shop.store.directory, directory)
    store = FileStoreAt(url=f"file://{directory}", directory=directory)
    return replace(shop, store=store, run=run, suffix=secrets.token_hex(3))


@contextmanager
def nothing_new(shop: Shop) -> Iterator[None]:
    """Whatever happens inside, the server has the same databases and roles afterwards."""
    before = _server(shop)
    yield
    assert _server(shop) == before


def _server(shop: Shop) -> tuple[list[Any], list[Any]]:
    maintenance = shop.database.sibling("postgres")
    databases = maintenance.rows(
        "SELECT oid, datname, datacl::text FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1",
        shop.database.name,
    )
    return databases, maintenance.rows("SELECT oid, rolname FROM pg_roles ORDER BY 1")
