#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slo_gate
short_description: Decide whether an app keeps its objectives
version_added: 1.0.0
description:
  - Judges figures by their limits. They come from O(measurements), from a result of M(ops.runbooks.http_probe)
    (O(probe)), from requests of its own (O(probes)), and from PostgreSQL (O(postgres)).
  - A gate passes, fails, or is inconclusive where too little was measured. That is a decision (V(gate.decision)) and
    never a failure of the task; what follows from it is the playbook's. It measures in check mode too.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.alone
  - ops.runbooks._attributes.info
  - ops.runbooks._probe
  - ops.runbooks._postgres
options:
  slo:
    description:
      - The objectives, as names and the numbers that they may reach at most.
      - Requests tell V(error_rate) (0 to 1), V(consecutive_errors), V(p50_ms), V(p95_ms), V(p99_ms), V(max_ms),
        V(mean_ms).
      - PostgreSQL tells V(db_connections_percent), V(db_longest_transaction_seconds), V(db_waiting_locks),
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
      - How often is measured here. A round in which any objective is not kept is a failure.
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
seealso:
  - module: ops.runbooks.http_probe
"""

EXAMPLES = r"""
- name: Does the app keep what it promises?
  ops.runbooks.slo_gate:
    slo:
      error_rate: 0.05
      p95_ms: 2000
    probes:
      - url: https://app.acme.com/api/health
      - url: https://app.acme.com/
  register: judged
"""

RETURN = r"""
gate:
  description: The verdict.
  returned: success
  type: dict
  contains:
    decision:
      description: V(pass), V(fail), V(rollback) or V(inconclusive), after O(on_inconclusive).
      type: str
    measured:
      description: V(pass), V(fail) or V(inconclusive), before it.
      type: str
    reason:
      description: Why, in a clause.
      type: str
    synthetic:
      description: Whether requests of the gate's own stand behind the figures.
      type: bool
    samples:
      description: How many requests stand behind them.
      type: int
    rounds:
      description: How often was measured.
      type: int
    failures:
      description: In how many rounds an objective was not kept.
      type: int
    errors:
      description: In how many rounds something could not be measured.
      type: int
    objectives:
      description: Each objective, with V(name), V(at_most), V(at_least), the last V(value), and whether it was V(kept).
      type: list
      elements: dict
plan:
  description:
    - What is done, or would be in check mode, as V(steps), and what of it cannot be taken back, as V(irreversible).
  returned: where it was decided
  type: dict
run_id:
  description: The run that this task belonged to.
  returned: always
  type: str
failure:
  description: Why the task failed, with V(code), V(attempted), V(object) and V(remedy).
  returned: failure
  type: dict
"""

from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._gate.gate import SloGate


def main() -> None:
    """Run the module."""
    run(SloGate)


if __name__ == "__main__":
    main()
