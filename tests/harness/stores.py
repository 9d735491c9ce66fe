# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores for tests of the core, opened in the test's own process, and ways to go wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import Controller, process_table
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Series
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store, open_store

from harness.servers import StoreAt


@dataclass(frozen=True, slots=True)
class WrongClock(Clock):
    """A clock whose wall time is off; its monotonic time can be pushed forward, as by a suspended laptop."""

    skew: timedelta = timedelta()
    pushed: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        """The wrong time."""
        return Clock.now(self) + self.skew

    def monotonic(self) -> float:
        """The right time, and what it was pushed."""
        return Clock.monotonic(self) + sum(self.pushed)


def run_context(run_id: str = "run-1", *, check_mode: bool = False, clock: Clock | None = None) -> Context:
    """What one run has at hand. It works for no controller."""
    clock = clock or Clock()
    return Context(
        module="postgres_backup",
        check_mode=check_mode,
        run_id=run_id,
        redactor=Redactor(),
        clock=clock,
        controller=Controller(None, clock=clock, table=process_table()),
        tmpdir="/nonexistent",
    )


def open_at(store: StoreAt, context: Context | None = None, **changes: Any) -> Store:
    """A test's store as a module would open it; ``changes`` replace some of its options."""
    params: Mapping[str, Any] = {**store.args, **changes}
    return open_store(params, store.url, context or run_context())


@contextmanager
def failing(code: str) -> Iterator[Callable[[], RunbookError]]:
    """Expect a failure of that code; what is returned gives it after the block."""
    with pytest.raises(RunbookError) as caught:
        yield lambda: caught.value
    assert caught.value.code == code, caught.value.message


#: Documents in a :func:`race`.
RACES = 50


def race(url: str, options: Mapping[str, Any]) -> int:
    """How many of 50 documents the caller, one of several processes, was the one to create."""
    store = open_store(options, url, run_context())
    return sum(Series(store, f"race-{number}").create_next({}, after=0) is not None for number in range(RACES))
