# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which database is meant: from options, a URL or the environment to libpq's keywords (private to ops.runbooks).

Everything here is pure. libpq itself reads ``PG*`` variables for whatever it is not told; this file decides instead,
so that a described host is never mixed with the environment's database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: Options that describe a connection part by part, and the libpq keyword of each.
PARTS = {
    "login_host": "host",
    "login_port": "port",
    "login_user": "user",
    "login_password": "password",
    "login_unix_socket": "host",
    "ssl_mode": "sslmode",
    "ca_cert": "sslrootcert",
    "database": "dbname",
}
#: Variables that are looked at, in this order, where no option describes a connection.
URL_VARIABLES = ("RUNBOOKS_DATABASE_URL", "DIRECT_URL", "POSTGRES_URL_NON_POOLING", "DATABASE_URL")
#: Keywords that say where to go and as whom: never taken from the environment beside a described connection.
_WHERE = frozenset(
    {"host", "hostaddr", "port", "user", "dbname", "service", "options", "target_session_attrs", "load_balance_hosts"}
)
#: Keywords whose values are secret; only the first has a variable through which a child process can be given it.
SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
#: Query parameters of ORMs and hosting platforms, which libpq refuses and which mean nothing to it.
_ORM = re.compile(
    r"^(pgbouncer|connection_limit|pool_timeout|pool_mode|pool|schema|supa.*|workaround|sslaccept|socket_timeout"
    r"|statement_cache_size|prepared_statements|prepare|uselibpqcompat)$"
)
_SCHEME = re.compile(r"^postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_HOSTS = r"(?P<hosts>[A-Za-z0-9._~%:,\[\]-]*)"
#: The form of RFC 3986, and the one with a raw ``@``, ``/``, ``?`` or ``#`` in the password that people paste. The
#: first allows one ``@`` only: what stands between two of them may be the end of a password, and is never shown.
_STRICT = re.compile(
    rf"^(?:(?P<user>[^:@/?]*)(?::(?P<password>[^@/?]*))?@)?{_HOSTS}(?:/(?P<dbname>[^/?@]*))?(?:\?(?P<query>[^@]*))?$"
)
_LENIENT = re.compile(
    rf"^(?P<user>[^:@/?]*):(?P<password>.*)@{_HOSTS}(?:/(?P<dbname>[^/?@]*))?(?:\?(?P<query>[^@]*))?$", re.S
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A described connection: libpq keywords with their values, where they came from, what was left out.

    ``source`` is what people know it by: an option's or a variable's name. ``dropped`` are query parameters of ORMs.
    """

    keywords: Mapping[str, str] = field(repr=False)
    source: str
    dropped: tuple[str, ...] = ()


def resolve(
    params: Mapping[str, Any], environ: Mapping[str, str], libpq: Mapping[str, str | None], *, need_database: bool
) -> Address:
    """The connection that ``params`` describe, or that ``environ`` does where they describe none.

    ``libpq`` maps each keyword that libpq knows to its variable. Raises ``connection_ambiguous``, ``connection_empty``,
    ``connection_missing`` or ``invalid_parameter``.
    """
    described = given(params)
    if "database_url" in described:
        _one_description(described)
        address = parse_url(params["database_url"], "database_url", libpq)
    elif described:
        address = _from_parts(params, described)
    else:
        address = _from_environment(environ, libpq, bool(params.get("connection_fallback", True)))
    return _completed(address, environ, libpq, need_database)


def given(params: Mapping[str, Any]) -> list[str]:
    """The options that describe a connection. Raises ``connection_empty`` where one of them is."""
    described = [name for name in (*PARTS, "database_url") if params.get(name) is not None]
    for name in described:
        if str(params[name]).strip() == "":
            raise _empty(name)
    return described


def _one_description(described: list[str]) -> None:
    if len(described) == 1:
        return
    others = ", ".join(name for name in described if name != "database_url")
    raise RunbookError(
        code="connection_ambiguous",
        attempted="read the connection",
        object=f"database_url and {others}",
        reason="the connection is described twice",
        remedy="Give either database_url, which can carry sslmode and sslrootcert too, or the other options.",
    )


def _from_parts(params: Mapping[str, Any], described: list[str]) -> Address:
    if "login_host" in described and "login_unix_socket" in described:
        raise RunbookError(
            code="connection_ambiguous",
            attempted="read the connection",
            object="login_host and login_unix_socket",
            reason="the server is named twice",
            remedy="Give one of the two.",
        )
    keywords = {PARTS[name]: str(params[name]) for name in described}
    keywords.setdefault("host", "localhost")
    return Address(keywords=keywords, source="login options")


def _from_environment(environ: Mapping[str, str], libpq: Mapping[str, str | None], allowed: bool) -> Address:
    if allowed:
        for name in URL_VARIABLES:
            if name in environ:
                if not environ[name].strip():
                    raise _empty(name)
                return parse_url(environ[name], name, libpq)
        keywords = {}
        for keyword, variable in libpq.items():
            if variable is None or variable not in environ:
                continue
            if environ[variable]:
                keywords[keyword] = environ[variable]
            elif keyword in ("host", "port", "user", "dbname", "service"):
                raise _empty(variable)
        if keywords.keys() & {"host", "hostaddr", "service", "dbname"}:
            return Address(keywords=keywords, source="PG* variables")
    looked = f" and neither {', '.join(URL_VARIABLES)} nor PGHOST, PGSERVICE or PGDATABASE is set" if allowed else ""
    raise RunbookError(
        code="connection_missing",
        attempted="read the connection",
        object="database_url and the login options",
        reason=f"no option describes one{looked or ', and connection_fallback is off'}",
        remedy="Give database_url, or login_host with database, login_user and login_password.",
    )


def _completed(
    address: Address, environ: Mapping[str, str], libpq: Mapping[str, str | None], need_database: bool
) -> Address:
    """With what the environment may add: a password, TLS settings; then checked for what must be there."""
    keywords = dict(address.keywords)
    for keyword, variable in libpq.items():
        if keyword not in _WHERE and keyword not in keywords and variable is not None and environ.get(variable):
            keywords[keyword] = environ[variable]
    if keywords.get("password"):
        keywords.pop("passfile", None)
    if unseen := [name for name in SECRETS[1:] if keywords.get(name)]:
        raise RunbookError(
            code="invalid_parameter",
            attempted="read the connection",
            object=f"{unseen[0]} from {address.source}",
            reason="pg_dump and pg_restore can be given it only where others may see it",
            remedy="Log in with a password, or with a key that needs no passphrase.",
        )
    if need_database and not keywords.get("dbname") and "service" not in keywords:
        raise RunbookError(
            code="connection_missing",
            attempted="read the connection",
            object=address.source,
            reason="it names no database",
            remedy="Name the database: with option database, or as the path of the URL.",
        )
    return Address(keywords=keywords, source=address.source, dropped=address.dropped)


def parse_url(url: str, source: str, libpq: Mapping[str, str | None]) -> Address:
    """The keywords in a connection URL, several hosts included; ``source`` names it for failures.

    Like libpq (manual, section 34.1.1.2), but query parameters of ORMs are dropped and named, and a password may hold
    characters that should have been percent-encoded. Never quotes the URL, which is secret.
    """
    scheme = _SCHEME.match(url.strip())
    if scheme is None:
        raise _bad_url(source, "it does not begin with postgres:// or postgresql://")
    rest = url.strip()[scheme.end() :]
    found = _STRICT.match(rest) or _LENIENT.match(rest)
    if found is None:
        raise _bad_url(source, "it does not have the form postgresql://user:password@host:port/database")
    keywords = {name: _decoded(found[name], source) for name in ("user", "password", "dbname") if found[name]}
    keywords.update(_hosts(found["hosts"], source))
    query, dropped = _query(found["query"] or "", source, libpq)
    keywords.update(query)
    return Address(keywords=keywords, source=source, dropped=dropped)


def _hosts(text: str, source: str) -> dict[str, str]:
    """``host`` and ``port`` from ``a:1,b:2``, with IPv6 addresses in brackets and sockets percent-encoded."""
    hosts, ports = [], []
    for each in text.split(","):
        found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?", each)
        if found is None:
            raise _bad_url(source, "its host and port cannot be told apart; put an IPv6 address in brackets")
        hosts.append(_decoded(found[1].strip("[]"), source))
        ports.append(found[2] or "")
    keywords = {"host": ",".join(hosts)} if any(hosts) else {}
    if any(ports):
        keywords["port"] = ",".join(ports)
    return keywords


def _query(text: str, source: str, libpq: Mapping[str, str | None]) -> tuple[dict[str, str], tuple[str, ...]]:
    keywords: dict[str, str] = {}
    dropped: list[str] = []
    for pair in filter(None, text.split("&")):
        raw_name, _equals, raw_value = pair.partition("=")
        name, value = _decoded(raw_name, source), _decoded(raw_value, source)
        if (name, value) == ("ssl", "true"):
            name, value = "sslmode", "require"
        if name in libpq:
            keywords[name] = value
        elif _ORM.match(name):
            dropped.append(name)
        else:
            raise _bad_url(
                source, f"libpq does not know its parameter {name}" if name.isidentifier() else "its end is unreadable"
            )
    return keywords, tuple(sorted(set(dropped)))


def _decoded(text: str, source: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        decoded = "\0"
    if "\0" in decoded:
        raise _bad_url(source, "what is percent-encoded in it is not UTF-8 text")
    return decoded


def _bad_url(source: str, reason: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted="read the connection URL",
        object=source,
        reason=reason,
        remedy="Write it like postgresql://user:password@host:5432/database?sslmode=require, with characters such as "
        "@ : / ? # % in the password percent-encoded.",
    )


def _empty(name: str) -> RunbookError:
    return RunbookError(
        code="connection_empty",
        attempted="read the connection",
        object=name,
        reason="it is given but empty",
        remedy=f"Set {name}, or leave it out; where its value comes from a variable, that variable is not set here.",
    )
