#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supabase_api_key
short_description: Create and delete API keys of a Supabase project
version_added: 1.0.0
description:
  - With O(state=present) a project has a publishable or secret API key of that name. With O(file) its value goes there
    and nowhere else, after the project's gateway has taken it.
  - Supabase keeps the values of keys. Without O(file) the key stays where it is, and RV(api_key.id) names it for who
    may read it there. A run that is killed loses nothing; the next one knows the key by its name.
  - A key cannot be switched off, only deleted, which cannot be undone. There is no new value for an old key either;
    create one of another name, let everybody use that, and delete the old one. M(ops.runbooks.secret_rotation) does
    so with the provider V(supabase_api_key).
  - Values are in no result, diff or message.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.alone
  - ops.runbooks._attributes
  - ops.runbooks._supabase
options:
  name:
    description:
      - The name of the key, with 4 to 64 small letters, digits and underscores, not beginning with a digit.
    type: str
    required: true
  type:
    description:
      - A V(secret) key may do everything in the project, whatever row level security says. A V(publishable) one is for
        browsers and apps.
    type: str
    choices: [secret, publishable]
    default: secret
  description:
    description:
      - What the key is for, for people. It is given to a new key, and not changed afterwards.
    type: str
  state:
    description:
      - V(present) creates the key where it is missing, V(absent) deletes it.
    type: str
    choices: [present, absent]
    default: present
  file:
    description:
      - A file of the machine that the module runs on, which only its owner may read. It holds the value and nothing
        else, and is made or replaced as a whole. A file that holds something else than an API key is refused.
    type: path
  even_default:
    description:
      - Delete the secret key named V(default) too, under which Edge Functions look for theirs.
    type: bool
    default: false
  compromised:
    description:
      - Let Supabase note that the key was compromised, where it is deleted.
    type: bool
    default: false
  reason:
    description:
      - Why the key is deleted, for Supabase's audit log.
    type: str
  timeout:
    description:
      - How long a new key may take to be accepted, and all other waiting, as a duration.
    type: str
    default: 2m
  run_id:
    description:
      - The identity of the run that this task belongs to.
    type: str
seealso:
  - module: ops.runbooks.secret_rotation
"""

EXAMPLES = r"""
- name: Let the worker have a secret key of its own
  ops.runbooks.supabase_api_key:
    project_ref: abcdefghijklmnopqrst
    name: worker
    description: The worker of the shop
    file: /etc/acme/supabase_key
  register: made

- name: Delete the one that was seen in a log, once nobody uses it
  ops.runbooks.supabase_api_key:
    project_ref: abcdefghijklmnopqrst
    name: worker_2025
    state: absent
    compromised: true
    reason: seen in a log
"""

RETURN = r"""
api_key:
  description: The key without its value. In check mode as it is. On failure empty.
  returned: always
  type: dict
  contains:
    project_ref:
      description: The project.
      type: str
    id:
      description: What Supabase calls it; null where it is absent.
      type: str
    name:
      description: Its name.
      type: str
    type:
      description: V(secret) or V(publishable).
      type: str
    status:
      description: V(present) or V(absent).
      type: str
    created_at:
      description: When it was created.
      type: str
    destination:
      description: Where its value is, for people; null where it is with Supabase alone.
      type: str
    project_keys:
      description: All keys of the project, the legacy ones included, each with V(id), V(name), V(type), V(created_at).
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
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.api_key import SupabaseApiKey


def main() -> None:
    """Run the module."""
    run(SupabaseApiKey)


if __name__ == "__main__":
    main()
