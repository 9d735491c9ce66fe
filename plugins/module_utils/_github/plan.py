# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the checks of a commit are green (private to ops.runbooks). Pure.

Silence is not green: a demanded check that nobody has reported is missing, and so is everything where nothing has
succeeded at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._github.model import Check, Demand

Word = Literal["pass", "fail", "pending", "missing"]
Source = Literal["option", "branch", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer. ``others`` are checks that are not green and that nobody demands."""

    decision: Word
    required: tuple[str, ...] = ()
    required_from: Source = "all"
    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """For results."""
        names = ("required", "passed", "failed", "pending", "missing", "others", "reasons")
        known: dict[str, Any] = {name: list(getattr(self, name)) for name in names}
        return {"decision": self.decision, "required_from": self.required_from, **known}


def judge(
    found: Sequence[Check], demands: Sequence[Demand], source: Source, *, ignore: Sequence[str] = (), own_run: str = ""
) -> Verdict:
    """Whether all that is demanded is green; without demands, whether all that was reported is, and something is.

    ``ignore`` are names that do not count. ``own_run`` is the workflow run that asks, whose own job is never done.
    """
    counted = [each for each in found if each.name not in ignore]
    demanded = [each for each in demands if each.name not in ignore]
    missing: list[str] = []
    if demanded:
        meant = [each for each in counted if any(demand.met_by(each) for demand in demanded)]
        for demand in demanded:
            if not any(demand.met_by(each) for each in counted) and demand.name not in missing:
                missing.append(demand.name)
    else:
        source, meant = "all", counted
    of_state = {state: [each for each in meant if each.state == state] for state in ("pass", "fail", "pending")}
    silent = not meant or (not demanded and not any(each.word == "success" for each in meant))
    return Verdict(
        decision=_decision(of_state["fail"], of_state["pending"], missing, silent=silent),
        required=_names(demanded),
        required_from=source,
        passed=_names(of_state["pass"]),
        failed=_names(of_state["fail"]),
        pending=_names(of_state["pending"]),
        missing=tuple(missing),
        others=_names([each for each in counted if each not in meant and each.state != "pass"]),
        reasons=_reasons(of_state["fail"], of_state["pending"], missing, meant, own_run, silent=silent),
    )


def _decision(failed: Sequence[Check], pending: Sequence[Check], missing: Sequence[str], *, silent: bool) -> Word:
    """What still runs may yet report what is missing, so that it comes first."""
    if failed:
        return "fail"
    if pending:
        return "pending"
    return "missing" if missing or silent else "pass"


def _reasons(
    failed: Sequence[Check],
    pending: Sequence[Check],
    missing: Sequence[str],
    meant: Sequence[Check],
    own_run: str,
    *,
    silent: bool,
) -> tuple[str, ...]:
    said = [f"{each.title} did not pass: {each.word}." for each in failed]
    for each in pending:
        own = bool(own_run) and f"/actions/runs/{own_run}/" in f"{each.url}/"
        hint = "; it belongs to the workflow run that asks: name it in ignore where it is this job itself"
        said.append(f"{each.title} is not done: {each.word}{hint if own else ''}.")
    said += [f"{name} is required, and nothing has reported it for this commit." for name in missing]
    if silent and not (failed or pending or missing):
        word = "Only checks that were skipped or neutral were" if meant else "Nothing was"
        said.append(f"{word} reported for this commit, so that nobody knows whether it is good.")
    return tuple(said)


def _names(items: Sequence[Check | Demand]) -> tuple[str, ...]:
    return tuple(sorted({each.name for each in items}))
