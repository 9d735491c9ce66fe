# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for GitHub on loopback: check runs and the combined status of commits, what branches demand of them,
archives of their sources, and secrets, whose sealed boxes it opens.

Alone: ``python -m sandbox.github --port N --state FILE``; in tests: :class:`GitHubServer`.
"""

from __future__ import annotations

from sandbox.github.model import (
    Branch,
    CheckRun,
    Commit,
    Demand,
    Repository,
    Secret,
    Status,
    Token,
    Vault,
)
from sandbox.github.service import GitHubServer

__all__ = ["Branch", "CheckRun", "Commit", "Demand", "GitHubServer", "Repository", "Secret", "Status", "Token", "Vault"]
