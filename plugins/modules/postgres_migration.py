#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_migration
short_description: Run the migrations of a PostgreSQL database, once each
version_added: 1.0.0
description:
  - Runs the SQL files of a directory that a database has not had yet, in the order of the numbers with which their
    names begin. A file is C(0001_name.sql), or C(0001_name.up.sql) with C(0001_name.down.sql) beside it.
  - A file and the note that it was run are one transaction. What was run is recorded in the table
    C(ops_runbooks.migrations) of the database, so that it goes into backups and comes back with a restore.
  - >-
    Migrations that only add something (V(expand)) leave the release that serves working. Those that take away, rename,
    retype or empty (V(contract)) run later, once no release needs what they take away. A check tells them apart by
    their statements. What it cannot tell (C(UPDATE), unknown functions and settings, new columns that lock everybody
    out), and V(contract), is declared before the first statement: C(-- runbooks: phase=contract). Else nothing runs.
  - >-
    C(-- runbooks: no-transaction) is for statements that no transaction can hold, such as C(CREATE INDEX CONCURRENTLY).
    Where a run stops in such a file, the next one drops an index that was left invalid and goes on; where nobody can
    tell what became of a statement, it says what to look at. A later run is another session, so C(SET) is refused.
    C(lock_timeout=10s) and C(statement_timeout=2h) may stand there too. A C(.down.sql) has a header of its own.
  - It refuses files that were changed after they had been applied, statements that begin or end transactions, C(COPY)
    from standard input, commands of psql, transaction poolers, and a database other than the one that O(name) was
    first used for.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._postgres
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  directory:
    description:
      - The directory with the files, on the machine that runs the module. A relative one is looked for where
        C(ansible-playbook) was started.
    type: path
  archive:
    description:
      - Read them from the archive of exactly one commit at GitHub, instead of O(directory).
    type: dict
    suboptions:
      repository:
        description: The repository, as C(owner/name).
        type: str
        required: true
      sha:
        description: The commit, with all of its forty digits.
        type: str
        required: true
      path:
        description: The folder in the repository, such as V(db/migrations).
        type: str
        default: ''
      token:
        description:
          - A token that may read the repository's contents. Without one E(GITHUB_TOKEN) is looked at; a public
            repository needs none.
        type: str
      api_url:
        description: The address of GitHub's API, for GitHub Enterprise.
        type: str
        default: https://api.github.com
  adapter:
    description:
      - Who runs them. V(sql) is this module. With V(prisma) and V(supabase) the source is laid out as theirs, what was
        run is read from C(_prisma_migrations) and C(supabase_migrations.schema_migrations), and O(command) runs what is
        pending, all of it or nothing.
    type: str
    choices: [sql, prisma, supabase]
    default: sql
  command:
    description:
      - What runs them, with O(adapter) V(prisma) or V(supabase), such as V([npx, prisma, migrate, deploy]) or
        V([supabase, migration, up, --linked]). It may take as long as O(statement_timeout) says.
      - Prisma's gets the connection as E(DATABASE_URL) and E(DIRECT_URL). Supabase's takes no address, and goes to the
        project to which O(chdir) is linked; where the connection leads to another one, it is refused.
      - Every other verb is refused, above all those that reset a database (C(migrate reset), C(db reset), C(db push)).
    type: list
    elements: str
  chdir:
    description: The directory in which O(command) is started.
    type: path
  release:
    description:
      - What these migrations belong to, such as a commit; kept with each that is run.
    type: str
  state:
    description:
      - V(applied) runs what is pending.
      - V(rolled_back) takes O(migration) back, which has to be the one that was applied last, with its C(.down.sql),
        and only where a good backup is younger than it. Outside of a transaction that is one statement with IF EXISTS.
      - V(resolved) writes into the ledger what was done by hand, and runs nothing.
    type: str
    choices: [applied, rolled_back, resolved]
    default: applied
  phase:
    description:
      - What is run of what is pending. V(expand) passes over V(contract) ones; V(contract) runs everything up to the
        last V(contract) one; V(all) runs everything.
    type: str
    choices: [expand, contract, all]
    default: expand
  planned:
    description:
      - Names to checksums, as V(pending) had them in an earlier look. Anything else is refused, since files may change.
        Within one run files are read once, and what is run is what was compared. Another tool reads them itself, so
        that of Prisma's the checksums are compared afterwards.
    type: dict
  migration:
    description:
      - The name of one migration, as in C(0001_name). Needed with O(state=rolled_back) and O(state=resolved).
    type: str
  resolve_as:
    description:
      - With O(state=resolved), V(applied) records that the rest of a migration in which a run has stopped is done, and
        V(rolled_back) that nothing of it is left, so that it is run from its beginning. The latter is also how a failed
        one of Prisma's is cleared, by C(prisma migrate resolve --rolled-back).
      - V(baseline) records everything up to O(migration) as applied, for a database that had it before this collection.
    type: str
    choices: [applied, rolled_back, baseline]
  selection:
    description:
      - Which backups count for O(state=rolled_back), as in M(ops.runbooks.postgres_backup_info).
    type: raw
    default: whole
  lock_timeout:
    description:
      - How long a statement may wait for a lock, as a duration. Whoever waits for a lock on a table makes all others
        wait behind it, so that this is short. A file in a transaction is tried three times.
    type: str
    default: 5s
  statement_timeout:
    description: How long a statement may take, as a duration.
    type: str
    default: 15m
  wait:
    description:
      - How long to wait for another run that works on the migrations of this database, as a duration.
    type: str
    default: 30s
  backup_first:
    description:
      - In check mode, with O(state=rolled_back), a backup will have been taken by then, so that none has to be there.
    type: bool
    default: false
  adopt:
    description:
      - Bind O(name) to the database that was reached, although it is bound to another one.
    type: bool
    default: false
