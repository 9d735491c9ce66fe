# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module secret_login_info (private to ops.runbooks): whether the passwords that count log in to a database.

A dump holds no role and no password: those are the server's, and a restore finds them as they are there. On another
server, or one that was set back to an earlier time, they may be missing or be those of before a rotation. So whoever
has restored a database logs in to it as the app does, with the value that the store says counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import (
    CONNECTION_SPEC,
    Connector,
    connector,
)
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.login import tenant_of
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import read_kept
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.ledger import read_ledgers
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.options import KEPT_IN
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import KEY_VARIABLE, Keys
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.vaults import open_vault

LOGIN_SPEC = STORE_SPEC.merge(
    CONNECTION_SPEC,
    ArgumentSpec(
        options={
            "secrets_key": {"type": "str", "no_log": True},
            **KEPT_IN,
            "login_database": {"type": "str", "default": ""},
        }
    ),
)
#: What says nothing of a login.
_ENDS_THE_RUN = frozenset({"controller_gone", "run_aborted"})
#: What keeps one value from being read, and says nothing of the others.
_UNREAD = frozenset(
    {
        *("secret_unreadable", "service_denied", "connection_missing"),
        *("age_identity_missing", "age_identity_unusable", "age_identity_wrong"),
    }
)
#: The parts of a value that is a login.
_PARTS = ("user", "password", "host", "port", "database")
#: What a session may read of the tables that are not the system's.
_READABLE = """
SELECT pg_catalog.count(*),
       pg_catalog.count(*) FILTER (WHERE pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                                     AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One login that was tried; ``reason`` is why it does not work, in a clause."""

    secret: str
    user: str
    database: str
    works: bool
    reason: str = ""
    tables: int = 0
    readable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """One secret that may be a login to this database, and why nobody can tell whether it works."""

    secret: str
    reason: str


class SecretLoginInfo(Operation[tuple["Checked | Unchecked", ...], Plan]):
    """Log in with what counts, and with nothing else."""

    noun: ClassVar[str] = "logins"
    spec: ClassVar[ArgumentSpec] = LOGIN_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._given = params["secrets_key"] or os.environ.get(KEY_VARIABLE) or ""
        context.redactor.protect(self._given)

    def observe(self) -> tuple[Checked | Unchecked, ...]:
        """Every secret of the environment. The database is asked only where one of them is a login."""
        ledgers = read_ledgers(self.state_store, self.params["environment"])
        slots = {name: ledger.current.slot for name, ledger in ledgers.items() if ledger.current is not None}
        if slots and not self._given:
            reason = f"neither secrets_key nor {KEY_VARIABLE} is given, so that its value cannot be read"
            return tuple(Unchecked(secret=name, reason=reason) for name in slots)
        return tuple(self._found(slots))

    def plan(self, state: tuple[Checked | Unchecked, ...]) -> Plan:
        """The answer; there is nothing to change."""
        result = {
            "checked": [asdict(each) for each in state if isinstance(each, Checked)],
            "unchecked": [asdict(each) for each in state if isinstance(each, Unchecked)],
        }
        return Plan(changed=False, result=result)

    def act(self, state: tuple[Checked | Unchecked, ...], plan: Plan) -> Mapping[str, Any]:
        """Never called: nothing is ever planned."""
        raise ValueError("an information module has nothing to carry out")

    def close(self) -> None:
        """End the sessions."""
        if "_reached" in self.__dict__:
            self._reached[0].close()

    def _found(self, slots: Mapping[str, str]) -> Iterator[Checked | Unchecked]:
        keys = Keys.read(self._given) if slots else None
        kept = read_kept(self.params.get("kept_in"))
        for name, slot in slots.items():
            if keys is None:
                continue
            # Not all that is in a value is secret: of a login, messages need everything but the password.
            store, seen = self.state_store, Redactor()
            vault = open_vault(self.params, kept, name, keys, self.context, store, redactor=seen, kind="this secret")
            try:
                parts = vault.open(slot) if slot else None
            except RunbookError as error:
                if error.code not in _UNREAD:
                    raise
                yield Unchecked(secret=name, reason=error.reason)
                continue
            if parts is None:
                yield Unchecked(secret=name, reason="its value is not where it was kept")
            elif all(part in parts for part in _PARTS):
                self.context.redactor.protect(parts["password"])
                yield from self._login(name, parts)

    def _login(self, name: str, parts: Mapping[str, str]) -> Iterator[Checked | Unchecked]:
        """Nothing for a login to another database of this server."""
        reach, live, suffix = self._reached
        here = reach.endpoint
        if (parts["host"], parts["port"]) != (here.host, str(here.port)):
            there = f"{parts['host']}:{parts['port']}"
            yield Unchecked(secret=name, reason=f"it is a login to {there}, and this database is at {here.label}")
        elif parts["database"] == live:
            yield self._tried(name, reach, parts["user"], parts["password"], suffix)

    def _tried(self, name: str, reach: Connector, user: str, password: str, suffix: str) -> Checked:
        database = self.params["login_database"] or reach.endpoint.database
        way = reach.logging_in_as(user + suffix, password)
        try:
            session = way.open(database)
            tables, readable = session.row(_READABLE, attempted="look at what the app may read")
            asked = session.connection.pgconn.used_password
        except RunbookError as error:
            if error.code in _ENDS_THE_RUN:
                raise
            return Checked(secret=name, user=user, database=database, works=False, reason=error.reason)
        finally:
            way.close()
        reason = f"it may read none of the {tables} tables" if tables and not readable else ""
        if not asked:
            reason = reason or "the server let it in without asking for the password, so that nothing is known of that"
        return Checked(
            secret=name,
            user=user,
            database=database,
            works=not reason,
            reason=reason,
            tables=tables,
            readable=readable,
        )

    @cached_property
    def _reached(self) -> tuple[Connector, str, str]:
        """The server, the name under which the database is known there, and what stands behind role names."""
        reach = connector(self.params, self.context)
        live = reach.endpoint.database
        session = reach.open(self.params["login_database"] or None)
        works_as = str(session.value("SELECT session_user::pg_catalog.text", attempted="ask who works here"))
        return reach, live or session.endpoint.database, tenant_of(reach, works_as)
