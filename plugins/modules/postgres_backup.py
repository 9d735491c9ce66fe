#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup
short_description: Back up a PostgreSQL database to S3 or a directory
version_added: 1.0.0
description:
  - Streams C(pg_dump) of one database to a store, without a file in between, and makes it a backup by a manifest that
    is written last. What lies in the store is a plain custom-format archive, which stock C(pg_restore) reads; the
    manifest carries the commands.
  - All of it is one moment of the database. Tables are locked against C(TRUNCATE), C(DROP) and rewriting C(ALTER)
    before the snapshot is taken; reading and writing go on. Rows are counted in the same snapshot.
  - A backup has an identity. Where it exists already nothing happens, so a run can be repeated at any time.
  - Refused, before anything is written, are transaction poolers, roles that may not read every table, row level
    security that would hide rows, and a database other than the one that O(name) was first used for.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._backup
  - ops.runbooks._postgres
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
attributes:
  idempotent:
    details:
      - With O(max_age) alone a second run finds the first one's backup only while that is young enough.
requirements:
  - pg_dump and pg_restore of the server's major version
  - pyrage >= 1.3 (for O(encryption=age))
options:
  state:
    description:
      - V(absent) deletes one backup, and needs no connection to the database.
    type: str
    choices: [present, absent]
    default: present
  backup_id:
    description:
      - The identity of the backup, of letters, digits, V(_) and V(-). Another selection under the same identity is
        refused.
    type: str
  max_age:
    description:
      - A duration such as V(1h). A good backup of the same selection whose snapshot is younger is enough.
      - Alone, with no good one that young, a younger one that is suspect because the database had shrunk fails the task
        instead of being taken again. O(accept_shrink=true) makes it count.
    type: str
  backup_schedule:
    description:
      - When scheduled runs start, as V(daily 02:00), V(weekly sunday 02:00), V(hourly), V(hourly:15) or V(every 6h).
      - The identity is that of the scheduled instant nearest to the start of the run, such as V(daily-2026-11-20), so
        that runs which start early, late or twice neither double nor skip a day.
    type: str
  backup_time_zone:
    description:
      - The time zone of O(backup_schedule), by its name in the IANA database.
    type: str
    default: UTC
  kind:
    description:
      - Why the backup is taken. V(scheduled) with O(backup_schedule), else V(manual), where it is not given.
    type: str
    choices: [scheduled, pre_deploy, pre_migration, pre_restore, manual]
  compression:
    description:
      - How the archive is compressed. V(auto) is V(zstd) where this C(pg_dump) can (16 and later), else V(gzip).
    type: str
    choices: [auto, zstd, gzip, none]
    default: auto
  compression_level:
    description:
      - V(1) where it is not given; the highest is V(22) for zstd and V(9) for gzip.
    type: int
  include_globals:
    description:
      - Also store the server's roles and tablespaces as SQL, without passwords.
    type: bool
    default: false
  encryption:
    description:
      - How the S3 store encrypts the archives, if not as O(store_encryption) says. V(none) leaves it to the bucket's
        default.
      - With V(age) they, and the roles of O(include_globals), are encrypted before they leave, to O(age_recipients).
        Nobody else can read them, neither the store nor who takes backups. The manifest, with names, settings and
        numbers of rows, stays readable. What O(store_encryption) says holds too.
      - A backup that exists already stays as it is, with a warning where it is encrypted otherwise.
    type: str
    choices: [none, sse-s3, sse-kms, age]
  age_recipients:
    description:
      - Who can read what is encrypted with V(age), each as V(age1...), V(ssh-ed25519 ...) or V(ssh-rsa ...). Any one of
        their identities opens it, and without all of them the backup is lost.
    type: list
    elements: str
  kms_key_id:
    description:
      - The key for V(sse-kms), if not O(store_kms_key_id); the account's default key for S3 where neither is given.
      - It is refused unless archives are encrypted with V(sse-kms), by O(encryption), or by O(store_encryption) where
        O(encryption) is not given or V(age).
    type: str
  bindir:
    description:
      - Directories to look for C(pg_dump) and C(pg_restore) in, before the usual places; those of several major
        versions may be given.
    type: list
    elements: path
    default: []
  timeout:
    description:
      - How long the dump may take, as a duration such as V(4h); without limit where it is not given.
    type: str
  lock_wait_timeout:
    description:
      - How long to wait for the lock of a table, as a duration.
    type: str
    default: 60s
  row_counts:
    description:
      - Which tables' rows are counted in the snapshot. V(auto) counts those of up to O(row_counts_max_bytes).
    type: str
    choices: [auto, exact, none]
    default: auto
  row_counts_max_bytes:
    description:
      - The largest table that V(auto) counts, by the bytes that its rows take on the server.
    type: int
    default: 1073741824
  adopt:
    description:
      - Bind O(name) to the database that was reached, although it is bound to another one.
    type: bool
    default: false
  force:
    description:
      - Delete the newest good backup too. A held backup is not deleted even so.
    type: bool
    default: false
