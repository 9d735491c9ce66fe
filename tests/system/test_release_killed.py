# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release, and the way back, killed before each single change that they make: one of everything in the end.

Each task of the runbook is begun again and again, by a run of its own, on what the one before has left, and killed
where it is about to do what none of them has done yet. So a run meets every state that a kill can leave, and has to
bring it one change further. The runbook as a whole is killed in ``test_playbooks_deploy.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.modules import ModuleRunner
from harness.paths import CHECKOUT
from harness.servers import Database, FileStoreAt
from harness.sites import Site, make_site

if TYPE_CHECKING:
    from sandbox.vercel import VercelServer

SHA = "f" * 40
#: The tasks of a release that change something, in the order of the role; what is done on the way back comes between.
RELEASE = (
    *("vercel_deployment", "runbook_lock", "release_record", "release_record", "postgres_backup", "postgres_migration"),
    *("runbook_lock", "vercel_promote", "release_record", "runbook_lock"),
)
WAY_BACK = ("vercel_rollback", "release_record")


class Killed:
    """Runs of one app's tasks that are killed, in one store."""

    def __init__(self, site: Site, store: FileStoreAt, run: ModuleRunner) -> None:
        self.site = site
        self.store = store
        self._run = run
        self._runs = count(1)
        self.named: dict[str, Any] = {**store.args, "environment": "test", "name": "web"}
        self.of_app: dict[str, Any] = {**self.named, **site.options}
        #: What runs were about to do when they were killed.
        self.deaths: list[str] = []

    def look(self, release: str) -> dict[str, Any]:
        """Where the release stands, as the next run of the same command would find it."""
        found: dict[str, Any] = self._run("release_plan", {**self.of_app, "release": release, "build": "git"}).ok()[
            "release"
        ]
        return found

    def run(self, module: str, args: Mapping[str, Any]) -> bool:
        """One run that nobody kills; whether it changed anything."""
        self.pass_time()
        return self._run(module, {**args, "run_id": self._name()}).ok().changed

    def each(self, module: str, args: Callable[[], Mapping[str, Any]]) -> None:
        """Kill it before its first change, then before its second, until it has its end; again it changes nothing."""
        passed: list[str] = []
        while True:
            self.pass_time()
            if not (death := self._run.dies(module, {**args(), "run_id": self._name()}, passed)):
                break
            passed.append(death)
        assert passed, f"{module} has changed nothing"
        assert not self.run(module, args()), f"{module} is not done"
        self.deaths += passed

    def pass_time(self) -> None:
        """The locks of whoever was killed end."""
        for path in (self.store.directory / "test" / "locks").rglob("*.json"):
            os.utime(path, (path.stat().st_mtime - 3600,) * 2)

    def moves(self) -> list[str]:
        return [each.rsplit("/", 2)[-2] for each in self.site.posts()]

    def _name(self) -> str:
        return f"run-{next(self._runs)}"


def test_a_release(
    vercel: VercelServer, database: Database, file_store: FileStoreAt, run_module: ModuleRunner, tmp_path: Path
) -> None:
    from sandbox.vercel import GitLink

    vercel.forget()
    site = make_site(vercel, auto_assign=False, link=GitLink(org="acme", repo="web", repo_id=7))
    runs = Killed(site, file_store, run_module)
    (tmp_path / "0001_film.sql").write_text("CREATE TABLE film (id int PRIMARY KEY)")
    login = {**file_store.args, **database.args, "environment": "test", "name": "main"}
    bindir = {"bindir": login.pop("bindir")}

    def stands(*phases: str) -> dict[str, Any]:
        found = runs.look(SHA)
        assert found["phase"] in phases
        assert (found["attempt"], found["rollback_to"]) == (1, site.id("C"))
        return found

    def built() -> dict[str, Any]:
        stands("build", "promote")
        return {**runs.of_app, "git": {"sha": SHA}, "identity": SHA}

    runs.each("vercel_deployment", built)
    made = stands("promote")["deployment"]["id"]
    for resource in ("app/web", "database/main"):
        lock = {**runs.named, "resource": resource, "runbook": "deploy", "identity": SHA}
        assert run_module.dies("runbook_lock", {**lock, "run_id": "a"})
        assert run_module("runbook_lock", {**lock, "run_id": "b"}).ok().changed
    runs.each("release_record", lambda: {**runs.named, "deployment_id": site.id("C"), "baseline": True})

    def begun() -> dict[str, Any]:
        told = {key: stands("promote")[key] for key in ("attempt", "rollback_to", "moves_before", "digest")}
        return {**runs.named, "deployment_id": made, "release": SHA, "git_sha": SHA, **told}

    runs.each("release_record", begun)
    # As the role names it: after the release and its attempt.
    backup_id = f"pre-deploy-{stands('promote')['id']}-1"
    runs.each("postgres_backup", lambda: {**login, **bindir, "backup_id": backup_id, "kind": "pre_deploy"})
    runs.each("postgres_migration", lambda: {**login, "directory": str(tmp_path), "release": SHA})

    def promoted() -> dict[str, Any]:
        found = stands("promote", "gate")
        assert found["resumes"]
        return {**runs.of_app, "to": made, "from_deployment": found["serving"], "reason": "release", "timeout": "30s"}

    runs.each("vercel_promote", promoted)
    assert stands("gate")["serving"] == made
    runs.each("release_record", lambda: {**runs.named, "deployment_id": made, "release": SHA, "gate": "pass"})

    assert runs.look(SHA)["phase"] == "done"
    assert [each.id for each in vercel.world().of_project(site.project) if "runbooks_identity" in each.meta] == [made]
    assert len(vercel.requests("POST", "/v13/deployments")) == 1
    assert runs.moves() == ["promote"]
    assert (vercel.world().aliases[site.host].deployment, site.project.auto_assign) == (made, False)
    assert {key.split("/")[4] for key in file_store.keys("test/databases/main/backups")} == {backup_id}
    assert database.rows("SELECT name, state FROM ops_runbooks.migrations") == [("0001_film", "applied")]
    assert len(runs.deaths) > 25, runs.deaths
    assert {"ask Vercel for the deployment (1)", "ask Vercel for the promote (1)"} <= set(runs.deaths)


