#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: github_checks_info
short_description: Say whether the checks of a commit at GitHub are green
version_added: 1.0.0
description:
  - Reads the check runs and the commit statuses of exactly one commit. Of several runs of a check by the same app the
    newest counts.
  - The answer is a decision and never a failure. V(pass) means that every required check has reported and is green;
    a required check that nothing has reported makes it V(missing). As at GitHub, a check that is neutral or was
    skipped counts as green.
  - O(required) says which checks are required. Without it, the protection and the rulesets of O(branch) do, as far as
    the token may read them. Where they require nothing, every check that was reported has to be green, at least one has
    to have succeeded, and no app that has reported a check may have others still to come.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.alone
  - ops.runbooks._attributes.info
options:
  repository:
    description:
      - The repository, as V(owner/name).
    type: str
    required: true
  sha:
    description:
      - The SHA of the commit, or at least its first seven digits. A branch or a tag is refused, since it may move.
    type: str
    required: true
  required:
    description:
      - The names of the checks and statuses that have to be green.
    type: list
    elements: str
    default: []
  branch:
    description:
      - The branch whose protection and rulesets say what is required. The default is the repository's default branch.
    type: str
  ignore:
    description:
      - Names of checks that do not count. Where this runs in GitHub Actions on the same commit, its own job is one that
        is never done meanwhile.
      - Of a workflow run in which nothing but such a job still runs, what was reported counts, and jobs that wait for
        it do not. Every other one counts until it is done, under the name V(further checks) where jobs are to come.
    type: list
    elements: str
    default: []
  wait:
    description:
      - How long to wait for checks that are pending or missing, as a duration. A failed one ends it at once.
      - GitHub's limits are kept, and what they make wait is a part of this.
    type: str
    default: 0s
  token:
    description:
      - A token of GitHub that may read the repository, its checks and its commit statuses.
      - Without it the environment variable E(GITHUB_TOKEN) of the module's process is used; without both only public
        repositories can be asked about.
    type: str
  api_url:
    description:
      - The address of GitHub's API, with GitHub Enterprise Server V(https://host/api/v3). Plain http is only taken for
        this machine itself.
    type: str
    default: https://api.github.com
requirements:
  - requests
seealso:
  - module: ops.runbooks.runbook_window
  - module: ops.runbooks.release_approval
"""

EXAMPLES = r"""
- name: Is it green?
  ops.runbooks.github_checks_info:
    repository: acme/web
    sha: 4f2c9e1d5b7a8c0e3f6a9b2d4c7e1f0a5b8d3c6e
    wait: 20m
  register: commit

- name: Only these matter
  ops.runbooks.github_checks_info:
    repository: acme/web
    sha: 4f2c9e1
    required: [test, typecheck, lint, build]
"""

RETURN = r"""
checks:
  description: The answer.
  returned: success
  type: dict
  contains:
    decision:
      description: V(pass), V(fail), V(pending) or V(missing).
      type: str
    sha:
      description: The whole SHA of the commit.
      type: str
    url:
      description: Its page at GitHub.
      type: str
    branch:
      description: The branch whose demands were read.
      type: str
    required:
      description: The names that have to be green; empty where all that was reported has to be.
      type: list
      elements: str
    required_from:
      description: Who says so, V(option) or V(branch); V(all) where nobody does.
      type: str
    passed:
      description: What is green of it.
      type: list
      elements: str
    failed:
      description: What is red.
      type: list
      elements: str
    pending:
      description: What is not done.
      type: list
      elements: str
    missing:
      description: What is required and was not reported.
      type: list
      elements: str
    others:
      description: What is red or not done, and not required.
      type: list
      elements: str
    reasons:
      description: Why it is not green, a sentence for each thing.
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
from ansible_collections.ops.runbooks.plugins.module_utils._github.checks import GithubChecksInfo


def main() -> None:
    """Run the module."""
    run(GithubChecksInfo)


if __name__ == "__main__":
    main()
