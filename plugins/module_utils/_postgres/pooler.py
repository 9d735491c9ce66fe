# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proof that sessions are sessions (private to ops.runbooks).

A transaction pooler gives each transaction whatever backend is free, so that locks and snapshots of "a session" are
worth nothing. Port numbers and host names only hint at one; backends prove it: while session B holds a transaction
open, it keeps its backend, and if A's next transaction then runs on another backend than A's last one, or B was given
A's, there is no session behind either. A session pooler, which keeps one backend for each client, passes.
"""

from __future__ import annotations

import re
import select
import time
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.failures import first_line

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session

#: Seconds to wait for each answer: a pool without a free backend lets its clients wait for minutes.
PATIENCE = 10.0
#: How often the two are held against each other; a round is three short statements.
_ROUNDS = 10
_PID = "SELECT pg_catalog.pg_backend_pid()"
_SUPABASE = re.compile(r"\.pooler\.supabase\.com(?=:)")
_NEON = re.compile(r"-pooler(?=\.[^:]*neon\.tech)")


def require_session(connector: Connector, first: Session, patience: float = PATIENCE) -> None:
    """Fail with ``pooler_refused`` where ``first`` is no session of its own. Opens a second one and closes it again.

    While the second session holds a transaction, and with it a backend, the first is asked for its own. A pool whose
    other clients take and return backends at the same instants can hide the change once, hardly in every round.
    """
    where = first.endpoint.label
    with connector.open(first.endpoint.database) as second:
        own = _ask(first, _PID, where, patience)
        for _round in range(_ROUNDS):
            other = _ask(second, f"BEGIN; {_PID}", where, patience)
            now = _ask(first, _PID, where, patience)
            _ask(second, "ROLLBACK", where, patience)
            if other == own:
                raise _refused(where, "it is a transaction pooler's, which gave two sessions the same backend")
            if now != own:
                raise _refused(where, "it is a transaction pooler's, which gave one session two backends in turn")


def _ask(session: Session, statement: str, where: str, patience: float) -> str | None:
    """The last value that ``statement`` answers with, or a refusal: no answer in time is one, and waits no longer.

    libpq's asynchronous calls, because a waiting server can be told nothing, not even a time limit, through a pooler.
    """
    from psycopg import pq

    connection = session.connection.pgconn
    connection.send_query(statement.encode())
    deadline = time.monotonic() + patience
    value: str | None = None
    while True:
        while connection.is_busy():
            if not select.select([connection.socket], [], [], max(deadline - time.monotonic(), 0))[0]:
                session.close()
                raise _refused(where, f"beside a first session a second one got no answer within {patience:.0f} s")
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            return value
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            raise _refused(where, f"it is a pooler's: {first_line(result.error_message.decode(errors='replace'))}")
        if result.status == pq.ExecStatus.TUPLES_OK:
            value = (result.get_value(0, 0) or b"").decode()


def _refused(where: str, reason: str) -> RunbookError:
    return RunbookError(
        code="pooler_refused",
        attempted="use the connection for work that needs sessions",
        object=where,
        reason=reason,
        remedy=_remedy(where),
    )


def _remedy(where: str) -> str:
    """The address to use instead, as concretely as the refused one allows."""
    if _SUPABASE.search(where):
        return (
            "Use Supabase's session mode (port 5432 of this host) or its direct address db.<project ref>.supabase.co."
        )
    if _NEON.search(where):
        return f"Use Neon's direct address, the host without -pooler: {_NEON.sub('', where)}."
    return "Give the direct address of the server (often in DIRECT_URL), or a pooler's session mode."
