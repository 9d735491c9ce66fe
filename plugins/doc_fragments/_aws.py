# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules that talk to AWS beside S3 have beyond its credentials, which are in ``_store.py``."""

from __future__ import annotations


class ModuleDocFragment:
    """C(ops.runbooks._aws) for modules of IAM and Secrets Manager."""

    DOCUMENTATION = r"""
options:
  run_id:
    description:
      - The identity of the run that this task belongs to.
    type: str
requirements:
  - boto3 >= 1.36
"""
