#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runbook_status_info
short_description: Say how a database stands, in data and in six lines
version_added: 1.0.0
description:
  - Reads from the store which good backup is the newest and whether it is younger than what may be lost, who holds the
    lock, how the last run ended and which restore was last. No database server is asked.
  - Puts it into the six lines with which every runbook ends. They are there however the run ended, and also where the
    store cannot be reached; what is not known then says why.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.info
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  kind:
    description:
      - What O(name) is, a database, or an app that uses some.
    type: str
    choices: [database, app]
    default: database
  databases:
    description:
      - The databases that an app uses, by their names in O(environment). Of their newest good backups the oldest
        counts.
    type: list
    elements: str
    default: []
  rpo:
    description:
      - How old the newest good backup may be, as a duration such as V(26h).
    type: str
    default: 26h
  drill_max_age:
    description:
      - How old the last drill that proved a backup may be, as a duration such as V(35d). Without it nobody expects
        drills, and RV(status.past_drill_age) is never true.
      - Where the newest good backup is encrypted with age, only a drill of one that is encrypted to at least the same
        recipients counts.
    type: str
  selection:
    description:
      - Which part of the database counts as a backup of it, as in M(ops.runbooks.postgres_backup_info).
    type: raw
    default: whole
  outcome:
    description:
      - How the run ended that the lines are about. Without it they are about the last recorded run.
      - Any of these keys. V(runbook) is its name; V(failed), V(changed) and V(check) (check mode) may be texts; V(code)
        and V(message) say why it failed; V(summary) what was done, in a few words; V(found) what a run that only looks
        has found; V(waits) what was asked for and has not begun;
        V(affected) whether production notices, such as V(no, a backup only reads); V(command) how the
        runbook was called; V(next) what to call now, where that is not the same command again.
      - The result of a task is understood too (V(msg), V(failure), V(plan)).
    type: dict
  schedule:
    description:
      - When backups are due, as in M(ops.runbooks.postgres_backup). With it RV(status.costs) is worked out from the
        newest backups, at most five.
    type: str
  retention:
    description:
      - Rules by which backups stay, as in M(ops.runbooks.postgres_backup_retention), for the same.
    type: dict
    default: {}
  protection:
    description:
      - Whether to ask how the store protects what is deleted or overwritten.
    type: bool
    default: false
  command_options:
    description:
      - The options of C(ansible-playbook) that select this environment and this host, for the command to paste.
    type: str
    default: ""
seealso:
  - module: ops.runbooks.postgres_backup_info
"""

EXAMPLES = r"""
- name: Say how the run ended
  ops.runbooks.runbook_status_info:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    command_options: -i inventories/production --limit main
    outcome: "{{ {'runbook': 'backup', 'affected': 'no, a backup only reads'} | combine(taken) }}"
  register: closing
"""

RETURN = r"""
status:
  description: What is known of the database. What is null is either not there or not known; V(complete) tells which.
  returned: success
  type: dict
  contains:
    environment:
      description: The environment.
      type: str
      sample: production
    name:
      description: The name of the database in it.
      type: str
      sample: main
    complete:
      description: Whether everything could be found out.
      type: bool
      sample: true
    unknown:
      description: Why something could not.
      type: list
      elements: str
    newest_backup:
      description: >-
        The newest good backup, with V(id), V(snapshot_at), V(age_seconds), V(state) and V(bytes), and of an app with
        V(database).
      type: dict
    stored:
      description:
        - How many backups there are, V(backups), what they take, V(bytes), and V(oldest), the oldest good one, with
          V(id), V(snapshot_at) and V(age_seconds). Null where O(outcome) is given, which asks for less.
      type: dict
    rpo_seconds:
      description: How old it may be.
      type: int
      sample: 93600
    past_rpo:
      description: Whether it is older, or there is none. Null where that is not known.
      type: bool
      sample: false
    lock:
      description: The lock of the database or app, as M(ops.runbooks.runbook_lock) returns it.
      type: dict
    last_run:
      description:
        - The run record that was written last, with V(run_id), V(record) (its key), V(module), V(identity), V(status),
          V(started), V(ended) and V(code).
        - V(status) is V(running), V(done), V(failed), or V(interrupted) where the run was killed.
      type: dict
    newest_restore:
      description:
        - The restore that was recorded last, with V(id), V(phase), V(backup), V(target_database) and V(recorded_at).
      type: dict
    newest_drill:
      description:
        - The last drill that proved a backup, with V(backup), V(at), V(age_seconds) and V(rto_seconds), and whether it
          decrypted it (V(decrypted)), which was encrypted to V(age_recipients).
        - V(like_newest) is false where the newest good backup is encrypted with age and the drilled one was not, or not
          to all of its recipients. The drill then does not show that the newest one can be read.
      type: dict
    past_drill_age:
      description: Whether a drill is overdue. V(null) where that is not known.
      type: bool
      sample: false
    costs:
      description:
        - What backups cost, with V(seconds) one takes, V(backups_per_month), V(leaving_bytes_per_month) about how many
          bytes leave the database in 30 days, V(stored_backups) and V(stored_bytes) under the rules of retention,
          V(based_on) how many backups were looked at, and V(text) all of it in one line.
        - Null without O(schedule), before the first backup, and where it is not known.
      type: dict
    protection:
      description:
        - Whether the store keeps versions (V(versioned)) and may lock objects (V(object_lock)); null is not known, and
          V(unknown) says why. Null as a whole without O(protection).
      type: dict
    lines:
      description:
        - Result and code, what was changed, whether production is affected, the newest good backup, the lock, and the
          next command.
      type: list
      elements: str
plan:
  description: Always empty, as nothing is changed.
  returned: success
  type: dict
run_id:
  description: The run that this task belonged to.
  returned: always
  type: str
failure:
  description:
    - Why the task failed, with V(code), V(attempted), V(object) and V(remedy). Only parameters can make it fail.
  returned: failure
  type: dict
"""

from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._status.info import StatusInfo


def main() -> None:
    """Run the module."""
    run(StatusInfo)


if __name__ == "__main__":
    main()
