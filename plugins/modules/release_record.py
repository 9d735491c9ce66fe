#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_record
short_description: Write down whether a release of an app was good
version_added: 1.0.0
description:
  - Records a deployment with the verdict of its gate, once. A rollback to V(last_known_good) goes to the newest one
    that passed and is not bad.
  - What is on record is changed where an option says otherwise; options that are not given leave it as it is.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  deployment_id:
    description:
      - The deployment, such as V(dpl_...).
    type: str
    required: true
  release:
    description:
      - A name for it, such as a tag. The default is O(deployment_id).
    type: str
  gate:
    description:
      - The verdict of its gate.
    type: str
    choices: [pass, fail, inconclusive]
  bad:
    description:
      - Why it is not to be used again. Empty takes that back.
    type: str
  git_sha:
    description:
      - The commit that it was built from.
    type: str
  url:
    description:
      - Its own address.
    type: str
  baseline:
    description:
      - Whether it is what served when the first release with a gate began. With no passed gate on record, a rollback to
        V(last_known_good) goes to it.
    type: bool
  attempt:
    description:
      - The number of the attempt to release it. A higher one than is on record begins anew; O(gate) and O(bad) of an
        earlier one are taken back.
    type: int
  rollback_to:
    description:
      - The deployment that takes its place where its gate fails.
    type: str
  moves_before:
    description:
      - The number of the last move of production before the attempt, as M(ops.runbooks.release_plan) returns it.
    type: int
  digest:
    description:
      - The digest of the plan that is carried out, as M(ops.runbooks.release_plan) returns it.
    type: str
  migrations:
    description:
      - What the release knows of each of its databases, by their names, as V(known) of
        M(ops.runbooks.postgres_migration). By it M(ops.runbooks.release_info) tells what no longer fits a database.
    type: dict
  pending:
    description:
      - The migrations that the attempt has before it. With them M(ops.runbooks.release_plan) tells the
        migrations that are still to be run from ones that nobody has approved.
    type: list
    elements: dict
    suboptions:
      database:
        description:
          - The database, by its name in the inventory.
        type: str
        required: true
      name:
        description:
          - The migration.
        type: str
        required: true
      checksum:
        description:
          - The checksum of its content.
        type: str
  measurements:
    description:
      - What was measured, kept with the record. A difference in it alone does not change the record.
    type: dict
    default: {}
seealso:
  - module: ops.runbooks.release_info
  - module: ops.runbooks.vercel_rollback
"""

EXAMPLES = r"""
- name: This one works
  ops.runbooks.release_record:
    store: s3://acme-runbooks-production
    environment: production
    name: web
    deployment_id: dpl_7Hk2qFakeExample
    gate: pass

- name: This one loses orders
  ops.runbooks.release_record:
    store: s3://acme-runbooks-production
    environment: production
    name: web
    deployment_id: dpl_7Hk2qFakeExample
    bad: it loses orders
"""

RETURN = r"""
release:
  description: What is on record. In check mode as it would be.
  returned: always
  type: dict
  contains:
    id:
      description: The deployment.
      type: str
    release:
      description: Its name.
      type: str
    deployment_id:
      description: The deployment.
      type: str
    gate:
      description: The verdict of its gate, empty where none was held.
      type: str
    bad:
      description: Why it is not to be used again, empty where it is.
      type: str
    git_sha:
      description: The commit.
      type: str
    url:
      description: Its own address.
      type: str
    recorded_at:
      description: When it was recorded first.
      type: str
    baseline:
      description: Whether it served when the first release with a gate began.
      type: bool
    attempt:
      description: How often it was set out to be released, 0 where never by a runbook.
      type: int
    started_at:
      description: When the last attempt began.
      type: str
    rollback_to:
      description: The deployment that takes its place where its gate fails.
      type: str
    moves_before:
      description: The number of the last move of production before the attempt.
      type: int
    digest:
      description: The digest of the plan of the attempt.
      type: str
    began_in:
      description: The run by which the last attempt began.
      type: str
    migrations:
      description: What it knows of each of its databases.
      type: dict
    pending:
      description: The migrations with which the last attempt began, by database and name, with their checksums.
      type: dict
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
from ansible_collections.ops.runbooks.plugins.module_utils._release.record import ReleaseRecord


def main() -> None:
    """Run the module."""
    run(ReleaseRecord)


if __name__ == "__main__":
    main()
