# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes webhooks on loopback until a file named stop appears: receiver.py DIRECTORY."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

directory = Path(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    """Writes each request down."""

    def take(self) -> None:
        """Answer 200."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with (directory / "requests").open("a", encoding="utf-8") as requests:
            requests.write(f"{self.command} {self.path} {body}\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = take  # noqa: N815 - the names that the base class calls


server = HTTPServer(("127.0.0.1", 0), Handler)
server.timeout = 0.2
(directory / "address.new").write_text(f"http://127.0.0.1:{server.server_port}", encoding="utf-8")
(directory / "address.new").rename(directory / "address")
while not (directory / "stop").exists():
    server.handle_request()
