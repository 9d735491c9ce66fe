# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module runbook_status_info (private to ops.runbooks): how a database stands, and the six closing lines.

Asked for at the end of every run and at three in the morning, so it says what it can: what cannot be found out becomes
a clause in its line, and never a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar, TypeVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import clocks_differ, parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import LockState
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups, selection_hash
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.retention import RETENTION_SPEC, policy
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.stored import Stored, stored
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.verified import Verifications
from ansible_collections.ops.runbooks.plugins.module_utils._status.costs import (
    Costs,
    costs,
    interval,
    newest_taken,
)
from ansible_collections.ops.runbooks.plugins.module_utils._status.facts import (
    Facts,
    LastRun,
    Newest,
    NewestDrill,
    NewestRestore,
    Unknown,
)
from ansible_collections.ops.runbooks.plugins.module_utils._status.lines import closing_lines
from ansible_collections.ops.runbooks.plugins.module_utils._status.outcome import Outcome
from ansible_collections.ops.runbooks.plugins.module_utils._status.restores import newest_restore
from ansible_collections.ops.runbooks.plugins.module_utils._status.runs import abandoned, newest_run

STATUS_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
    ArgumentSpec(
        options={
            "rpo": {"type": "str", "default": "26h"},
            "drill_max_age": {"type": "str"},
            "selection": {"type": "raw", "default": "whole"},
            "outcome": {"type": "dict"},
            "command_options": {"type": "str", "default": ""},
            "schedule": {"type": "str"},
            "retention": {"type": "dict", "default": {}},
            "protection": {"type": "bool", "default": False},
            "kind": {"type": "str", "choices": ["database", "app"], "default": "database"},
            "databases": {"type": "list", "elements": "str", "default": []},
        }
    ),
)

#: The rules of retention where nothing else is said.
_KEPT = {name: option["default"] for name, option in RETENTION_SPEC.options.items()}

#: Failures after which nothing else is asked of the same store: each would take as long, and say the same.
_HOPELESS = {"library_missing", "store_credentials", "store_missing", "store_unreachable"}

T = TypeVar("T")


