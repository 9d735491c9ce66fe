# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for GitHub as one of the sandbox's servers, and as tests hold it in hand."""

from __future__ import annotations

from sandbox.github.model import KINDS, Token, Vault, World
from sandbox.standin.service import TokenStandIn


class GitHubServer(TokenStandIn[World]):
    """GitHub on one port of 127.0.0.1; ``token`` reads every repository that is put in."""

    name = "GitHub"
    package = "sandbox.github"
    empty = World()
    kinds = KINDS
    bearer = Token
    begins = "github_pat_"

    def vault(self, path: str) -> Vault:
        """The secrets of one place, opened: ``/repos/acme/web/actions``."""
        return self.world().vaults.get(path, Vault(path=path))
