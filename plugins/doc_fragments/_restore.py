# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what a restore does with roles, and of the ways to restore (private to ops.runbooks)."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments ``ops.runbooks._restore`` and ``ops.runbooks._restore.strategy``."""

    DOCUMENTATION = r"""
options:
  source_environment:
    description:
      - The environment whose backups of O(name) are read, if not O(environment). For restoring production into staging.
    type: str
  maintenance_database:
    description:
      - The database to connect to on the server, while the target does not exist.
      - The database that the connection options name is not connected to.
    type: str
    default: postgres
  protected:
    description:
      - Whether the server is one that people depend on. There, a restore is refused while its free space is unknown.
    type: bool
    default: false
  adopt:
    description:
      - Accept that O(name) now stands for another server than before, because the server was replaced.
    type: bool
    default: false
  min_state:
    description:
      - How much a backup must be trusted. With V(proven), V(latest) and O(at) pass over backups that no drill has
        proven, and one that is named by O(backup) without being proven is refused.
    type: str
    choices: [complete, proven]
    default: complete
  bindir:
    description:
      - Directories in which C(pg_restore) is looked for before the usual places. It must be of the major version of the
        server that is restored to.
    type: list
    elements: path
    default: []
  timeout:
    description:
      - How long the restore may take, as a duration such as V(4h). Without it there is no limit.
    type: str
  disk_free:
    description:
      - The free space of the server in bytes, where it cannot be read from here. Where it can, the smaller number
        counts.
    type: int
  roles:
    description:
      - What to do where roles do not exist that the backup names as owners, in grants, in policies or otherwise.
      - V(require) fails, listing them with the statements that create them.
      - V(create_nologin) creates them without login and without rights of their own.
      - V(skip) leaves out exactly what names them. Objects of such owners belong to the role that restores.
        RV(restore.skipped) lists each loss.
    type: str
    choices: [require, create_nologin, skip]
    default: require
  owner:
    description:
      - V(keep) gives every object to the owner that it had. Anything else is the role that gets all of them.
    type: str
    default: keep
  privileges:
    description:
      - Whether grants are restored (V(keep)) or left out (V(skip)).
    type: str
    choices: [keep, skip]
    default: keep
  age_recipients:
    description:
      - To whom the backup is encrypted that O(strategy=in_place) takes first; V([]) is one that is not encrypted so.
      - It has to be given where the backup that is restored is encrypted with age. Whoever can write to the store
        can write into a manifest, so what stands there is not taken.
    type: list
    elements: str
  jobs:
    description:
      - How many sessions load rows, and make indexes and constraints, at once. V(1) to V(16).
      - More than the processors of the server rarely help.
    type: int
    default: 2
"""

    STRATEGY = r"""
options:
  strategy:
    description:
      - How to restore. V(new_database) makes a new database beside everything that exists.
      - V(swap) makes one too, compares it, and gives it the owner, privileges, settings (those of roles in it too),
        comment, connection limit and tablespace that the live database has. Then it ends the sessions in that and
        renames both in one transaction. Where that fails, the live database serves on, and the next run goes on.
      - V(swap) is refused, before anything is created, where the live database has logical replication slots, prepared
        transactions or active subscriptions, where this role cannot end its sessions or rename it, and on Supabase.
      - V(in_place) is for databases that cannot be renamed. It reads the backup to its end, takes a held backup of what
        is there (V(pre_restore)), and then, in one transaction, locks the tables of the backup's schemas, for readers
        too, drops what is in these schemas, loads the backup and compares rows, policies and privileges with it.
        Whatever fails or dies before that is final, the database is as it was. RV(restore.way_back) says how to
        restore the held backup in its turn; take the hold off with M(ops.runbooks.postgres_backup) when nobody needs
        it any more. Each run that comes so far takes one.
      - With V(in_place), schemas of the platform (on Supabase V(auth), V(storage) and the like) are left alone, as are
        extensions that are there, large objects, and schemas that the backup does not have. A trigger or policy on a
        table of the platform that depends on what is dropped is made again. Where anything else outside would be
        dropped with it, V(in_place) is refused by name.
      - V(tables) restores O(tables) into a new database that has nothing else, with their partitions, keys, indexes and
        sequences, and the types, functions and extensions that these need. Foreign keys, triggers, rules, policies and
        privileges are left out, and named in RV(restore.skipped). RV(restore.candidates) has the rows of the tables in
        every backup, and RV(restore.put_back) the commands that put rows back, which nothing runs but a person.
    type: str
    choices: [new_database, swap, in_place, tables]
    default: new_database
  tables:
    description:
      - The tables of O(strategy=tables), as V(table) or V(schema.table), names as they are stored.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(reverted) swaps the database back that was live before the swap O(restore_id). The other one stays, as
        RV(restore.previous_database).
    type: str
    choices: [present, reverted]
    default: present
  keep_previous:
    description:
      - How long the database that a swap puts aside is to be kept, as a duration. This module does not drop it;
        M(ops.runbooks.postgres_backup_retention) does then, or C(dropdb).
    type: str
    default: 7d
  confirm:
    description:
      - With O(protected=true), O(strategy=swap) in either O(state), and O(strategy=in_place), want
        C(<environment>/<name>) here. Not needed in check mode, nor where nothing changes.
    type: str
"""
