# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for AWX on loopback: credentials, their types, and where inputs are looked up.

Alone: ``python -m sandbox.awx --port N --state FILE``; in tests: :class:`AwxServer`.
"""

from __future__ import annotations

from sandbox.awx.model import Credential, CredentialType, Field, Token
from sandbox.awx.service import AwxServer

__all__ = ["AwxServer", "Credential", "CredentialType", "Field", "Token"]
