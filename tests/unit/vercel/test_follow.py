# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a move makes of Vercel's answers: when it goes on waiting, and when it knows that nothing comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import AliasJob, Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.move import Move
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.move_plan import Seen
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Intent, Wish

from harness.stores import WrongClock, failing, run_context

B = Deployment(id="dpl_B", target="production", state="READY")
ENDED = AliasJob(kind="rollback", to_id="dpl_B", from_id="dpl_C", status="succeeded", requested_at=100)
#: The job of another day succeeded, and production has gone on to D by a push since.
GONE_ON = Project(id="prj_1", name="web", production=Deployment(id="dpl_D"), job=ENDED)
OPEN = Intent(
    kind="rollback", from_id="dpl_C", to_id="dpl_B", asked="previous", noted=50, assigns_before=True, state="open"
)


class Service:
    """Answers what it is told, and lets time pass without spending it."""

    def __init__(self, clock: WrongClock, *answers: Project) -> None:
        self.api = self
        self._clock = clock
        self._answers = list(answers)

    def project(self) -> Project:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def wait_until(self, _patience: float) -> None:
        """There is time enough."""

    def left(self) -> float:
        return 60 - sum(self._clock.pushed)

    def sleep(self, seconds: float) -> None:
        self._clock.pushed.append(seconds)


class Bare(Move):
    """A rollback without options."""

    kind: ClassVar[Any] = "rollback"
    place = "project web"

    def __init__(self, *answers: Project) -> None:
        clock = WrongClock()
        self.context = run_context(clock=clock)
        self._vercel: Any = Service(clock, *answers)
        self._vercel.place = self.place
        self._patience = 60.0
        self._wish = Wish(kind="rollback", to="previous")
        self._refused = False


def resume(project: Project, left: str, intent: Intent | None, *answers: Project) -> Project | None:
    move = Bare(*answers or (project,))
    return move._resume(Seen(project=project, left=left, target=B, intent=intent), B)[0]


@pytest.mark.parametrize("left", ["dpl_C", "dpl_D"])
def test_the_success_of_another_day_does_not_hold_up_a_new_one(left: str) -> None:
    """Neither where the intent is of another move, nor where it is of this one: the job is asked for."""
    assert resume(GONE_ON, left, OPEN) is None
    assert resume(GONE_ON, left, replace(OPEN, from_id=left)) is None


def test_a_job_at_work_is_followed_and_may_show_late() -> None:
    working = replace(GONE_ON, production=Deployment(id="dpl_C"), job=replace(ENDED, status="in-progress"))
    ended = replace(working, job=ENDED)
    done = replace(ended, production=B)
    assert resume(working, "dpl_C", None, working, ended, ended, done) == done
    assert resume(ended, "dpl_C", OPEN, ended, done) == done
    # However long it took.
    assert resume(working, "dpl_C", None, *[working] * 8, ended, done) == done


def test_what_this_run_asked_for_is_waited_for() -> None:
    with failing("job_running"):
        Bare(GONE_ON)._follow(B, 50, shows=10.0)


def test_what_is_to_be_left_is_waited_for() -> None:
    """Its promote was asked for, and no answer came: production serves B, and C a moment later."""
    there = replace(GONE_ON, production=B, job=None)
    asked = AliasJob(kind="promote", to_id="dpl_C", from_id="dpl_B", status="in-progress", requested_at=100)
    lost = replace(OPEN, kind="promote", from_id="dpl_B", to_id="dpl_C")
    come = replace(there, production=Deployment(id="dpl_C"), job=replace(asked, status="succeeded"))
    at_work = replace(there, job=asked)

    def arrival(*answers: Project) -> tuple[Project, float]:
        move = Bare(*answers)
        move._wish = Wish(kind="rollback", to="dpl_B", from_id="dpl_C")
        clock: Any = move.context.clock
        return move._arrival(answers[0], lost), sum(clock.pushed)

    assert arrival(there, there, *[at_work] * 8, come)[0] == come
    # It never came; or it did not end in time, which the plan refuses.
    project, waited = arrival(there)
    assert (project, waited < 20) == (there, True)
    project, waited = arrival(at_work)
    assert (project, 60 <= waited < 70) == (at_work, True)
    assert arrival(come) == (come, 0)


def test_what_is_queued_behind_a_rolling_release_has_not_failed() -> None:
    move = Bare(GONE_ON)
    with failing("rolling_release_active") as failure:
        move._taken(Reply(status=202, body=None, headers={}), B)
    assert "when that one ends" in failure().message
    assert not move._refused, "its intent stays open"
