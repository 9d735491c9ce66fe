# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became known of a backup after it was taken (private to ops.runbooks): proven, suspect, held.

The truth lies beside the manifest, which is never rewritten: ``proven.json``, and the documents ``suspicion`` and
``hold``. Marks in the index only say that there is something to read, and may be stale, since whoever takes backups
need not be able to delete. A mark is therefore written before the document that makes a backup count for less, and
counts by itself where that document is missing; the mark of a proof follows its document. Each document names the
run that took the backup: ids can be taken again, and a deletion that died on its way may have left what it says.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import BackupEntry, Manifest

#: What a backup can be, from least to most trusted.
STATES = ("suspect", "complete", "proven")
#: Why a backup is suspect: the database had shrunk when it was taken, or an object is not what the manifest says.
CAUSES = ("shrunk", "damaged")
_SCHEMA = 1
_UNSAID = "its index key says so, and the document that tells why is not there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What counts of a backup. ``state`` is suspect, complete or proven; suspicion outweighs a proof."""

    state: str = "complete"
    suspect_cause: str | None = None
    suspect_reason: str | None = None
    suspect_level: str | None = None
    held: bool = False
    hold_reason: str | None = None

    @property
    def good(self) -> bool:
        """Whether it counts as a backup at all: for ``latest``, ``max_age``, RPO and floors."""
        return self.state != "suspect"

    def reaches(self, min_state: str) -> bool:
        """Whether it is trusted at least as much as ``min_state``."""
        return STATES.index(self.state) >= STATES.index(min_state)


def read(backups: Backups, entry: BackupEntry, marks: Collection[str], manifest: Manifest | None = None) -> Verdict:
    """The verdict on a backup; documents are read only where a mark, or the manifest's own state, points at them."""
    own = manifest is not None and manifest.state == "suspect"
    suspicion: Mapping[str, Any] = {}
    if "suspect" in marks or own:
        suspicion = document(backups, entry, "suspicion", manifest) or _unwritten(manifest if own else None)
    hold: Mapping[str, Any] = {}
    if "held" in marks:
        hold = document(backups, entry, "hold", manifest) or {"held": True, "reason": _UNSAID}
    suspect, held = suspicion.get("suspect") is True, hold.get("held") is True
    return Verdict(
        state="suspect" if suspect else "proven" if "proven" in marks else "complete",
        suspect_cause=_text(suspicion, "cause") if suspect else None,
        suspect_reason=_text(suspicion, "reason") if suspect else None,
        suspect_level=_text(suspicion, "level") if suspect else None,
        held=held,
        hold_reason=_text(hold, "reason") if held else None,
    )


def accepted(found: Verdict) -> Verdict:
    """The verdict without its suspicion."""
    return replace(found, state="complete", suspect_cause=None, suspect_reason=None)


def with_hold(found: Verdict, held: bool, reason: str | None) -> Verdict:
    """The verdict with another hold."""
    return replace(found, held=held, hold_reason=reason)


def set_held(backups: Backups, manifest: Manifest, held: bool, reason: str, context: Context) -> None:
    """Hold a backup, so that nobody deletes it, or let it go."""
    body = {"held": held, "reason": reason, "at": iso(context.clock.now())}
    _set(backups, manifest, ("hold", "held"), body, counts=held, context=context)


def set_suspicion(
    backups: Backups,
    manifest: Manifest,
    suspect: bool,
    cause: str,
    reason: str,
    context: Context,
    *,
    level: str | None = None,
) -> None:
    """Call a backup suspect, so that it counts for nothing, or take that back.

    ``level`` is that of the verification which found the damage.
    """
    if cause not in CAUSES:
        raise ValueError(f"{cause} is no cause of suspicion")
    body = {"suspect": suspect, "cause": cause, "reason": reason, "at": iso(context.clock.now()), "level": level}
    _set(backups, manifest, ("suspicion", "suspect"), body, counts=suspect, context=context)


