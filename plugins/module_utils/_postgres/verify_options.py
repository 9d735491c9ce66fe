# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user can ask of postgres_backup_verify, checked and typed (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import selection_hash
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore_options import LATEST
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.verified import LEVELS

VERIFY_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
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
        )
