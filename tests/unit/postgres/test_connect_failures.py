# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libpq and servers say, and what it means. The texts are those of libpq 18, PostgreSQL 18 and Supavisor."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import failures
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.address import Address
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ServerFact
from psycopg.conninfo import conninfo_to_dict

from harness.manifests import make_context

_AT = 'connection failed: connection to server at "10.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (_AT + 'FATAL:  password authentication failed for user "app"', "login_denied", "password authentication"),
        (_AT + 'FATAL:  role "app" does not exist', "login_denied", "role"),
        (
            _AT + 'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "a", database "d", no encryption',
            "login_denied",
            "",
        ),
        (_AT + "fe_sendauth: no password supplied", "login_denied", "no password supplied"),
        (_AT + "FATAL:  Tenant or user not found", "login_denied", "Tenant"),
        (_AT + 'FATAL:  database "shop" does not exist', "database_missing", "no such database"),
        (_AT + 'FATAL:  permission denied for database "shop"', "privilege_missing", "permission denied"),
        (_AT + "FATAL:  sorry, too many clients already", "server_failed", "too many clients"),
        (_AT + "FATAL:  the database system is starting up", "server_unreachable", "starting up"),
        (_AT + "Connection refused\n\tIs the server running on that host?", "server_unreachable", "refused the TCP"),
        (_AT + "timeout expired", "server_unreachable", "no TCP connection"),
        ('could not translate host name "db.x" to address: Name or service not known', "server_unreachable", "DNS"),
        ("[Errno -2] Name or service not known", "server_unreachable", "DNS"),
        (_AT + "SSL error: certificate verify failed", "server_unreachable", "certificate verify failed"),
        (_AT + "server does not support SSL, but SSL was required", "server_unreachable", "does not support SSL"),
        ('root certificate file "/x/ca.pem" does not exist', "server_unreachable", "root certificate"),
        (
            'connection failed: connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory',
            "server_unreachable",
            "no such socket",
        ),
        ('invalid sslmode value: "sometimes"', "invalid_parameter", "sslmode"),
        ("something that nobody has seen before", "server_failed", "something that nobody"),
        (
            "Multiple connection attempts failed. All failures were:\n- host: 'localhost', port: 1, hostaddr: '::1': "
            + _AT
            + "server closed the connection unexpectedly",
            "server_unreachable",
            "server closed the connection unexpectedly",
        ),
    ],
)
def test_connections_that_were_not_made(text: str, code: str, says: str) -> None:
    error = failures.connecting(text, "h:5432/d")
    assert error.code == code
    assert says in error.reason
    assert error.object == "h:5432/d"


def test_a_name_in_a_servers_answer_does_not_decide() -> None:
    """A database may be called what it likes."""
    error = failures.connecting(_AT + 'FATAL:  database "ssl_certificates" does not exist', "h:5432/d")
    assert error.code == "database_missing"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("42501", "privilege_missing"),
        ("55P03", "timed_out"),
        ("57014", "timed_out"),
        ("57P01", "server_unreachable"),
        (None, "server_unreachable"),
        ("08006", "server_unreachable"),
        ("53200", "server_failed"),
        ("22012", "server_failed"),
    ],
)
def test_statements_that_failed(state: str | None, code: str) -> None:
    error = failures.answering(state, "some text\nLINE 1: ...", "count the rows", "h:5432/d")
    assert (error.code, failures.sqlstate(error)) == (code, state or "")
    assert error.reason.startswith("some text")


def test_the_remedy_for_supabases_direct_address_speaks_of_ipv6() -> None:
    error = failures.connecting(_AT + "Network is unreachable", "db.abcdefghijklmnopqrst.supabase.co:5432/postgres")
    assert "IPv6" in error.remedy


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"host": "db.abcdefghijklmnopqrst.supabase.co", "user": "postgres"}, {"project": "abcdefghijklmnopqrst"}),
        (
            {"host": "aws-0-eu-west-1.pooler.supabase.com", "user": "postgres.abcdefghijklmnopqrst"},
            {"project": "abcdefghijklmnopqrst"},
        ),
        ({"host": "db.example.com", "user": "postgres.abcdefghijklmnopqrst"}, {"system_identifier": "7"}),
    ],
)
def test_what_a_name_is_bound_to(keywords: dict[str, str], expected: dict[str, str], tmp_path: object) -> None:
    address = Address(keywords={**keywords, "dbname": "postgres"}, source="x")
    connector = Connector(address, make_context(tmp_path))  # type: ignore[arg-type]
    server = ServerFact(version="18.6", major=18, system_identifier="7", host=keywords["host"], port=5432)
    assert connector.identity(server, "postgres") == {**expected, "database": "postgres", "host": keywords["host"]}


def test_tools_are_told_where_without_the_password(tmp_path: object) -> None:
    keywords = {"host": "h", "user": "u", "dbname": "d", "password": "p4ssword"}
    context = make_context(tmp_path)  # type: ignore[arg-type]
    connector = Connector(Address(keywords=keywords, source="x"), context)
    assert "p4ssword" not in connector.tool_dbname()
    assert "dbname=other" in connector.tool_dbname("other")
    assert "options='-c a=b -c c=d'" in connector.tool_dbname(settings=("a=b", "c=d"))
    assert connector.tool_environment()["PGPASSWORD"] == "p4ssword"
    assert context.redactor.text("p4ssword") == "********"
    assert Clock().now()


def test_another_login_takes_nothing_along_that_proves_who_the_first_one_is(tmp_path: Path) -> None:
    proofs = {"passfile": "/p", "sslcert": "/c", "sslkey": "/k", "options": "-c role=x", "require_auth": "none"}
    keywords = {"host": "h", "port": "5433", "dbname": "d", "user": "ops", "password": "p4ssword", "sslmode": "require"}
    first = Connector(Address(keywords={**keywords, **proofs}, source="x"), make_context(tmp_path))
    other = first.logging_in_as("app_a", "an0ther")
    assert conninfo_to_dict(other.tool_dbname()).items() >= {"user": "app_a", "host": "h", "sslmode": "require"}.items()
    assert not proofs.keys() & conninfo_to_dict(other.tool_dbname()).keys()
    assert other.tool_environment()["PGPASSWORD"] == "an0ther"
