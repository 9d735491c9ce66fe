# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libpq and the server say, as failures of the collection (private to ops.runbooks).

A server's answer carries an SQLSTATE and is told apart by it. A connection that was not made carries only text: libpq's
own, which is English here, or the server's. Their texts quote what they were given, so callers pass redacted text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

_AGAIN = "Check that the server runs and that nothing between lets only other addresses through, then run this again."
_SUPABASE_DIRECT = re.compile(r"^db\.[a-z0-9]+\.supabase\.(?:co|net)(?=:)")


@dataclass(frozen=True, slots=True)
class _Rule:
    """A failure and how it is recognised; ``reason`` None lets the text speak for itself."""

    pattern: re.Pattern[str]
    code: str
    reason: str | None
    remedy: str


def _rule(pattern: str, code: str, reason: str | None, remedy: str) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), code, reason, remedy)


#: A server, or a pooler before it, has no session left.
_NONE_FREE = (
    r"too many (?:clients|connections)|remaining connection slots|max clients|connection limit exceeded"
    r"|no more connections"
)
#: In order: the first that fits is taken. Layers of the network come last, since a server's answer may quote anything.
_CONNECTING = (
    _rule(
        r"invalid \w+ value|invalid port|invalid connection option|could not match \d+ port numbers",
        "invalid_parameter",
        None,
        "Correct this part of the connection.",
    ),
    _rule(
        r"role .* does not exist|password authentication failed|no password supplied|no pg_hba\.conf entry"
        r"|not permitted to log in|authentication failed|tenant or user not found|tenant/user .* not found|SASL|SCRAM"
        r"|wrong password|not allowed to connect as",
        "login_denied",
        None,
        "Check user and password, and whether pg_hba.conf or the provider's network rules admit this address.",
    ),
    _rule(
        r"database .* does not exist|no such database",
        "database_missing",
        "the server was reached, but it has no such database",
        "Correct the database's name, or create the database.",
    ),
    _rule(
        r"permission denied for database|not currently accepting connections",
        "privilege_missing",
        None,
        "Grant the role CONNECT on the database, or let the database accept connections.",
    ),
    _rule(
        _NONE_FREE,
        "server_failed",
        None,
        "End sessions that are not needed or raise the limit; a backup needs four sessions.",
    ),
    _rule(
        r"is starting up|is shutting down|in recovery mode|not yet accepting connections|hot standby mode is disabled",
        "server_unreachable",
        None,
        "Wait until the server accepts sessions, then run this again.",
    ),
    _rule(
        r"could not translate host name|name or service not known|nodename nor servname|failed to resolve"
        r"|name resolution",
        "server_unreachable",
        "DNS does not know the name of the host",
        "Correct the host, or the name service of this machine.",
    ),
    _rule(
        r"connection refused",
        "server_unreachable",
        "the host was found, but it refused the TCP connection: no server listens on that port",
        _AGAIN,
    ),
    _rule(
        r"timeout expired|timed out|no route to host|network is unreachable|host is down|host unreachable",
        "server_unreachable",
        "the host was found, but no TCP connection came about: nothing answers there, or a firewall drops it",
        _AGAIN,
    ),
    _rule(
        r"certificate|\bssl\b|\btls\b|tlsv1",
        "server_unreachable",
        None,
        "This is the TLS layer: check ssl_mode and ca_cert (sslmode and sslrootcert in a URL).",
    ),
    _rule(
        r"No such file or directory",
        "server_unreachable",
        "there is no such socket: no server listens in that directory",
        "Check login_unix_socket and login_port.",
    ),
    _rule(
        r"server closed the connection|connection reset|unexpectedly|terminating connection",
        "server_unreachable",
        None,
        _AGAIN,
    ),
)

#: By SQLSTATE or its beginning (PostgreSQL manual, appendix A); the longest that fits is taken.
_ANSWERS = {
    "42501": ("privilege_missing", "Grant the role what it lacks."),
    "55P03": ("timed_out", "Wait for the session that holds the lock to end, or raise lock_wait_timeout."),
    "57014": ("timed_out", "Find out what cancelled the statement, then run this again."),
    "57P": ("server_unreachable", "The server ended the session. " + _AGAIN),
    "08": ("server_unreachable", _AGAIN),
    "22021": (
        "server_failed",
        "A name in its catalogs is not UTF-8, as encoding SQL_ASCII allows: rename that, or dump by hand with pg_dump.",
    ),
    "40001": (
        "server_failed",
        "A standby cancelled the work to replay changes: raise max_standby_streaming_delay there, or use the primary.",
    ),
    "53100": ("server_failed", "The server's disk is full: free space there."),
    "53200": (
        "server_failed",
        "Where the server's log speaks of shared memory, raise max_locks_per_transaction there.",
    ),
    "53300": ("server_failed", "End sessions that are not needed or raise the limit; a backup needs four sessions."),
    "3D000": ("database_missing", "Correct the database's name, or create the database."),
}


def first_line(text: str) -> str:
    """What a text says first, without the severity that servers and the preamble that libpq put before it."""
    if (found := re.search(r"(?:FATAL|ERROR|PANIC):\s+(.*)", text)) is not None:
        return found[1].rstrip(".")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Where several addresses were tried, a heading stands before their failures.
    said = next((line for line in lines if not line.endswith(":")), "no reason was given")
    return re.sub(r"^.*\bfailed: ", "", said).rstrip(".")


def connecting(text: str, where: str) -> RunbookError:
    """The failure to connect to ``where``; ``text`` is libpq's, redacted."""
    for rule in _CONNECTING:
        if rule.pattern.search(text):
            return _failure("connect to the database", where, rule.code, rule.reason or first_line(text), rule.remedy)
    return _failure("connect to the database", where, "server_failed", first_line(text), _AGAIN)


def answering(state: str | None, text: str, attempted: str, where: str) -> RunbookError:
    """The failure of a statement; a statement whose connection broke has no SQLSTATE."""
    for length in (5, 3, 2):
        if (known := _ANSWERS.get((state or "08")[:length])) is not None:
            code, remedy = known
            break
    else:
        code, remedy = "server_failed", "Read the server's log for the details, and run this again."
    said = first_line(text)
    failure = _failure(attempted, where, code, f"{said} (SQLSTATE {state})" if state else said, remedy)
    failure.details = {"sqlstate": state}
    return failure


def passes(error: RunbookError) -> bool:
    """Whether a failure to connect may be over in a moment: a server that is starting, or has no session left."""
    return error.code == "server_unreachable" or re.search(_NONE_FREE, error.reason, re.IGNORECASE) is not None


def sqlstate(error: RunbookError) -> str:
    """The SQLSTATE behind a failure that :func:`answering` made; '' where there is none."""
    return str((error.details or {}).get("sqlstate") or "")


def _failure(attempted: str, where: str, code: str, reason: str, remedy: str) -> RunbookError:
    if code == "server_unreachable" and _SUPABASE_DIRECT.match(where):
        remedy += " Supabase's direct address answers over IPv6 only; its session pooler (port 5432) has IPv4."
    return RunbookError(code=code, attempted=attempted, object=where, reason=reason, remedy=remedy)
