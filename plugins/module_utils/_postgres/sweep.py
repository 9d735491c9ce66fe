# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs that died have left in the store, and its removal (private to ops.runbooks).

A run writes an empty key ``attempts/<UTC>.<backup id>.<token>`` before its first object and deletes it after its last.
What such a key still names after a day belongs to nobody: nothing of it counts as a backup, since a manifest names
another token or does not exist. Removal is a courtesy: credentials that cannot delete are no failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import compact, parse_compact
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store, Unfinished
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backups import Backups

#: A run that is older than this is not working any more; one that is much older was seen often enough.
STALE = timedelta(days=1)
_FORGOTTEN = timedelta(days=30)
#: Failures that mean this run, and not the leftover that it looks at.
_ENDS_THE_RUN = frozenset({"controller_gone", "lock_lost", "run_aborted"})

LeftoverT = TypeVar("LeftoverT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """An attempt that has not ended in order."""

    key: str
    backup_id: str
    token: str


class Attempt:
    """One run's own objects; a context manager that removes them where the run fails before they count.

    ``keep`` is called when the manifest is about to be written: from then on the objects may belong to a backup, and
    whether they do is the sweep's to find out.
    """

    def __init__(self, backups: Backups, backup_id: str, token: str, started: datetime, context: Context) -> None:
        self.prefix = f"{backups.prefix(backup_id)}{token}/"
        self._marker = f"{_root(backups)}{compact(started)}.{backup_id}.{token}"
        self._store = backups.store
        self._context = context
        self._kept = False

    def __enter__(self) -> Self:
        self._context.effect("begin the backup")
        self._store.put(self._marker, b"")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._done()
        elif not self._kept:
            self.discard()

    def _done(self) -> None:
        try:
            _delete_marker(self._store, self._marker)
        except RunbookError as error:
            self._context.warn(f"{self._marker} was not removed: {error.reason}. A later run does it.")

    def keep(self) -> None:
        """Remove nothing from now on, whatever fails."""
        self._kept = True

    def clear(self) -> None:
        """Remove what was written, to begin anew; at best effort."""
        try:
            keys = [each.key for each in self._store.list(self.prefix)]
        except RunbookError:
            return  # whatever it is, the next attempt meets it too
        _quietly(self._store, keys, self._context)

    def discard(self) -> None:
        """Remove the run's own objects, and then what says that there are any; at best effort."""
        try:
            keys = [each.key for each in self._store.list(self.prefix)]
        except RunbookError:
            return  # the reason why the run failed, most likely; the marker stays for a later run
        _quietly(self._store, [*keys, self._marker], self._context)


def sweep(backups: Backups, context: Context) -> int:
    """Remove leftovers of runs that died more than a day ago; how many there were. Call it under the lock.

    What stands in the way of one leftover, such as a damaged manifest, is no reason against the others, nor against
    the backup that is about to be taken.
    """
    before = backups.store.now(may_write=True) - STALE

    def abandon(item: Unfinished) -> None:
        context.effect(f"drop the unfinished upload {item.key}")
        backups.store.abandon(item)

    uploads = backups.store.unfinished(backups.prefix("").rstrip("/") + "/")
    removed = _each(_leftovers(backups, before), lambda leftover: _settle(backups, leftover, context), context)
    return removed + _each((item for item in uploads if item.started < before), abandon, context)


def pending(backups: Backups, context: Context) -> int:
    """How many leftovers :func:`sweep` would look at; nothing is written to find out."""
    before = backups.store.now() - STALE
    uploads = backups.store.unfinished(backups.prefix("").rstrip("/") + "/")
    found = _each(_leftovers(backups, before), lambda _leftover: None, context)
    return found + _each((item for item in uploads if item.started < before), lambda _item: None, context)


def _each(leftovers: Iterable[LeftoverT], remove: Callable[[LeftoverT], None], context: Context) -> int:
    removed = 0
    try:
        for leftover in leftovers:
            removed += _tried(remove, leftover, context)
    except RunbookError as error:
        if error.code != "store_denied":
            raise
        context.warn(f"Leftovers of earlier runs could not be looked for: {error.reason}. This harms no backup.")
    return removed


def _tried(remove: Callable[[LeftoverT], None], leftover: LeftoverT, context: Context) -> bool:
    try:
        remove(leftover)
    except RunbookError as error:
        if error.code in _ENDS_THE_RUN:
            raise
        context.warn(f"A leftover of an earlier run was not removed: {error.reason}. This harms no backup.")
        return False
    return True


def _leftovers(backups: Backups, before: datetime) -> Iterator[Leftover]:
    root = _root(backups)
    for stored in backups.store.list(root, after=f"{root}{compact(before - _FORGOTTEN)}"):
        fields = stored.key.removeprefix(root).split(".")
        if len(fields) != 3:
            continue
        try:
            started = parse_compact(fields[0])
        except ValueError:
            continue
        if max(started, stored.modified) < before:
            yield Leftover(key=stored.key, backup_id=fields[1], token=fields[2])


def under_way(backups: Backups) -> set[str]:
    """The ids of backups that a run has begun and not yet ended, unless it died more than a day ago."""
    root, since = _root(backups), backups.store.now() - STALE
    fields = (
        stored.key.removeprefix(root).split(".") for stored in backups.store.list(root, after=f"{root}{compact(since)}")
    )
    return {each[1] for each in fields if len(each) == 3}


def _settle(backups: Backups, leftover: Leftover, context: Context) -> None:
    """Remove what an attempt left, or complete what it had all but done: its manifest then names its token."""
    manifest = backups.manifest(leftover.backup_id)
    if manifest is not None and manifest.run_token == leftover.token:
        if not backups.indexed(manifest):
            if manifest.state == "suspect":
                backups.write_index(manifest, "suspect")
            backups.write_index(manifest)
    else:
        for stored in list(backups.store.list(f"{backups.prefix(leftover.backup_id)}{leftover.token}/")):
            context.effect(f"remove the leftover {stored.key}")
            backups.store.delete(stored.key)
    context.effect(f"remove {leftover.key}")
    _delete_marker(backups.store, leftover.key)


def _delete_marker(store: Store, key: str) -> bool:
    """Whether the marker could be deleted. Credentials that cannot delete are meant to be used, so they are no news."""
    try:
        store.delete(key)
    except RunbookError as error:
        if error.code != "store_denied":
            raise
        return False
    return True


def _quietly(store: Store, keys: list[str], context: Context) -> None:
    """Delete without insisting, in order; the first refusal ends it, so that the marker outlives what it names.

    Not preceded by ``effect``: these objects are this run's own, and a run that has lost its lock cleans up too.
    """
    try:
        for key in keys:
            store.delete(key)
    except RunbookError as error:
        context.warn(f"{key} could not be removed: {error.reason}. This harms no backup; a later run tries again.")


def _root(backups: Backups) -> str:
    return f"{backups.environment}/databases/{backups.name}/attempts/"
