# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m sandbox.awx --port N --state FILE``."""

from __future__ import annotations

import sys

from sandbox.awx.server import AwxHTTPServer
from sandbox.standin.command import serve

DESCRIPTION = "A stand-in for AWX on this machine's loopback address: credentials and their types."

if __name__ == "__main__":
    raise SystemExit(serve("sandbox.awx", DESCRIPTION, AwxHTTPServer, sys.argv[1:]))
