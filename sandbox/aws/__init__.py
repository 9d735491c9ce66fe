# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for AWS on loopback: access keys of IAM, who-am-I of STS, Secrets Manager and Parameter Store.

It believes nobody: every request's signature is recomputed with the secret of its key, so that a pair which was lost,
mixed up or switched off is refused as AWS refuses it. Alone: ``python -m sandbox.aws --port N --state FILE``; in tests:
:class:`AwsServer`.
"""

from __future__ import annotations

from sandbox.aws.model import AccessKey, Parameter, Secret, User, Version
from sandbox.aws.service import AwsServer

__all__ = ["AccessKey", "AwsServer", "Parameter", "Secret", "User", "Version"]