seealso:
  - module: ops.runbooks.postgres_backup_info
  - module: ops.runbooks.postgres_restore
"""

EXAMPLES = r"""
- name: Take the day's backup, however often this runs
  ops.runbooks.postgres_backup:
    environment: production
    name: main
    store: s3://acme-runbooks-production
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    backup_schedule: daily 02:00
    backup_time_zone: Europe/Berlin

- name: Have a backup that is at most an hour old before a deployment
  ops.runbooks.postgres_backup:
    environment: production
    name: main
    store: s3://acme-runbooks-production
    login_host: db.example.com
    login_user: backup
    login_password: "{{ lookup('ansible.builtin.env', 'BACKUP_PASSWORD') }}"
    ssl_mode: verify-full
    database: app
    max_age: 1h
    kind: pre_deploy

- name: Delete a backup
  ops.runbooks.postgres_backup:
    environment: production
    name: main
    store: s3://acme-runbooks-production
    backup_id: before-import
    state: absent
"""

RETURN = r"""
backup:
  description:
    - The backup. In check mode what the real run would return, with null for what only that run can know.
    - V(id), V(kind), V(environment), V(name), and V(state), which is V(complete), V(proven) where it was restored and
      compared, or V(absent) where there is none; whether it is V(held), and V(hold_reason).
    - V(snapshot_at), the moment of the database that it holds by the server's clock, and V(age_seconds).
    - V(bytes) in the store and the same as V(size) for people, V(rows) over all counted tables, the number of V(tables)
      of any kind, and V(holds), how many there are of each kind; the V(selection).
    - V(database) and its server as they described themselves, V(host) and V(endpoint) that were reached, and
      V(connection_source), the option or variable that named them.
    - V(store), V(manifest) (its key), V(archives) and V(globals) with V(key), V(bytes) and V(sha256), V(compression),
      V(encryption), V(age_recipients), V(durations) of the steps in seconds, V(run_id) of the run that made it.
    - V(lacks), what its objects use and it does not hold, such as V(type app.mood), which a restore of a part needs
      first, and what the role was not shown (options of user mappings); a warning names the same.
    - V(platform), with V(name), V(managed_schemas) and V(managed_schemas_with_data).
    - V(archives) have a V(role), which is V(whole) where there is one, else V(sections), V(rest) or V(table). Sizes and
      hashes are of what lies in the store; where that is encrypted with age, V(age) has the size before.
    - V(restore_by_hand), shell commands that restore it with stock tools only.
    - Where one is made, V(part_size) of the upload and V(memory_budget), the bound on parts in memory and whether it
      was V(raised) for parts that large.
    - On failure what was known by then.
  returned: always
  type: dict
  sample:
    id: daily-2026-11-20
    state: complete
    snapshot_at: "2026-11-20T01:00:03.118Z"
    bytes: 80842712
    size: 77.1 MiB
    rows: 4626812
    tables: 24
    holds: 22 tables, 1 partitioned table and 1 materialized view
    endpoint: db.example.com:5432/app
    store: s3://acme-runbooks-production
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
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.backup import PostgresBackup


def main() -> None:
    """Run the module."""
    run(PostgresBackup)


if __name__ == "__main__":
    main()
