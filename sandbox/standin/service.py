# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in as one of the sandbox's servers, and as tests hold it in hand."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar, Generic, Self
from urllib.parse import quote

import psutil

from sandbox import processes
from sandbox.service import ANSWER_TIMEOUT, CHECKOUT, Facts, Service
from sandbox.standin.store import Kinds, W, dump, loaded


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


class StandIn(Service):
    """A server of our own on one port of 127.0.0.1 that keeps all state in one file."""

    #: The Python package that is run.
    package: str
    #: Who a client of :meth:`ask` is by default.
    token: str

    @property
    def api_url(self) -> str:
        """The URL of the API."""
        return f"http://{self.host}:{self.port}"

    @property
    def state_file(self) -> Path:
        """Where everything is kept."""
        return self.directory / "service.json"

    def require_installed(self) -> None:
        """It needs nothing but Python."""

    def belongs(self, process: psutil.Process) -> bool:
        return self.package in process.cmdline() and processes.works_in(process, self.directory.resolve())

    def answers(self) -> bool:
        try:
            heard = self.control("GET", "health")
        except (OSError, HTTPException, ValueError):
            return False
        return bool(heard["state"] == str(self.state_file.resolve()))

    def _launch(self) -> subprocess.Popen[bytes]:
        return processes.spawn(
            [sys.executable, "-m", self.package, "--port", str(self.port), "--state", str(self.state_file)],
            directory=self.directory,
            log=self.log,
            environment=_clean_environment() | {"PYTHONPATH": str(CHECKOUT)},
        )

    @abstractmethod
    def _prepare(self) -> None:
        """Put in what the sandbox always has."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # --- Setting the stage

    def change(self, section: str, name: str, **fields: Any) -> None:
        """Change fields of one thing: ``vercel.change("projects", "prj_1", job_outcome="failed")``."""
        self.control("PATCH", f"{section}/{quote(name, safe='')}", fields)

    def faults(self, *switches: Mapping[str, Any]) -> None:
        """Replace all fault switches; see :class:`sandbox.standin.switches.Switch`. None: all is well again."""
        self.control("PUT", "faults", list(switches))

    def requests(self, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """What came in at the API since the last :meth:`forget`: with this method, and this text in path and query."""
        found = self.control("GET", "requests")
        return [each for each in found if each["method"].startswith(method) and path in each["target"]]

    def forget(self) -> None:
        """Forget the requests so far."""
        self.control("DELETE", "requests")

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control endpoint; see :mod:`sandbox.standin.control`."""
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


class StatefulStandIn(StandIn, Generic[W]):
    """One whose things are kept by :class:`sandbox.standin.store.Store`."""

    #: What it has before anything is put in, and the kinds of its things.
    empty: Any
    kinds: ClassVar[Kinds]

    def put(self, *things: Any) -> None:
        """Add things, or replace those with the same names."""
        world = self.empty
        for thing in things:
            world = world.put(thing)
        self.control("POST", "state", dump(world, self.kinds))

    def world(self) -> W:
        """Everything as it is now, values of secrets included."""
        found: W = loaded(self.control("GET", "state"), self.kinds, self.empty)
        return found


class TokenStandIn(StatefulStandIn[W]):
    """One that knows its clients by a bearer's token; ``token`` may do everything in whatever is put in."""

    #: The package's record of such a token.
    bearer: ClassVar[Callable[..., Any]]
    #: What its tokens begin with.
    begins: ClassVar[str] = ""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.token = f"{self.begins}{secrets.token_hex(20)}"

    def recall(self, facts: Facts) -> None:
        super().recall(facts)
        self.token = str(facts.get("token", self.token))

    def facts(self) -> Facts:
        return {"host": self.host, "port": self.port, "api_url": self.api_url, "token": self.token}

    def variables(self) -> dict[str, str]:
        return {
            f"RUNBOOKS_SANDBOX_{self.name.upper()}_{name.upper()}": str(value) for name, value in self.facts().items()
        }

    def _prepare(self) -> None:
        self.put(type(self).bearer(token=self.token))


def _clean_environment() -> dict[str, str]:
    """The environment without the user's own settings of what is deployed."""
    mine = ("VERCEL", "GITHUB", "SUPABASE", "PYTHON", "PG", "DATABASE_URL", "AWS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)}
