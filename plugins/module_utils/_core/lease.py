# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lease says and what follows from it (private to ops.runbooks): pure, without a store.

A lease is a document that its holder keeps young. Whether it is still in force is judged by the store's clock alone:
the time the store gave the document against the time the store has now. The holder judges its own lease more strictly,
by its own monotonic clock from before it sent the document, so that it stops before anybody else may begin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, iso, parse_duration, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

DEFAULT_LEASE = 120.0
SHORTEST_LEASE = 5.0
LONGEST_LEASE = 86400.0
#: Seconds that others wait beyond the end of a lease: S3 gives times in whole seconds, its own and its objects'.
GRACE = 2.0


class Verdict(Enum):
    """What a run may do with a lock as it found it."""

    TAKE = "nobody holds it"
    ENTER = "this run holds it"
    RESUME = "a module of this run held it, and was killed"
    TAKE_OVER = "its holder is gone"
    WAIT = "another run holds it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, for people and for telling whether a run is the repetition of another one."""

    runbook: str
    target: str
    identity: str

    def __str__(self) -> str:
        return f"{self.runbook} of {self.target} ({self.identity})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a run that wants a lock says of itself.

    ``controller`` is ``Controller.identity``, ``module`` that of the module; empty where several tasks are to have it.
    """

    holder: Holder
    run_id: str
    controller: Mapping[str, object]
    module: Mapping[str, object]
    lease_seconds: float

    def body(self, since: datetime) -> dict[str, Any]:
        """The document of a lock that is held."""
        return {
            "state": "held",
            "holder": asdict(self.holder),
            "run_id": self.run_id,
            "controller": dict(self.controller),
            "module": dict(self.module),
            "lease_seconds": self.lease_seconds,
            "since": iso(since),
            "record": None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LockState:
    """A lock as it is in the store. ``until`` is when the lease ends, or ended; the fields are None on a free lock.

    ``lapsed`` is a lease that was not renewed: its holder has ended without releasing it, or cannot reach the store.
    """

    resource: str
    state: Literal["free", "held", "lapsed"]
    number: int = 0
    holder: Holder | None = None
    run_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    record: str | None = None

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {
            "resource": self.resource,
            "state": self.state,
            "holder": asdict(self.holder) if self.holder else None,
            "run_id": self.run_id,
            "since": iso(self.since) if self.since else None,
            "until": iso(self.until) if self.until else None,
            "record": self.record,
        }


def lease_seconds(text: str | None) -> float:
    """The option ``lock_lease`` in seconds, None its default. Raises ``invalid_parameter``."""
    if text is None:
        return DEFAULT_LEASE
    seconds = parse_duration(text, "lock_lease").total_seconds()
    if SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        return seconds
    raise RunbookError(
        code="invalid_parameter",
        attempted="read the duration lock_lease",
        object=repr(text),
        reason=f"a lease lasts from {human(SHORTEST_LEASE)} to {human(LONGEST_LEASE)}",
        remedy="Leave it at 120s unless locks are lost on a slow network.",
    )


def margin(seconds: float) -> float:
    """Seconds before the end of its lease from which a holder no longer begins anything: time for what it began."""
    return min(seconds / 6, 10.0)


def ends(document: Document) -> datetime:
    """When the lease of a held document ends, by the store's clock."""
    return document.modified + timedelta(seconds=seconds_of(document.body))


def seconds_of(body: Mapping[str, Any]) -> float:
    """How long a lease lasts; what no release writes is not believed, so that no lock is held for ever."""
    said = body.get("lease_seconds")
    if isinstance(said, (int, float)) and 0 < said <= LONGEST_LEASE:
        return float(said)
    return DEFAULT_LEASE


def state_of(resource: str, document: Document | None, now: datetime) -> LockState:
    """What a document says at ``now``, the store's time."""
    if document is None or document.body.get("state") != "held":
        return LockState(resource=resource, state="free", number=document.number if document else 0)
    body, until = document.body, ends(document)
    since = body.get("since")
    return LockState(
        resource=resource,
        state="lapsed" if now >= until + timedelta(seconds=GRACE) else "held",
        number=document.number,
        holder=_holder(body),
        run_id=str(body.get("run_id")),
        since=parse_iso(since) if isinstance(since, str) else None,
        until=until,
        record=body.get("record"),
    )


def judge(
    document: Document | None, now: datetime, claim: Claim, gone: Callable[[Mapping[str, object]], bool]
) -> Verdict:
    """What ``claim`` may do with a lock; ``gone`` tells of a process whether it has provably ended."""
    state = state_of("", document, now)
    if document is None or state.state == "free":
        return Verdict.TAKE
    if state.run_id == claim.run_id:
        return Verdict.RESUME if _killed(document, claim, gone) else Verdict.ENTER
    if state.state == "lapsed":
        return Verdict.TAKE_OVER
    controller = document.body.get("controller")
    if state.holder == claim.holder and isinstance(controller, Mapping) and gone(controller):
        return Verdict.TAKE_OVER
    return Verdict.WAIT


def _killed(document: Document, claim: Claim, gone: Callable[[Mapping[str, object]], bool]) -> bool:
    """Whether it was the module's own lock in an earlier life.

    One that was taken for several tasks names none: it is entered, and released by whoever took it. That of a module
    which was killed nobody else would release.
    """
    holder, module = _holder(document.body), document.body.get("module")
    same = (holder.runbook, holder.target) == (claim.holder.runbook, claim.holder.target)
    return same and isinstance(module, Mapping) and gone(module)


def unbroken(newer: list[Document], number: int, highest: int, run_id: str) -> bool:
    """Whether since version ``number`` of a lock nobody but this run has had it.

    ``newer`` are the versions above it that are still there: one that is missing may have been anybody's.
    """
    mine = [document for document in newer if document.body.get("run_id") == run_id]
    return len(mine) == len(newer) == highest - number


def _holder(body: Mapping[str, Any]) -> Holder:
    said = body.get("holder")
    fields = said if isinstance(said, Mapping) else {}
    return Holder(**{name: str(fields.get(name, "")) for name in ("runbook", "target", "identity")})
