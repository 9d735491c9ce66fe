# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options for restoring dumps that are no backups of ours, in step with ``_postgres/restore/options.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """C(ops.runbooks._foreign) for M(ops.runbooks.postgres_restore)."""

    DOCUMENTATION = r"""
options:
  path:
    description:
      - A dump that C(pg_dump) has written, instead of a backup of M(ops.runbooks.postgres_backup), as a path on the
        machine that runs the module or as V(s3://bucket/key), reached with the same S3 options.
      - Custom format, directory, tar or plain SQL, the first and the last also compressed by gzip or zstd. What it is
        is seen from its content and never from its name. Directories and tar archives have to be local.
      - It is read twice, and examined before anything is created. A cut dump is refused, also one that was cut between
        two rows; one in custom format at the latest while it is loaded, and then the new database is dropped.
      - Plain SQL is not given to C(psql). Its statements are sent to the new database; commands of C(psql), a dump by
        C(pg_dumpall), and statements that are plainly about other databases, roles or the server are refused. That is
        no boundary, since functions can do what they like, and archives are not looked through at all. Whatever a dump
        holds runs with the rights of the login, so restore only what you trust.
      - Nobody can tell whether the large objects of a directory are whole. Give O(sha256) where it has any.
      - There is no manifest to compare with. RV(restore.dump) has the rows of each table, and says what is not proven.
      - Roles that the dump names must exist (O(roles=require)), or all goes to O(owner), which plain SQL cannot.
      - Without O(restore_id) the identity of the restore is the content of the dump and O(target_database).
    type: str
  sha256:
    description:
      - The SHA-256 that O(path) must have, in hexadecimal digits. It is compared before anything is created.
      - Of a directory it is that of the lines C(sha256sum *) prints in it, sorted by name.
    type: str
requirements:
  - zstandard (for dumps that are compressed by zstd)
"""
