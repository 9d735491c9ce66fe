# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module postgres_backup_info (private to ops.runbooks): which backups there are, and how old the newest is.

Reads the index (one request for a thousand backups) and the manifest of the newest good backup, and looks whether its
archives are there; connects to no server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import (
    age,
    clocks_differ,
    human_bytes,
    iso,
    parse_duration,
    parse_iso,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import (
    Backups,
    Listed,
    selection_hash,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import KINDS, Manifest, Selection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import table_name
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.stored import Stored, stored
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.table_history import rows_of
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

INFO_SPEC = STORE_SPEC.merge(
    ArgumentSpec(
        options={
            "kind": {"type": "str", "choices": list(KINDS)},
            "selection": {"type": "raw", "default": "whole"},
            "since": {"type": "str"},
            "limit": {"type": "int", "default": 50},
            "tables": {"type": "list", "elements": "str", "default": []},
            "rpo": {"type": "str", "default": "26h"},
        }
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What was found: the backups of the selection, their number and the newest of them with verdicts, newest first;
    and the manifest and the verdict of the newest good one of all."""

    total: int
    shown: tuple[tuple[Listed, Verdict], ...]
    of_other_selections: int
    stored: Stored
    newest: Manifest | None
    newest_verdict: Verdict
    #: The rows of the tables that were named, by backup.
    tables: Mapping[str, list[dict[str, Any]]]
    #: Why it could not be restored: an object of it is gone or of another size. None where all are there.
    damage: str | None
    now: datetime


class BackupInfo(Operation[Inventory, Plan]):
    """List backups and judge the age of the newest."""

    noun: ClassVar[str] = "backups"
    spec: ClassVar[ArgumentSpec] = INFO_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        if params["limit"] < 1:
            raise RunbookError(
                code="invalid_parameter",
                attempted="use limit",
                object=str(params["limit"]),
                reason="at least one backup must be shown",
                remedy="Give limit another value.",
            )
        self._selection = selection_hash(params["selection"])
        self._tables = tuple(dict.fromkeys(table_name(text, "tables") for text in params["tables"]))
        self._since = None if params["since"] is None else parse_iso(params["since"], "read the parameter since")
        self._rpo = parse_duration(params["rpo"], "rpo")

    def observe(self) -> Inventory:
        """One pass over the index, and one manifest."""
        backups = Backups(self.store, self.params["environment"], self.params["name"], self.context)
        everything = list(backups.listed(since=self._since))
        listed = [each for each in everything if self._selection in (None, each.entry.selection_hash)]
        newest = backups.first_with_manifest(reversed(listed))
        if newest is None and self._since is not None:
            newest = backups.newest(self._selection, until=self._since)
        wanted = [each for each in listed if self.params["kind"] in (None, each.entry.kind)]
        shown = tuple(backups.judged(wanted[: -self.params["limit"] - 1 : -1]))
        return Inventory(
            total=len(wanted),
            shown=shown,
            tables=rows_of(backups, [listed for listed, _verdict in shown], self._tables),
            of_other_selections=len(everything) - len(listed),
            stored=stored(backups, wanted),
            newest=newest,
            newest_verdict=Verdict() if newest is None else backups.verdict_on(newest),
            damage=None if newest is None else _damage(backups, newest),
            now=self.context.clock.now(),
        )

    def plan(self, state: Inventory) -> Plan:
        """The answer; there is nothing to change."""
        wrong = None if state.newest is None else clocks_differ(state.newest.snapshot_at, state.now)
        latest = None
        if state.newest is not None:
            latest = {**describe(state.newest, state.newest_verdict, state.now), "damage": state.damage}
        warnings = (state.damage, f"The age of the newest backup is not known: {wrong}." if wrong else None)
        return Plan(
            changed=False,
            result={
                "environment": self.params["environment"],
                "name": self.params["name"],
                "store": self.store.url,
                "total": state.total,
                "of_other_selections": state.of_other_selections,
                "candidates": [
                    candidate(each, verdict, state.now)
                    | ({"tables": state.tables[each.entry.backup_id]} if self._tables else {})
                    for each, verdict in state.shown
                ],
                "latest": latest,
                "stored": state.stored.describe(state.now),
                "rpo": judge(None if state.damage else state.newest, state.now, self._rpo),
            },
            warnings=tuple(each for each in warnings if each),
        )

    def act(self, state: Inventory, plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("an information module has nothing to carry out")


def _damage(backups: Backups, manifest: Manifest) -> str | None:
    """What is wrong with the objects of a backup, as a sentence; one request for each of them."""
    try:
        backups.require_objects(manifest)
    except RunbookError as error:
        if error.code not in ("object_missing", "object_corrupt"):
            raise
        return error.message
    return None


def candidate(listed: Listed, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """A backup as the index and its verdict know it."""
    entry = listed.entry
    return {
        "id": entry.backup_id,
        "snapshot_at": iso(entry.snapshot_at),
        "age_seconds": age(entry.snapshot_at, now),
        "kind": entry.kind,
        "bytes": entry.bytes,
        "size": human_bytes(entry.bytes),
        "selection": "whole" if entry.selection_hash == Selection().hash else entry.selection_hash,
        "state": verdict.state,
        "suspect_reason": verdict.suspect_reason,
        "held": verdict.held,
    }


def describe(manifest: Manifest, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """A backup as its manifest knows it."""
    return {
        "id": manifest.backup_id,
        "snapshot_at": iso(manifest.snapshot_at),
        "age_seconds": age(manifest.snapshot_at, now),
        "kind": manifest.kind,
        "bytes": manifest.bytes,
        "selection": manifest.selection.describe(),
        "state": verdict.state,
        "database": manifest.database.name,
        "server_version": manifest.server.version,
        "encryption": manifest.encryption,
        "age_recipients": list(manifest.age_recipients),
        "tables": len(manifest.tables),
        "rows": manifest.rows,
        "restore_by_hand": list(manifest.restore_by_hand.commands),
    }


def judge(newest: Manifest | None, now: datetime, allowed: timedelta) -> dict[str, Any]:
    """Whether more could be lost than is allowed: the newest good backup is older, or there is none of known age."""
    known = newest is not None and clocks_differ(newest.snapshot_at, now) is None
    old = age(newest.snapshot_at, now) if newest is not None and known else None
    seconds = int(allowed.total_seconds())
    return {"seconds": seconds, "age_seconds": old, "past": old is None or old > seconds}
