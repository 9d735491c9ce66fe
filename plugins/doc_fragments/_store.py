# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the store and of runs, in step with ``S3_SPEC``, ``STORE_SPEC`` and ``RUN_SPEC`` of ``_core/store.py``."""

from __future__ import annotations

from textwrap import indent

#: How AWS is reached, or a service like it; a part of other fragments too.
AWS_CONNECTION = r"""
access_key:
  description:
    - The access key to work with.
    - Without it the credentials are found as by boto3, that is in E(AWS_ACCESS_KEY_ID) and its kin, the profile, or the
      role of the machine.
  type: str
secret_key:
  description:
    - The secret key that belongs to the access key.
  type: str
session_token:
  description:
    - The session token that belongs to the access key, where the credentials are temporary.
  type: str
profile:
  description:
    - The profile of the AWS configuration files to use.
  type: str
region:
  description:
    - The region. Without it that of E(AWS_DEFAULT_REGION) or of the profile is used.
  type: str
endpoint_url:
  description:
    - The URL of another service than Amazon's.
  type: str
"""


class ModuleDocFragment:
    """C(ops.runbooks._store) for every module with a store, C(ops.runbooks._store.optional) for those that work without
    one, C(ops.runbooks._store.run) for those that take locks, C(ops.runbooks._store.s3) for those that reach S3, with
    a store or without, C(ops.runbooks._store.credentials) for those that reach AWS beside S3."""

    DOCUMENTATION = r"""
options:
  store:
    description:
      - Where backups and everything that belongs to them are kept.
      - V(s3://bucket) or V(s3://bucket/prefix) for Amazon S3 or a compatible service, V(file:///absolute/directory) for
        a directory, which is made where the directory above it exists.
    type: str
    required: true
  state_store:
    description:
      - Where locks and run records are kept, if not in O(store). Reached with the same S3 options.
      - Needed where O(store) does not honour conditional writes (C(If-None-Match) on PUT).
    type: str
  environment:
    description:
      - The environment, such as V(production). It is the first part of every key in the store.
    type: str
    required: true
  name:
    description:
      - The name of what is worked on, within O(environment). Playbooks pass the inventory host's name.
      - For a database it is not PostgreSQL's name of it.
    type: str
    required: true
  store_encryption:
    description:
      - How the S3 store encrypts everything that is written to it, locks and records included, so that a bucket policy
        may refuse what is not encrypted. V(none) leaves it to the bucket's default.
      - Directories have nothing of the kind; keep them on an encrypted disk.
    type: str
    choices: [none, sse-s3, sse-kms]
    default: none
  store_kms_key_id:
    description:
      - The key for V(sse-kms); the account's default key for S3 where it is not given.
    type: str
"""

    OPTIONAL = r"""
options:
  store:
    description:
      - Where locks, run records and what the module has to remember live.
      - V(s3://bucket), V(s3://bucket/prefix) or V(file:///absolute/directory). Without it there is none of them.
    type: str
  state_store:
    description:
      - Where these are kept, if not in O(store).
    type: str
  environment:
    description:
      - The environment, such as V(production). Needed with O(store).
    type: str
  name:
    description:
      - The name of what is worked on, within O(environment), such as the app. Needed with O(store).
    type: str
  store_encryption:
    description:
      - How the S3 store encrypts what is written to it. V(none) leaves it to the bucket's default.
    type: str
    choices: [none, sse-s3, sse-kms]
    default: none
  store_kms_key_id:
    description:
      - The key for V(sse-kms).
    type: str
"""

    # Annotated, since ansible-test takes every other assignment in a class for a text that stands there whole.
    CREDENTIALS: str = "options:" + indent(AWS_CONNECTION, "  ")

    S3: str = (
        CREDENTIALS
        + r"""  addressing_style:
    description:
      - How the bucket is addressed, in the path of the URL (V(path)) or in its host name (V(virtual)).
      - V(auto) is V(virtual) where the bucket's name allows it.
    type: str
    choices: [auto, path, virtual]
    default: auto
requirements:
  - boto3 >= 1.36 (for S3)
"""
    )

    AGE = r"""
options:
  age_identity_file:
    description:
      - The file with the identity that opens backups which are encrypted with age, as C(age-keygen) writes it, or an
        SSH key of type ed25519 or RSA without a passphrase. Nobody but its owner may have rights on it.
      - It is read where something encrypted is read, and not before.
    type: path
  age_identity:
    description:
      - What stands in such a file, where there is none.
    type: str
"""
    RUN = r"""
options:
  run_id:
    description:
      - The identity of the run that this task belongs to. Tasks of one run share their locks and their run record.
      - Without it the task is a run of its own.
    type: str
  lock_lease:
    description:
      - How long a lock outlives its holder, as a duration such as V(120s) or V(5m), at least V(5s).
      - While the module works it renews its locks every third of this time. After a crash nobody else gets the lock
        before this time is over.
    type: str
    default: 120s
"""
