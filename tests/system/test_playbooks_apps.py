# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbooks of apps, as people run them, against a stand-in for Vercel that really serves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner, Played
from harness.servers import FileStoreAt
from harness.sites import Site, continuous_probe, make_site

if TYPE_CHECKING:
    from sandbox.vercel import VercelServer


class Environment:
    """One environment with one app, and how its runbooks are run."""

    def __init__(self, site: Site, store: FileStoreAt, run_playbook: PlaybookRunner, home: Path) -> None:
        self.site = site
        self.store = store
        self._run = run_playbook
        self._home = home

    def inventory(self, **changes: Any) -> dict[str, Any]:
        site = self.site
        app = {
            "vercel_project": site.options["project"],
            "vercel_team": site.options["team"],
            "vercel_api_url": site.options["api_url"],
            "app_url": site.vercel.api_url,
            "app_headers": {"Host": site.host},
            "app_paths": ["/", {"path": "/admin", "status": [200]}],
            "verify_min_samples": 20,
            "verify_wait_for": "0s",
            "rollback_probe_wait": "0s",
            "promote_probe_wait": "0s",
        }
        variables = {"runbooks_environment": "test", "runbooks_store": self.store.url, "runbooks_lock_lease": "10s"}
        hosts = {"web": {**app, **changes}}
        return {"all": {"vars": variables, "children": {"apps": {"hosts": hosts}}}}

    def play(self, runbook: str, *, inventory: Any = None, check: bool = False, **inputs: str) -> Played:
        env = {"VERCEL_TOKEN": self.site.vercel.token, "XDG_STATE_HOME": str(self._home / "state")}
        inventory = inventory or self.inventory()
        return self._run(f"ops.runbooks.{runbook}", inventory=inventory, extra_vars=inputs, check=check, env=env)


def build(
    vercel: VercelServer, store: FileStoreAt, run_playbook: PlaybookRunner, home: Path, **statuses: int
) -> Environment:
    from sandbox.vercel import Behaviour

    behaviours = {letter: Behaviour(status=status) for letter, status in statuses.items()}
    return Environment(make_site(vercel, behaviours=behaviours), store, run_playbook, home)


