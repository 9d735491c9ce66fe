# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m sandbox.github --port N --state FILE``."""

from __future__ import annotations

import sys

from sandbox.github.server import GitHubHTTPServer
from sandbox.standin.command import serve

DESCRIPTION = "A stand-in for GitHub on this machine's loopback address: checks, statuses and archives of commits."

if __name__ == "__main__":
    raise SystemExit(serve("sandbox.github", DESCRIPTION, GitHubHTTPServer, sys.argv[1:]))
