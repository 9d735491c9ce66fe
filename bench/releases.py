# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release that serves and is on record as good, released again: what a run costs that finds nothing to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.environment import Bench
from bench.programs import BenchError, Programs, Run
from sandbox.vercel import Alias, Deployment, Domain, Project, VercelServer

_SHA = "d" * 40


class Releases(Programs):
    """One app on a stand-in for Vercel, with a store in a directory."""

    def __init__(self, bench: Bench, vercel: VercelServer) -> None:
        super().__init__(bench)
        self._vercel = vercel
        self._inventory = self._scratch / "inventory.yml"

    def prepare(self) -> None:
        """Put the app there, and release it for the first time."""
        project = Project(
            id="prj_bench",
            name="bench",
            account="team_sandbox",
            production="dpl_benchC",
            served=("dpl_benchC",),
            domains=(Domain(name="bench.localhost"),),
            auto_assign=False,
        )
        self._vercel.put(
            project,
            Deployment(id="dpl_benchC", project=project.id, url="bench-c.localhost", substate="PROMOTED"),
            Deployment(
                id="dpl_benchD",
                project=project.id,
                url="bench-d.localhost",
                substate="STAGED",
                meta={"githubCommitSha": _SHA},
            ),
            Alias(alias="bench.localhost", deployment="dpl_benchC", project=project.id),
        )
        app = {
            "vercel_project": project.name,
            "vercel_team": "sandbox",
            "vercel_api_url": self._vercel.api_url,
            "vercel_token": self._vercel.token,
            "app_url": self._vercel.api_url,
            "app_headers": {"Host": "bench.localhost"},
            "deploy_smoke_url": self._vercel.api_url,
            "deploy_smoke_headers": {"Host": "{{ deploy_address }}"},
            "verify_min_samples": 5,
        }
        store = self._scratch / "releases"
        store.mkdir(exist_ok=True)
        variables = {"runbooks_environment": "bench", "runbooks_store": f"file://{store}"}
        hosts = {"all": {"vars": variables, "children": {"apps": {"hosts": {"web": app}}}}}
        self._inventory.write_text(json.dumps(hosts), encoding="utf-8")
        self._deploy("Result: done")

    def pings(self) -> Run:
        """As many tasks as it may cost."""
        return self.play("pings")

    def no_change(self) -> Run:
        """The runbook, with nothing to do."""
        return self._deploy("Result: nothing to do")

    def _deploy(self, expected: str) -> Run:
        playbook = [sys.executable, "-m", "ansible", "playbook", "ops.runbooks.deploy", "-e", f"release={_SHA}"]
        run, output = self._measured([*playbook, "-i", str(self._inventory)])
        if expected not in output:
            raise BenchError(f"the release was to end with {expected!r}:\n{output[-3000:]}")
        return run


@contextmanager
def released(bench: Bench) -> Iterator[Releases]:
    """One that serves and is good."""
    with VercelServer(bench.scratch / "vercel") as vercel:
        on = Releases(bench, vercel)
        on.prepare()
        yield on
