# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the run records of one host (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact
from ansible_collections.ops.runbooks.plugins.module_utils._core.record import read_record
from ansible_collections.ops.runbooks.plugins.module_utils._status.facts import LastRun

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.lease import LockState
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store, StoredObject

#: How far back the newest record is looked for, the nearest first: a store lists forwards only, and the records of all
#: hosts of an environment lie together. None is since ever.
_WINDOWS = (timedelta(days=2), timedelta(days=35), None)


def records(store: Store, environment: str, host: str, since: datetime | None) -> Iterator[StoredObject]:
    """The records of ``host`` in runs that began after ``since``, in the order of their keys.

    A run whose id does not begin with a time, since somebody chose it, is among them at any ``since``.
    """
    prefix = f"{environment}/runs/"
    after = f"{prefix}{compact(since)}" if since is not None else ""
    for stored in store.list(prefix, after=after):
        parts = stored.key.removeprefix(prefix).split("/")
        if len(parts) == 3 and parts[1] == host:
            yield stored


def newest_run(store: Store, environment: str, host: str, now: datetime) -> LastRun | None:
    """The run record of ``host`` that was written last; None where there is none."""
    for window in _WINDOWS:
        found = sorted(records(store, environment, host, now - window if window else None), key=_written)
        for stored in reversed(found):
            body = read_record(store, stored.key)
            if body is not None:
                return _run(stored.key, body)
    return None


def open_records(store: Store, environment: str, host: str, since: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and content of the records of ``host`` that still say ``running``."""
    for stored in records(store, environment, host, since):
        body = read_record(store, stored.key)
        if body is not None and body.get("status") == "running":
            yield stored.key, body


def abandoned(run_id: str, lock: LockState) -> bool:
    """Whether a run that calls itself running cannot be: its lock is not held by it, or no longer renewed."""
    return lock.state != "held" or lock.run_id != run_id


def _written(stored: StoredObject) -> tuple[datetime, str]:
    return (stored.modified, stored.key)


def _run(key: str, body: dict[str, Any]) -> LastRun:
    failure = body.get("failure")
    return LastRun(
        run_id=str(body.get("run_id", "")),
        key=key,
        module=str(body.get("module", "")),
        identity=str(body.get("identity", "")),
        status=str(body.get("status", "")),
        started=str(body.get("started", "")),
        ended=body.get("ended") or body.get("interrupted_at"),
        code=failure.get("code") if isinstance(failure, dict) else None,
    )
