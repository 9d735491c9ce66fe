# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A function of a deployment: a child of the stand-in that serves one WSGI ``app`` on a port of 127.0.0.1.

It prints its port, and ends when its standard input does: with the server, however that ends.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class Server(ThreadingMixIn, WSGIServer):
    """Serves requests beside each other."""

    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    """Writes no access log; what the function prints is its log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def load(path: Path) -> Any:
    """The ``app`` of a file."""
    spec = importlib.util.spec_from_file_location("function", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(handler: str) -> None:
    """Serve until the parent goes away."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    app = load(Path(handler))
    with Server(("127.0.0.1", 0), Handler) as server:
        server.set_app(app)
        print(server.server_port, flush=True)
        # What the function prints from here on is its log.
        sys.stdout = sys.stderr
        server.serve_forever(poll_interval=1)


if __name__ == "__main__":
    main(sys.argv[1])
