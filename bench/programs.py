# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the measured programs are run. A run leaves nothing that a later one could profit from."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.environment import Bench
from bench.memory import PeakMemory

PLAYS = Path(__file__).parent / "plays"
MODULE = "AnsiballZ_postgres_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run that went well. ``peak`` is the module's memory in bytes, 0 where there is none to measure."""

    seconds: float
    peak: int = 0


class BenchError(Exception):
    """A measured program failed, so there is no figure."""


class Programs:
    """Runs programs against a sandbox. Each public method of a class below this one is one run of one contender."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._scratch = bench.scratch
        self.measures_memory = False

    def ping(self) -> Run:
        """The floor of every play: one of one task that does nothing."""
        return self.play("ping")

    def play(self, name: str, variables: Mapping[str, Any] | None = None, *, changed: bool | None = None) -> Run:
        argv = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(PLAYS / f"{name}.yml")]
        # In a file, for the sake of the password in it.
        file = self._scratch / "variables.json"
        file.write_text(json.dumps(dict(variables or {})), encoding="utf-8")
        run, output = self._measured([*argv, "-e", f"@{file}"])
        if changed is not None and f"changed={int(changed)}" not in output:
            raise BenchError(f"{name} was to report changed={int(changed)}:\n{output}")
        return run

    def shell(self, command: str) -> Run:
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
