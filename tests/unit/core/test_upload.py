# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Part sizes, the budget, and the pump that cuts a stream into parts."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import (
    DEFAULT_BUDGET,
    DEFAULT_PART,
    LARGEST_PART,
    LEAST_BUFFERS,
    MIB,
    MOST_PARTS,
    PLANNED_PARTS,
    SMALLEST_PART,
    Budget,
    Pump,
    part_size_for,
    size_of_part,
)
from hypothesis import given, settings
from hypothesis import strategies as st

TIB = 1024**4


@settings(deadline=None)
@given(expected=st.integers(0, 20 * TIB), compression=st.sampled_from(["none", "none:0", "gzip:6", "zstd:3"]))
def test_ten_thousand_parts_suffice(expected: int, compression: str) -> None:
    part = part_size_for(expected, compression)
    bound = expected * (2 if compression.startswith("none") else 1)
    assert SMALLEST_PART <= part <= LARGEST_PART
    assert part * PLANNED_PARTS >= bound
    net = sum(size_of_part(number, part) for number in range(PLANNED_PARTS + 1, MOST_PARTS + 1))
    assert part * PLANNED_PARTS + net >= bound * (2 if part <= 160 * MIB else 1)
    assert part == DEFAULT_PART or part * PLANNED_PARTS < bound + PLANNED_PARTS * MIB, "no larger than needed"


@given(part=st.integers(SMALLEST_PART, LARGEST_PART), number=st.integers(1, MOST_PARTS))
def test_no_part_is_too_large_and_none_is_smaller_than_the_one_before(part: int, number: int) -> None:
    assert part <= size_of_part(number, part) <= LARGEST_PART
    assert size_of_part(number, part) >= size_of_part(max(number - 1, 1), part)


@pytest.mark.parametrize(
    ("expected", "compression", "part"),
    [
        (0, "zstd:3", DEFAULT_PART),
        (70 * 1024**3, "zstd:3", DEFAULT_PART),
        (TIB, "zstd:3", 117 * MIB),
        (TIB, "none", 234 * MIB),
    ],
)
def test_part_sizes(expected: int, compression: str, part: int) -> None:
    assert part_size_for(expected, compression) == part


def test_the_budget_holds_back_and_is_raised_only_for_large_parts() -> None:
    budget = Budget(24 * MIB)
    stop = threading.Event()
    buffers = [budget.take(8 * MIB, stop) for _each in range(3)]
    assert budget.raised_to is None
    taken: list[bytearray | None] = []
    waiter = threading.Thread(target=lambda: taken.append(budget.take(8 * MIB, stop)))
    waiter.start()
    waiter.join(0.2)
    assert waiter.is_alive()
    assert buffers[0] is not None
    budget.give(buffers[0], 8 * MIB)
    waiter.join(5)
    assert taken == [buffers[0]], "a buffer is used again"
    budget.fit(10 * MIB)
    assert budget.total == budget.raised_to == 30 * MIB


def test_a_waiter_of_the_budget_can_be_stopped() -> None:
    budget = Budget(MIB)
    stop = threading.Event()
    budget.take(MIB, stop)
    stopper = threading.Timer(0.1, stop.set)
    stopper.start()
    assert budget.take(MIB, stop) is None


def test_idle_buffers_of_another_size_make_room() -> None:
    budget = Budget(12 * MIB)
    stop = threading.Event()
    small = [budget.take(2 * MIB, stop) for _each in range(6)]
    for buffer in small:
        assert buffer is not None
        budget.give(buffer, 2 * MIB)
    large = [budget.take(4 * MIB, stop) for _each in range(3)]
    assert all(large)


def test_one_buffer_larger_than_the_bound_raises_it_to_itself() -> None:
    budget = Budget(4 * MIB)
    assert budget.take(5 * MIB, threading.Event())
    assert budget.raised_to == 5 * MIB


class Target:
    """Where a pump sends to: keeps what arrives, at a speed, and fails where it is told to."""

    def __init__(self, *, seconds: float = 0, fail_at: int | None = None) -> None:
        self.begun = 0
        self.parts: dict[int, bytes] = {}
        self.at_once = 0
        self.most_at_once = 0
        self._seconds = seconds
        self._fail_at = fail_at
        self._lock = threading.Lock()

    def begin(self) -> None:
        self.begun += 1

    def send(self, number: int, body: bytearray) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self._seconds)
        if number == self._fail_at:
            raise OSError("the part was refused")
        with self._lock:
            self.parts[number] = bytes(body)
            self.at_once -= 1

    @property
    def whole(self) -> bytes:
        return b"".join(self.parts[number] for number in sorted(self.parts))


