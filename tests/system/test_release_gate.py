# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""release_gate: production goes back with the verdict, quickly, once, and only where the gate fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.modules import ModuleRunner
from harness.servers import FileStoreAt
from harness.sites import Site, make_site

if TYPE_CHECKING:
    from sandbox.vercel import VercelServer

#: Seconds from the verdict until the last domain is led back, with other tests on the same processors. The job itself
#: takes the stand-in a third of one.
BACK = 5


def serving(vercel: VercelServer, letter: str, **behaviour: Any) -> Site:
    """A site of which D, which behaves like this, was promoted in the place of C."""
    from sandbox.vercel import Alias, Behaviour

    site = make_site(vercel, behaviours={letter: Behaviour(**behaviour)}, auto_assign=False)
    site.change(production=site.id("D"), served=tuple(site.id(each) for each in "ABCD"))
    vercel.put(Alias(alias=site.host, deployment=site.id("D"), project=site.project_id))
    return site


def gate(site: Site, store: FileStoreAt, **options: Any) -> dict[str, Any]:
    probes = [{"name": "home", "url": site.vercel.api_url, "headers": {"Host": site.host}}]
    named = {**store.args, "environment": "test", "name": "web", **site.options}
    rules = {"slo": {"error_rate": 0.05}, "min_samples": 20, "probes": probes}
    return {**named, **rules, "deployment": site.id("D"), "rollback_to": site.id("C"), **options}


def test_a_gate_that_is_passed_needs_no_way_back(
    vercel: VercelServer, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    """Not even one that exists: it says nothing of the release. Nothing is written."""
    site = serving(vercel, "D")
    for way_back in (site.id("C"), "dpl_gone", ""):
        said = run_module("release_gate", gate(site, file_store, rollback_to=way_back)).ok()
        assert (said.changed, said["gate"]["decision"], said["gate"]["back"]) == (False, "pass", None)
    assert (site.posts(), file_store.keys("test")) == ([], [])


def test_production_goes_back_with_the_verdict(
    vercel: VercelServer, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    """Where it is too slow, and where it does not even answer once; check mode predicts, and moves nothing."""
    for behaviour, said in (({"latency": 120}, "p95_ms was"), ({"status": 500}, "home: ")):
        site = serving(vercel, "D", **behaviour)
        args = gate(site, file_store, name=f"web-{site.tag}", slo={"p95_ms": 100})
        told = run_module("release_gate", args, check=True).ok()
        assert (told.changed, site.posts()) == (True, [])
        done = run_module("release_gate", args).ok()
        assert done["plan"] == told["plan"]
        assert (done["gate"]["decision"], site.serves, len(site.posts("rollback"))) == ("fail", "C", 1)
        assert done["gate"]["reason"].startswith(said)
        assert 0 < done["gate"]["back_seconds"] < BACK
        (move,) = (json.loads(file_store.read(key)) for key in file_store.keys(f"test/apps/{args['name']}/moves")[-1:])
        assert (move["state"], move["reason"]) == ("done", f"its gate failed: {done['gate']['reason']}")
        assert not run_module("release_gate", args).ok().changed


def test_the_verdict_stands_where_the_way_back_is_closed(
    vercel: VercelServer, file_store: FileStoreAt, run_module: ModuleRunner
) -> None:
    """Nothing to go back to is a verdict and no more; what may not serve again is refused by its name."""
    site = serving(vercel, "D", status=500)
    alone = run_module("release_gate", gate(site, file_store, rollback_to="")).ok()
    assert (alone.changed, alone["gate"]["decision"]) == (False, "fail")
    barred = [{"deployment_id": site.id("C"), "reason": "its schema is gone"}]
    refused = run_module("release_gate", gate(site, file_store, forbidden=barred)).refused("deployment_forbidden")
    assert refused["gate"]["decision"] == "fail"
    assert site.posts() == []
