#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runbook_lock
short_description: Hold a lock over several tasks of a run
version_added: 1.0.0
description:
  - The modules of this collection take the locks that they need by themselves. This one is for playbooks that do
    something else in between and want nobody else to work on the same database, app or secret meanwhile.
  - A lock is a lease in the store. It belongs to the run (O(run_id)); modules with the same O(run_id) enter it and make
    it last from then on. Between modules nobody renews it, so O(lock_lease) has to be longer than the longest task in
    between. It ends by itself where a run dies.
  - Where another run holds the lock, the module waits until its lease ends, and fails with C(lock_held) as soon as it
    sees that the other run is alive.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
attributes:
  idempotent:
    details:
      - A lock that this run holds is renewed, which is a change, once half of its lease is over.
options:
  state:
    description:
      - V(present) takes, enters or renews the lock. It needs O(run_id).
      - V(absent) releases it where this run holds it, whichever of its tasks took it. The lock of another run is left
        alone.
    type: str
    choices: [present, absent]
    default: present
  resource:
    description:
      - What is locked, as V(database/main), V(app/web) or V(secret/stripe). The default is the database O(name).
    type: str
  runbook:
    description:
      - What the lock says of its holder, for those who wait.
    type: str
    default: runbook_lock
  identity:
    description:
      - The identity of what is done under the lock, such as a release. The default is O(run_id).
      - A run with the same O(runbook), O(name) and O(identity) takes over without waiting where the ansible process
        that held the lock has provably ended.
    type: str
seealso:
  - module: ops.runbooks.runbook_status_info
"""

EXAMPLES = r"""
- name: Let nobody else work on the database
  ops.runbooks.runbook_lock:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    run_id: "{{ guard_run_id }}"
    lock_lease: 15m
    runbook: migrate
    identity: "{{ release }}"

- name: Let the next run in
  ops.runbooks.runbook_lock:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    run_id: "{{ guard_run_id }}"
    state: absent
"""

RETURN = r"""
lock:
  description: The lock. In check mode as it would be. On failure only V(resource).
  returned: always
  type: dict
  contains:
    resource:
      description: What is locked.
      type: str
      sample: database/main
    state:
      description: V(free), V(held), or V(lapsed) where its holder has ended without releasing it.
      type: str
      sample: held
    holder:
      description: The V(runbook), V(target) and V(identity) of the holder, null where it is free.
      type: dict
    run_id:
      description: The run that holds it.
      type: str
      sample: 20261120T020000Z-awx4711
    since:
      description: When it was taken.
      type: str
      sample: "2026-11-20T02:00:01Z"
    until:
      description: When it ends unless it is renewed.
      type: str
      sample: "2026-11-20T02:15:01Z"
    record:
      description: The key of the run record of what is done under it, where there is one.
      type: str
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
from ansible_collections.ops.runbooks.plugins.module_utils._status.locking import Locking


def main() -> None:
    """Run the module."""
    run(Locking)


if __name__ == "__main__":
    main()
