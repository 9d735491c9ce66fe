# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service with keys as many have them: made by a request and shown once, listed by name, switched off, deleted."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ADMIN = "of-the-administrator-alone"


@dataclass(slots=True, kw_only=True)
class Key:
    """One key."""

    id: str
    name: str
    value: str
    enabled: bool = True


@dataclass(slots=True, kw_only=True)
class KeyService:
    """What the service holds, and what goes wrong with it."""

    url: str = ""
    keys: dict[str, Key] = field(default_factory=dict)
    #: Methods and paths whose next answer is lost after the effect, as regular expressions.
    lost: list[str] = field(default_factory=list)
    #: How many questions with a value are refused, since it is not known yet.
    early: int = 0
    #: The value of the next key; drawn where there is none.
    value: str = ""
    #: What is answered instead of the next answer to POST /v1/keys.
    spoilt: Any = None
    #: Methods and targets, as an access log has them.
    log: list[str] = field(default_factory=list)

    def put(self, name: str) -> Key:
        """A key that somebody has made by hand."""
        made = Key(id=f"key-{secrets.token_hex(4)}", name=name, value=self.value or secrets.token_urlsafe(20))
        self.keys[made.id] = made
        return made

    def answer(self, method: str, target: str, authorization: str, body: Any) -> tuple[int, Any]:
        """Carry a request out."""
        if target == "/v1/me":
            self.early -= 1
            shown = body["key"] if body else authorization.removeprefix("Bearer ")
            good = {each.value for each in self.keys.values() if each.enabled}
            return (200 if shown in good and self.early < 0 else 401), {"key": shown}
        if authorization != f"Bearer {ADMIN}":
            return 401, {"error": "who are you?"}
        if target == "/v1/keys" and method == "POST":
            made = self.put(body["name"])
            spoilt, self.spoilt = self.spoilt, None
            return 201, spoilt or {"key": {"id": made.id, "secret": made.value}}
        if target.startswith("/v1/keys?"):
            return 200, {"data": [{"id": each.id, "label": each.name} for each in self.keys.values()], "more": False}
        match = re.fullmatch(r"/v1/keys/([^/]+)(/(?:dis|en)able)?", target)
        if match is None or match[1] not in self.keys:
            return 404, {"error": "no such key"}
        if method == "DELETE":
            del self.keys[match[1]]
        else:
            self.keys[match[1]].enabled = match[2] == "/enable"
        return 204, None


@contextmanager
def key_service() -> Iterator[KeyService]:
    """The service on a port of 127.0.0.1."""
    service = KeyService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else None
            service.log.append(f"{self.command} {self.path}")
            status, found = service.answer(self.command, self.path, self.headers.get("Authorization", ""), sent)
            if lost := next((each for each in service.lost if re.search(each, service.log[-1])), None):
                service.lost.remove(lost)
                self.close_connection = True
                return
            body = b"" if found is None else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: Any) -> None:
            """It has a log of its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def declared(service: KeyService, key_name: str) -> dict[str, Any]:
    """The provider, as a user declares it."""
    one = "/v1/keys/{id}"
    listed = {"items": "data", "id": "id", "name": "label", "more": "more"}
    return {
        "type": "http",
        "url": service.url,
        "key_name": key_name,
        "secret_headers": {"Authorization": f"Bearer {ADMIN}"},
        "timeout": "3s",
        "requests": {
            "create": {
                "method": "POST",
                "path": "/v1/keys",
                "body": {"name": "{name}"},
                "statuses": [201],
                "id": "key.id",
                "parts": {"value": "key.secret"},
            },
            "list": {"method": "GET", "path": "/v1/keys?limit=1000", **listed},
            "test": {"method": "GET", "path": "/v1/me", "headers": {"Authorization": "Bearer {value}"}},
            "disable": {"method": "POST", "path": f"{one}/disable"},
            "enable": {"method": "POST", "path": f"{one}/enable"},
            "delete": {"method": "DELETE", "path": one, "gone": [404]},
        },
    }


def filled(provider: dict[str, Any]) -> dict[str, Any]:
    """With what the module's argument spec fills in."""
    request: dict[str, Any] = {"headers": {}, "body": None, "statuses": [200, 201, 202, 204], "gone": []}
    requests = {name: {**request, **({"more": None} if name == "list" else {}), **each}
                for name, each in provider["requests"].items()}  # fmt: skip
    return {"headers": {}, **provider, "requests": requests}
