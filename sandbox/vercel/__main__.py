# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m sandbox.vercel --port N --state FILE``."""

from __future__ import annotations

import sys

from sandbox.standin.command import serve
from sandbox.vercel.server import VercelHTTPServer

DESCRIPTION = "A stand-in for Vercel on this machine's loopback address: its API, and the deployments."

if __name__ == "__main__":
    raise SystemExit(serve("sandbox.vercel", DESCRIPTION, VercelHTTPServer, sys.argv[1:]))
