# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module runbook_record (private to ops.runbooks): evidence of what was done by other means than a module of ours.

A step that a person or a foreign module did is written down once under its identity, in
``<environment>/evidence/<name>/<identity>.json``, which is created and never changed. The same module closes run
records that a killed run has left open, for whoever does not want to wait until the next run does it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import LockState
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.record import close_interrupted, who
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._status.resources import RESOURCE_SPEC, resource_of
from ansible_collections.ops.runbooks.plugins.module_utils._status.runs import abandoned, open_records

SCHEMA = 1
RECORD_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
    RESOURCE_SPEC,
    ArgumentSpec(
        options={
            "state": {"type": "str", "choices": ["present", "closed"], "default": "present"},
            "identity": {"type": "str"},
            "what": {"type": "str"},
            "status": {"type": "str", "choices": ["done", "failed"], "default": "done"},
            "result": {"type": "dict", "default": {}},
            "measurements": {"type": "dict", "default": {}},
            "since": {"type": "str", "default": "35d"},
        },
        required_if=(("state", "present", ("identity", "what")),),
    ),
)
#: What says whether a step that is written down again is the same one.
_CONTENT = ("what", "status", "result", "measurements")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the store has: the evidence of this identity, or the open records and the lock of the resource."""

    written: Mapping[str, Any] | None = None
    open_records: tuple[tuple[str, str], ...] = ()
    lock: LockState | None = None


def plan_evidence(written: Mapping[str, Any] | None, wanted: Mapping[str, Any], key: str) -> Plan:
    """Write the evidence where there is none under its identity; what is there stands, even where it differs."""
    if written is None:
        step = f"record that {wanted['what']} ({wanted['status']})"
        return Plan(changed=True, result={**wanted, "key": key}, steps=(step,), after=wanted)
    differs = [name for name in _CONTENT if written.get(name) != wanted[name]]
    warning = f"{key} was written before with another {', '.join(differs)}; what was written first stands."
    return Plan(
        changed=False,
        result={**written, "key": key},
        before=written,
        after=written,
        warnings=(warning,) if differs else (),
    )


def plan_closing(found: Found, run_id: str) -> Plan:
    """Close the records of runs that cannot be alive; a run that holds the lock, and this one, are left alone."""
    lock = found.lock
    keys = [key for key, owner in found.open_records if owner != run_id and (lock is None or abandoned(owner, lock))]
    return Plan(
        changed=bool(keys),
        result={"closed": keys},
        steps=tuple(f"close the record {key} as interrupted" for key in keys),
        before=dict.fromkeys(keys, "running"),
        after=dict.fromkeys(keys, "interrupted"),
    )


class Evidence(Operation[Found, Plan]):
    """Write down a step, or close what killed runs have left open."""

    noun: ClassVar[str] = "record"
    spec: ClassVar[ArgumentSpec] = RECORD_SPEC
    recorded: ClassVar[bool] = False

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._environment, self._name = params["environment"], params["name"]
        self._present = params["state"] == "present"
        self._resource = resource_of(params)
        self._since = parse_duration(params["since"], "since")
        self._key = ""
        if self._present:
            identity = check_id(params["identity"], "identity")
            self._key = f"{self._environment}/evidence/{self._name}/{identity}.json"

    def observe(self) -> Found:
        """Read what is there."""
        if self._present:
            return Found(written=self._read())
        from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import read_lock

        # The lock is read after the records: a run that takes it in between has a record that is not among them.
        since = self.context.clock.now() - min(self._since, timedelta(days=36500))
        found = open_records(self.state_store, self._environment, self._name, since)
        records = tuple((key, str(body.get("run_id"))) for key, body in found)
        return Found(open_records=records, lock=read_lock(self.state_store, self._environment, self._resource))

    def plan(self, state: Found) -> Plan:
        """See :func:`plan_evidence` and :func:`plan_closing`."""
        if not self._present:
            return plan_closing(state, self.context.run_id)
        return plan_evidence(state.written, self._wanted(), self._key)

    def act(self, state: Found, plan: Plan) -> Mapping[str, Any]:
        """Write the evidence, or close the records."""
        if not self._present:
            return {"closed": [key for key in plan.result["closed"] if self._close(key)]}
        body = self.context.redactor.value({**self._wanted(), "schema": SCHEMA, "who": who(os.environ)})
        self.context.effect(f"write the evidence {self._key}")
        if self.state_store.create(self._key, json.dumps(body, indent=1, ensure_ascii=False).encode()):
            return {**body, "key": self._key}
        return {**(self._read() or body), "key": self._key}

    def _wanted(self) -> dict[str, Any]:
        content = self.context.redactor.value({name: self.params[name] for name in _CONTENT})
        return {
            **content,
            "identity": self.params["identity"],
            "environment": self._environment,
            "host": self._name,
            "run_id": self.context.run_id,
            "recorded_at": iso(self.context.clock.now()),
        }

    def _close(self, key: str) -> bool:
        self.context.effect(f"close the run record {key}")
        return close_interrupted(self.state_store, key, self.context.run_id)

    def _read(self) -> Mapping[str, Any] | None:
        body = self.state_store.get(self._key)
        if body is None:
            return None
        try:
            written = json.loads(body)
        except ValueError:
            written = None
        if isinstance(written, dict) and written.get("schema") == SCHEMA:
            return written
        raise RunbookError(
            code="object_corrupt",
            attempted="read evidence",
            object=f"{self._key} in {self.state_store.url}",
            reason="it is not a document that this release wrote",
            remedy="Find out who changed it, and give the step another identity.",
        )
