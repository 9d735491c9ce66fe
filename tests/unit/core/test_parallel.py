# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams that succeed or fail together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.parallel import Crew, together

from harness.manifests import make_context


def returning(value: int) -> Callable[[], int]:
    return lambda: value


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_results_are_in_the_order_of_the_jobs(workers: int) -> None:
    assert together([returning(number) for number in range(20)], workers, Crew()) == list(range(20))


def test_as_many_work_at_once_as_there_are_workers() -> None:
    barrier = threading.Barrier(3)
    assert sorted(together([lambda: barrier.wait(10)] * 6, 3, Crew())) == [0, 0, 1, 1, 2, 2]


def test_the_first_failure_is_told_and_ends_the_others(tmp_path: Path) -> None:
    """A child that would work for an hour, and one job that is never begun."""
    crew, context = Crew(), make_context(tmp_path)
    began, later = threading.Event(), []

    def long() -> None:
        with process.start(["sleep", "3600"], context=context, env={}, name="sleep") as child, crew.joined(child):
            began.set()
            child.wait(60)
            raise ValueError("this one was only ended")

    def failing() -> None:
        began.wait(10)
        raise LookupError("this one failed")

    with pytest.raises(LookupError, match="this one failed"):
        together([long, failing, lambda: later.append(1)], 2, crew)
    assert later == []


def test_who_joins_a_dismissed_crew_is_ended(tmp_path: Path) -> None:
    crew = Crew()
    crew.dismiss()
    child = process.start(["sleep", "3600"], context=make_context(tmp_path), env={}, name="sleep")
    with child, crew.joined(child):
        assert child.wait(10) != 0


def test_what_is_on_its_way_for_a_child_is_let_go_of_before_the_child_ends(tmp_path: Path) -> None:
    """An upload that would go on sending what it has read holds its stream up long after the others failed."""
    crew = Crew()
    child = process.start(["sleep", "3600"], context=make_context(tmp_path), env={}, name="sleep")
    alive: list[bool] = []
    with child, crew.joined(child, lambda: alive.append(child.running)):
        assert not crew.dismissed
        crew.dismiss()
        assert crew.dismissed
        assert child.wait(10) != 0
    crew.dismiss()
    assert alive == [True], "stopped once, and first"