def test_the_way_back(vercel: VercelServer, file_store: FileStoreAt, run_module: ModuleRunner) -> None:
    """From a release whose gate failed, once, to what served before; then the record says so."""
    site = make_site(vercel, auto_assign=False)
    runs = Killed(site, file_store, run_module)
    made, sha = site.id("D"), "d" * 40
    begun = {key: runs.look(sha)[key] for key in ("attempt", "rollback_to", "moves_before", "digest")}
    record = {**runs.named, "deployment_id": made, "release": sha}
    runs.run("release_record", {**record, **begun})
    runs.run("vercel_promote", {**runs.of_app, "to": made, "from_deployment": site.id("C")})
    because = "its gate failed: it was slow"

    def back() -> dict[str, Any]:
        assert runs.look(sha)["phase"] in ("gate", "rollback", "failed")
        wish = {"to": site.id("C"), "from_deployment": made, "reason": because, "timeout": "30s"}
        return {**runs.of_app, **wish}

    runs.each("vercel_rollback", back)
    assert runs.look(sha)["phase"] == "failed"
    runs.each("release_record", lambda: {**record, "gate": "fail", "bad": because})
    assert run_module("release_plan", {**runs.of_app, "release": sha}).refused("release_bad").message.count(because)
    assert (runs.moves(), site.serves, site.project.auto_assign) == (["promote", "rollback"], "C", False)


def test_a_gate_that_is_killed_on_the_way_back(
    vercel: VercelServer, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    """Until the intent is on record the gate is held again; from then on the next run goes back, and asks once."""
    from sandbox.vercel import Behaviour

    site = make_site(vercel, behaviours={"D": Behaviour(status=500)}, auto_assign=False)
    runs = Killed(site, file_store, run_module)
    made, sha = site.id("D"), "d" * 40
    begun = {key: runs.look(sha)[key] for key in ("attempt", "rollback_to", "moves_before", "digest")}
    runs.run("release_record", {**runs.named, "deployment_id": made, "release": sha, **begun})
    runs.run("vercel_promote", {**runs.of_app, "to": made, "from_deployment": site.id("C")})
    probes = [{"url": vercel.api_url, "headers": {"Host": site.host}}]
    rules = {"slo": {"error_rate": 0.1}, "min_samples": 1, "probes": probes}
    held = {**runs.of_app, **rules, "deployment": made, "rollback_to": site.id("C"), "rollback_timeout": "30s"}
    while runs.look(sha)["phase"] == "gate":
        runs.pass_time()
        runs.deaths.append(run_module.dies("release_gate", {**held, "run_id": f"gate-{len(runs.deaths)}"}, runs.deaths))
        assert runs.deaths[-1]
    assert (runs.deaths[-1], site.posts("rollback")) == ("ask Vercel for the rollback (1)", [])
    wish = {"to": site.id("C"), "from_deployment": made, "reason": "its gate failed", "timeout": "30s"}
    runs.each("vercel_rollback", lambda: {**runs.of_app, **wish})
    assert runs.look(sha)["phase"] == "failed"
    assert (runs.moves(), site.serves, site.project.auto_assign) == (["promote", "rollback"], "C", False)


def test_a_rollback_by_hand(vercel: VercelServer, file_store: FileStoreAt, run_module: ModuleRunner) -> None:
    """Nobody says what is to be left: whatever was done when it died, no run goes one further back."""
    site = make_site(vercel)
    runs = Killed(site, file_store, run_module)
    for letter in "ABC":
        runs.run("release_record", {**runs.named, "deployment_id": site.id(letter), "gate": "pass"})

    def by_hand() -> dict[str, Any]:
        known = run_module("release_info", runs.named).ok()["releases"]["known"]
        return {**runs.of_app, "to": "last_known_good", "reason": "it leaks", "releases": known, "timeout": "30s"}

    runs.each("vercel_rollback", by_hand)
    assert (runs.moves(), site.serves, site.project.auto_assign) == (["rollback"], "B", True)

    runs.each("vercel_promote", lambda: {**runs.of_app, "to": site.id("C"), "reason": "undo it"})
    assert (runs.moves(), site.serves, site.project.auto_assign) == (["rollback", "promote"], "C", True)


def test_these_are_the_tasks_of_the_runbook() -> None:
    """What the role includes, in its order: a task that is added there is to be killed here."""
    folder = CHECKOUT / "roles" / "deploy" / "tasks"

    def changing(name: str) -> list[str]:
        found = []
        for task in tasks_of(yaml.safe_load((folder / name).read_text())):
            if (included := task.get("ansible.builtin.include_tasks")) and included != "failed.yml":
                found += changing(included)
            module = next((key.rpartition(".")[2] for key in task if key.startswith("ops.runbooks.")), "")
            if module in {*RELEASE, *WAY_BACK} and not task.get("check_mode"):
                found.append(module)
        return found

    before, good = RELEASE[:-2], RELEASE[-2:]
    assert changing("release.yml") == [*before, *WAY_BACK, *good]


def tasks_of(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks, those of blocks too."""
    found = []
    for task in listed:
        inner = [each for part in ("block", "rescue") for each in tasks_of(task.get(part, []))]
        found += inner or [task]
    return found
