# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups as they are measured, and the floors beside them."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence

from bench import peers
from bench.environment import PREFIX, Bench
from bench.programs import Programs, Run

#: To whom backups are encrypted that nobody reads again.
RECIPIENT = "age1ghw6xdm0jd9pe65cshmugwqq74l9hka8y5lxwuc0remz6z0ksgmqcsvvmy"
#: The levels of compression at which jobs are compared, beside our default: gzip's own, with which pg_dump compresses
#: where nothing else is said, and one of those for backups that are kept long, at which little else takes time.
GZIP_LEVEL = 6
STRONG_LEVEL = 12


class Backups(Programs):
    """Every way to back one database up."""

    def __init__(self, bench: Bench, database: str) -> None:
        super().__init__(bench)
        self._database = database
        self._backup_id = "same"

    @property
    def backup_id(self) -> str:
        """Of the last backup."""
        return self._backup_id

    def pg_dump(self) -> Run:
        """The floor: what pg_dump takes when nobody stores what it gives."""
        return self.shell(f"pg_dump -Fc --compress=zstd:3 {self._database} >/dev/null")

    def runbooks(self) -> Run:
        """A backup by this collection, as a play of one task."""
        self._backup_id = f"b{secrets.token_hex(6)}"
        return self._backup(changed=True)

    def encrypted(self) -> Run:
        """The same, encrypted with age."""
        self._backup_id = f"b{secrets.token_hex(6)}"
        return self._backup(changed=True, recipients=[RECIPIENT])

    def unchanged(self) -> Run:
        """The same again: the backup exists, and nothing is to be done."""
        return self._backup(changed=False)

    def one_job(self) -> Run:
        """The same with one pg_dump."""
        return self._compared(jobs=1)

    def two_jobs(self) -> Run:
        """The same with two that share one snapshot."""
        return self._compared(jobs=2)

    def gzip_one_job(self) -> Run:
        """gzip, for which a pg_dump wants a processor of its own, beside the server and the store."""
        return self._compared(jobs=1, compression="gzip", level=GZIP_LEVEL)

    def gzip_two_jobs(self) -> Run:
        """The same with two."""
        return self._compared(jobs=2, compression="gzip", level=GZIP_LEVEL)

    def strong_one_job(self) -> Run:
        """zstd at a level beside which what the server and the store take is little."""
        return self._compared(jobs=1, compression="zstd", level=STRONG_LEVEL)

    def strong_two_jobs(self) -> Run:
        """The same with two."""
        return self._compared(jobs=2, compression="zstd", level=STRONG_LEVEL)

    def directory_one_job(self) -> Run:
        """What pg_dump's own format for several jobs takes with one, to a directory that nobody stores."""
        return self._directory(1)

    def directory_two_jobs(self) -> Run:
        """The same with two."""
        return self._directory(2)

    def uncompressed(self) -> Run:
        """A backup that sends every byte of the dump."""
        self._backup_id = f"b{secrets.token_hex(6)}"
        return self._backup(changed=True, compression="none")

    def pipe(self) -> Run:
        """What the usual script does."""
        target = f"{self._bench.store}/pipe.gz"
        return self.shell(f"pg_dump {self._database} | gzip | {peers.AWS} s3 cp --quiet - {target}")

    def modules(self) -> Run:
        """What a playbook with the usual modules does."""
        file = self._scratch / "dump.sql.gz"
        variables = {"database": self._database, "file": str(file), "key": f"{PREFIX}/modules.gz"}
        try:
            return self.play("peer", variables | {"bucket": self._bench.sandbox.s3.bucket})
        finally:
            file.unlink(missing_ok=True)

    def _directory(self, jobs: int) -> Run:
        target = self._scratch / "directory"
        try:
            return self.shell(
                f"pg_dump -Fd --compress=gzip:{GZIP_LEVEL} --jobs={jobs} --file={target} {self._database}"
            )
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def _compared(self, *, jobs: int, compression: str = "auto", level: int | None = None) -> Run:
        self._backup_id = f"b{secrets.token_hex(6)}"
        return self._backup(changed=True, compression=compression, level=level, jobs=jobs)

    def _backup(
        self,
        *,
        changed: bool,
        compression: str = "auto",
        level: int | None = None,
        jobs: int = 1,
        recipients: Sequence[str] = (),
    ) -> Run:
        variables = {
            "database": self._database,
            "database_url": self._bench.sandbox.postgres.url(self._database),
            "store": self._bench.store,
            "backup_id": self._backup_id,
            "compression": compression,
            "compression_level": level,
            "jobs": jobs,
            "age_recipients": list(recipients),
            "bindir": [str(self._bench.bindir)],
        }
        return self.play("backup", variables, changed=changed)
