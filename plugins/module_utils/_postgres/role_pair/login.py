# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logging in as one of a pair, as the application will (private to ops.runbooks).

A login proves something only if the server asked for the password, if the session acts as the group, and if it may do
what the application does. A pooler may keep refusing a password that its server takes already; asking it again and
again makes some of them refuse for longer, so that the waits grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.address import Address
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import sqlstate
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import (
    Names,
    Pooler,
    Privilege,
    Seen,
    Verdict,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: What answers whether the role of a session has a right, by the kind of thing.
KINDS = {
    "table": "has_table_privilege",
    "sequence": "has_sequence_privilege",
    "schema": "has_schema_privilege",
    "function": "has_function_privilege",
    "database": "has_database_privilege",
}
#: Keywords of the direct connection that hold for the pooler's too.
_SHARED = ("sslmode", "sslrootcert", "connect_timeout")
_CLOSED = "not permitted to log in"
#: Seconds before a pooler that refuses is asked again; each wait is twice the one before.
_FIRST_WAIT = 5.0
#: What the server says of a role whose password was right.
_AFTER_THE_PASSWORD = (_CLOSED, "permission denied for database", "too many connections for role")
_WHO = "SELECT session_user::pg_catalog.text, current_user::pg_catalog.text"


def tenant_of(connector: Connector, works_as: str) -> str:
    """What stands behind the name of each role: some poolers of sessions tell their tenants apart by it.

    ``works_as`` is the role that the session of the connection is of.
    """
    user = connector.endpoint.user
    return user.removeprefix(works_as) if user.startswith(f"{works_as}.") else ""


class Logins:
    """Logs in as the roles of a pair, by the address of the connection that works."""

    def __init__(
        self,
        connector: Connector,
        context: Context,
        names: Names,
        *,
        works_as: str,
        pooler: Pooler | None = None,
        privileges: Sequence[Privilege] = (),
    ) -> None:
        self._connector = connector
        self._context = context
        self._names = names
        self._pooler = pooler
        self._privileges = privileges
        self._suffix = tenant_of(connector, works_as)

    def accepts(self, role: str, password: str) -> bool:
        """Whether the server takes this password for the role, which need not be one that may log in.

        The password is looked at first: that a role may not log in, may not enter this database or has all the
        sessions that it may have is said only to who has the right one.
        """
        try:
            with self._direct(role, password).open() as session:
                return session.connection.pgconn.used_password
        except RunbookError as error:
            if any(word in error.reason for word in _AFTER_THE_PASSWORD):
                return True
            if error.code != "login_denied":
                raise
            return False

    def test(self, role: str, password: str, *, known: bool) -> Verdict:
        """Log in directly and through the pooler. ``known`` is whether the server keeps exactly this password.

        Raises ``login_denied``, ``login_unproven``, ``login_differs`` or ``pooler_stale``.
        """
        direct = self._seen(self._direct(role, password), role)
        if not direct.password_asked and not known:
            raise RunbookError(
                code="login_unproven",
                attempted=f"test the login of role {role}",
                object=direct.where,
                reason="the server let it in without asking for the password, so that nothing is known about that",
                remedy="Connect by an address for which pg_hba.conf demands scram-sha-256, as the application does.",
            )
        pooled = self._pooled(role, password) if self._pooler is not None else None
        return Verdict(direct=direct, pooled=pooled)

    def test_at(self, role: str, password: str, *, host: str, port: int, database: str) -> None:
        """Log in at another address, as whoever was given that does. Raises what :meth:`test` does."""
        shared = {name: self._connector.address.keywords.get(name) for name in _SHARED}
        keywords = {
            **{name: value for name, value in shared.items() if value is not None},
            "host": host,
            "port": str(port),
            "dbname": database,
            "user": role,
            "password": password,
        }
        self._seen(Connector(Address(keywords=keywords, source="the value"), self._context), role)

    def _direct(self, role: str, password: str) -> Connector:
        return self._connector.logging_in_as(role + self._suffix, password)

    def _pooled(self, role: str, password: str) -> Seen:
        pooler = self._pooler
        if pooler is None:
            raise ValueError("no pooler was named")
        shared = {name: self._connector.address.keywords.get(name) for name in _SHARED}
        keywords = {
            **{name: value for name, value in shared.items() if value is not None},
            **({"sslmode": pooler.ssl_mode} if pooler.ssl_mode else {}),
            "host": pooler.host,
            "port": str(pooler.port),
            "dbname": pooler.database or self._connector.endpoint.database,
            "user": role + pooler.user_suffix,
            "password": password,
        }
        wait, end = _FIRST_WAIT, self._context.clock.monotonic() + pooler.patience
        while True:
            connector = Connector(Address(keywords=keywords, source="pooler"), self._context)
            try:
                return self._seen(connector, role)
            except RunbookError as error:
                if error.code != "login_denied":
                    raise
                if self._context.clock.monotonic() + wait > end:
                    raise _stale(error, role) from None
            self._context.clock.sleep(wait)
            wait *= 2

    def _seen(self, connector: Connector, role: str) -> Seen:
        where = connector.endpoint.label
        try:
            session = connector.open()
        except RunbookError as error:
            raise RunbookError(
                code=error.code,
                attempted=f"log in as role {role}",
                object=where,
                reason=error.reason,
                remedy=f"Let {role} log in first (state=active)." if _CLOSED in error.reason else error.remedy,
                details=error.details,
            ) from None
        with session:
            session_user, current_user = session.row(_WHO, attempted=f"ask who role {role} is")
            lacks = tuple(each for wanted in self._privileges for each in _lacking(session, wanted))
            asked = session.connection.pgconn.used_password
        seen = Seen(
            where=where, session_user=session_user, current_user=current_user, password_asked=asked, lacks=lacks
        )
        self._judge(seen, role)
        return seen

    def _judge(self, seen: Seen, role: str) -> None:
        reason = None
        if seen.session_user != role:
            reason = f"the session is of role {seen.session_user}"
        elif seen.current_user != self._names.group:
            reason = f"it acts as {seen.current_user}, not as {self._names.group}"
        elif seen.lacks:
            reason = f"it lacks {', '.join(seen.lacks[:5])}"
        if reason is not None:
            raise RunbookError(
                code="login_differs",
                attempted=f"test the login of role {role}",
                object=seen.where,
                reason=reason,
                remedy=f"Run state=present, grant {self._names.group} what it lacks, and end sessions of a pooler from "
                "before.",
                details={"lacks": list(seen.lacks)},
            )


def _lacking(session: Session, wanted: Privilege) -> list[str]:
    """The privileges that a session does not have on one thing; a thing that it cannot see is lacking as a whole."""
    function = f"pg_catalog.{KINDS[wanted.kind]}"
    lacks = []
    for privilege in wanted.privileges:
        try:
            has = session.value(f"SELECT {function}(%s, %s)", (wanted.name, privilege), attempted="ask for a right")
        except RunbookError as error:
            if not sqlstate(error).startswith(("42", "3F", "3D", "22")):
                raise
            has = False
        if not has:
            lacks.append(f"{privilege} on {wanted.kind} {wanted.name}")
    return lacks


def _stale(error: RunbookError, role: str) -> RunbookError:
    return RunbookError(
        code="pooler_stale",
        attempted=error.attempted,
        object=error.object,
        reason=f"the server takes the password of {role} already, and the pooler still refuses it: {error.reason}",
        remedy="Wait some minutes and run this again, without trying more often; where it stays so, restart the pooler "
        "or make the role known to it (userlist.txt, auth_query, user_suffix).",
    )
