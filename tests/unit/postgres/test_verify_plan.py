# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a verification would do, and what makes it needless."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ObjectFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Tool
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.plan import VerifyState, decide, settled
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.verified import Verified

from harness.manifests import NOON, make_manifest

HOUR = timedelta(hours=1)
PG_RESTORE = Tool(name="pg_restore", path="/bin/pg_restore", version="18.6", major=18)


def verified(**changes: Any) -> Verified:
    given = {"backup_id": "daily-2026-11-20", "level": "checksum", "at": NOON, "bytes": 1000, "seconds": 0.5}
    return Verified(**{**given, "run_id": "run", "facts": {"tables": None}, **changes})


def state(**changes: Any) -> VerifyState:
    given = {"identity": "daily-2026-11-20-checksum", "level": "checksum", "manifest": make_manifest()}
    return VerifyState(**{**given, "verdict": Verdict(), "now": NOON + HOUR, **changes})


@pytest.mark.parametrize(
    ("age", "max_age", "counts"),
    [
        (HOUR, 2 * HOUR, True),
        (2 * HOUR, 2 * HOUR, False),
        (3 * HOUR, 2 * HOUR, False),
        (timedelta(0), timedelta(0), False),
    ],
)
def test_a_young_verification_makes_another_needless(age: timedelta, max_age: timedelta, counts: bool) -> None:
    found = settled([verified()], Verdict(), max_age, NOON + age)
    assert (found is not None) == counts


def test_the_newest_of_several_is_told() -> None:
    newer = verified(at=NOON + HOUR, level="archive")
    assert settled([verified(), newer, verified()], Verdict(), 9 * HOUR, NOON + 2 * HOUR) == newer


def test_one_from_the_future_proves_nothing() -> None:
    assert settled([verified(at=NOON + HOUR)], Verdict(), 9 * HOUR, NOON) is None


def test_one_that_could_not_show_everything_does_not_count() -> None:
    assert settled([verified(whole=False)], Verdict(), 9 * HOUR, NOON) is None


@pytest.mark.parametrize(
    ("to", "facts", "shows"),
    [
        ((), {"decrypted": False, "age_recipients": []}, True),
        ((), {"decrypted": True, "age_recipients": ["age1a"]}, True),
        (("age1a",), {"decrypted": False, "age_recipients": []}, False),
        (("age1a",), {}, False),
        (("age1a",), {"decrypted": True}, False),
        (("age1a",), {"decrypted": True, "age_recipients": "age1a"}, False),
        (("age1a",), {"decrypted": False, "age_recipients": ["age1a"]}, False),
        (("age1a",), {"decrypted": True, "age_recipients": ["age1b", "age1a"]}, True),
        (("age1a", "age1b"), {"decrypted": True, "age_recipients": ["age1a"]}, False),
    ],
)
def test_what_was_not_decrypted_says_nothing_of_what_is_encrypted(
    to: tuple[str, ...], facts: dict[str, Any], shows: bool
) -> None:
    sealed = make_manifest(encryption="age", age_recipients=to) if to else make_manifest()
    assert verified(level="restore", facts=facts).shows(sealed) is shows


@pytest.mark.parametrize(("cause", "counts"), [("damaged", False), ("shrunk", True)])
def test_none_counts_for_what_is_called_damaged(cause: str, counts: bool) -> None:
    suspect = Verdict(state="suspect", suspect_cause=cause, suspect_reason="so")
    assert (settled([verified()], suspect, 9 * HOUR, NOON) is not None) == counts


def test_what_is_known_changes_nothing() -> None:
    plan = decide(state(known=verified()))
    assert not plan.changed
    assert not plan.steps
    assert plan.result["bytes_per_second"] == 2000
    assert plan.result["verified_at"] == "2026-11-20T12:00:00.250000Z"


def test_of_another_backup_only_the_id_is_known() -> None:
    told = decide(state(known=verified(backup_id="daily-2026-11-01"))).result["backup"]
    assert (told["id"], told["environment"], told["snapshot_at"], told["state"]) == (
        "daily-2026-11-01",
        "production",
        None,
        None,
    )


def test_what_is_not_known_is_null_in_the_prediction() -> None:
    predicted, known = decide(state()), decide(state(known=verified()))
    assert predicted.changed
    assert predicted.result.keys() == known.result.keys()
    assert predicted.result["seconds"] is None
    assert predicted.result["bytes"] == 1000


@pytest.mark.parametrize(
    ("changes", "steps", "words"),
    [
        ({}, 2, "Read the 1 object of"),
        ({"manifest": make_manifest(globals=ObjectFact(key="k", bytes=1, sha256=""))}, 2, "Read the 2 objects of"),
        ({"tool": PG_RESTORE}, 3, "Let pg_restore 18.6 read"),
        ({"verdict": Verdict(state="suspect", suspect_cause="damaged", suspect_level="checksum")}, 3, "Take back"),
        ({"verdict": Verdict(state="suspect", suspect_cause="shrunk")}, 2, "Read the 1 object of"),
    ],
)
def test_the_steps(changes: dict[str, Any], steps: int, words: str) -> None:
    plan = decide(state(**changes))
    assert len(plan.steps) == steps
    assert any(words in step for step in plan.steps)
    assert not plan.irreversible
