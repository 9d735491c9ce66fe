# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for Vercel as one of the sandbox's servers, and as tests hold it in hand."""

from __future__ import annotations

import secrets
from pathlib import Path

from sandbox.service import Facts
from sandbox.standin.service import Heard, StandIn
from sandbox.vercel import model
from sandbox.vercel.model import Team, Thing, Token, User, World

#: The account of the sandbox.
USER = User(id="usr_sandbox", username="sandbox-user", email="sandbox@example.com", default_team="team_sandbox")
TEAM = Team(id="team_sandbox", slug="sandbox", name="Sandbox")


class VercelServer(StandIn):
    """Vercel on one port of 127.0.0.1: the API at ``api_url``, and each deployment at its own hostname.

        with VercelServer(tmp_path / "vercel") as vercel:
            vercel.put(Project(id="prj_1", name="web", account="team_sandbox"), Deployment(...))
            assert vercel.ask("GET", "/v9/projects/web?slug=sandbox").status == 200
            assert vercel.visit("web.localhost").status == 200

    ``token`` belongs to the user and team ``sandbox``; other teams, users and tokens are put in like projects.
    """

    name = "Vercel"
    package = "sandbox.vercel"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.token = f"vcp_{secrets.token_hex(20)}"

    def recall(self, facts: Facts) -> None:
        super().recall(facts)
        self.token = str(facts.get("token", self.token))

    def facts(self) -> Facts:
        return {"host": self.host, "port": self.port, "api_url": self.api_url, "token": self.token, "team": TEAM.slug}

    def variables(self) -> dict[str, str]:
        ours = {f"RUNBOOKS_SANDBOX_VERCEL_{name.upper()}": str(value) for name, value in self.facts().items()}
        return ours | {"VERCEL_TOKEN": self.token}

    def _prepare(self) -> None:
        self.put(USER, TEAM, Token(token=self.token, user=USER.id, teams=(TEAM.id,)))

    def put(self, *things: Thing) -> None:
        """Add things, or replace those with the same ids."""
        world = World()
        for thing in things:
            world = world.put(thing)
        self.control("POST", "state", model.dump(world))

    def world(self) -> World:
        """Everything as it is now."""
        found = World()
        for thing in model.things(self.control("GET", "state")):
            found = found.put(thing)
        return found

    def visit(self, host: str, target: str = "/", *, method: str = "GET") -> Heard:
        """Ask a deployment by a hostname that shows it."""
        return self.send(method, target, headers={"Host": host})
