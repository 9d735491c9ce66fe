# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for GitHub as one of the sandbox's servers, and as tests hold it in hand."""

from __future__ import annotations

import secrets
from pathlib import Path

from sandbox.github.model import KINDS, Token, Vault, World
from sandbox.service import Facts
from sandbox.standin.service import StatefulStandIn


class GitHubServer(StatefulStandIn[World]):
    """GitHub on one port of 127.0.0.1; ``token`` reads every repository that is put in."""

    name = "GitHub"
    package = "sandbox.github"
    empty = World()
    kinds = KINDS

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.token = f"github_pat_{secrets.token_hex(20)}"

    def recall(self, facts: Facts) -> None:
        super().recall(facts)
        self.token = str(facts.get("token", self.token))

    def facts(self) -> Facts:
        return {"host": self.host, "port": self.port, "api_url": self.api_url, "token": self.token}

    def variables(self) -> dict[str, str]:
        return {f"RUNBOOKS_SANDBOX_GITHUB_{name.upper()}": str(value) for name, value in self.facts().items()}

    def _prepare(self) -> None:
        self.put(Token(token=self.token))

    def vault(self, path: str) -> Vault:
        """The secrets of one place, opened: ``/repos/acme/web/actions``."""
        return self.world().vaults.get(path, Vault(path=path))
