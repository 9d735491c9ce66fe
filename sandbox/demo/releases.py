# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The second act of ``make demo``: releases of the sample application, on stand-ins for Vercel and GitHub that serve.

A good release goes out, a bad one is taken back by its gate, and a rollback by hand is undone.
"""

from __future__ import annotations

import re

from sandbox import sample
from sandbox.demo.stage import Stage

HOST = "web.localhost"
#: Of a hundred requests so many fail: too few to be seen at once, and far more than users put up with.
BAD = 30
#: Requests of the gate, fewer than for a live app.
SAMPLES = "60"


class Releases:
    """The steps, and what was measured."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._sandbox = stage.sandbox

    def run(self) -> dict[str, str]:
        """Everything, in order; what there is to tell of it."""
        stage, sandbox = self._stage, self._sandbox
        stage.heading("An app that uses the database, on stand-ins for Vercel and GitHub that really serve")
        sample.ensure(sandbox)
        # From now on a push no longer goes live by itself.
        sandbox.vercel.change("projects", sample.PROJECT.id, auto_assign=False)
        first = self.serving()
        stage.say(f"its first release serves ({first})", True)

        stage.heading("A good release: built without traffic, asked, promoted, judged, recorded")
        good = sample.commit(sandbox, query="SELECT title FROM film ORDER BY title LIMIT 1")
        inputs = {"release": good, "verify_min_samples": SAMPLES}
        stage.app("deploy", inputs=inputs)
        second = self.serving()
        stage.say(f"it serves ({second})", second != first)
        stage.say("the same command again changes nothing", not stage.app("deploy", inputs=inputs).changed)

        stage.heading("A bad release: it works where nobody sees it, and fails its gate")
        bad = sample.commit(sandbox, error_percent=BAD)
        done = stage.app("deploy", inputs={"release": bad, "verify_min_samples": SAMPLES}, red=True)
        stage.say("the run is red, and the good release serves again", self.serving() == second)
        took = re.search(r"again, ([0-9.]+) s after the gate", done.output)

        stage.heading("A rollback by hand, and its undo")
        stage.app("rollback", inputs={"to": first, "reason": "a demo"})
        stage.say("the first release serves", self.serving() == first)
        stage.app("promote", inputs={"to": second, "reason": "undo it"})
        stage.say("the good release serves again", self.serving() == second)
        job = (sample.PROJECT.timings.job_pending + sample.PROJECT.timings.job_work) / 1000
        back = f"{took[1] if took else '?'} s from the gate's verdict until the good release serves every domain again"
        return {"the way back": f"{back} ({job:.1f} s of it Vercel's own job)"}

    def serving(self) -> str:
        """The deployment that answers visitors."""
        return str(self._sandbox.vercel.world().projects[sample.PROJECT.id].production)
