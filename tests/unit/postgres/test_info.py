# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How backups are described, and when too much could be lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import age, clocks_differ
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Listed, entry_of
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.info import candidate, describe, judge
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Selection, TableFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

from harness.manifests import NOON, make_manifest

DAY = timedelta(hours=26)


@pytest.mark.parametrize(
    ("hours", "seconds", "past"), [(0, 0, False), (25.9, 93240, False), (26, 93600, False), (26.1, 93960, True)]
)
def test_the_age_of_the_newest_decides(hours: float, seconds: int, past: bool) -> None:
    judged = judge(make_manifest(), NOON + timedelta(hours=hours), DAY)
    assert judged == {"seconds": 93600, "age_seconds": seconds, "past": past}


def test_no_backup_is_past_every_limit() -> None:
    assert judge(None, NOON, DAY) == {"seconds": 93600, "age_seconds": None, "past": True}


def test_a_backup_from_the_future_is_no_protection() -> None:
    """A clock that is a day ahead would hide a day without backups."""
    tolerated, wrong = NOON - timedelta(minutes=5), NOON - timedelta(minutes=6)
    assert judge(make_manifest(), tolerated, DAY) == {"seconds": 93600, "age_seconds": 0, "past": False}
    assert judge(make_manifest(), wrong, DAY) == {"seconds": 93600, "age_seconds": None, "past": True}
    assert "6 min ahead" in str(clocks_differ(NOON, wrong))


def test_clocks_that_differ_make_no_negative_age() -> None:
    assert age(NOON, NOON - timedelta(seconds=3)) == 0


def test_a_candidate_says_what_the_index_knows() -> None:
    manifest = make_manifest(selection=Selection(schemas=("app",)))
    listed, verdict = Listed(entry=entry_of(manifest)), Verdict(state="proven", held=True)
    assert candidate(listed, verdict, NOON + timedelta(minutes=1)) == {
        "id": "daily-2026-11-20",
        "snapshot_at": "2026-11-20T12:00:00.250000Z",
        "age_seconds": 60,
        "kind": "scheduled",
        "bytes": 1000,
        "size": "1000 B",
        "selection": manifest.selection.hash,
        "state": "proven",
        "suspect_reason": None,
        "held": True,
    }
    assert candidate(Listed(entry=entry_of(make_manifest())), Verdict(), NOON)["selection"] == "whole"


def test_a_manifest_says_more() -> None:
    table = TableFact(schema="public", name="t", kind="table", rows=7)
    described = describe(make_manifest(tables=(table,)), Verdict(state="proven"), NOON)
    assert (described["tables"], described["rows"], described["database"]) == (1, 7, "app")
    assert (described["selection"], described["state"]) == ("the whole database", "proven")
