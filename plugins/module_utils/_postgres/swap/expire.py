# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases that swaps have put aside, and their end (private to ops.runbooks).

Which of them may go, the store says; whether one really goes, the server decides: by its system identifier, the name
and the oid. A database that somebody renamed, or that sessions use, stays, and so does one that nothing has replaced:
where no database has the live name, or one that no restore has made or swapped, the one put aside may be the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human_bytes, iso
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.facts import read_databases
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.mark import FINISHED, REVERTED, Mark
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap.plan import is_previous

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

#: Sizes only where they may be asked; members of the owner may drop, and so may superusers (manual, DROP DATABASE).
_LOOK = """
SELECT d.datname::pg_catalog.text, d.oid::pg_catalog.int8,
       CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END,
       me.rolsuper OR pg_catalog.pg_has_role(d.datdba, 'USAGE'),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a
        WHERE a.datid = d.oid AND a.usesysid IS NOT NULL)
FROM pg_catalog.pg_database d
CROSS JOIN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) me"""
#: Why one that is due stays, for whoever reads the warning.
_STAYS = {
    "in_use": "{sessions} sessions use it: end them, or find out who still needs it",
    "not_owner": "the role that connects here neither owns it nor is a member of its owner",
    "not_replaced": "the database that is called {live} now, if there is one, was neither made nor swapped in by a "
    "restore, so that this may be the last copy; drop it by hand when nobody needs it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """A database that a swap, or its undoing, has put aside for the one that is called ``live``.

    ``successors`` are the databases that may have that name for it, by oid: those that restores have made or swapped.
    """

    restore_id: str
    database: str
    live: str
    oid: int
    system_identifier: str
    until: datetime
    successors: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """One that is there. ``bytes`` is None where they may not be asked."""

    previous: Previous
    bytes: int | None = None
    sessions: int = 0
    may_drop: bool = True
    replaced: bool = True

    def stays(self, now: datetime) -> str:
        """The name of the reason why it stays; '' where it goes."""
        if self.previous.until > now:
            return "keep_previous"
        if not self.replaced:
            return "not_replaced"
        if self.sessions:
            return "in_use"
        return "" if self.may_drop else "not_owner"

    def described(self, now: datetime) -> dict[str, Any]:
        """For results."""
        reason = self.stays(now)
        return {
            "database": self.previous.database,
            "restore_id": self.previous.restore_id,
            "until": iso(self.previous.until),
            "bytes": self.bytes,
            "state": "kept" if reason else "dropped",
            "reason": reason or None,
        }

    def warning(self, now: datetime) -> str:
        """What keeps one that is due; '' where nothing does."""
        if (why := _STAYS.get(self.stays(now))) is None:
            return ""
        since = f"Database {self.previous.database} was to be kept until {iso(self.previous.until)} and is still there"
        return f"{since}: {why.format(sessions=self.sessions, live=self.previous.live)}."

    @property
    def step(self) -> str:
        """The plan's sentence for one that goes."""
        size = f" ({human_bytes(self.bytes)})" if self.bytes is not None else ""
        return f"drop database {self.previous.database}{size}, which swap {self.previous.restore_id} has put aside"

    @property
    def loss(self) -> str:
        """What cannot be taken back."""
        known = self.previous
        return (
            f"database {known.database} cannot be brought back, and swap {known.restore_id} can be neither undone nor "
            "compared with what was before it"
        )


def previous_databases(marks: Iterable[Mark]) -> tuple[Previous, ...]:
    """What swaps have put aside, oldest first; whether it is still there, the server knows. Pure."""
    marks, found = list(marks), []
    for mark in marks:
        exchange = mark.exchange
        if exchange is None or mark.oid is None or mark.phase not in (FINISHED, REVERTED):
            continue
        oid = exchange.replaced_oid if mark.phase == FINISHED else mark.oid
        found.append(
            Previous(
                restore_id=mark.restore_id,
                database=exchange.aside,
                live=mark.target_database,
                oid=oid,
                system_identifier=mark.system_identifier,
                until=exchange.until,
                successors=frozenset(_oids(marks, mark.system_identifier)) - {oid},
            )
        )
    return tuple(sorted(found, key=lambda each: each.until))


def _oids(marks: Iterable[Mark], system_identifier: str) -> Iterator[int]:
    """Of the databases that restores have made on a server, and of those that swaps have replaced."""
    for mark in marks:
        if mark.system_identifier == system_identifier:
            if mark.oid is not None:
                yield mark.oid
            if mark.exchange is not None:
                yield mark.exchange.replaced_oid


def look(session: Session, system_identifier: str, known: Iterable[Previous]) -> tuple[Aside, ...]:
    """Those of ``known`` that this server has."""
    found = session.rows(_LOOK, attempted="look at the databases that swaps have put aside")
    databases: dict[str, tuple[int, int | None, bool, int]] = {row[0]: row[1:] for row in found}
    there = []
    for each in known:
        oid, size, may_drop, sessions = databases.get(each.database, (0, None, False, 0))
        if is_it(each, system_identifier, oid):
            there.append(
                Aside(
                    previous=each,
                    bytes=size,
                    sessions=sessions,
                    may_drop=may_drop,
                    replaced=each.live in databases and databases[each.live][0] in each.successors,
                )
            )
    return tuple(there)


def is_it(previous: Previous, system_identifier: str, oid: int | None) -> bool:
    """Whether what has that name on a server is the very database that was put aside."""
    here = is_previous(previous.database) and previous.system_identifier == system_identifier
    return here and previous.oid == oid


def expire(session: Session, system_identifier: str, previous: Previous, context: Context) -> bool:
    """Drop it where it is there; whether it was. Fails where sessions use it: then somebody still needs it.

    ``session`` is in the maintenance database, and the caller holds the lock of the database.
    """
    if not is_it(previous, system_identifier, read_databases(session).get(previous.database)):
        return False
    context.effect(f"drop database {previous.database}")
    statement = f"DROP DATABASE IF EXISTS {quote_identifier(previous.database)}"
    session.execute(statement, attempted=f"drop database {previous.database}, which a swap has put aside")
    return True
