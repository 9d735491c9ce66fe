# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore does, decided from what was found; and what the store keeps of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import ID
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.build import undisturbed
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import TargetFacts
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    LOADED,
    STARTED,
    Attempt,
    Mark,
    SourceBackup,
    default_restore_id,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import RestoreState, Work, decide
from hypothesis import given
from hypothesis import strategies as st

from harness.manifests import NOON, make_manifest, make_server

BACKUP = SourceBackup(environment="production", id="daily-2026-11-20", snapshot_at=NOON)
ATTEMPT = Attempt(database="app__restoring_0123", token="0123", system_identifier="7001", run_id="run")
TARGET = TargetFacts(
    server=make_server(),
    label="db:5432/postgres",
    user="postgres",
    superuser=True,
    may_create_database=True,
    may_create_role=True,
    databases={},
    roles=frozenset(),
    roles_acted_for=frozenset(),
    extensions={},
    tablespaces=frozenset(),
    locales=frozenset(),
    has_icu=True,
    free_bytes=None,
)


def make_work(**changes: Any) -> Work:
    facts: dict[str, Any] = {
        "manifest": make_manifest(),
        "heads": (),
        "adaptations": (),
        "target": TARGET,
        "owners": frozenset(),
        "missing_roles": frozenset(),
        "roles_to_create": (),
        "missing_tablespaces": (),
        "tool_path": "/bin/pg_restore",
        "tool_version": "18.6",
        "bytes_free": 5 * 2**30,
        "leftovers": (),
    }
    return Work(**{**facts, **changes})


def make_state(**changes: Any) -> RestoreState:
    facts: dict[str, Any] = {
        "restore_id": "daily-2026-11-20-app",
        "endpoint": "db:5432/postgres",
        "server": make_server(),
        "backup": BACKUP,
        "target_database": "app",
        "attempt": ATTEMPT,
        "rebinds": False,
        "mark": None,
        "found_as": None,
        "work": make_work(),
        "now": NOON + timedelta(hours=10),
    }
    return RestoreState(**{**facts, **changes})


def make_mark(phase: str, **changes: Any) -> Mark:
    facts: dict[str, Any] = {
        "restore_id": "daily-2026-11-20-app",
        "phase": phase,
        "backup": BACKUP,
        "target_database": "app",
        "system_identifier": "7001",
        "attempts": (ATTEMPT,),
        "oid": None if phase == STARTED else 16500,
        "result": {} if phase == STARTED else {"id": "daily-2026-11-20-app", "rows_compared": 7},
    }
    return Mark(**{**facts, **changes})


def test_a_first_restore_is_planned_step_by_step() -> None:
    plan = decide(make_state())
    assert (plan.changed, plan.action) == (True, "restore")
    assert plan.steps == (
        "Create database app__restoring_0123 on db:5432/postgres (about 1.1 GiB needed, free: 5.0 GiB).",
        "Load backup daily-2026-11-20 of production/main (1000 B, taken 10 h ago at 2026-11-20T12:00:00.250000Z) "
        "with pg_restore 18.6, checking its SHA-256.",
        "Compare the rows of 0 tables with the backup, and gather statistics.",
        "Rename database app__restoring_0123 to app.",
    )
    assert plan.irreversible == ()
    assert plan.before == {"database": None}
    assert plan.after["database"] == "app"
    assert plan.result["rpo_seconds"] == 36000
    assert plan.result["bytes"] == 1000
    assert plan.result["oid"] is None


