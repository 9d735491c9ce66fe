# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of postgres_backup that say what is dumped and how, and those that choose a backup; private."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments ``ops.runbooks._backup``, and ``ops.runbooks._backup.choice`` of modules that work on a backup."""

    DOCUMENTATION = r"""
options:
  schemas:
    description:
      - Only these schemas. Excludes O(tables). Where M(ops.runbooks.postgres_migration) keeps its record in the schema
        C(ops_runbooks), that goes with them.
      - A backup of a part never counts as one of the whole database, nor as one of another part.
      - What the part uses of the rest (a type, a function, a table that a view reads) is not taken along. Restore such
        a backup once before you rely on it.
    type: list
    elements: str
    default: []
  tables:
    description:
      - Only these tables, as V(schema.table), or V(table) in schema V(public). Names are taken as they are stored,
        without folding of case or patterns; double quotes go around a part that holds a dot.
      - A partitioned table stands for all its partitions.
    type: list
    elements: str
    default: []
  exclude_tables:
    description:
      - All but these tables.
    type: list
    elements: str
    default: []
  exclude_table_data:
    description:
      - Tables of which only the definition is backed up.
    type: list
    elements: str
    default: []
  shrink_threshold:
    description:
      - How much of what the last good backup of the same selection held may be missing, in percent of its rows, or of
        its bytes where rows were not counted. V(100) is everything.
      - A backup of a database that has shrunk more is kept, but is suspect. It counts for nothing, and the task fails
        with C(backup_shrunk) until it is accepted. Of fewer than 1000 rows in all only a complete loss counts.
    type: int
    default: 50
  accept_shrink:
    description:
      - The database is meant to be that small. A backup that is suspect because it has shrunk counts from now on, and a
        new one counts at once.
    type: bool
    default: false
  platform:
    description:
      - Who manages the database. V(auto) tells Supabase and RDS by their roles; V(postgres) is nobody.
      - The manifest names the schemas that are the platform's own, which a restore onto it must not touch, and which of
        them hold rows that a restore elsewhere needs.
    type: str
    choices: [auto, postgres, supabase, rds]
    default: auto
  hold:
    description:
      - Whether the backup is protected from being deleted, by O(state=absent) or by retention. Unset leaves that as it
        is.
      - May be changed for a backup that exists.
    type: bool
  hold_reason:
    description:
      - Why it is held, for whoever wonders later.
    type: str
  jobs:
    description:
      - How many C(pg_dump) may work at once, V(1) to V(16). All of them share one snapshot.
      - With more than one, big tables are stored as archives of their own, as far as that shares the work. Where no
        table is big, the backup is one archive as with V(1).
    type: int
    default: 1
  jobs_min_table_bytes:
    description:
      - The smallest table that gets an archive of its own, by the bytes that it takes on the server, indexes
        left out.
    type: int
    default: 33554432
"""

    CHOICE = r"""
options:
  at:
    description:
      - An ISO 8601 time with a zone. The newest good backup whose snapshot is not later is meant.
    type: str
  selection:
    description:
      - Which part of the database V(latest) and O(at) look for, as in M(ops.runbooks.postgres_backup_info), V(whole),
        V(any), a dictionary of the options that a partial backup was taken with, or its digits.
    type: raw
    default: whole
"""
