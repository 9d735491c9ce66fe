#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runbook_notify
short_description: Tell people of a failure, of the recovery after it, and a monitor of each backup
version_added: 1.0.0
description:
  - Posts one message to a webhook when a runbook has failed, and one when the same runbook first succeeds again on the
    same target. That it had failed is remembered in the store; where the store cannot be asked a failure is still told.
  - Calls a heartbeat when a complete backup is there, so that a monitor notices when none comes.
  - Never fails because of what it calls. What could not be sent is a warning and a reason in the result; neither
    contains the address. A post is sent once, a heartbeat up to three times. Redirects are not followed.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
attributes:
  check_mode:
    details:
      - Nothing is sent in check mode.
  idempotent:
    support: partial
    details:
      - A run (O(run_id)) is told of once. The heartbeat is called each time.
requirements:
  - requests
options:
  outcome:
    description:
      - How the run ended, in any of these keys, of which only V(runbook) is needed.
      - V(runbook) is its name, V(failed) whether it failed, V(code) and V(message) why, V(next) or V(command) what to
        do. The result of a failed task (V(msg), V(failure)) is understood too.
    type: dict
    required: true
  webhook_url:
    description:
      - The address that takes C({"text"}) as Slack's incoming webhooks do. Empty means none.
    type: str
  heartbeat_url:
    description:
      - The address that is called by GET when O(alive) is set and the run has not failed. Empty means none.
    type: str
  alive:
    description:
      - Whether a complete backup is there.
    type: bool
    default: false
  age:
    description:
      - How old that backup is, in seconds.
    type: int
    default: 0
  max_age:
    description:
      - A duration such as V(26h), beyond which O(age) does not count as alive. Without limit where it is not given.
    type: str
seealso:
  - module: ops.runbooks.runbook_status_info
"""

EXAMPLES = r"""
- name: Tell the team how the backup ended
  ops.runbooks.runbook_notify:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    run_id: "{{ guard_run_id }}"
    webhook_url: "{{ lookup('ansible.builtin.env', 'SLACK_WEBHOOK_URL') }}"
    heartbeat_url: "{{ lookup('ansible.builtin.env', 'HEARTBEAT_URL') }}"
    alive: "{{ taken is succeeded }}"
    age: "{{ taken.backup.age_seconds | default(0) }}"
    max_age: 26h
    outcome: "{{ {'runbook': 'backup'} | combine(taken) }}"
"""

RETURN = r"""
notification:
  description: What was sent.
  returned: success
  type: dict
  contains:
    sent:
      description: Whether the webhook took a message; never in check mode.
      type: bool
      sample: true
    kind:
      description: V(failure), V(recovery), or V(none) where no message was due.
      type: str
      sample: failure
    reason:
      description: Why the message was due, was not due, or could not be sent.
      type: str
      sample: the run failed
    heartbeat:
      description: Whether the heartbeat was called; never in check mode.
      type: bool
      sample: false
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
from ansible_collections.ops.runbooks.plugins.module_utils._status.notify import Notify


def main() -> None:
    """Run the module."""
    run(Notify)


if __name__ == "__main__":
    main()
