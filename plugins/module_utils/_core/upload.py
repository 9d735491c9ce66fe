# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streaming upload in bounded memory (private to ops.runbooks).

One :class:`Budget` of bytes is shared by all streams of a module. A stream is read straight into part-sized buffers
taken from it; a full buffer is sent by background threads while the next one fills. Where the store is slower than the
producer, the budget runs dry, reading stops, and the producer waits in its pipe: memory stays where it is.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Source

MIB = 1024 * 1024
#: Bytes in flight over all streams of a module.
DEFAULT_BUDGET = 64 * MIB
#: Each part costs both sides a request; four of this size are in flight within the budget.
DEFAULT_PART = 16 * MIB
#: Limits of multipart uploads (Amazon S3 user guide, "Multipart upload limits").
SMALLEST_PART = 5 * MIB
LARGEST_PART = 5 * 1024 * MIB
MOST_PARTS = 10_000
#: Parts of the planned size; the rest of the 10,000 is the safety net of :func:`size_of_part`.
PLANNED_PARTS = 9_000
#: In the safety net the size doubles after this many parts: 2, 4, 8, 16, 32 times the planned one.
DOUBLING = 200
#: Parts of one stream on their way at once; four saturate what one core can hash and send.
LANES = 4
#: Buffers a stream needs to be read and sent at the same time, one spare included.
LEAST_BUFFERS = 3
#: Seconds between two looks at whether to stop.
_LOOK = 0.1


