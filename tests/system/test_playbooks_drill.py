# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook drill, as a user runs it: due once a month, red where it proved nothing, told by status."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_iso

from harness.age import key_pair
from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner
from harness.servers import Database, FileStoreAt, without_extension

INPUTS = {"backup": ""}


def back_up(run_module: ModuleRunner, database: Database, store: FileStoreAt) -> None:
    """As the runbook backup does, in a tenth of its time."""
    named = {"environment": "test", "name": "main", "backup_id": "b1"}
    run_module("postgres_backup", {**database.args, **store.args, **named}).ok()


def test_a_drill_is_due_once_a_month(
    run_playbook: PlaybookRunner, run_module: ModuleRunner, database: Database, file_store: FileStoreAt
) -> None:
    """The scenario of molecule tries it in check mode first, and runs it a second time."""
    database.execute("CREATE TABLE account (id int PRIMARY KEY); INSERT INTO account SELECT generate_series(1, 3)")
    variables = {
        "runbooks_environment": "test",
        "runbooks_store": file_store.url,
        "runbooks_postgres_bindir": [str(database.server.bindir)],
        "runbooks_drill_max_age": "35d",
        "drill_assertions": [{"name": "three", "sql": "SELECT count(*) FROM account", "expect": 3}],
    }
    hosts = {"main": {"database_url": database.url}}
    inventory = {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}}
    back_up(run_module, database, file_store)
    never = run_playbook("ops.runbooks.status", inventory=inventory).red().output
    assert "NEVER DRILLED" in never
    assert "failed (drill_overdue)" in never

    done = run_playbook("ops.runbooks.drill", inventory=inventory, extra_vars=INPUTS).ok()
    assert done.recap["main"]["changed"] == 1
    assert "3 rows in 1 table, restored in" in done.output
    assert "proven (allowed are" in run_playbook("ops.runbooks.status", inventory=inventory).ok().output

    # A month and more later.
    for key in file_store.keys("test/databases/main/"):
        if "/verifications/restore/" in key or "/verified/restore/" in key:
            document = json.loads(file_store.read(key))
            document["at"] = iso(parse_iso(document["at"]) - timedelta(days=36))
            file_store.write(key, json.dumps(document).encode())
    assert "OLDER than the" in run_playbook("ops.runbooks.status", inventory=inventory).red().output
    due = run_playbook("ops.runbooks.drill", inventory=inventory, extra_vars=INPUTS, check=True).ok()
    assert due.recap["main"]["changed"] == 1
    assert "a private server of PostgreSQL" in due.output

    # What it asserts must hold.
    variables["drill_assertions"] = [{"name": "four", "sql": "SELECT count(*) = 4 FROM account"}]
    refused = run_playbook("ops.runbooks.drill", inventory=inventory).red()
    assert "assertion four returned False instead of True" in refused.output
    assert "Result: failed (verification_failed)" in refused.output


def test_what_cannot_be_proven_is_red(
    run_playbook: PlaybookRunner,
    run_module: ModuleRunner,
    database: Database,
    file_store: FileStoreAt,
    tmp_path: Path,
) -> None:
    database.execute("CREATE EXTENSION hstore; CREATE TABLE account (id int PRIMARY KEY, tags hstore)")
    variables = {
        "runbooks_environment": "test",
        "runbooks_store": file_store.url,
        "runbooks_postgres_bindir": [str(database.server.bindir)],
    }
    hosts = {"main": {"database_url": database.url}}
    inventory = {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}}
    back_up(run_module, database, file_store)
    variables["runbooks_postgres_bindir"] = [str(without_extension(database.server.bindir, "hstore", tmp_path))]
    refused = run_playbook("ops.runbooks.drill", inventory=inventory).red()
    assert "failed (not_proven)" in refused.output
    assert "extension hstore, which the server does not offer" in refused.output
    # Nobody asked for drills, so status stays green and says nothing of them.
    assert "complete (allowed are" in run_playbook("ops.runbooks.status", inventory=inventory).ok().output


def test_who_takes_encrypted_backups_need_not_read_them_and_a_drill_proves_who_can(
    run_playbook: PlaybookRunner, database: Database, file_store: FileStoreAt, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE account (id int PRIMARY KEY); INSERT INTO account SELECT generate_series(1, 3)")
    key = key_pair(tmp_path / "identity")
    variables: dict[str, Any] = {
        "runbooks_environment": "test",
        "runbooks_store": file_store.url,
        "runbooks_postgres_bindir": [str(database.server.bindir)],
        "runbooks_age_recipients": [f" {key.recipient}\n"],
    }
    hosts = {"main": {"database_url": database.url}}
    inventory = {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}}
    run_playbook("ops.runbooks.backup", inventory=inventory).ok()
    assert [key for key in file_store.keys("test/databases/main/backups/") if key.endswith("/database.dump.age")]
    bare = run_playbook("ops.runbooks.preflight", inventory=inventory).ok().output
    assert re.search(r"restore +WARNING +this machine has no identity", bare)
    assert re.search(r"drill +WARNING +no drill has decrypted a backup to all of", bare)
    assert "with 2 warnings above" in bare

    variables["runbooks_age_identity_file"] = str(key.path)
    run_playbook("ops.runbooks.drill", inventory=inventory, extra_vars={"backup": "latest"}).ok()
    ready = run_playbook("ops.runbooks.preflight", inventory=inventory).ok().output
    assert "which is encrypted with age, was decrypted and restored" in ready
    assert (
        "every runbook is ready\n" in ready or 'every runbook is ready"' in ready or "every runbook is ready." in ready
    )
    variables["runbooks_age_recipients"].append(key_pair(tmp_path / "another").recipient)
    anew = run_playbook("ops.runbooks.preflight", inventory=inventory).ok().output
    assert "no drill has decrypted a backup to all of runbooks_age_recipients yet" in anew
    assert key.secret not in bare + ready + anew
