# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files become migrations, and migrations a plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._migration.back import Cover, plan_back, plan_resolve
from ansible_collections.ops.runbooks.plugins.module_utils._migration.files import look_into, look_into_down, read_files
from ansible_collections.ops.runbooks.plugins.module_utils._migration.ledger import index_name
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import File, Ledger, Row
from ansible_collections.ops.runbooks.plugins.module_utils._migration.plan import (
    BIG,
    Seen,
    all_or_nothing,
    check_planned,
    plan_apply,
    resume_of,
)
from ansible_collections.ops.runbooks.plugins.module_utils._migration.sql_tokens import statements

AT = datetime(2026, 11, 20, 2, tzinfo=UTC)
ADD = "CREATE TABLE {} (x int);"
DROP = "-- runbooks: phase=contract\nDROP TABLE old;"


def files(**contents: str) -> tuple[File, ...]:
    """``_1_a="..."`` is the file ``1_a.sql``."""
    return read_files({f"{name[1:].replace('__', '.')}.sql": text.encode() for name, text in contents.items()}, "here")


def applied(file: File, *, minute: int = 0, **changes: object) -> Row:
    row = Row(name=file.name, checksum=file.checksum, phase=file.phase or "expand", state="applied")
    return replace(row, applied_at=AT.replace(minute=minute), **changes)  # type: ignore[arg-type]


def seen(found: tuple[File, ...], *rows: Row) -> Seen:
    done = {row.name for row in rows if row.state == "applied"}
    pending = tuple(look_into(each) for each in found if each.name not in done)
    return Seen(files=found, pending=pending, ledger=Ledger(exists=True, rows=rows), where="db:5432/app", source="here")


def test_order_is_by_number() -> None:
    found = files(_10_c=ADD, _9_b=ADD, _0001_a=ADD)
    assert [each.name for each in found] == ["0001_a", "9_b", "10_c"]


def test_up_and_down_are_one_migration() -> None:
    (found,) = files(_1_a__up=ADD, _1_a__down="DROP TABLE a")
    assert (found.name, found.down) == ("1_a", "DROP TABLE a")


def test_line_ends_are_no_change() -> None:
    unix, windows = (
        read_files({"1_a.sql": text}, "here")[0] for text in (b"SELECT 1;\n", b"\xef\xbb\xbfSELECT 1;\r\n")
    )
    assert unix.up == windows.up
    assert read_files({"1_a.sql": b"SELECT 1;\r\n"}, "here")[0].checksum == unix.checksum


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("create_a.sql", "SELECT 1"),
        ("1_a.down.sql", "SELECT 1"),
        ("1_ä.sql", "SELECT 1"),
        ("1_a.sql", "-- runbooks: phase=contrat\nSELECT 1"),
        ("1_a.sql", "-- runbooks: phases=contract\nSELECT 1"),
        ("1_a.sql", "-- runbooks: no-transaction=yes\nSELECT 1"),
        ("1_a.sql", "SELECT 1;\n-- runbooks: phase=contract\nDROP TABLE a"),
    ],
)
def test_files_that_are_no_migrations(name: str, text: str) -> None:
    with pytest.raises(RunbookError) as caught:
        read_files({name: text.encode()}, "here")
    assert caught.value.code == "migration_unusable"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("DROP TABLE a", "phase=contract"),
        ("UPDATE a SET x = 1 WHERE y", "phase=expand"),
        ("-- runbooks: phase=expand\nDROP TABLE a", "declared as expand"),
        ("CREATE INDEX CONCURRENTLY i ON a (x)", "no-transaction"),
        ("BEGIN; SELECT 1; COMMIT", "BEGIN"),
        ("SELECT 'x", "no end"),
        ("-- nothing\n", "no statement"),
    ],
)
def test_what_is_not_run(text: str, says: str) -> None:
    found = files(_1_a=ADD, _2_b=text, _3_c=ADD)
    with pytest.raises(RunbookError) as caught:
        plan_apply(seen(found), "expand")
    assert caught.value.code == "migration_unusable"
    assert says in caught.value.message
    assert list((caught.value.details or {})["refused"]) == ["2_b"]