class StatusInfo(Operation[Facts, Plan]):
    """Gather what the store knows of one database, and put it into words."""

    noun: ClassVar[str] = "status"
    spec: ClassVar[ArgumentSpec] = STATUS_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._rpo = parse_duration(params["rpo"], "rpo")
        expected = params["drill_max_age"]
        self._drill_max_age = parse_duration(expected, "drill_max_age") if expected is not None else None
        self._selection = selection_hash(params["selection"])
        self._every = interval(params["schedule"]) if params["schedule"] else None
        self._hopeless: Unknown | None = None
        #: That of the newest good backup.
        self._manifest: Manifest | None = None
        self._is_app = params["kind"] == "app"

    def observe(self) -> Facts:
        """Ask the stores; nothing that goes wrong there is raised."""
        environment, name = self.params["environment"], self.params["name"]
        now = self.context.clock.now()
        newest = self._ask(self._newest_of_app if self._is_app else lambda: self._newest(self.params["name"]))
        lock = self._ask(self._lock)
        last_run = self._ask(lambda: newest_run(self.state_store, environment, name, now))
        if isinstance(last_run, LastRun) and last_run.status == "running" and isinstance(lock, LockState):
            last_run = replace(last_run, status="interrupted") if abandoned(last_run.run_id, lock) else last_run
        return Facts(
            environment=environment,
            name=name,
            now=now,
            rpo=self._rpo,
            newest=newest,
            lock=lock,
            last_run=last_run,
            restore=None if self._is_app else self._ask(self._restore),
            drill=None if self._is_app else self._ask(self._drill),
            drill_max_age=None if self._is_app else self._drill_max_age,
            is_app=self._is_app,
            databases=tuple(self.params["databases"]),
            costs=self._ask(self._costs) if self._every is not None else None,
            protection=self._ask(self.store.protection) if self.params["protection"] else None,
            stored=None if self.params["outcome"] or self._is_app else self._ask(self._stored),
        )

    def plan(self, state: Facts) -> Plan:
        """The answer; there is nothing to change."""
        given = self.params["outcome"]
        outcome = Outcome.read(given) if given else None
        controller = self.context.controller.process
        argv = controller.argv if controller is not None else ()
        return Plan(
            changed=False,
            result={
                "environment": state.environment,
                "name": state.name,
                "complete": not state.unknown,
                "unknown": list(state.unknown),
                "newest_backup": _described(state.newest, lambda newest: newest.describe(state.now)),
                "stored": _described(state.stored, lambda stored: stored.describe(state.now)),
                "rpo_seconds": int(state.rpo.total_seconds()),
                "past_rpo": state.past_rpo,
                "lock": _described(state.lock, LockState.describe),
                "last_run": _described(state.last_run, LastRun.describe),
                "newest_restore": _described(state.restore, NewestRestore.describe),
                "newest_drill": _described(state.drill, lambda drill: drill.describe(state.now)),
                "past_drill_age": state.past_drill_age,
                "costs": _described(state.costs, Costs.describe),
                "protection": _described(state.protection, asdict),
                "lines": list(closing_lines(outcome, state, self.params["command_options"], argv)),
            },
        )

    def act(self, state: Facts, plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("an information module has nothing to carry out")

    def _ask(self, question: Callable[[], T]) -> T | Unknown:
        """An answer, or why there is none."""
        if self._hopeless is not None:
            return self._hopeless
        try:
            return question()
        except RunbookError as error:
            unknown = Unknown(reason=f"{error.object}: {error.reason}")
            if error.code in _HOPELESS:
                self._hopeless = unknown
            return unknown
        except Exception as error:  # noqa: BLE001 - a status that fails is none
            return Unknown(reason=f"an unexpected {type(error).__name__} was raised")

    def _newest_of_app(self) -> Newest | Unknown | None:
        """Of all its databases the one that is the worst off."""
        found: list[Newest] = []
        for name in self.params["databases"]:
            newest = self._newest(name)
            if newest is None or isinstance(newest, Unknown):
                return newest
            found.append(replace(newest, database=name))
        return min(found, key=lambda each: each.snapshot_at, default=None)

    def _newest(self, name: str) -> Newest | Unknown | None:
        backups = Backups(self.store, self.params["environment"], name, self.context)
        self._manifest = manifest = backups.newest(self._selection)
        if manifest is None:
            return None
        if wrong := clocks_differ(manifest.snapshot_at, self.context.clock.now()):
            return Unknown(reason=f"the age of backup {manifest.backup_id}: {wrong}")
        backups.require_objects(manifest)
        return Newest(
            id=manifest.backup_id,
            snapshot_at=manifest.snapshot_at,
            state=backups.verdict_on(manifest).state,
            bytes=manifest.bytes,
        )

    def _stored(self) -> Stored:
        backups = Backups(self.store, self.params["environment"], self.params["name"], self.context)
        wanted = (each for each in backups.listed() if self._selection in (None, each.entry.selection_hash))
        return stored(backups, wanted)

    def _costs(self) -> Costs | None:
        if self._every is None:
            return None
        backups = Backups(self.store, self.params["environment"], self.params["name"], self.context)
        rules = policy({**_KEPT, **self.params["retention"]})
        return costs(newest_taken(backups, self._selection), self._every, rules)

    def _lock(self) -> LockState:
        from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import read_lock

        return read_lock(self.state_store, self.params["environment"], f"{self.params['kind']}/{self.params['name']}")

    def _drill(self) -> NewestDrill | None:
        backups = Backups(self.store, self.params["environment"], self.params["name"], self.context)
        found = Verifications(backups, self.context).last_proof(self._manifest)
        if found is None:
            return None
        seconds = found.facts.get("rto_seconds")
        return NewestDrill(
            backup=found.backup_id,
            at=found.at,
            rto_seconds=seconds if isinstance(seconds, (int, float)) else None,
            decrypted=found.facts.get("decrypted") is True,
            age_recipients=tuple(found.facts.get("age_recipients") or ()),
            like_newest=self._manifest is None or found.shows(self._manifest),
        )

    def _restore(self) -> NewestRestore | None:
        return newest_restore(self.state_store, self.params["environment"], self.params["name"], self.context)


def _described(fact: T | Unknown | None, describe: Callable[[T], dict[str, Any]]) -> dict[str, Any] | None:
    return None if fact is None or isinstance(fact, Unknown) else describe(fact)
