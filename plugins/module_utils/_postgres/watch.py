# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A look at lock, controller and deadline beside work that may block (private to ops.runbooks).

A statement that waits, or a pipe that nobody reads, lets no line of ours run. So a thread looks, and where the work
must stop it ends what the work waits for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

_PAUSE = 0.2
#: How often a statement is cancelled, which it may catch, before its connection is cut.
_CANCELS = 5


class Watch:
    """Calls ``go_on``, which raises where the work must stop, now and then for as long as it is entered.

    Then ``end`` is called, again and again until the work has ended, and its end raises what ``go_on`` had.
    """

    def __init__(self, go_on: Callable[[], None], end: Callable[[], None]) -> None:
        self._go_on = go_on
        self._end = end
        self._done = threading.Event()
        self._error: RunbookError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._error is not None:
            raise self._error from None

    def _run(self) -> None:
        while not self._done.wait(_PAUSE):
            try:
                self._go_on()
            except RunbookError as error:
                self._error = error
                break
        while not self._done.wait(_PAUSE):
            with suppress(Exception):
                self._end()


def ender(session: Session) -> Callable[[], None]:
    """What ends the statement that another thread waits for: cancelled first, in the end cut off from its server."""
    calls = 0

    def end() -> None:
        nonlocal calls
        calls += 1
        if calls <= _CANCELS:
            session.cancel()
        else:
            session.cut()

    return end
