# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user can ask of postgres_backup_verify, checked and typed (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.age_identity import IDENTITY_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import selection_hash
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.drill.checks import Assertion
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.options import LATEST
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verify.verified import LEVELS

VERIFY_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
    IDENTITY_SPEC,
    ArgumentSpec(
        options={
            "backup": {"type": "str"},
            "at": {"type": "str"},
            "selection": {"type": "raw", "default": "whole"},
            "level": {"type": "str", "choices": list(LEVELS), "default": LEVELS[0]},
            "verify_id": {"type": "str"},
            "max_age": {"type": "str", "default": "35d"},
            "max_age_of": {"type": "str", "choices": ["backup", "database"], "default": "backup"},
            "bindir": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "str"},
            "drill_server_url": {"type": "str", "no_log": True},
            "allow_live_server": {"type": "bool", "default": False},
            "maintenance_database": {"type": "str", "default": "postgres"},
            "scratch_directory": {"type": "path"},
            "disk_free": {"type": "int"},
            "amcheck": {"type": "bool", "default": False},
            "assertions": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "sql": {"type": "str", "required": True},
                    "expect": {"type": "raw", "default": True},
                },
            },
            "assertion_timeout": {"type": "str", "default": "60s"},
        },
        required_one_of=(("backup", "at"),),
        mutually_exclusive=(("backup", "at"),),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The request. ``backup`` is an id, None where ``latest`` or ``at`` choose; ``selection_hash`` None is any."""

    environment: str
    name: str
    backup: str | None
    at: datetime | None
    selection_hash: str | None
    level: str
    verify_id: str | None
    max_age: timedelta
    of_database: bool
    bindir: tuple[str, ...]
    timeout: timedelta | None
    drill_server_url: str | None
    allow_live_server: bool
    maintenance_database: str
    scratch_directory: str | None
    disk_free: int | None
    amcheck: bool
    assertions: tuple[Assertion, ...]
    assertion_timeout: timedelta

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Options:
        """From the module's parameters. Raises ``invalid_parameter``."""
        backup = params["backup"]
        return cls(
            environment=params["environment"],
            name=params["name"],
            backup=None if backup in (None, LATEST) else check_id(backup, "backup"),
            at=parse_iso(params["at"], "read the parameter at") if params["at"] is not None else None,
            selection_hash=selection_hash(params["selection"]),
            level=params["level"],
            verify_id=check_id(params["verify_id"], "verify_id") if params["verify_id"] is not None else None,
            max_age=parse_duration(params["max_age"], "max_age"),
            of_database=params["max_age_of"] == "database",
            bindir=tuple(params["bindir"]),
            timeout=parse_duration(params["timeout"], "timeout") if params["timeout"] is not None else None,
            drill_server_url=_given(params["drill_server_url"]),
            allow_live_server=params["allow_live_server"],
            maintenance_database=params["maintenance_database"],
            scratch_directory=params["scratch_directory"],
            disk_free=params["disk_free"],
            amcheck=params["amcheck"],
            assertions=tuple(Assertion(**each) for each in params["assertions"]),
            assertion_timeout=parse_duration(params["assertion_timeout"], "assertion_timeout"),
        )


def _given(url: str | None) -> str | None:
    """A URL that is given but empty is a variable that was not set, and never a reason to go somewhere else."""
    if url is None or url.strip():
        return url
    raise RunbookError(
        code="connection_empty",
        attempted="read the connection",
        object="drill_server_url",
        reason="it is given but empty",
        remedy="Set the variable that its value comes from, or leave drill_server_url out for a private server.",
    )
