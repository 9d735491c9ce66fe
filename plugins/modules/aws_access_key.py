#!/usr/bin/python
# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: aws_access_key
short_description: Make, switch off and delete access keys of an IAM user
version_added: 1.0.0
description:
  - With O(state=present) a place has an access key of the user that works. Where it has none, one is made, and its
    secret goes straight there and nowhere else; AWS shows it once. Then it is proven by asking AWS who it is.
  - A user has two keys at most, those that are inactive included. Where there is no room the task fails and names them;
    it never deletes a key to make some.
  - Before a key is made, a note of the keys that exist is left in the place. Where a run is killed before the secret
    has arrived, the next one makes another key where there is room, and names the one whose secret nobody has; only you
    delete that, since AWS tells hours late that a key is used. Where there is no room, the failure names it.
  - Of two runs at once that make a key for one place, the one that began last goes on. The other one fails, and
    deletes the key that it has just made, whose secret nobody has had.
  - A pair that AWS does not list for the user is replaced only where AWS does not know it any more.
  - A key is deactivated, which can be undone, before it is deleted. The key that the module works with is refused,
    and so is one that its session may have been made from.
author:
  - The ops.runbooks contributors (@ops-runbooks)
extends_documentation_fragment:
  - ops.runbooks._attributes.alone
  - ops.runbooks._attributes
  - ops.runbooks._aws
  - ops.runbooks._store.credentials
options:
  user:
    description:
      - The user of IAM, by name.
    type: str
    required: true
  state:
    description:
      - V(present) lets O(file) or O(secret) have a key that works, and makes one where it has none.
      - V(active), V(inactive) and V(absent) are about O(access_key_id). V(absent) is refused as long as it is active.
    type: str
    choices: [present, active, inactive, absent]
    default: present
  access_key_id:
    description:
      - The id of the key, such as V(AKIA...). Needed for all states but V(present).
    type: str
  file:
    description:
      - A file of the machine that the module runs on, which only its owner may read. It holds a JSON object with
        C(user), C(access_key_id) and C(secret_access_key), and is made or replaced as a whole.
    type: path
  secret:
    description:
      - A secret of Secrets Manager, by its name, that holds the same JSON object. It is created where it is missing.
    type: str
  unused_for:
    description:
      - How long a key must not have been used before it may be deactivated or deleted, as a duration. Four hours are
        added, since AWS tells of a use that late. Of a key that was never used, its age counts.
    type: str
    default: 0s
  timeout:
    description:
      - How long a new key may take to be accepted everywhere, as a duration.
    type: str
    default: 2m
seealso:
  - module: ops.runbooks.aws_secret
"""

EXAMPLES = r"""
- name: Let the uploader have a key
  ops.runbooks.aws_access_key:
    user: acme-uploader
    secret: acme/production/uploader-key-2
  register: made

- name: Switch the old one off once nobody has used it for a day
  ops.runbooks.aws_access_key:
    user: acme-uploader
    state: inactive
    access_key_id: AKIAIOSFODNN7EXAMPLE
    unused_for: 1d

- name: Delete it later
  ops.runbooks.aws_access_key:
    user: acme-uploader
    state: absent
    access_key_id: AKIAIOSFODNN7EXAMPLE
    unused_for: 7d
"""

RETURN = r"""
access_key:
  description: The key without its secret. In check mode as it is. On failure empty.
  returned: always
  type: dict
  contains:
    user:
      description: The user.
      type: str
    id:
      description: The key that it is about; null in check mode where one would be made.
      type: str
    status:
      description: V(active), V(inactive) or V(absent).
      type: str
    created_at:
      description: When it was made.
      type: str
    last_used_at:
      description: When it was used last, as far as AWS tells by now; null where it was not, or that was not asked.
      type: str
    last_used_service:
      description: The service that it was used for then.
      type: str
    destination:
      description: Where the pair is, for people.
      type: str
    user_keys:
      description: All keys of the user, with C(id), C(status) and C(created_at).
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

from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_key import AwsAccessKey
from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run


def main() -> None:
    """Run the module."""
    run(AwsAccessKey)


if __name__ == "__main__":
    main()