def test_what_is_for_later_does_not_stand_in_the_way() -> None:
    found = files(_1_a=ADD, _2_b="-- runbooks: phase=contract\nDROP TABLE a; BEGIN", _3_c=ADD)
    plan = plan_apply(seen(found), "expand")
    assert [each.name for each in plan.chosen] == ["1_a", "3_c"]
    assert plan.result["later"] == ["2_b"]
    assert "3_c runs before 2_b" in plan.warnings[0]
    with pytest.raises(RunbookError):
        plan_apply(seen(found), "contract")


def test_nothing_but_what_was_planned() -> None:
    """Fewer may be left than were planned, since others may have run them; none may be new, or another one."""
    found = seen(files(_1_a=ADD.format("a"), _2_b=ADD.format("b")))
    plan = plan_apply(found, "expand")
    planned = {each.name: each.checksum for each in plan.chosen}
    check_planned(found, plan.chosen, planned)
    check_planned(found, plan.chosen[1:], planned)
    for wrong in ({}, {**planned, "1_a": "other"}, {"1_a": planned["1_a"]}):
        with pytest.raises(RunbookError) as caught:
            check_planned(found, plan.chosen, wrong)
        assert caught.value.code == "plan_changed"


def test_phases() -> None:
    found = files(_1_a=ADD, _2_b=DROP, _3_c=ADD)
    chosen = {
        phase: [each.name for each in plan_apply(seen(found), phase).chosen] for phase in ("expand", "contract", "all")
    }
    assert chosen == {"expand": ["1_a", "3_c"], "contract": ["1_a", "2_b"], "all": ["1_a", "2_b", "3_c"]}
    assert plan_apply(seen(found), "all").irreversible == ("2_b: DROP TABLE takes something away",)


def test_nothing_is_pending() -> None:
    (only,) = found = files(_1_a=ADD)
    plan = plan_apply(seen(found, applied(only)), "all")
    assert not plan.changed
    assert plan.result["head"] == "1_a"


def test_a_ledger_that_is_ahead_is_no_fault() -> None:
    older, newer = files(_1_a=ADD, _2_b=ADD)
    plan = plan_apply(seen((older,), applied(older), applied(newer)), "expand")
    assert (plan.changed, plan.result["ahead"]) == (False, ["2_b"])


def test_drift() -> None:
    (only,) = found = files(_1_a=ADD)
    with pytest.raises(RunbookError) as caught:
        plan_apply(seen(found, applied(only, checksum="0" * 64)), "expand")
    assert caught.value.code == "migration_drift"
    assert "1_a" in caught.value.message


def test_the_digest_is_of_names_contents_and_phases() -> None:
    one, same, other = (plan_apply(seen(files(_1_a=text)), "all").result["digest"] for text in (ADD, ADD, ADD + "\n"))
    assert one == same != other


def test_an_index_on_a_big_table_is_warned_of() -> None:
    found = seen(files(_1_a="CREATE INDEX ON orders (x); CREATE TABLE new (x int); CREATE INDEX ON new (x)"))
    assert found.pending[0].blocks == ("orders",)
    assert not plan_apply(replace(found, sizes={"orders": BIG - 1}), "all").warnings
    assert "orders (256.0 MiB)" in plan_apply(replace(found, sizes={"orders": BIG}), "all").warnings[0]


def test_what_is_done_to_a_table_of_the_same_file_disturbs_nobody() -> None:
    text = 'CREATE TABLE "User" (id int); CREATE UNIQUE INDEX u ON "User"(id); ALTER TABLE "User" ADD UNIQUE (id);'
    (found,) = files(_1_a=text)
    assert not look_into(found).refused
    (other,) = files(_1_a=text.replace('ALTER TABLE "User"', 'ALTER TABLE "Order"'))
    assert look_into(other).refused


MADE = "CREATE TABLE made (id int); "


