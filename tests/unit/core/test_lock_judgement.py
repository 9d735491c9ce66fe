# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run may do with a lock: the pure part."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import (
    GRACE,
    Claim,
    Holder,
    Verdict,
    judge,
    lease_seconds,
    margin,
    state_of,
    unbroken,
)

from harness.stores import failing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOLDER = Holder(runbook="backup", target="main", identity="daily-2026-11-20")
HERE = {"machine_id": "m", "boot_id": "b", "pid_namespace": "1", "pid": 7, "started": "1"}
MODULE = {**HERE, "pid": 8, "started": "2"}


def claim(run_id: str = "mine", **changes: Any) -> Claim:
    given = {
        "holder": HOLDER,
        "run_id": run_id,
        "controller": HERE,
        "module": MODULE,
        "lease_seconds": 120.0,
        **changes,
    }
    return Claim(**given)


def held_by(theirs: Claim, number: int = 7, **changes: Any) -> Document:
    return Document(number=number, body={**theirs.body(NOON), **changes}, modified=NOON)


def nobody_gone(_identity: Mapping[str, object]) -> bool:
    return False


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_lock_never_taken_and_a_released_one_are_free() -> None:
    assert judge(None, NOON, claim(), nobody_gone) is Verdict.TAKE
    released = held_by(claim("other"), state="released")
    assert judge(released, NOON, claim(), nobody_gone) is Verdict.TAKE


def test_the_same_run_enters_whatever_the_time() -> None:
    for seconds in (0, 119, 121, 100_000):
        assert judge(held_by(claim()), after(seconds), claim(), nobody_gone) is Verdict.ENTER


@pytest.mark.parametrize("seconds", [0, 119, 121])
@pytest.mark.parametrize(
    ("changes", "gone", "verdict"),
    [
        ({}, MODULE, Verdict.RESUME),
        ({"holder": Holder(runbook="backup", target="main", identity="manual-3")}, MODULE, Verdict.RESUME),
        ({}, HERE, Verdict.ENTER),
        ({"holder": Holder(runbook="deploy", target="main", identity="r1")}, MODULE, Verdict.ENTER),
    ],
    ids=["a module that was killed", "one with another plan", "one that is alive", "several tasks"],
)
def test_what_a_killed_module_of_the_same_run_held_is_its_repetitions_own(
    seconds: float, changes: dict[str, Any], gone: Mapping[str, object], verdict: Verdict
) -> None:
    """Who enters does not release; of what a dead one took nobody else would."""
    held = held_by(claim(**changes))
    assert judge(held, after(seconds), claim(), lambda process: process == gone) is verdict
    earlier = Document(number=7, body={key: each for key, each in held.body.items() if key != "module"}, modified=NOON)
    assert judge(earlier, after(seconds), claim(), lambda _process: True) is Verdict.ENTER


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(0, Verdict.WAIT), (120, Verdict.WAIT), (120 + GRACE - 0.1, Verdict.WAIT), (120 + GRACE, Verdict.TAKE_OVER)],
)
def test_another_run_waits_for_the_end_of_the_lease(seconds: float, verdict: Verdict) -> None:
    stranger = claim("other", holder=Holder(runbook="restore", target="main", identity="x"))
    assert judge(held_by(stranger), after(seconds), claim(), nobody_gone) is verdict


def test_the_holders_lease_counts_not_the_claimants() -> None:
    long = held_by(claim("other", lease_seconds=600.0))
    assert judge(long, after(300), claim(lease_seconds=5.0), nobody_gone) is Verdict.WAIT


@pytest.mark.parametrize(
    ("holder", "gone", "verdict"),
    [
        (HOLDER, True, Verdict.TAKE_OVER),
        (HOLDER, False, Verdict.WAIT),
        (Holder(runbook="backup", target="main", identity="daily-2026-11-19"), True, Verdict.WAIT),
        (Holder(runbook="restore", target="main", identity="daily-2026-11-20"), True, Verdict.WAIT),
    ],
)
def test_only_an_equal_holder_takes_over_early_and_only_from_the_dead(
    holder: Holder, gone: bool, verdict: Verdict
) -> None:
    asked: list[Mapping[str, object]] = []

    def is_gone(identity: Mapping[str, object]) -> bool:
        asked.append(identity)
        return gone

    assert judge(held_by(claim("other", holder=holder)), after(1), claim(), is_gone) is verdict
    assert asked in ([HERE], []), "asked about the holder's controller"


def test_a_damaged_body_is_waited_for() -> None:
    damaged = Document(number=1, body={"schema": 1, "state": "held"}, modified=NOON)
    assert judge(damaged, after(1), claim(), lambda _identity: True) is Verdict.WAIT
    assert judge(damaged, after(200), claim(), nobody_gone) is Verdict.TAKE_OVER


def test_state_for_reports() -> None:
    held = held_by(claim("other"), record="production/runs/other/main/000001.json")
    assert state_of("database/main", held, after(60)).describe() == {
        "resource": "database/main",
        "state": "held",
        "holder": {"runbook": "backup", "target": "main", "identity": "daily-2026-11-20"},
        "run_id": "other",
        "since": "2026-11-20T12:00:00Z",
        "until": "2026-11-20T12:02:00Z",
        "record": "production/runs/other/main/000001.json",
    }
    assert state_of("database/main", held, after(180)).state == "lapsed"
    free = state_of("database/main", held_by(claim(), state="released"), NOON)
    assert (free.state, free.holder, free.until, free.number) == ("free", None, None, 7)


def test_a_chain_of_versions_is_unbroken_only_where_each_is_there_and_ours() -> None:
    mine = [held_by(claim(), number=number) for number in (8, 9, 10)]
    theirs = held_by(claim("other"), number=9, state="released")
    assert unbroken([], 7, 7, "mine")
    assert unbroken(mine, 7, 10, "mine")
    assert not unbroken([mine[0], theirs, mine[2]], 7, 10, "mine")
    assert not unbroken([mine[0], mine[2]], 7, 10, "mine"), "the one that is missing may have been anybody's"


@pytest.mark.parametrize(("text", "seconds"), [(None, 120), ("5", 5), ("5s", 5), ("2m", 120), ("1d", 86400)])
def test_lease_option(text: str | None, seconds: float) -> None:
    assert lease_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "4s", "2d", "-5s", "soon"])
def test_bad_lease_option(text: str) -> None:
    with failing("invalid_parameter"):
        lease_seconds(text)


def test_the_holder_stops_before_others_begin() -> None:
    """Whatever the lease: the last moment in which it begins something lies before the first of anybody else."""
    for seconds in (5.0, 120.0, 86400.0):
        assert 0 < margin(seconds) <= 10
        assert seconds - margin(seconds) < seconds + GRACE
