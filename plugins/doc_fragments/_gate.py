# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that judge an app by its objectives, in step with ``GATE_SPEC`` of ``_gate/gate.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """C(ops.runbooks._gate)."""

    DOCUMENTATION = r"""
options:
  slo:
    description:
      - The objectives, as names and the numbers that they may reach at most.
      - Requests give V(error_rate) (0 to 1), V(consecutive_errors), V(p50_ms), V(p95_ms), V(p99_ms), V(max_ms),
        V(mean_ms).
      - PostgreSQL gives V(db_connections_percent), V(db_longest_transaction_seconds), V(db_waiting_locks),
        V(db_replication_lag_seconds). What its role may not see (it needs C(pg_monitor)) is missing.
      - Any other name is one of O(measurements).
    type: dict
    default: {}
  slo_least:
    description:
      - The same for numbers that have to be reached at least.
    type: dict
    default: {}
  probe:
    description:
      - A result of M(ops.runbooks.http_probe).
    type: dict
  measurements:
    description:
      - What was measured elsewhere, as names and numbers.
    type: dict
    default: {}
  samples:
    description:
      - How many requests stand behind O(measurements).
    type: int
    default: 0
  postgres:
    description:
      - Whether PostgreSQL is asked for its figures, in every round.
    type: bool
    default: false
  rounds:
    description:
      - How many times to measure. A round in which any objective is not kept is a failure.
    type: int
    default: 1
  pause:
    description:
      - How long to wait between two rounds, as a duration.
    type: str
    default: 10s
  failure_limit:
    description:
      - How many failures are tolerated.
    type: int
    default: 0
  consecutive_error_limit:
    description:
      - How many rounds in a row may bring no figure of PostgreSQL, because it could not be asked.
    type: int
    default: 4
  min_samples:
    description:
      - How many requests there have to be. With fewer the gate is inconclusive.
    type: int
    default: 200
  on_inconclusive:
    description:
      - What follows where the gate is inconclusive.
      - V(probe) asks O(probes) instead, as often as O(min_samples) wants, and stays inconclusive where there are none.
      - V(fail), V(rollback) and V(accept) make it V(fail), V(rollback) and V(pass), and V(gate.reason) says so.
    type: str
    choices: [probe, fail, rollback, accept]
    default: probe
"""
