# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module github_checks_info (private to ops.runbooks): is this commit green?"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import GITHUB_SPEC, GitHub
from ansible_collections.ops.runbooks.plugins.module_utils._github.model import Demand, latest, to_come
from ansible_collections.ops.runbooks.plugins.module_utils._github.plan import Source, Verdict, judge

CHECKS_SPEC = GITHUB_SPEC.merge(
    ArgumentSpec(
        options={
            "sha": {"type": "str", "required": True},
            "required": {"type": "list", "elements": "str", "default": []},
            "branch": {"type": "str"},
            "ignore": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "str", "default": "0s"},
        }
    )
)
_SHA = re.compile(r"[0-9a-fA-F]{7,64}")
#: Seconds that all questions may take beside what is waited for, and between two looks: the first pause, the longest.
_PATIENCE, _PAUSE, _LONGEST_PAUSE = 60.0, 2.0, 30.0
#: Seconds that GitHub may be out of reach where nobody waits for anything.
_OUTAGE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What GitHub says: the commit, its page, the verdict, and what of the branch could not be read."""

    sha: str
    url: str
    branch: str
    verdict: Verdict
    unread: tuple[str, ...] = ()


def describe(seen: Seen) -> dict[str, Any]:
    """The object ``checks``."""
    return {**seen.verdict.describe(), "sha": seen.sha, "branch": seen.branch or None, "url": seen.url}


def notes(seen: Seen) -> tuple[str, ...]:
    """What a reader would overlook."""
    if not seen.unread:
        return ()
    what = "every check that was reported counts" if seen.verdict.required_from == "all" else "the rest of it counts"
    unread = " and ".join(seen.unread)
    return (f"Of what the branch {seen.branch} demands this token was not shown {unread}; {what}.",)


class GithubChecksInfo(Operation[Seen, Plan]):
    """Ask GitHub about one commit, and wait for what still runs where that is wanted."""

    noun: ClassVar[str] = "checks"
    spec: ClassVar[ArgumentSpec] = CHECKS_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._sha = str(params["sha"]).strip()
        if not _SHA.fullmatch(self._sha):
            raise RunbookError(
                code="invalid_parameter",
                attempted="use sha",
                object=repr(self._sha),
                reason="it is not the SHA of a commit, of which at least seven digits are needed",
                remedy="Give what `git rev-parse` prints; a branch or a tag may move.",
            )
        self._wait = parse_duration(params["wait"], "wait").total_seconds()
        persistence = min(max(self._wait, _OUTAGE), _PATIENCE)
        self._github = GitHub(params, context, os.environ, patience=_PATIENCE + self._wait, persistence=persistence)

    def observe(self) -> Seen:
        """Ask, and ask again while it is worth waiting."""
        github, clock = self._github, self.context.clock
        default = github.default_branch()
        branch = str(self.params["branch"] or default)
        sha, url = github.commit(self._sha)
        demands, source, unread = self._demands(branch)
        end, pause = clock.monotonic() + self._wait, _PAUSE
        own_run = os.environ.get("GITHUB_RUN_ID", "")
        while True:
            # Where nobody says what is needed, all has to be over: a job that waits for others is not seen before. The
            # suites are read first: what ends one in between is then seen to run, or to be done.
            suites = [] if demands else github.unfinished(sha)
            runs = github.runs(sha)
            found = [*latest(runs), *github.statuses(sha), *to_come(suites, runs, self.params["ignore"])]
            verdict = judge(found, demands, source, ignore=self.params["ignore"], own_run=own_run)
            if verdict.decision in ("pass", "fail") or clock.monotonic() >= end:
                return Seen(sha=sha, url=url, branch=branch, verdict=verdict, unread=unread)
            clock.sleep(max(0.0, min(pause, end - clock.monotonic())))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def plan(self, state: Seen) -> Plan:
        """The answer; there is nothing to change."""
        return Plan(changed=False, result=describe(state), warnings=notes(state))

    def act(self, state: Seen, plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("an information module has nothing to carry out")

    def close(self) -> None:
        """Let go of connections."""
        self._github.close()

    def _demands(self, branch: str) -> tuple[list[Demand], Source, tuple[str, ...]]:
        if self.params["required"]:
            return [Demand(name=name) for name in self.params["required"]], "option", ()
        demands = self._github.demands(branch)
        return list(demands.demands), "branch", demands.unread
