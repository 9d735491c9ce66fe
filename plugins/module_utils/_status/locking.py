# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module runbook_lock (private to ops.runbooks): a lock that several tasks of a play hold together.

The lock belongs to the run and not to this module: it is left behind with a whole lease before it, and the modules that
follow with the same ``run_id`` enter it and renew it. Between two of them nobody does, so the lease has to be longer
than the longest task in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import Holder, LockState, lease_seconds
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._status.resources import RESOURCE_SPEC, resource_of

LOCK_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
    RESOURCE_SPEC,
    ArgumentSpec(
        options={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "runbook": {"type": "str", "default": "runbook_lock"},
            "identity": {"type": "str"},
        },
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What this task wants of the lock, and for whom."""

    present: bool
    run_id: str
    holder: Holder
    lease: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The lock as it was at ``now``, the store's time."""

    lock: LockState
    now: datetime


def plan_lock(seen: Seen, wish: Wish) -> Plan:
    """What to do about the lock: nothing where it is this run's for another half of its lease, or not this run's."""
    lock = seen.lock
    mine = lock.state != "free" and lock.run_id == wish.run_id
    if wish.present:
        return _take(seen, wish, mine)
    if not mine:
        return _plan(lock, lock, False, ())
    return _plan(lock, LockState(resource=lock.resource, state="free"), True, (f"release the lock of {lock.resource}",))


def _take(seen: Seen, wish: Wish, mine: bool) -> Plan:
    lock = seen.lock
    young = lock.until is not None and lock.until - seen.now > wish.lease / 2
    if mine and lock.state == "held" and young:
        return _plan(lock, lock, False, ())
    until = seen.now + wish.lease
    if mine:
        return _plan(lock, replace(lock, state="held", until=until), True, (f"renew the lock of {lock.resource}",))
    after = LockState(
        resource=lock.resource, state="held", holder=wish.holder, run_id=wish.run_id, since=seen.now, until=until
    )
    if lock.state == "free":
        return _plan(lock, after, True, (f"take the lock of {lock.resource}",))
    wait = f"wait until {lock.holder} in run {lock.run_id} no longer holds the lock of {lock.resource}"
    take = f"take over the lock of {lock.resource} that {lock.holder} in run {lock.run_id} left behind"
    return _plan(lock, after, True, (take,) if lock.state == "lapsed" else (wait, f"take the lock of {lock.resource}"))


def _plan(before: LockState, after: LockState, changed: bool, steps: tuple[str, ...]) -> Plan:
    return Plan(changed=changed, result=after.describe(), steps=steps, before=before.describe(), after=after.describe())


class Locking(Operation[Seen, Plan]):
    """Take, renew or release a lock for a run."""

    noun: ClassVar[str] = "lock"
    spec: ClassVar[ArgumentSpec] = LOCK_SPEC
    recorded: ClassVar[bool] = False

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        if not params["run_id"]:
            raise RunbookError(
                code="invalid_parameter",
                attempted="use a lock",
                object="run_id",
                reason="it is missing, and a lock that no other task can enter or release serves nobody",
                remedy="Give all tasks of the run the same run_id.",
            )
        self._resource = resource_of(params)
        self._seconds = lease_seconds(params["lock_lease"])
        self._wish = Wish(
            present=params["state"] == "present",
            run_id=context.run_id,
            holder=Holder(
                runbook=params["runbook"],
                target=params["name"],
                identity=check_id(params["identity"] or context.run_id, "identity"),
            ),
            lease=timedelta(seconds=self._seconds),
        )

    def observe(self) -> Seen:
        """The lock and the store's time."""
        return Seen(lock=self._read(), now=self.state_store.now())

    def plan(self, state: Seen) -> Plan:
        """See :func:`plan_lock`."""
        return plan_lock(state, self._wish)

    def act(self, state: Seen, plan: Plan) -> Mapping[str, Any]:
        """Take the lock and leave it behind, or release it."""
        from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import acquire_all, release_all

        environment = self.params["environment"]
        if not self._wish.present:
            release_all(self.state_store, environment=environment, resources=[self._resource], context=self.context)
            return self._read().describe()
        with ExitStack() as held:
            (lease,) = acquire_all(
                self.state_store,
                environment=environment,
                resources=[self._resource],
                identity=self._wish.holder.identity,
                target=self._wish.holder.target,
                runbook=self._wish.holder.runbook,
                lease_seconds=self._seconds,
                context=self.context,
                held=held,
            )
            lease.leave()
            return lease.describe()

    def context_of_failure(self) -> Mapping[str, Any]:
        """Which lock this was about."""
        return {"resource": self._resource}

    def _read(self) -> LockState:
        from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import read_lock

        return read_lock(self.state_store, self.params["environment"], self._resource)
