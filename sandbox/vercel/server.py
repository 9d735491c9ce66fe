# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP server: the API where it is called by its address, and every other name as a visitor would see it.

Names below ``localhost`` mean this machine (RFC 6761): browsers and curl know that; where a system's resolver does not,
ask ``127.0.0.1`` and send the name as ``Host``.
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.vercel import control, hosting
from sandbox.vercel.api import dispatch
from sandbox.vercel.call import Call, Reply
from sandbox.vercel.files import Files
from sandbox.vercel.hosting import Answer, Visit
from sandbox.vercel.limits import Limiter, too_many
from sandbox.vercel.refusal import Refused
from sandbox.vercel.shared import Shared
from sandbox.vercel.store import Store
from sandbox.vercel.switches import Seen, Switch, Switches

#: The names under which the API is called.
API_HOSTS = {"127.0.0.1", "localhost", "api.vercel.com", ""}

#: The largest body that is taken, in bytes.
LARGEST_BODY = 256 * 1024 * 1024

#: Headers that concern one connection only.
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "content-length"}


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class VercelHTTPServer(ThreadingHTTPServer):
    """One server with everything that its requests share."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, state: Path) -> None:
        self.shared = Shared(
            store=Store(state),
            files=Files(state.with_name(state.name + ".files")),
            switches=Switches(),
            limiter=Limiter(),
        )
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 120
    server: VercelHTTPServer

    def answer(self) -> None:
        """Serve one request, whatever its method."""
        try:
            body = self._body()
            if self._host() not in API_HOSTS:
                self._send_answer(self._visit(body))
            elif self.path.startswith("/_control/"):
                self._send(control.answer(self.server.shared, self.command, self.path, body))
            else:
                self._api(body)
        except Dropped:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815 - the library's names

    def _host(self) -> str:
        host = self.headers.get("Host", "")
        return host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            raise Dropped
        return self.rfile.read(length)

    def _chunks(self) -> list[bytes]:
        chunks: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return chunks

    # --- API

    def _api(self, body: bytes) -> None:
        target = self.path
        switch = self.server.shared.switches.take(self.command, target)
        seen = Seen(method=self.command, target=target, at=self.server.shared.store.clock())
        self.server.shared.switches.note(seen)
        _sleep(switch.delay)
        spoilt = switch.drop or switch.status is not None
        if not spoilt or switch.after:
            reply = self._reply(body)
            seen.done = reply.status
            _sleep(switch.delay_after)
        if switch.drop:
            raise Dropped
        if switch.status is not None:
            reply = _spoilt(switch, self.server.shared.store.clock())
        seen.status = reply.status
        self._send(reply)

    def _reply(self, body: bytes) -> Reply:
        parts = urlsplit(self.path)
        call = Call(
            method="GET" if self.command == "HEAD" else self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers=self.headers,  # type: ignore[arg-type]
            raw=body,
            store=self.server.shared.store,
            files=self.server.shared.files,
            port=self.server.server_port,
        )
        headers: dict[str, str] = {}
        try:
            headers = self.server.shared.limiter.take(
                call.method, call.path, f"{call.token.token}/{call.account}", now=self.server.shared.store.clock()
            )
            reply = dispatch(call)
        except Refused as refused:
            return refusal(refused, headers)
        return Reply(
            status=reply.status,
            body=reply.body,
            headers=headers | dict(reply.headers),
            content_type=reply.content_type,
        )

    def _send(self, reply: Reply) -> None:
        body = b"" if reply.body is None else reply.body
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = dict(reply.headers)
        if body:
            headers["Content-Type"] = reply.content_type
        self._write(reply.status, headers, body)

    # --- Visitors

    def _visit(self, body: bytes) -> Answer:
        visit = Visit(
            method=self.command, host=self._host(), target=self.path, headers=dict(self.headers.items()), body=body
        )
        found = hosting.find(self.server.shared.store.look(), visit.host, turn=secrets.randbelow(100))
        return found if isinstance(found, Answer) else hosting.behave(found, visit)

    def _send_answer(self, answer: Answer) -> None:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        headers.setdefault("X-Vercel-Id", f"iad1::{secrets.token_hex(8)}")
        self._write(answer.status, headers, answer.body)

    def _write(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def version_string(self) -> str:
        """What visitors are told of the server."""
        return "Vercel"

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are kept where tests can ask for them, not in the log."""


def refusal(refused: Refused, headers: Mapping[str, str]) -> Reply:
    """An error as the API writes it."""
    return Reply(status=refused.status, body=refused.body, headers=dict(headers) | refused.headers)


def _spoilt(switch: Switch, now: int) -> Reply:
    status = switch.status or 500
    if status == 429:
        wait = switch.retry_after or 1
        refused = too_many({"X-RateLimit-Limit": "1"}, count=1, reset=now + wait * 1000, now=now)
        refused.body["error"]["code"] = switch.code or "rate_limited"
        return refusal(refused, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str((now // 1000) + wait)})
    code = switch.code or ("internal_server_error" if status >= 500 else "bad_request")
    headers = {} if switch.retry_after is None else {"Retry-After": str(switch.retry_after)}
    return refusal(Refused(status, code, "An unexpected internal error occurred"), headers)


def _sleep(milliseconds: int) -> None:
    if milliseconds:
        time.sleep(milliseconds / 1000)
