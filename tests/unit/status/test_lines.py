# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The six closing lines, and the reading of an outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import Holder, LockState
from ansible_collections.ops.runbooks.plugins.module_utils._status.facts import (
    Facts,
    LastRun,
    Newest,
    NewestDrill,
    Unknown,
)
from ansible_collections.ops.runbooks.plugins.module_utils._status.lines import closing_lines
from ansible_collections.ops.runbooks.plugins.module_utils._status.outcome import Outcome, truth
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 20, 7, 6, tzinfo=UTC)
NEWEST = Newest(id="daily-2026-11-20", snapshot_at=NOW - timedelta(hours=5), state="complete", bytes=1)
FREE = LockState(resource="database/main", state="free")
HELD = LockState(
    resource="database/main",
    state="held",
    holder=Holder(runbook="postgres_backup", target="main", identity="daily-2026-11-20"),
    run_id="run-7",
    since=NOW - timedelta(minutes=6, microseconds=5),
    until=NOW + timedelta(minutes=1),
)
FACTS = Facts(
    environment="production",
    name="main",
    now=NOW,
    rpo=timedelta(hours=26),
    newest=NEWEST,
    lock=FREE,
    last_run=None,
    restore=None,
)
LAST = LastRun(
    run_id="run-6",
    key="production/runs/run-6/main/000001.json",
    module="ops.runbooks.postgres_backup",
    identity="daily-2026-11-19",
    status="done",
    started="2026-11-19T02:00:00Z",
    ended="2026-11-19T02:04:00Z",
)
MONTH = timedelta(days=35)
OPTIONS = "-i inventories/production --limit main"
NAMES = ["Result", "Changed", "Production affected", "Newest good backup", "Lock", "Next"]
DRILL = NewestDrill(backup="daily-2026-11-01", at=NOW - timedelta(days=19), rto_seconds=3.5)
UNLIKE = replace(DRILL, like_newest=False)
GREEN = Outcome(runbook="backup", changed=True, summary="backup daily-2026-11-20 (3 MiB)", affected="no, it only reads")


def lines(outcome: Outcome | None = GREEN, facts: Facts = FACTS, **changes: Any) -> dict[str, str]:
    said = closing_lines(outcome, replace(facts, **changes), OPTIONS)
    pairs = dict(line.split(": ", 1) for line in said)
    assert list(pairs) == NAMES
    return pairs


def test_a_green_run() -> None:
    assert closing_lines(GREEN, FACTS, OPTIONS) == (
        "Result: done",
        "Changed: backup daily-2026-11-20 (3 MiB)",
        "Production affected: no, it only reads",
        "Newest good backup: daily-2026-11-20, 5 h old, complete (allowed are 26 h)",
        "Lock: free",
        "Next: ansible-playbook ops.runbooks.status -i inventories/production --limit main",
    )


def test_a_red_run() -> None:
    red = Outcome(
        runbook="backup",
        failed=True,
        code="store_unreachable",
        message="Could not write the manifest.",
        affected="no, it only reads",
        command="ansible-playbook ops.runbooks.backup -i inventories/production --limit main -e backup=x",
    )
    said = lines(red)
    assert said["Result"] == "failed (store_unreachable): Could not write the manifest."
    assert said["Changed"] == "nothing"
    assert said["Next"] == red.command
    assert lines(replace(red, command=""))["Next"] == f"ansible-playbook ops.runbooks.backup {OPTIONS}"
    assert lines(replace(red, next="ansible-playbook x"))["Next"] == "ansible-playbook x"
    assert lines(replace(red, changed=True, summary="write it"))["Changed"] == "possibly a part of this: write it"
    back = replace(red, changed=True, summary="went back", code="release_rolled_back")
    assert lines(back)["Changed"] == "went back"
    assert lines(replace(red, message=""))["Result"] == "failed (store_unreachable)"
    assert Outcome.read({"failed": True, "msg": "Could not."}).code == "run_refused"
    again = closing_lines(red, FACTS, OPTIONS, ["-e", "runbooks_rpo=2h"])
    assert again[-1] == f"Next: {red.command} -e runbooks_rpo=2h"
    own = ["-e", "backup_jobs=2"]
    checked = replace(red, failed=False, check=True, command=f"{red.command} --check", next=red.command)
    assert closing_lines(checked, FACTS, OPTIONS, own)[-1] == f"Next: {red.command} -e backup_jobs=2"
    assert closing_lines(replace(red, next="ansible-playbook x"), FACTS, OPTIONS, own)[-1] == "Next: ansible-playbook x"


