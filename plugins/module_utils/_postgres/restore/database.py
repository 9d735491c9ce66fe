# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database that a restore makes: created, given its properties, renamed, dropped (private to ops.runbooks).

Everything here runs in the maintenance database, under the lock, and each statement follows ``Context.effect``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive_roles import RoleSetting
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import passes
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import DatabaseFact, quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.checks import LONGEST_NAME
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import (
    Grant,
    Ownership,
    database_grants,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: What a failure says of a database that could not be finished.
DROPPED = "The new database is dropped and nothing else was touched."
_BESIDE = "__restoring_"
_TEMPORARY = re.compile(_BESIDE + r"[0-9a-f]+$")
#: Settings that hold a list of identifiers, stored quoted already (``variable_is_guc_list_quote`` in ``dumputils.c``).
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_LIST_MEMBER = re.compile(r'"(?:[^"]|"")*"|[^,"\s]+')
_END_SESSIONS = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid()"""
_OID = "SELECT oid::pg_catalog.int8 FROM pg_catalog.pg_database WHERE datname = %s"
_RENAME_ATTEMPTS = 3
#: Seconds that a server gets to come back, and between two tries.
_PATIENCE, _PAUSE = 30.0, 0.5
ResultT = TypeVar("ResultT")
#: A setting that this role may not make, or that this server does not know, is reported: it is not worth the load.
_LOSSES = frozenset({"privilege_missing", "server_failed"})
#: How a server says that it has not what a locale takes.
_LOCALE = re.compile(r"locale|\bICU\b", re.IGNORECASE)


def temporary_name(target: str, token: str) -> str:
    """``<target>__restoring_<token>``, the target cut so that PostgreSQL keeps the token."""
    room = LONGEST_NAME - len(_BESIDE) - len(token)
    return target.encode()[:room].decode("utf-8", "ignore") + _BESIDE + token


def is_temporary(name: str) -> bool:
    """Whether a database's name looks like one of ours; whose it is, only the store knows."""
    return _TEMPORARY.search(name) is not None


def quote_literal(text: str) -> str:
    """``text`` as an SQL string that means the same whatever ``standard_conforming_strings`` says."""
    doubled = text.replace("'", "''")
    return " E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"


def persistently(work: Callable[[], ResultT], clock: Clock) -> ResultT:
    """Do it, and again for half a minute while the server cannot be reached or has no session left.

    One that has crashed is back by then, and needs the room, since perhaps the restore has filled its disk. And hours
    of loading must not be lost to a moment without a free session.
    """
    until = clock.monotonic() + _PATIENCE
    while True:
        try:
            return work()
        except RunbookError as error:
            if not passes(error) or clock.monotonic() > until:
                raise
        clock.sleep(_PAUSE)


class NewDatabase:
    """The database under its temporary name, from its creation until it has its final one.

    ``session`` is one in the maintenance database, and may be replaced on the way.
    """

    def __init__(self, session: Session, name: str, context: Context) -> None:
        self.session = session
        self._context = context
        self._builders: list[str] = []
        self.name = name

    def create(
        self, like: DatabaseFact, *, tablespaces: Collection[str], owner: str | None, builders: Collection[str]
    ) -> int:
        """Create it empty, with the encoding and locale of the backup, closed to others; returns its oid.

        Whoever is no superuser can give an object only to a role that could have made it. So the database gets its
        owner now, and ``builders``, the other owners, may create schemas until :meth:`set_properties`.
        """
        statement = create_statement(self.name, like, self.session.major, tablespaces, owner)
        try:
            self._do(statement, f"create database {self.name}")
        except RunbookError as error:
            if error.code != "server_failed" or not _LOCALE.search(error.reason):
                raise
            raise RunbookError(
                code="locale_missing",
                attempted=error.attempted,
                object=error.object,
                reason=error.reason,
                remedy="Install that locale in the server's operating system, restart the server, then run this again.",
            ) from error
        self._do(f"REVOKE ALL ON DATABASE {self._quoted} FROM PUBLIC", f"close database {self.name} to others")
        for builder in builders:
            grant = f"GRANT CREATE ON DATABASE {self._quoted} TO {quote_identifier(builder)}"
            self._do(grant, f"let role {builder} own schemas in database {self.name}")
            self._builders.append(builder)
        return int(self.session.value(_OID, (self.name,), attempted="find the new database"))

    def set_properties(
        self, like: DatabaseFact, of_roles: Iterable[RoleSetting], ownership: Ownership, missing: Collection[str]
    ) -> tuple[str, ...]:
        """Settings, comment, connection limit and privileges; returns what could not be taken over."""
        losses = [*self._set_settings(like), *self._set_role_settings(of_roles, missing)]
        if like.comment is not None:
            text = quote_literal(like.comment)
            self._do(f"COMMENT ON DATABASE {self._quoted} IS {text}", f"comment on database {self.name}")
        if like.connection_limit != -1:
            self._alter(f"CONNECTION LIMIT {int(like.connection_limit)}")
        if ownership.keeps_owners and like.owner in missing:
            losses.append(f"owner {like.owner} of the database")
        for builder in self._builders:
            revoke = f"REVOKE CREATE ON DATABASE {self._quoted} FROM {quote_identifier(builder)}"
            self._do(revoke, f"set the privileges of database {self.name}")
        for statement in grant_statements(self.name, like, ownership, missing):
            self._do(statement, f"grant privileges on database {self.name}")
        if ownership.keeps_privileges:
            gone = sorted({grant.grantee for grant in database_grants(like)} & set(missing))
            losses += [f"privileges of {role} (the database)" for role in gone]
        return tuple(losses)

    def _set_settings(self, like: DatabaseFact) -> Iterator[str]:
        for setting in like.settings:
            name, _equals, value = setting.partition("=")
            try:
                self._alter(f"SET {quote_identifier(name)} TO {setting_value(name, value)}")
            except RunbookError as error:
                if error.code not in _LOSSES:
                    raise
                yield f"database setting {name}: {error.reason}"

    def _set_role_settings(self, settings: Iterable[RoleSetting], missing: Collection[str]) -> Iterator[str]:
        for setting in settings:
            if setting.role in missing:
                yield f"settings of role {setting.role} in the database"
                continue
            statement = f"ALTER ROLE {quote_identifier(setting.role)} IN DATABASE {self._quoted} {setting.clause}"
            try:
                self._do(statement, f"set what role {setting.role} is set to in database {self.name}")
            except RunbookError as error:
                if error.code not in _LOSSES:
                    raise
                yield f"settings of role {setting.role} in the database: {error.reason}"

    def rename(self, target: str) -> None:
        """Give it its final name. Sessions of monitoring tools in it are ended: nobody else has business there yet."""
        statement = f"ALTER DATABASE {self._quoted} RENAME TO {quote_identifier(target)}"
        for attempt in range(1, _RENAME_ATTEMPTS + 1):
            try:
                self._do(statement, f"rename database {self.name} to {target}")
                break
            except RunbookError as error:
                if "55006" not in error.reason or attempt == _RENAME_ATTEMPTS:
                    raise
                self.session.rows(_END_SESSIONS, (self.name,), attempted=f"end sessions in database {self.name}")
        self.name = target

    def drop(self) -> None:
        """Drop it, with whatever sessions hang in it. Harmless where it is gone."""
        self._do(f"DROP DATABASE IF EXISTS {self._quoted} WITH (FORCE)", f"drop database {self.name}")

    def drop_left(self, run_id: str) -> None:
        """Drop it where a killed run has left it; that this role may not keeps nobody from restoring."""
        try:
            self.drop()
        except RunbookError as error:
            if error.code != "privilege_missing":
                raise
            self._context.warn(
                f"What run {run_id} has left behind stays: {error.reason}. Let its owner DROP DATABASE {self._quoted};"
            )

    @property
    def _quoted(self) -> str:
        return quote_identifier(self.name)

    def _alter(self, what: str) -> None:
        self._do(f"ALTER DATABASE {self._quoted} {what}", f"set a property of database {self.name}")

    def _do(self, statement: str, what: str) -> None:
        self._context.effect(what)
        self.session.execute(statement, attempted=what)


def create_statement(
    name: str, like: DatabaseFact, major: int, tablespaces: Collection[str], owner: str | None = None
) -> str:
    """``CREATE DATABASE`` for a server of that major; ``template0`` is the only one that takes any locale."""
    parts = [
        f"CREATE DATABASE {quote_identifier(name)} WITH TEMPLATE template0 ENCODING {quote_literal(like.encoding)}"
    ]
    if major >= 15:
        parts.append(f"LOCALE_PROVIDER {quote_identifier(like.locale_provider)}")
    parts.append(f"LC_COLLATE {quote_literal(like.collate)} LC_CTYPE {quote_literal(like.ctype)}")
    if like.locale_provider == "icu" and like.locale:
        parts.append(f"ICU_LOCALE {quote_literal(like.locale)}")
    if like.locale_provider == "icu" and like.icu_rules:
        parts.append(f"ICU_RULES {quote_literal(like.icu_rules)}")
    if like.locale_provider == "builtin" and like.locale:
        parts.append(f"BUILTIN_LOCALE {quote_literal(like.locale)}")
    if owner is not None:
        parts.append(f"OWNER {quote_identifier(owner)}")
    if like.tablespace != "pg_default" and like.tablespace in tablespaces:
        parts.append(f"TABLESPACE {quote_identifier(like.tablespace)}")
    return " ".join(parts)


def setting_value(name: str, value: str) -> str:
    """The value of a database setting as ``SET ... TO`` takes it; a list of identifiers member by member."""
    if name.lower() not in _LISTS:
        return quote_literal(value)
    return ", ".join(quote_literal(member) for member in _list_members(value)) or "''"


def _list_members(value: str) -> Iterator[str]:
    for found in _LIST_MEMBER.finditer(value):
        text = found.group()
        yield text[1:-1].replace('""', '"') if text.startswith('"') else text


def grant_statements(name: str, like: DatabaseFact, ownership: Ownership, missing: Collection[str]) -> Iterator[str]:
    """Statements that give the database the backup's privileges, for those grantees that exist."""
    database = quote_identifier(name)
    if not ownership.keeps_privileges:
        yield f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO PUBLIC"
        return
    known = [grant for grant in database_grants(like) if grant.grantee not in missing]
    yield from privilege_statements(name, known)


def privilege_statements(name: str, grants: Iterable[Grant]) -> Iterator[str]:
    """Statements that give a database these privileges."""
    database = quote_identifier(name)
    for grant in grants:
        if not grant.rights:
            continue
        grantee = quote_identifier(grant.grantee) if grant.grantee else "PUBLIC"
        yield f"GRANT {', '.join(grant.rights)} ON DATABASE {database} TO {grantee}"
        if grant.with_option:
            yield f"GRANT {', '.join(grant.with_option)} ON DATABASE {database} TO {grantee} WITH GRANT OPTION"
