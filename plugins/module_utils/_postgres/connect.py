# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions with PostgreSQL (private to ops.runbooks).

A :class:`Connector` is a described connection; it opens any number of :class:`Session` to the one server that answered
first, and tells child processes how to reach the same. Whatever goes wrong becomes a RunbookError here.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import failures
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.address import URL_VARIABLES, Address, resolve
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Endpoint, ServerFact

if TYPE_CHECKING:  # pragma: no cover
    import psycopg
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

CONNECTION_SPEC = ArgumentSpec(
    options={
        "login_host": {"type": "str"},
        "login_port": {"type": "int"},
        "login_user": {"type": "str"},
        "login_password": {"type": "str", "no_log": True},
        "login_unix_socket": {"type": "str"},
        "ssl_mode": {"type": "str", "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
        "ca_cert": {"type": "path"},
        "database": {"type": "str"},
        "database_url": {"type": "str", "no_log": True},
        "connection_fallback": {"type": "bool", "default": True},
    }
)
#: Seconds to wait for a connection where the address says nothing else.
CONNECT_TIMEOUT = "10"
#: A session that idles while a dump streams must survive firewalls that forget silent connections (seconds, count).
_KEEPALIVES = {"keepalives": "1", "keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
#: Files that libpq finds through a variable only; they say nothing about where to connect.
_KEPT_VARIABLES = frozenset({"PGSERVICEFILE", "PGSYSCONFDIR"})
#: Keywords that say who logs in, and with what.
_PROVING = frozenset(
    {"user", "password", "passfile", "service", "options", "sslcert", "sslkey", "sslcertmode", "require_auth"}
)
#: Where Supabase's addresses carry the project's ref: the direct host, and the user at its poolers.
_SUPABASE_HOST = re.compile(r"^db\.(?P<ref>[a-z0-9]{16,})\.supabase\.(?:co|net)$")
_SUPABASE_USER = re.compile(r"^[^.]+\.(?P<ref>[a-z0-9]{16,})$")
_IDENTITY = """
SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
       pg_catalog.pg_is_in_recovery()"""
_SYSTEM_IDENTIFIER = "SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()"


class Connector:
    """The way to one server. ``endpoint`` is where it leads: as described, and after the first session as reached."""

    def __init__(self, address: Address, context: Context) -> None:
        self.address = address
        self._context = context
        self._keywords = {"connect_timeout": CONNECT_TIMEOUT, **_KEEPALIVES, **address.keywords}
        self._keywords["application_name"] = f"ops.runbooks {context.module.rsplit('.', 1)[-1]}"
        self._sessions: list[Session] = []
        self._server: ServerFact | None = None
        self.endpoint = _described(self._keywords)
        context.redactor.protect(address.keywords.get("password"))

    def open(self, database: str | None = None, *, settings: Sequence[str] = ()) -> Session:
        """A new session, in autocommit mode, with ``database`` or the one that the address names.

        ``settings`` (``name=value``) hold from its first moment on.
        """
        psycopg = _library()
        _forget_environment()
        keywords = {**self._with(database, settings), "client_encoding": "utf8"}
        failure = None
        try:
            connection = psycopg.connect(autocommit=True, prepare_threshold=None, **keywords)
        except psycopg.Error as error:
            failure = failures.connecting(self._context.redactor.text(str(error)), _described(keywords).label)
        if failure is not None:  # raised here, so that no traceback carries what psycopg quotes
            raise failure
        self._pin(connection, database)
        session = Session(connection, self._reached(connection), self._context)
        self._sessions.append(session)
        return session

    def server(self, session: Session) -> ServerFact:
        """Which server this is; asked once. Two short statements that no pooler minds."""
        if self._server is None:
            version, number, in_recovery = session.row(_IDENTITY, attempted="identify the server")
            self._server = ServerFact(
                version=version,
                major=number // 10000,
                system_identifier=self._system_identifier(session),
                host=self.endpoint.host,
                port=self.endpoint.port,
                in_recovery=in_recovery,
            )
        return self._server

    def identity(self, server: ServerFact, database: str) -> dict[str, str]:
        """What a name is bound to (``binding.check``). A Supabase project keeps its ref when its server is replaced."""
        ref = _SUPABASE_HOST.match(self.endpoint.host) or _SUPABASE_USER.match(self.endpoint.user)
        if "supabase." in self.endpoint.host and ref is not None:
            return {"project": ref["ref"], "database": database, "host": self.endpoint.host}
        return {"system_identifier": server.system_identifier, "database": database, "host": self.endpoint.host}

    def tool_dbname(self, database: str | None = None, *, settings: Sequence[str] = ()) -> str:
        """``--dbname`` for PostgreSQL's tools: the same server and database, nothing secret; ``settings`` as above."""
        from psycopg.conninfo import make_conninfo

        keywords = self._with(database, settings)
        return make_conninfo(**{name: value for name, value in keywords.items() if name != "password"})

    def tool_environment(self) -> dict[str, str]:
        """What PostgreSQL's tools need beside :meth:`tool_dbname`: the password, and where libpq's files are."""
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        password = self._keywords.get("password")
        return {**kept, **({"PGPASSWORD": password} if password else {})}

    def logging_in_as(self, user: str, password: str) -> Connector:
        """The way to the same server for another role. Nothing that proves who the first one is goes with it."""
        kept = {name: value for name, value in self._keywords.items() if name not in _PROVING}
        keywords = {**kept, "user": user, "password": password}
        return Connector(Address(keywords=keywords, source=self.address.source), self._context)

    def _with(self, database: str | None, settings: Sequence[str]) -> dict[str, Any]:
        """The keywords of a connection to ``database``, with ``settings`` in force from its first moment on."""
        keywords = dict(self._keywords)
        if database is not None:
            keywords["dbname"] = database
        if settings:
            keywords["options"] = " ".join([keywords.get("options", ""), *(f"-c {each}" for each in settings)]).strip()
        return keywords

    def close(self) -> None:
        """End every session that was opened here."""
        while self._sessions:
            self._sessions.pop().close()

    def _pin(self, connection: psycopg.Connection[Any], database: str | None) -> None:
        """From now on only the server that was reached: a snapshot is worth nothing on another one of several."""
        info = connection.info
        self._keywords.update(host=info.host, port=str(info.port), user=info.user)
        if database is None:
            self._keywords["dbname"] = info.dbname
        if info.hostaddr and not info.host.startswith("/"):
            self._keywords["hostaddr"] = info.hostaddr
        for name in ("target_session_attrs", "load_balance_hosts"):
            self._keywords.pop(name, None)
        self.endpoint = self._reached(connection)

    def _reached(self, connection: psycopg.Connection[Any]) -> Endpoint:
        info = connection.info
        found = {"host": info.host, "port": str(info.port), "user": info.user, "dbname": info.dbname}
        return _described({**self._keywords, **found})

    def _system_identifier(self, session: Session) -> str:
        """The cluster's own number; where a host does not let it be read, the host's name stands for it."""
        try:
            return str(session.value(_SYSTEM_IDENTIFIER, attempted="read the system identifier"))
        except RunbookError as error:
            if error.code != "privilege_missing":
                raise
            return f"{self.endpoint.host}:{self.endpoint.port}"


class Session:
    """One session. ``attempted`` in its methods completes "could not ..." where a statement fails."""

    def __init__(self, connection: psycopg.Connection[Any], endpoint: Endpoint, context: Context) -> None:
        self.connection = connection
        self.endpoint = endpoint
        self._context = context

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id of the backend, as the connection was given it."""
        return self.connection.info.backend_pid

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.connection.info.server_version // 10000

    def rows(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] | None = None, *, attempted: str
    ) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._answers(attempted):
            return self.connection.execute(statement.encode(), values).fetchall()

    def row(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] | None = None, *, attempted: str
    ) -> tuple[Any, ...]:
        """The only row of a query."""
        (only,) = self.rows(statement, values, attempted=attempted)
        return only

    def value(self, statement: str, values: Sequence[Any] | Mapping[str, Any] | None = None, *, attempted: str) -> Any:
        """The first column of the only row of a query."""
        return self.row(statement, values, attempted=attempted)[0]

    def execute(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] | None = None, *, attempted: str
    ) -> None:
        """A statement without rows; several, parted by semicolons, where there are no values."""
        with self._answers(attempted):
            self.connection.execute(statement.encode(), values)

    def run_one(self, statement: str, *, attempted: str) -> None:
        """A statement as somebody else wrote it: one, which the server sees to, and nothing in it is a placeholder.

        Only the extended protocol, which psycopg uses where results are wanted in binary, takes no more than one.
        """
        with self._answers(attempted):
            self.connection.execute(statement.encode(), binary=True)

    def prepare_for_work(self, lock_timeout: timedelta) -> None:
        """Take off the time limits that role or database set, fix the search path, and never let policies hide rows.

        Statements of a session win over defaults of roles (manual, section 19.1.3). Only for sessions that are ours
        alone: through a transaction pooler these settings would stay with whoever comes next.
        """
        limits = ["statement_timeout", "idle_in_transaction_session_timeout"]
        limits += ["idle_session_timeout"] if self.major >= 14 else []
        limits += ["transaction_timeout"] if self.major >= 17 else []
        statements = [f"SET {name} = 0" for name in limits]
        statements += [f"SET lock_timeout = {int(lock_timeout.total_seconds() * 1000)}", "SET search_path = ''"]
        # psycopg reads times in this style only; roles and databases may have another one set.
        statements += ["SET datestyle = ISO", "SET row_security = off", "SET max_parallel_workers_per_gather = 0"]
        self.execute("; ".join(statements), attempted="prepare a session")

    def cancel(self) -> None:
        """Cancel the statement that another thread waits for, at best effort; closing the session follows anyway."""
        import psycopg

        with suppress(psycopg.Error):
            self.connection.cancel_safe(timeout=5)

    def cut(self) -> None:
        """Cut the connection under another thread that waits for it; only for a session that is to end anyway."""
        with suppress(Exception), socket.socket(fileno=os.dup(self.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the session, and with it its transaction."""
        self.connection.close()

    @contextmanager
    def _answers(self, attempted: str) -> Iterator[None]:
        import psycopg

        failure = None
        try:
            yield
        except psycopg.Error as error:
            text = self._context.redactor.text(str(error))
            failure = failures.answering(error.sqlstate, text, attempted, self.endpoint.label)
        if failure is not None:  # raised here, so that no traceback carries what psycopg quotes
            raise failure


def connector(
    params: Mapping[str, Any], context: Context, *, need_database: bool = True, environ: Mapping[str, str] | None = None
) -> Connector:
    """The connection that a module's parameters, or else its environment, describe; nothing is opened yet."""
    defaults = _library().pq.Conninfo.get_defaults()
    known = {each.keyword.decode(): each.envvar.decode() if each.envvar else None for each in defaults}
    variables = os.environ if environ is None else environ
    for name in (*URL_VARIABLES, "PGPASSWORD"):
        context.redactor.protect(variables.get(name))
    address = resolve(params, variables, known, need_database=need_database)
    if address.dropped:
        named = ", ".join(address.dropped)
        context.warn(f"The URL in {address.source} has parameters for other software, which were left out: {named}.")
    return Connector(address, context)


def _library() -> ModuleType:
    """psycopg, with the libpq that it needs."""
    try:
        import psycopg
    except ImportError as error:
        raise RunbookError(
            code="library_missing",
            attempted="connect to PostgreSQL",
            object="psycopg",
            reason="the Python library psycopg 3 is not installed, or lacks libpq, for the interpreter that runs this",
            remedy="Install psycopg[binary] for it, or set ansible_python_interpreter to one that has it.",
        ) from error
    return psycopg


def _described(keywords: Mapping[str, str]) -> Endpoint:
    host = keywords.get("host", "")
    ports = keywords.get("port", "") or "5432"
    return Endpoint(
        host="localhost" if host.startswith("/") else host or keywords.get("service") or "localhost",
        port=_port(ports),
        user=keywords.get("user", ""),
        database=keywords.get("dbname", ""),
        socket=host if host.startswith("/") else None,
        sslmode=keywords.get("sslmode"),
        ca_cert=keywords.get("sslrootcert"),
    )


def _port(ports: str) -> int:
    """The first of what may be several, as hosts may; libpq itself refuses what is no number, when it connects."""
    first = ports.split(",")[0]
    return int(first) if first.isascii() and first.isdigit() else 5432


def _forget_environment() -> None:
    """Take PG* out of this process: what they say is in the address already, and libpq would mix the rest in."""
    for name in [name for name in os.environ if name.startswith("PG") and name not in _KEPT_VARIABLES]:
        del os.environ[name]
