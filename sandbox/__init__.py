# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole environment on loopback for demos, tests and benchmarks: real PostgreSQL, a real S3 API, and stand-ins.

    with Sandbox(tmp_path / "sandbox") as sandbox:
        psycopg.connect(sandbox.postgres.dsn)
        boto3.client("s3", endpoint_url=sandbox.s3.endpoint_url, ...)

From a shell: ``python -m sandbox up|down|status|env|run``.
"""

from __future__ import annotations

from sandbox.environment import Sandbox
from sandbox.errors import SandboxError
from sandbox.postgres import PostgresServer
from sandbox.s3 import S3Server

__all__ = ["PostgresServer", "S3Server", "Sandbox", "SandboxError"]
