# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all backups of a database take together, and how far back they reach (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import age, human, human_bytes, iso
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import BackupEntry

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups, Listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """``oldest`` is the oldest good backup; None where there is none."""

    backups: int
    bytes: int
    oldest: BackupEntry | None

    def describe(self, now: datetime) -> dict[str, Any]:
        """For results."""
        oldest = None
        if self.oldest is not None:
            at = self.oldest.snapshot_at
            oldest = {"id": self.oldest.backup_id, "snapshot_at": iso(at), "age_seconds": age(at, now)}
        return {"backups": self.backups, "bytes": self.bytes, "oldest": oldest}

    def text(self, now: datetime) -> str:
        """For people."""
        said = f"{self.backups} stored, {human_bytes(self.bytes)}"
        return said if self.oldest is None else f"{said}, the oldest {human(age(self.oldest.snapshot_at, now))} old"


def stored(backups: Backups, listed: Iterable[Listed]) -> Stored:
    """Of ``listed``, which begins with the oldest: requests only for those before the oldest good one."""
    everything = list(listed)
    oldest = next((each.entry for each, verdict in backups.judged(everything) if verdict.good), None)
    return Stored(backups=len(everything), bytes=sum(each.entry.bytes for each in everything), oldest=oldest)
