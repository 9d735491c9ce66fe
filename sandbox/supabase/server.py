# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for Supabase over HTTP: ``/v1/projects/REF/...``, and a project's gateway at ``/gateway/REF/...``."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from sandbox.standin.http import Reply
from sandbox.standin.server import StatefulHandler, StatefulServer
from sandbox.standin.store import Store
from sandbox.standin.switches import Switch
from sandbox.supabase import api, gateway, model
from sandbox.supabase.api import Asked, No
from sandbox.supabase.model import Project, Token, World

#: Seconds of a window in which requests of a token are counted.
WINDOW = 60
_API = re.compile(r"/v1/projects/(?P<ref>[^/]+)(?P<path>/.*)?")
_GATEWAY = re.compile(r"/gateway/(?P<ref>[^/]+)(?P<path>/.*)")

Act = Callable[[Project], tuple[Reply, Project]]


class Projects(Store[World]):
    """The state, by the stand-in's own clock, and how much each token has asked for lately."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, World(), model.KINDS)
        self._counting = threading.Lock()
        self._asked: dict[str, deque[float]] = {}

    @property
    def now(self) -> int:
        """Milliseconds since 1970 by the stand-in's clock."""
        return time.time_ns() // 1_000_000 + self.world.clock.ahead * 1000

    def act(self, ref: str, act: Act) -> Reply:
        """Let a project answer, and be what it is afterwards, while nobody else does."""

        def acted(world: World) -> tuple[World, Reply]:
            project = world.projects.get(ref)
            if project is None:
                raise No(404, "Project not found")
            reply, after = act(project)
            return world if after == project else world.put(after), reply

        reply: Reply = self.change(acted)
        return reply

    def count(self, token: str) -> tuple[int, int]:
        """Note a request; how many are left in this window (-1: it is one too many), and seconds until there are."""
        with self._counting:
            now, limit = time.monotonic(), self.world.clock.limit
            asked = self._asked.setdefault(token, deque())
            while asked and asked[0] <= now - WINDOW:
                asked.popleft()
            left = limit - len(asked) - 1
            if left >= 0:
                asked.append(now)
            reset = max(1, int(asked[0] + WINDOW - now) + 1) if asked else WINDOW
            return left, reset


class SupabaseHTTPServer(StatefulServer):
    """One server with its state."""

    store: Projects

    def __init__(self, port: int, state: Path) -> None:
        super().__init__(port, Handler, Projects(state))


class Handler(StatefulHandler):
    """One connection."""

    server: SupabaseHTTPServer

    def api(self, body: bytes) -> Reply:
        """A project's gateway is on another host at Supabase."""
        return self._gateway() if self.path.startswith("/gateway/") else self._managed(body)

    def failure(self, switch: Switch) -> Reply:
        """See :class:`StatefulHandler`. Too many requests are told with the seconds that are left."""
        if switch.status == 429:
            headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(switch.retry_after or 1)}
            return Reply(status=429, body={"message": "ThrottlerException: Too Many Requests"}, headers=headers)
        return Reply(status=switch.status or 500, body={"message": switch.code or "Internal server error"})

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

    def _managed(self, body: bytes) -> Reply:
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
