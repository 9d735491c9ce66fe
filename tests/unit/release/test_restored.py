# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what serves fits a backup."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import MigrationHead
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_away import Taken
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded
from ansible_collections.ops.runbooks.plugins.module_utils._release.restored import Fit, fit_of, serving
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Intent


def release(letter: str, *, gate: str = "pass", bad: str = "", **known: Any) -> Recorded:
    migrations = {"main": known} if known else {}
    return Recorded(release=f"v{letter}", deployment_id=f"dpl_{letter}", gate=gate, bad=bad, migrations=migrations)


def move(to: str, state: str = "done") -> Intent:
    ids = {"from_id": "dpl_X", "to_id": f"dpl_{to}"}
    return Intent(kind="promote", asked="", noted=0, assigns_before=True, state=state, **ids)


def fit(*releases: Recorded, head: str | None, tool: str = "runbooks", taken: tuple[str, ...] = ()) -> Fit:
    found = fit_of(
        "web",
        "main",
        releases,
        (),
        MigrationHead(tool=tool, id=head) if head is not None else None,
        [Taken(name=each) for each in taken],
    )
    assert found is not None
    return found


def test_what_serves_by_what_is_on_record() -> None:
    """What the last move that ended has brought; without one the newest good release."""
    known = [release("D", gate=""), release("C"), release("B")]
    assert serving(known, ()) == known[1]
    assert serving(known, [move("D", "open"), move("B"), move("D")]) == known[2]
    assert serving(known, [move("Z")]) is None, "it serves, and nothing is known of it"
    assert fit_of("web", "other", known, (), None, ()) is None


@pytest.mark.parametrize(
    ("needs", "head", "tool", "relation", "fits"),
    [
        ("0003_c", "0003_c", "runbooks", "same", True),
        ("0003_c", "2_b", "runbooks", "older", False),
        ("0003_c", "0010_x", "runbooks", "newer", True),
        ("20260103_c", "20260103", "supabase", "same", True),
        ("20260103_c", "20260102000000_b", "prisma", "newer", True),
        ("0003_c", "0003_b", "runbooks", "older", False),
        ("0003_c", None, "runbooks", "unknown", None),
        (None, "0003_c", "runbooks", "unknown", None),
        ("0003_c", "a8f2", "drizzle", "unknown", None),
        ("0003_c", "head", "prisma", "unknown", None),
    ],
)
def test_how_the_newest_migration_stands_to_what_is_needed(
    needs: str | None, head: str | None, tool: str, relation: str, fits: bool | None
) -> None:
    found = fit(release("C", head="0099_later", needs=needs, contract=["0099_later"]), head=head, tool=tool)
    assert (found.relation, found.fits) == (relation, fits)
    assert bool(found.warning("main")) is (fits is False)
    assert found.describe()["backup_has"] == head


def test_a_record_of_an_older_collection_says_what_is_needed_where_it_can() -> None:
    assert fit(release("C", head="0003_c", contract=[]), head="0002_b").relation == "older"
    assert fit(release("C", head="0003_c", contract=["0003_c"]), head="0002_b").relation == "unknown"


def test_older() -> None:
    """What to do: bring the database forward, or go back to a good release that fits."""
    new = release("D", head="0003_c", needs="0003_c", contract=[])
    bad, fitting = release("C", bad="it leaks", needs="0002_b"), release("B", needs="0002_b", contract=[])
    found = fit(new, bad, fitting, head="0002_b")
    assert found.step() == (
        "web goes on with release vD, which needs migrations up to 0003_c; the backup has them up to 0002_b: older, so"
        " that it does not fit."
    )
    assert "Run ops.runbooks.migrate with its migrations as soon as main is restored, or roll web back to vB" in (
        found.warning("main")
    )
    assert "or roll" not in fit(new, head="0002_b").warning("main")


def test_newer_and_something_is_gone() -> None:
    """A release that does not know what was taken away; one that does knows how to live without it."""
    old, new = release("B", needs="0002_b", contract=[]), release("C", needs="0002_b", contract=["0003_drop"])
    found = fit(old, new, head="0003_drop", taken=("0003_drop",))
    assert (found.relation, found.lacks, found.fits, found.instead) == ("newer", ("0003_drop",), False, "vC")
    assert "it does not know 0003_drop" in found.warning("main")
    assert fit(new, head="0003_drop", taken=("0003_drop",)).fits is True
