# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What retention must know before it decides (private to ops.runbooks).

Two lists tell nearly all, the index and the objects of all backups, a thousand a request. The manifest is read of
whatever the decision rests on: of each backup that the floor counts, whose archives must be there, and of each that is
to go. Where one of them is not what the index says, it is decided anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import CLOCKS_MAY_DIFFER, human
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Protection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import verdict
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups, entry_of
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import BackupEntry, Manifest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.plan import (
    Candidate,
    Decision,
    Policy,
    decide,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.expire import Aside
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sweep import pending, under_way

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: What says that a backup is not what it should be, and nothing of the store as a whole.
_DAMAGE = ("object_corrupt", "object_missing", "document_too_new")
#: Documents beside a manifest, and the marks that they stand for.
_DOCUMENTS = {"suspicion": "suspect", "hold": "held"}
#: What runs write below a backup's prefix: archives under their token, and documents. All else is somebody else's.
_OURS = re.compile(r"^(?:[0-9a-f]{12}|manifest\.json|proven\.json|hold|suspicion|verified)$")


@dataclass(slots=True)
class Holding:
    """What lies below one backup's prefix."""

    keys: list[str] = field(default_factory=list)
    bytes: int = 0
    parts: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether there is a manifest."""
        return "manifest.json" in self.parts

    @property
    def ours(self) -> bool:
        """Whether nothing is in it but what runs write."""
        return all(map(_OURS.match, self.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All that the decision needs.

    By backup id: ``identities`` are entry and run token of what was looked at, ``index`` all index keys, ``locks`` why
    a backup is locked, ``unindexed`` the marks of those without an index key, ``remains`` the bytes of what is no
    backup. ``leftovers`` is how many things ``sweep`` would look at. ``aside`` are the databases that swaps have put
    aside, None where nobody could look.
    """

    label: str
    store_url: str
    now: datetime
    candidates: tuple[Candidate, ...]
    identities: Mapping[str, tuple[BackupEntry, str]]
    index: Mapping[str, tuple[str, ...]]
    locks: Mapping[str, str]
    protection: Protection
    unindexed: Mapping[str, frozenset[str]]
    remains: Mapping[str, int]
    leftovers: int
    notes: tuple[str, ...]
    aside: tuple[Aside, ...] | None = ()


def observe(backups: Backups, policy: Policy, context: Context) -> Observed:
    """Read the world. Raises what :meth:`Backups.require_objects` does where a newest good backup is damaged."""
    return _Survey(backups, policy, context).run()


class _Survey:
    def __init__(self, backups: Backups, policy: Policy, context: Context) -> None:
        self._backups = backups
        self._policy = policy
        self._context = context
        self._candidates: dict[str, Candidate] = {}
        self._marks: dict[str, frozenset[str]] = {}
        self._identities: dict[str, tuple[BackupEntry, str]] = {}
        self._notes: list[str] = []

    def run(self) -> Observed:
        # The index before the objects: what is completed in between is then not taken for one that is gone.
        listed: dict[str, dict[BackupEntry, frozenset[str]]] = {}
        for each in self._backups.listed():
            listed.setdefault(each.entry.backup_id, {})[each.entry] = each.marks
        holdings = self._holdings()
        now = self._now()
        unindexed = [name for name, holding in holdings.items() if holding.complete and name not in listed]
        for backup_id in sorted({*listed, *unindexed}):
            self._add(backup_id, listed.get(backup_id, {}), holdings.get(backup_id, Holding()))
        decision = self._settled(now)
        store = self._backups.store
        protection = store.protection()
        locks = self._locks(decision, holdings) if protection.object_lock else {}
        self._candidates |= {name: replace(self._candidates[name], locked=True) for name in locks}
        return Observed(
            label=self._backups.label,
            store_url=store.url,
            now=now,
            candidates=tuple(self._candidates.values()),
            identities=self._identities,
            index={name: self._index_keys(entries) for name, entries in listed.items()},
            locks=locks,
            protection=protection,
            unindexed={name: self._lost_marks(name) for name in unindexed if name in self._candidates},
            remains=self._remains({*holdings} - {*listed}, holdings),
            leftovers=pending(self._backups, self._context),
            notes=tuple(self._notes),
        )

    def _index_keys(self, entries: Mapping[BackupEntry, frozenset[str]]) -> tuple[str, ...]:
        marked = ((entry, mark) for entry, marks in entries.items() for mark in ("", *sorted(marks)))
        return tuple(self._backups.index_key(replace(entry, mark=mark)) for entry, mark in marked)

    def _lost_marks(self, backup_id: str) -> frozenset[str]:
        """What its index keys have to say: that it is held, or suspect, whatever document says so."""
        suspect = {"suspect"} if self._candidates[backup_id].state == "suspect" else set()
        return self._marks[backup_id] | suspect

    def _now(self) -> datetime:
        """The earlier of this machine's clock and the store's: what is dated after it, nobody knows the age of."""
        here, there = self._context.clock.now(), self._backups.store.now()
        if abs(here - there) > CLOCKS_MAY_DIFFER:
            apart = human(abs(here - there).total_seconds())
            self._notes.append(f"This machine's clock and the store's are {apart} apart; the earlier one was used.")
        return min(here, there)

    def _holdings(self) -> dict[str, Holding]:
        holdings: dict[str, Holding] = {}
        root = self._backups.prefix("").rstrip("/") + "/"
        for stored in self._backups.store.list(root):
            backup_id, _slash, rest = stored.key.removeprefix(root).partition("/")
            if not rest:
                continue
            holding = holdings.setdefault(backup_id, Holding())
            holding.keys.append(stored.key)
            holding.bytes += stored.size
            holding.parts.add(rest.partition("/")[0])
        return holdings

    def _add(self, backup_id: str, entries: Mapping[BackupEntry, frozenset[str]], holding: Holding) -> None:
        """One backup, by its index entry; by its manifest where it has none, or several that contradict each other."""
        if not holding.complete:
            self._notes.append(f"The index lists backup {backup_id}, which has no manifest; it was left as it is.")
            return
        manifest = None if len(entries) == 1 else self._manifest(backup_id)
        if manifest is None and len(entries) != 1:
            return
        entry = next(iter(entries)) if manifest is None else entry_of(manifest)
        marks = frozenset().union(*entries.values())
        # What the index has lost, or was told to forget; not what a backup of the same id has left behind.
        marks |= {
            mark
            for part, mark in _DOCUMENTS.items()
            if part in holding.parts and mark not in marks and verdict.document(self._backups, entry, part, manifest)
        }
        # A proof is one of this backup only where the mark says so too: ids can be taken again.
        marks -= {"proven"} if "proven.json" not in holding.parts else set()
        self._marks[backup_id] = marks
        self._judge(entry, manifest)

    def _judge(self, entry: BackupEntry, manifest: Manifest | None) -> None:
        found = verdict.read(self._backups, entry, self._marks[entry.backup_id], manifest)
        self._candidates[entry.backup_id] = Candidate(
            backup_id=entry.backup_id,
            snapshot_at=entry.snapshot_at,
            kind=entry.kind,
            selection_hash=entry.selection_hash,
            bytes=entry.bytes,
            state=found.state,
            held=found.held,
        )

    def _manifest(self, backup_id: str) -> Manifest | None:
        try:
            return self._backups.by_id(backup_id)
        except RunbookError as error:
            if error.code not in (*_DAMAGE, "backup_not_found"):
                raise
            self._notes.append(f"Backup {backup_id} was left as it is: {error.message}")
            return None

    def _settled(self, now: datetime) -> Decision:
        """Decide until everything that the decision rests on was looked at; each backup is looked at once."""
        looked: set[tuple[str, bool]] = set()
        while True:
            decision = decide(self._candidates.values(), self._policy, now)
            resting = {(name, True) for name in (*decision.floor, *decision.newest)}
            resting |= {(each.backup_id, False) for each in decision.removed}
            if resting <= looked:
                return decision
            for name, whole in sorted(resting - looked):
                self._look_at(name, whole, decision)
            looked |= resting

    def _look_at(self, backup_id: str, whole: bool, decision: Decision) -> None:
        """Read the manifest, and where ``whole`` matters see that each archive is there."""
        candidate = self._candidates[backup_id]
        try:
            manifest = self._backups.by_id(backup_id)
            if whole:
                self._backups.require_objects(manifest)
        except RunbookError as error:
            if error.code not in (*_DAMAGE, "backup_not_found"):
                raise
            if backup_id in decision.newest:
                raise self._refused(backup_id, error) from error
            self._notes.append(f"Backup {backup_id} counts for nothing and was left as it is: {error.message}")
            self._candidates[backup_id] = replace(candidate, state="damaged")
            return
        self._identities[backup_id] = (entry_of(manifest), manifest.run_token)
        self._judge(entry_of(manifest), manifest)

    def _refused(self, backup_id: str, error: RunbookError) -> RunbookError:
        return RunbookError(
            code=error.code if error.code != "backup_not_found" else "object_missing",
            attempted="remove old backups",
            object=self._backups.label,
            reason=f"the newest good backup, {backup_id}, is damaged ({error.object}: {error.reason}), so that the old "
            "ones may be all there is",
            remedy=error.remedy,
        )

    def _locks(self, decision: Decision, holdings: Mapping[str, Holding]) -> dict[str, str]:
        """What Object Lock says of the backups that are to go: one locked object is enough."""
        found = {}
        for each in decision.removed:
            reasons = map(self._backups.store.locked, holdings[each.backup_id].keys)
            if reason := next(filter(None, reasons), None):
                found[each.backup_id] = reason
        return found

    def _remains(self, names: Iterable[str], holdings: Mapping[str, Holding]) -> dict[str, int]:
        """Objects without manifest and index key, by what was a backup or should have become one, and their bytes."""
        without = {name for name in names if not holdings[name].complete and holdings[name].ours}
        if without:
            without -= under_way(self._backups)
        # One that was completed since the objects were listed has its manifest by now.
        gone = (name for name in sorted(without) if self._backups.store.head(self._backups.manifest_key(name)) is None)
        return {name: holdings[name].bytes for name in gone}
