# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a database beside its backups themselves (private to ops.runbooks): values for status and lines.

Whatever could not be found out is an :class:`Unknown` with its reason: a status is asked for when things are broken,
and has to say what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import age, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import LockState
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Protection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.stored import Stored
from ansible_collections.ops.runbooks.plugins.module_utils._status.costs import Costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Why something is not known, as a clause."""

    reason: str

    def __str__(self) -> str:
        return f"unknown: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The newest good backup. ``database`` is '' where it can be only one."""

    id: str
    snapshot_at: datetime
    state: str
    bytes: int
    database: str = ""

    def describe(self, now: datetime) -> dict[str, Any]:
        """For results."""
        return {
            **({"database": self.database} if self.database else {}),
            "id": self.id,
            "snapshot_at": iso(self.snapshot_at),
            "age_seconds": age(self.snapshot_at, now),
            "state": self.state,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The run record that was written last. ``status`` is running, done, failed or interrupted."""

    run_id: str
    key: str
    module: str
    identity: str
    status: str
    started: str
    ended: str | None = None
    code: str | None = None

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {
            "run_id": self.run_id,
            "record": self.key,
            "module": self.module,
            "identity": self.identity,
            "status": self.status,
            "started": self.started or None,
            "ended": self.ended,
            "code": self.code,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestRestore:
    """The restore that was recorded last. ``phase`` is started, loaded or finished."""

    id: str
    phase: str
    backup: str
    target_database: str
    recorded_at: datetime

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {
            "id": self.id,
            "phase": self.phase,
            "backup": self.backup,
            "target_database": self.target_database,
            "recorded_at": iso(self.recorded_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestDrill:
    """The last drill that proved a backup. ``rto_seconds`` is what loading and comparing took.

    ``decrypted`` is whether that backup was encrypted with age, so that there is an identity which opens what is
    encrypted to ``age_recipients``; drills of earlier releases did not say to whom that was. ``like_newest`` is whether
    the newest good backup is encrypted to nobody else, so that it can be read too.
    """

    backup: str
    at: datetime
    rto_seconds: float | None = None
    decrypted: bool = False
    age_recipients: tuple[str, ...] = ()
    like_newest: bool = True

    def describe(self, now: datetime) -> dict[str, Any]:
        """For results."""
        return {
            "backup": self.backup,
            "at": iso(self.at),
            "age_seconds": age(self.at, now),
            "decrypted": self.decrypted,
            "age_recipients": list(self.age_recipients),
            "like_newest": self.like_newest,
            "rto_seconds": self.rto_seconds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The status of one database, or of one app, at ``now``. None is none; :class:`Unknown` is not known.

    Of an app ``newest`` is the oldest of what its ``databases`` have; with none of them it is None, and none is missed.
    """

    environment: str
    name: str
    now: datetime
    rpo: timedelta
    newest: Newest | Unknown | None
    lock: LockState | Unknown
    last_run: LastRun | Unknown | None
    restore: NewestRestore | Unknown | None
    drill: NewestDrill | Unknown | None = None
    drill_max_age: timedelta | None = None
    costs: Costs | Unknown | None = None
    protection: Protection | Unknown | None = None
    stored: Stored | Unknown | None = None
    is_app: bool = False
    databases: tuple[str, ...] = ()

    @property
    def expects_backups(self) -> bool:
        """Whether there is a database to be backed up."""
        return not self.is_app or bool(self.databases)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The reasons for what is not known, each once."""
        facts = (self.newest, self.lock, self.last_run, self.restore, self.drill)
        return tuple(dict.fromkeys(fact.reason for fact in facts if isinstance(fact, Unknown)))

    @property
    def past_rpo(self) -> bool | None:
        """Whether more could be lost than is allowed; None where that is not known."""
        if not self.expects_backups:
            return False
        if isinstance(self.newest, Unknown):
            return None
        return self.newest is None or self.now - self.newest.snapshot_at > self.rpo

    @property
    def past_drill_age(self) -> bool | None:
        """Whether a drill is overdue: never where nobody expects any; None where that is not known."""
        if self.drill_max_age is None:
            return False
        if isinstance(self.drill, Unknown):
            return None
        if self.drill is None or not self.drill.like_newest:
            return True
        return self.now - self.drill.at > self.drill_max_age
