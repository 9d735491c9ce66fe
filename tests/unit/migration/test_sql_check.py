# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQL taken apart, and what its statements do to others."""

from __future__ import annotations

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_check import judge
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import Unreadable, statements
from hypothesis import given
from hypothesis import strategies as st

ADDITIVE = (
    "CREATE TABLE a (x int, CHECK (x > 0))",
    "CREATE TABLE IF NOT EXISTS a AS SELECT 1 AS x",
    "CREATE INDEX ON a (x)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM a; SELECT CASE WHEN true THEN 1 END; END",
    "CREATE TYPE mood AS ENUM ('drop', 'table')",
    "ALTER TYPE mood ADD VALUE 'truncate'",
    "ALTER TABLE a ADD COLUMN y int",
    "ALTER TABLE a ADD y text NOT NULL DEFAULT 'x', ADD z numeric(10, 2) DEFAULT 0",
    "ALTER TABLE ONLY public.a ALTER COLUMN type SET DEFAULT 1",
    'ALTER TABLE IF EXISTS "drop"."rename" ALTER x DROP NOT NULL',
    "ALTER TABLE a VALIDATE CONSTRAINT c",
    "ALTER TABLE a SET (fillfactor = 70)",
    "COMMENT ON TABLE a IS 'drop it; rename it'",
    "GRANT SELECT ON a TO b",
    "INSERT INTO a VALUES (1, 'delete')",
    "WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x",
    "SELECT pg_catalog.set_config('search_path', '', false)",
    "SET LOCAL lock_timeout = '1s'",
    "ROLLBACK TO SAVEPOINT x",
)
UNCERTAIN = (
    "CREATE UNIQUE INDEX i ON a (x)",
    "CREATE OR REPLACE VIEW v AS SELECT 1",
    "CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION f()",
    "ALTER TABLE a ADD CONSTRAINT c CHECK (x > 0) NOT VALID",
    "ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES b",
    "ALTER TABLE a ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE a ALTER CONSTRAINT c DEFERRABLE",
    "UPDATE a SET x = 1 WHERE x IS NULL",
    "INSERT INTO a VALUES (1) ON CONFLICT (x) DO UPDATE SET y = 2",
    "DROP INDEX i",
    "DROP TRIGGER t ON a",
    "SELECT f()",
    "DO $$ BEGIN CREATE TYPE m AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN null; END $$",
    "CALL f()",
    "FROBNICATE a",
)
BREAKING = (
    "DROP TABLE a",
    "DROP VIEW IF EXISTS v",
    "ALTER TABLE a DROP COLUMN x",
    "ALTER TABLE a DROP x, ADD y int",
    "ALTER TABLE a RENAME x TO y",
    "ALTER TABLE a ALTER COLUMN x TYPE bigint",
    "ALTER TABLE a ALTER x SET DATA TYPE bigint USING x::bigint",
    "ALTER TABLE a ALTER x SET NOT NULL",
    "ALTER TABLE a ADD COLUMN y int NOT NULL",
    "ALTER TABLE a SET SCHEMA b",
    "ALTER TYPE mood RENAME TO moods",
    "ALTER VIEW v RENAME TO w",
    "TRUNCATE a",
    "DELETE FROM a WHERE x = 1",
    "UPDATE a SET x = 1",
    "WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone",
    "DO $x$ BEGIN DROP TABLE a; END $x$",
    "VACUUM FULL a",
)


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        *(("additive", each) for each in ADDITIVE),
        *(("uncertain", e) for e in UNCERTAIN),
        *(("breaking", e) for e in BREAKING),
    ],
)
def test_verdicts(verdict: str, text: str) -> None:
    (statement,) = statements(text + ";")
    judged = judge(statement)
    assert (judged.verdict, judged.refused) == (verdict, "")
    assert bool(judged.reason) == (verdict != "additive")


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN",
        "START TRANSACTION",
        "COMMIT",
        "END",
        "ROLLBACK",
        "PREPARE TRANSACTION 'x'",
        "COPY a FROM STDIN",
        "DISCARD ALL",
        "SET standard_conforming_strings = off",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
    ],
)
def test_what_no_migration_may_have(text: str) -> None:
    (statement,) = statements(text)
    assert judge(statement).refused


@pytest.mark.parametrize(
    "text",
    ["CREATE INDEX CONCURRENTLY i ON a (x)", "DROP INDEX CONCURRENTLY i", "VACUUM a", "REINDEX TABLE CONCURRENTLY a"],
)
def test_what_no_transaction_holds(text: str) -> None:
    (statement,) = statements(text)
    assert judge(statement).outside


def test_an_index_names_the_table_whose_writers_wait() -> None:
    (statement,) = statements('CREATE INDEX i ON ONLY app."My Table" (x)')
    assert judge(statement).blocks == 'app."My Table"'


def test_a_default_that_rewrites_is_told() -> None:
    rewriting = "ALTER TABLE a ADD x uuid DEFAULT gen_random_uuid()"
    assert [
        bool(judge(each).warnings) for each in statements(f"{rewriting}; ALTER TABLE a ADD y timestamptz DEFAULT now()")
    ] == [
        True,
        False,
    ]


def test_what_hides_a_semicolon() -> None:
    text = """
    -- a comment; with one
    /* and /* a nested ; */ one ; */
    SELECT ';', E'\\';', "a;b", $$;$$, $x$ ; $$ ; $x$, U&'d\\0061t;a', (1), $1;
    SELECT 2 -- the end
    """
    first, second = statements(text)
    assert (first.line, second.line) == (4, 5)
    assert second.text == "SELECT 2"


def test_a_head_shows_no_data() -> None:
    (statement,) = statements("INSERT INTO users (email) VALUES ('anna@example.com', 42)")
    assert statement.head == "INSERT INTO users(email) VALUES("


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'x",
        'SELECT "x',
        "SELECT $$x",
        "/* x",
        "SELECT E'\\'",
        "\\connect x",
        "SELECT (1",
        "SELECT 1)",
        "SELECT (1; SELECT 2",
    ],
)
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(Unreadable):
        statements(text)


PIECES = st.sampled_from(
    ["SELECT 1", "SELECT ';'", 'SELECT ";"', "SELECT $$;'$$", "SELECT (1)", "a /* ; */ b", "E'\\\\'"]
)


@given(st.lists(PIECES, min_size=1, max_size=6))
def test_what_was_joined_is_taken_apart(pieces: list[str]) -> None:
    assert [each.text for each in statements(";\n".join(pieces))] == pieces