@pytest.mark.parametrize(
    ("outcome", "result", "changed", "affected"),
    [
        (Outcome(runbook="restore"), "nothing to do", "nothing", "no"),
        (Outcome(runbook="restore", changed=True), "done", "see the tasks above", "not known for restore"),
        (Outcome(changed=True, check=True, summary="make it"), "would change", "nothing yet; would make it", "no"),
        (Outcome(check=True), "check mode: nothing to do", "nothing", "no"),
        (Outcome(found="listed 3 backups"), "done: listed 3 backups", "nothing", "no"),
        (Outcome(found="listed 3 backups", check=True), "check mode: listed 3 backups", "nothing", "no"),
        (Outcome(waits="x: not yet", changed=True, summary="went on"), "waiting: x: not yet", "went on", "not known"),
        (Outcome(waits="x: not yet", check=True), "check mode: waiting: x: not yet", "nothing", "no"),
        (Outcome(found="it answers", changed=True, summary="noted it"), "done", "noted it", "not known"),
        (
            Outcome(failed=True, changed=True, runbook="x"),
            "failed",
            "possibly something; see Result",
            "not known for x",
        ),
    ],
)
def test_what_was_done(outcome: Outcome, result: str, changed: str, affected: str) -> None:
    said = lines(outcome)
    assert result in said["Result"]
    assert said["Changed"] == changed
    assert said["Production affected"] == affected


def test_backups() -> None:
    old = replace(NEWEST, snapshot_at=NOW - timedelta(days=3))
    assert "OLDER than the 26 h" in lines(newest=old)["Newest good backup"]
    assert "3 d old" in lines(newest=old)["Newest good backup"]
    assert "NONE" in lines(newest=None)["Newest good backup"]
    for newest in (old, None):
        assert lines(newest=newest)["Next"] == f"ansible-playbook ops.runbooks.backup {OPTIONS}"
    assert lines(newest=replace(NEWEST, state="proven"))["Newest good backup"].startswith(
        "daily-2026-11-20, 5 h old, pro"
    )


@pytest.mark.parametrize(("age", "past"), [(26 * 3600, False), (26 * 3600 + 1, True), (-60, False)])
def test_past_rpo(age: int, past: bool) -> None:
    facts = replace(FACTS, newest=replace(NEWEST, snapshot_at=NOW - timedelta(seconds=age)))
    assert facts.past_rpo is past


def test_locks() -> None:
    assert lines(lock=HELD)["Lock"] == (
        "held by postgres_backup of main (daily-2026-11-20), run run-7 since 2026-11-20T06:59:59Z, "
        "until 2026-11-20T07:07:00Z unless renewed"
    )
    lapsed = replace(HELD, state="lapsed", until=NOW - timedelta(minutes=3))
    assert lines(lock=lapsed)["Lock"].startswith("left behind by postgres_backup of main")
    assert "anyone may take it since 2026-11-20T07:03:00Z" in lines(lock=lapsed)["Lock"]


@pytest.mark.parametrize(
    ("status", "said", "again"),
    [("done", "done", False), ("failed", "failed (dump_failed)", True), ("interrupted", "interrupted", True)],
)
def test_without_an_outcome_the_last_run_speaks(status: str, said: str, again: bool) -> None:
    last = replace(LAST, status=status, code="dump_failed" if status == "failed" else None)
    spoken = lines(None, last_run=last)
    assert spoken["Result"].startswith("last recorded run run-6 (ops.runbooks.postgres_backup daily-2026-11-19, ended ")
    assert said in spoken["Result"]
    assert last.key in spoken["Changed"]
    assert spoken["Next"].startswith("ansible-playbook ops.runbooks." + ("backup" if again else "drill"))


@pytest.mark.parametrize(
    ("facts", "proposed"),
    [
        ({"drill": None}, "drill"),
        ({"drill": "now", "drill_max_age": None}, None),
        ({"drill": "now", "drill_max_age": timedelta(days=35)}, None),
        ({"drill": "now", "drill_max_age": timedelta(days=7)}, "drill"),
        ({"newest": None}, "backup"),
        ({"newest": Unknown(reason="no network")}, "status"),
        ({"drill": Unknown(reason="no network"), "drill_max_age": timedelta(days=35)}, "status"),
    ],
)
def test_a_status_proposes_what_is_due_and_never_itself(facts: dict[str, Any], proposed: str | None) -> None:
    """Itself only where it could not see everything, so that it can see more the next time."""
    given = {name: DRILL if value == "now" else value for name, value in facts.items()}
    command = f"ansible-playbook ops.runbooks.{proposed} {OPTIONS}" if proposed else "nothing is due"
    assert lines(None, **given)["Next"] == command


@pytest.mark.parametrize(("runbook", "proposed"), [("verify", "status"), ("rollback", "verify"), ("", "verify")])
def test_what_follows_a_run_of_an_app(runbook: str, proposed: str) -> None:
    said = lines(Outcome(runbook=runbook), is_app=True)
    assert said["Next"] == f"ansible-playbook ops.runbooks.{proposed} {OPTIONS}"


