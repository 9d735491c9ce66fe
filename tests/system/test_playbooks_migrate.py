# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook migrate: a backup, then what is pending; and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner
from harness.servers import Database, FileStoreAt


def test_over_a_backup_and_back(
    run_playbook: PlaybookRunner, run_module: ModuleRunner, database: Database, file_store: FileStoreAt, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)")
    directory = tmp_path / "migrations"
    directory.mkdir()
    (directory / "0001_note.up.sql").write_text("ALTER TABLE orders ADD COLUMN note text")
    (directory / "0001_note.down.sql").write_text("ALTER TABLE orders DROP COLUMN note")
    (directory / "0002_no_id.sql").write_text("-- runbooks: phase=contract\nALTER TABLE orders DROP COLUMN id")
    variables: dict[str, Any] = {"runbooks_environment": "test", "runbooks_store": file_store.url}
    variables |= {"runbooks_postgres_bindir": str(database.server.bindir), "runbooks_protected": True}
    hosts = {"main": {"database_url": database.url, "migrations_directory": str(directory)}}
    inventory = {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}}
    play = "ops.runbooks.migrate"

    done = run_playbook(play, inventory=inventory).ok()
    assert "ran 0001_note" in done.output
    assert "no, its schema has more than before" in done.output
    args = {**file_store.args, "environment": "test", "name": "main"}
    backups = run_module("postgres_backup_info", args).ok()["backups"]
    assert [each["kind"] for each in backups["candidates"]] == ["pre_migration"]
    assert backups["latest"]["rows"] == 1

    back = {"migration": "0001_note", "undo": "yes"}
    refused = run_playbook(play, inventory=inventory, extra_vars=back).red()
    assert "confirm=test/main" in refused.output
    undone = run_playbook(play, inventory=inventory, extra_vars={**back, "confirm": "test/main"}).ok()
    assert "took 0001_note back" in undone.output
    assert len(run_module("postgres_backup_info", args).ok()["backups"]["candidates"]) == 2
    columns = "SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = 'orders'::regclass"
    assert database.value(f"{columns} AND attnum > 0 AND NOT attisdropped") == "id"
