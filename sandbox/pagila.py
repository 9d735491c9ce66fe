# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load Pagila, the DVD rental shop that the demo and the tests work on, into an empty database."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox import PostgresServer

DATA = Path(__file__).parent / "data" / "pagila"

#: Rows, and tables that have any, as loaded; `data/pagila/README.md` says where they come from.
ROWS = 46_268
TABLES_WITH_ROWS = 22


def ensure(server: PostgresServer) -> bool:
    """A database ``pagila``, unless there is one; whether it was loaded. A load that was killed is begun again."""
    if psql(server, "postgres", "-Atc", "SELECT 1 FROM pg_database WHERE datname = 'pagila'"):
        return False
    psql(server, "postgres", "-c", "DROP DATABASE IF EXISTS pagila_loading", "-c", "CREATE DATABASE pagila_loading")
    load(server, "pagila_loading")
    psql(server, "postgres", "-c", "ALTER DATABASE pagila_loading RENAME TO pagila")
    return True


def load(server: PostgresServer, database: str) -> None:
    """Fill ``database``, which must be empty, as the server's superuser, who must be called ``postgres``."""
    major = int(psql(server, database, "-Atc", "SHOW server_version_num")) // 10000
    schema = DATA / f"schema-{17 if major >= 17 else 15}.sql.gz"
    psql(server, database, script=gzip.decompress(schema.read_bytes()))
    psql(server, database, script=lzma.decompress((DATA / "data.sql.xz").read_bytes()))


def psql(server: PostgresServer, database: str, *arguments: str, script: bytes | None = None) -> str:
    """What the server's own psql prints; it stops at the first error, which is raised as ``RuntimeError``."""
    argv = [str(Path(server.bindir) / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *arguments]
    environment = {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
        "PGDATABASE": database,
        "PGCLIENTENCODING": "UTF8",
    }
    done = subprocess.run(argv, input=script or b"", env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"psql failed on {database}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout.decode()
