# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP as all stand-ins speak it, with what goes wrong on demand."""

from __future__ import annotations

import json
import socket
import sys
import time
import traceback
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sandbox.standin.refusal import Refused
from sandbox.standin.switches import Seen, Switch, Switches

#: The largest body that is taken, in bytes.
LARGEST_BODY = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back: JSON, or bytes as they are."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Server(ThreadingHTTPServer):
    """A server on loopback; requests are served beside each other."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, handler: type[Handler]) -> None:
        self.switches = Switches()
        super().__init__(("127.0.0.1", port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection; a subclass says in :meth:`respond` who answers what."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 120
    server: Server

    @abstractmethod
    def respond(self, body: bytes) -> None:
        """Answer one request by :meth:`send` or :meth:`spoilt`."""

    def answer(self) -> None:
        """Serve one request, whatever its method."""
        try:
            self.respond(self._body())
        except Dropped:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815 - the library's names

    def host(self) -> str:
        """The name that the client asked for, without the port."""
        return str(self.headers.get("Host", "")).rsplit(":", 1)[0].lower()

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

    def spoilt(self, carry_out: Callable[[], Reply], fail: Callable[[Switch], Reply]) -> None:
        """Carry a request out and answer it, or do what a fault switch says; and remember that it came."""
        switch = self.server.switches.take(self.command, self.path)
        seen = Seen(method=self.command, target=self.path, at=time.time_ns() // 1_000_000)
        self.server.switches.note(seen)
        _sleep(switch.delay)
        reply: Reply | None = None
        if switch.after or not (switch.drop or switch.status):
            reply = _shielded(carry_out)
            seen.done = reply.status
            _sleep(switch.delay_after)
        if switch.drop:
            raise Dropped
        if reply is None or switch.status:
            reply = fail(switch)
        seen.status = reply.status
        self.send(reply)

    def send(self, reply: Reply) -> None:
        """Send an answer."""
        body = b"" if reply.body is None else reply.body
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {"Content-Type": reply.content_type} if body else {}
        self.send_response(reply.status)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are kept where tests can ask for them, not in the log."""


def refusal(refused: Refused, headers: Mapping[str, str] | None = None) -> Reply:
    """An error as a service writes it."""
    return Reply(status=refused.status, body=refused.body, headers={**(headers or {}), **refused.headers})


def _shielded(carry_out: Callable[[], Reply]) -> Reply:
    """A mistake of ours is told to the client as one of the service, and written to the log."""
    try:
        return carry_out()
    except Exception:  # noqa: BLE001 - whatever it is, the client must not wait
        traceback.print_exc()
        return Reply(status=500, body={"error": {"code": "internal_server_error", "message": "see the server's log"}})


def _sleep(milliseconds: int) -> None:
    if milliseconds:
        time.sleep(milliseconds / 1000)
