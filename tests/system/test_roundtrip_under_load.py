# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup of a database that is being written to is one moment of it, between the backup's start and its end."""

from __future__ import annotations

from harness.modules import ModuleRunner
from harness.servers import Database, StoreAt
from roundtrip import writers


def test_a_restored_database_is_one_moment_of_a_busy_one(
    run_module: ModuleRunner, database: Database, store: StoreAt
) -> None:
    with database.connect() as connection:
        writers.prepare(connection)
    common = {"environment": "test", "name": "main", **database.args, **store.args}
    restored = database.sibling(f"{database.name}_restored")

    with writers.Writers(database.url) as working:
        working.wait_for(20)
        before = list(working.committed)
        backup = run_module("postgres_backup", {**common, "backup_id": "busy", "row_counts": "exact"}).ok()
        after = list(working.begun)
        # Restoring beside the writers: they change what is there, not what was backed up.
        run_module("postgres_restore", {**common, "backup": "busy", "target_database": restored.name}).ok()
    assert working.failures == []
    assert min(end - start for start, end in zip(before, after, strict=True)) > 20, "nobody wrote meanwhile"

    with restored.connect() as connection:
        assert writers.broken_rules(connection) == []
        held = writers.progress(connection)
    assert all(start <= there <= end for start, there, end in zip(before, held, after, strict=True))
    assert backup["backup"]["rows"] == restored.value(
        "SELECT (SELECT count(*) FROM account) + (SELECT count(*) FROM entry) + (SELECT count(*) FROM queue)"
        " + (SELECT count(*) FROM zz_done) + (SELECT count(*) FROM filler)"
    )
    _same_rows_up_to(database, restored, held)


def test_the_rules_tell_a_mixture_of_moments(database: Database) -> None:
    """The proof above could fail: a copy taken table by table, as a careless tool would, breaks the rules."""
    with database.connect() as connection:
        writers.prepare(connection)
        with writers.Writers(database.url) as working:
            for table in ("account", "entry", "queue", "zz_done"):
                working.wait_for(min(working.committed) + 20)
                connection.execute(
                    f"CREATE SCHEMA IF NOT EXISTS copy; CREATE TABLE copy.{table} AS TABLE {table}".encode()
                )
        connection.execute("SET search_path = copy")
        assert len(writers.broken_rules(connection)) >= 3


def _same_rows_up_to(source: Database, restored: Database, held: list[int]) -> None:
    """Entries are never changed, so those of the snapshot are still there, as they were."""
    entries = (
        "SELECT id, writer, n, debit, credit, amount, saw FROM entry WHERE n <= (%s::int[])[writer + 1] ORDER BY id"
    )
    assert source.rows(entries, held) == restored.rows(entries, held)
