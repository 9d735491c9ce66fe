# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation behind postgres_backup_retention (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human_bytes, iso, parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import few
from ansible_collections.ops.runbooks.plugins.module_utils._core.zones import zone_of
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import removal
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups, entry_of
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import CONNECTION_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import KINDS, Manifest, Selection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention import observe as retention_observe
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.aside import Kept
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.observe import Observed
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.plan import (
    Candidate,
    Decision,
    Policy,
    Rule,
    decide,
    next_expiry,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.expire import Aside
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sweep import sweep

_COUNTS = ("keep_last", "keep_daily", "keep_weekly", "keep_monthly")
#: What is taken before something is done is of use until that has proven itself.
BEFORE = ("pre_deploy", "pre_migration", "pre_restore")
_BEFORE_WITHIN = timedelta(days=14)
#: How many backups go at once: enough for a few requests instead of many, and few enough to be a moment's work.
_TOGETHER = 50

RETENTION_SPEC = ArgumentSpec(
    options={
        "keep_last": {"type": "int", "default": 0},
        "keep_daily": {"type": "int", "default": 30},
        "keep_weekly": {"type": "int", "default": 12},
        "keep_monthly": {"type": "int", "default": 12},
        "keep_within": {"type": "str", "default": "30d"},
        "kinds": {"type": "dict", "default": {}},
        "suspect_within": {"type": "str", "default": "30d"},
        "floor": {"type": "int", "default": 7},
        "time_zone": {"type": "str", "default": "UTC"},
    },
)
_ASIDE_SPEC = ArgumentSpec(options={"maintenance_database": {"type": "str", "default": "postgres"}})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan(Plan):
    """``decision`` says what goes; ``repair`` are backups whose index key is written again, ``drop`` databases that
    swaps have put aside and that go."""

    decision: Decision
    repair: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()
    drop: tuple[Aside, ...] = ()


class Retention(Operation[Observed, RetentionPlan]):
    """Old backups are gone, and as many are there as the policy asks for."""

    noun: ClassVar[str] = "retention"
    spec: ClassVar[ArgumentSpec] = CONNECTION_SPEC.merge(RETENTION_SPEC, _ASIDE_SPEC, STORE_SPEC, RUN_SPEC)

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._policy = policy(params)
        self._removed: list[Candidate] = []

    @cached_property
    def backups(self) -> Backups:
        """The backups under this name."""
        return Backups(self.store, self.params["environment"], self.params["name"], self.context)

    @cached_property
    def _kept(self) -> Kept:
        return Kept(self.params, self.state_store, self.context)

    def observe(self) -> Observed:
        """See ``operation.Operation``."""
        found = self._kept.find()
        seen = retention_observe.observe(self.backups, self._policy, self.context)
        return replace(seen, aside=found.aside, notes=(*seen.notes, *filter(None, [found.note])))

    def plan(self, state: Observed) -> RetentionPlan:
        """See ``operation.Operation``."""
        return plan_retention(self._policy, state, environment=self.params["environment"], name=self.params["name"])

    def resources(self, plan: RetentionPlan) -> tuple[str, ...]:
        """See ``operation.Operation``."""
        return (f"database/{self.params['name']}",)

    def act(self, state: Observed, plan: RetentionPlan) -> Mapping[str, Any]:
        """See ``operation.Operation``. The oldest go first, and some whole before the next."""
        if state.leftovers:
            sweep(self.backups, self.context)
        for backup_id in plan.repair:
            manifest = self.backups.by_id(backup_id)
            # The marks first: without them the backup would be listed as a good one.
            for mark in (*sorted(state.unindexed[backup_id]), ""):
                self.backups.write_index(manifest, mark)
        for at in range(0, len(plan.decision.removed), _TOGETHER):
            group = plan.decision.removed[at : at + _TOGETHER]
            removal.delete(self.backups, *(self._keys_of(each, state) for each in group), context=self.context)
            self._removed += group
            self.context.progress(removed=len(self._removed), freed_bytes=sum(each.bytes for each in self._removed))
        for backup_id in plan.remains:
            if self.backups.manifest(backup_id) is None:
                removal.delete(self.backups, self._objects(backup_id), context=self.context)
        self._kept.drop(plan.drop)
        return plan.result

    def _keys_of(self, doomed: Candidate, state: Observed) -> tuple[str, ...]:
        """All of a backup, which must be the one that was looked at."""
        manifest = self.backups.manifest(doomed.backup_id)
        if manifest is not None and (entry_of(manifest), manifest.run_token) != state.identities[doomed.backup_id]:
            raise RunbookError(
                code="backup_protected",
                attempted=f"delete backup {doomed.backup_id}",
                object=state.label,
                reason="its manifest is not the one that was looked at before",
                remedy="Another run works on this database without a lock: find out which, and run this again.",
            )
        index = {*state.index.get(doomed.backup_id, ()), *self._index(manifest)}
        return removal.in_order(index, self._objects(doomed.backup_id))

    def _index(self, manifest: Manifest | None) -> list[str]:
        return self.backups.index_keys(manifest) if manifest else []

    def _objects(self, backup_id: str) -> list[str]:
        return [stored.key for stored in self.store.list(self.backups.prefix(backup_id))]

    def context_of_failure(self) -> Mapping[str, Any]:
        """See ``operation.Operation``: what was removed by then."""
        return {
            "environment": self.params["environment"],
            "name": self.params["name"],
            "removed": [_described(each) for each in self._removed],
            **_freed(sum(each.bytes for each in self._removed)),
        }

    def close(self) -> None:
        """See ``operation.Operation``."""
        self._kept.close()


def policy(params: Mapping[str, Any]) -> Policy:
    """The options as rules. Raises ``invalid_parameter``."""
    kinds = {kind: Rule(within=_BEFORE_WITHIN) for kind in BEFORE}
    for kind, given in params["kinds"].items():
        if kind not in KINDS:
            raise _invalid("kinds", kind, "it is no kind of backup", f"Write one of {', '.join(KINDS)}.")
        kinds[kind] = _rule(given, f"kinds.{kind}")
    if params["floor"] < 1:
        raise _invalid("floor", params["floor"], "at least one backup must stay", "Give floor another value.")
    return Policy(
        default=_rule({name: params[name] for name in (*_COUNTS, "keep_within")}, "keep_last to keep_within"),
        kinds=kinds,
        floor=params["floor"],
        suspect=parse_duration(params["suspect_within"], "suspect_within"),
        zone=zone_of(params["time_zone"], "time_zone"),
    )


def _rule(given: object, option: str) -> Rule:
    remedy = f"Write a dictionary of {', '.join(_COUNTS)} (numbers) and keep_within (a duration)."
    if not isinstance(given, Mapping) or not set(given) <= {*_COUNTS, "keep_within"}:
        raise _invalid(option, given, "it is no rule", remedy)
    counts = {name.removeprefix("keep_"): _count(given.get(name, 0), option, remedy) for name in _COUNTS}
    rule = Rule(**counts, within=parse_duration(str(given.get("keep_within", 0)), f"keep_within of {option}"))
    if rule.empty:
        raise _invalid(option, given, "it keeps nothing", "Let it keep something; the floor is for when rules fail.")
    return rule


def _count(given: object, option: str, remedy: str) -> int:
    text = str(given)
    if isinstance(given, bool) or not (text.isascii() and text.isdigit()) or len(text) > 6:
        raise _invalid(option, given, "it is not a number of backups", remedy)
    return int(text)


def _invalid(option: str, value: object, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter", attempted=f"use {option}", object=repr(value), reason=reason, remedy=remedy
    )


def plan_retention(rules: Policy, seen: Observed, *, environment: str, name: str) -> RetentionPlan:
    """The decision as a plan; pure."""
    decision = decide(seen.candidates, rules, seen.now)
    kept_ids = {each.backup_id for each, _why in decision.kept}
    repair = tuple(each for each in seen.unindexed if each in kept_ids)
    drop = tuple(each for each in seen.aside or () if not each.stays(seen.now))
    return RetentionPlan(
        changed=bool(decision.removed or repair or seen.remains or seen.leftovers or drop),
        result=_result(decision, rules, seen, environment, name),
        steps=(*_steps(decision, repair, seen), *(each.step for each in drop)),
        irreversible=(*(_lost(each, seen) for each in decision.removed), *(each.loss for each in drop)),
        before={"backups": sorted(each.backup_id for each in seen.candidates), **_aside(seen.aside or ())},
        after={
            "backups": sorted(kept_ids),
            **_aside(each for each in seen.aside or () if each not in drop),
        },
        warnings=_warnings(decision, seen),
        decision=decision,
        repair=repair,
        remains=tuple(seen.remains),
        drop=drop,
    )


def _aside(there: Iterable[Aside]) -> dict[str, Any]:
    return {"previous_databases": sorted(each.previous.database for each in there)}


def _steps(decision: Decision, repair: tuple[str, ...], seen: Observed) -> tuple[str, ...]:
    kept = len(decision.kept)
    steps = [f"write the index key of backup {each} again" for each in repair]
    if decision.removed:
        freed = human_bytes(sum(each.bytes for each in decision.removed))
        count = len(decision.removed)
        steps.append(f"delete {count} of {count + kept} backups ({freed}) from {seen.label}, and keep {kept}")
    steps += [
        f"delete what an unfinished run or deletion left of backup {each} ({human_bytes(size)})"
        for each, size in seen.remains.items()
    ]
    if seen.leftovers:
        steps.append(f"clear up after {seen.leftovers} runs or uploads that died more than a day ago")
    return tuple(steps)


def _lost(each: Candidate, seen: Observed) -> str:
    unless = "" if seen.protection.versioned is False else ", unless from a version that the bucket keeps"
    state = "" if each.good else f", {each.state}"
    taken = f"{iso(each.snapshot_at)}, {each.kind}, {human_bytes(each.bytes)}{state}"
    return f"backup {each.backup_id} ({taken}) cannot be brought back{unless}"


def _warnings(decision: Decision, seen: Observed) -> tuple[str, ...]:
    found = [*seen.notes, *filter(None, (each.warning(seen.now) for each in seen.aside or ()))]
    if ahead := [each.backup_id for each, why in decision.kept if "future" in why]:
        found.append(
            f"Dated after now, so kept and counted for nothing: {few(ahead)}. This machine's clock or a database "
            "server's is wrong."
        )
    if decision.removed and seen.protection.unknown:
        found.append(
            f"Whether locks or versions keep what is deleted is not known: {'; '.join(seen.protection.unknown)}."
        )
    if decision.removed and seen.protection.versioned:
        found.append("The bucket keeps versions: what is deleted is paid for until a lifecycle rule removes them.")
    if seen.locks:
        reasons = "; ".join(f"{backup_id}: {reason}" for backup_id, reason in sorted(seen.locks.items())[:5])
        found.append(f"{len(seen.locks)} of the backups that would go are locked and stay ({reasons}).")
    return tuple(found)


def _result(decision: Decision, rules: Policy, seen: Observed, environment: str, name: str) -> dict[str, Any]:
    kept = [each for each, _why in decision.kept]
    good = [each for each in kept if each.good]
    following = next_expiry(decision, rules, seen.now)
    return {
        "environment": environment,
        "name": name,
        "store": seen.store_url,
        "kept": [
            {**_described(each), "reasons": list(why), "lock": seen.locks.get(each.backup_id)}
            for each, why in decision.kept
        ],
        "removed": [_described(each) for each in decision.removed],
        "remains": list(seen.remains),
        **_freed(sum(each.bytes for each in decision.removed) + sum(seen.remains.values())),
        "stored_bytes": sum(each.bytes for each in kept),
        "floor": {"wanted": rules.floor, "kept": len(decision.floor)},
        "oldest": iso(good[0].snapshot_at) if good else None,
        "next_expiry": {"id": following[0].backup_id, "at": iso(following[1])} if following else None,
        "previous_databases": None if seen.aside is None else [each.described(seen.now) for each in seen.aside],
        "versioned": seen.protection.versioned,
        "object_lock": seen.protection.object_lock,
    }


def _freed(count: int) -> dict[str, Any]:
    return {"freed_bytes": count, "freed": human_bytes(count)}


def _described(each: Candidate) -> dict[str, Any]:
    return {
        "id": each.backup_id,
        "snapshot_at": iso(each.snapshot_at),
        "kind": each.kind,
        "selection": "whole" if each.selection_hash == Selection().hash else each.selection_hash,
        "bytes": each.bytes,
        "state": each.state,
        "held": each.held,
    }
