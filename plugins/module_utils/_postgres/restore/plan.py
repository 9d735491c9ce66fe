# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore would do (private to ops.runbooks). Pure: the observed state in, the plan out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, human_bytes, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import counted
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Change, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compare import counted_tables
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, ServerFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.checks import bytes_needed
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Adaptation, schemas_to_make
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import TargetFacts
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    LOADED,
    Attempt,
    Mark,
    SourceBackup,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What has to be known to restore: nothing of it is read where a restore is already done.

    ``manifest`` is what the part promises that is restored, and ``whole`` the backup's own where that is another one.
    """

    manifest: Manifest
    heads: tuple[Head, ...]
    adaptations: tuple[Adaptation, ...]
    target: TargetFacts
    owners: frozenset[str]
    missing_roles: frozenset[str]
    roles_to_create: tuple[str, ...]
    missing_tablespaces: tuple[str, ...]
    tool_path: str
    tool_version: str
    bytes_free: int | None
    leftovers: tuple[Attempt, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    whole: Manifest | None = None

    @property
    def heads_restored(self) -> tuple[Head, ...]:
        """The archives with those entries only that are restored, and with the text that they are restored by."""
        return tuple(
            replace(
                head,
                entries=tuple(
                    replace(each, defn=adaptation.changes.get(each.dump_id, Change()).defn or each.defn)
                    for each in head.entries
                    if each.dump_id not in adaptation.left_out
                ),
            )
            for head, adaptation in zip(self.heads, self.adaptations, strict=True)
        )

    @property
    def losses(self) -> tuple[str, ...]:
        """Everything that does not come back, in words."""
        lost = [loss for adaptation in self.adaptations for loss in adaptation.losses]
        schemas = schemas_to_make(self.heads, self.manifest.selection)
        return (
            *self.left_out,
            *lost,
            *(f"tablespace {name}: its tables go to the default one" for name in self.missing_tablespaces),
            *(f"owner and privileges of schema {name}, which a backup of tables does not hold" for name in schemas),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreState:
    """What was found. ``found_as`` is the name under which the database that ``mark`` speaks of exists on this server.

    ``work`` is None where that database is there and complete.
    """

    restore_id: str
    endpoint: str
    server: ServerFact
    backup: SourceBackup
    target_database: str
    attempt: Attempt
    rebinds: bool
    mark: Mark | None
    found_as: str | None
    work: Work | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan(Plan):
    """``action`` is nothing, to finish what a killed run had already loaded and compared, or to restore."""

    action: str = "nothing"
    skipped: tuple[str, ...] = field(default=())


def decide(state: RestoreState) -> RestorePlan:
    """The plan for a state."""
    if state.mark is not None and state.found_as is not None:
        if state.mark.phase == FINISHED:
            return RestorePlan(changed=False, result={**state.mark.result, "database": state.found_as})
        if state.mark.phase == LOADED:
            return _finish(state, state.mark, state.found_as)
    if state.work is None:
        raise ValueError("a restore that is not done was observed without what it needs")
    return _restore(state, state.work)


def _finish(state: RestoreState, mark: Mark, found_as: str) -> RestorePlan:
    steps = [f"Rename database {found_as}, which an earlier run has loaded and compared, to {state.target_database}."]
    if found_as == state.target_database:
        steps = [f"Record that database {found_as}, which an earlier run has restored, is finished."]
    return RestorePlan(
        changed=True,
        action="finish",
        result={**mark.result, "database": state.target_database},
        steps=tuple(steps),
        before=_diff(state, found_as),
        after=_diff(state, state.target_database),
    )


def _restore(state: RestoreState, work: Work) -> RestorePlan:
    return RestorePlan(
        changed=True,
        action="restore",
        result=predicted(state, work),
        steps=(*build_steps(state, work), f"Rename database {state.attempt.database} to {state.target_database}."),
        before=_diff(state, None),
        after=_diff(state, state.target_database),
        warnings=work.warnings,
        skipped=work.losses,
    )


def _backup_facts(state: RestoreState) -> dict[str, Any]:
    """The backup, as results name it."""
    return {
        "id": state.backup.id,
        "environment": state.backup.environment,
        "snapshot_at": iso(state.backup.snapshot_at),
        "age_seconds": age_seconds(state),
    }


def age_seconds(state: RestoreState) -> int:
    """How old the data is that is restored: what is lost of what was written since."""
    return max(0, int((state.now - state.backup.snapshot_at).total_seconds()))


def predicted(state: RestoreState, work: Work) -> dict[str, Any]:
    """The result with null for what only the real run knows; it fills in the same keys."""
    return {
        "id": state.restore_id,
        "backup": _backup_facts(state),
        "database": state.target_database,
        "target_database": state.target_database,
        "temporary_database": state.attempt.database,
        "oid": None,
        "endpoint": state.endpoint,
        "server": {"version": state.server.version, "system_identifier": state.server.system_identifier},
        "bytes": sum(archive.bytes for archive in work.manifest.archives),
        "bytes_needed": bytes_needed(work.manifest),
        "bytes_free": work.bytes_free,
        "tables_compared": None,
        "rows_compared": None,
        "roles_created": list(work.roles_to_create),
        "skipped": list(work.losses),
        "durations": None,
        "rpo_seconds": age_seconds(state),
    }


def build_steps(state: RestoreState, work: Work) -> list[str]:
    """How the database comes to stand there, compared, under its temporary name."""
    manifest, name = work.manifest, state.attempt.database
    steps = []
    if state.rebinds:
        steps.append("Bind the name to this server, instead of the one that it stood for.")
    if state.mark is not None and state.mark.phase == FINISHED:
        steps.append(f"Restore again: the database that restore {state.restore_id} made is no longer on this server.")
    steps += [f"Drop database {left.database}, which run {left.run_id} has left behind." for left in work.leftovers]
    steps += [f"Create role {role} without login." for role in work.roles_to_create]
    free = "unknown" if work.bytes_free is None else human_bytes(work.bytes_free)
    needed = human_bytes(bytes_needed(manifest))
    steps.append(f"Create database {name} on {state.endpoint} (about {needed} needed, free: {free}).")
    size = human_bytes(sum(archive.bytes for archive in manifest.archives))
    taken = f"taken {human(age_seconds(state))} ago at {iso(manifest.snapshot_at)}"
    steps.append(
        f"Load backup {manifest.backup_id} of {manifest.environment}/{manifest.name} ({size}, {taken}) "
        f"with pg_restore {work.tool_version}, checking its SHA-256."
    )
    if work.losses:
        steps.append(f"Leave out {counted(len(work.losses), 'thing')}, listed in skipped.")
    steps.append(
        f"Compare the rows of {counted(len(counted_tables(manifest)), 'table')} with the backup, and gather statistics."
    )
    return steps


def _diff(state: RestoreState, name: str | None) -> dict[str, Any]:
    if name is None:
        return {"database": None}
    return {"database": name, "backup": state.backup.id, "snapshot_at": iso(state.backup.snapshot_at)}
