# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which releases a database still fits."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_away import Taken
from ansible_collections.ops.runbooks.plugins.module_utils._release.fitting import judged
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded

GONE = Taken(name="0003_no_email", applied_at="2026-11-20T12:00:00Z", release="c" * 40)


def release(name: str, hour: int, **changes: Any) -> Recorded:
    at = f"2026-11-20T{hour:02}:00:00Z"
    return Recorded(**{"release": name, "deployment_id": name, "gate": "pass", "recorded_at": at, **changes})


def knows(*contract: str) -> dict[str, Any]:
    return {"main": {"head": "0009_x", "contract": list(contract)}}


@pytest.mark.parametrize(
    ("found", "fitting"),
    [
        # Those that know of it fit, whenever they were recorded.
        ([release("b", 11, migrations=knows("0003_no_email")), release("a", 10, migrations=knows())], ["b"]),
        ([release("b", 13, migrations=knows())], []),
        # Of those of which nothing is known: what was recorded since, and what was serving then.
        ([release("d", 13), release("c", 11), release("b", 10)], ["d", "c"]),
        ([release("c", 11, gate="fail"), release("b", 10), release("a", 9)], ["b"]),
        ([release("c", 11), release("b", 10, git_sha="c" * 40)], ["c", "b"]),
    ],
)
def test_what_fits(found: list[Recorded], fitting: list[str]) -> None:
    assert [each.release for each in judged(found, {"main": [GONE]}) if not each.bad] == fitting
    assert judged(found, {"main": []}) == found


def test_a_reason_names_both_and_hides_no_other() -> None:
    found = [release("b", 13), release("a", 9), release("z", 8, bad="it loses orders")]
    reasons = [each.bad for each in judged([release("n", 11), *found[1:]], {"main": [GONE]})]
    assert reasons[0] == ""
    assert "main" in reasons[1]
    assert "0003_no_email" in reasons[1]
    assert reasons[2] == "it loses orders"


def test_a_time_that_nobody_knows_makes_no_release_new_enough() -> None:
    found = [release("d", 13), release("c", 11, git_sha="c" * 40)]
    gone = Taken(name="0003_no_email", release="c" * 40)
    assert [each.release for each in judged(found, {"main": [gone]}) if not each.bad] == ["c"]
