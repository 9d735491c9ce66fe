# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first act: a database is lost and comes back.

Pagila is loaded, backed up to S3, partly destroyed, restored and compared row by row; a second backup shows that
nothing changes. The restored database takes the place of the live one and gives it back, and a drill proves the backup
on a server of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox import pagila
from sandbox.demo.stage import DATABASE, Stage

RESTORED = "pagila_restored"
#: What the demo destroys: the money with the views above it, half of the rentals, every customer's address.
DISASTER = """
DROP TABLE payment CASCADE;
DELETE FROM rental WHERE rental_id > 8000;
UPDATE customer SET email = NULL;
"""
#: Makes one query per table, filled materialised views included: its name, rows, and MD5 over all of them.
_FINGERPRINTS = """
SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), %L)) '
              'FROM %I.%I AS t',
              n.nspname || '.' || c.relname, '', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table's content, as short as it can be compared."""

    rows: int
    md5: str


class Database:
    """The steps, and what was measured."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._sandbox = stage.sandbox

    def run(self) -> dict[str, str]:
        """Everything, in order; what there is to tell of it."""
        stage = self._stage
        stage.heading("A live database: the DVD rental shop Pagila, loaded from its SQL")
        before = self.load()

        stage.heading("Preflight: may every runbook do its work here?")
        stage.runbook("preflight")

        stage.heading("Backup to S3")
        stage.runbook("backup", check=True)
        stage.say("--check wrote nothing", not stage.objects())
        backed_up = stage.runbook("backup")
        stage.say("a backup was made", backed_up.changed)
        manifest = self.manifest()

        stage.heading("Disaster: a migration gone wrong")
        destroyed_at = datetime.now(UTC)
        after = self.destroy(before)

        stage.heading("Restore beside what is left, from the store alone")
        stage.runbook("restore")
        inputs = {"backup": "latest", "target_database": RESTORED}
        began = time.monotonic()
        stage.runbook("restore", inputs=inputs)
        restored = self.fingerprints(RESTORED)
        rto = time.monotonic() - began
        stage.say(f"all {len(before)} tables are equal to those before the disaster, row by row", restored == before)
        stage.say("what was left of the live database was not touched", self.fingerprints(DATABASE) == after)

        stage.heading("The same commands again change nothing")
        stage.say("the restored database is there already", not stage.runbook("restore", inputs=inputs).changed)
        stage.say("the day's backup is there already", not stage.runbook("backup").changed)

        stage.heading("In the place of the live database, and back")
        self.swap(before, after)

        stage.heading("A drill: the backup is proven by a restore on a private server")
        stage.say("the backup was restored there and compared", stage.runbook("drill").changed)
        stage.say("no other drill is due", not stage.runbook("drill").changed)

        stage.heading("Status")
        stage.runbook("status", show=True)

        rows = sum(table.rows for table in before.values())
        rpo = (destroyed_at - datetime.fromisoformat(manifest["snapshot_at"])).total_seconds()
        return {
            "backup": manifest["backup_id"],
            "size": f"{sum(each['bytes'] for each in manifest['archives']):,} bytes in the store",
            "compared": f"{rows:,} rows of {len(before)} tables, by count and MD5",
            "measured RPO": f"{rpo:.1f} s between the backup's snapshot and the disaster",
            "measured RTO": f"{rto:.1f} s from the restore command to the last row compared",
        }

    def load(self) -> dict[str, Table]:
        """A fresh Pagila."""
        server = self._sandbox.postgres
        pagila.psql(server, "postgres", "-c", f"CREATE DATABASE {DATABASE}")
        pagila.load(server, DATABASE)
        tables = self.fingerprints(DATABASE)
        rows = sum(table.rows for table in tables.values())
        self._stage.say(f"{rows:,} rows in {len(tables)} tables", rows >= pagila.ROWS)
        return tables

    def destroy(self, before: Mapping[str, Table]) -> dict[str, Table]:
        """Damage that no deploy takes back."""
        pagila.psql(self._sandbox.postgres, DATABASE, "-c", DISASTER)
        after = self.fingerprints(DATABASE)
        lost = sum(table.rows for table in before.values()) - sum(table.rows for table in after.values())
        changed = sum(1 for name, table in before.items() if after.get(name) != table)
        self._stage.say(f"{lost:,} rows are gone, {changed} tables are not what they were", lost > 0)
        return after

    def swap(self, before: Mapping[str, Table], after: Mapping[str, Table]) -> None:
        """The restored database goes live under the old name; the one before is kept, and comes back."""
        inputs = {"restore_strategy": "swap", "restore_id": "the-demo"}
        self._stage.runbook("restore", inputs={**inputs, "backup": "latest"})
        self._stage.say("the live database is what it was before the disaster", self.fingerprints(DATABASE) == before)
        again = self._stage.runbook("restore", inputs={**inputs, "backup": "latest"})
        self._stage.say("the same command again changes nothing", not again.changed)
        self._stage.runbook("restore", inputs={**inputs, "undo": "yes"})
        self._stage.say("undone, it is the damaged one again", self.fingerprints(DATABASE) == after)
        again = self._stage.runbook("restore", inputs={**inputs, "undo": "yes"})
        self._stage.say("undone twice, nothing more changes", not again.changed)

    def fingerprints(self, database: str) -> dict[str, Table]:
        """Rows and MD5 of every table."""
        server = self._sandbox.postgres
        queries = pagila.psql(server, database, "-At", "-c", _FINGERPRINTS).splitlines()
        answer = pagila.psql(server, database, "-At", script=(";\n".join(queries) + ";").encode())
        fields = (line.split("|") for line in answer.splitlines())
        return {name: Table(rows=int(rows), md5=md5) for name, rows, md5 in fields}

    def manifest(self) -> dict[str, Any]:
        """The manifest of the only backup, which goes with the evidence."""
        (key,) = (key for key in self._stage.objects() if key.endswith("/manifest.json"))
        body = self._sandbox.s3.client().get_object(Bucket=self._sandbox.s3.bucket, Key=key)["Body"].read()
        (self._stage.evidence / "manifest.json").write_bytes(body)
        manifest: dict[str, Any] = json.loads(body)
        return manifest
