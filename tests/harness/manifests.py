# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests for tests of whatever reads them: complete ones, of which a test says only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import Controller
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import (
    ArchiveFact,
    ByHand,
    DatabaseFact,
    Manifest,
    Selection,
    ServerFact,
)

#: The snapshot of a manifest that says nothing else.
NOON = datetime(2026, 11, 20, 12, 0, 0, 250000, tzinfo=UTC)


def make_context(directory: Path, *, check_mode: bool = False) -> Context:
    """What a module run has at hand, without a module."""
    clock = Clock()
    return Context(
        module="ops.runbooks.test",
        check_mode=check_mode,
        run_id="test",
        redactor=Redactor(),
        clock=clock,
        controller=Controller.find(clock),
        tmpdir=str(directory),
    )


def make_manifest(backup_id: str = "daily-2026-11-20", **changes: Any) -> Manifest:
    """A manifest of ``production/main`` with one archive of 1000 bytes."""
    given: dict[str, Any] = {
        "environment": "production",
        "name": "main",
        "kind": "scheduled",
        "run_token": "aaaaaaaaaaaa",
        "run_id": "run",
        "created_at": NOON,
        "snapshot_at": NOON,
        "snapshot_lsn": "0/1000",
        "server": make_server(),
        "tools": {"pg_dump": "18.6"},
        "database": make_database_fact(),
        "selection": Selection(),
        "restore_by_hand": ByHand(commands=(), needs_major=18),
        **changes,
    }
    root = f"{given['environment']}/databases/{given['name']}/backups/{backup_id}"
    given.setdefault(
        "archives",
        (ArchiveFact(key=f"{root}/{given['run_token']}/database.dump", bytes=1000, sha256="0" * 64, entries=0),),
    )
    return Manifest(backup_id=backup_id, **given)


def make_server(major: int = 18, **changes: Any) -> ServerFact:
    """A server of that major."""
    facts: dict[str, Any] = {"version": f"{major}.1", "system_identifier": "7001", "host": "db", "port": 5432}
    return ServerFact(major=major, **{**facts, **changes})


def make_database_fact(**changes: Any) -> DatabaseFact:
    """A plain database of 1 GB."""
    facts: dict[str, Any] = {
        "name": "app",
        "oid": 16384,
        "owner": "app",
        "encoding": "UTF8",
        "locale_provider": "libc",
        "collate": "C.UTF-8",
        "ctype": "C.UTF-8",
        "bytes": 1_000_000_000,
    }
    return DatabaseFact(**{**facts, **changes})
