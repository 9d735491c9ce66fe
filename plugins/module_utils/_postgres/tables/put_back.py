# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How rows are put back from a restored table (private to ops.runbooks). Pure: commands that a person pastes.

Nobody but a person can say which rows are wanted, so nothing of this is carried out here. The commands are whole and
stop at the first error; a password is asked for, or comes from PGPASSFILE, never from a command line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.archive import Entry, Head
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Endpoint, TableName, quote_identifier
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.database import quote_literal
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.tables.scope import owned_column

_STOP = "--no-psqlrc --set=ON_ERROR_STOP=1"
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@%+-]+")


def put_back(
    tables: Mapping[TableName, Sequence[TableName]],
    heads: Collection[Head],
    *,
    endpoint: Endpoint,
    copy: str,
    live: str | None,
    present: Mapping[TableName, bool],
) -> list[dict[str, Any]]:
    """For each table, given with its partitions, the commands, and what to know before.

    ``present`` says whether the live database has it.
    """
    data = {
        TableName(schema=entry.namespace or "", name=entry.tag): entry
        for head in heads
        for entry in head.entries
        if entry.desc == "TABLE DATA"
    }
    target = live or "the live database"
    found = []
    for table, parts in tables.items():
        exists = present.get(table)
        whole = exists is False
        if whole:
            commands = _whole(parts, endpoint, copy, target)
        else:
            columns = next((_columns(data[each]) for each in parts if each in data), "")
            commands = _rows(table, columns, endpoint, copy, target) + _sequences(table, heads, endpoint, target)
        found.append(
            {
                "table": table.text,
                "in_live_database": exists,
                "commands": commands,
                "notes": _WHOLE if whole else _ROWS.format(schema=quote_identifier(_beside(table))),
            }
        )
    return found


_WHOLE = (
    "The table is gone from the live database: this makes it again, with partitions, rows, keys, indexes and its "
    "sequences. What restore.skipped names (foreign keys, triggers, policies, privileges) is "
    "to be made again from the migrations; until then no policy guards the table, so do it before the API sees it."
)
_ROWS = (
    "The table is there: rows whose key is missing are put back, rows that are there stay as they are. The INSERT "
    "checks foreign keys and fires triggers of the live table; put back first what others refer to. The last "
    "statements move sequences forward, never back. Where the table has no key, rows that are there would come twice. "
    "On the way the rows are in schema {schema}, which is open to nobody but the role that makes it, and which the "
    "command with the INSERT drops. Where that or the one before it fails, the schema stays: run that command again "
    "once the cause is gone, or give up with DROP SCHEMA {schema} CASCADE in the live database."
)


def _conninfo(endpoint: Endpoint, database: str) -> str:
    """How psql and pg_dump reach a database of that server; nothing secret."""
    parts = {"host": endpoint.socket or endpoint.host, "port": str(endpoint.port), "user": endpoint.user}
    return shlex.quote(" ".join(f"{name}={_value(value)}" for name, value in {**parts, "dbname": database}.items()))


def _value(text: str) -> str:
    """As libpq reads it; quoted only where it must be, since within a shell's quotes that is hard on the eye."""
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _psql(endpoint: Endpoint, database: str, *statements: str) -> str:
    said = " ".join(f"--command={shlex.quote(statement)}" for statement in statements)
    return f"psql {_STOP} --single-transaction --dbname={_conninfo(endpoint, database)} {said}".rstrip()


def _whole(parts: Sequence[TableName], endpoint: Endpoint, copy: str, live: str) -> list[str]:
    named = " ".join(f"--table={shlex.quote(each.quoted)}" for each in parts)
    dump = f"pg_dump --dbname={_conninfo(endpoint, copy)} {named}"
    return [f"set -o pipefail; {dump} | {_psql(endpoint, live)}"]


def _rows(table: TableName, columns: str, endpoint: Endpoint, copy: str, live: str) -> list[str]:
    """By way of a table beside it, which has no triggers and no keys; columns as the archive copies them.

    It is in a schema of its own: in that of the table default privileges would open it, which no policy guards, to
    whoever comes through an API.
    """
    schema = quote_identifier(_beside(table))
    beside = f"{schema}.{quote_identifier(table.name)}"
    chosen, listed = (f" ({columns})" if columns else ""), columns or "*"
    out = f"COPY (SELECT {listed} FROM {table.quoted}) TO STDOUT"
    return [
        _psql(
            endpoint,
            live,
            f"CREATE SCHEMA {schema}",
            f"CREATE TABLE {beside} AS SELECT {listed} FROM {table.quoted} WITH NO DATA",
            f"ALTER TABLE {beside} ENABLE ROW LEVEL SECURITY",
        ),
        f"set -o pipefail; {_psql(endpoint, copy, out)} | {_psql(endpoint, live, f'COPY {beside} FROM STDIN')}",
        _psql(
            endpoint,
            live,
            f"INSERT INTO {table.quoted}{chosen} OVERRIDING SYSTEM VALUE SELECT {listed} FROM {beside} "
            "ON CONFLICT DO NOTHING",
            f"DROP TABLE {beside}",
            f"DROP SCHEMA {schema}",
        ),
    ]


def _beside(table: TableName) -> str:
    """The schema in which rows wait."""
    return f"{table.name[:40]}__restored"


def _columns(data: Entry) -> str:
    """``COPY schema.table (a, b) FROM stdin;`` without what is around the columns; '' where it names none."""
    text = data.copy or ""
    begin, end = text.find(" ("), text.rfind(") FROM stdin;")
    return text[begin + 2 : end] if 0 <= begin < end else ""


def _sequences(table: TableName, heads: Collection[Head], endpoint: Endpoint, live: str) -> list[str]:
    """Sequences of the table move behind its highest value; pg_dump's own setval would move them back."""
    statements = []
    for head in heads:
        for entry in head.entries:
            if entry.desc not in ("SEQUENCE", "SEQUENCE OWNED BY") or entry.namespace is None:
                continue
            column = owned_column(entry, table)
            if column is None:
                continue
            sequence = TableName(schema=entry.namespace, name=entry.tag).quoted
            statements.append(
                f"SELECT setval({quote_literal(sequence)}, greatest((SELECT last_value FROM {sequence}), "
                f"(SELECT coalesce(max({column}), 1) FROM {table.quoted})))"
            )
    return [_psql(endpoint, live, *dict.fromkeys(statements))] if statements else []