def part_size_for(expected_bytes: int, compression: str, *, least: int = DEFAULT_PART) -> int:
    """The part size, in bytes and at least ``least``, with which a dump of ``expected_bytes`` fits into 9,000 parts.

    ``expected_bytes`` is the size of the database on its server. A compressed dump is taken to be no larger than that;
    an uncompressed one (``compression`` is ``none``, with or without a level) no larger than twice that, since bytea is
    written as hexadecimal. A dump that breaks this bound (values that PostgreSQL itself keeps compressed) has the
    safety net of :func:`size_of_part`.
    """
    bound = expected_bytes * (2 if compression.partition(":")[0] == "none" else 1)
    needed = -(-bound // PLANNED_PARTS)
    rounded = -(-needed // MIB) * MIB
    return min(max(rounded, least), LARGEST_PART)


def size_of_part(number: int, part_size: int) -> int:
    """The size of part ``number`` (from 1): ``part_size``, and growing in the last 1,000 parts.

    A stream's length is known only at its end. Without this net a dump that outgrew its estimate would fail at part
    10,000, after hours; with it, sizes double every 200 parts from part 9,001 on, up to S3's 5 GiB. That doubles
    what fits, for parts of up to 160 MiB; the budget grows with them.
    """
    beyond = number - PLANNED_PARTS - 1
    if beyond < 0:
        return part_size
    return min(part_size << (beyond // DOUBLING + 1), LARGEST_PART)


class Budget:
    """A pool of bytes that buffers are taken from; thread-safe. ``total`` in bytes."""

    def __init__(self, total: int = DEFAULT_BUDGET) -> None:
        self._asked = total
        self._total = total
        self._allocated = 0
        self._idle: list[bytearray] = []
        self._changed = threading.Condition()

    @property
    def total(self) -> int:
        """The bound that holds now."""
        return self._total

    @property
    def raised_to(self) -> int | None:
        """The bound after parts too large for the asked one; None where that did not happen."""
        return self._total if self._total > self._asked else None

    def fit(self, size: int) -> None:
        """Raise the bound where it holds fewer than three buffers of ``size``: below that nothing overlaps."""
        with self._changed:
            self._total = max(self._total, size * LEAST_BUFFERS)
            self._changed.notify_all()

    def take(self, size: int, stop: threading.Event) -> bytearray | None:
        """A buffer of ``size`` bytes, as soon as there is room for it; None once ``stop`` is set.

        One that is larger than the bound raises it, but to no more than itself.
        """
        with self._changed:
            self._total = max(self._total, size)
            while not stop.is_set():
                for position, buffer in enumerate(self._idle):
                    if len(buffer) == size:
                        return self._idle.pop(position)
                while self._idle and self._allocated + size > self._total:
                    self._allocated -= len(self._idle.pop())
                if self._allocated + size <= self._total:
                    self._allocated += size
                    return bytearray(size)
                self._changed.wait(0.5)
        return None

    def give(self, buffer: bytearray, taken: int) -> None:
        """Return a buffer that was taken with ``taken`` bytes; it is used again unless it was cut shorter."""
        with self._changed:
            if len(buffer) == taken:
                self._idle.append(buffer)
            else:
                self._allocated -= taken
            self._changed.notify_all()


class Lanes:
    """The background threads of one stream, which send full buffers and give them back.

    Daemon threads, not an executor: the interpreter waits for an executor's threads at its exit, and a module that was
    told to stop must not hang on a stalled connection.
    """

    def __init__(self, send: Callable[[int, bytearray], None], budget: Budget, stop: threading.Event) -> None:
        self._send = send
        self._budget = budget
        self._stop = stop
        self._waiting: queue.SimpleQueue[tuple[int, bytearray, int] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._failures: queue.SimpleQueue[Exception] = queue.SimpleQueue()

    def submit(self, number: int, buffer: bytearray, taken: int) -> None:
        """Send ``buffer`` as part ``number`` as soon as a lane is free."""
        if len(self._threads) < LANES:
            thread = threading.Thread(target=self._work, name=f"upload-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._waiting.put((number, buffer, taken))

    def raise_failure(self) -> None:
        """Raise what the first failing part raised, if any did."""
        if not self._failures.empty():
            raise self._failures.get()

    def finish(self, timeout: float | None = None) -> None:
        """Let the lanes end, and wait until all is sent or ``stop`` is set; with a ``timeout`` in seconds at most so
        long, also for what is on its way."""
        for _thread in self._threads:
            self._waiting.put(None)
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            while deadline is None and thread.is_alive() and not self._stop.is_set():
                thread.join(_LOOK)
            thread.join(0 if deadline is None else max(deadline - time.monotonic(), 0))

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            number, buffer, taken = job
            if not self._stop.is_set():
                try:
                    self._send(number, buffer)
                except Exception as error:  # noqa: BLE001 - the thread that pumps raises it; a dead lane would hang it
                    self._failures.put(error)
                    self._stop.set()
            self._budget.give(buffer, taken)


class Pump:
    """Cuts one stream into parts and hands them on; after :meth:`run`, ``size`` and ``sha256`` are the stream's.

    ``begin`` is called before the first part and ``send`` for each, from several threads at once. A stream that ends
    within the first part is neither begun nor sent: it is in ``small``.
    """

    def __init__(
        self, *, part_size: int, budget: Budget, begin: Callable[[], None], send: Callable[[int, bytearray], None]
    ) -> None:
        self.size = 0
        self.parts = 0
        self.small: bytes | None = None
        budget.fit(part_size)
        self._part_size = part_size
        self._budget = budget
        self._begin = begin
        self._stop = threading.Event()
        self._lanes = Lanes(send, budget, self._stop)
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of everything read so far, in hexadecimal digits."""
        return self._sha256.hexdigest()

    def run(self, stream: Source, on_progress: Callable[[int], None]) -> None:
        """Read ``stream`` to its end and send all of it. Raises what the first failing part raised."""
        while True:
            taken = size_of_part(self.parts + 1, self._part_size)
            buffer = self._budget.take(taken, self._stop)
            if buffer is None:
                self._lanes.raise_failure()
                return
            try:
                filled = self._fill(stream, buffer)
            except BaseException:
                self._budget.give(buffer, taken)
                raise
            if filled < taken:
                self._last(buffer, filled, taken)
                on_progress(self.size)
                break
            self._next(buffer, taken)
            on_progress(self.size)
        self._lanes.finish()
        self._lanes.raise_failure()

    @property
    def stopped(self) -> bool:
        """Whether the end of the stream will never be sent."""
        return self._stop.is_set()

    def stop(self, timeout: float = 0) -> None:
        """Send nothing more, and wait at most ``timeout`` seconds for what is on its way. From any thread."""
        self._stop.set()
        self._lanes.finish(timeout)

    def _fill(self, stream: Source, buffer: bytearray) -> int:
        """Read until ``buffer`` is full or the stream ends, hashing each piece while it is in the CPU's cache."""
        filled = 0
        with memoryview(buffer) as view:
            while filled < len(buffer):
                with view[filled:] as rest:
                    count = stream.readinto(rest)
                if not count:
                    break
                self._sha256.update(view[filled : filled + count])
                filled += count
        self.size += filled
        return filled

    def _next(self, buffer: bytearray, taken: int) -> None:
        if self.parts == 0:
            self._begin()
        self.parts += 1
        self._lanes.submit(self.parts, buffer, taken)

    def _last(self, buffer: bytearray, filled: int, taken: int) -> None:
        """The end of the stream: a short part, none, or all there is."""
        del buffer[filled:]
        if self.parts == 0:
            self.small = bytes(buffer)
        if self.parts == 0 or filled == 0:
            self._budget.give(buffer, taken)
        else:
            self._next(buffer, taken)
