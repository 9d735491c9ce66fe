# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks on a directory store, with threads for runs. Kills and stops are in ``tests/system/test_lock.py``."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core import lease as lease_module
from ansible_collections.ops.runbooks.plugins.module_utils._core import lock as lock_module
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import (
    Lease,
    acquire_all,
    read_lock,
    release_all,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore

from harness.stores import WrongClock, failing, run_context

#: Seconds. Short, so that tests end; long enough for a busy machine.
LEASE = 1.5
DATABASE = "database/main"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files have finer times than objects in S3, for which these waits are made."""
    monkeypatch.setattr(lease_module, "GRACE", 0.7)
    monkeypatch.setattr(lock_module, "GRACE", 0.7)
    monkeypatch.setattr(lock_module, "_POLL", 0.1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Broken(FileStore):
    """A store that can be cut off and slowed down."""

    def __init__(self, root: Path, context: Context) -> None:
        super().__init__(root, context)
        self.cut = False
        self.delay = 0.0

    def put(self, key: str, body: bytes) -> None:
        self._pass()
        super().put(key, body)

    def create(self, key: str, body: bytes) -> bool:
        self._pass()
        return super().create(key, body)

    def _pass(self) -> None:
        time.sleep(self.delay)
        if self.cut:
            raise RunbookError(
                code="store_unreachable", attempted="write", object=self.url, reason="it is cut off", remedy="Wait."
            )


def take(
    root: Path, held: ExitStack, run_id: str = "run-1", *resources: str, context: Context | None = None, **changes: Any
) -> tuple[Lease, ...]:
    context = context or run_context(run_id)
    store = changes.pop("store", None) or Broken(root, context)
    given = {"identity": "manual", "target": "main", "lease_seconds": LEASE, **changes}
    return acquire_all(
        store, environment="env", resources=resources or (DATABASE,), context=context, held=held, **given
    )


def look(root: Path, resource: str = DATABASE) -> Any:
    return read_lock(FileStore(root, run_context()), "env", resource)


def bodies(root: Path, resource: str = DATABASE) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((root / "env" / "locks" / resource).glob("*.json"))]


def test_taken_and_released(root: Path) -> None:
    assert look(root).state == "free"
    with ExitStack() as held:
        (lease,) = take(root, held)
        lease.check("go on")
        state = look(root)
        assert (state.state, state.run_id, str(state.holder)) == ("held", "run-1", "postgres_backup of main (manual)")
        assert lease.describe()["resource"] == DATABASE
    assert look(root).state == "free"
    assert [body["state"] for body in bodies(root)] == ["held", "released"]


def test_the_document_says_who_holds_it(root: Path, held: ExitStack) -> None:
    (lease,) = take(root, held, runbook="backup")
    lease.name_record("env/runs/run-1/main/000001.json")
    (body,) = bodies(root)
    assert body.pop("token")
    assert body.pop("release")
    assert body.pop("since").endswith("Z")
    assert set(body.pop("controller")) == {"machine_id", "boot_id", "pid_namespace", "pid", "started"}
    assert body.pop("module") == {}, "several tasks have it, of which none has to live"
    assert body == {
        "schema": 1,
        "state": "held",
        "holder": {"runbook": "backup", "target": "main", "identity": "manual"},
        "run_id": "run-1",
        "lease_seconds": LEASE,
        "record": "env/runs/run-1/main/000001.json",
    }


def test_it_is_renewed_as_long_as_it_is_held(root: Path, held: ExitStack) -> None:
    (lease,) = take(root, held)
    for _each in range(8):
        time.sleep(LEASE / 3)
        lease.check("go on")
        assert look(root).state == "held"
    assert len(bodies(root)) == 1, "renewal rewrites the holder's own version"


def test_a_living_holder_keeps_others_out_and_is_named(root: Path, held: ExitStack) -> None:
    take(root, held, identity="daily-2026-11-20")[0].name_record("env/runs/run-1/main/000001.json")
    started = time.monotonic()
    with ExitStack() as mine, failing("lock_held") as failure:
        take(root, mine, "run-2")
    assert time.monotonic() - started < 2 * LEASE + 2, "seen to be alive at its next renewal"
    text = failure().message
    for part in ("database/main", "run-1", "postgres_backup of main (daily-2026-11-20)", "runs/run-1/main/000001.json"):
        assert part in text


def test_it_is_had_as_soon_as_the_holder_lets_go(root: Path) -> None:
    first = ExitStack()
    take(root, first, lease_seconds=60)
    threading.Timer(0.5, first.close).start()
    with ExitStack() as held:
        started = time.monotonic()
        take(root, held, "run-2", lease_seconds=60)
        assert time.monotonic() - started < 10
        assert look(root).run_id == "run-2"


def test_runs_exclude_each_other(root: Path) -> None:
    """Four runs do a read, a pause and a write, over and over: without exclusion they would lose updates."""
    total = root.parent / "total"
    total.write_text("0")
    inside = threading.Lock()

    def work(run_id: str) -> None:
        done = 0
        while done < 3:
            with ExitStack() as held:
                try:
                    take(root, held, run_id, lease_seconds=20)
                except RunbookError as error:
                    if error.code == "lock_held":
                        continue
                    raise
                assert inside.acquire(blocking=False), "two runs hold the lock"
                value = int(total.read_text())
                time.sleep(0.02)
                total.write_text(str(value + 1))
                inside.release()
                done += 1

    threads = [threading.Thread(target=work, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert total.read_text() == "12"


def test_several_are_taken_in_order_and_none_is_kept_where_one_is_refused(root: Path, held: ExitStack) -> None:
    take(root, held, "run-1", "database/b")
    with ExitStack() as mine, failing("lock_held"):
        take(root, mine, "run-2", "database/c", "database/b", "app/a", "app/a")
    assert look(root, "app/a").state == "free"
    assert bodies(root, "app/a"), "it was taken before"
    assert not bodies(root, "database/c"), "it was not asked for before"
    assert look(root, "database/b").run_id == "run-1"


def test_the_same_run_enters_and_leaves_the_lock_to_its_owner(root: Path, held: ExitStack) -> None:
    take(root, held, "run-1", runbook="deploy", lease_seconds=600)
    with ExitStack() as inner:
        (lease,) = take(root, inner, "run-1", lease_seconds=5)
        assert lease.entered
        lease.check("go on")
    state = look(root)
    assert (state.state, state.run_id) == ("held", "run-1")
    assert state.holder.runbook == "deploy"
    assert state.until - state.since > timedelta(seconds=590), "the inner task does not shorten the lease"


def test_the_owner_goes_on_after_a_task_of_its_run_has_entered(root: Path, held: ExitStack) -> None:
    (outer,) = take(root, held)
    with ExitStack() as inner:
        take(root, inner)
    for _each in range(4):
        time.sleep(LEASE / 2)
        outer.check("go on")
    held.close()
    assert look(root).state == "free"


def test_a_lock_left_to_the_run_is_entered_even_after_it_lapsed(root: Path) -> None:
    with ExitStack() as held:
        (lease,) = take(root, held, lease_seconds=0.2)
        lease.leave()
    assert look(root).run_id == "run-1"
    time.sleep(2.5)
    assert look(root).state == "lapsed"
    with ExitStack() as held:
        (again,) = take(root, held)
        assert again.entered
        again.check("go on")
    assert look(root).state == "held"


def test_what_a_killed_module_held_is_released_by_the_one_that_repeats_it(root: Path) -> None:
    """In the same run: else whoever comes next would wait for the end of a lease that nobody has any more."""
    record = "env/runs/run-1/main/000001.json"
    FileStore(root, run_context()).put(record, json.dumps({"schema": 1, "status": "running"}).encode())
    with ExitStack() as killed:
        (lease,) = take(root, killed, lease_seconds=600)
        lease.name_record(record)
        lease.leave()  # stands for a kill: nobody renews it any more
    (path,) = (root / "env" / "locks" / DATABASE).glob("*.json")
    body = json.loads(path.read_text())
    body["module"]["started"] = "another process of that number"
    path.write_text(json.dumps(body))
    started = time.monotonic()
    with ExitStack() as held:
        (again,) = take(root, held, lease_seconds=600)
        assert not again.entered
        again.check("go on")
    assert time.monotonic() - started < 2
    assert look(root).state == "free"
    assert json.loads((root / record).read_text())["status"] == "interrupted"


def test_a_long_wait_is_explained(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "_NOTICED", 0.2)
    with ExitStack() as killed:
        take(root, killed, lease_seconds=0.6)[0].leave()
    context = run_context("run-2")
    with ExitStack() as held:
        take(root, held, "run-2", context=context)
    (said,) = context.warnings
    for part in (DATABASE, "run run-1 held it", "postgres_backup of main (manual)", "to end at 20"):
        assert part in said


def test_release_all_releases_what_this_run_holds_and_nothing_else(root: Path) -> None:
    with ExitStack() as held:
        for lease in take(root, held, "run-1", DATABASE, "app/web"):
            lease.leave()
    with ExitStack() as other:
        take(root, other, "run-2", "app/other")
        context = run_context("run-1")
        released = release_all(
            FileStore(root, context),
            environment="env",
            resources=["app/web", DATABASE, "app/other", "app/never"],
            context=context,
        )
        assert released == ("app/web", DATABASE)
        assert look(root, "app/other").run_id == "run-2"
    assert look(root).state == "free"
    with ExitStack() as held:
        take(root, held, "run-3")


def test_a_lapsed_lock_is_taken_over_and_its_record_closed(root: Path, held: ExitStack) -> None:
    store = FileStore(root, run_context())
    record = "env/runs/run-1/main/000001.json"
    store.put(record, json.dumps({"schema": 1, "run_id": "run-1", "status": "running"}).encode())
    with ExitStack() as killed:
        (lease,) = take(root, killed, "run-1", lease_seconds=0.6)
        lease.name_record(record)
        lease.leave()  # stands for a kill: nobody renews it any more
    (lease,) = take(root, held, "run-2")
    lease.check("go on")
    assert look(root).run_id == "run-2"
    closed = json.loads(store.get(record) or b"")
    assert (closed["status"], closed["interrupted_by"]) == ("interrupted", "run-2")


def test_a_holder_that_was_taken_over_may_do_nothing_more(root: Path, held: ExitStack) -> None:
    clock = WrongClock()
    context = run_context("run-1", clock=clock)
    store = Broken(root, context)
    context.leases = take(root, ExitStack(), "run-1", context=context, store=store)
    context.effect("work")
    store.cut = True
    take(root, held, "run-2")
    store.cut = False
    with failing("lock_lost") as failure:
        context.effect("delete a backup")
    assert "delete a backup" in failure().message
    assert "taken over" in failure().message
    for lease in context.leases:
        lease.release()
    assert look(root).run_id == "run-2", "it does not release what is another's"


def test_a_suspended_holder_goes_on_where_nobody_came(root: Path, held: ExitStack) -> None:
    clock = WrongClock()
    context = run_context("run-1", clock=clock)
    (lease,) = take(root, held, "run-1", context=context, lease_seconds=60)
    clock.pushed.append(3600)
    lease.check("go on")
    assert [body["run_id"] for body in bodies(root)] == ["run-1", "run-1"], "entered again by a version of its own"


def test_a_suspended_holder_has_lost_even_where_the_other_is_done(root: Path, held: ExitStack) -> None:
    """What it read before is no longer true, although the lock is free."""
    clock = WrongClock()
    context = run_context("run-1", clock=clock)
    store = Broken(root, context)
    (lease,) = take(root, held, "run-1", context=context, store=store, lease_seconds=1)
    store.cut = True
    with ExitStack() as other:
        take(root, other, "run-2")
    assert look(root).state == "free"
    store.cut = False
    clock.pushed.append(3600)
    with failing("lock_lost"):
        lease.check("go on")


def test_a_cut_network_is_endured_until_the_deadline_and_no_longer(root: Path, held: ExitStack) -> None:
    context = run_context("run-1")
    store = Broken(root, context)
    (lease,) = take(root, held, "run-1", context=context, store=store, lease_seconds=3)
    store.cut = True
    lease.check("go on")
    time.sleep(1.5)
    lease.check("go on")
    time.sleep(1.5)
    with failing("lock_lost") as failure:
        lease.check("go on")
    assert "it is cut off" in failure().message
    store.cut = False
    lease.check("go on")


def test_a_slow_store_does_not_lose_the_lock(root: Path, held: ExitStack) -> None:
    context = run_context("run-1")
    store = Broken(root, context)
    (lease,) = take(root, held, "run-1", context=context, store=store, lease_seconds=3)
    store.delay = 0.7
    for _each in range(8):
        started = time.monotonic()
        lease.check("go on")
        assert time.monotonic() - started < 0.5, "a renewal under way does not hold up the work"
        time.sleep(0.6)
    assert look(root).state == "held"


def test_a_renewal_that_arrives_too_late_does_not_count(root: Path, held: ExitStack) -> None:
    """The request was sent in time and done after the end: another run may have looked in between."""
    clock = WrongClock()
    context = run_context("run-1", clock=clock)

    class Stalling(Broken):
        def put(self, key: str, body: bytes) -> None:
            clock.pushed.append(3600)
            super().put(key, body)

    (lease,) = take(root, held, "run-1", context=context, store=Stalling(root, context), lease_seconds=60)
    lease.name_record("env/runs/run-1/main/000001.json")
    assert len(bodies(root)) == 2
    lease.check("go on")


@pytest.mark.parametrize("hours", [-12, 12])
def test_wrong_clocks_do_not_matter(root: Path, hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = WrongClock(skew=timedelta(hours=hours))
    with ExitStack() as held:
        (lease,) = take(root, held, "run-1", context=run_context("run-1", clock=wrong))
        lease.check("go on")
        with ExitStack() as mine, failing("lock_held"):
            take(root, mine, "run-2")
    with ExitStack() as held:
        take(root, held, "run-1")
        with ExitStack() as mine, failing("lock_held"):
            take(root, mine, "run-2", context=run_context("run-2", clock=wrong))


def test_waiting_ends_with_the_controller(root: Path, held: ExitStack) -> None:
    take(root, held, lease_seconds=60)
    context = run_context("run-2")

    def gone(what: str) -> None:
        raise RunbookError(code="controller_gone", attempted=what, object="x", reason="it ended", remedy="Again.")

    context.controller.check = gone  # type: ignore[method-assign]
    with ExitStack() as mine, failing("controller_gone"):
        take(root, mine, "run-2", context=context)


def test_a_lock_that_cannot_be_released_is_a_warning(root: Path) -> None:
    context = run_context("run-1")
    store = Broken(root, context)
    with ExitStack() as held:
        take(root, held, "run-1", context=context, store=store)
        store.cut = True
    (warning,) = context.warnings
    assert "database/main" in warning
    assert "not released" in warning


def test_taking_a_lock_is_an_effect(root: Path, held: ExitStack) -> None:
    with pytest.raises(ValueError, match="check mode"):
        take(root, held, context=run_context(check_mode=True))
    assert not root.exists()
