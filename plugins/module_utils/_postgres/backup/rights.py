# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a role may read all that a backup is to hold (private to ops.runbooks); pure.

Asked before any work: pg_dump finds the first thing that it may not read when it comes to it, and row level security
would let it write a dump of fewer rows and call that success.
"""

from __future__ import annotations

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import few
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import Scope


def check(scope: Scope, *, role: str, unreadable_large_objects: int, where: str) -> None:
    """Raises ``privilege_missing`` or ``row_security``, naming the first few and what to grant."""
    denied = [each.name.text for each in (*scope.lockable, *scope.sequences) if not each.readable]
    quoted = quote_identifier(role)
    if denied:
        raise RunbookError(
            code="privilege_missing",
            attempted="back up the database",
            object=where,
            reason=f"role {role} may not read {few(denied)}",
            remedy=f"Run as a superuser or the owner: GRANT pg_read_all_data TO {quoted}; or leave them out with "
            "exclude_tables.",
            details={"unreadable": denied[:100]},
        )
    if scope.large_objects and unreadable_large_objects:
        raise RunbookError(
            code="privilege_missing",
            attempted="back up the database",
            object=where,
            reason=f"role {role} may not read {unreadable_large_objects} of the large objects, which pg_read_all_data "
            "does not cover",
            remedy=f"Grant SELECT ON LARGE OBJECT for each of them to {quoted}, or let their owner take the backup.",
        )
    hidden = [each.name.text for each in scope.tables if each.rows_hidden and each.oid in scope.data]
    if hidden:
        raise RunbookError(
            code="row_security",
            attempted="back up the database",
            object=where,
            reason=f"row level security would hide rows of {few(hidden)} from role {role}",
            remedy=f"Run as a superuser: ALTER ROLE {quoted} BYPASSRLS; or let the tables' owner take the backup "
            "(where the policies are not forced), or leave their rows out with exclude_table_data.",
            details={"row_security": hidden[:100]},
        )
