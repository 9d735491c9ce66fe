# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The third act of ``make demo``: the database password of the running application is rotated while users ask it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from sandbox import pagila, sample
from sandbox.demo.releases import HOST, SAMPLES
from sandbox.demo.stage import Stage

#: Seconds between two requests of its users, and those that the earlier password stays good (``inventories/sandbox``).
_PAUSE, _GRACE = 0.1, 2


class Rotation:
    """The steps, and what was measured."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._sandbox = stage.sandbox

    def run(self) -> dict[str, str]:
        """Everything, in order; what there is to tell of it."""
        stage, before = self._stage, sample.database_url(self._sandbox)
        stage.heading("Its database password is rotated while users ask it")
        inputs = {"secret": "database_url"}
        stage.app("rotate", inputs={**inputs, "adopt": "true"}, env={"RUNBOOKS_CURRENT_VALUE": before})
        stage.say("the password that it has is on record, and nothing else has changed", self.url() == before)
        with self._users() as answers:
            stage.app("rotate", inputs={**inputs, "reason": "requested", "verify_min_samples": SAMPLES})
            after = self.url()
            stage.say("it runs with a new password of another login, by a build of the same commit", after != before)
            stage.say("the earlier one is still good", self._may_log_in(before))
            time.sleep(_GRACE)
            stage.app("rotate", inputs=inputs)
            stage.say("nobody used it any more: it is gone", not self._may_log_in(before))
        asked, failed = answers.total(), answers.total() - answers[200]
        stage.say(
            f"of {asked} requests meanwhile, each with a login of its own, none failed", asked > 0 and failed == 0
        )
        return {"rotation": f"{asked} requests during the rotation of a database password, {failed} failed"}

    def url(self) -> str:
        """What its builds are given."""
        return sample.database_url(self._sandbox)

    def _may_log_in(self, url: str) -> bool:
        role = urlsplit(url).username
        query = f"SELECT rolcanlogin AND rolpassword IS NOT NULL FROM pg_authid WHERE rolname = '{role}'"
        return pagila.psql(self._sandbox.postgres, "pagila", "-At", "-c", query).strip() == "t"

    @contextmanager
    def _users(self) -> Iterator[Counter[int]]:
        answers: Counter[int] = Counter()
        over = threading.Event()

        def ask() -> None:
            while not over.wait(_PAUSE):
                answers[self._sandbox.vercel.visit(HOST, "/api/selftest").status] += 1

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield answers
        finally:
            over.set()
            thread.join()
