# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make demo``: the main jobs on real servers, from a live database to a proven restore, and releases of an app on it.

Pagila is loaded, backed up to S3, partly destroyed, restored and compared row by row; a second backup shows that
nothing changes. The restored database takes the place of the live one and gives it back, and a drill proves the backup
on a server of its own. Then an app on that database gets a good release and a bad one, and another password while
users ask it. Each step is the real runbook, run as a user runs it. What was proven is printed at the end; what proves
it stays in the evidence directory.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox import Sandbox, SandboxError, pagila
from sandbox.demo_releases import Releases
from sandbox.demo_rotation import Rotation
from sandbox.service import CHECKOUT

DIRECTORY = CHECKOUT / ".sandbox-demo"
EVIDENCE = CHECKOUT / "build" / "demo"
DATABASE = "pagila"
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


class DemoFailed(Exception):
    """A step did not do what it promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table's content, as short as it can be compared."""

    rows: int
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A runbook that has ended as it should."""

    seconds: float
    changed: bool
    output: str


class Demo:
    """One run, step by step."""

    def __init__(self, sandbox: Sandbox, evidence: Path) -> None:
        self._sandbox = sandbox
        self._evidence = evidence
        self._step = 0

    def run(self) -> None:
        """Everything, in order; raises :class:`DemoFailed` at the first thing that is not as promised."""
        self.heading("A live database: the DVD rental shop Pagila, loaded from its SQL")
        before = self.load()

        self.heading("Preflight: may every runbook do its work here?")
        self.runbook("preflight")

        self.heading("Backup to S3")
        self.runbook("backup", check=True)
        self.say("--check wrote nothing", not self.keys())
        backed_up = self.runbook("backup")
        self.say("a backup was made", backed_up.changed)
        manifest = self.manifest()

        self.heading("Disaster: a migration gone wrong")
        destroyed_at = datetime.now(UTC)
        after = self.destroy(before)

        self.heading("Restore beside what is left, from the store alone")
        self.runbook("restore")
        inputs = {"backup": "latest", "target_database": RESTORED}
        began = time.monotonic()
        self.runbook("restore", inputs=inputs)
        restored = self.fingerprints(RESTORED)
        rto = time.monotonic() - began
        self.say(f"all {len(before)} tables are equal to those before the disaster, row by row", restored == before)
        self.say("what was left of the live database was not touched", self.fingerprints(DATABASE) == after)

        self.heading("The same commands again change nothing")
        self.say("the restored database is there already", not self.runbook("restore", inputs=inputs).changed)
        self.say("the day's backup is there already", not self.runbook("backup").changed)

        self.heading("In the place of the live database, and back")
        self.swap(before, after)

        self.heading("A drill: the backup is proven by a restore on a private server")
        self.say("the backup was restored there and compared", self.runbook("drill").changed)
        self.say("no other drill is due", not self.runbook("drill").changed)

        self.heading("Status")
        self.runbook("status", show=True)

        released = Releases(self._sandbox, self).run()
        released |= Rotation(self._sandbox, self).run()
        self.keep(manifest)
        self.prove(manifest, before, destroyed_at, rto, released)

    def prove(
        self,
        manifest: Mapping[str, Any],
        before: Mapping[str, Table],
        destroyed_at: datetime,
        rto: float,
        released: Mapping[str, str],
    ) -> None:
        """Print what was proven and where the evidence is."""
        rows = sum(table.rows for table in before.values())
        rpo = (destroyed_at - datetime.fromisoformat(manifest["snapshot_at"])).total_seconds()
        self.heading("Proven")
        self.facts(
            {
                "backup": manifest["backup_id"],
                "size": f"{sum(each['bytes'] for each in manifest['archives']):,} bytes in the store",
                "compared": f"{rows:,} rows of {len(before)} tables, by count and MD5",
                "measured RPO": f"{rpo:.1f} s between the backup's snapshot and the disaster",
                "measured RTO": f"{rto:.1f} s from the restore command to the last row compared",
                "the way back": released["measured"],
                "rotation": released["rotated"],
                "evidence": f"{self._evidence.relative_to(CHECKOUT)}/ (manifest, run records, output of each runbook)",
            }
        )

    # the steps

    def load(self) -> dict[str, Table]:
        """A fresh Pagila."""
        server = self._sandbox.postgres
        pagila.psql(server, "postgres", "-c", f"CREATE DATABASE {DATABASE}")
        pagila.load(server, DATABASE)
        tables = self.fingerprints(DATABASE)
        rows = sum(table.rows for table in tables.values())
        self.say(f"{rows:,} rows in {len(tables)} tables", rows >= pagila.ROWS)
        return tables

    def destroy(self, before: Mapping[str, Table]) -> dict[str, Table]:
        """Damage that no deploy takes back."""
        pagila.psql(self._sandbox.postgres, DATABASE, "-c", DISASTER)
        after = self.fingerprints(DATABASE)
        lost = sum(table.rows for table in before.values()) - sum(table.rows for table in after.values())
        changed = sum(1 for name, table in before.items() if after.get(name) != table)
        self.say(f"{lost:,} rows are gone, {changed} tables are not what they were", lost > 0)
        return after

    def swap(self, before: Mapping[str, Table], after: Mapping[str, Table]) -> None:
        """The restored database goes live under the old name; the one before is kept, and comes back."""
        inputs = {"restore_strategy": "swap", "restore_id": "the-demo"}
        self.runbook("restore", inputs={**inputs, "backup": "latest"})
        self.say("the live database is what it was before the disaster", self.fingerprints(DATABASE) == before)
        again = self.runbook("restore", inputs={**inputs, "backup": "latest"})
        self.say("the same command again changes nothing", not again.changed)
        self.runbook("restore", inputs={**inputs, "undo": "yes"})
        self.say("undone, it is the damaged one again", self.fingerprints(DATABASE) == after)
        again = self.runbook("restore", inputs={**inputs, "undo": "yes"})
        self.say("undone twice, nothing more changes", not again.changed)

    def app(
        self, name: str, *, inputs: Mapping[str, str], red: bool = False, env: Mapping[str, str] | None = None
    ) -> Ran:
        """Run a runbook of the app; a red one has to say why. ``env`` is for what may stand in no command."""
        return self.runbook(name, inputs=inputs, limit="web", red=red, show=red, env=env)

    def runbook(
        self,
        name: str,
        *,
        inputs: Mapping[str, str] | None = None,
        check: bool = False,
        show: bool = False,
        limit: str = DATABASE,
        red: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run a playbook as a user would; its output is kept, its closing lines are shown where asked for."""
        self._step += 1
        argv = ["ansible-playbook", f"ops.runbooks.{name}", "-i", "inventories/sandbox", "--limit", limit]
        for key, value in (inputs or {}).items():
            # ansible takes name=value apart at blanks, but not JSON.
            argv += ["-e", json.dumps({key: value}) if " " in value else f"{key}={value}"]
        argv += ["--check"] * check
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", *argv[1:]],
            cwd=CHECKOUT,
            env=self._environment() | dict(env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
        (self._evidence / f"{self._step:02d}-{name}.txt").write_text(f"$ {shlex.join(argv)}\n{done.stdout}", "utf-8")
        said = f"{shlex.join(argv)}  ({seconds:.1f} s)"
        self.say(said, (done.returncode != 0) == red, done.stdout, mark="red" if red else "ok")
        if show:
            for line in closing_lines(done.stdout):
                print(f"      {line}")
        changed = re.search(r"changed=[1-9]", done.stdout) is not None
        return Ran(seconds=seconds, changed=changed, output=done.stdout)

    # what it looks at

    def fingerprints(self, database: str) -> dict[str, Table]:
        """Rows and MD5 of every table."""
        server = self._sandbox.postgres
        queries = pagila.psql(server, database, "-At", "-c", _FINGERPRINTS).splitlines()
        answer = pagila.psql(server, database, "-At", script=(";\n".join(queries) + ";").encode())
        fields = (line.split("|") for line in answer.splitlines())
        return {name: Table(rows=int(rows), md5=md5) for name, rows, md5 in fields}

    def keys(self) -> list[str]:
        """What lies in the store."""
        answer = self._sandbox.s3.client().list_objects_v2(Bucket=self._sandbox.s3.bucket)
        return [item["Key"] for item in answer.get("Contents", [])]

    def manifest(self) -> dict[str, Any]:
        """The manifest of the only backup."""
        (key,) = (key for key in self.keys() if key.endswith("/manifest.json"))
        body = self._sandbox.s3.client().get_object(Bucket=self._sandbox.s3.bucket, Key=key)["Body"].read()
        manifest: dict[str, Any] = json.loads(body)
        return manifest

    def keep(self, manifest: Mapping[str, Any]) -> None:
        """Copy what proves the run out of the store, which ends with the sandbox."""
        (self._evidence / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
        for key in self.keys():
            if "/runs/" in key:
                target = self._evidence / key
                target.parent.mkdir(parents=True, exist_ok=True)
                self._sandbox.s3.client().download_file(self._sandbox.s3.bucket, key, str(target))

    # what it prints

    def heading(self, text: str) -> None:
        """Begin a part."""
        print(f"\n{text}\n{'-' * len(text)}", flush=True)

    def say(self, text: str, true: bool, detail: str = "", mark: str = "ok") -> None:
        """One line for one step; a step that went wrong ends the demo. ``mark`` is how a runbook was meant to end."""
        if not true:
            raise DemoFailed(f"{detail}\nNot as promised: {text}")
        print(f"  {mark:<4}{text}", flush=True)

    def facts(self, facts: Mapping[str, str]) -> None:
        """A small table."""
        for name, value in facts.items():
            print(f"  {name:<14}{value}")

    def _environment(self) -> dict[str, str]:
        """The user's, without what would lead the runbooks elsewhere."""
        foreign = ("PG", "AWS_", "ANSIBLE_", "RUNBOOKS_", "DIRECT_URL", "DATABASE_URL", "POSTGRES_URL")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | self._sandbox.variables() | {"ANSIBLE_NOCOLOR": "1"}


def closing_lines(output: str) -> list[str]:
    """The lines with which a runbook ends, out of what ansible prints around them; a play without a host may follow."""
    begin = output.rfind("TASK [", 0, output.rfind("PLAY RECAP"))
    end = output.find("\nPLAY ", begin)
    lines = (line.strip() for line in output[begin:end].splitlines()[1:])
    return [
        line.removeprefix("- ").strip("'\",") for line in lines if line and not line.startswith(("ok:", "msg:", "}"))
    ]


def main() -> int:
    """Run the demo; 0 where everything was as promised."""
    shutil.rmtree(EVIDENCE, ignore_errors=True)
    EVIDENCE.mkdir(parents=True)
    sandbox = Sandbox(DIRECTORY)
    began = time.monotonic()
    try:
        # What a demo that was killed has left.
        sandbox.down()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        sandbox = Sandbox(DIRECTORY, stand_ins=True)
        print("Starting PostgreSQL, an S3 server and stand-ins for Vercel and GitHub on this machine ...", flush=True)
        with sandbox:
            Demo(sandbox, EVIDENCE).run()
    except KeyboardInterrupt:
        return 130
    except (DemoFailed, SandboxError, RuntimeError) as error:
        print(f"\n{error}\n\nThe demo failed.", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
    print(f"\nDone in {time.monotonic() - began:.0f} s; the sandbox is stopped.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