def test_a_bad_release_and_the_way_back(
    vercel: VercelServer, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """Good is recorded, the next one is bad, and the last known good one serves again; the undo is printed."""
    ops = build(vercel, file_store, run_playbook, tmp_path, D=500)
    site = ops.site
    verified = ops.play("verify").ok()
    assert f"Changed: recorded {site.id('C')} as good" in verified.output

    bad = ops.play("promote", to=site.id("D"), reason="a new release").red()
    assert "Result: failed (verify_failed)" in bad.output
    assert "Next: ansible-playbook ops.runbooks.rollback" in bad.output
    assert site.serves == "D"
    back = ops.play("rollback", to="last_known_good", reason="it answers 500").ok()
    assert site.serves == "C"
    assert "Result: done" in back.output
    assert f"Changed: rolled production back from {site.id('D')} to {site.id('C')}" in back.output
    assert f"it serves {site.id('C')}" in back.output
    assert "do not reach production until a promote" in back.output
    assert "Newest good backup: none is expected" in back.output
    assert "Lock: free" in back.output
    undo = (
        f"Next: ansible-playbook ops.runbooks.promote -i {tmp_path}/home/inventory.yml --limit web -e to={site.id('D')}"
    )
    assert undo in back.output
    once_more = ops.play("rollback", to="last_known_good", reason="it answers 500").ok()
    assert "Result: nothing to do" in once_more.output
    assert len(site.posts()) == 2


def test_preflight_and_status_of_an_app(
    vercel: VercelServer,
    file_store: FileStoreAt,
    run_playbook: PlaybookRunner,
    run_module: ModuleRunner,
    tmp_path: Path,
) -> None:
    """What could be done, what serves and whether it is good; without a write anywhere."""
    from sandbox.vercel import GitLink

    site = make_site(vercel, link=GitLink(org="acme", repo="web", repo_id=7))
    ops = Environment(site, file_store, run_playbook, tmp_path)
    ready = ops.play("preflight").ok().output
    assert re.search(rf"vercel +ready +project web-{site.tag}; production serves {site.id('C')}", ready)
    assert re.search(rf"rollback +ready +production could be rolled back to {site.id('B')}", ready)
    assert re.search(r"deploy +WARNING +pushes to main reach production ungated", ready)
    assert file_store.keys() == []

    record = {**file_store.args, "environment": "test", "name": "web", "deployment_id": site.id("C")}
    run_module("release_record", {**record, "release": "v1", "gate": "pass"}).ok()
    good = ops.play("status").ok().output
    assert f"Serves: {site.id('C')}, commit ccccccccc, release v1; its gate was passed" in good
    assert "Pushes: reach production ungated: auto-assign is on, and main of acme/web is connected" in good
    assert f"Way back: no other release is on record as good; previous is {site.id('B')}" in good
    assert f"Production affected: not by this run; it serves {site.id('C')}" in good
    run_module("release_record", {**record, "bad": "it loses orders"}).ok()
    bad = ops.play("status").red().output
    assert "Result: failed (deployment_forbidden)" in bad
    assert "it is marked bad: it loses orders. Roll it back" in bad
    assert "Next: ansible-playbook ops.runbooks.rollback" in bad
    assert site.posts() == []

    unasked = run_playbook("ops.runbooks.status", inventory=ops.inventory()).ok().output
    assert "what serves is not asked for, there is no token of Vercel (VERCEL_TOKEN)" in unasked
    gone = ops.play("preflight", inventory=ops.inventory(vercel_project="no-such")).red().output
    assert "Result: failed (not_ready): Could not count on vercel (web): Could not find the project" in gone


def test_refusals_and_lines(
    vercel: VercelServer, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    ops = build(vercel, file_store, run_playbook, tmp_path)
    nothing = ops.play("rollback", to="last_known_good", reason="x").red()
    assert "Result: failed (release_missing)" in nothing.output
    assert "to=previous" in nothing.output
    unmeasured = ops.play("verify", inventory=ops.inventory(verify_deadline="0s")).red()
    assert "Result: failed (verify_inconclusive)" in unmeasured.output
    assert (
        "vercel_project is not set"
        in ops.play("promote", inventory=without(ops, "vercel_project"), to="x").red().output
    )
    assert ops.site.posts() == []


def test_only_what_was_asked_is_recorded_as_good(
    vercel: VercelServer, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """Nothing ties an address that is not the project's to what serves; one that leads elsewhere is red."""
    from sandbox.vercel import Alias

    ops = build(vercel, file_store, run_playbook, tmp_path)
    site = ops.site
    outside = ops.play("verify", inventory=ops.inventory(app_headers={"Host": f"{site.tag}-c.localhost"})).ok()
    assert f"not recorded as good: {site.tag}-c.localhost is no production domain" in outside.output
    vercel.put(Alias(alias=site.host, deployment=site.id("B"), project=site.project_id))
    astray = ops.play("verify").red()
    assert "Result: failed (domain_differs)" in astray.output
    assert f"leads to {site.id('B')}" in astray.output
    assert not file_store.keys("test/apps/web/releases")


def without(ops: Environment, *names: str) -> dict[str, Any]:
    inventory = ops.inventory()
    for name in names:
        del inventory["all"]["children"]["apps"]["hosts"]["web"][name]
    return inventory


def test_breaking_the_glass(
    vercel: VercelServer, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    ops = build(vercel, file_store, run_playbook, tmp_path)
    gone = ops.inventory()
    gone["all"]["vars"] |= {
        "runbooks_store": "s3://no-such-bucket",
        "runbooks_store_endpoint_url": "http://127.0.0.1:9",
        "runbooks_store_access_key": "a",
        "runbooks_store_secret_key": "b" * 8,
        "runbooks_store_region": "us-east-1",
    }
    with continuous_probe(ops.site) as statuses:
        done = ops.play("rollback", inventory=gone, to="previous", reason="broken", break_glass="S3 is down").ok()
    assert set(statuses) == {200}
    assert "Lock: unknown" in done.output
    assert ops.site.serves == "B"
    uploaded = ops.play("rollback", to="previous", reason="broken").ok()
    assert "Result: done" in uploaded.output
    assert len(ops.site.posts()) == 1
    assert file_store.keys("test/apps/web/moves")
