#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vercel_rollback
short_description: Let an earlier deployment serve production on Vercel again
version_added: 1.0.0
description:
  - Moves the production domains back to a deployment that has served them before, without a build. Environment
    variables and cron jobs are those of that build; no data is touched.
  - What is to be left and what is to serve is written to O(store) before Vercel is asked. A run that was killed goes on
    where it was, waits for the job that it had asked for, and asks for no second one.
  - A job of Vercel counts only if its deployment, its kind and its time match the request. The rollback has succeeded
    once each production domain, looked up one by one, serves the deployment.
  - It refuses an active rolling release, a deployment that is O(forbidden), O(outdated) or on record as bad, of
    another project, built for previews, not ready, or that has never served.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.vercel
  - ops.runbooks._attributes
  - ops.runbooks._vercel
  - ops.runbooks._vercel.record
  - ops.runbooks._vercel.move
  - ops.runbooks._vercel.forbidden
  - ops.runbooks._vercel.outdated
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  to:
    description:
      - What is to serve. An id (V(dpl_...)), an address, a commit, or a release in O(releases).
      - V(previous) is what served directly before O(from_deployment).
      - V(last_known_good) is the newest of O(releases) that passed its gate, is not bad, is older than what is left,
        and can be rolled back to. What the last rollback on record left is passed over.
    type: str
    required: true
  reason:
    description:
      - Why. Vercel shows the first 250 characters of it, and the record keeps it.
    type: str
    required: true
seealso:
  - module: ops.runbooks.vercel_promote
  - module: ops.runbooks.vercel_info
"""

EXAMPLES = r"""
- name: Back to what served before
  ops.runbooks.vercel_rollback:
    project: acme-web
    team: acme
    to: previous
    reason: the checkout answers 500
    auto_assign: "false"
    store: s3://acme-runbooks-production
    environment: production
    name: web
"""

RETURN = r"""
move:
  description: What was moved. In check mode as it would be. On failure empty.
  returned: always
  type: dict
  contains:
    id:
      description: What makes this move different from others.
      type: str
      sample: rollback-dpl_C
    kind:
      description: V(promote) or V(rollback).
      type: str
    project:
      description: The name of the project.
      type: str
    project_id:
      description: Its id.
      type: str
    asked:
      description: O(to) as it was given.
      type: str
    from_deployment:
      description: The deployment that is left.
      type: str
    to_deployment:
      description: The deployment that O(to) means; null where production no longer serves V(from_deployment).
      type: str
    to_url:
      description: Its own address.
      type: str
    to_git_sha:
      description: The commit that it was built from, where Vercel knows it.
      type: str
    production:
      description: What serves production after it, or would.
      type: str
    auto_assign:
      description: Whether new production deployments take the domains by themselves after it.
      type: bool
    reason:
      description: Why it is as it is, in a clause.
      type: str
    domains:
      description: Each production domain, and the deployment that Vercel leads it to when asked for it alone.
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
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.rollback import Rollback


def main() -> None:
    """Run the module."""
    run(Rollback)


if __name__ == "__main__":
    main()
