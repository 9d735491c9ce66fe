# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that talk to AWS beside S3, in step with ``AWS_SPEC`` of ``_aws/service.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """C(ops.runbooks._aws) for modules of IAM and Secrets Manager."""

    DOCUMENTATION = r"""
options:
  access_key:
    description:
      - The access key that the module works with.
      - Without it the credentials are found as by boto3, that is in E(AWS_ACCESS_KEY_ID) and its kin, the profile, or
        the role of the machine.
    type: str
  secret_key:
    description:
      - The secret key that belongs to O(access_key).
    type: str
  session_token:
    description:
      - The session token that belongs to O(access_key), where the credentials are temporary.
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
  run_id:
    description:
      - The identity of the run that this task belongs to.
    type: str
requirements:
  - boto3 >= 1.36
"""
