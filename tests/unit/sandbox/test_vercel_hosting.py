# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which deployment a hostname shows, and how the stand-ins start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.standin.command import serve
from sandbox.vercel import deployments, hosting
from sandbox.vercel.hosting import Answer
from sandbox.vercel.model import Alias, Deployment, Domain, Project, Release, World
from sandbox.vercel.server import VercelHTTPServer


def world(**fields: object) -> World:
    made = World().put(Project(id="p", name="web", account="t", production="a", **fields))  # type: ignore[arg-type]
    for name in "ab":
        made = made.put(Deployment(id=name, project="p", url=f"{name}.localhost"))
    return deployments.settle(made)


def shown(found: Deployment | Answer) -> str | int:
    return found.id if isinstance(found, Deployment) else found.status


def test_a_rolling_release_shares_the_production_hostname_only() -> None:
    shared = world(rolling_stages=(10, 50), release=Release(id="r", current="a", canary="b"))
    turns = [shown(hosting.find(shared, "web.localhost", turn=turn)) for turn in range(100)]
    assert turns.count("b") == 10
    assert shown(hosting.find(shared, "a.localhost", turn=0)) == "a"


def test_hostnames_that_lead_elsewhere_or_nowhere() -> None:
    moved = world().put(Alias(alias="old.test", deployment="a", project="p", redirect="web.localhost"))
    answer = hosting.find(moved, "old.test")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["Location"]) == (308, "//web.localhost/")
    assert shown(hosting.find(moved, "nobody.localhost")) == 404
    gone = deployments.delete(moved, moved.deployments["b"])
    assert shown(hosting.find(gone, "b.localhost")) == 410


def test_a_domain_that_is_not_verified_shows_nothing() -> None:
    domains = (Domain(name="a.test"), Domain(name="b.test", verified=False))
    assert set(world(domains=domains).aliases) == {"a.test"}


@pytest.mark.parametrize("content", ["{", json.dumps({"projects": [{"id": "p", "colour": "red"}]})])
def test_a_state_file_that_cannot_be_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    state = tmp_path / "state.json"
    state.write_text(content, encoding="utf-8")
    arguments = ["--port", "1", "--state", str(state)]
    assert serve("sandbox.vercel", "", VercelHTTPServer, arguments) == 1
    assert f"{state} cannot be loaded" in capsys.readouterr().err


def test_the_state_of_the_readme_can_be_loaded(tmp_path: Path) -> None:
    text = (Path(hosting.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    example = text.split("```json\n")[1].split("```")[0]
    state = tmp_path / "state.json"
    state.write_text(example, encoding="utf-8")
    with VercelHTTPServer(0, state) as server:
        assert shown(hosting.find(server.shared.store.look(), "web.localhost")) == "dpl_2"
        server.switches.turn_on(json.loads(text.split("```json\n")[2].split("```")[0]))
