# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of a stand-in: ``python -m sandbox.<name> --port N --state FILE``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.standin.codec import BadState
from sandbox.standin.http import Server


def serve(name: str, description: str, make: Callable[[int, Path], Server], arguments: Sequence[str]) -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("--port", type=int, required=True, help="the port of 127.0.0.1 to listen on")
    parser.add_argument("--state", type=Path, required=True, help="the JSON file with all state; made where missing")
    options = parser.parse_args(arguments)
    try:
        server = make(options.port, options.state.resolve())
    except (BadState, ValueError) as error:
        print(f"{options.state} cannot be loaded: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Port {options.port} cannot be listened on: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: threading.Thread(target=server.shutdown).start())
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0
