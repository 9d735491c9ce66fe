# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much memory a module and its children take, without PostgreSQL's own programs. Linux only.

PSS (``Documentation/filesystems/proc.rst``) counts a shared page once over all who share it, so that adding processes
up does not count a page twice.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

#: Programs whose memory is theirs, not ours.
_POSTGRES = {"pg_dump", "pg_restore", "pg_dumpall"}


class PeakMemory:
    """Samples, in the background, every process below ``root`` that belongs to a module; ``peak`` is in bytes.

    Args:
        root: A process id, whose descendants are looked at.
        module: A piece of the command line by which the module's process is known; its descendants count with it.
        interval: Seconds between two samples.
    """

    def __init__(self, root: int, module: str, interval: float = 0.1) -> None:
        self._root = psutil.Process(root)
        self._module = module
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0
        self.samples = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(self._interval):
            if total := sum(_pss(process) for process in self._ours()):
                self.peak = max(self.peak, total)
                self.samples += 1

    def _ours(self) -> list[psutil.Process]:
        try:
            everyone = [self._root, *self._root.children(recursive=True)]
            modules = [process for process in everyone if self._module in " ".join(process.cmdline())]
            found = {one for module in modules for one in (module, *module.children(recursive=True))}
            return [process for process in found if process.name() not in _POSTGRES]
        except psutil.NoSuchProcess:
            # One of them ended while it was looked at: the next sample will do.
            return []


def _pss(process: psutil.Process) -> int:
    """Bytes; 0 for a process that has ended."""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