notes:
  - What a file has locked stays locked until its end. Many short files block less than a long one.
seealso:
  - module: ops.runbooks.postgres_backup
  - module: ops.runbooks.postgres_restore
"""

EXAMPLES = r"""
- name: What would be run?
  ops.runbooks.postgres_migration:
    environment: production
    name: main
    store: s3://acme-runbooks-production
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    directory: db/migrations
  check_mode: true
  diff: true

- name: Let Prisma run what a commit adds
  ops.runbooks.postgres_migration:
    environment: production
    name: main
    store: s3://acme-runbooks-production
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    archive:
      repository: acme/web
      sha: 3f9c1d2e4b5a69788796a5b4c3d2e1f001122334
      path: prisma/migrations
    adapter: prisma
    command: [npx, prisma, migrate, deploy]
    chdir: /srv/checkout

- name: Begin with a database that has the first forty already
  ops.runbooks.postgres_migration:
    environment: production
    name: main
    store: s3://acme-runbooks-production
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    directory: db/migrations
    state: resolved
    migration: 0040_add_orders
    resolve_as: baseline
"""

RETURN = r"""
migration:
  description:
    - What is recorded and what is pending. In check mode as the real run would leave it.
    - V(head) is the last migration by its name that is applied, and V(applied) all of them, each with V(name),
      V(checksum), V(phase), V(applied_at) and V(release).
    - V(pending) are those that this run runs or has run, each with V(name), V(checksum), V(phase), V(transaction),
      V(statements) (their beginnings, without data), whether it is V(destructive), and V(reasons) why it is not plainly
      additive. V(later) are the names of those that wait for another phase.
    - V(digest) is over the names, contents and phases of V(pending).
    - V(drift) are migrations that were changed after they had been applied, V(ahead) those that are applied and not in
      the source, V(unfinished) those in which a run has stopped.
    - V(known) is what the source has, its V(head), the last one that it V(needs), and its V(contract) ones by name.
      Kept with a release by M(ops.runbooks.release_record), it tells later whether that release fits the database.
    - V(source) and V(endpoint), where they come from and where they go to.
  returned: always
  type: dict
  sample:
    head: 0042_add_orders
    later: [0043_drop_baskets]
    digest: 5f1c0a9d3b7e2846
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
  description:
    - Why the task failed, with V(code), V(attempted), V(object) and V(remedy); V(refused) has the reasons by migration
      where files cannot be run as they are.
  returned: failure
  type: dict
"""

from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._migration.migration import PostgresMigration


def main() -> None:
    """Run the module."""
    run(PostgresMigration)


if __name__ == "__main__":
    main()
