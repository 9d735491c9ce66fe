# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user can ask of postgres_restore, checked and typed (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.age import recipients
from ansible_collections.ops.runbooks.plugins.module_utils._core.age_identity import IDENTITY_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id, check_name
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import selection_hash
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import CONNECTION_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.checks import check_target_name
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.contents import Ownership
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import table_name
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.streams import MOST_JOBS

#: The word for the newest good backup; no backup can have it as its id that people would then mean.
LATEST = "latest"

RESTORE_SPEC = CONNECTION_SPEC.merge(
    STORE_SPEC,
    RUN_SPEC,
    IDENTITY_SPEC,
    ArgumentSpec(
        options={
            "backup": {"type": "str"},
            "at": {"type": "str"},
            "path": {"type": "str"},
            "sha256": {"type": "str"},
            "source_environment": {"type": "str"},
            "selection": {"type": "raw", "default": "whole"},
            "min_state": {"type": "str", "choices": ["complete", "proven"], "default": "complete"},
            "tables": {"type": "list", "elements": "str", "default": []},
            "target_database": {"type": "str"},
            "maintenance_database": {"type": "str", "default": "postgres"},
            "restore_id": {"type": "str"},
            "strategy": {
                "type": "str",
                "choices": ["new_database", "swap", "in_place", "tables"],
                "default": "new_database",
            },
            "state": {"type": "str", "choices": ["present", "reverted"], "default": "present"},
            "keep_previous": {"type": "str", "default": "7d"},
            "confirm": {"type": "str"},
            "roles": {"type": "str", "choices": ["require", "create_nologin", "skip"], "default": "require"},
            "owner": {"type": "str", "default": "keep"},
            "privileges": {"type": "str", "choices": ["keep", "skip"], "default": "keep"},
            "bindir": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "str"},
            "jobs": {"type": "int", "default": 2},
            "disk_free": {"type": "int"},
            "protected": {"type": "bool", "default": False},
            "adopt": {"type": "bool", "default": False},
            "age_recipients": {"type": "list", "elements": "str"},
        },
        mutually_exclusive=(("backup", "at", "path"),),
        required_if=(
            ("state", "present", ("backup", "at", "path"), True),
            ("strategy", "new_database", ("target_database",)),
            ("strategy", "swap", ("restore_id",)),
            ("strategy", "in_place", ("restore_id",)),
            ("strategy", "tables", ("tables", "target_database", "restore_id")),
        ),
        required_by={"sha256": ("path",)},
    ),
)


#: Why a restore is not undone by state reverted.
_NO_UNDO = {
    "new_database": "only a swap can be undone; what was restored beside can be dropped",
    "tables": "only a swap can be undone; the database with the tables can be dropped",
    "in_place": "only a swap can be undone; restore the backup in place that was taken before, restore.way_back has it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The request. ``backup`` is an id, None where ``latest`` or ``at`` choose; ``selection_hash`` None is any."""

    environment: str
    name: str
    source_environment: str
    backup: str | None
    at: datetime | None
    path: str | None
    sha256: str | None
    selection_hash: str | None
    min_state: str
    tables: tuple[TableName, ...]
    target_database: str
    maintenance_database: str
    restore_id: str | None
    strategy: str
    reverts: bool
    keep_previous: timedelta
    confirm: str | None
    ownership: Ownership
    bindir: tuple[str, ...]
    timeout: timedelta | None
    jobs: int
    disk_free: int | None
    protected: bool
    adopt: bool
    recipients: tuple[str, ...] | None

    @classmethod
    def of(cls, params: Mapping[str, Any], connected: str | None = None) -> Options:
        """From the module's parameters; ``connected`` is the database that the connection names, which a swap and a
        restore in place are about unless they are told another one. Raises ``invalid_parameter``.
        """
        swaps, in_place = params["strategy"] == "swap", params["strategy"] == "in_place"
        target = params["target_database"] or (connected if swaps or in_place else None) or ""
        check_target_name(target)
        if target == params["maintenance_database"] and not in_place:
            raise _invalid("target_database", target, "it is the maintenance database")
        if in_place and target != connected:
            named = connected or "which names none"
            reason = f"a restore in place is about the database of the connection, {named}"
            raise _invalid("target_database", target, reason)
        if params["state"] == "reverted" and not swaps:
            raise _invalid("state", "reverted", _NO_UNDO[params["strategy"]])
        if params["disk_free"] is not None and params["disk_free"] < 0:
            raise _invalid("disk_free", str(params["disk_free"]), "it is a number of bytes")
        if not 1 <= params["jobs"] <= MOST_JOBS:
            raise _invalid("jobs", str(params["jobs"]), f"it is a number from 1 to {MOST_JOBS}")
        if not params["owner"]:
            raise _invalid("owner", "''", "it is keep or the name of a role")
        backup = params["backup"]
        return cls(
            environment=params["environment"],
            name=params["name"],
            source_environment=check_name(params["source_environment"] or params["environment"], "source_environment"),
            backup=None if backup in (None, LATEST) else check_id(backup, "backup"),
            at=parse_iso(params["at"], "read the parameter at") if params["at"] is not None else None,
            path=_path(params),
            sha256=params["sha256"].lower() if params["sha256"] is not None else None,
            selection_hash=selection_hash(params["selection"]),
            min_state=params["min_state"],
            tables=_tables(params),
            target_database=target,
            maintenance_database=target if in_place else params["maintenance_database"],
            restore_id=check_id(params["restore_id"], "restore_id") if params["restore_id"] is not None else None,
            strategy=params["strategy"],
            reverts=params["state"] == "reverted",
            keep_previous=parse_duration(params["keep_previous"], "keep_previous"),
            confirm=params["confirm"],
            ownership=Ownership(roles=params["roles"], owner=params["owner"], privileges=params["privileges"]),
            bindir=tuple(params["bindir"]),
            timeout=parse_duration(params["timeout"], "timeout") if params["timeout"] is not None else None,
            jobs=params["jobs"],
            disk_free=params["disk_free"],
            protected=params["protected"],
            adopt=params["adopt"],
            recipients=None if params["age_recipients"] is None else recipients(params["age_recipients"]),
        )


def _tables(params: Mapping[str, Any]) -> tuple[TableName, ...]:
    """The tables, each once, in the order in which they were named."""
    if (params["strategy"] == "tables") != bool(params["tables"]):
        raise _invalid("tables", str(params["tables"]), "strategy tables, and no other, restores the tables named here")
    return tuple(dict.fromkeys(table_name(text, "tables") for text in params["tables"]))


def _path(params: Mapping[str, Any]) -> str | None:
    """Where a foreign dump lies; with one, what only a backup knows cannot be asked for."""
    path: str | None = params["path"]
    if path is None:
        return None
    if not path:
        raise _invalid("path", "''", "it is a path or s3://bucket/key")
    if (params["strategy"], params["state"]) != ("new_database", "present"):
        raise _invalid("path", path, "a foreign dump goes into a new database only, with nothing to compare it with")
    if params["min_state"] != "complete":
        raise _invalid("min_state", params["min_state"], "a foreign dump is no backup, which a drill could prove")
    if params["roles"] != "require":
        raise _invalid("roles", params["roles"], "a foreign dump does not say which roles it names")
    return path


def _invalid(name: str, value: str, reason: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted=f"use {name}",
        object=value,
        reason=reason,
        remedy=f"Give {name} another value.",
    )
