# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done with a database's migrations (private to ops.runbooks); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human_bytes, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import (
    CONTRACT,
    EXPAND,
    STARTED,
    File,
    Ledger,
    Migration,
    Row,
    digest,
    place,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_check import name_after
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import Statement

#: Bytes of a table from which on an index that blocks its writers is worth a warning.
BIG = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """How to go on with a migration outside of a transaction that an earlier run did not end.

    ``at`` is the number of statements that are behind it; ``drop`` an invalid index that goes first; ``stuck`` says why
    nobody can tell what became of the next statement, '' where it can be run.
    """

    name: str
    at: int
    drop: str = ""
    stuck: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The world: the source's files, those that are not applied looked into, the ledger, where all this is.

    ``resumes`` say how to go on, by name. ``elsewhere`` is why another tool's command would not go to this database.
    """

    files: tuple[File, ...]
    pending: tuple[Migration, ...]
    ledger: Ledger
    where: str
    source: str
    resumes: Mapping[str, Resume] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    elsewhere: str = ""


@dataclass(frozen=True, kw_only=True)
class ApplyPlan(Plan):
    """``chosen``: what is run, in order."""

    chosen: tuple[Migration, ...] = ()
    resumes: Mapping[str, Resume] = field(default_factory=dict)


def plan_apply(seen: Seen, phase: str) -> ApplyPlan:
    """Decide. Raises ``migration_drift``, ``migration_unusable``, ``migration_unfinished``."""
    chosen = choose(seen.pending, phase)
    result = describe(seen, chosen)
    check_drift(seen)
    refused = {each.name: list(each.refused) for each in seen.pending if each.refused and _matters(each, phase)}
    if refused:
        raise _refusal(seen, refused)
    for resume in (seen.resumes.get(each.name) for each in chosen):
        if resume is not None and resume.stuck:
            raise _stuck(seen, resume)
    if not chosen:
        return ApplyPlan(changed=False, result=result, warnings=_left(seen, chosen, phase))
    steps = [f"create the ledger of migrations in {seen.where}"] if not seen.ledger.exists else []
    steps += [step_of(each, seen.resumes.get(each.name)) for each in chosen]
    return ApplyPlan(
        changed=True,
        result={**result, "head": _head(seen, chosen)},
        steps=tuple(steps),
        irreversible=tuple(f"{each.name}: {reason}" for each in chosen if each.destructive for reason in each.reasons),
        before={"applied": [row.name for row in seen.ledger.applied], "head": seen.ledger.head},
        after={
            "run": {each.name: [text.head for text in each.statements] for each in chosen},
            "head": _head(seen, chosen),
        },
        warnings=(*_warnings(seen, chosen), *_left(seen, chosen, phase)),
        chosen=chosen,
        resumes=seen.resumes,
    )


def choose(pending: Sequence[Migration], phase: str) -> tuple[Migration, ...]:
    """Those of a phase: expand passes over the others, contract takes along what comes before its last one."""
    if phase == EXPAND:
        return tuple(each for each in pending if each.phase == EXPAND)
    if phase == CONTRACT:
        last = max((n for n, each in enumerate(pending) if each.phase == CONTRACT), default=-1)
        return tuple(pending[: last + 1])
    return tuple(pending)


def step_of(migration: Migration, resume: Resume | None = None) -> str:
    """One step, for people."""
    way = "in one transaction" if migration.transaction else "outside of a transaction"
    if resume is not None and (resume.at or resume.drop):
        dropped = f" after dropping the invalid index {resume.drop}" if resume.drop else ""
        way += f", from statement {resume.at + 1} of {len(migration.statements)} on{dropped}"
    return f"run {migration.name} ({migration.phase}, {way})"


def describe(seen: Seen, chosen: Sequence[Migration]) -> dict[str, Any]:
    """The noun's object."""
    known = {each.name for each in seen.files}
    return {
        "head": seen.ledger.head or None,
        "pending": [each.describe() for each in chosen],
        "later": [each.name for each in seen.pending if each not in chosen],
        "applied": [_told(row) for row in seen.ledger.applied],
        "ahead": [row.name for row in seen.ledger.applied if row.name not in known],
        "unfinished": [row.name for row in seen.ledger.rows if row.state == STARTED],
        "drift": drift(seen),
        "digest": digest(chosen),
        "known": {
            "head": seen.files[-1].name if seen.files else None,
            "needs": next((each.name for each in reversed(seen.files) if each.phase != CONTRACT), None),
            "contract": [each.name for each in seen.files if each.phase == CONTRACT],
        },
        "source": seen.source,
        "endpoint": seen.where,
    }


def _told(row: Row) -> dict[str, Any]:
    at = iso(row.applied_at) if row.applied_at is not None else None
    return {"name": row.name, "checksum": row.checksum, "phase": row.phase, "applied_at": at, "release": row.release}


def drift(seen: Seen) -> list[str]:
    """Migrations that were changed after they had been applied."""
    files = {each.name: each.checksum for each in seen.files}
    return [row.name for row in seen.ledger.applied if files.get(row.name, row.checksum) != row.checksum]


def check_drift(seen: Seen) -> None:
    """Refuse a source that is not what was applied."""
    if changed := drift(seen):
        raise RunbookError(
            code="migration_drift",
            attempted="compare the migrations with what was applied",
            object=f"{seen.source}, {seen.where}",
            reason=f"changed since they were applied: {', '.join(changed)}",
            remedy="Put back what was applied (git log shows it), and write what is missing into a new migration.",
            details={"drift": changed},
        )


