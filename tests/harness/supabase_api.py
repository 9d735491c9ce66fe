# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Supabase's Management API as tests come to it: with a token that has what the documentation asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.paths import CHECKOUT

if TYPE_CHECKING:
    from sandbox.supabase import SupabaseServer


def granted(server: SupabaseServer, what: str) -> str:
    """A token with the permissions that ``docs/permissions.md`` lists for ``what``, and no others."""
    from sandbox.supabase import Token
    from sandbox.supabase.model import PERMISSIONS

    text = (CHECKOUT / "docs" / "permissions.md").read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith("|") and what in line and "api_gateway" in line)
    listed = set(re.findall(r"`(\w+)`", row.split("|")[2]))
    if unknown := listed - set(PERMISSIONS):
        raise ValueError(f"{unknown} are no permissions of Supabase's")
    # Supabase shows values to who may write keys.
    listed |= {"api_gateway_keys_reveal"} if "api_gateway_keys_write" in listed else set()
    token = f"sbp_{what.replace(' ', '_')}"
    server.put(Token(token=token, lacks=tuple(each for each in PERMISSIONS if each not in listed)))
    return token
