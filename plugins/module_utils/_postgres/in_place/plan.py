# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore in place would do (private to ops.runbooks). Pure: the observed state in, the plan out.

All of it is one transaction, so that the database is either as it was or as the backup says. Of a run that died while
it became final the server knows which, by the transaction's id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, human_bytes, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import counted, few
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.compare import counted_tables
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.facts import Ground
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.in_place.scope import foreign_grants
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Manifest, PlatformFact
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import (
    FINISHED,
    REPLACING,
    Mark,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import (
    RestorePlan,
    RestoreState,
    Work,
    age_seconds,
    predicted,
)

#: How long all tables stay locked at most while somebody holds one of others that could not be locked first. Less than
#: the second after which a server looks for deadlocks, so that nobody who waits for us is made to fail.
BRIEFLY = timedelta(milliseconds=500)
_REMEDY = "Restore beside it with strategy new_database, and copy what is missing."


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceState(RestoreState):
    """What was found. ``outcome`` is what became of the transaction that the mark speaks of: committed, aborted,
    in progress, or unknown. ``before`` is the id of the backup that would be taken first.
    """

    oid: int
    schemas: tuple[str, ...]
    platform: PlatformFact
    ground: Ground | None
    before: str
    outcome: str | None


def decide_in_place(state: InPlaceState) -> RestorePlan:
    """The plan for a state. Raises where the restore cannot be, with nothing changed."""
    mark = state.mark
    if mark is not None and mark.phase in (FINISHED, REPLACING):
        if (mark.system_identifier, mark.oid) != (state.server.system_identifier, state.oid):
            raise _invalid(state, "it was restored in place on another server or database", "Give another restore_id.")
        if mark.phase == FINISHED:
            return RestorePlan(changed=False, result=dict(mark.result))
        if state.outcome == "committed":
            return _recorded(state, mark)
        if state.outcome != "aborted":
            raise _undecided(state, mark)
    if state.work is None or state.ground is None:
        raise ValueError("a restore in place that is not done was observed without what it needs")
    require_possible(state.ground, state.work, state.target_database, state.endpoint)
    return _replace(state, state.work, state.ground)


def refused(why: str, database: str, where: str, reason: str, remedy: str) -> RunbookError:
    """A restore in place that cannot be; nothing was changed."""
    return RunbookError(
        code="in_place_refused",
        attempted="restore in place",
        object=f"database {database} on {where}",
        reason=reason,
        remedy=f"Nothing was changed. {remedy}",
        details={"refused": why},
    )


def check_backup(manifest: Manifest, suspect_reason: str | None, database: str, where: str) -> None:
    """Only a good backup of all of some schemas can take the place of these."""
    part = manifest.selection
    if part.tables or part.exclude_tables or part.exclude_table_data:
        reason = f"backup {manifest.backup_id} does not hold all of its schemas ({part.describe()})"
        raise refused("partial", database, where, reason, f"What it lacks would be gone. {_REMEDY}")
    if suspect_reason is not None:
        reason = f"backup {manifest.backup_id} is suspect: {suspect_reason}"
        raise refused("suspect", database, where, reason, "Use another backup, or restore this one beside and look.")


def require_possible(ground: Ground, work: Work, database: str, where: str) -> None:
    """Raises ``in_place_refused``, with the reason's name in ``failure.refused``, for the first thing in the way."""
    for why, reason, remedy in _in_the_way(ground, work):
        raise refused(why, database, where, reason, remedy)


def _in_the_way(ground: Ground, work: Work) -> Iterator[tuple[str, str, str]]:
    made = {
        (entry.desc, entry.namespace or "", entry.tag)
        for head, adaptation in zip(work.heads, work.adaptations, strict=True)
        for entry in head.entries
        if entry.dump_id not in adaptation.left_out
    }
    if lost := [each.text for each in ground.beyond if each.name not in made]:
        yield (
            "outside",
            f"outside of what is restored, {few(lost)} would be dropped with it and could not be made again",
            f"Drop that, or take away what ties it to these schemas, and make it again afterwards. {_REMEDY}",
        )
    if foreign := [f"{each.kind} {each.identity}" for each in ground.things if not each.mine]:
        yield (
            "rights",
            f"role {work.target.user} may not drop {few(foreign)}",
            "Connect as a role that owns them, or is a member of their owners.",
        )
    if ground.subscribed:
        yield (
            "subscriptions",
            f"{few(ground.subscribed)} receive rows from a subscription, which would lose them without a word",
            "Drop the subscription, and make it again afterwards.",
        )
    if not work.target.superuser and (granted := foreign_grants(work.heads_restored)):
        yield (
            "grants",
            f"privileges on {few(granted)} were granted by another role than the owner, which only a superuser can "
            "do in its name",
            "Restore as a superuser, or with privileges set to skip.",
        )


def lost(ground: Ground, manifest: Manifest) -> list[str]:
    """What is newer than the backup, as far as numbers of rows tell: by table, then tables that it does not know."""
    about = "about " if ground.estimated else ""
    known = {table.table: table for table in manifest.tables}
    words = []
    for table, rows in ground.rows.items():
        then = known.pop(table, None)
        if then is None:
            words.append(
                f"table {table.text}: dropped with its {about}{counted(rows, 'row')}, the backup does not have it"
            )
        elif then.rows is None:
            words.append(f"table {table.text}: {about}{counted(rows, 'row')} now, not counted in the backup")
        elif then.rows != rows:
            words.append(f"table {table.text}: {about}{counted(rows, 'row')} now, {then.rows} in the backup")
    words += [
        f"table {table.table.text}: missing now, {counted(table.rows, 'row')} in the backup"
        for table in known.values()
        if table.kind == "table" and table.rows is not None
    ]
    return words


def left_alone(state: InPlaceState, manifest: Manifest) -> list[str]:
    """What of the backup is not restored, since it is the platform's."""
    words = []
    for schema in state.platform.managed_schemas:
        tables = sum(1 for table in manifest.tables if table.schema == schema)
        rows = sum(table.rows or 0 for table in manifest.tables if table.schema == schema)
        if tables:
            held = f"{counted(tables, 'table')}, {counted(rows, 'row')} in the backup"
            words.append(f"schema {schema} of {state.platform.name} ({held})")
    if manifest.large_objects.count:
        words.append(f"{counted(manifest.large_objects.count, 'large object')}, which belong to no schema")
    return words


def _replace(state: InPlaceState, work: Work, ground: Ground) -> RestorePlan:
    target, manifest = state.target_database, work.manifest
    since = f"{iso(state.backup.snapshot_at)} ({human(age_seconds(state))} ago)"
    newer = lost(ground, manifest)
    schemas = ", ".join(state.schemas)
    tied = ", ".join(each.text for each in ground.tied)
    size = human_bytes(sum(archive.bytes for archive in manifest.archives))
    result = {
        **predicted(state, work),
        "temporary_database": None,
        "oid": state.oid,
        "strategy": "in_place",
        "schemas": list(state.schemas),
        "left_alone": left_alone(state, work.whole or manifest),
        "newer": newer,
        "pre_restore_backup": state.before,
        "way_back": way_back(state, state.before),
    }
    steps = [
        *(["Bind the name to this database, instead of the one that it stood for."] if state.rebinds else []),
        f"Read backup {state.backup.id} ({size}) to its end and check its SHA-256.",
        f"Take backup {state.before} of what is there now, and hold it: it is the way back.",
        f"In one transaction lock every table of {schemas} in database {target}"
        f"{f', and {tied}, to which keys or triggers tie them' if tied else ''}, for readers too and until the end, "
        f"drop the {counted(len(ground.things), 'object')} in there, and load the backup with "
        f"pg_restore {work.tool_version}.",
        *_let_go(work, ground),
        *(f"Make {each.text} again, which goes with them." for each in ground.beyond),
        *([f"Leave out {counted(len(work.losses), 'thing')}, listed in skipped."] if work.losses else []),
        f"Compare the rows of {counted(len(counted_tables(manifest)), 'table')}, policies and privileges with the "
        "backup, and only then make it final.",
    ]
    steps += ["Tell the API of Supabase to read the schema again."] if state.platform.name == "supabase" else []
    return RestorePlan(
        changed=True,
        action="replace",
        result=result,
        steps=tuple(steps),
        irreversible=(
            f"What was written to {schemas} in database {target} since {since} is gone from there. It stays in backup "
            f"{state.before}, without what is written between that backup's snapshot and the lock on the tables.",
            *newer,
        ),
        before={"database": target, "tables": _numbers(ground.rows)},
        after={"database": target, "tables": {each.table.text: each.rows for each in counted_tables(manifest)}},
        warnings=work.warnings,
        skipped=work.losses,
    )


def _let_go(work: Work, ground: Ground) -> list[str]:
    """What becomes of tables of others that this role may not lock before it drops what is tied to them."""
    if not (others := [each.text for each, mine in ground.tied.items() if not mine]):
        return []
    return [
        f"Role {work.target.user} may not lock {few(others)} first: while somebody else holds that, let everything go "
        f"after {BRIEFLY.total_seconds():.1f} s and lock it anew, for up to a minute. UPDATE on it would spare that."
    ]


def _numbers(rows: Mapping[Any, int]) -> dict[str, int]:
    return {table.text: number for table, number in rows.items()}


def way_back(state: InPlaceState, before: str) -> str:
    """The inputs of the runbook that bring back what was there."""
    return f"restore_strategy=in_place backup={before} restore_id={state.restore_id[:100]}-back"


def _recorded(state: InPlaceState, mark: Mark) -> RestorePlan:
    """What a killed run has done and not written down."""
    return RestorePlan(
        changed=True,
        action="record",
        result=dict(mark.result),
        steps=(f"Record that an earlier run has restored database {state.target_database} in place.",),
        before={"database": state.target_database, "recorded": False},
        after={"database": state.target_database, "recorded": True},
    )


def _undecided(state: InPlaceState, mark: Mark) -> RunbookError:
    """Nobody may guess whether old data has taken the place of new."""
    running = state.outcome == "in progress"
    return RunbookError(
        code="outcome_unknown",
        attempted="find out what an earlier run has done",
        object=f"transaction {mark.transaction} in database {state.target_database} on {state.endpoint}",
        reason="it has not ended yet" if running else "the server no longer knows it",
        remedy="Run the same command again in a minute."
        if running
        else f"Look at the data. To restore once more, give another restore_id; the way back is {mark.before}: "
        f"{way_back(state, mark.before or '')}.",
        details={"pre_restore_backup": mark.before},
    )


def _invalid(state: InPlaceState, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted="use restore_id",
        object=state.restore_id,
        reason=reason,
        remedy=remedy,
    )