@pytest.mark.parametrize(
    "text",
    [
        # It may be there already, with rows and readers.
        "CREATE TABLE IF NOT EXISTS made (id int); ALTER TABLE made ADD UNIQUE (id)",
        # The name may mean another table by then, or the table is not there any more.
        MADE + "SET search_path = old; ALTER TABLE made ADD UNIQUE (id)",
        MADE + "RESET search_path; ALTER TABLE made ADD UNIQUE (id)",
        MADE + "SELECT set_config('search_path', 'old', false); ALTER TABLE made ADD UNIQUE (id)",
        "SAVEPOINT s; " + MADE + "ROLLBACK TO s; ALTER TABLE made ADD UNIQUE (id)",
        "CREATE TEMP TABLE made (id int) ON COMMIT DROP; ALTER TABLE made ADD UNIQUE (id)",
        # Others have to do with it.
        MADE + "ALTER TABLE made ATTACH PARTITION orders FOR VALUES IN (1)",
        MADE + "ALTER TABLE made INHERIT orders",
        "CREATE TABLE made (id int) INHERITS (orders); ALTER TABLE made ADD UNIQUE (id)",
        "CREATE TABLE made PARTITION OF orders FOR VALUES IN (1)",
    ],
)
def test_what_is_not_sure_to_be_the_table_of_the_same_file(text: str) -> None:
    (found,) = files(_1_a=text)
    assert any("begin the file with" in each for each in look_into(found).refused)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE IF NOT EXISTS users (id int); ALTER TABLE users DROP COLUMN email",
        "CREATE TABLE users (id int); SET search_path = old; ALTER TABLE users DROP COLUMN email",
        "CREATE TABLE users (id int); ALTER TABLE users DROP COLUMN id",
        "CREATE TABLE users (id int); ALTER TABLE users RENAME TO people",
        "CREATE TABLE users (id int); ALTER TABLE users ADD y int, SET SCHEMA old",
    ],
)
def test_what_takes_away_is_never_overlooked(text: str) -> None:
    (found,) = files(_1_a="-- runbooks: phase=expand\n" + text)
    migration = look_into(found)
    assert migration.destructive
    assert "declared as expand" in migration.refused[0]


def test_partitions_of_a_table_of_the_same_file() -> None:
    text = "CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT;"
    text += " ALTER TABLE p1 ADD CHECK (id > 0)"
    (found,) = files(_1_a=text)
    assert not look_into(found).refused


@pytest.mark.parametrize(
    "text",
    [
        "SET search_path = tenant",
        "SET ROLE owner",
        "RESET ROLE",
        "SELECT set_config('search_path', 'tenant', false)",
        "CREATE TEMP TABLE found AS SELECT 1 AS id",
        "DO $$ BEGIN SET search_path = tenant; END $$",
        "DO $$ BEGIN PERFORM set_config('search_path', 'tenant', false); END $$",
    ],
)
def test_a_session_does_not_last_outside_of_a_transaction(text: str) -> None:
    """A run that goes on in the middle of the file has another one."""
    header = "-- runbooks: phase=expand no-transaction\n"
    (alone,) = files(_1_a=f"{header}{text};\nCREATE INDEX CONCURRENTLY i ON orders (x)")
    (refused,) = look_into(alone).refused
    assert "line 2" in refused
    assert "session" in refused
    (whole,) = files(_1_a=f"-- runbooks: phase=expand\n{text};\nCREATE INDEX i ON orders (x)")
    assert not look_into(whole).refused


def test_a_way_back_has_its_own_header() -> None:
    (found,) = read_files(
        {
            "1_a.up.sql": b"-- runbooks: no-transaction lock_timeout=1s\nCREATE INDEX CONCURRENTLY i ON a (x)",
            "1_a.down.sql": b"-- runbooks: statement_timeout=2h\nDROP INDEX i; DELETE FROM a",
        },
        "here",
    )
    down, _judged = look_into_down(found)
    assert (down.transaction, down.lock_timeout, down.statement_timeout) == (True, None, timedelta(hours=2))
    assert not down.refused
    (other,) = files(_1_a__up=ADD, _1_a__down="DROP INDEX CONCURRENTLY i")
    assert "no-transaction" in look_into_down(other)[0].refused[0]
    with pytest.raises(RunbookError) as caught:
        files(_1_a__up=ADD, _1_a__down="-- runbooks: no_transaction\nDROP INDEX CONCURRENTLY i")
    assert "1_a.down" in caught.value.message


