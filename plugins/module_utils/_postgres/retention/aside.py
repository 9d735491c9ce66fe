# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention's way to the databases that swaps have put aside (private to ops.runbooks).

Backups are the store's, and retention of them needs no server. So a connection is optional, and one that is described
is opened only where the store knows of a swap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import few
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.address import given
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, Session, connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import Marks
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.expire import (
    Aside,
    Previous,
    expire,
    look,
    previous_databases,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was put aside and is there; ``aside`` is None, and ``note`` says so, where nobody could look."""

    aside: tuple[Aside, ...] | None = ()
    note: str = ""


class Kept:
    """The databases that swaps of ``<environment>/<name>`` have put aside."""

    def __init__(self, params: Mapping[str, Any], store: Store, context: Context) -> None:
        self._params = params
        self._context = context
        self._marks = Marks(store, params["environment"], params["name"], context)

    def find(self) -> Found:
        """Read them. Raises what connecting does, since a described server that does not answer is nobody's wish."""
        given(self._params)
        known = previous_databases(self._marks.all())
        if not known:
            return Found()
        try:
            connection = self._connector
        except RunbookError as error:
            if error.code != "connection_missing":
                raise
            return Found(aside=None, note=_not_looked_at(known))
        return Found(aside=look(self._session, connection.server(self._session).system_identifier, known))

    def drop(self, doomed: Iterable[Aside]) -> None:
        """Drop them, the one that is due longest first."""
        for each in doomed:
            server = self._connector.server(self._session)
            expire(self._session, server.system_identifier, each.previous, self._context)

    def close(self) -> None:
        """End the session."""
        if "_connector" in self.__dict__:
            self._connector.close()

    @cached_property
    def _connector(self) -> Connector:
        return connector(self._params, self._context, need_database=False)

    @cached_property
    def _session(self) -> Session:
        return self._connector.open(self._params["maintenance_database"])


def _not_looked_at(known: tuple[Previous, ...]) -> str:
    named = few([f"{each.database} (until {iso(each.until)})" for each in known])
    return (
        f"Databases that swaps have put aside were not looked at, since no connection is described: {named}. "
        "Give database_url, or login_host and its companions, or drop them with dropdb."
    )
