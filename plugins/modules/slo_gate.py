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
  - ops.runbooks._gate
  - ops.runbooks._probe
  - ops.runbooks._postgres
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
