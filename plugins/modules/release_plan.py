#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_plan
short_description: Find out what is left to do for a release of an app
version_added: 1.0.0
description:
  - Says what a commit or a deployment is on Vercel, what serves production, what would take its place should its gate
    fail, where a run that died has to go on, and which steps are left. It changes nothing.
  - Fails where the release may not go on; the failure code says why.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.vercel
  - ops.runbooks._attributes.info
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._vercel
  - ops.runbooks._vercel.forbidden
  - ops.runbooks._vercel.outdated
options:
  release:
    description:
      - The commit, the deployment (id or address of its own), or the release on record.
    type: str
    required: true
  deployment:
    description:
      - The deployment that an earlier look has found, or that was built since. Only that one is meant then.
    type: str
    default: ""
  prebuilt:
    description:
      - With O(build=prebuilt), the directory that holds C(.vercel/output). Its content is part of the digest.
    type: path
  planned:
    description:
      - The V(release) of an earlier task. The task fails where it no longer holds; that it has been built is no change.
    type: dict
    default: {}
  build:
    description:
      - What the caller builds from where there is no production deployment of the commit yet. V(none) means that there
        has to be one; V(git) needs the whole id of the commit.
    type: str
    choices: [none, git, prebuilt]
    default: none
  migrations:
    description:
      - The migrations that will be applied before the release serves. They are part of the steps and of the digest.
    type: list
    elements: dict
    default: []
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
  databases:
    description:
      - The databases that the app uses. What does not know a migration which has taken something away from one of them
        is neither released nor rolled back to.
    type: list
    elements: str
    default: []
  env_changes:
    description:
      - Names of environment variables that the caller changes for the release. They are part of the digest.
    type: list
    elements: str
    default: []
  required_variables:
    description:
      - Names of environment variables without which the release may not be built or promoted.
    type: list
    elements: str
    default: []
  ungated_pushes:
    description:
      - Whether it is accepted that each push to the production branch takes the production domains by itself.
    type: str
    choices: [refuse, accept]
    default: refuse
  break_glass:
    description:
      - Why to release again what is on record as bad or was rolled back, or to go on although nothing could take its
        place.
    type: str
    default: ""
  no_way_back:
    description:
      - Why to go on although nothing could take its place, such as where what serves holds a secret that was ended at
        once. Unlike O(break_glass) it overrides no other guard.
    type: str
    default: ""
  attempt_max_age:
    description:
      - How long after its beginning an interrupted attempt that has not moved production is still continued, as a
        duration. After that it begins anew, with a backup of its own.
    type: str
    default: 1h
  unfinished:
    description:
      - The V(began_in) of other apps of the same release that are not decided. What was good in one of these runs is at
        V(gate) again, since a release is whole or it is not.
    type: list
    elements: str
    default: []
  others:
    description:
      - Other apps of O(environment) that are not part of the run. Those that serve the release too are named.
    type: list
    elements: str
    default: []
seealso:
  - module: ops.runbooks.release_record
  - module: ops.runbooks.vercel_promote
"""

EXAMPLES = r"""
- name: What is left to do?
  ops.runbooks.release_plan:
    store: s3://acme-runbooks-production
    environment: production
    name: web
    team: acme
    project: acme-web
    release: 5f2b1c9d8e7a6f504132435465768798a9bacbdc
  register: planned
"""

RETURN = r"""
release:
  description: Where the release stands.
  returned: success
  type: dict
  contains:
    id:
      description: The release in a form that can stand in the store.
      type: str
    release:
      description: The release as it was given.
      type: str
    phase:
      description: >-
        Where to go on, V(build), V(promote), V(gate) (it serves without a passed gate on record), V(rollback) (its gate
        failed, and production is not back yet), V(failed) (production is back, and that is not on record) or V(done).
      type: str
    reason:
      description: Why, in a clause.
      type: str
    deployment:
      description: The deployment, as M(ops.runbooks.vercel_info) describes it. Null where it has to be built.
      type: dict
    serving:
      description: The deployment that serves production, null where none does.
      type: str
    rollback_to:
      description: The deployment that takes its place should its gate fail, null where there is none.
      type: str
    rollback_kind:
      description: >-
        Whether that one has passed its gate (V(good)), serves or served before the first release that had one
        (V(baseline)), served directly before it (V(previous)), or V(none).
      type: str
    baseline:
      description: Whether what serves now is that baseline, and is to be recorded as such.
      type: bool
    attempt:
      description: The number of this attempt to release it.
      type: int
    resumes:
      description: Whether the attempt has begun already and was interrupted.
      type: bool
    began_in:
      description: The run by which the attempt on record began, empty where there is none.
      type: str
    elsewhere:
      description: >-
        Those of O(others) that serve the release by what is on record, each with V(app), V(deployment_id), and whether
        its gate was passed (V(decided)).
      type: list
      elements: dict
    moves_before:
      description: The number of the last move of production on record.
      type: int
    digest:
      description: >-
        A digest over what will be done. Environment, app, release, its content, the attempt, what serves, what takes
        its place, steps, migrations with checksums, and names of changed variables are part of it; ages, times and
        locks are not.
      type: str
      sample: 0f3c1d5e7a9b2c4d
    approved_digest:
      description: The digest with which the attempt that is continued had begun, empty otherwise.
      type: str
    continues:
      description: >-
        Whether it resumes an attempt, and what is left is what that had begun with, of migrations possibly a part.
      type: bool
    auto_assign:
      description: Whether new production deployments take the domains by themselves.
      type: bool
    repository:
      description: The repository that the project is connected to, as V(owner/name), null where none is.
      type: str
    branch:
      description: Its production branch, null where none is connected.
      type: str
plan:
  description:
    - The steps that are left, as V(steps), and what of it cannot be taken back, as V(irreversible).
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
from ansible_collections.ops.runbooks.plugins.module_utils._release.planning import ReleasePlan


def main() -> None:
    """Run the module."""
    run(ReleasePlan)


if __name__ == "__main__":
    main()
