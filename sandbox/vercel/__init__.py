# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for Vercel on loopback that keeps state, takes time, fails on demand and really serves.

Alone: ``python -m sandbox.vercel --port N --state FILE``; in tests: :class:`VercelServer`. What FILE may hold is in
:mod:`sandbox.vercel.model`, the fault switches in :mod:`sandbox.standin.switches`, and what sets the stage in
:mod:`sandbox.standin.control`.
"""

from __future__ import annotations

from sandbox.vercel.model import (
    Alias,
    Behaviour,
    Build,
    CustomEnvironment,
    Deployment,
    Domain,
    GitLink,
    GlobalConfig,
    Project,
    Team,
    Timings,
    Token,
    User,
    Variable,
)
from sandbox.vercel.service import VercelServer

__all__ = [
    "Alias",
    "Behaviour",
    "Build",
    "CustomEnvironment",
    "Deployment",
    "Domain",
    "GitLink",
    "GlobalConfig",
    "Project",
    "Team",
    "Timings",
    "Token",
    "User",
    "Variable",
    "VercelServer",
]
