# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is looked at in a restored database beside the comparison with its manifest (private to ops.runbooks).

Constraints and indexes must be valid, amcheck must find the structure of tables and indexes in order where it was asked
for, and the user's own assertions must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Session
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import quote_identifier

_ATTEMPTED = "check the restored database"
_NOT_VALIDATED = """
SELECT c.conrelid::pg_catalog.regclass::pg_catalog.text, c.conname::pg_catalog.text
FROM pg_catalog.pg_constraint c WHERE NOT c.convalidated AND c.conrelid <> 0 ORDER BY 1, 2"""
_CONSTRAINTS = """
SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
WHERE c.conrelid <> 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema')"""
_INVALID_INDEXES = """
SELECT i.indexrelid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid AND c.relkind = 'i' ORDER BY 1"""
_AMCHECK_SCHEMA = """
SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'"""
#: Everything that users keep: no system catalogs, nothing temporary.
_RELATIONS = """
SELECT c.oid::pg_catalog.int8, c.oid::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
WHERE c.relkind = ANY(%s) AND a.amname = %s AND c.relnamespace NOT IN
    (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'pg_toast'))
AND c.relpersistence = 'p' AND coalesce(i.indisvalid, true) ORDER BY 1"""
_SHOWN = 5
#: Failures that mean the run, or the way to the server, and not what a user has asserted.
_NOT_ITS_FAULT = frozenset({"controller_gone", "lock_lost", "run_aborted", "server_unreachable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What a user wants to be true of the restored data; ``expect`` is what the statement must return."""

    name: str
    sql: str
    expect: Any = True

    def holds(self, value: Any) -> bool:
        """Whether a value is the expected one. A number is one however it is written, and true is only true."""
        if isinstance(self.expect, bool) or isinstance(value, bool):
            return value is self.expect
        return bool(value == self.expect) or (value is not None and str(value) == str(self.expect))


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was looked at, all of it in order; None where it was not asked for."""

    constraints: int
    indexes: int | None
    heaps: int | None
    assertions: tuple[str, ...]


def check_constraints(session: Session, heads: Collection[Head], label: str) -> int:
    """Every constraint and index is valid that was so in the original; returns how many constraints there are."""
    left_open = {
        entry.tag.rsplit(" ", 1)[-1]
        for head in heads
        for entry in head.entries
        if entry.desc.endswith("CONSTRAINT") and "NOT VALID" in (entry.defn or "")
    }
    found = session.rows(_NOT_VALIDATED, attempted=_ATTEMPTED)
    wrong = [f"constraint {name} of {table} is not validated" for table, name in found if name not in left_open]
    wrong += [f"index {name} is not valid" for (name,) in session.rows(_INVALID_INDEXES, attempted=_ATTEMPTED)]
    _require(wrong, label)
    return int(session.value(_CONSTRAINTS, attempted=_ATTEMPTED))


def run_amcheck(session: Session, label: str, look_in: Callable[[], None]) -> tuple[int, int] | None:
    """Let amcheck look at each B-tree and each table; how many of both. None where the extension is not there.

    ``look_in`` is called before each relation, and raises where the work must stop.
    """
    found = session.rows(_AMCHECK_SCHEMA, attempted=_ATTEMPTED)
    if not found:
        return None
    schema = quote_identifier(found[0][0])
    wrong: list[str] = []
    indexes = session.rows(_RELATIONS, (["i"], "btree"), attempted=_ATTEMPTED)
    for oid, name in indexes:
        look_in()
        try:
            session.rows(f"SELECT {schema}.bt_index_check(%s::pg_catalog.regclass)", (str(oid),), attempted=_ATTEMPTED)
        except RunbookError as error:
            if error.code != "server_failed":
                raise
            wrong.append(f"index {name}: {error.reason}")
    heaps = session.rows(_RELATIONS, (["r", "m"], "heap"), attempted=_ATTEMPTED)
    for oid, name in heaps:
        look_in()
        statement = f"SELECT msg FROM {schema}.verify_heapam(%s::pg_catalog.regclass) LIMIT 1"
        wrong += [
            f"table {name}: {message}" for (message,) in session.rows(statement, (str(oid),), attempted=_ATTEMPTED)
        ]
    _require(wrong, label)
    return len(indexes), len(heaps)


def run_assertions(
    open_session: Callable[[], Session], assertions: Sequence[Assertion], timeout: timedelta, label: str
) -> tuple[str, ...]:
    """Ask what users want to be true, each in a session of its own that only reads; returns the names.

    Raises ``verification_failed`` naming each that does not hold.
    """
    wrong = []
    for each in assertions:
        with open_session() as session:
            limit = int(timeout.total_seconds() * 1000)
            settings = f"SET default_transaction_read_only = on; SET statement_timeout = {limit}"
            session.execute(settings, attempted="prepare a session")
            try:
                rows = session.rows(each.sql, attempted=f"ask assertion {each.name}")
            except RunbookError as error:
                if error.code in _NOT_ITS_FAULT:
                    raise
                wrong.append(f"assertion {each.name} could not be asked: {error.reason}")
                continue
        if len(rows) != 1 or not rows[0]:
            wrong.append(f"assertion {each.name} returned {len(rows)} rows instead of one")
        elif not each.holds(rows[0][0]):
            wrong.append(f"assertion {each.name} returned {_shown(rows[0][0])} instead of {each.expect}")
    _require(wrong, label)
    return tuple(each.name for each in assertions)


def _shown(value: Any) -> str:
    """A value as a failure may show it: numbers and truth values only, since anything else may be somebody's data."""
    return str(value) if value is None or isinstance(value, (bool, int, float)) else "something else"


def _require(wrong: Sequence[str], label: str) -> None:
    if not wrong:
        return
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    raise RunbookError(
        code="verification_failed",
        attempted=_ATTEMPTED,
        object=label,
        reason="; ".join(wrong[:_SHOWN]) + more,
        remedy="The bytes of the backup are those that were written, and it is not called proven. Find out whether the "
        "live database has the same fault, or whether the check is wrong.",
        details={"wrong": list(wrong)},
    )
