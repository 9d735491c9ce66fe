# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which database is meant: options, URLs, variables."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.address import (
    URL_VARIABLES,
    Address,
    parse_url,
    resolve,
)
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

LIBPQ = {each.keyword.decode(): each.envvar.decode() if each.envvar else None for each in Conninfo.get_defaults()}


def read(url: str) -> Address:
    return parse_url(url, "database_url", LIBPQ)


def resolved(params: dict[str, Any], environ: dict[str, str] | None = None, *, need_database: bool = True) -> Address:
    return resolve(params, environ or {}, LIBPQ, need_database=need_database)


def refusal(params: dict[str, Any], environ: dict[str, str] | None = None) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        resolved(params, environ)
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host",
        "postgres://user@host:5433/db",
        "postgresql://user:secret@host:5433/db",
        "postgresql://user:p%40ss%2Fw%3Frd%23@host/db",
        "postgresql://user:secret@[2001:db8::1]:5433/db",
        "postgresql://user:secret@one:5432,two:5433/db?target_session_attrs=read-write",
        "postgresql://user:secret@%2Fvar%2Frun%2Fpostgresql/db",
        "postgresql:///db?host=/tmp&port=5433",
        "postgresql://user.with.dots:secret@host/db?sslmode=verify-full&sslrootcert=/a%20b.pem",
        "postgresql://host/a%20b?options=-c%20work_mem%3D5MB",
        "postgresql://host/db?ssl=true",
        "postgresql://user:@host/db",
    ],
)
def test_urls_mean_what_they_mean_to_libpq(url: str) -> None:
    keywords = read(url).keywords
    assert keywords == {name: str(value) for name, value in conninfo_to_dict(url).items() if value != ""}


