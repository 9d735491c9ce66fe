#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_login_info
short_description: Find out whether the passwords that secrets hold log in to a database
version_added: 1.0.0
description:
  - Reads from the store which value of each secret of O(environment) counts, and logs in to the database with those
    that are a login to it (of the provider V(postgres_role_pair)). What was restored is proven that way to be usable by
    the app, since a dump holds no roles and no passwords, which are the server's.
  - A login works where the server takes the password and lets the role into the database, and where it may read any of
    the tables that there are.
  - Secrets of another server are named as not checked, those of another database of this server are passed over.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.info
  - ops.runbooks._store
  - ops.runbooks._store.s3
  - ops.runbooks._postgres
  - ops.runbooks._rotation.kept
options:
  secrets_key:
    description:
      - The key under which values lie encrypted in the store, as for M(ops.runbooks.secret_rotation). Without it the
        environment variable E(RUNBOOKS_SECRETS_KEY) is used; with none of them no secret is checked.
    type: str
  login_database:
    description:
      - The database to log in to, such as one that was restored beside the live one. The default is the one that the
        connection names; by that name secrets are known to belong to it.
    type: str
    default: ""
seealso:
  - module: ops.runbooks.secret_rotation
  - module: ops.runbooks.postgres_restore
"""

EXAMPLES = r"""
- name: Do the passwords that count work with what was restored?
  ops.runbooks.secret_login_info:
    store: s3://acme-runbooks-production
    environment: production
    name: main
    database_url: "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"
    login_database: main_restored
  register: checked
"""

RETURN = r"""
logins:
  description: What was found.
  returned: success
  type: dict
  contains:
    checked:
      description: Each login that was tried.
      type: list
      elements: dict
      contains:
        secret:
          description: The secret.
          type: str
        user:
          description: The role.
          type: str
        database:
          description: The database that it logged in to.
          type: str
        works:
          description: Whether it works.
          type: bool
        reason:
          description: Why not, in a clause.
          type: str
        tables:
          description: Tables in the database that are not the system's.
          type: int
        readable:
          description: Those of them that the role may read.
          type: int
    unchecked:
      description: Each V(secret) that was not tried, and the V(reason).
      type: list
      elements: dict
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
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.logins import SecretLoginInfo


def main() -> None:
    """Run the module."""
    run(SecretLoginInfo)


if __name__ == "__main__":
    main()
