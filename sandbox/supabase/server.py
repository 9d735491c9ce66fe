# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for Supabase over HTTP: ``/v1/projects/REF/...``, and a project's gateway at ``/gateway/REF/...``."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.standin import codec, control, http
from sandbox.standin.http import Reply
from sandbox.standin.switches import Switch
from sandbox.supabase import api, gateway, model
from sandbox.supabase.api import Asked, No
from sandbox.supabase.model import Project, Token, World

#: Seconds of a window in which requests of a token are counted.
WINDOW = 60
_API = re.compile(r"/v1/projects/(?P<ref>[^/]+)(?P<path>/.*)?")
_GATEWAY = re.compile(r"/gateway/(?P<ref>[^/]+)(?P<path>/.*)")

Act = Callable[[Project], tuple[Reply, Project]]


class Store:
    """The state and its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.world = World()
        self._asked: dict[str, deque[float]] = {}
        if path.exists():
            self.seed(json.loads(path.read_text(encoding="utf-8")))

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    @property
    def now(self) -> int:
        """Milliseconds since 1970 by the stand-in's clock."""
        return time.time_ns() // 1_000_000 + self.world.clock.ahead * 1000

    def document(self) -> dict[str, Any]:
        """Everything."""
        return model.dump(self.world)

    def seed(self, document: Mapping[str, Any]) -> None:
        """Add things, or replace those with the same names."""
        found = model.things(document)
        with self._lock:
            world = self.world
            for thing in found:
                world = world.put(thing)
            self._keep(world)

    def patch(self, section: str, name: str, fields: Mapping[str, Any]) -> None:
        """Change fields of one thing."""
        with self._lock:
            found = getattr(self.world, section, {}).get(name)
            if found is None:
                raise KeyError(f"There is no {name} among the {section}.")
            self._keep(self.world.put(codec.decode(type(found), codec.encode(found) | dict(fields), name)))

    def act(self, ref: str, act: Act) -> Reply:
        """Let a project answer, and be what it is afterwards, while nobody else does."""
        with self._lock:
            project = self.world.projects.get(ref)
            if project is None:
                raise No(404, "Project not found")
            reply, after = act(project)
            if after != project:
                self._keep(self.world.put(after))
            return reply

    def count(self, token: str) -> tuple[int, int]:
        """Note a request; how many are left in this window (-1: it is one too many), and seconds until there are."""
        with self._lock:
            now, limit = time.monotonic(), self.world.clock.limit
            asked = self._asked.setdefault(token, deque())
            while asked and asked[0] <= now - WINDOW:
                asked.popleft()
            left = limit - len(asked) - 1
            if left >= 0:
                asked.append(now)
            reset = max(1, int(asked[0] + WINDOW - now) + 1) if asked else WINDOW
            return left, reset

    def _keep(self, world: World) -> None:
        self.world = world
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix="supabase.", delete=False) as file:
            json.dump(model.dump(world), file, indent=1)
        os.replace(file.name, self.path)


class SupabaseHTTPServer(http.Server):
    """One server with its state."""

    def __init__(self, port: int, state: Path) -> None:
        self.store = Store(state)
        super().__init__(port, Handler)


class Handler(http.Handler):
    """One connection."""

    server: SupabaseHTTPServer

    def respond(self, body: bytes) -> None:
        """The control endpoint, a project's gateway, or the API."""
        if self.path.startswith("/_control/"):
            self.send(control.answer(self.server.store, self.server.switches, self.command, self.path, body))
        elif self.path.startswith("/gateway/"):
            self.spoilt(self._gateway, _failure)
        else:
            self.spoilt(lambda: self._api(body), _failure)

    def _gateway(self) -> Reply:
        store, match = self.server.store, _GATEWAY.fullmatch(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            if match is None:
                raise No(404, "Not found")
            path = match["path"]
            return store.act(
                match["ref"], lambda project: gateway.answer(self.command, path, headers, project, store.now)
            )
        except No as refused:
            return _refusal(refused)

    def _api(self, body: bytes) -> Reply:
        parts = urlsplit(self.path)
        store, match = self.server.store, _API.fullmatch(parts.path)
        token = store.world.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if token is None:
            return _refusal(No(401, "Unauthorized"))
        left, reset = store.count(token.token)
        try:
            if left < 0:
                raise No(429, "ThrottlerException: Too Many Requests")
            if match is None:
                raise No(404, f"Cannot {self.command} {parts.path}")
            asked = Asked(
                method=self.command,
                path=match["path"] or "",
                query=dict(parse_qsl(parts.query)),
                body=json.loads(body) if body else {},
                now=store.now,
            )
            _require(token, match["ref"], asked)
            reply = store.act(match["ref"], lambda project: api.answer(asked, project))
        except No as refused:
            reply = _refusal(refused)
        # The seconds that are left, and not a moment.
        headers = {
            "x-ratelimit-limit": str(store.world.clock.limit),
            "x-ratelimit-remaining": str(max(left, 0)),
            "x-ratelimit-reset": str(reset),
        }
        return Reply(status=reply.status, body=reply.body, headers=headers)

    def version_string(self) -> str:
        """What clients are told of the server."""
        return "cloudflare"


def _require(token: Token, ref: str, asked: Asked) -> None:
    """What a token was not given, it may not do; a project that it does not see is as good as none."""
    if token.projects and ref not in token.projects:
        raise No(403, "Forbidden resource")
    if asked.permission in token.lacks or (asked.reveals and "api_gateway_keys_reveal" in token.lacks):
        raise No(403, "Your access token does not have the permission to access this resource")


def _refusal(refused: No) -> Reply:
    return Reply(status=refused.status, body={"message": str(refused)})


def _failure(switch: Switch) -> Reply:
    """What a client gets where a switch says so."""
    status = switch.status or 500
    if status == 429:
        headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(switch.retry_after or 1)}
        return Reply(status=429, body={"message": "ThrottlerException: Too Many Requests"}, headers=headers)
    return Reply(status=status, body={"message": switch.code or "Internal server error"})
