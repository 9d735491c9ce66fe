#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_approval
short_description: Approve what is about to be released, or ask whether somebody has
version_added: 1.0.0
description:
  - Records in the store that a person agrees with one plan, known by its digest. Where anything in the plan changes it
    has another digest, and the approval does not count for it.
  - It ends after O(valid_for), by the store's clock. Whoever asks for the work cannot approve it.
  - The person is never an option. On AWX it is the user who launched the job (C(awx_user_name), which playbooks of this
    collection hand on), on GitHub Actions the actor, else the login of the terminal, which nobody vouches for and
    which is marked as V(unauthenticated).
notes:
  - Who may write to the store could write an approval by other means. On AWX, keep the store's credentials away from
    people, and let no job template that approves prompt for variables.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
options:
  release:
    description:
      - What is to be released, such as the SHA of a commit or the id of a deployment.
    type: str
    required: true
  digest:
    description:
      - The digest of the plan, letters and digits.
    type: str
    required: true
  state:
    description:
      - V(present) approves, V(query) says whether it is approved, V(absent) takes back every approval of this plan.
    type: str
    choices: [present, query, absent]
    default: present
  requester:
    description:
      - Who asked for the work. With V(query) the default is the person who runs the task.
    type: str
  reason:
    description:
      - What the approver has to say, kept with the approval.
    type: str
  valid_for:
    description:
      - How long an approval holds, as a duration. With V(query) an approval counts for the shorter of this and what it
        was given for.
    type: str
    default: 4h
seealso:
  - module: ops.runbooks.release_record
  - module: ops.runbooks.runbook_window
"""

EXAMPLES = r"""
- name: Approve the plan that the deploy has printed
  ops.runbooks.release_approval:
    store: s3://acme-runbooks-production
    environment: production
    name: web
    release: 4f2c9e1
    digest: 7c1de5f0b2
    requester: ann

- name: May it go on?
  ops.runbooks.release_approval:
    store: s3://acme-runbooks-production
    environment: production
    name: web
    release: 4f2c9e1
    digest: 7c1de5f0b2
    state: query
  register: asked
"""

RETURN = r"""
approval:
  description: How it stands. In check mode as it would.
  returned: success
  type: dict
  contains:
    decision:
      description: >-
        V(approved), V(missing), V(expired), V(own) where only who asks has approved, or V(other_plan) where what was
        approved is another plan of this release.
      type: str
    release:
      description: The release.
      type: str
    digest:
      description: The plan.
      type: str
    requester:
      description: Who asked for the work.
      type: str
    approver:
      description: Who approved it.
      type: str
    authenticated_by:
      description: Who vouches for that name, V(awx) or V(github); V(terminal) where nobody does.
      type: str
    unauthenticated:
      description: Whether nobody vouches for the approver's name.
      type: bool
    approved_at:
      description: When, by the store's clock.
      type: str
    expires_at:
      description: Until when it counts.
      type: str
    reasons:
      description: The decision in a sentence.
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
from ansible_collections.ops.runbooks.plugins.module_utils._release.approval import ReleaseApproval


def main() -> None:
    """Run the module."""
    run(ReleaseApproval)


if __name__ == "__main__":
    main()
