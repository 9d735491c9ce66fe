# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup's checksums as they are measured, and the floor: what it takes to read the same bytes and do nothing."""

from __future__ import annotations

import sys

from bench.backups import Backups
from bench.environment import PREFIX, Bench
from bench.programs import Programs, Run

# One connection, the pieces of a megabyte that any program would take; a fresh interpreter each time, as for modules.
_DOWNLOAD = """
import sys, boto3
from botocore.config import Config
bucket, prefix = sys.argv[1:]
s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, response_checksum_validation="when_required"))
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
    for item in page["Contents"]:
        body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"]
        while body.read(1 << 20):
            pass
"""


class Checks(Programs):
    """One backup in the store, sent uncompressed so that there is much of it, and two ways to read all of it."""

    def __init__(self, bench: Bench, database: str) -> None:
        super().__init__(bench)
        self._database = database
        self._backup_id = ""

    def prepare(self) -> None:
        """Make the backup."""
        backups = Backups(self._bench, self._database)
        backups.uncompressed()
        self._backup_id = backups.backup_id

    def verify(self) -> Run:
        """By this collection, as a play of one task: each object read once, its size and SHA-256 compared."""
        variables = {"database": self._database, "store": self._bench.store, "backup": self._backup_id}
        return self.play("verify", variables)

    def download(self) -> Run:
        """The floor."""
        prefix = f"{PREFIX}/bench/databases/{self._database}/backups/{self._backup_id}/"
        return self._measured([sys.executable, "-c", _DOWNLOAD, self._bench.sandbox.s3.bucket, prefix])[0]