def test_where_there_is_no_backup_one_is_taken_first() -> None:
    drill = Outcome(runbook="drill", failed=True, code="backup_not_found")
    assert lines(drill, newest=None)["Next"] == f"ansible-playbook ops.runbooks.backup {OPTIONS}"
    assert lines(drill)["Next"] == f"ansible-playbook ops.runbooks.drill {OPTIONS}", (
        "it may be another one that was named"
    )


@pytest.mark.parametrize("code", ["invalid_parameter", "confirmation_missing", "target_occupied"])
def test_what_was_asked_for_wrongly_is_not_proposed_again(code: str) -> None:
    wrong = Outcome(runbook="migrate", failed=True, code=code, command="ansible-playbook x")
    said = closing_lines(wrong, FACTS, OPTIONS, ["-e", "runbooks_rpo=2h"])[-1]
    assert said == "Next: the same command again, with its inputs corrected", "it is no command to add to"


@pytest.mark.parametrize(
    ("last", "affected"),
    [
        (None, "no"),
        (LAST, "no, the last recorded run leaves the live database as it is"),
        (
            replace(LAST, module="ops.runbooks.postgres_restore"),
            "not by this run; the record of the last one says whether it was",
        ),
        (Unknown(reason="no network"), "not by this run; the record of the last one says whether it was"),
    ],
)
def test_a_status_affects_nobody(last: LastRun | Unknown | None, affected: str) -> None:
    assert lines(None, last_run=last)["Production affected"] == affected


def test_a_run_that_works_now() -> None:
    last = replace(LAST, status="running", ended=None)
    assert "started 2026-11-19T02:00:00Z): still running" in lines(None, last_run=last)["Result"]
    assert lines(None)["Result"] == "no run is recorded"


def test_six_lines_where_nothing_is_known() -> None:
    gone = Unknown(reason="s3://acme: it could not be reached")
    facts = replace(FACTS, newest=gone, lock=gone, last_run=gone, restore=gone)
    said = lines(None, facts)
    for name in ("Result", "Changed", "Newest good backup", "Lock"):
        assert said[name] == "unknown: s3://acme: it could not be reached"
    assert facts.unknown == ("s3://acme: it could not be reached",)
    assert facts.past_rpo is None
    assert lines(GREEN, facts)["Result"] == "done"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
KEYS = ["runbook", "failed", "changed", "check", "code", "message", "msg", "summary", "affected", "failure", "plan"]


@given(st.dictionaries(st.sampled_from([*KEYS, "next", "command"]), ANYTHING))
def test_any_outcome_makes_six_lines(outcome: dict[str, Any]) -> None:
    said = closing_lines(Outcome.read(outcome), FACTS, "")
    assert [line.split(":")[0] for line in said] == NAMES
    assert all(len(line.splitlines()) == 1 for line in said)


def test_the_result_of_a_failed_task_is_an_outcome() -> None:
    read = Outcome.read(
        {
            "failed": True,
            "changed": True,
            "msg": "Could not do it\n  (db).",
            "failure": {"code": "login_denied"},
            "plan": {"steps": ["dump", "write"]},
        }
    )
    assert read == Outcome(
        failed=True, changed=True, code="login_denied", message="Could not do it (db).", summary="dump; write"
    )


@pytest.mark.parametrize(
    ("value", "is_true"),
    [
        (True, True), ("True", True), ("yes", True), (" on ", True), (1, True), ("1", True),
        (False, False), ("False", False), ("no", False), ("", False), (0, False), (None, False), ([1], False),
    ],
)  # fmt: skip
def test_truth(value: object, is_true: bool) -> None:
    assert truth(value) is is_true


@pytest.mark.parametrize(
    ("drill", "max_age", "says", "past"),
    [
        (None, None, "", False),
        (DRILL, None, "; last drill 19 d ago", False),
        (DRILL, MONTH, "; last drill 19 d ago", False),
        (DRILL, timedelta(days=7), "; last drill 19 d ago (OLDER than the 7 d that are allowed)", True),
        (
            UNLIKE,
            MONTH,
            "; last drill 19 d ago (of a backup that is NOT encrypted to all recipients of this one)",
            True,
        ),
        (None, MONTH, "; NEVER DRILLED (there should be a drill every 35 d)", True),
        (Unknown(reason="no network"), MONTH, "; last drill unknown: no network", None),
        (Unknown(reason="no network"), None, "", False),
    ],
)
def test_the_age_of_the_last_drill(
    drill: NewestDrill | Unknown | None, max_age: timedelta | None, says: str, past: bool | None
) -> None:
    plain = lines()["Newest good backup"]
    assert lines(drill=drill, drill_max_age=max_age)["Newest good backup"] == plain + says
    assert replace(FACTS, drill=drill, drill_max_age=max_age).past_drill_age is past
    if past:
        due = lines(None, drill=drill, drill_max_age=max_age)["Next"]
        assert due == f"ansible-playbook ops.runbooks.drill {OPTIONS}"
