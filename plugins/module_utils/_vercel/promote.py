# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module vercel_promote (private to ops.runbooks)."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.move import Move
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.options import MOVE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Kind


class Promote(Move):
    """Let a production deployment that is ready serve production."""

    kind: ClassVar[Kind] = "promote"
    spec: ClassVar[ArgumentSpec] = MOVE_SPEC.merge(
        ArgumentSpec(options={"reason": {"type": "str", "default": ""}}),
    )
