# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module vercel_rollback (private to ops.runbooks)."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.move import MOVE_SPEC, Move
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Kind

_DEPLOYMENT = {"deployment_id": {"type": "str", "required": True}, "reason": {"type": "str", "required": True}}
_RELEASE = {
    "release": {"type": "str", "required": True},
    "deployment_id": {"type": "str", "required": True},
    "gate": {"type": "str"},
    "bad": {"type": "str"},
    "git_sha": {"type": "str"},
    "url": {"type": "str"},
    "recorded_at": {"type": "str"},
}


class Rollback(Move):
    """Let an earlier deployment serve production again."""

    kind: ClassVar[Kind] = "rollback"
    spec: ClassVar[ArgumentSpec] = MOVE_SPEC.merge(
        ArgumentSpec(
            options={
                "to": {"type": "str", "required": True},
                "reason": {"type": "str", "required": True},
                "forbidden": {"type": "list", "elements": "dict", "default": [], "options": _DEPLOYMENT},
                "releases": {"type": "list", "elements": "dict", "default": [], "options": _RELEASE},
            }
        )
    )
