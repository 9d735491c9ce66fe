#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_rotation_info
short_description: Tell how old the secrets of an environment are, and what their rotations wait for
version_added: 1.0.0
description:
  - Reads what M(ops.runbooks.secret_rotation) has on record of each secret, and looks at each destination; those of one
    project of Vercel share one list. No value is read, and no consumer is asked. Of a secret that is not on record its
    service is asked for a credential that would stay good beside a new one.
  - A destination that cannot be reached is no failure; it is said in RV(secrets.all).
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.info
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._rotation.listed
options:
  deployments:
    description:
      - Whether the deployments of each project are listed as well, for those that still hold an earlier value. A
        variable reaches only what is built afterwards, and older ones keep theirs for as long as they are there.
    type: bool
    default: false
seealso:
  - module: ops.runbooks.secret_rotation
"""

EXAMPLES = r"""
- name: How old are they?
  ops.runbooks.secret_rotation_info:
    store: s3://acme-runbooks-production
    environment: production
    name: secrets
    secrets:
      - name: auth_secret
        provider:
          type: generated
        destinations:
          - name: web
            type: vercel_env
            project: acme-web
            team: acme
            variable: AUTH_SECRET
  register: found
"""

RETURN = r"""
secrets:
  description: How they stand.
  returned: success
  type: dict
  contains:
    all:
      description: >-
        Each secret as RV(ops.runbooks.secret_rotation#module:rotation), without V(requests), V(summary) and
        V(not_begun); V(run) in V(waits_for) is
        what the next run would do. And V(problem), why its destinations could not be looked at, empty where they could,
        and V(cannot_rotate), why no rotation can begin as the secret is declared, empty where one can.
        Each destination has V(stale_deployments), with V(id), V(url), V(target) and V(created_at), newest first and of
        the newest 200 of its project; null where they were not listed.
      type: list
      elements: dict
    due:
      description: The names of those that are overdue, or have no value on record yet.
      type: list
      elements: str
    under_way:
      description: The names of those whose rotation is not over.
      type: list
      elements: str
    unreachable:
      description: The names of those of which not all destinations could be looked at.
      type: list
      elements: str
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
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.rotation_info import SecretRotationInfo


def main() -> None:
    """Run the module."""
    run(SecretRotationInfo)


if __name__ == "__main__":
    main()