def check_planned(seen: Seen, chosen: Sequence[Migration], planned: Mapping[str, Any]) -> None:
    """Refuse what is not among what somebody has looked at: names, and the checksums of their contents."""
    if others := [each.name for each in chosen if planned.get(each.name) != each.checksum]:
        raise RunbookError(
            code="plan_changed",
            attempted="run exactly the migrations that were planned",
            object=f"{seen.source}, {seen.where}",
            reason=f"not planned like this: {', '.join(others)}, since files have changed meanwhile",
            remedy="Nothing was run. Read the new plan with --check, then run the same command again.",
            details={"unplanned": others},
        )


def _matters(migration: Migration, phase: str) -> bool:
    """Whether what is wrong with it stands in the way: not where it was declared for later."""
    return (
        phase != EXPAND or migration.phase == EXPAND or any("begin the file with" in each for each in migration.refused)
    )


def _refusal(seen: Seen, refused: Mapping[str, Sequence[str]]) -> RunbookError:
    name, reasons = next(iter(refused.items()))
    more = f" And {len(refused) - 1} more, in failure.refused." if len(refused) > 1 else ""
    return RunbookError(
        code="migration_unusable",
        attempted=f"run the migration {name}",
        object=f"{seen.source}, for {seen.where}",
        reason="; ".join(reasons),
        remedy=f"Change it, and run the same command again; nothing was run.{more}",
        details={"refused": {key: list(value) for key, value in refused.items()}},
    )


def _stuck(seen: Seen, resume: Resume) -> RunbookError:
    return RunbookError(
        code="migration_unfinished",
        attempted=f"go on with the migration {resume.name}",
        object=seen.where,
        reason=resume.stuck,
        remedy="Look into the database. If the whole file is done, or once you have done the rest by hand, record that"
        f" with state=resolved migration={resume.name} resolve_as=applied; if nothing of it is left, with"
        " resolve_as=rolled_back.",
        details={"unfinished": resume.name, "statements_done": resume.at},
    )


def _head(seen: Seen, chosen: Sequence[Migration]) -> str | None:
    names = [seen.ledger.head, *(each.name for each in chosen)]
    return max((name for name in names if name), key=place, default=None)


def _warnings(seen: Seen, chosen: Sequence[Migration]) -> tuple[str, ...]:
    told = [text for each in chosen for text in each.warnings]
    for each in chosen:
        for table in each.blocks:
            if (size := seen.sizes.get(table, 0)) >= BIG:
                told.append(
                    f"{each.name}: CREATE INDEX blocks the writers of {table} ({human_bytes(size)}) while it works;"
                    " CREATE INDEX CONCURRENTLY in a file with `-- runbooks: no-transaction` does not."
                )
    return tuple(told)


def _left(seen: Seen, chosen: Sequence[Migration], phase: str) -> tuple[str, ...]:
    """What is passed over although something behind it runs."""
    if not chosen or phase != EXPAND:
        return ()
    last = chosen[-1]
    over = [each.name for each in seen.pending if each not in chosen and place(each.name) < place(last.name)]
    if not over:
        return ()
    return (
        f"{last.name} runs before {', '.join(over)}, which {'are' if len(over) > 1 else 'is'} for later (contract)."
        " Run ops.runbooks.migrate -e phase=contract once no release needs what they take away.",
    )


# --- resuming --------------------------------------------------------------------------------------------

#: Statements that do no harm a second time, by their first word.
_REPEATABLE = frozenset(
    {"vacuum", "analyze", "analyse", "reindex", "refresh", "comment", "grant", "set", "reset", "cluster"}
)


def concurrent_index(statement: Statement) -> tuple[str, str] | None:
    """Index and table (as SQL takes it) of a CREATE INDEX CONCURRENTLY with a name; None for anything else."""
    words = [each.text if each.kind == "word" else "" for each in statement.tokens]
    if words[:1] != ["create"] or "concurrently" not in words[:4] or "on" not in words:
        return None
    at = words.index("concurrently") + 1
    if words[at : at + 3] == ["if", "not", "exists"]:
        at += 3
    if words[at] == "on" and statement.tokens[at].kind == "word":
        return None
    return statement.tokens[at].text, name_after(statement, "on", skip=("only",))


def resume_of(row: Row, migration: Migration, index: str | None) -> Resume:
    """How to go on after what the ledger says. ``index`` is the state of the index that the next statement builds, as
    ``ledger.index_state`` has it; None where it builds none."""
    count = len(migration.statements)
    changed = row.checksum != migration.checksum
    if changed and (row.done or not row.failed):
        stuck = f"its file was changed after run {row.run_id} had stopped in it, with {row.done} statements done"
        return Resume(name=row.name, at=row.done, stuck=stuck)
    if row.done >= count:
        return Resume(name=row.name, at=count)
    if index is not None:
        if index == "valid" and not changed:
            return Resume(name=row.name, at=row.done + 1)
        return Resume(name=row.name, at=row.done, drop="" if index in ("absent", "valid") else index)
    statement = migration.statements[row.done]
    if row.failed or repeatable(statement):
        return Resume(name=row.name, at=row.done)
    stuck = (
        f"run {row.run_id} stopped in it, {row.done} of {count} statements are done, and nobody knows whether the next"
        f" one is: {statement.head} (line {statement.line})"
    )
    return Resume(name=row.name, at=row.done, stuck=stuck)


def all_or_nothing(statement: Statement) -> bool:
    """Whether one that failed was not done at all: a procedure outside of a transaction makes final what it likes."""
    return statement.words[:1] not in (("do",), ("call",))


def repeatable(statement: Statement) -> bool:
    """Whether it does no harm a second time."""
    words = statement.words
    if words[:1] and words[0] in _REPEATABLE:
        return True
    guarded = any(words[n] == "if" and "exists" in words[n + 1 : n + 3] for n in range(min(len(words), 8)))
    return words[0] in ("create", "drop", "alter") and guarded
