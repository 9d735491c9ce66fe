# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of a commit, and what a branch demands of them (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["pass", "fail", "pending"]
#: What GitHub lets through as well as success: a check that had nothing to say, and one that was left out.
_LET_THROUGH = ("success", "neutral", "skipped")
_STATUS: Mapping[str, State] = {"success": "pass", "pending": "pending"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check run or a commit status. ``word`` is GitHub's own for how it stands; ``app`` 0 where nobody can tell.

    ``suite`` is the check suite that a run belongs to: in GitHub Actions each run of a workflow has one of its own.
    """

    name: str
    state: State
    word: str
    app: int = 0
    app_name: str = ""
    id: int = 0
    suite: int = 0
    url: str = ""

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name} ({self.app_name})" if self.app_name else self.name

    @classmethod
    def of_run(cls, item: Mapping[str, Any]) -> Check:
        """From a check run. A conclusion that is not known here is a failure: it is no success that GitHub knows."""
        app = item.get("app")
        app = app if isinstance(app, Mapping) else {}
        suite = item.get("check_suite")
        done = item.get("status") == "completed"
        word = str(item.get("conclusion" if done else "status") or "unknown")
        state: State = "pending" if not done else "pass" if word in _LET_THROUGH else "fail"
        return cls(
            name=str(item.get("name") or ""),
            state=state,
            word=word,
            app=_number(app.get("id")),
            app_name=str(app.get("slug") or app.get("name") or ""),
            id=_number(item.get("id")),
            suite=_number(suite.get("id")) if isinstance(suite, Mapping) else 0,
            url=str(item.get("details_url") or item.get("html_url") or ""),
        )

    @classmethod
    def of_suite(cls, item: Mapping[str, Any]) -> Check | None:
        """From a check suite that is not done, whose next jobs may not be there to be seen yet; None for any other.

        Suites without runs belong to apps that were told of the commit and have nothing to say, most of them for ever.
        """
        if item.get("status") == "completed" or not _number(item.get("latest_check_runs_count")):
            return None
        told = {"name": "further checks", "status": item.get("status"), "app": item.get("app")}
        return cls.of_run({**told, "check_suite": {"id": item.get("id")}})

    @classmethod
    def of_status(cls, item: Mapping[str, Any]) -> Check:
        """From a commit status, which does not tell its app."""
        word = str(item.get("state") or "unknown")
        url = str(item.get("target_url") or "")
        return cls(name=str(item.get("context") or ""), state=_STATUS.get(word, "fail"), word=word, url=url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A check that has to be green; ``app`` 0 where any may report it."""

    name: str
    app: int = 0

    def met_by(self, check: Check) -> bool:
        """Whether a check is the one that is demanded. A status counts for any app, since it tells none."""
        return check.name == self.name and (self.app in (0, check.app) or not check.app)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a branch demands. ``unread`` says what of it could not be read with this token."""

    demands: tuple[Demand, ...] = ()
    unread: tuple[str, ...] = ()


def latest(runs: Iterable[Check]) -> list[Check]:
    """The newest run of each name of each app: its number is the highest, since GitHub counts them."""
    found: dict[tuple[int, str, str], Check] = {}
    for each in runs:
        key = (each.app, each.app_name, each.name)
        if key not in found or each.id >= found[key].id:
            found[key] = each
    return sorted(found.values(), key=lambda each: (each.name, each.app, each.app_name))


def to_come(suites: Iterable[Check], runs: Iterable[Check], ignore: Collection[str]) -> list[Check]:
    """Of each app, that one of its suites that are not done has more to come.

    Not so a suite of which nothing runs but what does not count: that is what keeps it open.
    """
    running: dict[int, list[Check]] = {}
    for each in runs:
        if each.suite and each.state == "pending":
            running.setdefault(each.suite, []).append(each)
    kept_open = {suite for suite, mine in running.items() if all(each.name in ignore for each in mine)}
    return latest(each for each in suites if each.suite not in kept_open)


def of_rules(rules: Iterable[Mapping[str, Any]]) -> tuple[list[Demand], bool]:
    """What rulesets demand, and whether they also demand workflows, of which only the checks can be seen."""
    found, workflows = [], False
    for rule in rules:
        parameters = rule.get("parameters")
        parameters = parameters if isinstance(parameters, Mapping) else {}
        workflows = workflows or rule.get("type") == "workflows"
        if rule.get("type") == "required_status_checks":
            found += _demands(parameters.get("required_status_checks"), "integration_id")
    return found, workflows


def of_protection(branch: Mapping[str, Any]) -> list[Demand]:
    """What the protection of a branch demands, as far as the branch itself shows it to everybody who may read it."""
    protection = branch.get("protection")
    required = protection.get("required_status_checks") if isinstance(protection, Mapping) else None
    if not isinstance(required, Mapping) or required.get("enforcement_level") == "off":
        return []
    checks = _demands(required.get("checks"), "app_id")
    named = {each.name for each in checks}
    contexts = required.get("contexts")
    return checks + [
        Demand(name=str(name))
        for name in (contexts if isinstance(contexts, list) else ())
        if name and str(name) not in named
    ]


def _demands(items: Any, app: str) -> list[Demand]:
    return [
        Demand(name=str(item["context"]), app=max(0, _number(item.get(app))))
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, Mapping) and item.get("context")
    ]


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
