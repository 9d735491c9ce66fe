# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the acts of the demo share: running a runbook as a user would, and telling what came of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import Sandbox
from sandbox.service import CHECKOUT

#: The host of the database in the sandbox's inventory, and the database itself.
DATABASE = "pagila"


class DemoFailed(Exception):
    """A step did not do what it promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A runbook that has ended as it should."""

    seconds: float
    changed: bool
    output: str


class Stage:
    """One demo. The output of each runbook goes into ``evidence``."""

    def __init__(self, sandbox: Sandbox, evidence: Path) -> None:
        self.sandbox = sandbox
        self.evidence = evidence
        self._step = 0

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
        (self.evidence / f"{self._step:02d}-{name}.txt").write_text(f"$ {shlex.join(argv)}\n{done.stdout}", "utf-8")
        said = f"{shlex.join(argv)}  ({seconds:.1f} s)"
        self.say(said, (done.returncode != 0) == red, done.stdout, mark="red" if red else "ok")
        if show:
            for line in closing_lines(done.stdout):
                print(f"      {line}")
        changed = re.search(r"changed=[1-9]", done.stdout) is not None
        return Ran(seconds=seconds, changed=changed, output=done.stdout)

    def objects(self) -> list[str]:
        """Keys of all objects in the store."""
        answer = self.sandbox.s3.client().list_objects_v2(Bucket=self.sandbox.s3.bucket)
        return [item["Key"] for item in answer.get("Contents", [])]

    def keep_records(self) -> None:
        """Copy the records of all runs out of the store, which ends with the sandbox."""
        for key in self.objects():
            if "/runs/" in key:
                target = self.evidence / key
                target.parent.mkdir(parents=True, exist_ok=True)
                self.sandbox.s3.client().download_file(self.sandbox.s3.bucket, key, str(target))

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
        return kept | self.sandbox.variables() | {"ANSIBLE_NOCOLOR": "1"}


def closing_lines(output: str) -> list[str]:
    """The lines with which a runbook ends, out of what ansible prints around them; a play without a host may follow."""
    begin = output.rfind("TASK [", 0, output.rfind("PLAY RECAP"))
    end = output.find("\nPLAY ", begin)
    lines = (line.strip() for line in output[begin:end].splitlines()[1:])
    return [
        line.removeprefix("- ").strip("'\",") for line in lines if line and not line.startswith(("ok:", "msg:", "}"))
    ]
