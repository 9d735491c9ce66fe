# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table in which a database remembers its migrations (private to ops.runbooks).

It lies in a schema of its own, so that it goes wherever the database goes: into its backups, and back with a restore.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import Ledger, Migration, Row, place
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import LEDGER

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session

SCHEMA, TABLE = LEDGER, "migrations"
NAME: Final = f"{SCHEMA}.{TABLE}"
#: Held by the session that works, and so for as long as the server works for it, whatever became of the module.
_LOCK: Final = 0x6F70735F6D696772
#: Bytes of a name, beyond which a server cuts it (NAMEDATALEN).
_LONGEST: Final = 63
_CREATE = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {NAME} (
  name pg_catalog.text PRIMARY KEY, checksum pg_catalog.text NOT NULL,
  phase pg_catalog.text NOT NULL CHECK (phase IN ('expand', 'contract')),
  state pg_catalog.text NOT NULL CHECK (state IN ('started', 'applied')),
  statements_done pg_catalog.int4 NOT NULL DEFAULT 0, failed pg_catalog.bool NOT NULL DEFAULT false,
  applied_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  duration pg_catalog.float8, release pg_catalog.text NOT NULL DEFAULT '', run_id pg_catalog.text NOT NULL DEFAULT '');
COMMENT ON TABLE {NAME} IS 'The migrations of this database, as ops.runbooks has run them. Change nothing by hand.'"""
_ROWS = f"""
SELECT name, checksum, phase, state, statements_done, failed, date_part('epoch', applied_at), release, run_id
FROM ONLY {NAME}"""
_INSERT = f"""
INSERT INTO {NAME} (name, checksum, phase, state, release, run_id) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO NOTHING RETURNING name"""
_GO_ON = f"""
UPDATE {NAME} SET checksum = %s, phase = %s, statements_done = %s, failed = false, release = %s, run_id = %s
WHERE name = %s AND state = 'started' RETURNING name"""
_HOLDERS = """
SELECT a.pid, coalesce(a.usename::text, '?'), coalesce(nullif(a.application_name, ''), 'unnamed'),
       coalesce(extract(epoch FROM clock_timestamp() - a.backend_start)::int8, 0)
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::int8 << 32) | l.objid::int8 = %s"""


def read(session: Session) -> Ledger:
    """What is recorded."""
    there = session.value("SELECT to_regclass(%s) IS NOT NULL", (NAME,), attempted="look for the ledger of migrations")
    if not there:
        return Ledger(exists=False)
    found = session.rows(_ROWS, attempted="read the ledger of migrations")
    rows = [
        Row(
            name=name,
            checksum=checksum,
            phase=phase,
            state=state,
            done=done,
            failed=failed,
            # As a number: psycopg cannot read every DateStyle.
            applied_at=datetime.fromtimestamp(seconds, UTC),
            release=release,
            run_id=run_id,
        )
        for name, checksum, phase, state, done, failed, seconds, release, run_id in found
    ]
    return Ledger(exists=True, rows=tuple(sorted(rows, key=lambda row: place(row.name))))


def may_write(session: Session, ledger: Ledger) -> str:
    """Why the role cannot keep the ledger; '' where it can."""
    if not ledger.exists:
        query, what = "SELECT has_database_privilege(current_database(), 'CREATE')", "CREATE on the database"
        values: tuple[Any, ...] = ()
    else:
        rights = ("INSERT", "UPDATE", "DELETE")
        query = "SELECT " + " AND ".join("has_table_privilege(%s, %s)" for _right in rights)
        what = f"{', '.join(rights)} on {NAME}"
        values = tuple(value for right in rights for value in (NAME, right))
    return "" if session.value(query, values or None, attempted="look at the rights of the role") else what


def create(session: Session) -> None:
    """Make it, where it is not there."""
    session.execute(f"BEGIN; {_CREATE}; COMMIT", attempted="create the ledger of migrations")


def insert(session: Session, migration: Migration, state: str, release: str, run_id: str) -> bool:
    """Write a migration down. False where it is there already."""
    values = (migration.name, migration.checksum, migration.phase, state, release, run_id)
    return bool(session.rows(_INSERT, values, attempted=f"record the migration {migration.name}"))


def go_on(session: Session, migration: Migration, done: int, release: str, run_id: str) -> bool:
    """Say that a run goes on with a migration in which an earlier one has stopped: what the row says is of this file
    and of this run from here on, and what failed then is in doubt again. False where nobody has stopped in it."""
    values = (migration.checksum, migration.phase, done, release, run_id, migration.name)
    return bool(session.rows(_GO_ON, values, attempted=f"record that the migration {migration.name} goes on"))


def set_progress(session: Session, name: str, done: int, *, failed: bool = False) -> None:
    """Say how many statements of a migration outside of a transaction are behind it."""
    statement = f"UPDATE {NAME} SET statements_done = %s, failed = %s WHERE name = %s"
    session.execute(statement, (done, failed, name), attempted=f"record the progress of the migration {name}")


def set_applied(session: Session, migration: Migration, seconds: float) -> None:
    """Say that it is done."""
    statement = (
        f"UPDATE {NAME} SET state = 'applied', failed = false, duration = %s, statements_done = %s, checksum = %s,"
        " phase = %s, applied_at = pg_catalog.clock_timestamp() WHERE name = %s"
    )
    values = (seconds, len(migration.statements), migration.checksum, migration.phase, migration.name)
    session.execute(statement, values, attempted=f"record the migration {migration.name}")


def remove(session: Session, name: str) -> None:
    """Forget a migration that is no longer in force."""
    session.execute(f"DELETE FROM {NAME} WHERE name = %s", (name,), attempted=f"record that {name} was rolled back")


def try_lock(session: Session) -> bool:
    """Keep every other run out of this database's migrations, until the session ends. Never waits: a session that
    waited would have a snapshot, for the end of which CREATE INDEX CONCURRENTLY waits in turn."""
    return bool(session.value(f"SELECT pg_try_advisory_lock({_LOCK})", attempted="take the lock of migrations"))


def holder(session: Session) -> str:
    """Who has that lock, for people."""
    found = session.rows(_HOLDERS, (_LOCK,), attempted="see who holds the lock of migrations")
    told = [f"process {pid} of {user} ({name}), connected for {age} s" for pid, user, name, age in found]
    return "; ".join(told) or "a session that has ended meanwhile"


def index_state(session: Session, table: str, index: str) -> str:
    """What became of an index that was built outside of a transaction: ``valid``, ``absent``, or the name of an invalid
    one, for a statement that drops it."""
    found = session.rows(
        "SELECT c.relname::text, c.oid::regclass::text, i.indisvalid AND i.indisready FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass(%s)",
        (table,),
        attempted=f"look at the index {index}",
    )
    there = {relname: (name, valid) for relname, name, valid in found}
    called = index_name(index, there)
    if called is None:
        return "absent"
    name, valid = there[called]
    return "valid" if valid else str(name)


def index_name(index: str, there: Collection[str]) -> str | None:
    """Which of these a server means by a name: it cuts names, and how it folds other letters than A to Z is its own
    affair."""
    cut = index.encode()[:_LONGEST].decode(errors="ignore")
    if cut in there or cut.isascii():
        return cut if cut in there else None
    return next((each for each in there if each.lower() == cut.lower()), None)


def sizes(session: Session, tables: tuple[str, ...]) -> dict[str, int]:
    """The bytes of tables by the name under which a migration speaks of them; those that are not there are left out."""
    found = {}
    for table in tables:
        query = "SELECT pg_catalog.pg_table_size(to_regclass(%s))"
        try:
            size = session.value(query, (table,), attempted=f"look at the size of {table}")
        except RunbookError as error:
            if error.code not in ("server_failed", "privilege_missing"):
                raise
            continue
        if size is not None:
            found[table] = int(size)
    return found


def row_estimates(session: Session, tables: tuple[str, ...]) -> dict[str, int]:
    """About how many rows tables have, as the server itself believes; those that are not there are left out."""
    query = "SELECT greatest(reltuples, 0)::int8 FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)"
    asked = {each: session.rows(query, (each,), attempted=f"look at the rows of {each}") for each in tables}
    return {table: int(found[0][0]) for table, found in asked.items() if found}
