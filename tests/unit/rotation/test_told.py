# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run says of what it was asked for and has not done, and of what it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.rotations import Secret, file_destination
from harness.stores import failing


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    """With its first value."""
    places = [file_destination(tmp_path / "now"), file_destination(tmp_path / "before", "{previous}")]
    made = Secret(store=f"file://{tmp_path}/store", destinations=places)
    assert made.run()["summary"] == "its first value is in use"
    return made


def test_a_rotation_that_is_asked_for_during_another_one(secret: Secret) -> None:
    """It begins once that one is over, in the same run; until then each run says that it has not begun."""
    secret.days = 91
    begun = secret.run()
    assert (begun["phase"], begun["not_begun"]) == ("grace", "")
    assert begun["summary"].startswith("rotated; the earlier value is good until 20")
    former = secret.ledger.rotation_id
    asked = secret.run(reason="requested")
    assert (asked["changed"], asked["phase"]) == (False, "grace")
    assert asked["not_begun"].startswith(f"the rotation {former} is under way and comes first (grace: the grace period")
    assert asked["not_begun"].endswith("; reason=compromise waits for no date")
    secret.days += 8
    asked = secret.run(reason="requested", check=True)
    assert (asked["phase"], "comes first (watching: " in asked["not_begun"]) == ("watching", True)
    asked = secret.run(reason="requested")
    assert (asked["phase"], "comes first (watching: " in asked["not_begun"]) == ("watching", True)
    secret.days += 2
    asked = secret.run(reason="requested")
    assert (asked["phase"], asked["not_begun"], asked["id"] != former) == ("grace", "", True)


def test_the_same_reason_twice(secret: Secret) -> None:
    """Nobody can tell whether the second one means the same rotation: none begins by surprise, and that is said."""
    asked = {"reason": "requested", "min_age": "0s"}
    assert secret.run(**asked)["not_begun"] == ""
    for days, phase in ((0, "grace"), (8, "watching")):
        secret.days += days
        said = secret.run(**asked, run="run-2")
        assert (said["phase"], "is under way and comes first" in said["not_begun"]) == (phase, True)
    secret.days += 2
    over = secret.run(**asked, run="run-3")
    assert over["phase"] == "idle"
    assert over["not_begun"].endswith("is over now; give the same command again")
    assert secret.run(**asked, run="run-4")["phase"] == "grace"


def test_a_value_that_is_too_young(secret: Secret) -> None:
    said = secret.run(reason="requested")
    assert not said["changed"]
    assert said["not_begun"].startswith("the value is younger than 60 min (min_age) until 20")
    assert secret.run()["not_begun"] == ""


def test_a_way_back_that_is_gone(secret: Secret) -> None:
    with failing("rotation_refused") as refused:
        secret.run(take_back=True)
    assert "there is none: no rotation has replaced it yet" in refused().message
    for days in (91, 8, 2):
        secret.days += days
        said = secret.run()
    assert (said["phase"], said["summary"]) == ("idle", "rotated; the earlier value is gone for good")
    for check in (True, False):
        with failing("rotation_refused") as refused:
            secret.run(take_back=True, check=check)
        assert "it is gone since 20" in refused().message
