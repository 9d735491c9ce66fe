# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables through the backups (private to ops.runbooks): in which of them a table is, and with how many rows.

Manifests hold the rows of each table, so that "it was deleted yesterday" is answered without restoring anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import age, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups, Listed
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, TableName

#: How far back one look goes.
MOST = 50


def rows_in(manifest: Manifest | None, wanted: Collection[TableName]) -> list[dict[str, Any]]:
    """Each of the tables as one backup has it; rows are null where they were not counted, or lie in partitions."""
    known = {table.table: table for table in manifest.tables} if manifest is not None else {}
    return [
        {"table": name.text, "in_backup": name in known, "rows": known[name].rows if name in known else None}
        for name in wanted
    ]


def history(backups: Backups, wanted: Collection[TableName], now: datetime) -> list[dict[str, Any]]:
    """The newest backups of whatever selection, newest first. One request for each."""
    newest = list(backups.listed())[: -MOST - 1 : -1]
    tables = rows_of(backups, newest, wanted)
    return [
        {
            "id": listed.entry.backup_id,
            "snapshot_at": iso(listed.entry.snapshot_at),
            "age_seconds": age(listed.entry.snapshot_at, now),
            "state": verdict.state,
            "tables": tables[listed.entry.backup_id],
        }
        for listed, verdict in backups.judged(newest)
    ]


def rows_of(
    backups: Backups, listed: Iterable[Listed], wanted: Collection[TableName]
) -> dict[str, list[dict[str, Any]]]:
    """The tables in each of these backups. One whose manifest is gone or damaged has none of them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in listed if wanted else ():
        try:
            manifest = backups.manifest(each.entry.backup_id)
        except RunbookError as error:
            if error.code not in ("object_corrupt", "document_too_new"):
                raise
            manifest = None
        found[each.entry.backup_id] = rows_in(manifest, wanted)
    return found


def last_with(candidates: Iterable[dict[str, Any]], table: TableName) -> str:
    """Which of the candidates has the table last, in words."""
    for each in candidates:
        for found in each["tables"]:
            if found["table"] == table.text and found["in_backup"] and each["state"] != "suspect":
                rows = "rows that were not counted" if found["rows"] is None else f"{found['rows']} rows"
                return f"the newest that has {table.text} is {each['id']} of {each['snapshot_at']}, with {rows}"
    return f"none of the newest {MOST} has {table.text}"
