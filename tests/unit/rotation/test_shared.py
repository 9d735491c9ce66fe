# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A place of which several secrets write a part each: whose change the last one was, by their ledgers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger, Written
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.shared import settled, unsettled, upon

from harness.stores import failing

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def ledger(mark: str, part: str, *before: str) -> Ledger:
    """One that has written its part, upon the place as it was with these marks."""
    written = Written(destination="jobs", holds="v", mark=mark, at=NOW, parts=(part,), upon=before)
    return Ledger(written=(written,))


def looks(ledgers: dict[str, Ledger], mark: str) -> str:
    """With which mark the first secret finds its part."""
    sight = Sight(exists=True, mark=mark, parts=("password",))
    assert unsettled(ledgers["a"], [("jobs", sight)]) is (mark != ledgers["a"].written[0].mark)
    return settled("a", ledgers["a"], "jobs", sight, ledgers).mark


@pytest.mark.parametrize(
    ("others", "now", "settles"),
    [
        ({}, "1", True),
        ({}, "2", False),
        ({"b": ledger("2", "key", "1")}, "2", True),
        ({"b": ledger("2", "key", "x")}, "2", False),
        ({"b": ledger("2", "key", "1")}, "3", False),
        ({"b": ledger("3", "key", "2", "1")}, "3", True),
        ({"b": ledger("2", "key", "1"), "c": ledger("3", "user", "2")}, "3", True),
        ({"b": ledger("2", "key", "1"), "c": ledger("3", "user", "x", "2")}, "3", True),
    ],
)
def test_only_what_others_have_written_themselves_is_no_change(
    others: dict[str, Ledger], now: str, settles: bool
) -> None:
    assert looks({"a": ledger("1", "password", "0"), **others}, now) == ("1" if settles else now)


def test_a_part_that_two_write_is_refused() -> None:
    """Of the changes since one's own; what somebody has written before is over."""
    with failing("destination_unusable") as refused:
        looks({"a": ledger("1", "password"), "b": ledger("2", "password", "1")}, "2")
    assert "its input password is written by jobs of the secret b too" in refused().message
    before = {"b": ledger("0", "password"), "c": ledger("2", "key", "1", "0")}
    assert looks({"a": ledger("1", "password", "0"), **before}, "2") == "1"


def test_marks_are_kept_as_far_as_they_follow_from_each_other() -> None:
    (before,) = ledger("2", "key", "1").written
    assert upon(before, "2") == ("2", "1")
    assert upon(before, "3") == ("3",)
    assert upon(None, "3") == ("3",)
    assert upon(before, "") == ()
    long = Written(destination="x", holds="v", mark="99", at=NOW, upon=tuple(map(str, range(98, 0, -1))))
    assert len(upon(long, "99")) == 20
