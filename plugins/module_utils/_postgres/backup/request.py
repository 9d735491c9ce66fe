# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of postgres_backup, checked and typed (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.age import recipients
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact, parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Encryption
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.amend import Hold
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Selection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import selection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.sealed import SUFFIX
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.streams import MOST_JOBS

#: PostgreSQL's settings of this kind are milliseconds in 31 bits (manual, lock_timeout).
_LONGEST_WAIT = timedelta(days=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, made from the module's parameters; times in the forms that the work uses."""

    environment: str
    name: str
    backup_id: str
    by_id: bool
    kind: str
    max_age: timedelta | None
    selection: Selection
    include_globals: bool
    encryption: Encryption
    recipients: tuple[str, ...]
    row_counts: str
    row_counts_max_bytes: int
    timeout: timedelta | None
    lock_wait_timeout: timedelta
    jobs: int = 1
    jobs_min_table_bytes: int = 0
    shrink_threshold: int = 50
    accept_shrink: bool = False
    hold: Hold = field(default_factory=Hold)

    @property
    def prefix(self) -> str:
        """Where everything of the backup lies."""
        return f"{self.environment}/databases/{self.name}/backups/{self.backup_id}/"

    @property
    def encryption_name(self) -> str:
        """How the backup is encrypted, in one word."""
        return "age" if self.recipients else self.encryption.mode

    def file(self, name: str) -> str:
        """The name of an object of the backup, of which people see whether it is encrypted."""
        return f"{name}{SUFFIX}" if self.recipients else name


def request(params: Mapping[str, Any], started: datetime) -> Request:
    """The request in a module's parameters; ``started`` is when the run began. Raises ``invalid_parameter``."""
    backup_id, by_id = _identity(params, started)
    if parse_duration(params["lock_wait_timeout"], "lock_wait_timeout") > _LONGEST_WAIT:
        raise invalid("lock_wait_timeout", params["lock_wait_timeout"], "a server waits for 24 days", "Use less.")
    if backup_id == "latest":
        raise invalid("backup_id", "latest", "to a restore that word means the newest backup", "Choose another.")
    if not 1 <= params["jobs"] <= MOST_JOBS:
        raise invalid("jobs", str(params["jobs"]), f"it is a number from 1 to {MOST_JOBS}", "Use one of these.")
    if not 0 <= params["shrink_threshold"] <= 100:
        raise invalid("shrink_threshold", str(params["shrink_threshold"]), "it is a percentage", "Use 0 to 100.")
    kind = params["kind"] or ("scheduled" if params["backup_schedule"] else "manual")
    duration = {
        name: parse_duration(params[name], name) if params[name] is not None else None
        for name in ("max_age", "timeout", "lock_wait_timeout")
    }
    return Request(
        environment=params["environment"],
        name=params["name"],
        backup_id=check_id(backup_id or f"{kind}-{compact(started)}", "backup_id"),
        by_id=by_id,
        kind=kind,
        max_age=duration["max_age"],
        selection=selection(
            params["schemas"], params["tables"], params["exclude_tables"], params["exclude_table_data"]
        ),
        include_globals=params["include_globals"],
        encryption=_encryption(params),
        recipients=_recipients(params),
        row_counts=params["row_counts"],
        row_counts_max_bytes=params["row_counts_max_bytes"],
        timeout=duration["timeout"],
        lock_wait_timeout=duration["lock_wait_timeout"] or timedelta(seconds=60),
        jobs=params["jobs"],
        jobs_min_table_bytes=params["jobs_min_table_bytes"],
        shrink_threshold=params["shrink_threshold"],
        accept_shrink=params["accept_shrink"],
        hold=Hold(wanted=params["hold"], reason=params["hold_reason"]),
    )


def _encryption(params: Mapping[str, Any]) -> Encryption:
    """The archives' own, or that of everything in the store, which also encrypts what is encrypted with age."""
    stored, key = Encryption.of_store(params), params["kms_key_id"]
    mode = stored.mode if params["encryption"] in (None, "age") else params["encryption"]
    if key and mode != "sse-kms":
        reason = "it is for sse-kms, and nothing would be encrypted with it"
        shown = f"encryption {params['encryption'] or 'as the store'}, store_encryption {stored.mode}"
        remedy = "Ask for sse-kms with encryption, or with store_encryption where encryption is age; or leave it out."
        raise invalid("kms_key_id", shown, reason, remedy)
    return Encryption(mode=mode, key_id=key or stored.key_id)


def _recipients(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Who can read the backup; nobody is named where everybody can who reads the store."""
    given = params["age_recipients"]
    if (params["encryption"] == "age") != bool(given):
        reason = "encryption age, and no other, is to the recipients named here"
        shown = f"encryption {params['encryption'] or 'none'} with {len(given or ())} recipients"
        raise invalid("age_recipients", shown, reason, "Give both or neither.")
    return recipients(given or ())


def _identity(params: Mapping[str, Any], started: datetime) -> tuple[str | None, bool]:
    """The backup's id where one is asked for, and whether it is: with ``max_age`` alone any young backup does."""
    if params["backup_schedule"] is None:
        return params["backup_id"], params["backup_id"] is not None
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.schedule import nearest

    return nearest(params["backup_schedule"], params["backup_time_zone"], started).backup_id, True


def invalid(what: str, value: str, reason: str, remedy: str) -> RunbookError:
    """The failure for an option that cannot be what it is."""
    return RunbookError(code="invalid_parameter", attempted=f"use {what}", object=value, reason=reason, remedy=remedy)
