#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runbook_record
short_description: Write down evidence of a step that was done by other means
version_added: 1.0.0
description:
  - The modules of this collection leave a record of what they change by themselves. This one is for steps that a person
    or a module of another collection did, so that a review finds them in the same place.
  - The evidence is one document, C(environment/evidence/name/identity.json) in the store, which is created and never
    changed. It holds the step, its result, its measurements, the run and who launched it.
  - Secrets do not belong in O(result) or O(measurements).
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  state:
    description:
      - V(present) writes the evidence where there is none under O(identity). What is there stands; where it differs
        there is a warning.
      - V(closed) marks the run records of O(name) that still say C(running), although no living run holds the lock of
        O(resource), as interrupted. The next run that takes the lock does this by itself.
    type: str
    choices: [present, closed]
    default: present
  identity:
    description:
      - The identity of the step, of letters, digits, V(_) and V(-). Required by O(state=present).
    type: str
  what:
    description:
      - What was done, as a clause such as V(the DNS record was moved). Required by O(state=present).
    type: str
  status:
    description:
      - Whether the step succeeded.
    type: str
    choices: [done, failed]
    default: done
  result:
    description:
      - What came out of it.
    type: dict
    default: {}
  measurements:
    description:
      - Numbers that are worth keeping, such as durations in seconds.
    type: dict
    default: {}
  resource:
    description:
      - With O(state=closed) the resource whose lock tells whether a run is alive. The default is the database O(name).
    type: str
  since:
    description:
      - With O(state=closed) how far back to look for records, as a duration.
    type: str
    default: 35d
seealso:
  - module: ops.runbooks.runbook_status_info
"""

EXAMPLES = r"""
- name: Keep what the DNS provider said
  ops.runbooks.runbook_record:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    identity: dns-2026-11-20
    what: the DNS record was moved to the new load balancer
    result: "{{ dns.record }}"
    measurements:
      seconds: 42

- name: Close what a killed run has left open
  ops.runbooks.runbook_record:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    state: closed
"""

RETURN = r"""
record:
  description: The evidence as it is in the store, or what was closed. In check mode as it would be.
  returned: success
  type: dict
  contains:
    key:
      description: Where the evidence lies in the store.
      returned: with O(state=present)
      type: str
      sample: production/evidence/main/dns-2026-11-20.json
    identity:
      description: The identity of the step.
      returned: with O(state=present)
      type: str
      sample: dns-2026-11-20
    what:
      description: What was done.
      returned: with O(state=present)
      type: str
    status:
      description: V(done) or V(failed).
      returned: with O(state=present)
      type: str
      sample: done
    result:
      description: What came out of it.
      returned: with O(state=present)
      type: dict
    measurements:
      description: The numbers that were kept.
      returned: with O(state=present)
      type: dict
    run_id:
      description: The run that wrote it.
      returned: with O(state=present)
      type: str
    recorded_at:
      description: When it was written.
      returned: with O(state=present)
      type: str
      sample: "2026-11-20T02:00:01Z"
    who:
      description: Who launched that run, and from where; not in check mode.
      returned: with O(state=present)
      type: dict
    closed:
      description: The keys of the records that were closed.
      returned: with O(state=closed)
      type: list
      elements: str
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
from ansible_collections.ops.runbooks.plugins.module_utils._status.evidence import Evidence


def main() -> None:
    """Run the module."""
    run(Evidence)


if __name__ == "__main__":
    main()
