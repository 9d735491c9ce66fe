# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The word that dangerous work on a protected environment needs (private to ops.runbooks). Pure."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.options import Options
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.plan import RestorePlan


def confirmed(plan: RestorePlan, options: Options, *, check_mode: bool) -> RestorePlan:
    """The plan, where it may be carried out. Check mode needs no confirmation, and says that the real run does.

    The name is the runbooks' own, never PostgreSQL's: at some providers every database is called ``postgres``.
    """
    word = f"{options.environment}/{options.name}"
    if not options.protected or options.confirm == word:
        return plan
    if check_mode:
        return replace(plan, warnings=(*plan.warnings, f"The real run needs confirm: {word}."))
    given = "it was not confirmed" if not options.confirm else f"the confirmation names {options.confirm}"
    raise RunbookError(
        code="confirmation_missing",
        attempted="replace the live database",
        object=word,
        reason=f"the environment is protected, and {given}",
        remedy=f"Read the plan (--check shows it), then run the same command with confirm={word}.",
    )
