#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup_verify
short_description: Find out whether a backup of a PostgreSQL database is whole, and can be restored
version_added: 1.0.0
description:
  - Looks at a backup of M(ops.runbooks.postgres_backup) as closely as O(level) says, and records when that was.
  - Reads the store. The database that was backed up is never connected to.
  - A backup of which an object is missing, or is not what the manifest says, is called suspect from then on. It no
    longer counts for V(latest), for the age of the newest backup, nor for anything else. The task fails and names the
    object. A later verification that finds all of it whole takes that back.
  - Nothing is done about a backup that was verified at this level, or a closer one, within O(max_age).
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
  - ops.runbooks._store.age
  - ops.runbooks._backup.choice
options:
  backup:
    description:
      - The identity of the backup, or V(latest) for the newest good one.
      - Exactly one of O(backup) and O(at) is needed.
    type: str
  level:
    description:
      - How closely to look. Each level does all that the one before does.
      - V(checksum) reads each object once and compares its size and its SHA-256 with the manifest. Of a backup that is
        encrypted with age this needs no identity; the other levels do.
      - V(archive) lets C(pg_restore) read all of it too, without a server, and compares the contents with the manifest.
      - V(restore) restores it into a scratch database, compares that with the manifest, checks constraints, O(amcheck)
        and O(assertions), and drops it. A backup that passes is called proven. One that needs what the server lacks is
        not, which is no failure. RV(verification.not_provable_here) says what that is, and the next run tries again.
    type: str
    choices: [checksum, archive, restore]
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
        the database (V(database)). For one that is encrypted with age only those count that were encrypted to at least
        the same recipients.
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
  drill_server_url:
    description:
      - The server on which O(level=restore) makes its scratch database, as a connection URL. Roles that the backup
        names and that do not exist there are created, and dropped with the database.
      - Without it a private server is started where the module runs, from C(initdb) and C(postgres) of the backup's
        major version or a later one. Only this user can reach it, and it ends with the module, however that ends. The
        backup is loaded there by an ordinary role, so that no code in it gets the rights of a superuser. What takes a
        superuser is not provable there.
    type: str
  allow_live_server:
    description:
      - Whether O(drill_server_url) may be the very server that the backup was taken from.
    type: bool
    default: false
  maintenance_database:
    description:
      - The database to connect to on O(drill_server_url).
    type: str
    default: postgres
  scratch_directory:
    description:
      - Where the private server keeps its data; a short path with room. Default is the system's directory for temporary
        files.
    type: path
  disk_free:
    description:
      - The free space of O(drill_server_url) in bytes, where it cannot be read from here.
    type: int
  amcheck:
    description:
      - Whether the extension amcheck looks at each B-tree index and table that was restored.
    type: bool
    default: false
  assertions:
    description:
      - What must be true of the restored data. They only read.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What people know it by.
        type: str
        required: true
      sql:
        description: A statement that returns one row, whose first column counts.
        type: str
        required: true
      expect:
        description: The value that it must have.
        type: raw
        default: true
  assertion_timeout:
    description:
      - How long one assertion may take, as a duration.
    type: str
    default: 60s
requirements:
  - pg_restore for O(level=archive) and O(level=restore)
seealso:
  - module: ops.runbooks.postgres_backup
  - module: ops.runbooks.postgres_backup_info
"""

EXAMPLES = r"""
- name: Prove once a month that the newest backup can be restored
  ops.runbooks.postgres_backup_verify:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    backup: latest
    level: restore
    max_age: 30d
    max_age_of: database
    assertions:
      - name: orders are recent
        sql: SELECT max(created_at) > now() - interval '2 days' FROM orders
"""

RETURN = r"""
verification:
  description: The verification. In check mode what the real run would return, with null for what only that run knows.
  returned: always
  type: dict
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
      description: At level V(archive), the tables whose rows the archives hold.
      type: int
    decrypted:
      description: Whether the backup is encrypted with age, and all of it was decrypted.
      type: bool
    age_recipients:
      description: To whom the backup is encrypted with age; empty where it is not.
      type: list
      elements: str
    proven:
      description: At level V(restore), whether all of the backup was restored and found in order.
      type: bool
    not_provable_here:
      description: What the server lacks, and what depends on it. Where there is any, nothing is proven.
      type: list
      elements: str
    rto_seconds:
      description: How long loading and comparing took on that server.
      type: float
    tables_compared:
      description: Tables whose rows were counted and equal the backup's, with V(rows_compared) in them.
      type: int
    constraints_checked:
      description: Constraints, all of them validated. V(indexes_checked) and V(heaps_checked) are amcheck's.
      type: int
    assertions:
      description: Names of the assertions, all of which hold. V(skipped) is each thing that did not come back.
      type: list
      elements: str
    server:
      description: Where it was restored, V(label) and V(version). V(durations) are seconds of its parts.
      type: dict
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
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.verify import Verify


def main() -> None:
    """Run the module."""
    run(Verify)


if __name__ == "__main__":
    main()