def test_everything_unusual_is_a_step() -> None:
    losses = Adaptation(changes={}, left_out=frozenset(), losses=("owner x of TABLE t",))
    left = replace(ATTEMPT, database="app__restoring_9999", run_id="run-before")
    plan = decide(
        make_state(
            work=make_work(
                adaptations=(losses,),
                roles_to_create=("app",),
                leftovers=(left,),
                bytes_free=None,
                missing_tablespaces=("fast",),
                warnings=("careful",),
            )
        )
    )
    text = "\n".join(plan.steps)
    assert plan.steps[0] == "Drop database app__restoring_9999, which run run-before has left behind."
    assert "Create role app without login." in text
    assert "free: unknown" in text
    assert "Leave out 2 things" in text
    assert plan.result["skipped"] == ["owner x of TABLE t", "tablespace fast: its tables go to the default one"]
    assert plan.warnings == ("careful",)


def test_a_finished_restore_is_no_change_under_whatever_name_it_is_found() -> None:
    plan = decide(make_state(mark=make_mark(FINISHED), found_as="app_live", work=None))
    assert (plan.changed, plan.action, plan.steps) == (False, "nothing", ())
    assert plan.result == {"id": "daily-2026-11-20-app", "rows_compared": 7, "database": "app_live"}


def test_a_finished_restore_whose_database_is_gone_is_done_again() -> None:
    plan = decide(make_state(mark=make_mark(FINISHED)))
    assert (plan.changed, plan.action) == (True, "restore")
    assert "no longer on this server" in plan.steps[0]


def test_a_started_restore_is_done_again_without_more_words() -> None:
    assert decide(make_state(mark=make_mark(STARTED))).steps == decide(make_state()).steps


def test_a_loaded_restore_is_finished() -> None:
    plan = decide(make_state(mark=make_mark(LOADED), found_as="app__restoring_0123", work=None))
    assert (plan.changed, plan.action) == (True, "finish")
    assert plan.steps == ("Rename database app__restoring_0123, which an earlier run has loaded and compared, to app.",)
    assert plan.before["database"] == "app__restoring_0123"
    renamed = decide(make_state(mark=make_mark(LOADED), found_as="app", work=None))
    assert renamed.steps == ("Record that database app, which an earlier run has restored, is finished.",)


def test_the_plan_follows_from_the_state_alone() -> None:
    assert decide(make_state()) == decide(make_state())


@pytest.mark.parametrize("phase", [STARTED, LOADED, FINISHED])
def test_marks_are_read_as_they_were_written(phase: str) -> None:
    mark = make_mark(phase)
    assert Mark.from_json({**mark.to_json(), "schema": 1, "token": "x", "later": 1}, "there") == mark


@pytest.mark.parametrize("missing", ["restore_id", "phase", "backup", "target_database", "system_identifier"])
def test_marks_that_lack_something_are_refused(missing: str) -> None:
    document = make_mark(LOADED).to_json()
    del document[missing]
    with pytest.raises(RunbookError) as failure:
        Mark.from_json(document, "there")
    assert failure.value.code == "object_corrupt"


def restore_id(source: str, backup: str, target: str) -> str:
    return default_restore_id(environment="production", source_environment=source, backup_id=backup, target=target)


def test_plain_restores_have_readable_identities() -> None:
    assert restore_id("production", "daily-2026-11-20", "app_check") == "daily-2026-11-20-app_check"


names = st.text(st.sampled_from("ab-_ ü"), min_size=1, max_size=5)
ids = st.from_regex(r"[ab][ab_-]{0,4}", fullmatch=True) | st.just("x" * 128)


@given(st.tuples(st.sampled_from(["production", "staging"]), ids, names), st.tuples(st.just("production"), ids, names))
def test_no_two_restores_share_an_identity(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert ID.fullmatch(restore_id(*one))
    assert (restore_id(*one) == restore_id(*other)) == (one == other)


def test_only_a_superuser_may_keep_others_away_from_what_is_loaded() -> None:
    old = replace(TARGET, server=make_server(16))
    assert undisturbed(make_work(target=TARGET)) == ("deadlock_timeout=100ms", "event_triggers=off")
    assert undisturbed(make_work(target=old)) == ("deadlock_timeout=100ms",)
    assert undisturbed(make_work(target=replace(TARGET, superuser=False))) == ()
