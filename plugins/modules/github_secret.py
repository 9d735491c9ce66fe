#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: github_secret
short_description: Keep secrets of GitHub Actions as they are listed
version_added: 1.0.0
description:
  - Sets and removes any number of secrets of one repository, of one of its environments, or of an organization.
  - A value is sealed for GitHub on this machine (libsodium's sealed box), and nobody can read it back. It is known
    again by what O(store) remembers, a digest of the value under O(fingerprint_key) and the time at which GitHub
    changed the secret last. Where somebody has changed it at another time, it is written once more.
  - Without O(store) or without a key nobody can tell what value a secret has that is there already. O(on_unknown) says
    what is done about it. Secrets that are not there are created all the same.
  - A changed secret reaches workflow runs that begin afterwards, and no deployment that has been built.
  - Values are in no result, diff or message.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes
  - ops.runbooks._store.optional
  - ops.runbooks._store.s3
  - ops.runbooks._store.run
attributes:
  idempotent:
    support: partial
    details:
      - With O(on_unknown=update), and without O(store) or O(fingerprint_key), what is there is written in each run.
options:
  repository:
    description:
      - The repository, as V(owner/name). Exactly one of O(repository) and O(organization) is needed.
    type: str
  github_environment:
    description:
      - The environment of O(repository) whose secrets they are, by its name at GitHub. It has to be there.
    type: str
  organization:
    description:
      - The organization whose secrets they are.
    type: str
  secrets:
    description:
      - The secrets. Others are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name, with letters, digits and underscores, not beginning with a digit or with C(GITHUB_). GitHub makes
            small letters capital.
        type: str
        required: true
      value:
        description:
          - Its value, needed where O(secrets[].state=present), at most 48 KiB of UTF-8. Take it from a lookup, never
            from a file in the clear. What is an object goes through the filter P(ansible.builtin.to_json#filter).
        type: raw
      visibility:
        description:
          - Which repositories of O(organization) get it. V(private) means private and internal ones.
          - Where it is not given it is V(selected) if O(secrets[].selected_repositories) is given; else a new secret
            is V(private), and one that is there stays as it is.
        type: str
        choices: [all, private, selected]
      selected_repositories:
        description:
          - Exactly the repositories that get it, with O(secrets[].visibility=selected), as V(name) or V(owner/name).
        type: list
        elements: str
      state:
        description:
          - Whether it is to be there.
        type: str
        choices: [present, absent]
        default: present
  fingerprint_key:
    description:
      - The key of the digests in O(store), at least 16 characters, and none of the values. Keep it; with another one
        every secret is written once more.
      - Without it E(RUNBOOKS_FINGERPRINT_KEY) in the environment of the module's process is used, where it is set.
    type: str
  on_unknown:
    description:
      - What is done about a secret that is there with a value that nobody can tell, since nothing is remembered of it.
      - V(skip) leaves its value alone with a warning, V(update) writes it, V(fail) fails before anything is changed.
      - GitHub changes the visibility of a secret only along with its value, so that V(skip) leaves both.
    type: str
    choices: [skip, update, fail]
    default: skip
  token:
    description:
      - A token of GitHub that may read and write the secrets.
      - Without it the environment variable E(GITHUB_TOKEN) of the module's process is used. The token that GitHub makes
        for a workflow run may not write secrets.
    type: str
  api_url:
    description:
      - The address of GitHub's API, with GitHub Enterprise Server V(https://host/api/v3). Plain http is only taken for
        this machine itself.
    type: str
    default: https://api.github.com
  timeout:
    description:
      - How long the module waits for GitHub in all, its limits included, as a duration.
    type: str
    default: 5m
requirements:
  - requests
  - PyNaCl >= 1.6
seealso:
  - module: ops.runbooks.vercel_env
"""

EXAMPLES = r"""
- name: Keep what the deployments of production need
  ops.runbooks.github_secret:
    repository: acme/web
    github_environment: production
    store: s3://acme-runbooks-production
    environment: production
    name: web
    fingerprint_key: "{{ lookup('ansible.builtin.env', 'RUNBOOKS_FINGERPRINT_KEY') }}"
    secrets:
      - name: DATABASE_URL
        value: "{{ lookup('ansible.builtin.env', 'ACME_DATABASE_URL') }}"
      - name: OLD_TOKEN
        state: absent

- name: Give two repositories of the organization a token
  ops.runbooks.github_secret:
    organization: acme
    on_unknown: update
    secrets:
      - name: REGISTRY_TOKEN
        value: "{{ lookup('ansible.builtin.env', 'ACME_REGISTRY_TOKEN') }}"
        selected_repositories: [web, jobs]
"""

RETURN = r"""
secrets:
  description: Names of secrets, never values. In check mode as it would be. On failure empty.
  returned: always
  type: dict
  contains:
    scope:
      description: Whose secrets they are, for people.
      type: str
    created:
      description: Those that are new.
      type: list
      elements: str
    updated:
      description: Those that have another value or other repositories.
      type: list
      elements: str
    deleted:
      description: Those that are gone.
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
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets import GithubSecret


def main() -> None:
    """Run the module."""
    run(GithubSecret)


if __name__ == "__main__":
    main()
