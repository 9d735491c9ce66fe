# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers that are measured against, and how programs reach them."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from bench import data, peers
from sandbox import Sandbox

CHECKOUT = Path(__file__).resolve().parent.parent
PREFIX = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A sandbox that is up, and a directory for what programs write."""

    sandbox: Sandbox
    scratch: Path

    @property
    def bindir(self) -> Path:
        """pg_dump and its kin."""
        return self.sandbox.postgres.bindir

    @property
    def store(self) -> str:
        """The store's URL, below which everything of a run lies."""
        return f"s3://{self.sandbox.s3.bucket}/{PREFIX}"

    def environment(self) -> dict[str, str]:
        """What every program gets: how to reach the servers, and nothing of the user's own settings."""
        postgres, home = self.sandbox.postgres, self.scratch / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.pathsep.join([str(self.bindir), str(Path(sys.executable).parent), os.defpath]),
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGUSER": postgres.user,
            "PGPASSWORD": postgres.password,
            **self.sandbox.s3.variables(),
            "AWS_EC2_METADATA_DISABLED": "true",
            "ANSIBLE_HOME": str(home / ".ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, (COLLECTIONS, peers.COLLECTIONS))),
        }

    def database(self, name: str, mib: int) -> str:
        """A database of a kind (``product``, ``equal``, ``stream``) and size, made where missing; returns its name."""
        full = f"{PREFIX}_{name}_{mib}"
        make = {"product": data.make_product, "equal": data.make_equal, "stream": data.make_stream}[name]
        # The comment is written last, so that what an interrupted run has left is made anew.
        label = f"{data.SEED} {data.ROWS}"
        with psycopg.connect(self.sandbox.postgres.dsn, autocommit=True) as connection:
            found = connection.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (full,)
            ).fetchone()
            if found == (label,):
                return full
            quoted = sql.Identifier(full)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(quoted))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
            make(self.sandbox.postgres.url(full), mib)
            connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(quoted, sql.Literal(label)))
        return full

    def drop(self, database: str) -> None:
        """Give the disk back."""
        with psycopg.connect(self.sandbox.postgres.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def database_bytes(self, database: str) -> int:
        """What the server says that the database takes."""
        with psycopg.connect(self.sandbox.postgres.url(database), autocommit=True) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0]) if row else 0

    def empty_store(self) -> None:
        """Delete every object of the benchmark, and every unfinished upload."""
        client, bucket = self.sandbox.s3.client(), self.sandbox.s3.bucket
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}/"):
            if keys := [{"Key": item["Key"]} for item in page.get("Contents", [])]:
                client.delete_objects(Bucket=bucket, Delete={"Objects": keys})
        for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


#: Where the checkout appears as a collection.
COLLECTIONS = CHECKOUT / ".venv" / "collections"


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
