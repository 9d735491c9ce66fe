#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_retired_info
short_description: Find out which builds of a project on Vercel hold secrets that are gone
version_added: 1.0.0
description:
  - A build keeps the environment variables that it was made with. Once M(ops.runbooks.secret_rotation) has taken the
    earlier value of a secret away, what was built with it does not work any more.
  - Reads where each secret of O(environment) stands, whether it is still declared or not, and says when builds of the
    project were made that hold a value which is gone. M(ops.runbooks.vercel_rollback), M(ops.runbooks.vercel_promote)
    and M(ops.runbooks.release_plan) take that as O(ops.runbooks.vercel_rollback#module:outdated).
  - A secret belongs to the project where a variable of it is a destination. Vercel is asked for the variables only
    where an earlier value of anything was taken away.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.vercel
  - ops.runbooks._attributes.info
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._vercel
seealso:
  - module: ops.runbooks.secret_rotation
  - module: ops.runbooks.vercel_rollback
"""

EXAMPLES = r"""
- name: What may not serve again?
  ops.runbooks.secret_retired_info:
    store: s3://acme-runbooks-production
    environment: production
    name: web
    team: acme
    project: acme-web
  register: gone

- name: Roll back, unless to one of these
  ops.runbooks.vercel_rollback:
    team: acme
    project: acme-web
    to: previous
    reason: the checkout answers 500
    outdated: "{{ gone.retired.builds }}"
"""

RETURN = r"""
retired:
  description: What is known.
  returned: success
  type: dict
  contains:
    builds:
      description: One entry for each span of time in which builds were made that hold a value which is gone.
      type: list
      elements: dict
      contains:
        secret:
          description: The secret.
          type: str
        built_after:
          description: When that began, null where everything earlier is meant.
          type: str
        built_before:
          description: When it ended, by Vercel's clock.
          type: str
        reason:
          description: Why what was built then cannot serve, in a clause.
          type: str
    secrets:
      description: The secrets on record that were looked at.
      type: list
      elements: str
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
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.retired_info import SecretRetiredInfo


def main() -> None:
    """Run the module."""
    run(SecretRetiredInfo)


if __name__ == "__main__":
    main()
