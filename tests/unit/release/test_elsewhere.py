# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an app that is not part of a run serves the release of that run, by what is on record of it."""

from __future__ import annotations

from datetime import UTC, datetime

from ansible_collections.ops.runbooks.plugins.module_utils._release.elsewhere import Elsewhere, elsewhere
from ansible_collections.ops.runbooks.plugins.module_utils._release.plan import Found, Wanted, plan_release
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Intent

SHA = "d" * 40
NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)


def recorded(letter: str, release: str = SHA, gate: str = "", bad: str = "") -> Recorded:
    return Recorded(release=release, deployment_id=f"dpl_{letter}", gate=gate, bad=bad, attempt=1)


def moved(kind: str, to: str, state: str = "done") -> Intent:
    left = "C" if to == "D" else "D"
    return Intent(
        kind=kind, from_id=f"dpl_{left}", to_id=f"dpl_{to}", asked="", noted=0, assigns_before=True, state=state
    )


def test_it_serves_it() -> None:
    good = elsewhere("admin", SHA, [recorded("D", gate="pass")], [moved("promote", "D")])
    assert good == Elsewhere(app="admin", deployment_id="dpl_D", decided=True)
    assert good.step() == "leave admin as it is, which is not part of this run and serves the release too"
    undecided = elsewhere("admin", SHA, [recorded("D")], [moved("promote", "D")])
    assert undecided is not None
    assert undecided.step().endswith("serves the release too, with a gate that nobody has decided")
    wanted = Wanted(environment="test", name="web", release="dpl_D")
    for each, warned in ((good, False), (undecided, True)):
        project = Project(id="prj_1", name="web")
        plan = plan_release(
            wanted, Found(project=project, now=NOW, elsewhere=(each,), deployment=Deployment(id="dpl_D"))
        )
        assert plan.steps[-1] == each.step()
        assert (each.warning() in plan.warnings) is warned
        assert plan.result["elsewhere"] == [each.describe()]


def test_it_does_not() -> None:
    """It went back, never had it, or has only begun with it."""
    base = recorded("C", "c" * 40, gate="pass")
    both = [recorded("D", gate="fail", bad="slow"), base]
    assert elsewhere("admin", SHA, both, [moved("rollback", "C"), moved("promote", "D")]) is None
    assert elsewhere("admin", SHA, [base], [moved("promote", "C")]) is None
    assert elsewhere("admin", SHA, [recorded("D"), base], [moved("promote", "D", "open")]) is None
    assert elsewhere("admin", SHA, [], []) is None