def test_a_carriage_return_ends_a_comment() -> None:
    """So does the server take it: what stands behind it is run."""
    (found,) = read_files({"1_a.sql": b"-- a comment\r-- runbooks: phase=contract\rDROP TABLE a"}, "here")
    assert (found.phase, [each.head for each in look_into(found).statements]) == ("contract", ["DROP TABLE a"])
    with pytest.raises(RunbookError):
        read_files({"1_a.sql": b"-- a comment\rDROP TABLE a;\n-- runbooks: phase=contract"}, "here")


# --- A run that stopped ----------------------------------------------------------------------------------

BUILD = "-- runbooks: no-transaction\nCREATE INDEX CONCURRENTLY i ON a (x); ANALYZE a; INSERT INTO a VALUES (1)"


@pytest.mark.parametrize(
    ("done", "failed", "index", "at", "drop", "stuck"),
    [
        (0, False, "absent", 0, "", False),
        (0, False, "public.i", 0, "public.i", False),
        (0, True, "public.i", 0, "public.i", False),
        (0, False, "valid", 1, "", False),
        (1, False, None, 1, "", False),
        (2, False, None, 2, "", True),
        (2, True, None, 2, "", False),
        (3, False, None, 3, "", False),
    ],
)
def test_resume(done: int, failed: bool, index: str | None, at: int, drop: str, stuck: bool) -> None:
    (file,) = files(_1_a=BUILD)
    row = applied(file, state="started", done=done, failed=failed, run_id="r1")
    found = resume_of(row, look_into(file), index)
    assert (found.at, found.drop, bool(found.stuck)) == (at, drop, stuck)


def test_a_file_that_was_changed_meanwhile() -> None:
    (file,) = files(_1_a=BUILD)
    row = applied(file, state="started", checksum="0" * 64)
    assert resume_of(replace(row, failed=True), look_into(file), None).stuck == ""
    assert "changed" in resume_of(replace(row, done=1), look_into(file), None).stuck
    assert "changed" in resume_of(row, look_into(file), None).stuck
    left = resume_of(replace(row, failed=True), look_into(file), "public.i")
    assert (left.at, left.drop) == (0, "public.i")
    assert resume_of(replace(row, failed=True), look_into(file), "valid").at == 0


@pytest.mark.parametrize(
    ("text", "whole"),
    [("DO $$ BEGIN COMMIT; END $$", False), ("CALL p()", False), ("UPDATE a SET x = 1", True), ("ANALYZE", True)],
)
def test_what_failed_and_may_have_done_something(text: str, whole: bool) -> None:
    assert all_or_nothing(statements(text)[0]) == whole


def test_each_that_stopped_is_gone_on_with() -> None:
    """One that is for later and stuck does not hide another."""
    later = BUILD.replace("no-transaction", "no-transaction phase=contract")
    found = files(_1_a=later, _2_b=BUILD)
    rows = [applied(each, state="started", done=2, failed=each.name == "2_b") for each in found]
    resumes = {row.name: resume_of(row, look_into(file), None) for row, file in zip(rows, found, strict=True)}
    world = replace(seen(found, *rows), resumes=resumes)
    assert "from statement 3 of 3" in plan_apply(world, "expand").steps[0]
    with pytest.raises(RunbookError) as caught:
        plan_apply(world, "all")
    assert caught.value.code == "migration_unfinished"


