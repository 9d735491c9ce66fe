#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vercel_info
short_description: Say what serves production on Vercel, and what could
version_added: 1.0.0
description:
  - Reads one project. What serves production now, whether a rollback has pinned it, what can be rolled back to, what
    each production domain points to, an active rolling release, and the names of the environment variables, never a
    value.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.vercel_only
  - ops.runbooks._attributes.info
  - ops.runbooks._vercel
options:
  limit:
    description:
      - How many deployments, and how many candidates for a rollback, are listed at most.
    type: int
    default: 20
  variables:
    description:
      - Whether the environment variables are listed. Some tokens may not ask for them.
    type: bool
    default: true
  required:
    description:
      - Names of environment variables that O(required_target) has to have. What it lacks is told, and is no failure.
    type: list
    elements: str
    default: []
  required_target:
    description:
      - The target that they are looked for in, V(production), V(preview), V(development), or the slug of a custom
        environment. Variables of one branch do not count.
    type: str
    default: production
seealso:
  - module: ops.runbooks.vercel_rollback
  - module: ops.runbooks.vercel_promote
"""

EXAMPLES = r"""
- name: What serves production?
  ops.runbooks.vercel_info:
    project: acme-web
    team: acme
  register: now

- name: Say it
  ops.runbooks.runbook_record:
    store: s3://acme-runbooks-production
    environment: production
    name: web
    resource: app/web
    identity: looked
    what: "production served {{ now.vercel.production.id }}"
"""

RETURN = r"""
vercel:
  description: The project.
  returned: success
  type: dict
  contains:
    project:
      description: Its name.
      type: str
    project_id:
      description: Its id.
      type: str
    paused:
      description: Whether it is paused, so that production answers with 503.
      type: bool
    production:
      description: The deployment that serves production, with the keys of V(deployments); null before the first.
      type: dict
    auto_assign:
      description: Whether new production deployments take the domains by themselves.
      type: bool
    repository:
      description: The repository that is connected, as V(owner/name); null where there is none.
      type: str
    production_branch:
      description: The branch of it whose pushes are built for production.
      type: str
    ungated_pushes:
      description: Whether a push to that branch serves production as soon as it is built, without any gate.
      type: bool
    pinned_by_rollback:
      description: Whether they do not because of a rollback. Teams also switch it off on purpose.
      type: bool
    rollback_reason:
      description: What was written down with that rollback.
      type: str
    last_job:
      description: >-
        The last promote or rollback, with V(type), V(from_deployment), V(to_deployment), V(status), V(requested_at).
      type: dict
    crons_deployment:
      description: The deployment whose cron jobs run.
      type: str
    rolling_release:
      description: >-
        The active rolling release, with V(state), V(canary_deployment), V(current_deployment), V(percentage).
      type: dict
    domains:
      description: Each production domain, and the deployment that Vercel leads it to when asked for it alone.
      type: dict
    candidates:
      description: What production can be rolled back to, newest first, with the keys of V(deployments).
      type: list
      elements: dict
    deployments:
      description: >-
        The newest deployments, each with V(id), V(url), V(state), V(substate), V(target), V(created_at),
        V(rollback_candidate), V(git_sha), V(git_ref), V(git_message).
      type: list
      elements: dict
    variables:
      description: The environment variables, each with V(key), V(type), V(targets), V(git_branch), V(updated_at).
      type: list
      elements: dict
    missing_variables:
      description: What of O(required) the target lacks, as far as this token sees.
      type: list
      elements: str
    hidden_variables:
      description: How many variables of production this token may not see.
      type: int
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
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.info import VercelInfo


def main() -> None:
    """Run the module."""
    run(VercelInfo)


if __name__ == "__main__":
    main()
