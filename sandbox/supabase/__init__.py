# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for Supabase on loopback: the Management API's keys and signing keys, and the gateways of its projects.

A key is really checked where it is used, after the time that it takes to be known there; tokens are really signed, by
the key that is in use, and what verifies them gets the published keys from a cache. Alone:
``python -m sandbox.supabase --port N --state FILE``; in tests: :class:`SupabaseServer`.
"""

from __future__ import annotations

from sandbox.supabase.model import ApiKey, Project, SigningKey, Token
from sandbox.supabase.service import SupabaseServer

__all__ = ["ApiKey", "Project", "SigningKey", "SupabaseServer", "Token"]