def make_pump(target: Target, part_size: int = 64 * 1024, budget: Budget | None = None) -> Pump:
    return Pump(part_size=part_size, budget=budget or Budget(8 * part_size), begin=target.begin, send=target.send)


class Dribble(io.RawIOBase):
    """A stream that gives a few bytes at a time, as pipes do."""

    def __init__(self, data: bytes, piece: int) -> None:
        super().__init__()
        self._data = io.BytesIO(data)
        self._piece = piece

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        return self._data.readinto(buffer[: self._piece])


@pytest.mark.parametrize("size", [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3 * 64 * 1024, 1_000_000])
@pytest.mark.parametrize("piece", [1000, 10_000_000])
def test_a_stream_arrives_as_it_was(size: int, piece: int) -> None:
    data = os.urandom(size)
    target = Target()
    pump = make_pump(target)
    seen: list[int] = []
    pump.run(Dribble(data, piece), seen.append)
    assert pump.size == size
    assert pump.sha256 == hashlib.sha256(data).hexdigest()
    if size < 64 * 1024:
        assert pump.small == data
        assert target.begun == 0
    else:
        assert pump.small is None
        assert target.whole == data
        assert target.begun == 1
    assert seen == sorted(seen)
    assert seen[-1:] == [size] or (size == 0 and not target.parts)


def test_parts_are_sent_side_by_side_and_a_slow_store_does_not_fill_memory() -> None:
    budget = Budget(8 * 64 * 1024)
    target = Target(seconds=0.02)
    make_pump(target, budget=budget).run(io.BytesIO(bytes(4_000_000)), lambda _size: None)
    assert target.most_at_once == 4
    assert len(target.whole) == 4_000_000
    assert budget.raised_to is None


def test_several_streams_share_one_budget() -> None:
    budget = Budget(4 * 64 * 1024)
    data = [os.urandom(900_000 + number) for number in range(6)]
    targets = [Target(seconds=0.001) for _each in data]
    pumps = [make_pump(target, budget=budget) for target in targets]
    threads = [
        threading.Thread(target=pump.run, args=(io.BytesIO(each), lambda _size: None))
        for pump, each in zip(pumps, data, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [target.whole for target in targets] == data
    assert budget.raised_to is None


@pytest.mark.parametrize("fail_at", [1, 3, 16])
def test_a_part_that_fails_fails_the_stream(fail_at: int) -> None:
    target = Target(fail_at=fail_at)
    pump = make_pump(target)
    with pytest.raises(OSError, match="the part was refused"):
        pump.run(io.BytesIO(bytes(1_000_000)), lambda _size: None)
    pump.stop(5)
    assert fail_at not in target.parts


def test_a_failing_source_fails_the_stream() -> None:
    class Broken(io.RawIOBase):
        def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
            raise OSError("the pipe broke")

    budget = Budget(3 * 64 * 1024)
    for _each in range(5):
        pump = make_pump(Target(), budget=budget)
        with pytest.raises(OSError, match="the pipe broke"):
            pump.run(Broken(), lambda _size: None)
        pump.stop(5)
    make_pump(Target(), budget=budget).run(io.BytesIO(bytes(1_000_000)), lambda _size: None)


def test_stopping_does_not_wait_for_a_stalled_part() -> None:
    target = Target(seconds=6)
    pump = make_pump(target)
    runner = threading.Thread(target=pump.run, args=(io.BytesIO(bytes(1_000_000)), lambda _size: None), daemon=True)
    runner.start()
    time.sleep(0.1)
    started = time.monotonic()
    pump.stop(0.3)
    assert time.monotonic() - started < 2
    runner.join(3)
    assert not runner.is_alive(), "whoever pumps returns as well"
    assert pump.stopped
    assert len(target.parts) <= 4, "what waited was not sent any more"


def test_the_defaults_fit_each_other() -> None:
    assert DEFAULT_PART * LEAST_BUFFERS < DEFAULT_BUDGET
