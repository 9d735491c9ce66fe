# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which builds hold a value that is gone: what a ledger says of that in each phase."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger, Past, Value, Written
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.retired import (
    Span,
    may_have_retired,
    records_of,
    spans,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MS = round(NOON.timestamp() * 1000)


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def ms(minutes: int) -> int:
    return MS + minutes * 60_000


def value(name: str, minutes: int) -> Value:
    return Value(id=name, fingerprint="", slot=name, since=at(minutes))


def past(outcome: str, begun: int, ended: int, name: str = "r") -> Past:
    return Past(
        rotation_id=f"{name}{begun}", reason="scheduled", outcome=outcome, started_at=at(begun), ended_at=at(ended)
    )


def written(minutes: int, *, record: str = "env_1", changed: int | None = None) -> Written:
    when = ms(minutes) if changed is None else changed
    return Written(destination="web", holds="v", mark=f"{record}@{when}", at=at(minutes), changed=when)


#: The first value from minute -100; a rotation that began at 0, wrote at 1, and was in use at 5.
ROTATING = Ledger(
    rotation_id="r0",
    started_at=at(0),
    verified_at=at(5),
    current=value("b", 5),
    old=value("a", -90),
    written=(written(1),),
    history=(past("rotated", -100, -90),),
)
DONE = replace(ROTATING, phase="idle", old=None, history=(*ROTATING.history, past("rotated", 0, 30)))


def found(ledger: Ledger, *records: str) -> Span | None:
    said = spans("database_url", ledger, records or ("env_1", "env_2"))
    assert len(said) < 2
    assert may_have_retired(ledger) or not said
    return said[0] if said else None


@pytest.mark.parametrize("phase", ["disabling", "retiring", "watching", "clearing"])
def test_what_was_built_before_the_value_was_written_is_outdated_once_the_earlier_one_is_disabled(phase: str) -> None:
    said = found(replace(ROTATING, phase=phase))
    assert said is not None
    assert (said.after, said.before) == (0, ms(1) + 1)
    assert "database_url got another value (rotation r0)" in said.reason
    assert ("take_back" in said.reason) is (phase != "clearing")
    assert said.describe()["built_before"] == "2026-11-20T12:01:00.001000Z"


@pytest.mark.parametrize("phase", ["verifying", "grace", "distributing", "staged", "returning"])
def test_as_long_as_the_earlier_value_is_good_nothing_is_outdated(phase: str) -> None:
    """Also where it is withdrawn at once: until it is disabled, it is what a rebuild that fails goes back to."""
    assert found(replace(ROTATING, phase=phase)) is None
    assert found(replace(ROTATING, phase=phase, broken=True)) is None


@pytest.mark.parametrize("phase", ["breaking", "distributing", "verifying", "grace"])
def test_what_was_ended_first_is_no_way_back_from_that_moment_on(phase: str) -> None:
    """As long as builds do not get the new value none is good, whenever it was made."""
    ended = replace(ROTATING, phase=phase, broken=True, withdrawn_at=at(1), written=(written(-50),))
    said = found(ended)
    assert said is not None
    assert said.before > ms(10**6)
    assert "was ended at once (rotation r0), which take_back of secret_rotation still" in said.reason
    said = found(replace(ended, written=(written(1),)))
    assert said is not None
    assert said.before == ms(1) + 1


def test_it_stays_outdated_when_the_rotation_is_over_and_while_the_next_one_is_under_way() -> None:
    over = found(DONE)
    assert over is not None
    assert over.before == ms(1) + 1
    making = replace(DONE, phase="making", rotation_id="r60", started_at=at(60))
    assert found(making) == over
    # The next value is written: what was written before is known by the beginning of its rotation only.
    spread = replace(making, phase="verifying", new=value("c", 61), written=(written(61),))
    said = found(spread)
    assert said is not None
    assert said.before == ms(0)


def test_what_was_written_again_since_moves_no_border() -> None:
    """Somebody had changed it, and the same value was written once more: what was built in between works."""
    said = found(replace(DONE, written=(written(500),)))
    assert said is not None
    assert said.before == ms(0)
    # After a compromise nothing is waited for: the run that finds it in use takes the earlier one out of it at once.
    at_once = replace(ROTATING, phase="retiring", retired_at=at(5), written=(written(5),))
    taken_out = found(at_once)
    assert taken_out is not None
    assert taken_out.before == ms(0)
    assert found(replace(at_once, written=(written(1),))) == found(replace(ROTATING, phase="retiring"))
    one_of_two = replace(DONE, written=(written(1), written(20, record="env_2")))
    assert found(one_of_two) == found(DONE)


@pytest.mark.parametrize(
    "ledger",
    [
        Ledger(),
        replace(DONE, history=(past("rotated", -100, -90),)),
        replace(DONE, history=(past("rotated", -200, -190), past("adopted", -100, -100))),
        replace(DONE, history=(past("rotated", -100, -90), past("dropped", 0, 30))),
    ],
)
def test_a_first_value_has_none_before_it(ledger: Ledger) -> None:
    assert found(ledger) is None


def test_another_project_is_not_concerned() -> None:
    assert found(DONE, "env_2") is None
    file = Written(destination="file", holds="v", mark="0600 1234", at=at(1))
    assert records_of(file) == set()
    assert found(replace(DONE, written=(file,))) is None


def test_what_was_built_with_a_value_that_was_taken_back() -> None:
    """Between the beginning of that rotation and the writing of the value from before."""
    history = (past("rotated", -100, -90), past("taken back", 0, 30))
    ledger = replace(DONE, current=value("a", -90), history=history, written=(written(20),))
    said = found(ledger)
    assert said is not None
    assert (said.after, said.before) == (ms(0), ms(20) + 1)
    assert "was taken back (rotation r0)" in said.reason
    assert found(replace(ledger, written=(written(400),))) is None


def test_what_is_called_otherwise_by_now_makes_nothing_dead() -> None:
    """The same variable of another destination, which has written it since; of one that nobody has written again it
    still counts."""
    ended = replace(ROTATING, phase="verifying", broken=True, withdrawn_at=at(1))
    before = replace(written(-50), destination="earlier_name")
    said = found(replace(ended, written=(before, written(1))))
    assert said is not None
    assert said.before == ms(1) + 1
    two = replace(before, mark=f"env_1@{ms(-50)} env_2@{ms(-50)}")
    alone = found(replace(ended, written=(two, written(1))))
    assert alone is not None
    assert alone.before > ms(10**6)


def test_a_long_history_is_cut() -> None:
    dropped = [past("dropped", number, number) for number in range(-20, -11)]
    cut: dict[str, Any] = {"history": (*dropped, past("rotated", 0, 30))}
    assert found(replace(DONE, **cut)) is not None
