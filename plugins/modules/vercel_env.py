#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vercel_env
short_description: Keep environment variables on Vercel as they are listed
version_added: 1.0.0
description:
  - Sets and removes any number of environment variables of one project, each for the targets that are listed with it
    and for no other. A record that several targets share is taken apart first where only some of them are to change.
  - What Vercel shows is compared by its value. A sensitive value is never shown. It is known again by a mark at the end
    of the variable's comment, a digest of the value under O(fingerprint_key) and the time of the writing. Whoever
    changes the record afterwards makes the mark void, and the value is written once more. What is encrypted gets the
    mark too, since the policy of a team may make it sensitive.
  - Variables of integrations are left alone, and refused where they are listed. A name that begins with C(NEXT_PUBLIC_)
    is refused as sensitive, since its value is sent to every browser.
  - A change reaches only what is built afterwards; RV(env.redeploy_required) says whether that is still to come.
  - Values are in no result, diff or message.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.vercel
  - ops.runbooks._attributes
  - ops.runbooks._vercel
  - ops.runbooks._vercel.record
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
attributes:
  idempotent:
    support: partial
    details:
      - With O(on_unknown=update) and without O(fingerprint_key), sensitive values are written in each run.
options:
  variables:
    description:
      - The variables, each for its own targets. One name may be listed several times for different targets.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name.
        type: str
        required: true
      value:
        description:
          - Its value, needed where O(variables[].state=present). Take it from a lookup, never from a file in the clear.
        type: raw
      type:
        description:
          - V(encrypted) can be read back by members of the team, V(sensitive) by nobody, V(plain) is no secret.
          - What is sensitive stays so. To make it readable, remove it first.
        type: str
        choices: [encrypted, sensitive, plain]
        default: encrypted
      targets:
        description:
          - V(production), V(preview), V(development), or slugs of custom environments of the project.
        type: list
        elements: str
        default: [production]
      git_branch:
        description:
          - The branch whose previews get it; the one target is V(preview) then.
        type: str
      comment:
        description:
          - A comment for people. Without it the comment stays as it is.
        type: str
      state:
        description:
          - Whether it is to be there for these targets.
        type: str
        choices: [present, absent]
        default: present
  exclusive:
    description:
      - Whether the listed targets keep only what is listed for them. Targets for which nothing is listed, previews of
        branches for which nothing is, and variables of integrations stay as they are.
      - Refused where this token does not see all variables of production.
    type: bool
    default: false
  fingerprint_key:
    description:
      - The key of the marks of sensitive values, at least 16 characters, and none of the values. Keep it; with another
        one every sensitive value is written once more.
      - Without it E(RUNBOOKS_FINGERPRINT_KEY) in the environment of the module's process is used, where it is set.
    type: str
  on_unknown:
    description:
      - What is done about a sensitive variable whose value nobody can tell, since it has no mark or there is no key.
      - V(skip) leaves it alone with a warning, V(update) writes it, V(fail) fails before anything is changed.
    type: str
    choices: [skip, update, fail]
    default: skip
  required:
    description:
      - Names that production has to have. What it lacks is in RV(env.missing), and is no failure.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - How long the module waits for Vercel in all, as a duration.
    type: str
    default: 5m
seealso:
  - module: ops.runbooks.vercel_deployment
  - module: ops.runbooks.vercel_info
"""

EXAMPLES = r"""
- name: Set the variables of production
  ops.runbooks.vercel_env:
    project: acme-web
    team: acme
    fingerprint_key: "{{ lookup('ansible.builtin.env', 'RUNBOOKS_FINGERPRINT_KEY') }}"
    variables:
      - name: DATABASE_URL
        type: sensitive
        value: "{{ lookup('ansible.builtin.env', 'ACME_DATABASE_URL') }}"
      - name: LOG_LEVEL
        type: plain
        targets: [production, preview]
        value: info
      - name: OLD_FLAG
        state: absent
  register: changed

- name: Build what serves again with them
  ops.runbooks.vercel_deployment:
    project: acme-web
    team: acme
    redeploy: dpl_7Hk2qFakeExample
    identity: variables-2026-11
  when: changed.env.redeploy_required
"""

RETURN = r"""
env:
  description: Names of variables, never values. In check mode as it would be. On failure empty.
  returned: always
  type: dict
  contains:
    created:
      description: Those that are new for a target.
      type: list
      elements: str
    updated:
      description: Those of which a record was changed.
      type: list
      elements: str
    deleted:
      description: Those of which a record was taken away.
      type: list
      elements: str
    unchanged:
      description: Those that are as they were.
      type: list
      elements: str
    unknown:
      description: Those of which nobody can tell whether they have the value that is wanted.
      type: list
      elements: str
    missing:
      description: What of O(required) production lacks, as far as this token sees.
      type: list
      elements: str
    hidden:
      description: How many variables of production this token may not see.
      type: int
    redeploy_required:
      description: Whether what serves production was built before its listed variables were what they are now.
      type: bool
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
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.env import VercelEnv


def main() -> None:
    """Run the module."""
    run(VercelEnv)


if __name__ == "__main__":
    main()
