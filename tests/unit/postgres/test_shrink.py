# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a backup is suspect because much is missing, and what may change about one that exists."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.amend import Hold, amend
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.shrink import shrunk
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict
from hypothesis import given
from hypothesis import strategies as st

from harness.manifests import make_manifest

MIB = 1024**2
SUSPECT = Verdict(state="suspect", suspect_cause="shrunk", suspect_reason="it holds 0 rows")


def tables(*rows: int | None, size: int = MIB, **facts: Any) -> tuple[TableFact, ...]:
    return tuple(
        TableFact(schema="public", name=f"t{number}", kind="table", rows=count, bytes=size, **facts)
        for number, count in enumerate(rows)
    )


def reason(before: tuple[TableFact, ...], now: tuple[TableFact, ...], threshold: int = 50) -> str | None:
    return shrunk(make_manifest("before", tables=before), now, threshold)


@pytest.mark.parametrize(
    ("before", "now", "suspect"),
    [
        (tables(10_000), tables(5_000), False),
        (tables(10_000), tables(4_999), True),
        (tables(10_000, 10_000), tables(10_000), False),
        (tables(10_000, 10_000, 10_000), tables(10_000), True),
        (tables(10_000), (), True),
        (tables(999), tables(1), False),
        (tables(999), tables(0), True),
        (tables(19), (), False),
        (tables(), tables(10), False),
        # VACUUM FULL makes a table smaller and takes nothing from it.
        (tables(10_000, size=900 * MIB), tables(10_000, size=MIB), False),
        # One that was too large to be counted, before or now, is compared by its bytes.
        (tables(None, size=2000 * MIB), tables(0, size=0), True),
        (tables(None, 5_000, size=2000 * MIB), tables(90_000, 5_000, size=1100 * MIB), False),
        (tables(5_000_000, 5_000, size=900 * MIB), tables(None, 5_000, size=1100 * MIB), False),
        (tables(None, size=10 * MIB), (), True),
        (tables(None, size=MIB - 1), (), False),
        # What an extension, or nobody, vouches for.
        (tables(10_000, extension="postgis"), (), False),
        (tables(10_000, data=False), (), False),
    ],
)
def test_suspicion(before: tuple[TableFact, ...], now: tuple[TableFact, ...], suspect: bool) -> None:
    assert (reason(before, now) is not None) == suspect
    assert reason(before, now, threshold=100) is None


def test_the_reason_names_both_figures_and_the_earlier_backup() -> None:
    said = reason(tables(10_000), tables(12)) or ""
    assert "12 rows" in said
    assert "10000" in said
    assert "backup before of 2026-11-20T12:00:00" in said


@given(st.lists(st.integers(0, 10**9), max_size=20), st.integers(0, 100))
def test_what_has_not_shrunk_is_never_suspect(rows: list[int], threshold: int) -> None:
    assert reason(tables(*rows), tables(*rows), threshold) is None
    assert reason(tables(*rows), tables(*rows, 7), threshold) is None


def due(found: Verdict, hold: Hold | None = None, *, indexed: bool = True, accept_shrink: bool = False) -> Any:
    manifest = make_manifest("one")
    return amend(
        manifest, found, indexed=indexed, hold=hold or Hold(), accept_shrink=accept_shrink, where="db:5432/app"
    )


def test_a_backup_that_has_shrunk_fails_every_time_until_it_is_accepted() -> None:
    with pytest.raises(RunbookError) as caught:
        due(SUSPECT)
    assert caught.value.code == "backup_shrunk"
    assert "accept_shrink" in caught.value.message
    accepted = due(SUSPECT, accept_shrink=True)
    assert (accepted.accept, accepted.verdict.state) == (True, "complete")
    assert (accepted.before, accepted.after) == ({"state": "suspect"}, {"state": "complete"})
    assert due(Verdict(), accept_shrink=True).steps == ()


def test_a_damaged_backup_is_not_accepted() -> None:
    damaged = Verdict(state="suspect", suspect_cause="damaged", suspect_reason="an object is gone")
    with pytest.raises(RunbookError) as caught:
        due(damaged, accept_shrink=True)
    assert caught.value.code == "backup_unusable"


@pytest.mark.parametrize(
    ("found", "hold", "changes"),
    [
        (Verdict(), Hold(), {}),
        (Verdict(held=True, hold_reason="audit"), Hold(), {}),
        (Verdict(), Hold(wanted=False), {}),
        (Verdict(), Hold(wanted=True, reason="audit"), {"held": True, "hold_reason": "audit"}),
        (Verdict(), Hold(wanted=True), {"held": True, "hold_reason": "no reason was given"}),
        (Verdict(held=True, hold_reason="audit"), Hold(wanted=True), {}),
        (Verdict(held=True, hold_reason="audit"), Hold(wanted=True, reason="audit"), {}),
        (
            Verdict(held=True, hold_reason="audit"),
            Hold(wanted=True, reason="law"),
            {"held": True, "hold_reason": "law"},
        ),
        (Verdict(held=True, hold_reason="audit"), Hold(wanted=False), {"held": False, "hold_reason": None}),
    ],
)
def test_hold(found: Verdict, hold: Hold, changes: dict[str, Any]) -> None:
    amendment = due(found, hold)
    assert amendment.after == changes
    assert amendment.hold == bool(amendment.steps) == bool(changes)
