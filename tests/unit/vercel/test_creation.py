# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of the files that Vercel asks for, and of what it says of a build."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Unanswered
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.creation import Creation
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.deployment_plan import Source, Wish
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.output import File, Output

from harness.stores import failing, run_context

FILES = tuple(
    File(path=Path(f"/x/{number}"), name=f"{number}.js", mode=0o100644, size=1, changed=0, sha=f"sha{number}")
    for number in range(20)
)


def creation(**vercel: Any) -> Creation:
    source = Source(mark="prebuilt:a", name="what was built", body={}, output=Output(files=FILES, digest="a"))
    service: Any = SimpleNamespace(place="project web", **vercel)
    return Creation(service, Project(id="prj_1", name="web"), Wish(state="present"), source, run_context())


class Uploads:
    """Takes files, over connections that it counts; one of them may be lost."""

    def __init__(self, lost: str = "") -> None:
        self.taken: list[str] = []
        self.opened = self.closed = 0
        self._lost = lost

    def twin(self) -> Any:
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def upload(self, _api: object, sha: str, *_more: object) -> None:
        if sha == self._lost:
            raise Unanswered(
                code="service_unreachable", attempted="reach", object="x", reason="it broke", remedy="Look."
            )
        self.taken.append(sha)


def hand_over(uploads: Uploads, *lacks: str) -> None:
    creation(api=uploads, upload=uploads.upload)._hand_over(lacks)


def test_what_is_lacking_is_handed_over_once() -> None:
    uploads = Uploads()
    hand_over(uploads, *(each.sha for each in FILES[:10]), "unknown")
    assert sorted(uploads.taken) == sorted(each.sha for each in FILES[:10])
    assert uploads.opened == uploads.closed == 6


def test_files_that_are_not_part_of_it() -> None:
    with failing("service_failed") as failure:
        hand_over(Uploads(), "unknown")
    assert "not part of it" in failure().message


def test_a_file_that_was_lost_is_no_deployment_that_may_be_there() -> None:
    """Nobody may look for a deployment that was not asked for yet."""
    with pytest.raises(RunbookError) as caught:
        hand_over(Uploads(lost="sha3"), "sha3")
    assert not isinstance(caught.value, Unanswered)
    assert "what is still lacking" in caught.value.remedy


@pytest.mark.parametrize("column", [150, 450])
def test_the_end_of_a_log_is_redacted_before_it_is_cut(column: int) -> None:
    """The ``@`` that a password is known by may lie behind the end of the line."""
    lines = ["  it begins", f"{'x' * column} postgresql://app:{'hunter2' * 20}@db/app"]
    made = creation(build_log=lambda _deployment, _lines: lines)
    failure = made._failed(Deployment(id="dpl_A", state="ERROR"))
    assert failure.details is not None
    assert failure.details["log"][0] == "  it begins"
    assert len(failure.details["log"][1]) <= 500
    assert "hunter2" not in f"{failure.message} {failure.details}"
