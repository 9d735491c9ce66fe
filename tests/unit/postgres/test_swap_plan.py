# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a swap and its undoing do, decided from who has the live name; and when the database put aside may go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    LOADED,
    REVERTED,
    REVERTING,
    STARTED,
    SWAPPING,
    Attempt,
    Exchange,
    Mark,
    SourceBackup,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.act import carry_over
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.expire import Aside, is_it, previous_databases
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.facts import (
    Live,
    LiveSession,
    RoleConfiguration,
    check_live,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.plan import (
    SwapState,
    decide_swap,
    is_previous,
    previous_name,
)

from harness.manifests import NOON, make_manifest, make_server

BACKUP = SourceBackup(environment="production", id="b1", snapshot_at=NOON - timedelta(hours=3))
ATTEMPT = Attempt(database="app__restoring_0123", token="0123", system_identifier="7001", run_id="run")
OLD, NEW, OTHER = 1, 2, 3
ASIDE = "app__previous_0042"
MARK = Mark(
    restore_id="incident-7",
    phase=FINISHED,
    backup=BACKUP,
    target_database="app",
    system_identifier="7001",
    oid=NEW,
    strategy="swap",
    exchange=Exchange(replaced_oid=OLD, aside=ASIDE, until=NOON + timedelta(days=7)),
    result={"id": "incident-7"},
)
LIVE = make_manifest().database


def make_live(oid: int, **changes: Any) -> Live:
    return replace(Live(database=replace(LIVE, name="app", oid=oid), user="runner"), **changes)


def make_state(phase: str | None, live: int, *, reverts: bool = False, **databases: int) -> SwapState:
    """A mark of that phase, and the oid that has the live name; ``databases`` are the others."""
    mark = None if phase is None else replace(MARK, phase=phase)
    all_of_them = {"app": live, **databases}
    return SwapState(
        restore_id="incident-7",
        endpoint="db:5432/postgres",
        server=make_server(),
        backup=BACKUP,
        target_database="app",
        attempt=ATTEMPT,
        rebinds=False,
        mark=mark,
        found_as=next((name for name, oid in all_of_them.items() if oid == NEW), None),
        work=None,
        now=NOON,
        databases=all_of_them,
        live=make_live(live),
        keep=timedelta(days=7),
        reverts=reverts,
    )


@pytest.mark.parametrize(
    ("phase", "live", "others", "action"),
    [
        (LOADED, OLD, {"app__restoring_9": NEW}, "swap"),
        (SWAPPING, OLD, {"app__restoring_9": NEW}, "swap"),
        # Somebody else has replaced the live database meanwhile: it is what is put aside then.
        (SWAPPING, OTHER, {"app__restoring_9": NEW}, "swap"),
        (SWAPPING, NEW, {ASIDE: OLD}, "record"),
        (FINISHED, NEW, {ASIDE: OLD}, "nothing"),
        (FINISHED, NEW, {}, "nothing"),
        (FINISHED, OTHER, {"app__previous_77": NEW}, "nothing"),
    ],
)
def test_the_server_tells_what_is_left_to_do(phase: str, live: int, others: dict[str, int], action: str) -> None:
    plan = decide_swap(make_state(phase, live, **others))
    assert (plan.action, plan.changed) == (action, action != "nothing")
    assert bool(plan.steps) == plan.changed


@pytest.mark.parametrize(
    ("phase", "live", "others", "action"),
    [
        (FINISHED, NEW, {ASIDE: OLD}, "revert"),
        (SWAPPING, NEW, {ASIDE: OLD}, "revert"),
        (REVERTING, NEW, {ASIDE: OLD}, "revert"),
        (REVERTING, OLD, {ASIDE: NEW}, "record"),
        (REVERTED, OLD, {ASIDE: NEW}, "nothing"),
        (REVERTED, OTHER, {}, "nothing"),
    ],
)
def test_undoing_too(phase: str, live: int, others: dict[str, int], action: str) -> None:
    plan = decide_swap(make_state(phase, live, reverts=True, **others))
    assert (plan.action, plan.changed) == (action, action != "nothing")


@pytest.mark.parametrize(
    ("phase", "live", "others", "reverts", "code"),
    [
        (REVERTED, OLD, {ASIDE: NEW}, False, "invalid_parameter"),
        (REVERTING, OLD, {ASIDE: NEW}, False, "invalid_parameter"),
        (FINISHED, OTHER, {}, False, "invalid_parameter"),
        # Swapped in and not recorded, then put aside by a later swap: an old command brings no old data back.
        (SWAPPING, OTHER, {"app__previous_77": NEW}, False, "invalid_parameter"),
        (None, OLD, {}, True, "invalid_parameter"),
        (STARTED, OLD, {}, True, "invalid_parameter"),
        (LOADED, OLD, {}, True, "invalid_parameter"),
        (SWAPPING, OLD, {}, True, "invalid_parameter"),
        (FINISHED, NEW, {}, True, "previous_missing"),
        (FINISHED, OTHER, {ASIDE: OLD}, True, "swap_refused"),
    ],
)
def test_what_cannot_be_is_refused(
    phase: str | None, live: int, others: dict[str, int], reverts: bool, code: str
) -> None:
    with pytest.raises(RunbookError) as refused:
        decide_swap(make_state(phase, live, reverts=reverts, **others))
    assert refused.value.code == code


def test_the_plan_says_what_is_lost_and_who_is_thrown_out() -> None:
    sessions = (LiveSession(pid=1, user="app", application="web", may_end=True),)
    state = make_state(SWAPPING, OLD, app__restoring_9=NEW)
    plan = decide_swap(replace(state, live=make_live(OLD, sessions=sessions)))
    assert "End 1 session in database app (app (web))" in "".join(plan.steps)
    assert "2026-11-20T09:00:00" in plan.irreversible[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"supabase": True}, "platform"),
        ({"may_rename": False}, "rights"),
        ({"logical_slots": ("cdc",)}, "logical_slots"),
        ({"prepared": ("x",)}, "prepared_transactions"),
        ({"subscriptions": ("s",)}, "subscriptions"),
        ({"sessions": (LiveSession(pid=1, user="boss", application="", may_end=False),)}, "sessions"),
    ],
)
def test_each_reason_has_a_name(change: dict[str, Any], why: str) -> None:
    with pytest.raises(RunbookError) as refused:
        check_live(make_live(OLD, **change), "db:5432/postgres")
    assert (refused.value.code, refused.value.details) == ("swap_refused", {"refused": why})


