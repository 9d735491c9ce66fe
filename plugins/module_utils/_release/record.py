# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules release_record and release_info (private to ops.runbooks): which releases were good.

A rollback needs to know what worked. So a release is recorded with the verdict of its gate, and may be marked bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id, check_name
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import taken_away
from ansible_collections.ops.runbooks.plugins.module_utils._release.fitting import judged
from ansible_collections.ops.runbooks.plugins.module_utils._release.plan import MIGRATION
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded, Releases
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.moves import Moves
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import rolled_away

RELEASE_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
    ArgumentSpec(
        options={
            "deployment_id": {"type": "str", "required": True},
            "release": {"type": "str"},
            "gate": {"type": "str", "choices": ["pass", "fail", "inconclusive"]},
            "bad": {"type": "str"},
            "git_sha": {"type": "str"},
            "url": {"type": "str"},
            "baseline": {"type": "bool"},
            "attempt": {"type": "int"},
            "rollback_to": {"type": "str"},
            "moves_before": {"type": "int"},
            "digest": {"type": "str"},
            "migrations": {"type": "dict"},
            "pending": {"type": "list", "elements": "dict", "options": MIGRATION},
            "measurements": {"type": "dict", "default": {}},
        }
    ),
)
_GIVEN = (
    "release",
    "gate",
    "bad",
    "git_sha",
    "url",
    "baseline",
    "attempt",
    "rollback_to",
    "moves_before",
    "digest",
    "migrations",
)
RELEASE_INFO_SPEC = STORE_SPEC.merge(
    ArgumentSpec(
        options={
            "limit": {"type": "int", "default": 50},
            "databases": {"type": "list", "elements": "str", "default": []},
        }
    )
)


def plan_record(found: Recorded | None, given: Mapping[str, Any], now: str, run_id: str = "") -> tuple[Plan, Recorded]:
    """What is to be written by a run. Options that are not given leave what is on record as it is.

    A higher ``attempt`` begins anew: what an earlier one came to no longer counts.
    """
    deployment = given["deployment_id"]
    before = found or Recorded(release=given.get("release") or deployment, deployment_id=deployment)
    changes = {name: given[name] for name in _GIVEN if given.get(name) is not None}
    if given.get("pending") is not None:
        changes["pending"] = _pending(given["pending"])
    if changes.get("attempt", 0) > before.attempt:
        changes = {"gate": "", "bad": "", "pending": {}, "started_at": now, "began_in": run_id, **changes}
    after = replace(before, **changes)
    changed = found is None or after != found
    if found is None:
        after = replace(after, recorded_at=now)
    said = [f"gate {after.gate}" if after.gate else "no gate"] + ([f"bad: {after.bad}"] if after.bad else [])
    said += [f"attempt {after.attempt}"] if after.open else []
    verb = "record" if found is None else "change the record of"
    plan = Plan(
        changed=changed,
        result={"id": deployment, **after.describe()},
        steps=(f"{verb} the release {after.release} ({deployment}, {', '.join(said)})",) if changed else (),
        before=found.describe() if found is not None else {},
        after=after.describe(),
    )
    return plan, after


def _pending(given: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Database to name to checksum."""
    found: dict[str, dict[str, str]] = {}
    for each in given:
        found.setdefault(str(each["database"]), {})[str(each["name"])] = str(each.get("checksum") or "")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What is on record, newest first, and what was left by a rollback: deployment to reason."""

    releases: tuple[Recorded, ...]
    away: Mapping[str, str]


class ReleaseRecord(Operation["Recorded | None", Plan]):
    """Write down what is known of a release."""

    noun: ClassVar[str] = "release"
    spec: ClassVar[ArgumentSpec] = RELEASE_SPEC
    recorded: ClassVar[bool] = False

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        check_id(params["deployment_id"], "deployment_id")
        self._now = context.clock.now()

    def observe(self) -> Recorded | None:
        """What is on record."""
        return self._releases().of(self.params["deployment_id"])

    def plan(self, state: Recorded | None) -> Plan:
        """See :func:`plan_record`."""
        return self._decide(state)[0]

    def act(self, state: Recorded | None, plan: Plan) -> Mapping[str, Any]:
        """Write it."""
        _plan, after = self._decide(state)
        self._releases().write(after, self.params["measurements"], self._now)
        return plan.result

    def _decide(self, state: Recorded | None) -> tuple[Plan, Recorded]:
        return plan_record(state, self.params, iso(self._now.replace(microsecond=0)), self.context.run_id)

    def _releases(self) -> Releases:
        return Releases(self.state_store, self.params["environment"], self.params["name"], self.context)


class ReleaseInfo(Operation[Listed, Plan]):
    """Read what is on record."""

    noun: ClassVar[str] = "releases"
    spec: ClassVar[ArgumentSpec] = RELEASE_INFO_SPEC

    def observe(self) -> Listed:
        """The newest ones, and which of them production was rolled back from."""
        app = self.params["environment"], self.params["name"]
        releases = Releases(self.state_store, *app, self.context)
        found = releases.newest(max(0, self.params["limit"]))
        environment = self.params["environment"]
        databases = dict.fromkeys(check_name(each, "databases") for each in self.params["databases"])
        taken = {each: taken_away.read(self.state_store, environment, each) for each in databases}
        away = rolled_away(Moves(self.state_store, *app, self.context).newest_first()) if found else {}
        return Listed(releases=tuple(judged(found, taken)), away={each: move.reason for each, move in away.items()})

    def plan(self, state: Listed) -> Plan:
        """The answer; there is nothing to change."""
        good = [each for each in state.releases if each.passed and each.deployment_id not in state.away]
        result = {
            "known": [each.describe() for each in state.releases],
            "newest_good": good[0].describe() if good else None,
            "rolled_back": [{"deployment_id": each, "reason": reason} for each, reason in state.away.items()],
        }
        return Plan(changed=False, result=result)

    def act(self, state: Listed, plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("an information module has nothing to carry out")
