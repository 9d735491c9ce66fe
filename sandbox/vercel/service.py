# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for Vercel as one of the sandbox's servers, and as tests hold it in hand."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from sandbox import processes
from sandbox.service import ANSWER_TIMEOUT, CHECKOUT, Facts, Service
from sandbox.vercel import model
from sandbox.vercel.model import Team, Thing, Token, User, World

#: The account of the sandbox.
USER = User(id="usr_sandbox", username="sandbox-user", email="sandbox@example.com", default_team="team_sandbox")
TEAM = Team(id="team_sandbox", slug="sandbox", name="Sandbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An answer of the API or of a deployment."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class VercelServer(Service):
    """Vercel on one port of 127.0.0.1: the API at ``api_url``, and each deployment at its own hostname.

        with VercelServer(tmp_path / "vercel") as vercel:
            vercel.put(Project(id="prj_1", name="web", account="team_sandbox"), Deployment(...))
            assert vercel.ask("GET", "/v9/projects/web?slug=sandbox").status == 200
            assert vercel.visit("web.localhost").status == 200

    ``token`` belongs to the user and team ``sandbox``; other teams, users and tokens are put in like projects.
    """

    name = "Vercel"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.token = f"vcp_{secrets.token_hex(20)}"

    def recall(self, facts: Facts) -> None:
        super().recall(facts)
        self.token = str(facts.get("token", self.token))

    @property
    def api_url(self) -> str:
        """The URL of the API."""
        return f"http://{self.host}:{self.port}"

    @property
    def state_file(self) -> Path:
        """Where everything is kept."""
        return self.directory / "vercel.json"

    def require_installed(self) -> None:
        """It needs nothing but Python."""

    def facts(self) -> Facts:
        return {"host": self.host, "port": self.port, "api_url": self.api_url, "token": self.token, "team": TEAM.slug}

    def variables(self) -> dict[str, str]:
        ours = {f"RUNBOOKS_SANDBOX_VERCEL_{name.upper()}": str(value) for name, value in self.facts().items()}
        return ours | {"VERCEL_TOKEN": self.token}

    def belongs(self, process: psutil.Process) -> bool:
        return "sandbox.vercel" in process.cmdline() and processes.works_in(process, self.directory)

    def answers(self) -> bool:
        try:
            heard = self.control("GET", "health")
        except (OSError, HTTPException, ValueError):
            return False
        return bool(heard["state"] == str(self.state_file.resolve()))

    def _launch(self) -> subprocess.Popen[bytes]:
        return processes.spawn(
            [sys.executable, "-m", "sandbox.vercel", "--port", str(self.port), "--state", str(self.state_file)],
            directory=self.directory,
            log=self.log,
            environment=_clean_environment() | {"PYTHONPATH": str(CHECKOUT)},
        )

    def _prepare(self) -> None:
        self.put(USER, TEAM, Token(token=self.token, user=USER.id, teams=(TEAM.id,)))

    def __enter__(self) -> VercelServer:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # --- Setting the stage

    def put(self, *things: Thing) -> None:
        """Add things, or replace those with the same ids."""
        world = World()
        for thing in things:
            world = world.put(thing)
        self.control("POST", "state", model.dump(world))

    def change(self, section: str, name: str, **fields: Any) -> None:
        """Change fields of one thing: ``vercel.change("projects", "prj_1", job_outcome="failed")``."""
        self.control("PATCH", f"{section}/{quote(name, safe='')}", fields)

    def world(self) -> World:
        """Everything as it is now."""
        found = World()
        for thing in model.things(self.control("GET", "state")):
            found = found.put(thing)
        return found

    def faults(self, *switches: Mapping[str, Any]) -> None:
        """Replace all fault switches; see :class:`sandbox.vercel.switches.Switch`. None: all is well again."""
        self.control("PUT", "faults", list(switches))

    def requests(self, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """What came in at the API since the last :meth:`forget`: with this method, and this text in path and query."""
        found = self.control("GET", "requests")
        return [each for each in found if each["method"].startswith(method) and path in each["target"]]

    def forget(self) -> None:
        """Forget the requests so far."""
        self.control("DELETE", "requests")

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control endpoint; see :mod:`sandbox.vercel.control`."""
        raw = None if body is None else json.dumps(body).encode()
        heard = self.send(method, f"/_control/{path}", body=raw)
        if heard.status != 200:
            raise ValueError(heard.json["error"]["message"])
        return heard.json

    # --- Clients

    def ask(self, method: str, target: str, body: Any = None, *, token: str | None = None) -> Heard:
        """Ask the API as a client with this token (default: the sandbox's)."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        raw = None if body is None else json.dumps(body).encode()
        return self.send(method, target, body=raw, headers=headers)

    def visit(self, host: str, target: str = "/", *, method: str = "GET") -> Heard:
        """Ask a deployment by a hostname that shows it."""
        return self.send(method, target, headers={"Host": host})

    def send(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Heard:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_TIMEOUT)
        try:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Heard(status=answer.status, headers=dict(answer.getheaders()), body=answer.read())
        finally:
            connection.close()


def _clean_environment() -> dict[str, str]:
    """The environment without the user's own settings of what the deployments use."""
    mine = ("VERCEL", "PYTHON", "PG", "DATABASE_URL", "AWS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)}
