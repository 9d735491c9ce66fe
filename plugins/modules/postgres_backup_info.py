#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup_info
short_description: List the backups of a PostgreSQL database and judge the age of the newest
version_added: 1.0.0
description:
  - Reads which backups of a database the store holds, and whether the newest good one is younger than what may be lost.
  - Connects to the store only, never to a database server, and reads a thousand backups with one request.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.info
  - ops.runbooks._store
  - ops.runbooks._store.s3
options:
  kind:
    description:
      - List only backups that were taken for this reason.
      - Does not change what RV(backups.latest) and RV(backups.rpo) are about.
    type: str
    choices: [scheduled, pre_deploy, pre_migration, pre_restore, manual]
  selection:
    description:
      - Which part of the database the backups hold. V(whole) is the whole database, V(any) is whatever there is.
      - A backup of a part is named by a dictionary of the options that it was taken with (C(schemas), C(tables),
        C(exclude_tables), C(exclude_table_data)), or by the twelve hexadecimal digits that O(selection=any) lists it
        with.
    type: raw
    default: whole
  since:
    description:
      - List only backups whose snapshot was not taken before this ISO 8601 time with a zone.
    type: str
  limit:
    description:
      - List at most this many backups, the newest first.
    type: int
    default: 50
  tables:
    description:
      - Tables, V(table) or V(schema.table) as they are stored. For each backup that is listed the result says
        whether it has them, and with how many rows. Takes a request for each of these backups.
    type: list
    elements: str
    default: []
  rpo:
    description:
      - How old the newest good backup may be, as a duration such as V(26h).
    type: str
    default: 26h
seealso:
  - module: ops.runbooks.postgres_backup
  - module: ops.runbooks.postgres_restore
"""

EXAMPLES = r"""
- name: List the backups of the last week
  ops.runbooks.postgres_backup_info:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    since: "{{ '%Y-%m-%dT%H:%M:%SZ' | strftime(now().timestamp() - 7 * 86400, utc=true) }}"
  register: listed

- name: Fail when more than a day could be lost
  ops.runbooks.postgres_backup_info:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    rpo: 24h
  register: judged
  failed_when: judged is failed or judged.backups.rpo.past
"""

RETURN = r"""
backups:
  description: The backups of C(environment/name).
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
    store:
      description: The store that was read.
      type: str
      sample: s3://acme-runbooks-production
    total:
      description: How many backups fit O(kind), O(selection) and O(since).
      type: int
      sample: 31
    of_other_selections:
      description: How many backups since O(since) hold another part of the database.
      type: int
      sample: 0
    candidates:
      description: The newest of them, newest first.
      type: list
      elements: dict
      contains:
        id:
          description: The identity to restore it by.
          type: str
          sample: daily-2026-11-20
        snapshot_at:
          description: The moment whose data it holds.
          type: str
          sample: "2026-11-20T02:00:01.250000Z"
        age_seconds:
          description: How long ago that was.
          type: int
          sample: 43200
        kind:
          description: Why it was taken.
          type: str
          sample: scheduled
        bytes:
          description: What it takes in the store.
          type: int
          sample: 73400320
        size:
          description: The same for people.
          type: str
          sample: 70.0 MiB
        selection:
          description: V(whole), or the digits that stand for the part it holds.
          type: str
          sample: whole
        state:
          description:
            - V(complete), V(proven) (restored and compared) or V(suspect) (shrunken or damaged; counts for nothing).
          type: str
          sample: complete
        suspect_reason:
          description: Why a suspect backup is one; V(null) for others.
          type: str
          sample: null
        held:
          description: Whether someone forbade to delete it.
          type: bool
          sample: false
        tables:
          description:
            - For each of O(tables) V(table), V(in_backup), and V(rows), which is V(null) where rows were not counted or
              lie in partitions.
          returned: with O(tables)
          type: list
          elements: dict
    latest:
      description:
        - The newest good backup of O(selection), from its manifest. V(null) where there is none.
        - V(damage) says why it could not be restored, where one of its archives is gone or has another size. It is no
          protection then, so RV(backups.rpo.past) is true.
      type: dict
      sample:
        id: daily-2026-11-20
        snapshot_at: "2026-11-20T02:00:01.250000Z"
        age_seconds: 43200
        kind: scheduled
        bytes: 73400320
        selection: the whole database
        state: complete
        database: app
        server_version: "18.6"
        tables: 21
        rows: 1048576
        restore_by_hand: ["aws s3 cp ...", "pg_restore ..."]
        damage: null
    stored:
      description:
        - How many there are, V(backups), what they take, V(bytes), and V(oldest), the oldest good one, with V(id),
          V(snapshot_at) and V(age_seconds).
      type: dict
      sample:
        backups: 54
        bytes: 3963617280
        oldest: {id: daily-2025-12-31, snapshot_at: "2025-12-31T02:00:01.250000Z", age_seconds: 28036799}
    rpo:
      description: How much could be lost at this moment.
      type: dict
      contains:
        seconds:
          description: What is allowed, O(rpo) in seconds.
          type: int
          sample: 93600
        age_seconds:
          description: The age of RV(backups.latest). V(null) where there is none.
          type: int
          sample: 43200
        past:
          description: Whether that is too old, or there is no good backup at all.
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
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.info import BackupInfo


def main() -> None:
    """Run the module."""
    run(BackupInfo)


if __name__ == "__main__":
    main()
