# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleting one backup (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human_bytes, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import MOST_DELETED
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.plan import describe
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import MARKS
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A backup that is to be deleted: its manifest where it has one, and every key that belongs to it."""

    backup_id: str
    store_url: str
    label: str
    now: datetime
    manifest: Manifest | None
    index: tuple[str, ...]
    objects: tuple[str, ...]
    newest_good: bool
    verdict: Verdict = field(default_factory=Verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPlan(Plan):
    """``keys`` in the order of their deletion: what makes it count first, what it consists of last."""

    keys: tuple[str, ...] = ()


def observe(backups: Backups, backup_id: str, context: Context) -> Doomed:
    """Read what there is of a backup; no connection to its database is needed."""
    manifest = backups.manifest(backup_id)
    newest = backups.newest(manifest.selection.hash) if manifest else None
    return Doomed(
        backup_id=backup_id,
        store_url=backups.store.url,
        label=backups.label,
        now=context.clock.now(),
        manifest=manifest,
        index=tuple(backups.index_keys(manifest)) if manifest else (),
        objects=tuple(each.key for each in backups.store.list(backups.prefix(backup_id))),
        verdict=backups.verdict_on(manifest) if manifest else Verdict(),
        newest_good=manifest is not None and newest is not None and newest.backup_id == backup_id,
    )


def plan_removal(seen: Doomed, *, force: bool) -> RemovalPlan:
    """The decision; pure. Raises ``backup_protected``."""
    if seen.manifest is None and not seen.objects:
        return RemovalPlan(changed=False, result=_absent(seen))
    _check_allowed(seen, force)
    others = sum(not _is_manifest(key) for key in seen.objects)
    what = f"backup {seen.backup_id}"
    if seen.manifest is None:
        what = f"the {others} objects that an unfinished deletion or run left of backup {seen.backup_id}"
        lost: tuple[str, ...] = ()
    else:
        taken, size = iso(seen.manifest.snapshot_at), human_bytes(seen.manifest.bytes)
        lost = (
            f"backup {seen.backup_id} of {taken} ({size}) cannot be brought back, unless the bucket keeps versions",
        )
    return RemovalPlan(
        changed=True,
        result=_absent(seen),
        steps=(f"delete {what} from {seen.label}: index key, manifest, then {others} objects",),
        irreversible=lost,
        before={"backup": {"id": seen.backup_id, "state": seen.manifest.state if seen.manifest else "unfinished"}},
        after={"backup": None},
        keys=in_order(seen.index, seen.objects),
    )


def in_order(index: Iterable[str], objects: Iterable[str]) -> tuple[str, ...]:
    """The keys of a backup in the order of their deletion. A mark outlives the plain index key, which sorts before it:
    so a suspect backup is never listed as a good one."""
    found = sorted(objects, key=lambda key: (not _is_manifest(key), key))
    return (*sorted(index), *found)


def delete(backups: Backups, *doomed: Sequence[str], context: Context) -> None:
    """Delete the keys of backups, each in the order of :func:`in_order`, as many of them as go in one request.

    A run that dies in between leaves objects, never a backup that counts and lacks some: the plain index keys of all go
    before marks, these before manifests, and all of that before anything else.
    """
    steps: tuple[list[str], ...] = ([], [], [], [])
    for keys in doomed:
        for key in keys:
            steps[_step(backups, key)].append(key)
    for step in steps:
        for at in range(0, len(step), MOST_DELETED):
            batch = step[at : at + MOST_DELETED]
            context.effect(f"delete {batch[0]}" + (f" and {len(batch) - 1} more" if len(batch) > 1 else ""))
            backups.store.delete_all(batch)


def _step(backups: Backups, key: str) -> int:
    if key.startswith(backups.prefix("").rstrip("/") + "/"):
        return 2 if _is_manifest(key) else 3
    return 1 if key.rsplit(".", 1)[-1] in MARKS else 0


def act(backups: Backups, plan: RemovalPlan, context: Context) -> Mapping[str, Any]:
    """See :func:`delete`."""
    delete(backups, plan.keys, context=context)
    return plan.result


def _is_manifest(key: str) -> bool:
    return key.endswith("/manifest.json")


def _check_allowed(seen: Doomed, force: bool) -> None:
    if seen.verdict.held:
        raise _protected(
            seen, f"it is held: {seen.verdict.hold_reason}", "Release the hold first; force does not override it."
        )
    if seen.newest_good and not force:
        reason = "it is the newest good backup of its selection"
        raise _protected(seen, reason, "Take another one first, or set force: true.")


def _protected(seen: Doomed, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="backup_protected",
        attempted=f"delete backup {seen.backup_id}",
        object=seen.label,
        reason=reason,
        remedy=remedy,
    )


def _absent(seen: Doomed) -> dict[str, Any]:
    """What was deleted, as far as it was known, in state absent."""
    known = describe(seen.manifest, None, store_url=seen.store_url, now=seen.now) if seen.manifest else {}
    return {**known, "id": seen.backup_id, "state": "absent", "store": seen.store_url}
