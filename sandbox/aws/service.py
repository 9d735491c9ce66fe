# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for AWS as one of the sandbox's servers, and as tests hold it in hand."""

from __future__ import annotations

import secrets
from pathlib import Path

from sandbox.aws.model import KINDS, REGION, AccessKey, Clock, User, World
from sandbox.service import Facts
from sandbox.standin.service import StatefulStandIn


class AwsServer(StatefulStandIn[World]):
    """AWS on one port of 127.0.0.1; ``access_key`` and ``secret_key`` are those of a user who may do everything."""

    name = "AWS"
    package = "sandbox.aws"
    token = ""
    user = "runbooks"
    empty = World()
    kinds = KINDS

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.access_key = f"AKIASANDBOX{secrets.token_hex(4).upper()}"
        self.secret_key = secrets.token_urlsafe(30)

    def recall(self, facts: Facts) -> None:
        super().recall(facts)
        self.access_key = str(facts.get("access_key", self.access_key))
        self.secret_key = str(facts.get("secret_key", self.secret_key))

    def facts(self) -> Facts:
        return {"host": self.host, "port": self.port, **self.args}

    @property
    def args(self) -> dict[str, str]:
        """Options of a module."""
        return {
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "region": REGION,
            "endpoint_url": self.api_url,
        }

    def variables(self) -> dict[str, str]:
        return {f"RUNBOOKS_SANDBOX_AWS_{name.upper()}": str(value) for name, value in self.facts().items()}

    def set_clock(self, ahead: int = 0) -> None:
        """By how many seconds its clock is ahead."""
        self.put(Clock(ahead=ahead))

    def _prepare(self) -> None:
        self.put(User(name=self.user), AccessKey(id=self.access_key, secret=self.secret_key, user=self.user))
