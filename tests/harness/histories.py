# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Histories of backups in a store, years long and soon written: small archives, real manifests and index keys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import ArchiveFact, Manifest

from harness.manifests import make_manifest
from harness.modules import ModuleRunner, Outcome
from harness.servers import StoreAt
from harness.stores import open_at, run_context

ENVIRONMENT = "production"
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The backups of ``production/<name>`` in a store of a test's own. ``now`` is when they are counted back from."""

    store: StoreAt
    run: ModuleRunner
    name: str = "main"
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @property
    def root(self) -> str:
        """Where everything lies."""
        return f"{ENVIRONMENT}/databases/{self.name}"

    @property
    def backups(self) -> Backups:
        """For what tests do to backups as another run would do it."""
        context = run_context()
        return Backups(open_at(self.store, context), ENVIRONMENT, self.name, context)

    def add(self, backup_id: str, days: float, *, kind: str = "scheduled", size: int = 3, **changes: Any) -> Manifest:
        """A complete backup, taken that many days ago, with one archive of ``size`` bytes."""
        token, body = hashlib.sha256(backup_id.encode()).hexdigest()[:12], b"x" * size
        key = f"{self.root}/backups/{backup_id}/{token}/database.dump"
        at = self.now - days * DAY
        fact = ArchiveFact(key=key, bytes=size, sha256=hashlib.sha256(body).hexdigest(), entries=0)
        given = {"name": self.name, "kind": kind, "run_token": token, "created_at": at, "snapshot_at": at}
        manifest = make_manifest(backup_id, **given, archives=(fact,), **changes)
        self.store.write(key, body)
        assert self.backups.write_manifest(manifest)
        return manifest

    def args(self, **changes: Any) -> dict[str, Any]:
        """What retention is told: one rule, so that a test says only what it is about."""
        rules = {"keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0, "keep_within": "0", "keep_last": 1, "floor": 1}
        common = {**self.store.args, "environment": ENVIRONMENT, "name": self.name, "lock_lease": "5s"}
        return {**common, **rules, **changes}

    def retain(self, *, check: bool = False, diff: bool = False, **changes: Any) -> Outcome:
        """Run the module."""
        return self.run("postgres_backup_retention", self.args(**changes), check=check, diff=diff)

    def ids(self) -> list[str]:
        """What the index lists."""
        return [each.entry.backup_id for each in self.backups.listed()]

    def objects(self) -> list[str]:
        """Every key of the backups."""
        return [key for part in ("backups", "index") for key in self.store.keys(f"{self.root}/{part}/")]


def whole(history: History) -> list[str]:
    """What is listed and has its manifest; fails where any of it lacks an archive."""
    found = []
    for listed in history.backups.listed():
        manifest = history.backups.manifest(listed.entry.backup_id)
        if manifest is not None:
            history.backups.require_objects(manifest)
            found.append(manifest.backup_id)
    return found
