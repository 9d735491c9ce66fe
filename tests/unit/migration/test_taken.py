# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What migrations have taken away, as rollbacks are told of it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._migration import foreign
from ansible_collections.ops.runbooks.plugins.module_utils._migration.back import BackPlan
from ansible_collections.ops.runbooks.plugins.module_utils._migration.files import look_into, read_files
from ansible_collections.ops.runbooks.plugins.module_utils._migration.migration import Found, PostgresMigration
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import (
    Ledger,
    Row,
    taken_before,
    taken_by,
    taken_of,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.plan import Seen
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_anew import now_taken
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_away import Taken

AT = datetime(2026, 11, 20, 2, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
DROP = look_into(read_files({"2_drop.sql": b"-- runbooks: phase=contract\nDROP TABLE a"}, "here")[0])


def row(name: str, phase: str = "contract", state: str = "applied", at: datetime | None = AT) -> Row:
    return Row(name=name, checksum="0", phase=phase, state=state, applied_at=at)


def ledger(*rows: Row) -> Ledger:
    return Ledger(exists=True, rows=rows)


def test_one_that_stopped_half_way_may_have_taken_something_away() -> None:
    found = taken_of(ledger(row("1_a", "expand"), row("2_drop", state="started")))
    assert [each.name for each in found] == ["2_drop"]


@pytest.mark.parametrize("part", [{"finish": DROP}, {"record": (DROP,)}])
def test_what_is_recorded_without_being_run_counts_before_too(part: dict[str, Any]) -> None:
    plan = BackPlan(changed=True, result={}, **part)
    assert [each.name for each in taken_before((), plan, "r", NOW)] == ["2_drop"]
    had = (Taken(name="2_drop", applied_at="then"),)
    assert taken_before(had, plan, "r", NOW) == had


def test_another_checkout_does_not_empty_what_the_store_has() -> None:
    """One without the file knows nothing of its phase, and of Supabase's not even its name."""
    had = (Taken(name="2_drop", applied_at="2026-11-20T05:00:00Z", release="r"), Taken(name="3_gone"))
    prisma = taken_by("prisma", ledger(row("1_a", "expand"), row("2_drop", "expand")), had, NOW)
    assert prisma == (Taken(name="2_drop", applied_at="2026-11-20T02:00:00Z", release="r"),)
    supabase = taken_by("supabase", ledger(row("1", "expand", at=None), row("2", "expand", at=None)), had, NOW)
    assert supabase == (had[0],)


def test_a_time_that_nobody_knows_is_that_of_the_first_look() -> None:
    first = taken_by("supabase", ledger(row("2_drop", at=None)), (), NOW)
    assert first == (Taken(name="2_drop", applied_at="2026-11-21T02:00:00Z"),)
    assert taken_by("supabase", ledger(row("2_drop", at=None)), first, NOW.replace(day=25)) == first


def test_where_only_the_store_is_behind_no_tool_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {
        "planned": None,
        "adapter": "prisma",
        "command": ["npx", "prisma", "migrate", "deploy"],
        "state": "resolved",
        "migration": "1_a",
        "resolve_as": "rolled_back",
        "environment": "production",
        "name": "main",
        "lock_timeout": "5s",
        "statement_timeout": "15m",
        "wait": "30s",
    }
    context = cast(Any, SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW)))
    operation = PostgresMigration(params, context)
    files = read_files({"1_a.sql": b"CREATE TABLE a (x int)"}, "here")
    seen = Seen(files=files, pending=(look_into(files[0]),), ledger=ledger(), where="db:5432/app", source="here")
    state = Found(seen=seen, server=cast(Any, None), database="app", taken=(Taken(name="2_drop"),))
    plan = operation.plan(state)
    assert (plan.changed, type(plan)) == (True, Plan)
    started: list[object] = []
    monkeypatch.setattr(foreign, "carry_out", lambda *given: started.append(given))
    operation._carry_out(cast(Any, None), cast(Any, None), state, plan)
    assert not started


def test_a_database_that_serves_anew_says_itself_what_it_lacks() -> None:
    """Of another tool's, what it has had stays; of ours, only what it says."""
    ours = (Taken(name="2_drop", applied_at="then"),)
    known = [Taken(name=name) for name in ("2_drop", "5_undone", "20260101_prisma", "20260202_supabase")]
    found = now_taken(known, ours, {"20260101_prisma", "20260202"})
    assert [each.name for each in found] == ["2_drop", "20260101_prisma", "20260202_supabase"]
    assert found[0].applied_at == "then"
