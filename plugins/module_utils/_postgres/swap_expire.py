# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases that swaps have put aside, and their end (private to ops.runbooks).

Which of them may go, the store says; whether one really goes, the server decides: by its system identifier, the name
and the oid. A database that somebody renamed, or that sessions use, stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore_facts import read_databases
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore_mark import FINISHED, REVERTED, Mark
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.swap_plan import is_previous

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """A database that a swap, or its undoing, has put aside."""

    restore_id: str
    database: str
    oid: int
    system_identifier: str
    until: datetime


def previous_databases(marks: Iterable[Mark], now: datetime) -> tuple[Previous, ...]:
    """Those that were to be kept until ``now`` at the latest, oldest first. Pure."""
    found = []
    for mark in marks:
        exchange = mark.exchange
        if exchange is None or mark.oid is None or mark.phase not in (FINISHED, REVERTED) or exchange.until > now:
            continue
        found.append(
            Previous(
                restore_id=mark.restore_id,
                database=exchange.aside,
                oid=exchange.replaced_oid if mark.phase == FINISHED else mark.oid,
                system_identifier=mark.system_identifier,
                until=exchange.until,
            )
        )
    return tuple(sorted(found, key=lambda each: each.until))


def is_there(session: Session, system_identifier: str, previous: Previous) -> bool:
    """Whether this server has that very database, under the name that it was put aside with."""
    here = is_previous(previous.database) and previous.system_identifier == system_identifier
    return here and read_databases(session).get(previous.database) == previous.oid


def expire(session: Session, system_identifier: str, previous: Previous, context: Context) -> bool:
    """Drop it where it is there; whether it was. Fails where sessions use it: then somebody still needs it.

    ``session`` is in the maintenance database, and the caller holds the lock of the database.
    """
    if not is_there(session, system_identifier, previous):
        return False
    context.effect(f"drop database {previous.database}")
    statement = f"DROP DATABASE IF EXISTS {quote_identifier(previous.database)}"
    session.execute(statement, attempted=f"drop database {previous.database}, which a swap has put aside")
    return True
