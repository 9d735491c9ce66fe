# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrations that another tool runs (private to ops.runbooks): when it may be started, and what it has to have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._migration import tools
from ansible_collections.ops.runbooks.plugins.module_utils._migration.files import unusable
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import STARTED, Migration
from ansible_collections.ops.runbooks.plugins.module_utils._migration.plan import Seen, describe, plan_apply

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session


@dataclass(frozen=True, kw_only=True)
class ForeignPlan(Plan):
    """``verbs`` are the tool's, where it is not simply brought forward; ``chosen`` is what has to be done then."""

    chosen: tuple[Migration, ...] = ()
    verbs: tuple[str, ...] = field(default=())


def plan_foreign(seen: Seen, params: Mapping[str, Any]) -> Plan:
    """Decide. Raises as :func:`plan_apply`, and ``command_refused``."""
    tool, state = params["adapter"], params["state"]
    if params["command"] is not None:
        tools.check_command(params["command"], tool)
    if state == "rolled_back":
        reason = f"{tool} has no way back that keeps what was written since"
        raise unusable(
            params["migration"], seen.where, reason, "Write a new migration that puts right what this one did."
        )
    if state == "resolved":
        return _resolve(seen, params)
    failed = [row.name for row in seen.ledger.rows if row.state == STARTED]
    if failed:
        raise _failed(seen, tool, failed[0])
    plan = plan_apply(seen, params["phase"])
    if not plan.changed:
        return plan
    if over := [each.name for each in seen.pending if each not in plan.chosen]:
        reason = (
            f"{' '.join(tools.FORWARD[tool])} runs everything that is pending, and {over[0]} is for later (contract)"
        )
        remedy = f"Keep {over[0]} out of this release, or run it on purpose with phase=contract or phase=all."
        raise unusable(over[0], f"{seen.source}, {seen.where}", reason, remedy)
    line = _command(params, seen).line()
    if seen.elsewhere:
        raise RunbookError(
            code="command_refused",
            attempted="run migrations",
            object=" ".join(line),
            reason=seen.elsewhere,
            remedy=f"The lock and the backup are those of {seen.where}: link chdir to that project (supabase link), and"
            " give command --linked.",
        )
    return ForeignPlan(
        changed=True,
        result=plan.result,
        steps=(f"run {' '.join(line)} for {', '.join(each.name for each in plan.chosen)}",),
        irreversible=plan.irreversible,
        before=plan.before,
        after=plan.after,
        warnings=plan.warnings,
        chosen=plan.chosen,
    )


def _resolve(seen: Seen, params: Mapping[str, Any]) -> Plan:
    name, tool = params["migration"], params["adapter"]
    row = seen.ledger.row(name)
    if tool != "prisma" or params["resolve_as"] != "rolled_back":
        reason = "only a failed migration of Prisma's can be cleared, with resolve_as=rolled_back"
        raise unusable(
            name, seen.where, reason, "Use the tool's own command for it, once you are sure that it is right."
        )
    if row is None:
        known = [each.name for each in seen.files]
        if name not in known:
            reason = "neither the source nor the database knows it"
            raise RunbookError(
                code="migration_missing",
                attempted="find the migration",
                object=f"{name} in {seen.source}",
                reason=reason,
                remedy=f"Name one that is there; the last ones are {', '.join(known[-3:])}.",
            )
        return ForeignPlan(changed=False, result=describe(seen, ()))
    if row.state != STARTED:
        reason = "it has not failed, and marking it as rolled back would change what is recorded, and no schema"
        raise unusable(name, seen.where, reason, "Write a new migration that puts right what this one did.")
    verbs = ("migrate", "resolve", "--rolled-back", name)
    line = _command(params, seen).line(*verbs)
    return ForeignPlan(
        changed=True,
        result=describe(seen, ()),
        steps=(f"run {' '.join(line)}, so that the next run begins it anew",),
        before={"unfinished": [name]},
        after={"unfinished": []},
        verbs=verbs,
    )


def _command(params: Mapping[str, Any], seen: Seen) -> tools.Command:
    if params["command"] is None:
        example = ", ".join(("npx", *tools.FORWARD[params["adapter"]]))
        raise RunbookError(
            code="invalid_parameter",
            attempted="run migrations",
            object=seen.where,
            reason=f"what is pending is {params['adapter']}'s to run, and nothing says how that is started",
            remedy=f"Set command, such as [{example}], and chdir to the project's directory.",
        )
    return tools.check_command(params["command"], params["adapter"])


def carry_out(
    plan: ForeignPlan,
    params: Mapping[str, Any],
    url: str,
    session: Session,
    seen: Seen,
    limit: timedelta,
    context: Context,
) -> None:
    """Let the tool run, then look at what it has written down. Raises ``migration_failed``."""
    command = _command(params, seen)
    context.effect(f"run {' '.join(command.line(*plan.verbs))}")
    seconds = limit.total_seconds()
    tools.run(command, plan.verbs, url=url, chdir=params["chdir"], timeout=seconds, context=context)
    now = tools.read(session, params["adapter"], seen.files)
    done = {row.name for row in now.applied}
    if missing := [each.name for each in plan.chosen if each.name not in done]:
        raise RunbookError(
            code="migration_failed",
            attempted="run migrations",
            object=" ".join(command.line()),
            reason=f"it ended well, and yet {', '.join(missing)} {'are' if len(missing) > 1 else 'is'} not recorded in"
            f" {seen.where}",
            remedy="See that chdir has the same migrations as the source, and that the tool goes to the same database.",
        )
    # The tool reads its files itself; Prisma writes down what they were.
    rows = {each.name: now.row(each.name) for each in plan.chosen}
    if others := [each.name for each in plan.chosen if (row := rows[each.name]) and row.checksum != each.checksum]:
        raise RunbookError(
            code="migration_drift",
            attempted="run migrations",
            object=" ".join(command.line()),
            reason=f"of {', '.join(others)} it has run other contents than {seen.source} had when this was decided",
            remedy="They are in the database. Let chdir and the source be one commit, and see what the difference did.",
            details={"drift": others},
        )


def _failed(seen: Seen, tool: str, name: str) -> RunbookError:
    return RunbookError(
        code="migration_unfinished",
        attempted="run migrations",
        object=seen.where,
        reason=f"{name} has failed, and {tool} goes no further until that is seen to",
        remedy=f"Undo by hand what it left, clear it with state=resolved migration={name} resolve_as=rolled_back,"
        " and run the same command again.",
        details={"unfinished": name},
    )
