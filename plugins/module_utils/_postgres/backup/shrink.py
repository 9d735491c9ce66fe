# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a database has lost much since its last good backup (private to ops.runbooks); pure.

A dump of a database that was emptied by mistake is as whole as any. It must not push the last good backup out of
retention, nor be what ``latest`` restores. Rows are compared where both backups counted them, since a table's bytes
also shrink where nothing is lost; bytes where one of the two did not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human_bytes, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, TableFact, TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verdict import Verdict

#: Below this, half of a database is a morning's work on it: only one that has lost everything is worth a look.
_FEW_ROWS = 1000
_VERY_FEW_ROWS = 20
_FEW_BYTES = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Amount:
    """What two backups can be compared by: rows counted in both, bytes of tables that one of them did not count."""

    rows: int
    bytes: int


def shrunk(before: Manifest, tables: Iterable[TableFact], threshold: int) -> str | None:
    """Why a backup with ``tables`` is suspect, measured by the one before; None where it is not.

    ``threshold`` is how much may be missing, in percent of what was there.
    """
    now = {table.table: table for table in tables if _has_rows(table)}
    then = {table.table: table for table in before.tables if _has_rows(table)}
    uncounted = {name for name, table in [*now.items(), *then.items()] if table.rows is None}
    was, found = _amount(then, uncounted), _amount(now, uncounted)
    since = f"backup {before.backup_id} of {iso(before.snapshot_at)}"
    if _lost(was.rows, found.rows, threshold, few=_FEW_ROWS, very_few=_VERY_FEW_ROWS):
        return f"it holds {found.rows} rows in tables that held {was.rows} in {since}"
    if _lost(was.bytes, found.bytes, threshold, few=_FEW_BYTES, very_few=_FEW_BYTES):
        return f"it holds {human_bytes(found.bytes)} in uncounted tables that held {human_bytes(was.bytes)} in {since}"
    return None


def _has_rows(table: TableFact) -> bool:
    return table.kind == "table" and table.data and table.extension is None


def _amount(tables: dict[TableName, TableFact], uncounted: set[TableName]) -> _Amount:
    counted = [table.rows or 0 for name, table in tables.items() if name not in uncounted]
    return _Amount(rows=sum(counted), bytes=sum(table.bytes for name, table in tables.items() if name in uncounted))


def _lost(before: int, after: int, threshold: int, *, few: int, very_few: int) -> bool:
    if before < few:
        return threshold < 100 and before >= very_few and after == 0
    return (before - after) * 100 > before * threshold


def refusal(manifest: Manifest, verdict: Verdict, where: str) -> RunbookError:
    """The failure for a backup that exists and does not count."""
    attempted = "back up the database"
    reason = (verdict.suspect_reason or "its manifest says so").rstrip(".")
    if verdict.suspect_cause != "shrunk":
        return RunbookError(
            code="backup_unusable",
            attempted=attempted,
            object=where,
            reason=f"backup {manifest.backup_id} exists and is suspect: {reason}",
            remedy="Take one of another id, or delete this one with state absent and run this again.",
        )
    return RunbookError(
        code="backup_shrunk",
        attempted=attempted,
        object=where,
        reason=f"backup {manifest.backup_id} was stored and does not count, since {reason}",
        remedy="Find out what became of the rows. Where the database is meant to be that small, run this again with "
        "accept_shrink (playbook: -e accept_shrink=yes); where they are lost, restore the earlier backup; where they "
        "are back by now, take one under another backup_id (playbook: -e backup=).",
        details={"backup": manifest.backup_id, "reason": reason},
    )
