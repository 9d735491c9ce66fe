# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a gate's figures come from (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import connector

#: Sessions that clients have and can have, locks that are waited for, the longest transaction, the lag of a replica.
#: A role without pg_monitor sees nothing of the sessions of others but that they are there; a figure that it would then
#: get wrong is NULL here.
_DATABASE = """
WITH others AS (
  SELECT pg_catalog.count(*) AS sessions, pg_catalog.bool_or(query = '<insufficient privilege>') AS hidden,
         pg_catalog.max(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - xact_start)) AS longest
    FROM pg_catalog.pg_stat_activity
   WHERE backend_type IS NOT DISTINCT FROM 'client backend' OR query = '<insufficient privilege>'
), replicas AS (
  SELECT pg_catalog.bool_or(state IS NULL) AS hidden, pg_catalog.max(EXTRACT(epoch FROM replay_lag)) AS lag
    FROM pg_catalog.pg_stat_replication
)
SELECT others.sessions,
       pg_catalog.current_setting('max_connections')::pg_catalog.int4
         - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4,
       CASE WHEN others.hidden THEN NULL ELSE coalesce(others.longest, 0) END,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE NOT granted),
       CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())
            WHEN replicas.hidden THEN NULL
            ELSE coalesce(replicas.lag, 0) END
  FROM others, replicas
"""


def given_figures(numbers: Mapping[str, float]) -> dict[str, float]:
    """What somebody else has measured, by the names of the objectives."""
    return dict(numbers)


def probe_figures(probe: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """The figures of a result of http_probe, and the number of its requests. Raises ``invalid_parameter``."""
    probe = probe.get("probe", probe)
    latency = probe.get("latency") if isinstance(probe, Mapping) else None
    requests = probe.get("requests") if isinstance(probe, Mapping) else None
    if not isinstance(latency, Mapping) or not isinstance(requests, int):
        raise RunbookError(
            code="invalid_parameter",
            attempted="judge objectives",
            object="probe",
            reason="it is not the result of http_probe",
            remedy="Register the task and give the variable itself, or its key probe.",
        )
    known = {
        "error_rate": probe.get("error_rate"),
        "consecutive_errors": probe.get("consecutive_errors"),
        **{f"{name}_ms": value for name, value in latency.items()},
    }
    return {name: float(value) for name, value in known.items() if isinstance(value, (int, float))}, requests


def database_figures(params: Mapping[str, Any], context: Context) -> dict[str, float]:
    """What PostgreSQL says of itself at this moment. A figure that the role may not see is left out."""
    reach = connector(params, context)
    try:
        with reach.open() as session:
            attempted = "read the figures of the database"
            used, most, longest, waiting, lag = session.row(_DATABASE, attempted=attempted)
    finally:
        reach.close()
    known = {
        "db_connections_percent": 100 * used / max(1, most),
        "db_longest_transaction_seconds": longest,
        "db_waiting_locks": waiting,
        "db_replication_lag_seconds": lag,
    }
    return {name: float(value) for name, value in known.items() if value is not None}