def test_what_the_live_database_has_replaces_what_the_new_one_has() -> None:
    live = make_live(
        OLD,
        database=replace(
            LIVE,
            name="app",
            owner="shop",
            settings=("work_mem=7MB", 'search_path="app", public'),
            privileges=("shop=CTc/shop", "reader=c/shop"),
            comment=None,
            connection_limit=40,
        ),
        of_roles=(RoleConfiguration(role="reader", settings=("statement_timeout=9s",)),),
    )
    new = replace(LIVE, name="new", owner="postgres", privileges=None)
    assert carry_over(live, new, [RoleConfiguration(role="old", settings=("a.b=c",))]) == [
        'ALTER DATABASE "new" RESET ALL',
        'ALTER ROLE "old" IN DATABASE "new" RESET ALL',
        'ALTER DATABASE "new" OWNER TO "shop"',
        'REVOKE ALL ON DATABASE "new" FROM PUBLIC CASCADE',
        'REVOKE ALL ON DATABASE "new" FROM "shop" CASCADE',
        'GRANT CREATE, TEMPORARY, CONNECT ON DATABASE "new" TO "shop"',
        'GRANT CONNECT ON DATABASE "new" TO "reader"',
        'ALTER DATABASE "new" SET "work_mem" TO \'7MB\'',
        "ALTER DATABASE \"new\" SET \"search_path\" TO 'app', 'public'",
        'ALTER ROLE "reader" IN DATABASE "new" SET "statement_timeout" TO \'9s\'',
        'COMMENT ON DATABASE "new" IS NULL',
        'ALTER DATABASE "new" CONNECTION LIMIT 40',
    ]


def test_names_of_databases_put_aside() -> None:
    long = previous_name("ü" * 40, "0123456789ab")
    assert len(long.encode()) <= 63
    assert is_previous(long)
    assert not is_previous("app__previous_year")


def test_when_a_database_put_aside_may_go() -> None:
    until = NOON + timedelta(days=7)
    undone = replace(MARK, restore_id="incident-8", phase=REVERTED)
    unfinished = [replace(MARK, phase=phase) for phase in (STARTED, LOADED, SWAPPING, REVERTING)]
    marks = [MARK, undone, *unfinished, replace(MARK, exchange=None, strategy="new_database")]
    found = previous_databases(marks)
    assert [(each.restore_id, each.oid, each.live) for each in found] == [
        ("incident-7", OLD, "app"),
        ("incident-8", NEW, "app"),
    ]
    assert [each.successors for each in found] == [{NEW}, {OLD}]
    there = Aside(previous=found[0])
    assert there.stays(until - timedelta(seconds=1)) == "keep_previous"
    assert there.stays(until) == ""
    for changes, reason in (
        ({"replaced": False}, "not_replaced"),
        ({"sessions": 2}, "in_use"),
        ({"may_drop": False}, "not_owner"),
    ):
        kept = replace(there, **changes)
        assert kept.stays(until) == reason
        assert ASIDE in kept.warning(until)
        assert kept.described(until)["state"] == "kept"


@pytest.mark.parametrize("change", [{"oid": 9}, {"system_identifier": "7002"}, {"database": "app"}])
def test_only_the_very_database_goes(change: dict[str, Any]) -> None:
    (previous,) = previous_databases([MARK])
    assert is_it(previous, "7001", OLD)
    assert not is_it(replace(previous, **change), "7001", OLD)


def test_marks_of_swaps_come_back_as_they_were_written() -> None:
    assert Mark.from_json(MARK.to_json(), "here") == MARK
