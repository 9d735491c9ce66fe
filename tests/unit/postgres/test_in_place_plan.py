# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore in place does, decided from what an earlier run has come to; and what stands in its way."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.facts import Beyond, Ground, Thing
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.load import Feeder, Text
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.plan import (
    InPlaceState,
    check_backup,
    decide_in_place,
    lost,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    PlatformFact,
    Selection,
    TableFact,
    TableName,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    REPLACING,
    Attempt,
    Mark,
    SourceBackup,
)

from harness.manifests import NOON, make_context, make_manifest, make_server

BACKUP = SourceBackup(environment="production", id="b1", snapshot_at=NOON - timedelta(hours=3))
MARK = Mark(
    restore_id="inc7",
    phase=FINISHED,
    backup=BACKUP,
    target_database="app",
    system_identifier="7001",
    oid=5,
    strategy="in_place",
    before="before-inc7-01",
    transaction="777",
    result={"id": "inc7"},
)
GROUND = Ground(
    schemas={"public": True},
    extensions=frozenset(),
    publications=frozenset(),
    roles=frozenset(),
    things=(),
    beyond=(),
    subscribed=(),
    members=frozenset(),
    tied={},
    rows={},
    estimated=False,
)


def make_state(phase: str, outcome: str | None, **changes: Any) -> InPlaceState:
    state = InPlaceState(
        restore_id="inc7",
        endpoint="db:5432/app",
        server=make_server(),
        backup=BACKUP,
        target_database="app",
        attempt=Attempt(database="", token="02", system_identifier="7001", run_id="run"),
        rebinds=False,
        mark=replace(MARK, phase=phase, system_identifier=make_server().system_identifier),
        found_as=None,
        work=None,
        now=NOON,
        oid=5,
        schemas=("public",),
        platform=PlatformFact(),
        ground=None,
        before="before-inc7-02",
        outcome=outcome,
    )
    return replace(state, **changes)


def test_a_finished_one_is_done_whatever_the_data_is_now() -> None:
    plan = decide_in_place(make_state(FINISHED, None))
    assert (plan.changed, plan.action, plan.result) == (False, "nothing", {"id": "inc7"})


def test_one_that_became_final_is_only_recorded() -> None:
    assert decide_in_place(make_state(REPLACING, "committed")).action == "record"


@pytest.mark.parametrize(("outcome", "words"), [("in progress", "has not ended"), ("unknown", "no longer knows it")])
def test_nobody_guesses_what_the_server_does_not_say(outcome: str, words: str) -> None:
    with pytest.raises(RunbookError, match=words) as caught:
        decide_in_place(make_state(REPLACING, outcome))
    assert caught.value.code == "outcome_unknown"
    assert (caught.value.details or {})["pre_restore_backup"] == "before-inc7-01"


@pytest.mark.parametrize("phase", [FINISHED, REPLACING])
def test_another_database_is_not_this_one(phase: str) -> None:
    with pytest.raises(RunbookError, match="another server or database"):
        decide_in_place(make_state(phase, "committed", oid=6))


def test_what_is_newer_is_told_by_table() -> None:
    name = TableName(schema="public", name="t")
    known = TableFact(schema="public", name="t", kind="table", rows=3)
    manifest = replace(make_manifest(), tables=(known, replace(known, name="gone"), replace(known, name="same")))
    rows = {name: 7, replace(name, name="new"): 2, replace(name, name="same"): 3}
    assert lost(replace(GROUND, rows=rows, estimated=True), manifest) == [
        "table public.t: about 7 rows now, 3 in the backup",
        "table public.new: dropped with its about 2 rows, the backup does not have it",
        "table public.gone: missing now, 3 rows in the backup",
    ]


@pytest.mark.parametrize(
    ("part", "suspect", "why"),
    [
        (Selection(exclude_table_data=("public.t",)), None, "partial"),
        (Selection(tables=("public.t",)), None, "partial"),
        (Selection(), "it has shrunk", "suspect"),
        (Selection(schemas=("public",)), None, None),
    ],
)
def test_only_a_good_backup_of_whole_schemas(part: Selection, suspect: str | None, why: str | None) -> None:
    manifest = replace(make_manifest(), selection=part)
    if why is None:
        return check_backup(manifest, suspect, "app", "db")
    with pytest.raises(RunbookError) as caught:
        check_backup(manifest, suspect, "app", "db")
    assert (caught.value.details or {})["refused"] == why
    return None


def test_what_goes_with_it_and_cannot_come_back_is_named() -> None:
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.plan import require_possible

    class NoWork:
        heads = ()
        adaptations = ()
        heads_restored = ()

        target = SimpleNamespace(superuser=False, user="me")

    beyond = Beyond(name=("", "reports", ""), text="view reports.t")
    foreign = Thing(kind="table", identity="public.t", mine=False)
    cases: dict[str, tuple[Ground, str]] = {
        "outside": (replace(GROUND, beyond=(beyond,)), "view reports.t"),
        "rights": (replace(GROUND, things=(foreign,)), "table public.t"),
        "subscriptions": (replace(GROUND, subscribed=("public.t",)), "public.t"),
    }
    for why, (ground, words) in cases.items():
        with pytest.raises(RunbookError, match=words) as caught:
            require_possible(ground, NoWork, "app", "db")  # type: ignore[arg-type]
        assert (caught.value.details or {})["refused"] == why


def test_statements_and_rows_are_told_apart_by_the_copy_alone() -> None:
    copy = b'COPY public."a\n FROM stdin;\n" (x) FROM stdin;\n'
    limits = b"SET statement_timeout = 0;\nSET lock_timeout = 0;\n"
    text = (
        b"--\n\\restrict KEY\n\n"
        + limits
        + b"SET x = 1;\n"
        + copy
        + b"1\n\\restrict KEY\n\\.\n\nSELECT 1;\n\n\\unrestrict KEY\n\n"
    )
    found = list(Text(io.BytesIO(text), [copy]).pieces())
    assert found == [
        ("sql", b"--\n\nSET statement_timeout = 0;\nSET x = 1;\n"),
        ("copy", copy),
        ("rows", b"1\n\\restrict KEY\n"),
        ("end", b""),
        ("sql", b"\nSELECT 1;\n\n\n"),
    ]
    for end in (len(text) // 2, text.index(b"\\.\n")):
        with pytest.raises(EOFError):
            list(Text(io.BytesIO(text[:end]), [copy]).pieces())


def test_what_the_store_failed_with_is_told_and_not_what_pg_restore_made_of_it(tmp_path: Path) -> None:
    def failure(code: str) -> RunbookError:
        return RunbookError(code=code, attempted="read", object="it", reason="it is gone", remedy="Wait.")

    def pieces() -> Iterator[bytes]:
        yield b"some"
        raise failure("store_unreachable")

    started = {
        "context": make_context(tmp_path),
        "env": {},
        "stdin": process.PIPE,
        "stdout": process.DEVNULL,
        "name": "pg_restore",
    }

    def load(child: process.Child) -> None:
        with Feeder(child, b"first", pieces()):
            child.wait()
            raise failure("restore_failed")

    with process.start(["cat"], **started) as child, pytest.raises(RunbookError) as caught:  # type: ignore[arg-type]
        load(child)
    assert caught.value.code == "store_unreachable"
