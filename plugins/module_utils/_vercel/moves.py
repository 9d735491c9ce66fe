# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What moves of production are on record, and where (private to ops.runbooks).

Each promote and rollback is written down before Vercel is asked, in ``<environment>/apps/<name>/moves``. Where the
store cannot be reached and the run was told to go on without it, a directory of this machine takes its place: the same
records, the same locks among the runs of this machine. The next run that reaches the store moves them there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Intent

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store

#: Moves of one app that are kept.
_KEPT = 500
#: Why a run may go on without the store: it cannot be used, whatever the reason.
UNUSABLE = (
    "store_unreachable",
    "store_credentials",
    "store_denied",
    "store_failed",
    "store_full",
    "store_missing",
    "store_not_conditional",
    "library_missing",
)


class Moves:
    """The moves of one app in one store."""

    def __init__(self, store: Store, environment: str, name: str, context: Context) -> None:
        self._series = Series(store, f"{environment}/apps/{name}/moves", keep=_KEPT)
        self._context = context

    def newest(self) -> Intent | None:
        """The move that was written down last."""
        document = self._series.current()
        return Intent.read(document.body, document.number) if document is not None else None

    def newest_first(self) -> Iterator[Intent]:
        """Every move, the newest first; read when the first one is asked for."""
        yield from reversed([Intent.read(each.body, each.number) for each in self._series.history()])

    def write(self, body: Mapping[str, Any], what: str) -> None:
        """Write down a move, or what became of it. Raises ``store_failed`` where others write all the time."""
        self._series.append(body, attempted=what, effect=self._context.effect)

    def bodies(self) -> list[dict[str, Any]]:
        """Every move, oldest first, as it was written."""
        return [dict(document.body) for document in self._series.history()]


def local_directory(given: str | None) -> Path:
    """Where a run without its store keeps its evidence: the option, else the usual place for such things."""
    if given:
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().absolute() / "ops.runbooks"


def local_store(directory: Path, context: Context) -> Store:
    """That directory as a store. It is made by the first write; what is above it here, since a store does not."""
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore

    if not context.check_mode:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RunbookError(
                code="store_failed",
                attempted="keep the evidence on this machine",
                object=str(directory),
                reason=(error.strerror or type(error).__name__).lower(),
                remedy="Name a directory that this user may write to in break_glass_dir.",
            ) from error
    return FileStore.at(str(directory).replace("%", "%25"), context)


def leftovers(directory: Path, environment: str, name: str, context: Context) -> tuple[str, ...]:
    """The records that a run without its store has left here: keys of run records, and of moves."""
    if not directory.is_dir():
        return ()
    store = local_store(directory, context)
    runs = [each.key for each in store.list(f"{environment}/runs/") if each.key.split("/")[3:4] == [name]]
    moves = [each.key for each in store.list(f"{environment}/apps/{name}/moves/")]
    return (*runs, *moves)


def _merge(moves: list[dict[str, Any]], there: Moves) -> None:
    """Write them behind what is there; what is there and is newer is written once more, behind them.

    ``noted``, the time of the job before it, tells the order: of two moves the later one has seen the other's job.
    """
    known = there.bodies()
    tokens = {each.get("token") for each in moves}
    others = [each for each in known if each.get("token_here") not in tokens]
    written = {each.get("token_here") for each in known}
    for move in moves:
        if move.get("token") not in written:
            there.write({**move, "token_here": move.get("token")}, "write a move to the store")
    if not moves or not others or (written >= tokens and known[-1].get("token_here") not in tokens):
        return
    if _noted(others[-1]) >= max(_noted(each) for each in moves):
        there.write(others[-1], "keep the newest move of the store the newest")


def _noted(move: Mapping[str, Any]) -> int:
    return int(move.get("noted", 0))


def upload(directory: Path, store: Store, environment: str, name: str, context: Context) -> None:
    """Move those records to the store. What is there under the same key is of the same run, and stays."""
    here = local_store(directory, context)
    keys = leftovers(directory, environment, name, context)
    moves = f"{environment}/apps/{name}/moves/"
    for key in keys:
        body = here.get(key)
        if body is not None and not key.startswith(moves):
            context.effect(f"write {key} to the store")
            store.create(key, body)
    _merge(Moves(here, environment, name, context).bodies(), Moves(store, environment, name, context))
    for key in keys:
        context.effect(f"remove {key} from this machine")
        here.delete(key)
