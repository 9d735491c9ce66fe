# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What backups cost, from what they cost before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import LargeObjectsFact, TableFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.plan import Policy, Rule
from ansible_collections.ops.runbooks.plugins.module_utils._status.costs import Taken, costs, interval, taken_of

from harness.manifests import make_manifest

DAY = timedelta(days=1)
MONTH = Policy(default=Rule(within=30 * DAY))


@pytest.mark.parametrize(
    ("schedule", "every"),
    [
        ("daily 02:00", DAY),
        ("Weekly Sunday 02:00", 7 * DAY),
        ("hourly", DAY / 24),
        ("hourly:15", DAY / 24),
        ("every 6h", DAY / 4),
        ("every 0h", None),
        ("now and then", None),
        ("", None),
    ],
)
def test_how_often_a_schedule_asks(schedule: str, every: timedelta | None) -> None:
    assert interval(schedule) == every


def test_nothing_is_known_before_the_first_backup() -> None:
    assert costs((), DAY, MONTH) is None


def test_a_month_of_daily_backups() -> None:
    newest = Taken(seconds=50, stored=1000, read=4000)
    found = costs((newest, Taken(seconds=10, stored=1, read=1), Taken(seconds=40, stored=1, read=1)), DAY, MONTH)
    assert found is not None
    assert (found.seconds, found.based_on) == (40, 3), "the middle one: one run under load does not count"
    assert (found.per_month, found.read_per_month) == (30, 120_000)
    # The rule counts back from the newest, both ends included.
    assert (found.backups, found.stored) == (31, 31_000)
    assert "takes about 40 s; in 30 days 30 of them" in found.text
    assert found.describe()["text"] == found.text


@pytest.mark.parametrize(("every", "per_month", "kept"), [(DAY / 24, 720, 24), (DAY, 30, 7), (7 * DAY, 4, 7)])
def test_rules_decide_what_stays(every: timedelta, per_month: int, kept: int) -> None:
    policy = Policy(default=Rule(last=24) if every < DAY else Rule(daily=7))
    found = costs((Taken(seconds=0.2, stored=10, read=10),), every, policy)
    assert found is not None
    assert (found.seconds, found.per_month, found.backups) == (1, per_month, kept)
    assert "the only backup" in found.text


def test_what_a_backup_took() -> None:
    tables = (
        TableFact(schema="public", name="a", kind="table", bytes=100),
        TableFact(schema="public", name="b", kind="table", bytes=50, data=False),
    )
    manifest = make_manifest(
        tables=tables, large_objects=LargeObjectsFact(count=1, bytes=7), durations={"total": 12.5, "dump": 10.0}
    )
    assert taken_of(manifest) == Taken(seconds=12.5, stored=1000, read=107)
