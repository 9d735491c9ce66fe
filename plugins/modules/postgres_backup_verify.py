#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup_verify
short_description: Find out whether a backup of a PostgreSQL database is still whole
version_added: 1.0.0
description:
  - Looks at a backup of M(ops.runbooks.postgres_backup) as closely as O(level) says, and records when that was.
  - Reads the store. The database that was backed up is never connected to.
  - A backup of which an object is missing, or is not what the manifest says, is called suspect from then on. It no
    longer counts for V(latest), for the age of the newest backup, nor for anything else. The task fails and names the
    object. A later verification that finds all of it whole takes that back.
  - A backup that was verified at this level, or a closer one, within O(max_age) is no change.
author:
  - ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.run
options:
  backup:
    description:
      - The identity of the backup, or V(latest) for the newest good one.
      - Exactly one of O(backup) and O(at) is needed.
    type: str
  at:
    description:
      - An ISO 8601 time with a zone. The newest good backup whose snapshot is not later is verified.
    type: str
  selection:
    description:
      - Which part of the database V(latest) and O(at) look for, as in M(ops.runbooks.postgres_backup_info), V(whole),
        V(any), a dictionary of the options that a partial backup was taken with, or its digits.
    type: raw
    default: whole
  level:
    description:
      - How closely to look. Each level does all that the one before does.
      - V(checksum) reads each object once and compares its size and its SHA-256 with the manifest.
      - V(archive) lets C(pg_restore) read all of it too, without a server, and compares the contents with the manifest.
    type: str
    choices: [checksum, archive]
    default: checksum
  verify_id:
    description:
      - The identity of this verification. With one, the backup is verified once under that identity, and O(max_age)
        does not matter.
    type: str
  max_age:
    description:
      - How old a verification may be to make another one needless, as a duration such as V(35d). With V(0s) the backup
        is verified in any case.
    type: str
    default: 35d
  max_age_of:
    description:
      - Whether only a verification of this very backup makes another one needless (V(backup)), or one of any backup of
        the database (V(database)).
    type: str
    choices: [backup, database]
    default: backup
  bindir:
    description:
      - Directories in which PostgreSQL's programs are looked for before the usual places. C(pg_restore) may be newer
        than the server of the backup, not older.
    type: list
    elements: path
    default: []
  timeout:
    description:
      - How long the verification may take, as a duration such as V(4h). Without it there is no limit.
    type: str
requirements:
  - pg_restore for O(level=archive)
seealso:
  - module: ops.runbooks.postgres_backup
  - module: ops.runbooks.postgres_backup_info
"""

EXAMPLES = r"""
- name: Read the newest backup once a week
  ops.runbooks.postgres_backup_verify:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    backup: latest
    max_age: 7d
    max_age_of: database

- name: Look closely at one backup before it is needed
  ops.runbooks.postgres_backup_verify:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    backup: before-launch
    level: archive
    max_age: 0s
"""

RETURN = r"""
verification:
  description: The verification. In check mode what the real run would return, with null for what only that run knows.
  returned: always
  type: dict
  sample: {id: daily-2026-11-20-checksum, level: checksum, bytes: 1048576, seconds: 0.4}
  contains:
    id:
      description: The identity of the verification.
      type: str
    backup:
      description: The backup, with V(id), V(environment), V(snapshot_at), V(age_seconds) and V(state).
      type: dict
    level:
      description: How closely was looked.
      type: str
    verified_at:
      description: When that was.
      type: str
    objects:
      description: How many objects the backup consists of, the manifest apart.
      type: int
    bytes:
      description: What they take, all of which was read.
      type: int
    seconds:
      description: How long that took.
      type: float
    bytes_per_second:
      description: How fast that was.
      type: int
    tables:
      description: At a closer level than V(checksum), the tables whose rows the archives hold.
      type: int
    suspicion_cleared:
      description: Whether the backup was called damaged before, and no longer is.
      type: bool
    called_suspect:
      description: On failure, what became of the backup. V(null) where the failure says nothing about it.
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
  description: Why the task failed, with V(code), V(attempted), V(object), V(remedy) and V(called_suspect).
  returned: failure
  type: dict
"""

from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify import Verify


def main() -> None:
    """Run the module."""
    run(Verify)


if __name__ == "__main__":
    main()
