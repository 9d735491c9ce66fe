# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fifty secrets with three places each, of which none is due: what a run of rotate costs that finds nothing to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.environment import Bench
from bench.programs import BenchError, Programs, Run
from sandbox.vercel import Deployment, Project, VercelServer

COUNT = 50


class Secrets(Programs):
    """An environment whose secrets are in files and on a stand-in for Vercel, with ledgers in a directory."""

    def __init__(self, bench: Bench, vercel: VercelServer) -> None:
        super().__init__(bench)
        self._vercel = vercel
        self._inventory = self._scratch / "secrets.yml"

    def prepare(self) -> None:
        """Declare them, and give each its first value."""
        project = Project(id="prj_secrets", name="secrets", account="team_sandbox", production="dpl_secrets")
        self._vercel.put(project, Deployment(id="dpl_secrets", project=project.id, url="secrets.localhost"))
        variables = {
            "runbooks_environment": "bench",
            "runbooks_store": f"file://{self._folder('ledgers')}",
            "runbooks_secrets_key": "for-the-benchmark-alone-0123456789",
            "runbooks_secrets": [self._secret(number) for number in range(COUNT)],
        }
        hosts = {"all": {"vars": variables, "children": {"apps": {"hosts": {"web": {}}}}}}
        self._inventory.write_text(json.dumps(hosts), encoding="utf-8")
        self._rotate("Result: done")

    def nothing_due(self) -> Run:
        """The runbook, with nothing to do."""
        return self._rotate("Result: nothing to do")

    def _secret(self, number: int) -> dict[str, Any]:
        files = self._folder("places")
        places = [{"name": f"file-{each}", "type": "file", "path": f"{files}/{number}-{each}"} for each in range(2)]
        # Of previews, which are not waited for.
        preview = {"name": "previews", "type": "vercel_env", "variable": f"SECRET_{number}", "targets": ["preview"]}
        where = {"project": "secrets", "team": "sandbox", "api_url": self._vercel.api_url, "token": self._vercel.token}
        return {
            "name": f"secret-{number}",
            "provider": {"type": "generated"},
            "destinations": [*places, {**preview, **where}],
        }

    def _folder(self, name: str) -> str:
        folder = self._scratch / "secrets" / name
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _rotate(self, expected: str) -> Run:
        playbook = [sys.executable, "-m", "ansible", "playbook", "ops.runbooks.rotate", "-i", str(self._inventory)]
        run, output = self._measured(playbook)
        if expected not in output:
            raise BenchError(f"rotate was to end with {expected!r}:\n{output[-3000:]}")
        return run


@contextmanager
def young(bench: Bench) -> Iterator[Secrets]:
    """Each with a value of today."""
    with VercelServer(bench.scratch / "vercel-secrets") as vercel:
        on = Secrets(bench, vercel)
        on.prepare()
        yield on
