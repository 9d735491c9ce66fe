#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vercel_deployment
short_description: Make a deployment on Vercel once, or end one
version_added: 1.0.0
description:
  - Builds a commit, hands over what C(vercel build) has made here, or builds an earlier deployment again, and waits
    until the result is ready. A build for production takes no traffic until M(ops.runbooks.vercel_promote) moves it
    there.
  - Each deployment carries an O(identity) and a mark of its source. One of the same identity, source and target that
    has not failed is used again, so that a second run makes no second one, wherever the first was killed; no request
    is repeated before Vercel's list has been read.
  - Variables that have changed since make no difference. To build anew with them give another O(identity), such as the
    one of a rotation.
  - A build that fails, is cancelled or is blocked fails the task, with the end of its log in C(failure.log).
    What a build prints is the build's own, so keep secrets out of it.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.vercel
  - ops.runbooks._attributes
  - ops.runbooks._vercel
  - ops.runbooks._vercel.record
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  state:
    description:
      - V(present) makes it, or waits for one that an earlier run has asked for.
      - V(canceled) ends the build of O(deployment). One that has ended by itself stays as it is, one that is ready is
        refused.
      - V(absent) takes O(deployment) away for good. What serves production, or what a production domain leads to, is
        refused.
    type: str
    choices: [present, canceled, absent]
    default: present
  git:
    description:
      - A commit of the repository that the project is connected with.
    type: dict
    suboptions:
      sha:
        description:
          - The commit, with all forty digits.
        type: str
        required: true
      ref:
        description:
          - The branch that the build is told it is of, which variables of branches go by. The default is the project's
            production branch.
        type: str
  prebuilt:
    description:
      - The directory that holds C(.vercel/output), as C(vercel build) has left it. Its build has to be of O(target).
      - Files are read in pieces, and only those are handed over that Vercel does not have yet.
    type: path
  redeploy:
    description:
      - The deployment whose source is built again, by its id or its own address.
    type: str
  deployment:
    description:
      - The deployment that is to end, by its id or its own address.
    type: str
  target:
    description:
      - V(production), V(preview), or the slug of a custom environment of the project.
    type: str
    default: production
  identity:
    description:
      - What makes this deployment different from others of the same source. The default is made from the source.
    type: str
  meta:
    description:
      - Texts that Vercel keeps beside the deployment. They make no deployment different.
    type: dict
    default: {}
  assign_domains:
    description:
      - Whether the production domains lead to it once it is ready, where the project assigns them by itself.
    type: bool
    default: false
  timeout:
    description:
      - How long the module waits for a build, as a duration. The next run waits for the same build.
    type: str
    default: 45m
seealso:
  - module: ops.runbooks.vercel_promote
  - module: ops.runbooks.vercel_env
  - module: ops.runbooks.vercel_info
"""

EXAMPLES = r"""
- name: Build a commit for production, without traffic
  ops.runbooks.vercel_deployment:
    project: acme-web
    team: acme
    git:
      sha: 4f2c9b0de1a3c5e7f90123456789abcdef012345
  register: built

- name: Hand over what was built here
  ops.runbooks.vercel_deployment:
    project: acme-web
    team: acme
    prebuilt: /srv/builds/web
    target: staging

- name: Build what serves again, with the variables of today
  ops.runbooks.vercel_deployment:
    project: acme-web
    team: acme
    redeploy: dpl_7Hk2qFakeExample
    identity: rotation-2026-11

- name: Take a build away that nobody needs
  ops.runbooks.vercel_deployment:
    project: acme-web
    team: acme
    state: absent
    deployment: dpl_2xY9mFakeExample
"""

RETURN = r"""
deployment:
  description: The deployment. In check mode as it would be. On failure what is known of it.
  returned: always
  type: dict
  contains:
    id:
      description: Its id, null where there is none.
      type: str
      sample: dpl_7Hk2qFakeExample
    url:
      description: Its own host name.
      type: str
    state:
      description: V(READY), V(CANCELED), V(DELETED), V(ABSENT), or the state in which it has ended.
      type: str
    substate:
      description: Of a build for production, V(STAGED) before it has served and V(PROMOTED) since.
      type: str
    target:
      description: What it was built for.
      type: str
    sha:
      description: The commit, where Vercel knows it.
      type: str
    ref:
      description: The branch, where Vercel knows it.
      type: str
    identity:
      description: The identity that it was made for.
      type: str
    created_at:
      description: When it was asked for, in UTC.
      type: str
    serving:
      description: Whether it serves production.
      type: bool
    prebuilt:
      description: Whether it was built elsewhere and handed over.
      type: bool
    inspector_url:
      description: The page about it at Vercel.
      type: str
    reason:
      description: Why it is as it is, in a clause.
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
  description: >-
    Why the task failed, with V(code), V(attempted), V(object) and V(remedy); of a build also V(deployment_id),
    V(inspector_url) and V(log), its last lines.
  returned: failure
  type: dict
"""

from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.deployment import VercelDeployment


def main() -> None:
    """Run the module."""
    run(VercelDeployment)


if __name__ == "__main__":
    main()
