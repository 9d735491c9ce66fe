# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m sandbox.aws --port N --state FILE``."""

from __future__ import annotations

import sys

from sandbox.aws.server import AwsHTTPServer
from sandbox.standin.command import serve

DESCRIPTION = "A stand-in for AWS on this machine's loopback address: access keys, who-am-I and Secrets Manager."

if __name__ == "__main__":
    raise SystemExit(serve("sandbox.aws", DESCRIPTION, AwsHTTPServer, sys.argv[1:]))
