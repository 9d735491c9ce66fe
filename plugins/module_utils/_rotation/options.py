# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules of secrets (private to ops.runbooks), documented in the fragment ``_rotation``."""

from __future__ import annotations

from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import AWS_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC

_POOLER = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 6543},
    "database": {"type": "str"},
    "user_suffix": {"type": "str", "default": ""},
}
_REQUEST: dict[str, Any] = {
    "method": {"type": "str", "choices": ["GET", "POST", "PUT", "PATCH", "DELETE"], "required": True},
    "path": {"type": "str", "required": True},
    "headers": {"type": "dict", "default": {}},
    "body": {"type": "dict"},
    "statuses": {"type": "list", "elements": "int", "default": [200, 201, 202, 204]},
    "gone": {"type": "list", "elements": "int", "default": []},
}
_ID = {"id": {"type": "str", "required": True}}
_LIST = {"items": {"type": "str", "default": ""}, "name": {"type": "str", "required": True}, "more": {"type": "str"}}
_REQUESTS = {
    "create": {"type": "dict", "options": {**_REQUEST, **_ID, "parts": {"type": "dict", "required": True}}},
    "list": {"type": "dict", "options": {**_REQUEST, **_ID, **_LIST}},
    **{name: {"type": "dict", "options": _REQUEST} for name in ("test", "disable", "enable", "delete")},
}
#: A class of the user's own.
_PLUGIN = {
    "plugin": {"type": "str"},
    "options": {"type": "dict", "default": {}},
    "secret_options": {"type": "dict", "no_log": True},
}
_PROVIDER = {
    "type": {
        "type": "str",
        "choices": [
            "aws_access_key",
            "generated",
            "http",
            "plugin",
            "postgres_role_pair",
            "supabase_api_key",
            "supabase_signing_key",
        ],
        "default": "generated",
    },
    **AWS_SPEC.options,
    "user": {"type": "str"},
    "unused_for": {"type": "str", "default": "1d"},
    "timeout": {"type": "str", "default": "2m"},
    "url": {"type": "str"},
    "key_name": {"type": "str", "no_log": False},
    "headers": {"type": "dict", "default": {}},
    "secret_headers": {"type": "dict", "no_log": True},
    "requests": {"type": "dict", "options": _REQUESTS},
    **_PLUGIN,
    "length": {"type": "int", "default": 43},
    "alphabet": {"type": "str", "choices": ["url", "alphanumeric", "hex"], "default": "url"},
    "group": {"type": "str"},
    "roles": {"type": "list", "elements": "str"},
    "old_role": {"type": "str"},
    "database_url": {"type": "str", "no_log": True},
    "pooler": {"type": "dict", "options": _POOLER},
    "session_watch": {"type": "str", "default": "3s"},
    "project_ref": {"type": "str"},
    "project_url": {"type": "str"},
    "api_url": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "api_key_name": {"type": "str", "default": "default", "no_log": False},
    "api_key_type": {"type": "str", "choices": ["publishable", "secret"], "default": "secret", "no_log": False},
    "disable_legacy": {"type": "bool", "default": False},
    "algorithm": {"type": "str", "choices": ["ES256", "RS256", "HS256"], "default": "ES256"},
    "cached_for": {"type": "str", "default": "20m"},
}
_DESTINATION = {
    "name": {"type": "str", "required": True},
    "type": {
        "type": "str",
        "choices": ["aws_parameter", "aws_secret", "awx_credential", "file", "github_secret", "plugin", "vercel_env"],
        "required": True,
    },
    **AWS_SPEC.options,
    "kms_key_id": {"type": "str", "no_log": False},
    "parameter": {"type": "str"},
    "credential": {"type": "str", "no_log": False},
    "input": {"type": "str"},
    "value": {"type": "str", "default": "{value}"},
    "path": {"type": "path"},
    "project": {"type": "str"},
    "team": {"type": "str"},
    "token": {"type": "str", "no_log": True},
    "api_url": {"type": "str"},
    "variable": {"type": "str"},
    "kind": {"type": "str", "choices": ["sensitive", "encrypted"], "default": "sensitive"},
    "targets": {"type": "list", "elements": "str", "default": ["production"]},
    "git_branch": {"type": "str"},
    "repository": {"type": "str"},
    "organization": {"type": "str"},
    "github_environment": {"type": "str"},
    "secret": {"type": "str", "no_log": False},
    "visibility": {"type": "str", "choices": ["all", "private"]},
    **_PLUGIN,
}
#: Where values are kept, of one secret or of all; documented in the fragment ``_rotation.kept``.
_KEPT_IN = {
    "type": {
        "type": "str",
        "choices": ["age", "aws_secret", "key", "none", "provider", "sse_kms"],
        "default": "key",
    },
    "age_recipients": {"type": "list", "elements": "str", "default": []},
    "age_identity": {"type": "str", "no_log": True},
    "age_identity_file": {"type": "path", "no_log": False},
    "kms_key_id": {"type": "str", "no_log": False},
    "encryption_context": {"type": "dict", "default": {}},
    "secret_prefix": {"type": "str", "no_log": False},
    **AWS_SPEC.options,
}
KEPT_IN: dict[str, dict[str, Any]] = {"kept_in": {"type": "dict", "options": _KEPT_IN}}
_CONSUMER = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "reports": {"type": "str"},
    "value": {"type": "str", "default": "{value}"},
    "samples": {"type": "int", "default": 3},
    "headers": {"type": "dict", "default": {}},
    "secret_headers": {"type": "dict", "no_log": True},
}
DECLARATION: dict[str, dict[str, Any]] = {
    "provider": {"type": "dict", "options": _PROVIDER, "required": True},
    "destinations": {"type": "list", "elements": "dict", "options": _DESTINATION, "required": True},
    "consumers": {"type": "list", "elements": "dict", "options": _CONSUMER, "default": []},
    **KEPT_IN,
    "max_age": {"type": "str", "default": "90d"},
    "min_age": {"type": "str", "default": "1h"},
    "grace": {"type": "str", "default": "7d"},
    "watch": {"type": "str", "default": "1d"},
    "sign_out_users": {"type": "bool", "default": False},
}
_SHARED: dict[str, dict[str, Any]] = {
    "secrets_key": {"type": "str", "no_log": True},
    "own_logins": {"type": "list", "elements": "str", "default": []},
    "plugin_paths": {"type": "list", "elements": "path", "default": []},
}

ROTATION_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
    ArgumentSpec(
        options={
            **DECLARATION,
            **_SHARED,
            "reason": {"type": "str", "choices": ["scheduled", "requested", "compromise"], "default": "scheduled"},
            "rotation_id": {"type": "str"},
            "break_first": {"type": "bool", "default": False},
            "adopt": {"type": "bool", "default": False},
            "current_value": {"type": "str", "no_log": True},
            "take_back": {"type": "bool", "default": False},
        },
    ),
)
ROTATION_INFO_SPEC = STORE_SPEC.merge(
    ArgumentSpec(
        options={
            **_SHARED,
            "deployments": {"type": "bool", "default": False},
            # What is secret in it says so itself.
            "secrets": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "no_log": False,
                "options": {"name": {"type": "str", "required": True}, **DECLARATION},
            },
        }
    )
)
