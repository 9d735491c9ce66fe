# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A migration is taken back, or the ledger is told what was done by hand (private to ops.runbooks).

The way back loses what was written since, so that it asks for the last migration by its name, for a file that says how,
and for a backup that is younger than the migration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._migration import ledger as table
from ansible_collections.ops.runbooks.plugins.module_utils._migration.files import look_into_down, unusable
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import (
    APPLIED,
    File,
    Ledger,
    Migration,
    place,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.plan import (
    Seen,
    check_drift,
    describe,
    repeatable,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_check import name_after
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups, selection_hash

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store
    from ansible_collections.ops.runbooks.plugins.module_utils._migration.apply import Applier
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

COVER_SPEC = ArgumentSpec(options={"selection": {"type": "raw", "default": "whole"}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What makes a way back bearable: a backup that is younger than the migration, and what is about to be lost.

    ``rows`` are estimates by table.
    """

    backup: str = ""
    taken_at: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BackPlan(Plan):
    """``down`` is run, ``forget`` is taken out of the ledger, ``record`` written into it without being run."""

    down: Migration | None = None
    forget: str = ""
    record: tuple[Migration, ...] = ()
    finish: Migration | None = None


def cover(
    params: Mapping[str, Any], store: Store, session: Session, found: Ledger, file: File | None, context: Context
) -> Cover:
    """The newest good backup since the migration was applied, and how many rows its way back touches."""
    row = found.row(params["migration"])
    rows = table.row_estimates(session, _tables(file)) if file is not None and file.down else {}
    if row is None or row.applied_at is None:
        return Cover(rows=rows)
    backups = Backups(store, params["environment"], params["name"], context)
    newest = backups.newest(selection_hash(params["selection"]), since=row.applied_at)
    if newest is None:
        return Cover(rows=rows)
    backups.require_objects(newest)
    return Cover(backup=newest.backup_id, taken_at=iso(newest.snapshot_at), rows=rows)


def _tables(file: File) -> tuple[str, ...]:
    """The tables that a way back takes something from."""
    down, judged = look_into_down(file)
    named = [
        name_after(statement, "from" if statement.words[0] == "delete" else "table", skip=("if", "exists", "only"))
        for statement, verdict in zip(down.statements, judged, strict=True)
        if verdict.verdict == "breaking" and {"table", "delete"} & set(statement.words[:2])
    ]
    return tuple(dict.fromkeys(name for name in named if name))


def plan_back(seen: Seen, name: str, covered: Cover | None, *, backup_due: bool = False) -> Plan:
    """Decide whether a migration is taken back; ``backup_due``: there will be a backup by then.

    Raises ``migration_missing``, ``migration_unusable``, ``migration_drift``, ``backup_not_found``.
    """
    file = next((each for each in seen.files if each.name == name), None)
    row = seen.ledger.row(name)
    if row is None:
        return _nothing(seen, name, file)
    if row.state != APPLIED:
        raise _refused(seen, name, "a run has stopped in it", f"See to it with state=resolved migration={name}.")
    last = seen.ledger.last
    if last is not None and last.name != name:
        raise _refused(seen, name, f"{last.name} was applied after it, and only the last one can be", _FORWARD)
    if file is None:
        raise _missing(seen, name, "it is recorded, but the source does not have it")
    check_drift(seen)
    if file.down is None:
        raise _refused(seen, name, f"there is no {name}.down.sql beside it", _FORWARD)
    down, _judged = look_into_down(file)
    if down.refused:
        raise _refused(seen, f"{name}.down.sql", "; ".join(down.refused), "Correct the file.")
    if not down.transaction and len(down.statements) > 1:
        reason = "outside of a transaction the way back is one statement, since nobody could tell where it had stopped"
        raise _refused(seen, f"{name}.down.sql", reason, "Split the migration.")
    if not down.transaction and not repeatable(down.statements[0]):
        reason = f"outside of a transaction a run may die behind it, and {down.statements[0].head} fails a second time"
        raise _refused(seen, f"{name}.down.sql", reason, "Write it with IF EXISTS or IF NOT EXISTS.")
    if covered is None or not (covered.backup or backup_due):
        raise _uncovered(seen, name, iso(row.applied_at) if row.applied_at else "")
    return _backwards(seen, down, covered)


_FORWARD = "Write a new migration that puts right what this one has done; deploy or migrate runs it."


def _backwards(seen: Seen, down: Migration, covered: Cover) -> BackPlan:
    rows = [f"about {count} rows of {name}" for name, count in covered.rows.items()]
    lost = [f"{down.name}.down.sql: {reason}" for reason in down.reasons]
    lost += [f"what {down.name}.down.sql takes away touches {', '.join(rows)}"] if rows else []
    held = f"; backup {covered.backup} ({covered.taken_at}) has it" if covered.backup else ", after a backup"
    applied = [each.name for each in seen.ledger.applied]
    left = [each for each in applied if each != down.name]
    head = max(left, key=place, default=None)
    return BackPlan(
        changed=True,
        result={**describe(seen, ()), "rolled_back": down.name, "backup": covered.backup, "head": head},
        steps=(f"roll {down.name} back with {down.name}.down.sql{held}",),
        irreversible=tuple(lost),
        before={"applied": applied},
        after={"applied": left, "run": [each.head for each in down.statements]},
        down=down,
    )


def plan_resolve(seen: Seen, name: str, resolve_as: str) -> Plan:
    """Decide what is written into the ledger, without a statement being run."""
    file = next((each for each in seen.files if each.name == name), None)
    row = seen.ledger.row(name)
    if resolve_as == "baseline":
        return _baseline(seen, name, file)
    if row is None:
        if resolve_as == "applied":
            reason = "no run has begun it; to record what was there before this collection, resolve_as is baseline"
            raise _missing(seen, name, reason)
        return _nothing(seen, name, file)
    if row.state == APPLIED:
        if resolve_as == "applied":
            return BackPlan(changed=False, result=describe(seen, ()))
        raise _refused(
            seen, name, "it is applied, so that nothing is left to resolve", "Take it back with state=rolled_back."
        )
    if resolve_as == "rolled_back":
        step = f"forget that {name} was begun, so that it is run from its beginning"
        return _written(seen, step, forget=name)
    pending = next((each for each in seen.pending if each.name == name), None)
    if pending is None:
        raise _missing(seen, name, "the source does not have it")
    return _written(seen, f"record that {name} is done", finish=pending)


def _baseline(seen: Seen, name: str, file: File | None) -> Plan:
    if file is None:
        raise _missing(seen, name, "the source does not have it")
    taken = tuple(each for each in seen.pending if place(each.name) <= place(name))
    if not taken:
        return BackPlan(changed=False, result=describe(seen, ()))
    begun = [each.name for each in taken if seen.ledger.row(each.name) is not None]
    if begun:
        raise _refused(seen, begun[0], "a run has stopped in it", f"See to it first, with migration={begun[0]}.")
    return _written(
        seen, f"record {', '.join(each.name for each in taken)} as applied, without running them", record=taken
    )


def _written(seen: Seen, step: str, **parts: Any) -> BackPlan:
    before = {"applied": [each.name for each in seen.ledger.applied], "head": seen.ledger.head}
    steps = ([] if seen.ledger.exists else [f"create the ledger of migrations in {seen.where}"]) + [step]
    return BackPlan(
        changed=True, result=describe(seen, ()), steps=tuple(steps), before=before, after={"ledger": step}, **parts
    )


def carry_out(plan: BackPlan, applier: Applier, session: Session, release: str, context: Context) -> None:
    """What was planned here."""
    if plan.down is not None:
        applier.undo(plan.down)
    if plan.forget:
        context.effect(f"forget that {plan.forget} was begun")
        table.remove(session, plan.forget)
    if plan.finish is not None:
        context.effect(f"record that {plan.finish.name} is done")
        table.set_applied(session, plan.finish, 0.0)
    for each in plan.record:
        context.effect(f"record {each.name} as applied")
        table.insert(session, each, APPLIED, release, context.run_id)


def _nothing(seen: Seen, name: str, file: File | None) -> Plan:
    """It is not in force, so that nothing is to be done; one that nobody knows is a slip of the pen."""
    if file is None:
        raise _missing(seen, name, "neither the source nor the database knows it")
    return BackPlan(changed=False, result=describe(seen, ()))


def _refused(seen: Seen, name: str, reason: str, remedy: str) -> RunbookError:
    failure = unusable(name, f"{seen.source}, {seen.where}", reason, remedy)
    failure.attempted = f"take the migration {name} back, or resolve it"
    return failure


def _missing(seen: Seen, name: str, reason: str) -> RunbookError:
    applied = [each.name for each in seen.ledger.applied]
    return RunbookError(
        code="migration_missing",
        attempted="find the migration",
        object=f"{name} in {seen.source}",
        reason=reason,
        remedy=f"Name one that is there; applied last are {', '.join(applied[-3:]) or 'none'}.",
    )


def _uncovered(seen: Seen, name: str, applied_at: str) -> RunbookError:
    return RunbookError(
        code="backup_not_found",
        attempted=f"take the migration {name} back",
        object=seen.where,
        reason=f"no good backup is younger than it ({applied_at}), and what was written since would be lost",
        remedy=f"Take one with ops.runbooks.backup (-e backup=before-{name}), and run the same command again.",
    )
