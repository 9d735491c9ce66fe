# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook deploy: a good release, a bad one, two apps as one release, and a controller that is killed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import encode
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger, Past, Value, Written

from harness.children import until
from harness.lock_holder import start_holder
from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner, Played
from harness.servers import FileStoreAt, fresh_database
from harness.sites import Site, continuous_probe, make_site

if TYPE_CHECKING:
    from harness.children import Child
    from sandbox import PostgresServer
    from sandbox.vercel import VercelServer

#: Slower than the gate allows, and quicker than the smoke test does.
SLOW = 900
#: Seconds from the verdict of the gate to what was good, with other tests on the same processors.
BACK = 8


class Releases:
    """An environment of apps, each with a site of its own, and how they are released."""

    def __init__(self, sites: dict[str, Site], store: FileStoreAt, run_playbook: PlaybookRunner, home: Path) -> None:
        self.sites = sites
        #: More of the inventory: variables of everything, of each app, of the database ``main`` where there is one.
        self.variables: dict[str, Any] = {}
        self.app: dict[str, Any] = {}
        self.apps: dict[str, dict[str, Any]] = {}
        self.main: dict[str, Any] = {}
        self.store = store
        self._run = run_playbook
        self._home = home

    def inventory(self) -> dict[str, Any]:
        hosts = {
            name: {
                "vercel_project": site.options["project"],
                "vercel_team": site.options["team"],
                "vercel_api_url": site.options["api_url"],
                "app_url": site.vercel.api_url,
                "app_headers": {"Host": site.host},
                **self.app,
                **self.apps.get(name, {}),
            }
            for name, site in self.sites.items()
        }
        variables = {
            "runbooks_environment": "test",
            "runbooks_store": self.store.url,
            "runbooks_lock_lease": "10s",
            "verify_min_samples": 8,
            "verify_slo": {"error_rate": 0.05, "p95_ms": 600},
            "deploy_smoke_url": next(iter(self.sites.values())).vercel.api_url,
            "deploy_smoke_headers": {"Host": "{{ deploy_address }}"},
            "deploy_smoke_wait": "0s",
            "deploy_gate_wait": "0s",
        }
        children: dict[str, Any] = {"apps": {"hosts": hosts}}
        if self.main:
            children["databases"] = {"hosts": {"main": self.main}}
        return {"all": {"vars": {**variables, **self.variables}, "children": children}}

    def _options(self, letter: str, actor: str = "ann", **inputs: str) -> dict[str, Any]:
        site = next(iter(self.sites.values()))
        who = {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": actor}
        return {
            "inventory": self.inventory(),
            "extra_vars": {"release": letter * 40 if len(letter) == 1 else letter, **inputs},
            "env": {"VERCEL_TOKEN": site.vercel.token, "XDG_STATE_HOME": str(self._home / "state"), **who},
        }

    def deploy(self, letter: str, *, check: bool = False, **inputs: str) -> Played:
        return self._run("ops.runbooks.deploy", check=check, **self._options(letter, **inputs))

    def start(self, letter: str, **inputs: str) -> Child:
        return self._run.start("ops.runbooks.deploy", **self._options(letter, **inputs))

    def approve(self, letter: str, **inputs: str) -> Played:
        return self._run("ops.runbooks.approve", **self._options(letter, **inputs))

    def recorded(self, name: str, letter: str) -> dict[str, Any]:
        keys = self.store.keys(f"test/apps/{name}/releases")
        (*_older, newest) = sorted(key for key in keys if f".{self.sites[name].id(letter)}/" in key)
        found: dict[str, Any] = json.loads(self.store.read(newest))["recorded"]
        return found


def build(vercel: VercelServer, store: FileStoreAt, run_playbook: PlaybookRunner, home: Path, **slow: str) -> Releases:
    """Apps by name, each with the letters of its deployments that are slow."""
    from sandbox.vercel import Behaviour

    sites = {
        name: make_site(vercel, behaviours={letter: Behaviour(latency=SLOW) for letter in letters}, auto_assign=False)
        for name, letters in slow.items()
    }
    return Releases(sites, store, run_playbook, home)


def test_a_good_release_and_a_bad_one(
    vercel: VercelServer, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """The bad one works where nobody sees it, and is too slow for production."""
    from sandbox.vercel import Behaviour, Deployment

    ops = build(vercel, file_store, run_playbook, tmp_path, web="")
    site = ops.sites["web"]
    planned = ops.deploy("d", check=True).ok()
    assert f"promote production from {site.id('C')} to {site.id('D')}" in planned.output
    assert "would change something" in planned.output
    assert (file_store.keys(""), site.posts()) == ([], [])

    with continuous_probe(site) as statuses:
        good = ops.deploy("d", reason="the new checkout").ok()
    assert set(statuses) == {200}
    assert f"Changed: promoted production from {site.id('C')} to {site.id('D')}; recorded" in good.output
    assert f"ops.runbooks.rollback -i {tmp_path}/home/inventory.yml --limit web -e to={site.id('C')}" in good.output
    assert "Lock: free" in good.output
    assert (ops.recorded("web", "D")["gate"], ops.recorded("web", "C")["baseline"]) == ("pass", True)
    assert not site.project.auto_assign
    again = ops.deploy("d", reason="the new checkout").ok()
    assert "Result: nothing to do" in again.output
    assert len(site.posts()) == 1

    bad_id = site.id("E")
    url = f"{site.tag}-e.localhost"
    slow = Behaviour(latency=SLOW)
    meta = {"githubCommitSha": "e" * 40}
    vercel.put(Deployment(id=bad_id, project=site.project_id, url=url, substate="STAGED", meta=meta, behaviour=slow))
    with continuous_probe(site) as statuses:
        bad = ops.deploy("e").red()
    assert set(statuses) == {200}
    assert site.serves == "D"
    assert "Result: failed (release_rolled_back)" in bad.output
    assert f"Production serves {site.id('D')} again" in bad.output
    assert re.search(rf"Production affected: it was for [0-9.]+ s; it serves {site.id('D')} again", bad.output)
    assert re.search(r"Next: ansible-playbook ops\.runbooks\.status .*--limit web$", bad.output, re.MULTILINE)
    assert f"Changed: promoted production from {site.id('D')} to {bad_id}; rolled production back" in bad.output
    assert "Next: ansible-playbook ops.runbooks.status " in bad.output
    (seconds,) = re.findall(r"again, ([0-9.]+) s after the gate", bad.output)[:1]
    assert float(seconds) < BACK
    assert ops.recorded("web", "E")["bad"].startswith("its gate failed: p95_ms was")
    posts = len(site.posts())
    refused = ops.deploy("e").red()
    assert "Result: failed (release_bad)" in refused.output
    assert "break_glass" in refused.output
    assert len(site.posts()) == posts


def test_two_apps_are_one_release(
    vercel: VercelServer, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """One is good and goes back with the other; where one does not even work by itself, none is promoted."""
    from sandbox.vercel import Behaviour

    ops = build(vercel, file_store, run_playbook, tmp_path, admin="D", web="")
    both = ops.deploy("d").red()
    assert [site.serves for site in ops.sites.values()] == ["C", "C"]
    assert "another app of the release failed: admin" in both.output
    assert both.output.count("Result: failed (release_rolled_back)") == 2
    assert ops.recorded("web", "D")["bad"].startswith("another app")
    made = vercel.world().deployments[ops.sites["admin"].id("B")]
    vercel.put(replace(made, behaviour=Behaviour(status=500)))
    posts = [len(site.posts()) for site in ops.sites.values()]
    broken = ops.deploy("b").red()
    assert "Result: failed (smoke_failed)" in broken.output
    assert "Result: failed (release_stopped)" in broken.output
    assert [len(site.posts()) for site in ops.sites.values()] == posts


def test_a_killed_controller(
    vercel: VercelServer, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """Killed as soon as it serves, and as soon as it goes back: the same command decides, and moves nothing twice.

    A database that cannot be reached by then says nothing of a release that needs no more migrations.
    """
    ops = build(vercel, file_store, run_playbook, tmp_path, web="D")
    site = ops.sites["web"]
    child = ops.start("d")
    until(lambda: site.serves == "D", 240)
    child.kill()
    child.wait()
    ops.app = {"app_databases": ["main"]}
    ops.main = {"database_url": "postgresql://nobody@127.0.0.1:1/gone", "migrations_directory": str(tmp_path)}
    child = ops.start("d")
    until(lambda: any("/rollback/" in each for each in site.posts()), 240)
    child.kill()
    child.wait()
    decided = ops.deploy("d").red()
    assert site.serves == "C"
    assert "Result: failed (release_rolled_back)" in decided.output
    assert "its gate failed: p95_ms was" in decided.output
    assert len(site.posts("promote")) == 1
    assert len(site.posts("rollback")) == 1
    assert ops.recorded("web", "D")["gate"] == "fail"
    assert "Result: failed (release_bad)" in ops.deploy("d").red().output


def test_what_was_good_goes_back_with_the_rest_of_its_release(
    vercel: VercelServer,
    file_store: FileStoreAt,
    run_playbook: PlaybookRunner,
    run_module: ModuleRunner,
    tmp_path: Path,
) -> None:
    """A run died when it had recorded one of two apps as good; the next one finds the other one too slow."""
    ops = build(vercel, file_store, run_playbook, tmp_path, admin="", web="D")
    for name, site in ops.sites.items():
        named = {**file_store.args, "environment": "test", "name": name, "run_id": "died"}
        attempt = {"attempt": 1, "rollback_to": site.id("C"), "moves_before": 0, "digest": "0"}
        record = {**named, "deployment_id": site.id("D"), "release": "d" * 40}
        run_module("release_record", {**record, **attempt}).ok()
        run_module("vercel_promote", {**named, **site.options, "to": site.id("D")}).ok()
        if name == "admin":
            run_module("release_record", {**record, "gate": "pass"}).ok()
    both = ops.deploy("d").red()
    assert [site.serves for site in ops.sites.values()] == ["C", "C"]
    assert both.output.count("Result: failed (release_rolled_back)") == 2
    assert ops.recorded("admin", "D")["bad"] == "another app of the release failed: web"
    assert [len(site.posts()) for site in ops.sites.values()] == [2, 2]


def test_one_app_joins_a_release_that_was_built_here(
    vercel: VercelServer,
    postgres: PostgresServer,
    file_store: FileStoreAt,
    run_playbook: PlaybookRunner,
    run_module: ModuleRunner,
    tmp_path: Path,
) -> None:
    """The other one is done, and so the one that joins leads; it needs a migration, and the gate asks the database."""
    from sandbox import app

    sources = app.write(tmp_path / "built", release="v7", query="SELECT rating FROM film")
    app.build(sources)
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_rating.sql").write_text("ALTER TABLE film ADD COLUMN rating text")
    ops = build(vercel, file_store, run_playbook, tmp_path, admin="", web="")
    admin, web = ops.sites.values()
    named = {**file_store.args, "environment": "test", "name": "admin"}
    run_module("vercel_promote", {**named, **admin.options, "to": admin.id("D")}).ok()
    run_module("release_record", {**named, "deployment_id": admin.id("D"), "release": "v7", "gate": "pass"}).ok()
    with fresh_database(postgres) as database:
        database.execute("CREATE TABLE film (title text); INSERT INTO film VALUES ('ACADEMY DINOSAUR')")
        address = {"key": "DATABASE_URL", "value": database.url, "type": "sensitive", "target": ["production"]}
        vercel.ask("POST", f"/v10/projects/{web.project_id}/env?teamId=team_sandbox", address)
        ops.main = {"database_url": database.url, "migrations_directory": str(migrations)}
        ops.app = {"app_databases": ["main"], "app_paths": ["/api/selftest"]}
        slo = {"error_rate": 0.05, "p95_ms": 3000, "db_connections_percent": 99}
        ops.variables = {
            "runbooks_postgres_bindir": [str(postgres.bindir)],
            "deploy_prebuilt": str(sources),
            "verify_slo": slo,
            "verify_database": "main",
        }
        done = ops.deploy("v7").ok()
        assert database.rows("SELECT rating FROM film") == [(None,)]
    assert "gave main the migrations 0001_rating" in done.output
    (made,) = (each for each in vercel.world().of_project(web.project) if "runbooks_identity" in each.meta)
    assert (made.prebuilt, vercel.world().aliases[web.host].deployment) == (True, made.id)
    assert (admin.serves, len(admin.posts())) == ("D", 1)
    (key,) = (key for key in file_store.keys("test/apps/web/releases") if f".{made.id}/000000000002" in key)
    measured = json.loads(file_store.read(key))["recorded"]["measurements"]
    assert 0 < measured["db_connections_percent"] < 99


def test_what_the_gate_cannot_tell(
    vercel: VercelServer, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """Another deployment answers at the address that was asked; then a database is locked: nothing is moved."""
    from sandbox.vercel import Behaviour

    ops = build(vercel, file_store, run_playbook, tmp_path, web="")
    site = ops.sites["web"]

    def promoted() -> bool:
        moves = file_store.keys("test/apps/web/moves")
        return bool(moves) and json.loads(file_store.read(moves[-1]))["state"] == "done"

    # It takes its time, so that the gate is still held.
    vercel.put(replace(vercel.world().deployments[site.id("D")], behaviour=Behaviour(latency=300)))
    child = ops.start("d")
    until(promoted, 240)
    vercel.put(replace(vercel.world().aliases[site.host], deployment=site.id("B")))
    unclear = child.wait().output
    assert f"production is {site.id('D')} and {site.host} leads to {site.id('B')}" in unclear
    assert f"it serves {site.id('D')}, whose gate is not decided" in unclear
    vercel.put(replace(vercel.world().aliases[site.host], deployment=site.id("D")))
    ops.app = {"app_databases": ["main"]}
    ops.main = {"database_url": "postgresql://nobody@127.0.0.1:1/gone"}
    claim = {"environment": "test", "resource": "database/main"}
    holder = start_holder(file_store, tmp_path, lease_seconds=5, **claim)
    try:
        held = ops.deploy("d").red()
    finally:
        holder.controller.kill()
        holder.worker.kill()
    assert "Result: failed (lock_held)" in held.output
    assert (site.project.production, site.posts("rollback")) == (site.id("D"), [])
    found = ops.recorded("web", "D")
    assert (found["gate"], found["bad"], found["attempt"]) == ("", "", 1)


def test_what_says_nothing_of_the_release(
    vercel: VercelServer,
    file_store: FileStoreAt,
    run_playbook: PlaybookRunner,
    run_module: ModuleRunner,
    tmp_path: Path,
) -> None:
    """A promote that is refused, and production that others move before this run has the locks: nothing is touched."""
    ops = build(vercel, file_store, run_playbook, tmp_path, web="")
    site = ops.sites["web"]
    vercel.faults({"method": "POST", "path": "/promote/", "times": 1, "status": 402})
    refused = ops.deploy("d").red()
    vercel.faults()
    assert "Result: failed (plan_limit)" in refused.output
    assert f"Nothing was promoted: production serves {site.id('C')}" in refused.output
    assert f"Production affected: no; it serves {site.id('C')}" in refused.output
    assert (ops.recorded("web", "D")["bad"], ops.recorded("web", "D")["gate"]) == ("", "")

    lock = {"store": file_store.url, "environment": "test", "name": "web", "resource": "app/web", "run_id": "other"}
    run_module("runbook_lock", {**lock, "lock_lease": "10m"}).ok()

    def looks() -> int:
        found = vercel.requests("GET", "/deployments")
        return sum("rollbackCandidate" in each["target"] and site.project_id in each["target"] for each in found)

    before = looks()
    child = ops.start("d")
    until(lambda: looks() > before, 240)
    site.change(production=site.id("B"))
    vercel.put(replace(vercel.world().aliases[site.host], deployment=site.id("B")))
    run_module("runbook_lock", {**lock, "state": "absent"}).ok()
    assert "Result: failed (plan_changed)" in child.wait().output
    assert (site.serves, len(site.posts())) == ("B", 1)
    assert ops.recorded("web", "D")["bad"] == ""

    # What would take its place holds a value of a secret that is gone: known before anything is promoted.
    retire(site, file_store, built_before="D")
    told = ops.deploy("d", check=True).red()
    assert "Result: failed (deployment_outdated)" in told.output
    assert f"{site.id('C')}, its way back, may not serve again: it was built before " in told.output
    assert "the secret auth_secret got another value (rotation r2)" in told.output
    assert len(site.posts("promote")) == 1


def retire(site: Site, store: FileStoreAt, *, built_before: str) -> None:
    """Put on record that a variable of the site got another value before this deployment was built, for good."""
    variable = {"key": "AUTH_SECRET", "value": "x", "type": "sensitive", "target": ["production"]}
    site.vercel.ask("POST", f"/v10/projects/{site.project_id}/env?teamId=team_sandbox", variable)
    (record,) = site.vercel.world().variables_of(site.project)
    changed = site.vercel.world().deployments[site.id(built_before)].created_at - 1000
    at = datetime.fromtimestamp(changed / 1000, UTC)
    rotations = [
        Past(rotation_id=f"r{number}", reason="scheduled", outcome="rotated", started_at=at, ended_at=at)
        for number in (1, 2)
    ]
    written = Written(destination="web", holds="v2", mark=f"{record.id}@{changed}", at=at, changed=changed)
    value = Value(id="v2", fingerprint="", slot="", since=at)
    ledger = Ledger(rotation_id="r2", current=value, written=(written,), history=tuple(rotations))
    body = {**encode(ledger), "schema": 1, "token": "t", "release": "1.0.0"}
    store.write("test/secrets/auth_secret/ledger/000000000001.json", json.dumps(body).encode())


def test_everything_before_it_serves(
    vercel: VercelServer,
    postgres: PostgresServer,
    file_store: FileStoreAt,
    run_playbook: PlaybookRunner,
    tmp_path: Path,
) -> None:
    """Two apps on one database: planned, approved, built, backed up, migrated once and released, killed in between."""
    from sandbox.github import Branch, CheckRun, Commit, Demand, GitHubServer, Repository
    from sandbox.vercel import GitLink

    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_film.sql").write_text("CREATE TABLE film (id int PRIMARY KEY)")
    (migrations / "0002_drop.sql").write_text("-- runbooks: phase=contract\nDROP TABLE old")
    ops = build(vercel, file_store, run_playbook, tmp_path, admin="", web="")
    link = GitLink(org="acme", repo="web", repo_id=7, production_branch="release")
    vercel.put(*(replace(site.project, link=link) for site in ops.sites.values()))
    with fresh_database(postgres) as database, GitHubServer(tmp_path / "github") as github:
        commit = Commit(sha="f" * 40, check_runs=(CheckRun(name="test"),))
        # Nobody reports what the default branch demands: the production branch is another one.
        demanded = {"main": Branch(rules=(Demand(context="never"),))}
        refs = {"main": commit.sha, "release": commit.sha}
        github.put(Repository(name="acme/web", refs=refs, commits={commit.sha: commit}, branches=demanded))
        ops.app = {
            "app_databases": ["main"],
            "deploy_github_api_url": github.api_url,
            "deploy_github_token": github.token,
        }
        database.execute("CREATE TABLE old (id int)")
        ops.main = {"database_url": database.url, "migrations_directory": str(migrations)}
        ops.variables = {"runbooks_postgres_bindir": [str(postgres.bindir)], "deploy_approval": "required"}
        planned = ops.deploy("f", check=True, actor="ann").ok()
        assert "apply 1 expand migrations to main: 0001_film" in planned.output
        assert "Checks: green" in planned.output
        assert "Irreversible: Migration 0001_film of main stays" in planned.output
        assert (file_store.keys(""), [site.posts() for site in ops.sites.values()]) == ([], [[], []])
        digests = re.findall(r"Digest: ([0-9a-f]{16}), which somebody else", planned.output)
        assert len(digests) == 2

        freeze = {"start": "2020-01-01", "end": "2099-12-31", "reason": "Christmas"}
        ops.apps = {"admin": {"runbooks_freezes": [freeze]}, "web": {"deploy_checks_required": ["lint"]}}
        refused = ops.deploy("f").red()
        assert "Result: failed (window_closed)" in refused.output
        assert "Result: failed (checks_not_green)" in refused.output
        ops.apps = {}
        missing = ops.deploy("f", actor="ann").red()
        assert "Result: failed (approval_missing)" in missing.output
        assert database.rows("SELECT to_regclass('film')") == [(None,)]
        ops.approve("f", confirm=",".join(digests), actor="bob").ok()

        child = ops.start("f", actor="ann")
        until(lambda: database.rows("SELECT to_regclass('film') IS NOT NULL") == [(True,)], 240)
        child.kill()
        child.wait()
        ops.deploy("f", actor="ann").ok()
        assert database.rows("SELECT to_regclass('old') IS NOT NULL") == [(True,)]
    backups = {key.split("/")[4] for key in file_store.keys("test/databases/main/backups")}
    assert backups == {f"pre-deploy-{'f' * 40}-1"}
    for site in ops.sites.values():
        made = [each for each in vercel.world().deployments.values() if each.project == site.project_id]
        assert len(made) == 5
        assert len(site.posts("promote")) == 1
        assert vercel.world().aliases[site.host].deployment == site.project.production