@given(password=st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_every_password_survives_percent_encoding(password: str) -> None:
    try:
        encoded = quote(password, safe="")
    except UnicodeEncodeError:
        return
    assert read(f"postgres://u:{encoded}@h/d").keywords == {
        "user": "u",
        "password": password,
        "host": "h",
        "dbname": "d",
    }


@pytest.mark.parametrize("password", ["p@ss", "p/a/ss", "p?a=ss", "p#ss", "p@s/s?w#o:r@d", "100%", "a:b"])
def test_passwords_that_should_have_been_encoded(password: str) -> None:
    keywords = read(f"postgres://u:{password}@host:5433/db?sslmode=require").keywords
    where = {"host": "host", "port": "5433", "dbname": "db", "sslmode": "require"}
    assert keywords == {"user": "u", "password": password, **where}


@given(text=st.text(alphabet="ab@:/?#%&=,[]1", max_size=30))
def test_no_failure_quotes_a_password(text: str) -> None:
    """Whatever is wrong with a URL, nothing between the user and the last ``@`` is shown."""
    url = f"postgresql://user:s3cret{text}s3cret@host/db"
    said: object
    try:
        said = read(url)
    except RunbookError as error:
        said = error.message
    assert "s3cret" not in repr(said)


def test_parameters_of_orms_are_dropped_and_named() -> None:
    address = read(
        "postgres://h/d?pgbouncer=true&connection_limit=1&pool_timeout=0&schema=x&supa=base-pooler.x&sslmode=require"
    )
    assert address.dropped == ("connection_limit", "pgbouncer", "pool_timeout", "schema", "supa")
    assert address.keywords == {"host": "h", "dbname": "d", "sslmode": "require"}


@pytest.mark.parametrize(
    "url",
    [
        "mysql://h/d",
        "h",
        "",
        "postgres://h/d?sslmod=require",
        "postgres://h:1:2/d",
        "postgres://%ff@h/d",
        "postgres://h/%00",
    ],
)
def test_urls_that_cannot_be_read(url: str) -> None:
    with pytest.raises(RunbookError) as caught:
        read(url)
    assert caught.value.code == "invalid_parameter"


def test_options_describe_a_connection() -> None:
    params = {"login_host": "h", "login_port": 5433, "login_user": "u", "login_password": "p", "database": "d"}
    address = resolved(
        {**params, "ssl_mode": "require", "ca_cert": "/ca.pem"}, {"PGUSER": "other", "PGHOSTADDR": "1.2.3.4"}
    )
    expected = {"host": "h", "port": "5433", "user": "u", "password": "p", "dbname": "d"}
    assert address.keywords == {**expected, "sslmode": "require", "sslrootcert": "/ca.pem"}
    assert address.source == "login options"
    assert resolved({"login_unix_socket": "/tmp", "database": "d"}).keywords == {"host": "/tmp", "dbname": "d"}
    assert resolved({"database": "d"}, {"PGHOST": "elsewhere"}).keywords == {"host": "localhost", "dbname": "d"}
    assert resolved({"login_host": "h"}, need_database=False).keywords == {"host": "h"}


def test_the_environment_adds_what_says_nothing_of_where() -> None:
    environ = {
        "PGPASSWORD": "p",
        "PGSSLROOTCERT": "/ca.pem",
        "PGDATABASE": "other",
        "PGPORT": "1",
        "PGOPTIONS": "-c x=y",
    }
    address = resolved({"database_url": "postgres://u@h/d"}, environ)
    assert address.keywords == {"host": "h", "user": "u", "dbname": "d", "password": "p", "sslrootcert": "/ca.pem"}
    given = resolved({"database_url": "postgres://u:own@h/d?sslrootcert=/own.pem"}, {**environ, "PGPASSFILE": "/pass"})
    assert (given.keywords["password"], given.keywords["sslrootcert"]) == ("own", "/own.pem")
    assert "passfile" not in given.keywords


def test_fallbacks_in_their_order() -> None:
    environ = {name: f"postgres://{name.lower().replace('_', '-')}/d" for name in URL_VARIABLES}
    for name in URL_VARIABLES:
        assert resolved({}, environ).source == name
        del environ[name]
    variables = {"PGHOST": "h", "PGDATABASE": "d", "PGUSER": "u"}
    assert resolved({}, variables).keywords == {"host": "h", "dbname": "d", "user": "u"}
    assert resolved({}, variables).source == "PG* variables"
    assert resolved({}, {"PGSERVICE": "s"}).keywords == {"service": "s"}


@pytest.mark.parametrize(
    ("params", "environ", "code", "named"),
    [
        ({"database_url": ""}, {}, "connection_empty", "database_url"),
        ({"login_host": " ", "database": "d"}, {}, "connection_empty", "login_host"),
        ({"login_host": "h", "login_password": "", "database": "d"}, {}, "connection_empty", "login_password"),
        ({}, {"DIRECT_URL": "", "DATABASE_URL": "postgres://h/d"}, "connection_empty", "DIRECT_URL"),
        ({}, {"PGHOST": "", "PGDATABASE": "d"}, "connection_empty", "PGHOST"),
        ({"database_url": "postgres://h/d", "database": "x"}, {}, "connection_ambiguous", "database"),
        (
            {"login_host": "h", "login_unix_socket": "/s", "database": "d"},
            {},
            "connection_ambiguous",
            "login_unix_socket",
        ),
        ({"login_host": "h"}, {}, "connection_missing", "database"),
        ({"database_url": "postgres://h"}, {}, "connection_missing", "database"),
        ({}, {}, "connection_missing", "RUNBOOKS_DATABASE_URL"),
        (
            {"connection_fallback": False},
            {"DATABASE_URL": "postgres://h/d"},
            "connection_missing",
            "connection_fallback",
        ),
        ({"database_url": "postgres://h/d?sslpassword=x"}, {}, "invalid_parameter", "sslpassword"),
    ],
)
def test_refusals(params: dict[str, Any], environ: dict[str, str], code: str, named: str) -> None:
    error = refusal(params, environ)
    assert error.code == code
    assert named in error.message
