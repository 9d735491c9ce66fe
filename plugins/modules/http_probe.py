#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: http_probe
short_description: Ask web addresses whether they answer as expected
version_added: 1.0.0
description:
  - Makes requests, several times where asked, and compares status, body, JSON, headers, certificate and latency with
    what is expected.
  - What is measured is a decision (V(probe.decision)) and never a failure of the task. It makes its requests in check
    mode too.
  - Time and memory are bounded whatever the other side does.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.alone
  - ops.runbooks._attributes.info
  - ops.runbooks._probe
options:
  samples:
    description:
      - How often each probe is asked.
    type: int
    default: 1
  wait_for:
    description:
      - How long to ask all probes again, once a second, while one of them fails (duration). What was asked last counts.
    type: str
    default: 0s
seealso:
  - module: ops.runbooks.slo_gate
"""

EXAMPLES = r"""
- name: Is the app healthy?
  ops.runbooks.http_probe:
    samples: 20
    probes:
      - name: health
        url: https://app.acme.com/api/health
        json: {status: ok}
        max_latency: 2s
        tls_min_days: 14
      - name: administration is closed
        url: https://app.acme.com/admin
        status: [401, 403]
  register: asked

- name: Say so where it is not
  ops.runbooks.runbook_record:
    store: s3://acme-runbooks-production
    environment: production
    name: web
    resource: app/web
    identity: sick
    what: "probes failed: {{ asked.probe.failed | join(', ') }}"
  when: asked.probe.decision != 'pass'
"""

RETURN = r"""
probe:
  description: All requests together, and each probe.
  returned: success
  type: dict
  contains:
    decision:
      description: V(pass), V(fail) where any request was an error, V(inconclusive) where the time was over before.
      type: str
    requests:
      description: How many were made.
      type: int
    errors:
      description: How many of them were not as expected.
      type: int
    error_rate:
      description: Their part, from 0 to 1.
      type: float
    consecutive_errors:
      description: The most errors in a row of one probe.
      type: int
    latency:
      description: Milliseconds, as V(p50), V(p95), V(p99), V(max) and V(mean); percentiles by nearest rank.
      type: dict
    failed:
      description: The names of the probes that failed.
      type: list
      elements: str
    reasons:
      description: For each of them the most frequent reason.
      type: list
      elements: str
    results:
      description: >-
        Each probe, with V(name), V(url), V(decision), V(requests), V(errors), V(error_rate), V(consecutive_errors),
        V(statuses), V(latency), V(tls_expires_at), V(tls_days), V(reasons).
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
from ansible_collections.ops.runbooks.plugins.module_utils._probe.probe import HttpProbe


def main() -> None:
    """Run the module."""
    run(HttpProbe)


if __name__ == "__main__":
    main()
