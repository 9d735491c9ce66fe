# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks (private to ops.runbooks): one run at a time works on a resource such as ``database/main``.

A lock is a document ``<environment>/locks/<resource>`` whose highest version says who holds it. The rules, and why two
runs can never both believe that they hold it:

- Whoever takes, enters or releases a lock creates the next version, and the store lets only one writer do so.
- Whoever holds it keeps it young by rewriting its own version, which counts only where it was done before the holder's
  own deadline. Others take over only after that deadline has passed by the store's clock, so by the next version.
- A holder that finds itself late, after a suspended laptop or a stalled network, must create the next version too. It
  goes on where it can, and has lost the lock where somebody else was there first.
- What a module took for itself and was killed with is its repetition's own: in the same run at once, in another one
  once its controller is gone too, where both can be seen from here.
- Before each effect the holder looks at its deadline (``Context.effect``), and does nothing past it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document, Series, require_conditional
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import (
    DEFAULT_LEASE,
    GRACE,
    Claim,
    Holder,
    LockState,
    Verdict,
    ends,
    judge,
    margin,
    seconds_of,
    state_of,
    unbroken,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

#: Seconds between two looks at a lock that another run holds.
_POLL = 2.0
#: Seconds of waiting that are told.
_NOTICED = 10.0
#: Seconds in which a module whose controller has ended is certain to have stopped.
_SETTLE = 2.0
#: Seconds for which the release of a lock waits for a renewal that is under way.
_PATIENCE = 15.0
#: Attempts to enter a lock again against siblings of the same run.
_ATTEMPTS = 5


def acquire_all(
    state_store: Store,
    *,
    environment: str,
    resources: Collection[str],
    identity: str,
    target: str,
    context: Context,
    held: ExitStack,
    lease_seconds: float = DEFAULT_LEASE,
    runbook: str | None = None,
) -> tuple[Lease, ...]:
    """Take the locks of ``resources`` in sorted order, so that no two runs wait for each other; ``held`` releases them.

    ``runbook`` names the work of several tasks, which have the lock together; without it the lock is the module's own.
    Where one lock cannot be had, those taken are released at once. Raises ``lock_held``, ``store_not_conditional``.
    """
    require_conditional(state_store, context)
    claim = Claim(
        holder=Holder(runbook=runbook or context.module, target=target, identity=identity),
        run_id=context.run_id,
        controller=context.controller.identity,
        module={} if runbook else context.controller.module,
        lease_seconds=lease_seconds,
    )
    leases: list[Lease] = []
    with ExitStack() as taken:
        for resource in sorted(set(resources)):
            lease = _Request(state_store, environment, resource, claim, context).grant()
            taken.callback(lease.release)
            leases.append(lease)
        held.enter_context(taken.pop_all())
    return tuple(leases)


def read_lock(store: Store, environment: str, resource: str) -> LockState:
    """A lock as it is now, for reports; nothing is written."""
    return state_of(resource, _series(store, environment, resource).current(), store.now())


def release_all(
    state_store: Store, *, environment: str, resources: Collection[str], context: Context
) -> tuple[str, ...]:
    """Release those of ``resources`` that this run holds, whichever of its tasks took them; returns these."""
    released = []
    for resource in sorted(set(resources)):
        series = _series(state_store, environment, resource)
        found = series.current()
        if found is None or found.body.get("state") != "held" or found.body.get("run_id") != context.run_id:
            continue
        context.effect(f"release the lock of {resource}")
        if series.create_next(_released(found), after=found.number) is not None:
            released.append(resource)
    return tuple(released)


class _Request:
    """One run's wish for one lock."""

    def __init__(self, store: Store, environment: str, resource: str, claim: Claim, context: Context) -> None:
        self._store = store
        self._environment = environment
        self._resource = resource
        self._claim = claim
        self._context = context
        self._series = _series(store, environment, resource)

    def grant(self) -> Lease:
        """The lock, as soon as it can be had. Raises ``lock_held`` where its holder is seen to be alive."""
        waiting_for: Document | None = None
        since = self._context.clock.monotonic()
        while True:
            found = self._series.current()
            now = self._store.now(may_write=True)
            verdict = judge(found, now, self._claim, self._context.controller.gone)
            if found is None or verdict is not Verdict.WAIT:
                lease = self._take(found, verdict, now)
                if lease is not None:
                    if waiting_for is not None:
                        self._tell(waiting_for, self._context.clock.monotonic() - since)
                    return lease
                continue
            if waiting_for is None:
                waiting_for = found
            elif (found.number, found.modified) != (waiting_for.number, waiting_for.modified):
                raise self._refusal(found, now)
            self._context.controller.check(f"wait for the lock of {self._resource}")
            remaining = (ends(found) - now).total_seconds() + GRACE
            self._context.clock.sleep(min(max(remaining, 0.1), _POLL))

    def _take(self, found: Document | None, verdict: Verdict, now: datetime) -> Lease | None:
        """Create the next version; None where another run was faster."""
        if verdict is Verdict.TAKE_OVER and found is not None and now < ends(found):
            self._context.clock.sleep(_SETTLE)
        body = self._claim.body(now)
        if verdict is Verdict.ENTER and found is not None:
            # The lock stays that of the runbook which took it, and lasts as long as it asked for.
            body = {**found.body, "lease_seconds": max(seconds_of(found.body), self._claim.lease_seconds)}
        self._context.effect(f"take the lock of {self._resource}")
        sent = self._context.clock.monotonic()
        written = self._series.create_next(body, after=found.number if found else 0)
        if written is None:
            return None
        if verdict in (Verdict.TAKE_OVER, Verdict.RESUME) and found is not None:
            self._close_record(found)
        return Lease(
            self._resource, self._series, written, sent=sent, entered=verdict is Verdict.ENTER, context=self._context
        )

    def _close_record(self, found: Document) -> None:
        """The run that was taken over did not complete its record; that this fails does not stop the work."""
        key = found.body.get("record")
        if not key:
            return
        from ansible_collections.ops.runbooks.plugins.module_utils._core.record import close_interrupted

        try:
            self._context.effect(f"close the record of the interrupted run {found.body.get('run_id')}")
            close_interrupted(self._store, str(key), self._claim.run_id)
        except RunbookError as failure:
            self._context.warn(failure.message)

    def _tell(self, found: Document, seconds: float) -> None:
        """Why nothing has happened for so long, where somebody may have noticed."""
        if seconds >= _NOTICED:
            state = state_of(self._resource, found, found.modified)
            self._context.warn(
                f"The lock of {self._resource} was waited for, {human(seconds)}: run {state.run_id} held it, "
                f"{state.holder}; its lease was to end at {iso(ends(found))}."
            )

    def _refusal(self, found: Document, now: datetime) -> RunbookError:
        state = state_of(self._resource, found, now)
        since = f" since {iso(state.since)}" if state.since else ""
        progress = f" Its progress is in {self._store.url}/{state.record}." if state.record else ""
        return RunbookError(
            code="lock_held",
            attempted=f"take the lock of {self._resource}",
            object=f"{self._environment} in {self._store.url}",
            reason=f"run {state.run_id} holds it{since}, {state.holder}, and is alive: it has just renewed it",
            remedy=f"Run the same command again when that run has ended.{progress}",
            details={"lock": state.describe()},
        )


class Lease:
    """A lock that this module holds. Renewed by a thread of its own until it is released; dies with the module."""

    def __init__(
        self, resource: str, series: Series, document: Document, *, sent: float, entered: bool, context: Context
    ) -> None:
        self.resource = resource
        #: Whether another task of the same run had taken the lock, and is the one to release it.
        self.entered = entered
        self._series = series
        self._context = context
        self._document = document
        self._seconds = float(document.body["lease_seconds"])
        self._deadline = sent + self._seconds
        self._lost = False
        #: Held while the lock is renewed or released.
        self._renewing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lock-{resource}", daemon=True)
        self._thread.start()

    def check(self, what: str) -> None:
        """Raise ``lock_lost`` where this lock no longer keeps others out; ``what`` completes "could not ...".

        Near its end, which only a stalled module or store comes near, it is renewed first.
        """
        if self._safe():
            return
        with self._renewing:
            if self._safe():
                return
            try:
                self._renew()
            except RunbookError as failure:
                raise self._failure(what, failure) from failure

    def name_record(self, key: str) -> None:
        """Note the run record of the work that is done under this lock, for whoever takes it over."""
        self._context.effect(f"note the run record in the lock of {self.resource}")
        with self._renewing:
            self._document = Document(
                number=self._document.number,
                body={**self._document.body, "record": key},
                modified=self._document.modified,
            )
            self._renew()

    def describe(self) -> dict[str, Any]:
        """For results: the lock's state as this module last wrote it."""
        return state_of(self.resource, self._document, self._document.modified).describe()

    def release(self) -> None:
        """Let the next run in, or leave the lock to the task of this run that took it. Raises nothing: it would lapse.

        Not preceded by ``effect``: a run that has lost its lock or its controller must still be able to let go.
        """
        self._end(leave=self.entered)

    def leave(self) -> None:
        """Stop renewing, and leave the lock to later tasks of this run, with a whole lease before them."""
        self._end(leave=True)

    def _end(self, *, leave: bool) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        if self._lost:
            return
        if not self._renewing.acquire(timeout=_PATIENCE):
            self._context.warn(f"The lock of {self.resource} was not released, it ends in {human(self._seconds)}.")
            return
        try:
            if leave:
                self._renew()
            else:
                self._series.create_next(_released(self._document), after=self._document.number)
        except RunbookError as failure:
            within = human(self._seconds)
            self._context.warn(f"The lock of {self.resource} was not released, it ends in {within}: {failure.message}")
        finally:
            self._renewing.release()

    def _keep(self) -> None:
        """The thread: renew every third of the lease; after a failure sooner, for as long as it takes."""
        pause = self._seconds / 3
        while not self._ended.wait(pause):
            with self._renewing:
                if self._ended.is_set():
                    return
                try:
                    self._context.controller.check("renew the lock")
                    self._renew()
                    pause = self._seconds / 3
                except RunbookError as failure:
                    if self._lost or failure.code == "controller_gone":
                        return
                    pause = min(self._seconds / 12, 5.0)

    def _safe(self) -> bool:
        return not self._lost and self._context.clock.monotonic() < self._deadline - margin(self._seconds)

    def _renew(self) -> None:
        """Make the lease last from now. Raises ``lock_lost``, and what the store raises."""
        sent = self._context.clock.monotonic()
        if not self._lost and sent < self._deadline:
            written = self._series.rewrite(self._document, self._document.body)
            if written is not None and self._context.clock.monotonic() < self._deadline:
                self._document = written
                self._deadline = sent + self._seconds
                return
        # Late, or another version is there: having rewritten the old one proves nothing.
        self._enter_again()

    def _enter_again(self) -> None:
        """Take the lock anew, where nobody but tasks of this run has had it meanwhile. Raises ``lock_lost``."""
        run_id = str(self._document.body["run_id"])
        for _attempt in range(0 if self._lost else _ATTEMPTS):
            newer = list(self._series.history(after=self._document.number))
            highest = newer[-1].number if newer else self._document.number
            if not unbroken(newer, self._document.number, highest, run_id):
                break
            sent = self._context.clock.monotonic()
            written = self._series.create_next(self._document.body, after=highest)
            if written is not None:
                self._document = written
                self._deadline = sent + self._seconds
                return
        self._lost = True
        raise self._failure("renew the lock", None)

    def _failure(self, what: str, cause: RunbookError | None) -> RunbookError:
        if cause is None or self._lost:
            reason = f"another run has taken over the lock of {self.resource} while this one could not renew it"
        else:
            reason = f"the lock of {self.resource} could not be renewed in time: {cause.reason}"
        return RunbookError(
            code="lock_lost",
            attempted=what,
            object=self._series.where,
            reason=reason,
            remedy="Nothing more was changed. Run the same command again: it goes on from what the store says.",
        )


def _series(store: Store, environment: str, resource: str) -> Series:
    return Series(store, f"{environment}/locks/{resource}")


def _released(document: Document) -> dict[str, Any]:
    return {**document.body, "state": "released"}
