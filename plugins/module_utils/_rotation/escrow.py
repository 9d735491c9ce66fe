# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of one secret while they are needed (private to ops.runbooks): each in a slot that is written once.

Where a slot lies is said by what stands before its name: nothing for the store, else the name of another place and a
colon. So what an earlier setting has put elsewhere is found there, and only new values go to the place of now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.version import VERSION
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Value
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made

#: The newest form of a document with a value in it.
SCHEMA = 2


class Place(Protocol):
    """Where slots lie. ``scheme`` is what stands before their names."""

    @property
    def scheme(self) -> str:
        """'' for the store."""

    def reference(self, name: str) -> str:
        """By what other tasks may name the value."""

    def check(self) -> None:
        """Raises where a value could not be kept, or not be read again, as far as that is known without a request."""

    def look(self) -> None:
        """The same by requests that change nothing; asked before a value is made, in check mode too."""

    def ready(self) -> None:
        """See that it takes a value, before one is made. May change it."""

    def keep(self, name: str, made: Made) -> str | None:
        """Put a value where nothing is: the name under which it is found; None where another run has written there."""

    def open(self, name: str) -> Mapping[str, str] | None:
        """The parts of a value; None where there is nothing. Raises ``secret_unreadable``."""

    def names(self) -> tuple[str, ...]:
        """What holds anything that nothing but this secret's ledger needs."""

    def forget(self, name: str) -> None:
        """Remove a value; one that is not there counts as removed."""


class Vault:
    """The slots of one secret. New values go to the first of ``places``; ``swept`` are those that are cleared up.

    ``refuse`` raises where that first one would hold values in the clear.
    """

    def __init__(
        self, places: Sequence[Place], swept: Sequence[Place], redactor: Redactor, refuse: Callable[[], None]
    ) -> None:
        self._refuse = refuse
        self._writes = places[0]
        self._places = {each.scheme: each for each in places}
        self._swept = swept
        self._redactor = redactor
        self._is_ready = False

    def reference(self, slot: str) -> str:
        """By what other tasks may name the value."""
        place, name = self._find(slot)
        return place.reference(name)

    def check(self) -> None:
        """Raises where a value could not be kept or read again, as far as that is known without a request."""
        self._refuse()
        self._writes.check()

    def look(self) -> None:
        """The same by requests that change nothing."""
        self._writes.look()

    def ready(self) -> None:
        """Once in a run, before a value is made: what cannot be kept is not made."""
        if not self._is_ready:
            self.check()
            self._writes.ready()
            self._is_ready = True

    def keep(self, slot: str, made: Made) -> str | None:
        """Write a value where nothing is: the slot in which it lies; None where another run has written there."""
        self.ready()
        name = self._writes.keep(slot, made)
        if name is None:
            return None
        return f"{self._writes.scheme}:{name}" if self._writes.scheme else name

    def open(self, slot: str) -> Mapping[str, str] | None:
        """The parts of a value; None where the slot is empty. Raises ``secret_unreadable``."""
        place, name = self._find(slot)
        parts = place.open(name)
        for part in (parts or {}).values():
            self._redactor.protect(part)
        return parts

    def slots(self, known: Collection[str] = ()) -> tuple[str, ...]:
        """All slots that hold anything, also where one of the ``known`` lies that is not written to any more."""
        places = dict.fromkeys((*self._swept, *(self._find(slot)[0] for slot in sorted(known))))
        return tuple(f"{place.scheme}:{name}" if place.scheme else name for place in places for name in place.names())

    def forget(self, slot: str) -> None:
        """Remove a value. Raises ``store_denied``, ``service_denied`` where that is not allowed."""
        place, name = self._find(slot)
        place.forget(name)

    def _find(self, slot: str) -> tuple[Place, str]:
        scheme, colon, name = slot.partition(":")
        return (self._places[scheme], name) if colon else (self._places[""], slot)


def unreadable(where: str, reason: str, remedy: str) -> RunbookError:
    """The failure for a value that cannot be read."""
    return RunbookError(
        code="secret_unreadable",
        attempted="read a value of a secret from where it is kept",
        object=where,
        reason=reason,
        remedy=remedy,
    )


def check_schema(where: str, body: Mapping[str, object]) -> None:
    """Raises ``document_too_new``; ``ValueError`` and its like for what is none of our documents."""
    schema = body["schema"]
    if not isinstance(schema, int):
        raise TypeError("schema")
    if schema > SCHEMA:
        raise RunbookError(
            code="document_too_new",
            attempted="read a value of a secret from where it is kept",
            object=where,
            reason=f"it has schema {schema} and this release knows schemas up to {SCHEMA}",
            remedy=f"Install ops.runbooks {body.get('release', '(a newer release)')} or later.",
        )


def document(schema: int, **fields: str) -> dict[str, object]:
    """What a value is written as."""
    return {"schema": schema, "release": VERSION, **fields}


class Opened:
    """The values of one secret that a run has read or made, each read from where it is kept once."""

    def __init__(self, vault: Vault, keys: Keys) -> None:
        self._vault = vault
        self._keys = keys
        self._known: dict[str, Mapping[str, str] | None] = {}

    def keep(self, slot: str, made: Made) -> str | None:
        """See ``Vault.keep``."""
        lies = self._vault.keep(slot, made)
        if lies is not None:
            self._known[lies] = made.parts
        return lies

    def peek(self, value: Value) -> Mapping[str, str] | None:
        """The parts of a value; None where its slot is empty. Raises ``secret_unreadable``."""
        if value.slot not in self._known:
            parts = self._vault.open(value.slot)
            if parts is not None and self._keys.fingerprint(essence(parts)) != value.fingerprint:
                where, reason = self._vault.reference(value.slot), "it is not the value that is on record"
                raise unreadable(where, reason, "See who has changed it there; else adopt the value that is in force.")
            self._known[value.slot] = parts
        return self._known[value.slot]

    def parts(self, value: Value) -> Mapping[str, str]:
        """The same of one that has to be there. Raises ``secret_unreadable``."""
        parts = self.peek(value)
        if parts is None:
            remedy = "Where the store keeps versions, bring it back. Else adopt the value that is in force."
            raise unreadable(self._vault.reference(value.slot), "there is nothing", remedy)
        return parts


def essence(parts: Mapping[str, str]) -> str:
    """What a fingerprint is made of: the secret part, where there is one."""
    for name in ("value", "password") if len(parts) > 1 else parts:
        if name in parts:
            return parts[name]
    return json.dumps(dict(parts), sort_keys=True)
