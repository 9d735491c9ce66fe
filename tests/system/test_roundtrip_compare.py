# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The comparison of databases sees each kind of difference, and none where there is none.

Without this, "no differences" in the round trips would prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from harness.servers import Database, fresh_database
from roundtrip import nasty_database
from roundtrip.catalogs import CATALOGS
from roundtrip.compare import Difference, compare
from roundtrip.mutations import MUTATIONS, MUTATIONS_OF_DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox import PostgresServer


@pytest.fixture(scope="module")
def nasty(postgres: PostgresServer) -> Iterator[Database]:
    """The nasty database, only to be read."""
    with fresh_database(postgres) as made:
        nasty_database.load(made)
        yield made


@pytest.fixture
def copy(nasty: Database) -> Database:
    """A copy made by the server itself, file by file. What belongs to the database itself is not copied."""
    made = nasty.sibling(f"{nasty.name}_copy")
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(made.name), sql.Identifier(nasty.name))
    with nasty.sibling("postgres").connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(made.name)))
        connection.execute(statement)
    return made


def test_a_copy_does_not_differ(nasty: Database, copy: Database) -> None:
    assert _names(_compare(nasty, copy)) == set()


def test_each_change_is_seen_and_nothing_else(nasty: Database, copy: Database) -> None:
    with copy.connect() as connection:
        for statement in MUTATIONS:
            connection.execute(statement.encode())
    try:
        found = _compare(nasty, copy)
    finally:
        # A database that has one cannot be dropped.
        copy.execute("DROP SUBSCRIPTION added")
    assert _names(found) == {name for names in MUTATIONS.values() for name in names}


def test_each_change_of_the_database_itself_is_seen(make_database: Callable[[], Database]) -> None:
    one = make_database()
    for statement, expected in MUTATIONS_OF_DATABASE.items():
        other = make_database()
        with other.connect() as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(other.name)))
            found = _compare(one, other)
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(other.name)))
        assert _names_with_properties(found) == set(expected), statement


def test_every_kind_has_a_change_that_proves_it() -> None:
    proven = {name for names in (MUTATIONS | MUTATIONS_OF_DATABASE).values() for name in names}
    kinds = {catalog.kind for catalog in CATALOGS} | {
        *("rows", "sequence state", "large object content", "system privileges")
    }
    assert {kind for kind in kinds if not any(name.startswith(f"{kind} ") for name in proven)} == set()


def test_differing_rows_are_shown(database: Database, make_database: Callable[[], Database]) -> None:
    other = make_database()
    for made, value in ((database, "one"), (other, "two")):
        made.execute("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'same'), (1, 'same')")
        made.execute("INSERT INTO t VALUES (2, %s)", value)
    (difference,) = _compare(database, other)
    assert difference.one["such as"] == ["(2,one)"]
    assert difference.other["such as"] == ["(2,two)"]
    assert str(difference) == "rows public.t: such as: ['(2,one)'] became ['(2,two)']"


def test_how_often_a_row_is_there_counts(database: Database, make_database: Callable[[], Database]) -> None:
    other = make_database()
    for made, values in ((database, "(1), (1), (2)"), (other, "(1), (2), (2)")):
        made.execute(f"CREATE TABLE t (id int); INSERT INTO t VALUES {values}")
    assert _names(_compare(database, other)) == {"rows public.t"}


def _compare(one: Database, other: Database) -> list[Difference]:
    return compare(nasty_database.conninfo(one), nasty_database.conninfo(other))


def _names(found: list[Difference]) -> set[str]:
    """What differs, without what a copy by the server leaves behind."""
    names = {f"{difference.kind} {difference.name}" for difference in found}
    return {name for name in names if "this database" not in name and not name.startswith("setting ")}


def _names_with_properties(found: list[Difference]) -> set[str]:
    names = set()
    for difference in found:
        name = f"{difference.kind} {difference.name}"
        if difference.kind == "database":
            changed = {key for key in difference.one if difference.one[key] != difference.other[key]}
            names |= {f"{name}: {key}" for key in changed}
        else:
            names.add(name)
    return names
