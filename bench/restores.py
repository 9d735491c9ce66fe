# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores as they are measured, and what people do otherwise. Each run ends with a database that can be used."""

from __future__ import annotations

import shlex

import psycopg

from bench import peers
from bench.backups import Backups
from bench.environment import Bench
from bench.programs import Programs, Run

RESTORED = "bench_restored"


class Restores(Programs):
    """Every way to get one database back. :meth:`prepare` makes, unmeasured, what they get it back from."""

    def __init__(self, bench: Bench, database: str) -> None:
        super().__init__(bench)
        self._database = database
        self._file = bench.scratch / "database.dump"
        self._backup_id = ""

    def prepare(self, *, with_peers: bool) -> None:
        """A backup by this collection in the store, an archive on the disk, and a compressed script in the store."""
        backups = Backups(self._bench, self._database)
        backups.runbooks()
        self._backup_id = backups.backup_id
        self.shell(f"pg_dump -Fc --compress=zstd:1 -f {self._file} {self._database}")
        if with_peers:
            backups.pipe()

    def runbooks(self) -> Run:
        """By this collection, as a play of one task: from the store, checked, loaded, analysed, counted, renamed."""
        variables = {
            "database": self._database,
            "database_url": self._bench.sandbox.postgres.url(self._database),
            "store": self._bench.store,
            "backup": self._backup_id,
            "target_database": RESTORED,
            "bindir": [str(self._bench.bindir)],
        }
        return self.play("restore", variables, changed=True)

    def pg_restore(self) -> Run:
        """The floor: from a file that is there already, by two jobs, then statistics and the rows of each table."""
        counts = " ".join(f"-c {shlex.quote(f'SELECT count(*) FROM {table}')}" for table in self._tables())
        return self.shell(
            f"createdb {RESTORED} && pg_restore -j2 -d {RESTORED} {self._file} "
            f"&& vacuumdb --quiet --analyze-only --jobs=2 {RESTORED} && psql -qAt {counts} {RESTORED}"
        )

    def pipe(self) -> Run:
        """What the usual script does."""
        source = f"{self._bench.store}/pipe.gz"
        return self.shell(
            f"createdb {RESTORED} && {peers.AWS} s3 cp --quiet {source} - | gunzip "
            f"| psql -qAt -v ON_ERROR_STOP=1 {RESTORED} >/dev/null"
        )

    def drop(self) -> None:
        """Give the disk back."""
        self._bench.drop(RESTORED)

    def _tables(self) -> list[str]:
        with psycopg.connect(self._bench.sandbox.postgres.url(self._database), autocommit=True) as connection:
            found = connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            ).fetchall()
        return [name for (name,) in found]
