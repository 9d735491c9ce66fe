# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP server on loopback that takes webhooks and heartbeats, and answers as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass(slots=True, kw_only=True)
class Receiver:
    """``answers`` are the statuses of the next answers, 200 where there are none; ``delay`` is in seconds.

    ``content`` is what comes with each of them.
    """

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    location: str = ""
    content: bytes = b""
    delay: float = 0.0


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A running server, on a free port."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            state.received.append(
                Received(method=self.command, path=self.path, headers=dict(self.headers.items()), body=body)
            )
            time.sleep(state.delay)
            self.send_response(state.answers.pop(0) if state.answers else 200)
            if state.location:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            if state.content:
                self.wfile.write(state.content)

        do_GET = do_POST = _take  # noqa: N815 - the names that the base class calls

        def log_message(self, format: str, *_arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
