# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a stand-in keeps its things: a value in memory that is replaced as a whole, and its file.

A world is a frozen dataclass with a mapping for each kind of thing, and a method ``put``.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from sandbox.standin import codec

SCHEMA = 1


class Worldly(Protocol):
    """Everything at one moment."""

    def put(self, thing: Any) -> Self:
        """The world with this thing in it."""


W = TypeVar("W", bound=Worldly)
Kinds = Mapping[str, type[Any]]


def dump(world: Worldly, kinds: Kinds) -> dict[str, Any]:
    """A world as a JSON document; ``kinds`` are its mappings by name, and what each is of."""
    sections = {name: [codec.encode(each) for each in getattr(world, name).values()] for name in kinds}
    return {"schema": SCHEMA, **sections}


def things(document: Mapping[str, Any], kinds: Kinds) -> list[Any]:
    """The things that a JSON document lists.

    Raises:
        BadState: It has another form; the text names the field.
    """
    unknown = sorted(set(document) - {"schema", *kinds})
    if unknown:
        raise codec.BadState(f"The state has unknown sections: {', '.join(unknown)}.")
    return [codec.decode(kind, each, f"{name}[]") for name, kind in kinds.items() for each in document.get(name, [])]


def loaded(document: Mapping[str, Any], kinds: Kinds, empty: W) -> W:
    """The world that a JSON document describes."""
    world = empty
    for thing in things(document, kinds):
        world = world.put(thing)
    return world


class Store(Generic[W]):
    """What every thread of the server reads and changes; a restart finds it again in ``path``."""

    def __init__(self, path: Path, empty: W, kinds: Kinds) -> None:
        self.path = path
        self.world = empty
        self._kinds = kinds
        self._lock = threading.Lock()
        if path.exists():
            self.seed(json.loads(path.read_text(encoding="utf-8")))

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    def document(self) -> dict[str, Any]:
        """Everything."""
        return dump(self.world, self._kinds)

    def seed(self, document: Mapping[str, Any]) -> None:
        """Add things, or replace those with the same names."""
        found = things(document, self._kinds)

        def add(world: W) -> tuple[W, None]:
            for thing in found:
                world = world.put(thing)
            return world, None

        self.change(add)

    def patch(self, section: str, name: str, fields: Mapping[str, Any]) -> None:
        """Change fields of one thing."""

        def patched(world: W) -> tuple[W, None]:
            found = getattr(world, section, {}).get(name)
            if found is None:
                raise KeyError(f"There is no {name} among the {section}.")
            return world.put(codec.decode(type(found), codec.encode(found) | dict(fields), name)), None

        self.change(patched)

    def change(self, step: Callable[[W], tuple[W, Any]]) -> Any:
        """Carry out one step on what is there now, while nobody else does; an exception in it changes nothing."""
        with self._lock:
            world, result = step(self.world)
            if world is not self.world:
                self.world = world
                self._keep()
            return result

    def _keep(self) -> None:
        # A temporary file has mode 0600; the state holds tokens and secret values.
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix="state.", delete=False) as file:
            json.dump(self.document(), file, indent=1)
        os.replace(file.name, self.path)
