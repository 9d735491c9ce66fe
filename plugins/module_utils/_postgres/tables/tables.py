# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring single tables into a database of their own (private to ops.runbooks): the look before, and the plan.

It is a restore beside the live database like any other, of a part of the backup. What it adds is the answer to which
backup to take, and the commands that put rows back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import Attempt
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.observe import Observer
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import (
    RestorePlan,
    RestoreState,
    decide,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.prepare import Share
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.table_history import history, last_with
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tables.put_back import put_back
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tables.scope import choose, lacking, members

_PRESENT = "SELECT pg_catalog.to_regclass(%s) IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class TablesState(RestoreState):
    """What was found. ``candidates`` are backups with the rows of each table; ``put_back`` is how rows come back."""

    tables: tuple[str, ...]
    candidates: tuple[Mapping[str, Any], ...]
    put_back: tuple[Mapping[str, Any], ...]


class TablesObserver(Observer):
    """Looks at store and server for some tables."""

    _candidates: tuple[dict[str, Any], ...] = ()
    _put_back: tuple[dict[str, Any], ...] = ()

    def observe(self, attempt: Attempt, *, rebinds: bool) -> TablesState:
        """See :meth:`Observer.observe`."""
        state = super().observe(attempt, rebinds=rebinds)
        fields = {name: getattr(state, name) for name in RestoreState.__dataclass_fields__}
        tables = tuple(name.text for name in self._options.tables)
        return TablesState(**fields, tables=tables, candidates=self._candidates, put_back=self._put_back)

    def share(self, manifest: Manifest) -> Callable[[tuple[Head, ...]], Share]:
        """The tables, which the backup must have. Raises ``table_missing``, naming the backup that has them last."""
        self._candidates = tuple(history(self._source, self._options.tables, self._context.clock.now()))
        if missing := lacking(manifest, self._options.tables):
            known = "; ".join(last_with(self._candidates, name) for name in missing)
            raise RunbookError(
                code="table_missing",
                attempted="restore single tables",
                object=f"backup {manifest.backup_id} of {manifest.environment}/{manifest.name}",
                reason=f"it does not have {', '.join(name.text for name in missing)}",
                remedy=f"Of the backups, {known}. Name that one, or correct tables (schema.table, as it is stored).",
                details={"candidates": [dict(each) for each in self._candidates]},
            )
        return lambda heads: self._share(manifest, heads)

    def _share(self, manifest: Manifest, heads: tuple[Head, ...]) -> Share:
        chosen = choose(manifest, heads, self._options.tables)
        live = self._connector.address.keywords.get("dbname")
        self._put_back = tuple(
            put_back(
                {name: members(heads, name) for name in self._options.tables},
                heads,
                endpoint=self._session.endpoint,
                copy=self._options.target_database,
                live=live,
                present=self._present(live),
            )
        )
        return Share(manifest=chosen.manifest, heads=chosen.heads, losses=chosen.losses)

    def _present(self, live: str | None) -> dict[TableName, bool]:
        """Which of the tables the live database still has; nothing where the connection names none, or it is gone."""
        if not live:
            return {}
        try:
            with self._connector.open(live) as session:
                attempted = "look for the table in the live database"
                return {
                    name: bool(session.value(_PRESENT, (name.quoted,), attempted=attempted))
                    for name in self._options.tables
                }
        except RunbookError as error:
            if error.code not in ("database_missing", "privilege_missing"):
                raise
            return {}


def decide_tables(state: TablesState) -> RestorePlan:
    """The plan for a state."""
    plan = decide(state)
    if plan.action != "restore":
        return plan
    extra = {
        "strategy": "tables",
        "tables": list(state.tables),
        "candidates": [dict(each) for each in state.candidates],
        "put_back": [dict(each) for each in state.put_back],
    }
    rows = [
        f"{found['table']}: {'not counted' if found['rows'] is None else found['rows']} rows in backup {each['id']}"
        for each in state.candidates
        if each["id"] == state.backup.id
        for found in each["tables"]
    ]
    steps = (
        *plan.steps[:-1],
        f"Of the backup only {', '.join(state.tables)} and what they need ({'; '.join(rows)}).",
        plan.steps[-1],
        "Leave the live database alone: the commands that put rows back are in put_back, for a person to read and run.",
    )
    return replace(plan, result={**plan.result, **extra}, steps=steps)
