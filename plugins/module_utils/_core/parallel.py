# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several streams at once that succeed or fail together (private to ops.runbooks)."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.process import Child

#: Seconds that streams are waited for once one of them has failed: their children are gone by then, so what is left is
#: one request to the store each. A connection that hangs longer than that must not keep the failure from being told.
_PATIENCE = 60.0

ResultT = TypeVar("ResultT")


class Crew:
    """The child processes of several streams, and what else is on its way for them, which end together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []
        self._dismissed = False

    @property
    def dismissed(self) -> bool:
        """Whether another stream has failed."""
        return self._dismissed

    @contextmanager
    def joined(self, child: Child, stop: Callable[[], None] = lambda: None) -> Iterator[None]:
        """While ``child`` works; where another stream has failed, before or meanwhile, it is killed after ``stop``,
        which lets go of what is on its way and returns at once.
        """

        def end() -> None:
            stop()
            child.kill()

        with self._lock:
            self._ends.append(end)
            dismissed = self._dismissed
        try:
            if dismissed:
                end()
            yield
        finally:
            with self._lock:
                self._ends.remove(end)

    def dismiss(self) -> None:
        """End all of them, and whoever joins from now on."""
        with self._lock:
            self._dismissed = True
            ends = list(self._ends)
        for end in ends:
            end()


def together(jobs: Sequence[Callable[[], ResultT]], workers: int, crew: Crew) -> list[ResultT]:
    """Run ``jobs``, begun in their order, ``workers`` at a time; their results in the same order.

    The first failure dismisses the crew, lets no further job begin, and is raised when those that ran have ended.
    One job, or one worker, runs in the calling thread.
    """
    if workers == 1 or len(jobs) == 1:
        return [job() for job in jobs]
    return _Shift(jobs, min(workers, len(jobs)), crew).run()


class _Shift(Generic[ResultT]):
    """One run of :func:`together`.

    Daemon threads, not an executor: the interpreter waits for an executor's threads at its exit, and a module that was
    told to stop must not hang on a stalled connection.
    """

    def __init__(self, jobs: Sequence[Callable[[], ResultT]], workers: int, crew: Crew) -> None:
        self._crew = crew
        self._waiting: queue.SimpleQueue[tuple[int, Callable[[], ResultT]] | None] = queue.SimpleQueue()
        for numbered in enumerate(jobs):
            self._waiting.put(numbered)
        for _worker in range(workers):
            self._waiting.put(None)
        self._results: dict[int, ResultT] = {}
        self._failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        self._failed = threading.Event()
        self._deadline: float | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"stream-{number}", daemon=True) for number in range(workers)
        ]

    def run(self) -> list[ResultT]:
        for thread in self._threads:
            thread.start()
        try:
            for thread in self._threads:
                self._join(thread)
        except BaseException:
            self._stop()
            raise
        if not self._failures.empty():
            raise self._failures.get()
        return [self._results[number] for number in sorted(self._results)]

    def _join(self, thread: threading.Thread) -> None:
        """Wait for ever while all goes well, and for a while once something has failed."""
        while thread.is_alive() and not self._failed.is_set():
            thread.join(0.5)
        thread.join(self._patience())

    def _stop(self) -> None:
        self._failed.set()
        self._crew.dismiss()
        for thread in self._threads:
            thread.join(self._patience())

    def _patience(self) -> float:
        """Seconds that are left of the one time in which all of them are waited for."""
        if self._deadline is None:
            self._deadline = time.monotonic() + _PATIENCE
        return max(self._deadline - time.monotonic(), 0)

    def _work(self) -> None:
        while (numbered := self._waiting.get()) is not None and not self._failed.is_set():
            number, job = numbered
            try:
                self._results[number] = job()
            except BaseException as error:  # noqa: BLE001 - the calling thread raises the first one
                self._failures.put(error)
                self._failed.set()
                self._crew.dismiss()
