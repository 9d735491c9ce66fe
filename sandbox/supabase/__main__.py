# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m sandbox.supabase --port N --state FILE``."""

from __future__ import annotations

import sys

from sandbox.standin.command import serve
from sandbox.supabase.server import SupabaseHTTPServer

DESCRIPTION = "A stand-in for Supabase on this machine's loopback address: API keys, signing keys, and who takes them."

if __name__ == "__main__":
    raise SystemExit(serve("sandbox.supabase", DESCRIPTION, SupabaseHTTPServer, sys.argv[1:]))
