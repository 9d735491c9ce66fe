# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules of Vercel that change something (private to ops.runbooks), documented in ``_vercel``."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import VERCEL_SPEC

FORBIDDEN = {"deployment_id": {"type": "str", "required": True}, "reason": {"type": "str", "required": True}}
OUTDATED = {
    "built_before": {"type": "str", "required": True},
    "built_after": {"type": "str"},
    "reason": {"type": "str", "required": True},
    "secret": {"type": "str", "no_log": False},
}
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
    "began_in": {"type": "str"},
    "migrations": {"type": "dict"},
    "pending": {"type": "dict"},
}

#: A store is never a must: without one there is neither lock nor record.
_STORE = {name: {**option, "required": False} for name, option in STORE_SPEC.options.items()}
_STORE_RULES = replace(STORE_SPEC, options={})

MOVE_SPEC = ArgumentSpec(
    options={
        **_STORE,
        "to": {"type": "str", "required": True},
        "from_deployment": {"type": "str"},
        "forbidden": {"type": "list", "elements": "dict", "default": [], "options": FORBIDDEN},
        "outdated": {"type": "list", "elements": "dict", "default": [], "options": OUTDATED},
        "releases": {"type": "list", "elements": "dict", "default": [], "options": _RELEASE},
        "auto_assign": {"type": "str", "choices": ["keep", "true", "false"], "default": "keep"},
        "timeout": {"type": "str", "default": "5m"},
        "break_glass": {"type": "str"},
        "break_glass_dir": {"type": "path"},
    },
    required_by={"store": ("environment", "name"), "break_glass": ("store",)},
).merge(
    _STORE_RULES,
    RUN_SPEC,
    VERCEL_SPEC,
)

_GIT = {"sha": {"type": "str", "required": True}, "ref": {"type": "str"}}
DEPLOYMENT_SPEC = ArgumentSpec(
    options={
        **_STORE,
        "state": {"type": "str", "choices": ["present", "canceled", "absent"], "default": "present"},
        "git": {"type": "dict", "options": _GIT},
        "prebuilt": {"type": "path"},
        "redeploy": {"type": "str"},
        "deployment": {"type": "str"},
        "target": {"type": "str", "default": "production"},
        "identity": {"type": "str"},
        "meta": {"type": "dict", "default": {}},
        "assign_domains": {"type": "bool", "default": False},
        "timeout": {"type": "str", "default": "45m"},
    },
    mutually_exclusive=(("git", "prebuilt", "redeploy", "deployment"),),
    required_if=(
        ("state", "present", ("git", "prebuilt", "redeploy"), True),
        ("state", "canceled", ("deployment",)),
        ("state", "absent", ("deployment",)),
    ),
    required_by={"store": ("environment", "name")},
).merge(
    _STORE_RULES,
    RUN_SPEC,
    VERCEL_SPEC,
)

_VARIABLE = {
    "name": {"type": "str", "required": True},
    "value": {"type": "raw", "no_log": True},
    "type": {"type": "str", "choices": ["encrypted", "sensitive", "plain"], "default": "encrypted"},
    "targets": {"type": "list", "elements": "str", "default": ["production"]},
    "git_branch": {"type": "str"},
    "comment": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
ENV_SPEC = ArgumentSpec(
    options={
        **_STORE,
        "variables": {"type": "list", "elements": "dict", "required": True, "options": _VARIABLE},
        "exclusive": {"type": "bool", "default": False},
        "on_unknown": {"type": "str", "choices": ["skip", "update", "fail"], "default": "skip"},
        "fingerprint_key": {"type": "str", "no_log": True},
        "required": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "str", "default": "5m"},
    },
    required_by={"store": ("environment", "name")},
).merge(
    _STORE_RULES,
    RUN_SPEC,
    VERCEL_SPEC,
)
