# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook restore with its other strategies: a lost table is found and restored, the way back is named."""

from __future__ import annotations

from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner
from harness.restores import Shop
from harness.servers import Database, FileStoreAt


def test_a_lost_table_and_a_restore_in_place(
    run_playbook: PlaybookRunner, run_module: ModuleRunner, database: Database, file_store: FileStoreAt
) -> None:
    database.execute("CREATE TABLE kept (a int PRIMARY KEY); CREATE TABLE lost (a int PRIMARY KEY)")
    database.execute("INSERT INTO kept VALUES (1), (2); INSERT INTO lost VALUES (1), (2), (3)")
    shop = Shop(database=database, store=file_store, run=run_module)
    shop.backup("b1", environment="test")
    database.execute("DROP TABLE lost; DELETE FROM kept WHERE a = 2")
    variables = {"runbooks_environment": "test", "runbooks_store": file_store.url}
    variables["runbooks_postgres_bindir"] = str(database.server.bindir)
    hosts = {"main": {"database_url": database.url}}
    inventory = {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}}
    target = f"{database.name}_lost"

    listed = run_playbook("ops.runbooks.restore", inventory=inventory, extra_vars={"restore_tables": "lost,kept"}).ok()
    assert "public.lost: 3 rows" in listed.finished.stdout

    tables = {"restore_strategy": "tables", "restore_tables": "lost", "backup": "b1", "target_database": target}
    refused = run_playbook("ops.runbooks.restore", inventory=inventory, extra_vars=tables).red()
    assert "restore_id=" in refused.finished.stdout
    restored = run_playbook(
        "ops.runbooks.restore", inventory=inventory, extra_vars={**tables, "restore_id": "inc1"}
    ).ok()
    assert "set -o pipefail; pg_dump --dbname=" in restored.finished.stdout
    assert database.sibling(target).value("SELECT count(*) FROM lost") == 3

    in_place = {"restore_strategy": "in_place", "backup": "b1", "restore_id": "inc2"}
    replaced = run_playbook("ops.runbooks.restore", inventory=inventory, extra_vars=in_place).ok()
    assert database.value("SELECT (SELECT count(*) FROM lost) + (SELECT count(*) FROM kept)") == 5
    assert "the way back is restore_strategy=in_place backup=before-inc2-" in replaced.output
    assert "yes, what is in the live database was replaced" in replaced.output
