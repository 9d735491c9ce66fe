#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup_retention
short_description: Remove backups of a PostgreSQL database that are no longer needed
version_added: 1.0.0
description:
  - Deletes the backups of one database that no rule keeps, and whatever unfinished runs and deletions have left.
  - Never deletes the newest good backup, nor goes below O(floor). V(complete) and V(proven) backups are good;
    V(suspect) ones satisfy no rule. Each selection counts by itself, so that a part never stands for the whole.
  - Time is counted back from the newest good backup, and days are days that have one. So neither weeks of failed
    backups nor a clock that runs ahead remove anything; what is dated after now stays and counts for nothing.
  - Before anything is deleted, the manifest of each backup in the floor is read and its archives must be there. Where
    the newest good backup is damaged nothing is deleted and the task fails.
  - Held backups stay, and so do those that S3 Object Lock or a legal hold protects. Both are reported.
  - Needs credentials for the store that may delete; those that take backups need not be able to.
  - Drops the databases that swaps of M(ops.runbooks.postgres_restore) have put aside and that are due to go, where a
    connection to their server is described. It is opened only where the store knows of such a swap. One that sessions
    use, that this role may not drop, or that no other database has replaced, stays, with a warning.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._postgres
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  keep_last:
    description:
      - How many of the newest backups of each kind stay. A backup stays where any rule wants it.
    type: int
    default: 0
  keep_daily:
    description:
      - Of how many days that have a backup the newest one stays.
    type: int
    default: 30
  keep_weekly:
    description:
      - Of how many weeks (from Monday) that have a backup the newest one stays.
    type: int
    default: 12
  keep_monthly:
    description:
      - Of how many months that have a backup the newest one stays.
    type: int
    default: 12
  keep_within:
    description:
      - How far behind the newest good backup of its selection every backup stays, as a duration.
    type: str
    default: 30d
  kinds:
    description:
      - Other rules for single kinds of backups, each a dictionary of the five options above; what it leaves out keeps
        nothing.
      - Where they are not named, V(pre_deploy), V(pre_migration) and V(pre_restore) have the rule O(keep_within=14d)
        alone.
    type: dict
    default: {}
  suspect_within:
    description:
      - How far behind the newest good backup of its selection a suspect one stays, as a duration. Where there is no
        good one they all stay.
    type: str
    default: 30d
  floor:
    description:
      - How many good backups of each selection stay whatever the rules say, at least V(1). The newest proven ones, and
        where there are fewer also the newest others up to this number.
    type: int
    default: 7
  time_zone:
    description:
      - Where days, weeks and months begin, by a name of the IANA database.
    type: str
    default: UTC
  maintenance_database:
    description:
      - The database to connect to for dropping those that swaps have put aside.
    type: str
    default: postgres
seealso:
  - module: ops.runbooks.postgres_backup
  - module: ops.runbooks.postgres_backup_info
"""

EXAMPLES = r"""
- name: Remove what is older than the rules keep
  ops.runbooks.postgres_backup_retention:
    environment: production
    name: main
    store: s3://acme-runbooks-production

- name: Keep a week of everything, and deployments' backups for two days
  ops.runbooks.postgres_backup_retention:
    environment: staging
    name: main
    store: s3://acme-runbooks-staging
    keep_daily: 7
    keep_weekly: 0
    keep_monthly: 0
    keep_within: 7d
    kinds:
      pre_deploy: {keep_within: 2d, keep_last: 1}
    floor: 3
    time_zone: Europe/Berlin
"""

RETURN = r"""
retention:
  description:
    - What was decided. In check mode what the real run would do. On failure what was removed by then.
  returned: always
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
      description: The store.
      type: str
      sample: s3://acme-runbooks-production
    kept:
      description:
        - The backups that stay, oldest first, as RV(retention.removed) describes them, with V(reasons) and V(lock).
        - Reasons are V(newest), V(floor), the options V(keep_last), V(keep_daily), V(keep_weekly), V(keep_monthly) and
          V(keep_within), V(held), V(locked), V(suspect) (for as long as O(suspect_within) says), V(damaged)
          (archives or manifest are not what they should be) and V(future) (dated after now).
        - V(lock) says which lock of S3 keeps it.
      type: list
      elements: dict
      sample:
        - id: daily-2026-11-20
          snapshot_at: "2026-11-20T02:00:01.250000Z"
          kind: scheduled
          selection: whole
          bytes: 73400320
          state: complete
          held: false
          reasons: [newest, floor, keep_daily, keep_weekly, keep_monthly, keep_within]
          lock:
    removed:
      description: The backups that went, oldest first, with V(bytes) in the store and V(state) as they were.
      type: list
      elements: dict
      sample:
        - id: daily-2026-10-20
          snapshot_at: "2026-10-20T02:00:01.250000Z"
          kind: scheduled
          selection: whole
          bytes: 73400320
          state: complete
          held: false
    remains:
      description: Backup ids of which only objects without a manifest were there; they went too.
      type: list
      elements: str
      sample: []
    freed_bytes:
      description: What was deleted. In a bucket with versions it is paid for until a lifecycle rule removes these.
      type: int
      sample: 73400320
    freed:
      description: The same for people.
      type: str
      sample: 70.0 MiB
    stored_bytes:
      description: What the backups that stay take.
      type: int
      sample: 3963617280
    floor:
      description: V(wanted), which is O(floor), and V(kept), how many backups are in it, over all selections.
      type: dict
      sample: {wanted: 7, kept: 7}
    oldest:
      description: The moment of the oldest good backup that stays. V(null) where there is none.
      type: str
      sample: "2025-12-31T02:00:01.250000Z"
    next_expiry:
      description:
        - The backup of whole databases that goes next, V(id), and V(at), when, if one good backup a day follows.
          V(null) where none would in two months.
      type: dict
      sample: {id: daily-2026-10-21, at: "2026-11-21T02:00:01.250000Z"}
    previous_databases:
      description:
        - The databases that swaps have put aside and that are there, V(state) being V(kept) or V(dropped). V(reason) to
          keep one is V(keep_previous), V(in_use), V(not_owner), or V(not_replaced) (no database that a restore
          has made or swapped has the live name).
        - V(null) where there may be some, and no connection is described to look at them.
      type: list
      elements: dict
      sample:
        - database: app__previous_0042
          restore_id: incident-7
          until: "2026-11-27T09:00:00Z"
          bytes: 734003200
          state: dropped
          reason:
    versioned:
      description: Whether the bucket keeps versions of what is deleted. V(null) where that may not be asked.
      type: bool
      sample: true
    object_lock:
      description: Whether the bucket has Object Lock. V(null) where that may not be asked.
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
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.retention import Retention


def main() -> None:
    """Run the module."""
    run(Retention)


if __name__ == "__main__":
    main()
