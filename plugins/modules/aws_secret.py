#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_secret
short_description: Keep a secret of AWS Secrets Manager as it is described
version_added: 1.0.0
description:
  - Creates, changes and deletes one secret, and makes versions of it current.
  - A new value is put beside the current one as C(AWSPENDING), becomes C(AWSCURRENT) by a move of the label from the
    version that was seen to have it, and then loses C(AWSPENDING), which AWS itself leaves there. Of two who do that at
    once, one fails and names the other's version. A run that is killed in between is continued by the next one.
  - A version is put with the label C(ops.runbooks), which it loses at once, since AWS would take C(AWSPENDING) from
    whoever has got it meanwhile.
  - The value is read back and compared, so that a second run does nothing. A version that somebody else has put there
    as C(AWSPENDING), such as a rotation of AWS's own, is not written over.
  - Values are in no result, diff or message.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.alone
  - ops.runbooks._attributes
  - ops.runbooks._aws
  - ops.runbooks._store.credentials
options:
  secret:
    description:
      - The secret, by its name or its ARN. To create it its name is needed.
    type: str
    required: true
  value:
    description:
      - The value, a text of at most 64 KiB. What is an object goes through the filter
        P(ansible.builtin.to_json#filter). Take it from a lookup, never from a file in the clear.
      - Without it the value stays as it is.
    type: raw
  stage:
    description:
      - Whether the value is to be the current one, or to wait beside it as C(AWSPENDING) until another task makes it
        current. The first value of a secret is current in any case, and needs V(current).
    type: str
    choices: [current, pending]
    default: current
  version_id:
    description:
      - The id of the version, which AWS calls a client request token, 32 to 64 letters, digits and hyphens. The same id
        always means the same value; with another value it is refused.
      - Without O(value), the version of this id becomes current; that needs no right to read the value.
      - By default a new version gets a random one. Where the current version has the value already, none is made, and a
        warning names the current one.
    type: str
  replace_pending:
    description:
      - Whether a value may take the place of another one that waits as C(AWSPENDING).
    type: bool
    default: false
  description:
    description:
      - What the secret is for. Without it the description stays as it is.
    type: str
  kms_key_id:
    description:
      - The key of KMS that encrypts it, as an id, an alias or an ARN. Without it the key stays as it is, which is the
        account's own for a new secret.
    type: str
  tags:
    description:
      - Tags that it is to have. Without it they stay as they are.
    type: dict
  purge_tags:
    description:
      - Whether tags that are not in O(tags) are taken away.
    type: bool
    default: false
  recovery_window:
    description:
      - Days for which a deletion can be taken back with O(state=present), 7 to 30. V(0) deletes at once and for good.
    type: int
    default: 30
  state:
    description:
      - Whether the secret is to be there.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: ops.runbooks.aws_access_key
  - module: ops.runbooks.github_secret
"""

EXAMPLES = r"""
- name: Keep a secret
  ops.runbooks.aws_secret:
    secret: acme/production/session
    description: What sessions are signed with
    value: "{{ lookup('ansible.builtin.env', 'ACME_SESSION_SECRET') }}"
    tags: {team: web}

- name: Put the next value beside the current one
  ops.runbooks.aws_secret:
    secret: acme/production/session
    stage: pending
    version_id: 3f1c2a52-6b0e-4c1a-9f0d-2f4f3f5f9a10
    value: "{{ lookup('ansible.builtin.env', 'ACME_NEXT_SESSION_SECRET') }}"

- name: Make it current
  ops.runbooks.aws_secret:
    secret: acme/production/session
    version_id: 3f1c2a52-6b0e-4c1a-9f0d-2f4f3f5f9a10
"""

RETURN = r"""
secret:
  description: The secret without its value. In check mode as it is. On failure empty.
  returned: always
  type: dict
  contains:
    arn:
      description: Its ARN, null where it is not there.
      type: str
    name:
      description: Its name.
      type: str
    version_id:
      description: The version that is current.
      type: str
    pending_version_id:
      description: The version that waits to become current.
      type: str
    deletion_date:
      description: When it will be gone, where it is to be deleted.
      type: str
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

from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets import AwsSecret
from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run


def main() -> None:
    """Run the module."""
    run(AwsSecret)


if __name__ == "__main__":
    main()
