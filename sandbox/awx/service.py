# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for AWX as one of the sandbox's servers, and as tests hold it in hand."""

from __future__ import annotations

from sandbox.awx.model import KINDS, Token, World
from sandbox.standin.service import TokenStandIn


class AwxServer(TokenStandIn[World]):
    """AWX on one port of 127.0.0.1; ``token`` may change every credential that is put in."""

    name = "AWX"
    package = "sandbox.awx"
    empty = World()
    kinds = KINDS
    bearer = Token
