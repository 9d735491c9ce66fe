# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that holds the state: a value in memory, replaced as a whole, and its file."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sandbox.standin import codec
from sandbox.vercel import deployments, jobs, model
from sandbox.vercel.model import World

T = TypeVar("T")


def now_in_ms() -> int:
    """The service's clock."""
    return time.time_ns() // 1_000_000


class Store:
    """What every thread of the server reads and changes; a restart finds it again in ``path``.

    Nothing waits for the passing of time: whoever looks first sees what has become due by then.
    """

    def __init__(self, path: Path, *, clock: Callable[[], int] = now_in_ms) -> None:
        self.path = path
        self.clock = clock
        self._lock = threading.RLock()
        self._world = World()
        if path.exists():
            self.seed(json.loads(path.read_text(encoding="utf-8")))

    def seed(self, document: Mapping[str, Any]) -> None:
        """Add things, or replace those with the same ids.

        Raises:
            BadState: The document has another form; nothing was added.
        """
        found = model.things(document)
        with self._lock:
            world = self._world
            for thing in found:
                world = world.put(thing)
            self._keep(deployments.settle(world))

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    def document(self) -> dict[str, Any]:
        """Everything as it is now, for the file and the control endpoint."""
        return model.dump(self.look())

    def patch(self, section: str, name: str, fields: Mapping[str, Any]) -> None:
        """Change fields of one thing, as the control endpoint does.

        Raises:
            KeyError: There is no such thing.
            BadState: It has no such field.
        """

        def step(world: World, _now: int) -> tuple[World, None]:
            found = getattr(world, section, {}).get(name)
            if found is None:
                raise KeyError(f"There is no {name} among the {section}.")
            return world.put(codec.decode(type(found), codec.encode(found) | dict(fields), name)), None

        self.change(step)

    def look(self) -> World:
        """Everything as it is now."""
        return self.change(lambda world, _now: (world, world))

    def change(self, step: Callable[[World, int], tuple[World, T]]) -> T:
        """Carry out one step on what is there now; an exception in it changes nothing."""
        with self._lock:
            now = self.clock()
            world = jobs.advance(deployments.advance(self._world, now), now)
            try:
                world, result = step(world, now)
            finally:
                # Also where the step refused: time has passed all the same.
                self._keep(world)
            return result

    def _keep(self, world: World) -> None:
        if world is self._world:
            return
        self._world = world
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A temporary file has mode 0600; the state holds tokens and secret values.
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix="vercel.", delete=False) as file:
            json.dump(model.dump(world), file, indent=1)
        os.replace(file.name, self.path)
