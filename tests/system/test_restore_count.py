# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts and statistics of a restored database, by several sessions at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import Connector, connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import TableFact, TableName
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore import count as restore_count
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.restore.count import Counting

from harness.servers import Database
from harness.stores import run_context

#: Every kind of relation that has statistics, and names that ask for quotes; as in a database that nobody analysed.
SCHEMA = """
CREATE SCHEMA "Odd ""schema";
CREATE TABLE "Odd ""schema"."SELECT 1; --" WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 900) AS n;
CREATE TABLE reading (day date, n int) PARTITION BY RANGE (day);
CREATE TABLE reading_2025 PARTITION OF reading FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
    WITH (autovacuum_enabled = off);
INSERT INTO reading SELECT date '2025-01-01' + n % 300, n FROM generate_series(1, 3000) n;
CREATE TABLE animal (name text) WITH (autovacuum_enabled = off);
CREATE TABLE cat (lives int) INHERITS (animal) WITH (autovacuum_enabled = off);
INSERT INTO animal SELECT 'a' || n FROM generate_series(1, 50) n;
INSERT INTO cat SELECT 'c' || n, 9 FROM generate_series(1, 70) n;
CREATE MATERIALIZED VIEW week WITH (autovacuum_enabled = off) AS SELECT n / 7 AS n FROM reading;
"""
#: Tables that have statistics of their own, and those that have them for all that inherit from them.
KNOWN = """
SELECT DISTINCT format('%I.%I%s', schemaname, tablename, CASE WHEN inherited THEN ' with heirs' ELSE '' END)
FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""


@pytest.fixture
def way(database: Database) -> Iterator[Connector]:
    """To a database that holds the schema above."""
    database.execute(SCHEMA)
    way = connector(database.args, run_context())
    try:
        yield way
    finally:
        way.close()


def counting(way: Connector, workers: int) -> Counting:
    return Counting(way.open, workers, run_context(), superuser=True)


def fact(schema: str, name: str) -> TableFact:
    return TableFact(schema=schema, name=name, kind="table", rows=0, rows_by="exact", bytes=0, data=True)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("size", [1, 8 << 20])
def test_everything_that_can_have_statistics_has_them(
    database: Database, way: Connector, workers: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_count, "_AT_ONCE", 7)
    assert database.rows(KNOWN) == []
    work = counting(way, workers)
    tables = [fact('Odd "schema', "SELECT 1; --"), fact("public", "animal")]
    work.run(tables, {table.table: size for table in tables}, None)
    assert {name for (name,) in database.rows(KNOWN)} == {
        '"Odd ""schema"."SELECT 1; --"',
        "public.reading with heirs",
        "public.reading_2025",
        "public.animal",
        "public.animal with heirs",
        "public.cat",
        "public.week",
    }
    assert database.value("SELECT count(*) FROM pg_stats WHERE tablename = 'pg_attribute'") > 0
    assert work.counts == {
        TableName(schema='Odd "schema', name="SELECT 1; --"): 900,
        TableName(schema="public", name="animal"): 50,
    }
    assert work.analyze_seconds > 0


def test_a_time_limit_ends_all_of_it(database: Database, way: Connector) -> None:
    with way.open() as holder:
        holder.execute("BEGIN; LOCK TABLE animal IN ACCESS EXCLUSIVE MODE", attempted="hold a table")
        with pytest.raises(RunbookError, match=r"not counted in the 1 s that were left") as caught:
            counting(way, 2).run([], {}, 1.0)
    assert caught.value.code == "timed_out"
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'ANALYZE%'"
    assert database.value(busy) == 0


def test_own_sessions_do_not_wait_for_each_other(
    database: Database, way: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is bound by forced row security locks the table to count it, which ANALYZE may use for minutes."""
    database.execute("""
        CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
            $$ BEGIN IF current_query() LIKE 'ANALYZE%' THEN PERFORM pg_sleep(0.01); END IF; RETURN n; END $$;
        CREATE TABLE bound WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 30) AS n;
        CREATE STATISTICS slowly ON (public.slow(n)), n FROM bound;
        ALTER TABLE bound FORCE ROW LEVEL SECURITY""")
    monkeypatch.setattr(restore_count, "_LOCK_TIMEOUT", timedelta(milliseconds=100))
    bound = replace(fact("public", "bound"), row_security_forced=True)
    work = Counting(way.open, 2, run_context(), superuser=False)
    work.run([bound], {bound.table: 8 << 20}, None)
    assert work.counts == {bound.table: 30}
    assert database.value("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'bound'")
