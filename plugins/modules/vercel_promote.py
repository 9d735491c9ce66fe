#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vercel_promote
short_description: Let a deployment that is ready serve production on Vercel
version_added: 1.0.0
description:
  - Moves the production domains to a deployment that was built for production, without a build. It also undoes a
    rollback.
  - Vercel is asked only once, whatever happens to a run, by the same means as in M(ops.runbooks.vercel_rollback).
  - It refuses a deployment of another project, one that was built for previews (promoting that would build it anew),
    one that is not ready, one that is O(forbidden), O(outdated) or on record as bad, an active rolling release, and a
    project for which rolling releases are configured.
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
    type: str
    required: true
  reason:
    description:
      - Why. The record keeps it.
    type: str
    default: ''
seealso:
  - module: ops.runbooks.vercel_rollback
  - module: ops.runbooks.vercel_info
"""

EXAMPLES = r"""
- name: Undo a rollback
  ops.runbooks.vercel_promote:
    project: acme-web
    team: acme
    to: dpl_7Hk2qFakeExample
    reason: the fault was elsewhere
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
      sample: promote-dpl_C
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
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.promote import Promote


def main() -> None:
    """Run the module."""
    run(Promote)


if __name__ == "__main__":
    main()
