# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs that are measured, as command lines. A run leaves nothing that a later one could profit from."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import peers
from bench.environment import PREFIX, Bench
from bench.memory import PeakMemory

PLAYS = Path(__file__).parent / "plays"
MODULE = "AnsiballZ_postgres_backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run that went well. ``peak`` is the module's memory in bytes, 0 where there is none to measure."""

    seconds: float
    peak: int = 0


class BenchError(Exception):
    """A measured program failed, so there is no figure."""


class Contenders:
    """Every contender on one database. Each method is one run."""

    def __init__(self, bench: Bench, database: str) -> None:
        self._bench = bench
        self._database = database
        self._scratch = bench.scratch
        self._backup_id = "same"
        self.measures_memory = True

    def pg_dump(self) -> Run:
        """The floor: what pg_dump takes when nobody stores what it gives."""
        return self._shell(f"pg_dump -Fc --compress=zstd:3 {self._database} >/dev/null")

    def runbooks(self) -> Run:
        """A backup by this collection, as a play of one task."""
        self._backup_id = f"b{secrets.token_hex(6)}"
        return self._backup(changed=True)

    def unchanged(self) -> Run:
        """The same again: the backup exists, and nothing is to be done."""
        return self._backup(changed=False)

    def uncompressed(self) -> Run:
        """A backup that sends every byte of the dump."""
        self._backup_id = f"b{secrets.token_hex(6)}"
        return self._backup(changed=True, compression="none")

    def ping(self) -> Run:
        """Another floor: a play of one task that does nothing."""
        return self._play("ping")

    def pipe(self) -> Run:
        """What the usual script does."""
        target = f"{self._bench.store}/pipe.gz"
        return self._shell(f"pg_dump {self._database} | gzip | {peers.AWS} s3 cp --quiet - {target}")

    def modules(self) -> Run:
        """What a playbook with the usual modules does."""
        file = self._scratch / "dump.sql.gz"
        variables = {"database": self._database, "file": str(file), "key": f"{PREFIX}/modules.gz"}
        try:
            return self._play("peer", variables | {"bucket": self._bench.sandbox.s3.bucket})
        finally:
            file.unlink(missing_ok=True)

    def _backup(self, *, changed: bool, compression: str = "auto") -> Run:
        variables = {
            "database": self._database,
            "database_url": self._bench.sandbox.postgres.url(self._database),
            "store": self._bench.store,
            "backup_id": self._backup_id,
            "compression": compression,
            "bindir": [str(self._bench.bindir)],
        }
        return self._play("backup", variables, changed=changed)

    def _play(self, name: str, variables: Mapping[str, Any] | None = None, *, changed: bool | None = None) -> Run:
        argv = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(PLAYS / f"{name}.yml")]
        # In a file, for the sake of the password in it.
        file = self._scratch / "variables.json"
        file.write_text(json.dumps(dict(variables or {})), encoding="utf-8")
        run, output = self._measured([*argv, "-e", f"@{file}"])
        if changed is not None and f"changed={int(changed)}" not in output:
            raise BenchError(f"{name} was to report changed={int(changed)}:\n{output}")
        return run

    def _shell(self, command: str) -> Run:
        return self._measured(["bash", "-o", "pipefail", "-c", command])[0]

    def _measured(self, argv: list[str]) -> tuple[Run, str]:
        began = time.perf_counter()
        process = subprocess.Popen(
            argv,
            env=self._bench.environment(),
            cwd=self._scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        memory = PeakMemory(process.pid, MODULE)
        with memory if self.measures_memory else nullcontext():
            output, _none = process.communicate()
            seconds = time.perf_counter() - began
        if process.returncode != 0:
            raise BenchError(f"{' '.join(argv[:6])} ... ended with status {process.returncode}:\n{output[-3000:]}")
        return Run(seconds=seconds, peak=memory.peak), output
