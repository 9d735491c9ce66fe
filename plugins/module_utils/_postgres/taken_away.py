# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What migrations have taken away from a database, where runbooks of apps see it (private to ops.runbooks).

A rollback touches no database, and has to know all the same which releases its schema no longer fits. So the store has
a document beside the backups with the migrations that took something away. It is written before they are run and made
to agree with the database afterwards: where a run dies in between, a rollback is refused that might have been possible,
and none is allowed that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One migration that took something away, when (ISO 8601), and for which release it was run, '' where unknown."""

    name: str
    applied_at: str = ""
    release: str = ""


def read(store: Store, environment: str, database: str) -> tuple[Taken, ...]:
    """Those of a database, in the order of the document."""
    found = _series(store, environment, database).current()
    listed = found.body.get("taken_away") if found is not None else None
    entries = [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    return tuple(
        Taken(
            name=str(each.get("name") or ""),
            applied_at=str(each.get("applied_at") or ""),
            release=str(each.get("release") or ""),
        )
        for each in entries
    )


def write(store: Store, environment: str, database: str, taken: Sequence[Taken], context: Context) -> None:
    """Make the document say this, unless it does. Raises ``store_failed``."""
    series = _series(store, environment, database)
    body = {
        "taken_away": [{"name": each.name, "applied_at": each.applied_at, "release": each.release} for each in taken]
    }
    if read(store, environment, database) != tuple(taken):
        series.append(body, attempted=f"write down what migrations take away from {database}", effect=context.effect)


def both(taken: Sequence[Taken], more: Sequence[Taken]) -> tuple[Taken, ...]:
    """What either says was taken away."""
    names = {each.name for each in taken}
    return (*taken, *(each for each in more if each.name not in names))


def _series(store: Store, environment: str, database: str) -> Series:
    return Series(store, f"{environment}/databases/{database}/taken_away")
