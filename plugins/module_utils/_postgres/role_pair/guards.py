# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a pair of login roles is left alone (private to ops.runbooks); pure. Each refusal says what to do instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import counted, few
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import (
    Names,
    PairFact,
    RoleFact,
    SessionFact,
    managed,
)

_NAMED = 5


def refuse(names: Names, facts: PairFact, *, where: str, works: bool) -> None:
    """Roles that are nobody's to change here, and a connection that may not do the work. ``works`` is no mere test."""
    if not works:
        return
    manager = facts.manager
    for name in names.logins:
        if name in (manager.session_user, manager.current_user):
            raise _refused(
                name, where, "it is the role that this connection works with", "Connect as another role that may."
            )
        if managed(name):
            raise _refused(
                name, where, "it belongs to PostgreSQL or to a platform", "Give the application a login of its own."
            )
        role = facts.roles.get(name)
        if role is not None and role.superuser:
            raise _refused(
                name,
                where,
                "it is a superuser",
                "Give the application a role that is none; superusers are changed by hand.",
            )
    if not manager.superuser and not manager.createrole:
        raise _lacking(
            where, f"role {manager.current_user} may not make or alter roles", _createrole(manager.current_user)
        )
    foreign = [name for name, role in facts.roles.items() if not role.manageable]
    if facts.major >= 16 and not manager.superuser and foreign:
        listed = ", ".join(quote_identifier(name) for name in sorted(foreign))
        raise _lacking(
            where,
            f"role {manager.current_user} does not have the ADMIN OPTION of {', '.join(sorted(foreign))}",
            f"Run as the role that made them, or a superuser: GRANT {listed} TO "
            f"{quote_identifier(manager.current_user)} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE;",
        )


def warnings(names: Names, facts: PairFact, after: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """What is allowed and worth knowing."""
    said = []
    group = facts.roles.get(names.group)
    if group is not None and group.login and after.get(names.group, {}).get("login"):
        said.append(f"Role {names.group} may still log in itself; retire it once nobody does.")
    known = [after[name] for name in (*names.pair, names.group) if after.get(name, {}).get("exists")]
    was = any(role.login for role in facts.roles.values())
    if was and known and not any(each.get("login") for each in known):
        said.append(f"After this neither role of {names.group} may log in.")
    ending = [role.name for role in facts.roles.values() if role.valid_until is not None and role.login]
    if ending:
        said.append(f"The password of {', '.join(sorted(ending))} has an end (VALID UNTIL).")
    return tuple(said)


def unused(sessions: Sequence[SessionFact], *, attempted: str, where: str) -> None:
    """Raises ``role_in_use`` while anybody is logged in."""
    if not sessions:
        return
    role = sessions[0].role
    shown = few([each.label for each in sessions])
    raise RunbookError(
        code="role_in_use",
        attempted=attempted,
        object=f"role {role} at {where}",
        reason=f"it has {counted(len(sessions), 'session')} ({shown})",
        remedy="Let what uses it go over to the other role and end; or give force_after, with which it is done all the "
        "same once that time is over.",
        details={"sessions": [{"pid": each.pid, "application": each.application} for each in sessions[:20]]},
    )


def retired(role: RoleFact, facts: PairFact, *, attempted: str, where: str) -> None:
    """Disabled before deleted: raises ``role_in_use`` for a role that may log in, or has sessions still."""
    unused(facts.sessions_of(role.name), attempted=attempted, where=where)
    if role.login:
        raise RunbookError(
            code="role_in_use",
            attempted=attempted,
            object=f"role {role.name} at {where}",
            reason="it may log in",
            remedy="Use state=retired first, which can be taken back, and wait whether anybody misses it.",
        )


def needless(role: RoleFact, facts: PairFact, *, where: str) -> None:
    """Raises ``role_needed`` for a role that something depends on."""
    belonging = facts.dependents.get(role.name, ())
    if role.dependents or belonging:
        shown = ", ".join(belonging[:_NAMED]) or "something in another database"
        raise RunbookError(
            code="role_needed",
            attempted="drop a role",
            object=f"role {role.name} at {where}",
            reason=f"it owns, or holds rights on, {max(role.dependents, len(belonging))} things, such as {shown}",
            remedy="Hand them to another role (REASSIGN OWNED, then DROP OWNED, in each database) if it is to go.",
            details={"dependents": list(belonging)},
        )


def password_needed(name: str, where: str) -> RunbookError:
    """A role without a password cannot log in."""
    return RunbookError(
        code="invalid_parameter",
        attempted="let a role log in",
        object=f"role {name} at {where}",
        reason="it has no password from before",
        remedy="Give password.",
    )


def not_of_the_pair(name: str, where: str) -> RunbookError:
    """Only the pair takes turns."""
    return RunbookError(
        code="invalid_parameter",
        attempted="set a password",
        object=f"role {name} at {where}",
        reason="it is the login from before, whose password stays what it is",
        remedy="Set the password of a role of the pair, or leave password out to let this one log in again.",
    )


def not_a_group(name: str, where: str) -> RunbookError:
    """A login role does not turn into a group by accident."""
    return _refused(
        name,
        where,
        "it is a login role, with sessions and a password of its own",
        f"Use state=adopted, which makes a pair for it, or take another group than {name}.",
    )


def _createrole(name: str) -> str:
    return f"Connect as a role that may, or run as a superuser: ALTER ROLE {quote_identifier(name)} CREATEROLE;"


def _refused(name: str, where: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="role_refused", attempted="work on a role", object=f"role {name} at {where}", reason=reason, remedy=remedy
    )


def _lacking(where: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="privilege_missing", attempted="work on a pair of roles", object=where, reason=reason, remedy=remedy
    )
