# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading which restore of a database was recorded last (private to ops.runbooks)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import Marks
from ansible_collections.ops.runbooks.plugins.module_utils._status.facts import NewestRestore

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store


def newest_restore(store: Store, environment: str, name: str, context: Context) -> NewestRestore | None:
    """The restore whose document was written last; None where there was none."""
    prefix = f"{environment}/databases/{name}/restores/"
    newest = max(store.list(prefix), key=lambda stored: stored.modified, default=None)
    if newest is None:
        return None
    restore_id = newest.key.removeprefix(prefix).partition("/")[0]
    mark = Marks(store, environment, name, context).read(restore_id)
    if mark is None:
        return None
    return NewestRestore(
        id=restore_id,
        phase=mark.phase,
        backup=mark.backup.id,
        target_database=mark.target_database,
        recorded_at=newest.modified,
    )
