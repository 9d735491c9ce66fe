# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of vercel_rollback and vercel_promote (private to ops.runbooks), documented in the fragment ``_vercel``."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import VERCEL_SPEC

_DEPLOYMENT = {"deployment_id": {"type": "str", "required": True}, "reason": {"type": "str", "required": True}}
_RELEASE = {
    "release": {"type": "str", "required": True},
    "deployment_id": {"type": "str", "required": True},
    "gate": {"type": "str"},
    "bad": {"type": "str"},
    "git_sha": {"type": "str"},
    "url": {"type": "str"},
    "recorded_at": {"type": "str"},
    "baseline": {"type": "bool"},
    "attempt": {"type": "int"},
    "started_at": {"type": "str"},
    "rollback_to": {"type": "str"},
    "moves_before": {"type": "int"},
    "digest": {"type": "str"},
}

MOVE_SPEC = ArgumentSpec(
    options={
        **{name: {**option, "required": False} for name, option in STORE_SPEC.options.items()},
        "to": {"type": "str", "required": True},
        "from_deployment": {"type": "str"},
        "forbidden": {"type": "list", "elements": "dict", "default": [], "options": _DEPLOYMENT},
        "releases": {"type": "list", "elements": "dict", "default": [], "options": _RELEASE},
        "auto_assign": {"type": "str", "choices": ["keep", "true", "false"], "default": "keep"},
        "timeout": {"type": "str", "default": "5m"},
        "break_glass": {"type": "str"},
        "break_glass_dir": {"type": "path"},
    },
    required_by={"store": ("environment", "name"), "break_glass": ("store",)},
).merge(
    replace(STORE_SPEC, options={}),
    RUN_SPEC,
    VERCEL_SPEC,
)
