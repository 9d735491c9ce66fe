# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks between processes that are killed, stopped and slowed down, on both kinds of store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import acquire_all, read_lock
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

from harness.lock_holder import ENVIRONMENT, RESOURCE, Holding, start_holder
from harness.servers import S3StoreAt, StoreAt
from harness.stores import WrongClock, failing, open_at, run_context
from sandbox import S3Server
from sandbox.faults import Fault, FaultProxy

#: Seconds.
LEASE = 6.0


@pytest.fixture
def holder(store: StoreAt, tmp_path: Path) -> Iterator[Holding]:
    """A run that holds the lock."""
    started = start_holder(store, tmp_path, lease_seconds=LEASE)
    yield started
    kill(started)


def kill(holder: Holding) -> None:
    """As ``kill -9`` of the whole run would."""
    if holder.worker.is_running():
        holder.worker.kill()
    holder.controller.kill()
    holder.controller.wait()


def take(store: StoreAt, held: ExitStack, identity: str = "manual", context: Context | None = None) -> float:
    """Take the lock as run-2; the seconds that it took."""
    context = context or run_context("run-2")
    started = time.monotonic()
    context.leases = acquire_all(
        open_at(store, context),
        environment=ENVIRONMENT,
        resources=[RESOURCE],
        identity=identity,
        target="main",
        context=context,
        held=held,
        lease_seconds=LEASE,
    )
    context.effect("work")
    return time.monotonic() - started


def test_a_working_run_keeps_others_out(store: StoreAt, holder: Holding) -> None:
    with ExitStack() as held, failing("lock_held") as failure:
        take(store, held)
    assert "run-1" in failure().message
    time.sleep(LEASE)
    assert "failed" not in " ".join(holder.said())
    assert read_lock(open_at(store), ENVIRONMENT, RESOURCE).state == "held"


def test_the_same_command_takes_over_from_a_killed_run_at_once(store: StoreAt, holder: Holding) -> None:
    kill(holder)
    with ExitStack() as held:
        assert take(store, held) < LEASE - 1
        assert read_lock(open_at(store), ENVIRONMENT, RESOURCE).run_id == "run-2"


def test_the_same_command_takes_over_when_only_the_controller_was_killed(store: StoreAt, holder: Holding) -> None:
    holder.controller.kill()
    holder.controller.wait()
    with ExitStack() as held:
        assert take(store, held) < LEASE - 1
    said = holder.said()
    time.sleep(1)
    assert [line for line in holder.said()[len(said) :] if line == "effect"] == []
    assert not holder.worker.is_running() or holder.worker.status() == psutil.STATUS_ZOMBIE


def test_another_command_waits_for_the_end_of_a_killed_runs_lease(store: StoreAt, holder: Holding) -> None:
    kill(holder)
    with ExitStack() as held:
        # Its last renewal may be a third of the lease old.
        assert LEASE / 3 < take(store, held, "another") < LEASE + 15
        assert read_lock(open_at(store), ENVIRONMENT, RESOURCE).run_id == "run-2"


def test_a_stopped_run_that_was_taken_over_does_nothing_more(store: StoreAt, holder: Holding) -> None:
    holder.worker.suspend()
    with ExitStack() as held:
        take(store, held, "another")
        said = holder.said()
        holder.worker.resume()
        holder.wait_for("failed lock_lost")
        assert holder.said() == [*said, "failed lock_lost"], "not one effect in between"
        assert read_lock(open_at(store), ENVIRONMENT, RESOURCE).run_id == "run-2", "it released nothing"


def test_a_stopped_run_goes_on_where_nobody_came(store: StoreAt, holder: Holding) -> None:
    holder.worker.suspend()
    time.sleep(LEASE + 3)
    assert read_lock(open_at(store), ENVIRONMENT, RESOURCE).state == "lapsed"
    said = len(holder.said())
    holder.worker.resume()
    deadline = time.monotonic() + 30
    while len(holder.said()) < said + 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert set(holder.said()[said:]) == {"effect"}
    assert read_lock(open_at(store), ENVIRONMENT, RESOURCE).state == "held"


def test_a_run_that_ends_lets_the_next_one_in(store: StoreAt, tmp_path: Path) -> None:
    holder = start_holder(store, tmp_path, lease_seconds=60, seconds=2)
    try:
        with ExitStack() as held:
            assert take(store, held, "another") < 20
        holder.wait_for("released")
    finally:
        kill(holder)


def test_runs_in_several_processes_take_turns(store: StoreAt, tmp_path: Path) -> None:
    """Three runs, one after the other: what each says while it holds the lock is not interrupted by another."""
    turns = []
    with ExitStack() as running:
        for number in range(3):
            directory = tmp_path / str(number)
            directory.mkdir()
            claim = {"run_id": f"run-{number}", "identity": str(number)}
            holder = start_holder(store, directory, lease_seconds=60, seconds=0.5, **claim)
            running.callback(kill, holder)
            turns.append(holder)
        for holder in turns:
            holder.wait_for("released")
    state = read_lock(open_at(store), ENVIRONMENT, RESOURCE)
    assert (state.state, state.number) == ("free", 6)


@pytest.mark.parametrize("hours", [-12, 12])
def test_wrong_clocks_do_not_matter(s3_store: S3StoreAt, hours: int) -> None:
    clock = WrongClock(skew=timedelta(hours=hours))
    with ExitStack() as held:
        take(s3_store, held, context=run_context("run-2", clock=clock))
        with ExitStack() as other, failing("lock_held"):
            take(s3_store, other, "another", context=run_context("run-3"))
        with ExitStack() as other, failing("lock_held"):
            take(s3_store, other, "another", context=run_context("run-4", clock=clock))


def test_a_slow_store_does_not_lose_the_lock(s3: S3Server, s3_store: S3StoreAt, tmp_path: Path) -> None:
    with FaultProxy(s3.endpoint_url) as proxy:
        slow = S3StoreAt(
            url=s3_store.url,
            options={**s3_store.options, "endpoint_url": proxy.endpoint_url},
            bucket=s3_store.bucket,
            prefix=s3_store.prefix,
            server=s3,
        )
        proxy.rules.append(Fault(delay=0.7))
        holder = start_holder(slow, tmp_path, lease_seconds=LEASE)
        try:
            time.sleep(2 * LEASE)
            assert "failed" not in " ".join(holder.said())
            assert read_lock(open_at(s3_store), ENVIRONMENT, RESOURCE).state == "held"
            assert proxy.count(method="PUT") >= 5
        finally:
            kill(holder)


def test_a_run_that_is_cut_off_stops_before_others_begin(s3: S3Server, s3_store: S3StoreAt, tmp_path: Path) -> None:
    with FaultProxy(s3.endpoint_url) as proxy:
        cut = S3StoreAt(
            url=s3_store.url,
            options={**s3_store.options, "endpoint_url": proxy.endpoint_url},
            bucket=s3_store.bucket,
            prefix=s3_store.prefix,
            server=s3,
        )
        holder = start_holder(cut, tmp_path, lease_seconds=LEASE)
        try:
            proxy.rules.append(Fault(status=503))
            with ExitStack() as held:
                take(s3_store, held, "another")
                said = holder.said()
                time.sleep(1)
                assert [line for line in holder.said()[len(said) :] if line == "effect"] == []
            holder.wait_for("failed lock_lost", timeout=120)
        finally:
            kill(holder)