@pytest.mark.parametrize(
    ("index", "there", "found"),
    [
        ("i", ("j", "i"), "i"),
        ("i", ("I",), None),
        ("i" * 70, ("i" * 63,), "i" * 63),
        ("ä" * 40, ("ä" * 31,), "ä" * 31),
        ("äb", ("Äb",), "Äb"),
        ("äb", ("b",), None),
    ],
)
def test_the_name_that_an_index_has_got(index: str, there: tuple[str, ...], found: str | None) -> None:
    assert index_name(index, there) == found


# --- Back ------------------------------------------------------------------------------------------------

COVER = Cover(backup="b1", taken_at="2026-11-20T03:00:00Z", rows={"b": 12})


def pair() -> tuple[File, ...]:
    return files(_1_a__up=ADD, _1_a__down="DROP TABLE a", _2_b__up=ADD, _2_b__down="DROP TABLE b")


def test_back() -> None:
    found = pair()
    plan = plan_back(seen(found, *(applied(each) for each in found)), "2_b", COVER)
    assert plan.changed
    assert plan.result["head"] == "1_a"
    assert "b1" in plan.steps[0]
    assert any("about 12 rows of b" in each for each in plan.irreversible)
    assert not plan_back(seen(found, applied(found[0])), "2_b", COVER).changed


@pytest.mark.parametrize(
    ("name", "covered", "code"),
    [
        ("1_a", COVER, "migration_unusable"),
        ("2_b", Cover(), "backup_not_found"),
        ("3_c", COVER, "migration_missing"),
    ],
)
def test_back_is_refused(name: str, covered: Cover, code: str) -> None:
    found = pair()
    with pytest.raises(RunbookError) as caught:
        plan_back(seen(found, *(applied(each) for each in found)), name, covered)
    assert caught.value.code == code


def test_back_without_a_way() -> None:
    (only,) = found = files(_1_a=ADD)
    with pytest.raises(RunbookError) as caught:
        plan_back(seen(found, applied(only)), "1_a", COVER)
    assert "1_a.down.sql" in caught.value.message


@pytest.mark.parametrize(
    ("down", "good"), [("DROP INDEX CONCURRENTLY i", False), ("DROP INDEX CONCURRENTLY IF EXISTS i", True)]
)
def test_back_outside_of_a_transaction_is_what_can_be_run_twice(down: str, good: bool) -> None:
    (only,) = found = files(_1_a__up=BUILD, _1_a__down=f"-- runbooks: no-transaction\n{down}")
    if good:
        assert plan_back(seen(found, applied(only)), "1_a", COVER).changed
        return
    with pytest.raises(RunbookError) as caught:
        plan_back(seen(found, applied(only)), "1_a", COVER)
    assert "IF EXISTS" in caught.value.message


def test_the_last_one_is_the_last_that_was_run() -> None:
    early, late = pair()
    with pytest.raises(RunbookError):
        plan_back(seen((early, late), applied(early, minute=5), applied(late)), "2_b", COVER)
    assert plan_back(seen((early, late), applied(early, minute=5), applied(late)), "1_a", COVER).changed


def test_resolve() -> None:
    found = pair()
    begun = replace(applied(found[1]), state="started")
    assert plan_resolve(seen(found, applied(found[0]), begun), "2_b", "applied").changed
    assert plan_resolve(seen(found, applied(found[0]), begun), "2_b", "rolled_back").changed
    assert not plan_resolve(seen(found, applied(found[0])), "1_a", "applied").changed
    assert not plan_resolve(seen(found, applied(found[0])), "2_b", "rolled_back").changed
    for name, resolve_as, code in (
        ("2_b", "applied", "migration_missing"),
        ("1_a", "rolled_back", "migration_unusable"),
        ("3_c", "baseline", "migration_missing"),
    ):
        with pytest.raises(RunbookError) as caught:
            plan_resolve(seen(found, applied(found[0])), name, resolve_as)
        assert caught.value.code == code


def test_baseline() -> None:
    found = pair()
    plan = plan_resolve(seen(found), "2_b", "baseline")
    assert "1_a, 2_b" in plan.steps[-1]
    assert not plan_resolve(seen(found, *(applied(each) for each in found)), "2_b", "baseline").changed
