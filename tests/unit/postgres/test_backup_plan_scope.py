# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tables, rows and sequences a selection means, and who may read them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup import rights
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.scope import Relation, Scope, choose, selection


def relation(oid: int, name: str, kind: str = "r", **facts: Any) -> Relation:
    schema, _dot, table = name.rpartition(".")
    return Relation(oid=oid, name=TableName(schema=schema or "public", name=table), kind=kind, **facts)


#: A partitioned table with a partition that is partitioned again, owned and free sequences, an extension's tables.
DATABASE = (
    relation(1, "users"),
    relation(2, "users_id_seq", "S", owner=1),
    relation(3, "free_seq", "S"),
    relation(4, "events", "p"),
    relation(5, "events_2026", "p", parent=4),
    relation(6, "events_2026_11", parent=5),
    relation(7, "events_old", parent=4, unlogged=True),
    relation(8, "app.orders"),
    relation(9, "app.orders_id_seq", "S", owner=8, identity=True),
    relation(10, "summary", "m"),
    relation(11, "remote", "f"),
    relation(12, "geo.systems", extension="geo", extension_config=True),
    relation(13, "geo.internal", extension="geo"),
)


def names(scope: Scope) -> set[str]:
    return {each.name.name for each in scope.tables}


def rows(scope: Scope) -> set[str]:
    return {each.name.name for each in scope.tables if each.oid in scope.data}


def sequences(scope: Scope) -> set[str]:
    return {each.name.name for each in scope.sequences}


def chosen(*, standby: bool = False, **options: list[str]) -> Scope:
    named = {name: options.get(name, []) for name in ("schemas", "tables", "exclude_tables", "exclude_table_data")}
    return choose(DATABASE, selection(**named), standby=standby)


def test_everything() -> None:
    scope = chosen()
    assert names(scope) == {each.name.name for each in DATABASE if each.kind != "S"} - {"internal"}
    assert rows(scope) == {"users", "events_2026_11", "events_old", "orders", "systems"}
    assert sequences(scope) == {"users_id_seq", "free_seq", "orders_id_seq"}
    assert scope.large_objects
    assert scope.arguments == ()
    assert {each.kind for each in scope.lockable} == {"r", "p"}


def test_a_standby_has_no_rows_in_unlogged_tables() -> None:
    assert rows(chosen(standby=True)) == {"users", "events_2026_11", "orders", "systems"}


def test_tables_bring_their_partitions_and_sequences() -> None:
    scope = chosen(tables=["events", "app.orders"])
    assert names(scope) == {"events", "events_2026", "events_2026_11", "events_old", "orders"}
    assert sequences(scope) == {"orders_id_seq"}
    assert not scope.large_objects
    assert "--strict-names" in scope.arguments
    assert '--table="app"."orders"' in scope.arguments
    assert '--table="public"."events_2026_11"' in scope.arguments


def test_schemas() -> None:
    scope = chosen(schemas=["app"])
    assert (names(scope), sequences(scope)) == ({"orders"}, {"orders_id_seq"})
    assert scope.arguments == ('--schema="app"', "--strict-names")


def test_what_was_migrated_goes_with_every_schema() -> None:
    """Else a database that is restored would be taken for as far as it was."""
    migrated = (*DATABASE, relation(14, "ops_runbooks.migrations"))
    scope = choose(migrated, selection(["app"], [], [], []), standby=False)
    assert names(scope) == {"orders", "migrations"}
    assert scope.arguments == ('--schema="app"', '--schema="ops_runbooks"', "--strict-names")
    assert names(choose(migrated, selection([], ["app.orders"], [], []), standby=False)) == {"orders"}


def test_excluded_tables_take_partitions_and_sequences_with_them() -> None:
    scope = chosen(exclude_tables=["events_2026", "users", "app.orders"])
    assert names(scope) == {"events", "events_old", "summary", "remote", "systems"}
    assert sequences(scope) == {"free_seq"}
    assert '--exclude-table="public"."users_id_seq"' in scope.arguments
    assert '--exclude-table="public"."events_2026_11"' in scope.arguments


def test_tables_without_their_rows() -> None:
    scope = chosen(exclude_table_data=["events"])
    assert rows(scope) == {"users", "orders", "systems"}
    assert "events_old" in names(scope)
    assert '--exclude-table-data="public"."events_old"' in scope.arguments
    both = chosen(exclude_table_data=["events"], exclude_tables=["events_2026"])
    assert '--exclude-table-data="public"."events_2026_11"' not in both.arguments


def test_what_is_asked_for_must_be_there() -> None:
    for options in ({"tables": ["nowhere"]}, {"schemas": ["nowhere"]}, {"tables": ["USERS"]}):
        with pytest.raises(RunbookError) as caught:
            chosen(**options)
        assert caught.value.code == "invalid_parameter"
    assert chosen(exclude_tables=["gone"], exclude_table_data=["app.gone"]).absent == ("public.gone", "app.gone")


def test_two_looks_are_equal_where_nothing_changed() -> None:
    assert chosen().identity == chosen().identity
    changed = [
        (*DATABASE, relation(99, "new")),
        DATABASE[1:],
        (relation(98, "users"), *DATABASE[1:]),
        (relation(1, "renamed"), *DATABASE[1:]),
    ]
    for relations in changed:
        assert choose(relations, selection([], [], [], []), standby=False).identity != chosen().identity


def refusal(scope: Scope, unreadable_large_objects: int = 0) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        rights.check(scope, role='odd"role', unreadable_large_objects=unreadable_large_objects, where="h:5432/d")
    return caught.value


def spoilt(**facts: Any) -> Scope:
    return choose(tuple(replace(each, **facts) for each in DATABASE), selection([], [], [], []), standby=False)


def test_rights() -> None:
    rights.check(chosen(), role="r", unreadable_large_objects=0, where="h")
    rights.check(chosen(tables=["users"]), role="r", unreadable_large_objects=3, where="h")
    denied = refusal(spoilt(readable=False))
    assert denied.code == "privilege_missing"
    assert "public.users" in denied.reason
    assert "more" in denied.reason
    assert 'GRANT pg_read_all_data TO "odd""role"' in denied.remedy
    assert refusal(chosen(), unreadable_large_objects=3).code == "privilege_missing"


def test_row_security_matters_where_rows_are_read() -> None:
    hidden = refusal(spoilt(rows_hidden=True))
    assert hidden.code == "row_security"
    assert "BYPASSRLS" in hidden.remedy
    everything = tuple(replace(each, rows_hidden=True) for each in DATABASE if each.kind != "S")
    without = selection([], ["users"], [], ["users"])
    rights.check(choose(everything, without, standby=False), role="r", unreadable_large_objects=0, where="h")
