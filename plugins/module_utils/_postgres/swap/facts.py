# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live database that a swap replaces: what it is, and what forbids to swap it (private to ops.runbooks).

Everything is asked in the maintenance database, from catalogs that all databases share. Whatever would make the swap
fail after the hours that a restore may take is refused before anything is created.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.words import few
from ansible_collections.ops.runbooks.plugins.module_utils._postgres import catalog
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import DatabaseFact, quote_identifier

_ATTEMPTED = "look at the live database"
_ROLE_SETTINGS = """
SELECT r.rolname::pg_catalog.text, s.setconfig FROM pg_catalog.pg_db_role_setting s
JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = %s) ORDER BY 1"""
#: Autovacuum has no user, and gives way by itself; the kind of a session is hidden from whoever may not read it.
#: Whoever may signal others may not signal superusers; members may signal each other (manual, pg_terminate_backend).
_SESSIONS = """
SELECT a.pid, coalesce(a.usename::pg_catalog.text, ''), coalesce(a.application_name, ''),
       coalesce(me.rolsuper OR (NOT coalesce(r.rolsuper, false)
                AND (pg_catalog.pg_has_role(a.usesysid, 'USAGE')
                     OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'))), true)
FROM pg_catalog.pg_stat_activity a
CROSS JOIN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) me
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = %s AND a.usesysid IS NOT NULL ORDER BY a.pid"""
_LOGICAL_SLOTS = "SELECT slot_name::pg_catalog.text FROM pg_catalog.pg_replication_slots WHERE database = %s ORDER BY 1"
_PREPARED = "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = %s ORDER BY 1"
_SUBSCRIPTIONS = """
SELECT subname::pg_catalog.text FROM pg_catalog.pg_subscription
WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = %s) AND subenabled ORDER BY 1"""
_RIGHTS = """
SELECT r.rolsuper, r.rolsuper OR (r.rolcreatedb AND pg_catalog.pg_has_role(d.datdba, 'USAGE')),
       EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'supabase_admin')
FROM pg_catalog.pg_database d, pg_catalog.pg_roles r WHERE d.datname = %s AND r.rolname = current_user"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleConfiguration:
    """What one role is set to in one database: ``settings`` are ``name=value`` texts."""

    role: str
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A session in the live database, and whether the role that works here may end it."""

    pid: int
    user: str
    application: str
    may_end: bool

    @property
    def text(self) -> str:
        """For people."""
        named = f" ({self.application})" if self.application else ""
        return f"{self.user or 'a background worker'}{named}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The live database, and what stands in the way of renaming it."""

    database: DatabaseFact
    of_roles: tuple[RoleConfiguration, ...] = ()
    sessions: tuple[LiveSession, ...] = ()
    logical_slots: tuple[str, ...] = ()
    prepared: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    may_rename: bool = True
    supabase: bool = False
    user: str = ""


def read_live(session: Session, name: str) -> Live:
    """The database of that name, which exists; ``session`` is in another one."""

    def rows(statement: str) -> list[tuple[Any, ...]]:
        return session.rows(statement, (name,), attempted=_ATTEMPTED)

    superuser, may_rename, supabase = session.row(_RIGHTS, (name,), attempted=_ATTEMPTED)
    return Live(
        database=catalog.database(session, name),
        of_roles=read_role_settings(session, name),
        sessions=tuple(
            LiveSession(pid=pid, user=user, application=application, may_end=may_end)
            for pid, user, application, may_end in rows(_SESSIONS)
        ),
        logical_slots=tuple(slot for (slot,) in rows(_LOGICAL_SLOTS)),
        prepared=tuple(gid for (gid,) in rows(_PREPARED)),
        subscriptions=tuple(each for (each,) in rows(_SUBSCRIPTIONS)),
        may_rename=may_rename,
        supabase=supabase and not superuser,
        user=session.endpoint.user,
    )


def read_role_settings(session: Session, name: str) -> tuple[RoleConfiguration, ...]:
    """What roles are set to in the database of that name."""
    found = session.rows(_ROLE_SETTINGS, (name,), attempted=_ATTEMPTED)
    return tuple(RoleConfiguration(role=role, settings=tuple(settings)) for role, settings in found)


def check_live(live: Live, where: str) -> None:
    """Raises ``swap_refused``, with the reason's name in ``failure.refused``, for the first thing in the way."""
    for why, reason, remedy in (*_forbidden(live), *_attached(live)):
        raise refused(why, live.database.name, where, reason, remedy)


def _forbidden(live: Live) -> Iterator[tuple[str, str, str]]:
    """What this platform and this role may not do."""
    user = quote_identifier(live.user)
    if live.supabase:
        yield (
            "platform",
            "this is a Supabase project, whose platform finds its database by name, so that it cannot be renamed",
            "Restore beside it with strategy new_database and copy what is missing, or restore to another project.",
        )
    if not live.may_rename:
        yield (
            "rights",
            f"role {live.user} may not rename it",
            f"ALTER ROLE {user} CREATEDB; GRANT {quote_identifier(live.database.owner)} TO {user}; or connect as a "
            "role that owns it.",
        )
    if foreign := [session.text for session in live.sessions if not session.may_end]:
        yield (
            "sessions",
            f"role {live.user} may not end the sessions of {few(sorted(set(foreign)))}",
            f"GRANT pg_signal_backend TO {user}; sessions of superusers only a superuser can end.",
        )


def _attached(live: Live) -> Iterator[tuple[str, str, str]]:
    """What belongs to the live database and cannot come along."""
    if live.logical_slots:
        yield (
            "logical_slots",
            f"logical replication reads from it (slot {few(live.logical_slots)}), and would go on with the old one",
            "Stop its consumers and drop the slots with pg_drop_replication_slot(), then set them up again afterwards.",
        )
    if live.prepared:
        yield (
            "prepared_transactions",
            f"it has prepared transactions ({few(live.prepared)}), which keep it from being renamed",
            "End them there with COMMIT PREPARED or ROLLBACK PREPARED, then run this again.",
        )
    if live.subscriptions:
        yield (
            "subscriptions",
            f"it subscribes to other databases ({few(live.subscriptions)}), and the restored one would not",
            "Disable them there with ALTER SUBSCRIPTION ... DISABLE, and set them up again after the swap.",
        )


def refused(why: str, database: str, where: str, reason: str, remedy: str) -> RunbookError:
    """A swap that cannot be; nothing was changed."""
    return RunbookError(
        code="swap_refused",
        attempted="swap the restored database in",
        object=f"database {database} on {where}",
        reason=reason,
        remedy=f"Nothing was changed. {remedy}",
        details={"refused": why},
    )
