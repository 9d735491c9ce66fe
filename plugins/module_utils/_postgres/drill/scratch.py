# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scratch databases that drills make on servers of others (private to ops.runbooks): announced before, forgotten after.

What is still announced when the next drill begins belongs to one that was killed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.codec import decode, encode
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import is_temporary
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import Attempt

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

_KEPT = 20


class Scratches:
    """Those of one database. Written only under the lock of its verifications."""

    def __init__(self, store: Store, environment: str, name: str, context: Context) -> None:
        self._series = Series(store, f"{environment}/databases/{name}/drills/scratch")
        self._context = context
        self._elsewhere: list[Attempt] = []

    def left_on(self, system_identifier: str) -> list[str]:
        """The names of those that may still be on that server."""
        found = self._read()
        self._elsewhere = [each for each in found if each.system_identifier != system_identifier][-_KEPT:]
        # The store's word alone is not enough to drop a database.
        here = (each.database for each in found if each.system_identifier == system_identifier)
        return [name for name in here if is_temporary(name) and name.startswith("drill_")]

    def announce(self, attempt: Attempt) -> None:
        """Say what is about to be made."""
        self._write([*self._elsewhere, attempt])

    def forget(self) -> None:
        """Nothing of this drill is left."""
        self._write(self._elsewhere)

    def _read(self) -> list[Attempt]:
        document = self._series.current()
        if document is None:
            return []
        try:
            return [decode(Attempt, each) for each in document.body.get("attempts", ())]
        except (KeyError, TypeError, ValueError) as error:
            raise RunbookError(
                code="object_corrupt",
                attempted="read which scratch databases there are",
                object=self._series.where,
                reason="it is not a list of them",
                remedy="Find out who changed this object, and move it away.",
            ) from error

    def _write(self, attempts: list[Attempt]) -> None:
        current = self._series.current()
        self._context.effect("record which scratch database there is")
        body = {"attempts": [encode(each) for each in attempts]}
        if self._series.create_next(body, after=current.number if current else 0) is None:
            raise RunbookError(
                code="lock_lost",
                attempted="record which scratch database there is",
                object=self._series.where,
                reason="another run recorded one at the same time",
                remedy="Run the same command again.",
            )
