# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a verification would do (private to ops.runbooks). Pure: the observed state in, the plan out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import age, human, human_bytes, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tools import Tool
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.read import objects
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.verified import LEVELS, Verified

#: What only the run itself can tell; null in a prediction.
MEASURED = (
    "verified_at",
    "seconds",
    "bytes_per_second",
    "tables",
    "decrypted",
    "age_recipients",
    "proven",
    "not_provable_here",
    "rto_seconds",
    "tables_compared",
    "rows_compared",
    "constraints_checked",
    "indexes_checked",
    "heaps_checked",
    "assertions",
    "skipped",
    "server",
    "durations",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyState:
    """What was found. ``known`` is the verification that makes another one needless; nothing else was read then.

    ``damage`` is what a glance has already shown; ``tool`` is pg_restore where it takes part without a server,
    ``drill_on`` the server where there is one.
    """

    identity: str
    level: str
    manifest: Manifest
    verdict: Verdict
    now: datetime
    known: Verified | None = None
    damage: RunbookError | None = None
    tool: Tool | None = None
    drill_on: str | None = None

    @property
    def clears(self) -> bool:
        """Whether a verification that ends well takes a suspicion back: that of one which looked no closer."""
        found_at = self.verdict.suspect_level or "archive"
        return self.verdict.suspect_cause == "damaged" and LEVELS.index(self.level) >= LEVELS.index(found_at)

    @property
    def shrunk(self) -> bool:
        """Whether the database had shrunk when the backup was taken, which no verification takes back."""
        return self.manifest.state == "suspect"


def settled(found: Iterable[Verified], verdict: Verdict, max_age: timedelta, now: datetime) -> Verified | None:
    """The verification that is young enough, if any.

    One that could not show all of a backup does not count, and none does once the backup is called damaged.
    """
    if verdict.suspect_cause == "damaged":
        return None
    young = [each for each in found if each.whole and timedelta(0) <= now - each.at < max_age]
    return max(young, key=lambda each: each.at, default=None)


def decide(state: VerifyState) -> Plan:
    """The plan for a state."""
    if state.known is not None:
        return Plan(changed=False, result=result_of(state, state.known))
    return Plan(
        changed=True,
        result=predicted(state),
        steps=tuple(_steps(state)),
        before={"verified_at": None},
        after={"level": state.level, "backup": state.manifest.backup_id},
    )


def predicted(state: VerifyState) -> dict[str, Any]:
    """The result with null for what only the real run knows; it fills in the same keys."""
    manifest = state.manifest
    return {
        "id": state.identity,
        "backup": _backup(state),
        "level": state.level,
        "objects": len(objects(manifest)),
        "bytes": manifest.bytes,
        "suspicion_cleared": state.clears and not state.shrunk,
        **dict.fromkeys(MEASURED),
    }


def result_of(state: VerifyState, verified: Verified) -> dict[str, Any]:
    """The result of a verification that is on record."""
    rate = int(verified.bytes / verified.seconds) if verified.seconds else None
    return {
        **predicted(state),
        "backup": _backup_of(state, verified),
        "bytes": verified.bytes,
        "verified_at": iso(verified.at),
        "seconds": verified.seconds,
        "bytes_per_second": rate,
        **verified.facts,
    }


def _backup_of(state: VerifyState, verified: Verified) -> dict[str, Any]:
    """The backup that was verified, of which no more is known than its id where it is not the one that was chosen."""
    chosen = _backup(state)
    if verified.backup_id == state.manifest.backup_id:
        return chosen
    return {**dict.fromkeys(chosen), "id": verified.backup_id, "environment": state.manifest.environment}


def _backup(state: VerifyState) -> dict[str, Any]:
    manifest = state.manifest
    return {
        "id": manifest.backup_id,
        "environment": manifest.environment,
        "snapshot_at": iso(manifest.snapshot_at),
        "age_seconds": age(manifest.snapshot_at, state.now),
        "state": state.verdict.state,
    }


def _steps(state: VerifyState) -> Iterable[str]:
    manifest = state.manifest
    count, size = len(objects(manifest)), human_bytes(manifest.bytes)
    taken = f"taken {human(age(manifest.snapshot_at, state.now))} ago"
    plural = "s" if count != 1 else ""
    yield (
        f"Read the {count} object{plural} of backup {manifest.backup_id} ({size}, {taken}) and compare size and "
        "SHA-256 with the manifest."
    )
    if state.tool is not None:
        yield f"Let pg_restore {state.tool.version} read all of it, without a server, and compare the contents."
    if state.drill_on is not None:
        yield (
            f"Restore it into a scratch database on {state.drill_on}, compare that with the manifest, check its "
            "constraints and what else was asked for, and drop it."
        )
        yield "Call the backup proven, with the time that this took, unless the server lacks something that it needs."
    if state.clears:
        yield "Take back that the backup is damaged, where all of it is whole."
    yield "Record the verification beside the manifest; where something is damaged, call the backup suspect instead."