def set_proven(backups: Backups, manifest: Manifest, evidence: Mapping[str, Any], context: Context) -> bool:
    """Record that a backup was restored and compared. False where that was on record already; the first proof stays.

    One that a deleted backup of the same id has left behind gives way: ids can be taken again, run tokens cannot.
    """
    known = {"schema": _SCHEMA, "backup_id": manifest.backup_id, "run_token": manifest.run_token}
    body = json.dumps(
        {**evidence, **known, "at": iso(context.clock.now())}, indent=1, sort_keys=True, ensure_ascii=False
    ).encode()
    context.effect(f"record that backup {manifest.backup_id} is proven")
    key = proof_key(backups, manifest.backup_id)
    created = backups.create(key, body)
    if not created and proof(backups, manifest) is None:
        context.effect(f"write {key}")
        backups.store.put(key, body)
        created = True
    backups.write_index(manifest, "proven")
    return created


def proof(backups: Backups, manifest: Manifest) -> Mapping[str, Any] | None:
    """What ``proven.json`` says of this very backup; None where nothing does. Raises ``object_corrupt``."""
    key = proof_key(backups, manifest.backup_id)
    raw = backups.store.get(key)
    if raw is None:
        return None
    try:
        body = json.loads(raw)
        if not isinstance(body, dict):
            raise ValueError("it is no object")
        parse_iso(str(body["at"]), "read the time of a proof")
    except (KeyError, ValueError, RecursionError, RunbookError) as error:
        raise RunbookError(
            code="object_corrupt",
            attempted="read the proof of a backup",
            object=f"{key} in {backups.store.url}",
            reason="it is not the record of a test restore",
            remedy="Find out who changed this object, delete it, and test the backup again.",
        ) from error
    return body if body.get("run_token") == manifest.run_token else None


def proof_key(backups: Backups, backup_id: str) -> str:
    """The key of ``proven.json``."""
    return f"{backups.prefix(backup_id)}proven.json"


def document(
    backups: Backups, entry: BackupEntry, name: str, manifest: Manifest | None = None
) -> Mapping[str, Any] | None:
    """What ``suspicion`` or ``hold`` says of this very backup; None where nothing does."""
    found = _series(backups, entry.backup_id, name).current()
    if found is None:
        return None
    known = {"snapshot_at": iso(entry.snapshot_at)} | ({"run_token": manifest.run_token} if manifest else {})
    return found.body if all(found.body.get(key, value) == value for key, value in known.items()) else None


def _series(backups: Backups, backup_id: str, name: str) -> Series:
    where = f"{backups.prefix(backup_id)}{name}"
    return Series(backups.store, where, schema=_SCHEMA, create=backups.create)


def _unwritten(manifest: Manifest | None) -> Mapping[str, Any]:
    """What counts without a document: the manifest's own word, or a mark whose writer came no further."""
    if manifest is None:
        return {"suspect": True, "cause": "damaged", "reason": _UNSAID}
    return {"suspect": True, "cause": "shrunk", "reason": manifest.suspect_reason or "its manifest says so"}


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else str(value)


def _set(
    backups: Backups,
    manifest: Manifest,
    names: tuple[str, str],
    body: Mapping[str, Any],
    *,
    counts: bool,
    context: Context,
) -> None:
    name, mark = names
    if counts:
        backups.write_index(manifest, mark)
    series = _series(backups, manifest.backup_id, name)
    current = series.current()
    whose = {"run_token": manifest.run_token, "snapshot_at": iso(manifest.snapshot_at)}
    context.effect(f"record the {name} of backup {manifest.backup_id}")
    if series.create_next({**body, **whose}, after=current.number if current else 0) is None:
        raise RunbookError(
            code="lock_lost",
            attempted=f"record the {name} of backup {manifest.backup_id}",
            object=backups.label,
            reason="another run recorded something about it at the same time",
            remedy="Run the same command again.",
        )
    if not counts:
        backups.forget_mark(manifest, mark)
