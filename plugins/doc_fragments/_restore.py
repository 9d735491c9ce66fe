# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what a restore does with roles, and of the ways to restore (private to ops.runbooks)."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments ``ops.runbooks._restore`` and ``ops.runbooks._restore.strategy``."""

    DOCUMENTATION = r"""
options:
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
    type: str
    choices: [new_database, swap]
    default: new_database
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
      - With O(protected=true), O(strategy=swap) in either O(state) wants C(<environment>/<name>) here. Not needed in
        check mode, nor where nothing changes.
    type: str
"""
