#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_restore
short_description: Restore a backup beside a PostgreSQL database, or in its place
version_added: 1.0.0
description:
  - Restores a backup of M(ops.runbooks.postgres_backup) into a database that does not exist yet. It streams from the
    store through C(pg_restore), without a local copy, into a database with a temporary name. Checksums are verified,
    and rows, sequences, policies, extensions and large objects are compared with what the backup's manifest says. Only
    then does the database get its name.
  - Whatever fails, that database is dropped and nothing else is touched. What a killed run has left is dropped, or
    finished, by the next run.
  - Where the restore is finished already nothing changes, whatever was written to the database since, as long as that
    database exists on that server under any name.
  - With O(strategy=swap) the new database then takes the place of the live one, in one transaction that renames both,
    and O(state=reverted) swaps them back. With O(strategy=in_place) there is no new database, and one transaction
    replaces what is in the live one.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
  - ops.runbooks._store.age
  - ops.runbooks._postgres
  - ops.runbooks._restore
  - ops.runbooks._restore.strategy
  - ops.runbooks._foreign
  - ops.runbooks._backup.choice
options:
  backup:
    description:
      - The identity of the backup, or V(latest) for the newest good one.
      - Exactly one of O(backup), O(at) and O(path) is needed, unless O(state=reverted).
    type: str
  target_database:
    description:
      - The database to make. It must not exist, unless this restore has made it. Needed with
        O(strategy=new_database) and O(strategy=tables).
      - With O(strategy=swap) and O(strategy=in_place), the live database, by default the one that the connection
        options name.
    type: str
  restore_id:
    description:
      - The identity of this restore. With one, V(latest) and O(at) are resolved once, and mean the same backup when the
        task is run again.
      - Without one, the identity is the resolved backup and O(target_database), resolved on every run.
      - Needed with every other O(strategy) than V(new_database). A swap or a restore in place is done once for each
        identity, whatever is live since, and a swap that was undone is not done again.
    type: str
requirements:
  - pg_restore of the server's major version
seealso:
  - module: ops.runbooks.postgres_backup
  - module: ops.runbooks.postgres_backup_info
"""

EXAMPLES = r"""
- name: Replace the live database by what it was on Friday evening
  ops.runbooks.postgres_restore:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    at: "2026-11-20T18:00:00+01:00"
    strategy: swap
    restore_id: incident-42
    protected: true
    confirm: production/main

- name: Take that back
  ops.runbooks.postgres_restore:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    strategy: swap
    state: reverted
    restore_id: incident-42
    protected: true
    confirm: production/main

- name: Restore the newest backup beside the live database
  ops.runbooks.postgres_restore:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    backup: latest
    target_database: app_check
"""

RETURN = r"""
restore:
  description: The restore. In check mode what the real run would return, with null for what only that run can know.
  returned: always
  type: dict
  sample: {id: daily-2026-11-20-app_check, database: app_check, rows_compared: 1048576, rpo_seconds: 43200}
  contains:
    id:
      description: The identity of the restore.
      type: str
    backup:
      description: The backup, with V(id), V(environment), V(snapshot_at), and V(age_seconds) at that time.
      type: dict
    dump:
      description: Of O(path), V(format), V(sha256), V(compared) (false), V(not_proven), V(tables) and V(rows).
      type: dict
    database:
      description: The name that the restored database has now.
      type: str
    target_database:
      description: The name that it was given.
      type: str
    temporary_database:
      description: The name that it had while it was restored.
      type: str
    oid:
      description: The database's oid, by which it is known again.
      type: int
    endpoint:
      description: The server that was reached.
      type: str
    server:
      description: That server's V(version) and V(system_identifier).
      type: dict
    bytes:
      description: What is read from the store.
      type: int
    bytes_needed:
      description: What the database takes on the server, estimated.
      type: int
    bytes_free:
      description: What is free on the server. V(null) where that is unknown.
      type: int
    tables_compared:
      description: Tables whose rows were counted and equal the backup's.
      type: int
    rows_compared:
      description: Rows in them.
      type: int
    roles_created:
      description: Roles that were created.
      type: list
      elements: str
    skipped:
      description: Each thing that did not come back.
      type: list
      elements: str
    durations:
      description: Measured seconds, V(load), V(compare), V(analyze) (a part of comparing), and V(total), of a recovery.
      type: dict
    strategy:
      description: How it was restored.
      returned: every O(strategy) but V(new_database)
      type: str
    previous_database:
      description: The database that was put aside. V(null) where it is gone.
      returned: O(strategy=swap)
      type: str
    previous_until:
      description: Until when it is kept.
      returned: O(strategy=swap)
      type: str
    sessions_ended: {description: Sessions that were ended for it., returned: O(strategy=swap), type: int}
    swap:
      description: How far a swap came that failed, V(not begun), V(ending sessions), V(committing) or V(done).
      returned: failure with O(strategy=swap)
      type: str
    releases:
      description: By V(app) the V(release) that serves by what is on record, V(needs), V(backup_has), V(fits).
      returned: where one uses the database, and something is restored
      type: list
    schemas:
      {description: The schemas that were replaced., returned: O(strategy=in_place), type: list, elements: str}
    left_alone:
      description: What of the backup was not restored, since it is the platform's, or belongs to no schema.
      returned: O(strategy=in_place)
      type: list
      elements: str
    newer:
      description: Where numbers of rows differed from the backup's before, and tables that it does not have.
      returned: O(strategy=in_place)
      type: list
      elements: str
    pre_restore_backup:
      description: The held backup of what was there before.
      returned: O(strategy=in_place), once there is one
      type: str
    way_back:
      description: The inputs of the restore that bring back what was there before.
      returned: O(strategy=in_place), once there is one
      type: str
    in_place:
      description: How far it came, V(not begun), V(reading), V(backing up), V(replacing), V(committing) or V(done).
      returned: failure with O(strategy=in_place)
      type: str
    tables:
      description: The tables that were asked for.
      returned: O(strategy=tables)
      type: list
      elements: str
    candidates:
      description: The newest backups, with V(id), V(snapshot_at), V(age_seconds), V(state), and V(tables), their rows.
      returned: O(strategy=tables)
      type: list
      elements: dict
    put_back:
      description: By V(table), V(in_live_database) (null where unknown), V(commands) and V(notes).
      returned: O(strategy=tables)
      type: list
      elements: dict
    rpo_seconds:
      description: The age of the data when it was restored. What was written since is not in it.
      type: int
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
from ansible_collections.ops.runbooks.plugins.module_utils._release.restore import RestoreBelowReleases


def main() -> None:
    """Run the module."""
    run(RestoreBelowReleases)


if __name__ == "__main__":
    main()
