#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_gate
short_description: Hold the gate of a release, and take it back at once where it fails
version_added: 1.0.0
description:
  - Judges an app on Vercel as M(ops.runbooks.slo_gate) does. Where it does not pass, production is rolled back as by
    M(ops.runbooks.vercel_rollback), in the same task, so that as little time as possible is lost after the verdict.
  - First each of O(probes) is asked once. Where one does not answer as expected, for O(wait_for), that is the verdict.
  - Whatever a rollback has to load and look up is loaded and looked up before the gate asks. That the way back may be
    closed is no verdict on the release, so that it is an error only where it is needed.
  - The verdict is in V(gate.decision) and never a failure of the task. The task fails where production could not be
    rolled back; V(gate) is there then too.
  - In check mode it measures, and says what would follow.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.vercel
  - ops.runbooks._attributes
  - ops.runbooks._gate
  - ops.runbooks._probe
  - ops.runbooks._postgres
  - ops.runbooks._vercel
  - ops.runbooks._vercel.forbidden
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  deployment:
    description:
      - The deployment that is judged and serves production. Where it no longer does when the gate fails, nothing is
        moved.
    type: str
    required: true
  rollback_to:
    description:
      - The deployment that is to serve where the gate does not pass. Empty means that there is none, so that
        nothing follows from the verdict.
    type: str
    default: ""
  rollback_timeout:
    description:
      - How long Vercel may take for it, as a duration.
    type: str
    default: 5m
  wait_for:
    description:
      - How long an app that does not answer as expected is asked again before that is the verdict, as a duration.
    type: str
    default: 0s
seealso:
  - module: ops.runbooks.slo_gate
  - module: ops.runbooks.vercel_rollback
"""

EXAMPLES = r"""
- name: Is the release good? If not, what served before serves again
  ops.runbooks.release_gate:
    project: acme-web
    team: acme
    deployment: dpl_7Hk2q
    rollback_to: dpl_3Fn9x
    slo:
      error_rate: 0.05
      p95_ms: 2000
    probes:
      - url: https://app.acme.com/api/health
      - url: https://app.acme.com/
    store: s3://acme-runbooks-production
    environment: production
    name: web
  register: judged
"""

RETURN = r"""
gate:
  description: The verdict, and what followed.
  returned: always
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
    back:
      description: >-
        The rollback, as V(move) of M(ops.runbooks.vercel_rollback). Null where the gate passes, or nothing could take
        the place of what serves.
      type: dict
    back_seconds:
      description: >-
        Seconds from the verdict until every production domain was seen to serve O(rollback_to). Null where production
        was not moved.
      type: float
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
from ansible_collections.ops.runbooks.plugins.module_utils._gate.release_gate import ReleaseGate


def main() -> None:
    """Run the module."""
    run(ReleaseGate)


if __name__ == "__main__":
    main()
