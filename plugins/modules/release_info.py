#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: List the releases of an app that are on record
version_added: 1.0.0
description:
  - Reads what M(ops.runbooks.release_record) has written, newest first.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.info
  - ops.runbooks._store
  - ops.runbooks._store.s3
options:
  limit:
    description:
      - How many are read at most.
    type: int
    default: 50
  databases:
    description:
      - The databases that the app uses. A release that does not know a migration which has taken something away from
        one of them is bad, since the database no longer fits it.
    type: list
    elements: str
    default: []
seealso:
  - module: ops.runbooks.release_record
"""

EXAMPLES = r"""
- name: What worked?
  ops.runbooks.release_info:
    store: s3://acme-runbooks-production
    environment: production
    name: web
  register: recorded
"""

RETURN = r"""
releases:
  description: What is on record.
  returned: success
  type: dict
  contains:
    known:
      description: >-
        The releases, newest first, each with V(release), V(deployment_id), V(gate), V(bad), V(git_sha), V(url),
        V(recorded_at), V(baseline), V(attempt), V(started_at), V(rollback_to), V(moves_before), V(digest),
        V(began_in), V(migrations) and V(pending), as M(ops.runbooks.release_record) explains them.
      type: list
      elements: dict
    newest_good:
      description: The newest that passed its gate, is not bad and was not rolled back, null where there is none.
      type: dict
    rolled_back:
      description: >-
        What production was rolled back from and never brought back to by a runbook since, each with V(deployment_id)
        and V(reason).
      type: list
      elements: dict
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
from ansible_collections.ops.runbooks.plugins.module_utils._release.record import ReleaseInfo


def main() -> None:
    """Run the module."""
    run(ReleaseInfo)


if __name__ == "__main__":
    main()
