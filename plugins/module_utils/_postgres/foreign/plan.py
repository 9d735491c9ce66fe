# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What restoring a foreign dump would do (private to ops.runbooks). Pure: the observed state in, the plan out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human_bytes
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.dump import Kind
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import DatabaseFact, ServerFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    Attempt,
    Mark,
    SourceBackup,
)

#: What nobody can prove of a dump that has no manifest, beside what its format leaves open.
_UNPROVEN = "that the rows are those that the dump was taken of: nothing says how many there were"
_BY_FORMAT = {
    "custom": "that no bit has changed since it was taken, unless sha256 was given: archives carry no checksum",
    "directory": "that no bit has changed since it was taken, unless sha256 was given: archives carry no checksum",
    "tar": "that no bit has changed since it was taken, unless sha256 was given: archives carry no checksum",
    "plain": "that its SQL is what pg_dump wrote: every statement in it was run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignWork:
    """What loading takes. ``like`` is the database that the new one is created like; ``tool`` None for plain SQL."""

    kind: Kind
    sha256: str
    bytes: int
    like: DatabaseFact
    tool: str | None
    bytes_free: int | None
    leftovers: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignState:
    """What was found, as :class:`RestoreState` has it; ``work`` is None where the database is there and complete."""

    restore_id: str
    path: str
    given_sha256: bool
    endpoint: str
    server: ServerFact
    backup: SourceBackup
    target_database: str
    attempt: Attempt
    mark: Mark | None
    found_as: str | None
    work: ForeignWork | None


@dataclass(frozen=True, kw_only=True)
class ForeignPlan(Plan):
    """``action`` is as in :class:`RestorePlan`."""

    action: Literal["nothing", "finish", "restore"] = "nothing"


def decide(state: ForeignState) -> ForeignPlan:
    """The plan for a state."""
    target = state.target_database
    if state.mark is not None and state.found_as is not None:
        result = {**state.mark.result, "database": state.found_as}
        if state.mark.phase == FINISHED:
            return ForeignPlan(changed=False, result=result)
        step = f"Rename database {state.found_as}, which an earlier run has loaded, to {target}."
        return ForeignPlan(
            changed=True,
            action="finish",
            result={**result, "database": target},
            steps=(step,),
            before={"database": state.found_as},
            after={"database": target, "path": state.path},
        )
    if state.work is None:
        raise ValueError("a restore that is not done was observed without what it needs")
    return ForeignPlan(
        changed=True,
        action="restore",
        result=_predicted(state, state.work),
        steps=tuple(_steps(state, state.work)),
        before={"database": None},
        after={"database": target, "path": state.path, "sha256": state.work.sha256},
        warnings=(f"Nothing can be compared: the dump {state.path} has no manifest. See restore.dump.not_proven.",),
    )


def _predicted(state: ForeignState, work: ForeignWork) -> dict[str, Any]:
    """The result with null for what only the real run knows; it fills in the same keys."""
    unproven = [_UNPROVEN]
    if work.kind.format == "plain" or not state.given_sha256:
        unproven.append(_BY_FORMAT[work.kind.format])
    return {
        "id": state.restore_id,
        "backup": None,
        "dump": {
            "path": state.path,
            "format": work.kind.format,
            "compression": work.kind.packing,
            "sha256": work.sha256,
            "compared": False,
            "not_proven": unproven,
            "tables": None,
            "rows": None,
        },
        "database": state.target_database,
        "target_database": state.target_database,
        "temporary_database": state.attempt.database,
        "oid": None,
        "endpoint": state.endpoint,
        "server": {"version": state.server.version, "system_identifier": state.server.system_identifier},
        "bytes": work.bytes,
        "bytes_free": work.bytes_free,
        "durations": None,
    }


def _steps(state: ForeignState, work: ForeignWork) -> list[str]:
    name = state.attempt.database
    free = "unknown" if work.bytes_free is None else human_bytes(work.bytes_free)
    steps = [f"Drop database {left.database}, which run {left.run_id} has left behind." for left in work.leftovers]
    steps.append(
        f"Create database {name} on {state.endpoint}, as {work.like.name} is encoded and sorted (free: {free})."
    )
    by = "pg_restore" if work.tool else "the statements in it"
    steps.append(f"Load {state.path} ({work.kind.text}, {human_bytes(work.bytes)}, SHA-256 {work.sha256}) by {by}.")
    steps.append("Count the rows of each table, which cannot be compared with anything, and gather statistics.")
    steps.append(f"Rename database {name} to {state.target_database}.")
    return steps
