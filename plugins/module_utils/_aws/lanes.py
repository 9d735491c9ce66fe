# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same work for many things at once (private to ops.runbooks)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


def in_lanes(work: Callable[[ItemT], AnswerT], items: Sequence[ItemT], lanes: int) -> list[AnswerT]:
    """``work`` on every item, at most ``lanes`` at a time; the answers in the order of the items.

    Raises the first failure, after what is under way has ended; nothing new is begun after it. Daemon threads, since a
    module that was told to stop must not hang on a stalled connection.
    """
    answers: dict[int, AnswerT] = {}
    failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    numbers = iter(range(len(items)))
    lock = threading.Lock()
    stop = threading.Event()

    def lane() -> None:
        while not stop.is_set():
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                answers[number] = work(items[number])
            except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
                failures.put(error)
                stop.set()

    threads = [threading.Thread(target=lane, daemon=True) for _lane in range(min(lanes, len(items)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
    if not failures.empty():
        raise failures.get()
    return [answers[number] for number in range(len(items))]
