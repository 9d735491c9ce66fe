# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading dumps that are no backups of ours: statements, rows, compression, what is refused."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
import zstandard
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.archive import check_lz4
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.dump import Dump, Hashed, Packing, Unpacked
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.foreign.sql import Piece, Script
from hypothesis import given
from hypothesis import strategies as st

from harness.stores import failing, run_context

END = b"--\n-- PostgreSQL database dump complete\n--\n\n"


def cut_up(body: bytes, end: bytes = END) -> list[Piece]:
    return list(Script(io.BytesIO(body + end), "dump").pieces())


def test_rows_are_parted_from_statements() -> None:
    body = b'SET a = 1;\nCOPY public.t (a, "b""c") FROM stdin;\n1\t\\N\n\\\\.\n\\.\n\n\nSELECT 1;\n'
    pieces = cut_up(body)
    assert [(piece.kind, piece.line) for piece in pieces] == [
        ("sql", 1),
        ("copy", 2),
        ("rows", 2),
        ("end", 5),
        ("sql", 6),
    ]
    assert pieces[2].body == b"1\t\\N\n\\\\.\n"
    assert pieces[4].body.startswith(b"\n\nSELECT 1;")


def test_rows_may_look_like_anything() -> None:
    rows = b"\\! rm\n'\n$$\n/*\n; -- \nCOPY x FROM stdin;\n"
    pieces = cut_up(b"COPY t FROM stdin;\n" + rows + b"\\.\nSELECT 1;\n")
    assert [piece.kind for piece in pieces] == ["copy", "rows", "end", "sql"]
    assert pieces[1].body == rows


@pytest.mark.parametrize(
    "statement",
    [
        b"SET standard_conforming_strings = on;\n",
        b"CREATE USER MAPPING FOR app SERVER other OPTIONS (user 'a');\n",
        b"GRANT SELECT(a, b),UPDATE(c) ON TABLE public.t TO app;\n",
        b"SELECT 'it''s \\ ; \\! x', E'\\'; \\\\', U&'\\0041', \"a\\\"\"b\";\n",
        b"SELECT $$ \\! ' ; $$, $a$ $$ \\! $a$;\n",
        b"SELECT E'a'\n  '\\'; \\! x';\n",
        b"SELECT E'a' -- one\n\n-- two\n 'b'\n'\\'; DROP DATABASE x;';\n",
        b"SELECT E'a'\n || '\\';\nSELECT E'a', '\\', E'a'\n, '\\';\n",
        b"SELECT 'a'\n'\\', E'a' AS x,\n '\\';\n",
        b"SELECT 'two\n\\! lines', 1 /* \\! /* nested */ ' */; -- \\!\n",
        b"CREATE FUNCTION f() RETURNS int LANGUAGE sql\nBEGIN ATOMIC\n SELECT CASE WHEN a THEN 1 END;\nEND;\n",
        b"CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b);\n",
        b"CREATE USER MAPPING FOR x SERVER s;\n",
        b"COMMENT ON TABLE database IS 'x';\n",
        b"GRANT ALL ON TABLE t TO x;\n",
        b"BEGIN;\nSELECT pg_catalog.lowrite(0, '\\x00');\nCOMMIT;\n",
    ],
)
def test_statements_that_are_let_through(statement: bytes) -> None:
    assert b"".join(piece.body for piece in cut_up(statement)) == statement + END


@pytest.mark.parametrize(
    "statement",
    [
        b"\\! touch x\n",
        b"SELECT 1 \\g |touch x\n",
        b"SELECT 1; \\! x\n",
        b"\\connect other\n",
        b"\\copy t from program 'x'\n",
        b"\\restrict\n",
        b"\\restrict a b\n",
        b"SELECT 1 \\unrestrict abc\n",
        b"SELECT 'x';\n\\i /etc/passwd\n",
        b"SELECT E'a'\n'\\''; DROP DATABASE x; --';\n",
        b"SELECT E'a' /* b */\n'\\'; DROP DATABASE x; --';\n",
        b"-- x\rDROP DATABASE x;\n",
        b"$$\\! x\n$$ \\! x\n",
        b"COPY t FROM '/etc/passwd';\n",
        b"COPY t FROM PROGRAM 'x';\n",
        b"copy t from stdin;\n",
        b"SELECT 1; COPY t FROM stdin;\n",
        b"COPY t TO STDOUT;\n",
        b"DROP DATABASE live;\n",
        b"drop\n database live;\n",
        b"ALTER ROLE x SUPERUSER;\n",
        b"CREATE USER mapping SUPERUSER;\n",
        b"GRANT pg_execute_server_program TO app;\n",
        b"GRANT ALTER SYSTEM ON PARAMETER work_mem TO app;\n",
        b"REASSIGN OWNED BY app TO other;\n",
        b"SECURITY LABEL ON DATABASE live IS 'x';\n",
        b"SET standard_conforming_strings = off;\n",
        b"ALTER SYSTEM SET a = 1;\n",
        b"COMMENT ON DATABASE live IS 'x';\n",
        b"REVOKE ALL ON DATABASE live FROM PUBLIC;\n",
        b"CREATE TABLESPACE t LOCATION '/x';\n",
    ],
)
def test_statements_that_are_refused(statement: bytes) -> None:
    with failing("backup_unusable") as failure:
        cut_up(b"SET x = 1;\n" + statement)
    assert "line" in failure().message


def test_lines_against_injection_are_no_statements() -> None:
    pieces = cut_up(b"\\restrict aB9\nSELECT 1;\n", END + b"\\unrestrict aB9\n\n")
    assert b"restrict" not in b"".join(piece.body for piece in pieces)


def test_the_supabase_cli_ends_a_dump_in_its_own_way() -> None:
    end = END + b"-- \\unrestrict aB9\n\nRESET ALL;\n"
    body = b"SET session_replication_role = replica;\n\nCOPY t FROM stdin;\n1\n\\.\n"
    assert cut_up(body, end)[-1].body.endswith(b"RESET ALL;\n")
    for cut in (b"RESET ALL;\n", END + b"RESET ALL", END + b"RESET ROLE;\n", END + b"RESET ALL;\nSELECT 1;\n"):
        with failing("object_corrupt"):
            cut_up(body, cut)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that can be opened and not be read")
def test_a_disk_that_fails_while_it_is_read() -> None:
    with failing("source_unusable") as failure:
        Dump("/proc/self/mem", {}, run_context()).recognise()
    assert "/proc/self/mem" in failure().message


def test_sql_without_the_comments_of_pg_dump_says_where_it_may_come_from(tmp_path: Path) -> None:
    dump = tmp_path / "dump.sql"
    dump.write_bytes(b"\n\n\nSET statement_timeout = 0;\nSET lock_timeout = 0;\nCREATE TABLE t (a int);\nRESET ALL;\n")
    with failing("backup_unusable") as failure:
        Dump(str(dump), {}, run_context()).recognise()
    assert "supabase db dump" in failure().message
    assert "--keep-comments" in failure().message


@pytest.mark.parametrize(
    "body",
    [
        b"SELECT 1;\n",
        b"SELECT 1;\n" + END + b"SELECT 2;\n",
        b"SELECT 'open\n" + END,
        b"/* open\n" + END,
        b"COPY t FROM stdin;\n1\n2\n",
        b"COPY t FROM stdin;\n1\n" + END,
        b"SELECT 1\n" + END,
        b"",
    ],
)
def test_what_does_not_end_as_a_dump_is_cut(body: bytes) -> None:
    with failing("object_corrupt"):
        cut_up(body, b"")


@given(st.integers(min_value=0))
def test_no_cut_goes_unseen(number: int) -> None:
    body = b"SET a = 1;\nCOPY t FROM stdin;\n1\n2\n\\.\n\nSELECT $$a;\nb$$;\n"
    whole = body + END
    last = whole.index(b"complete") + len(b"complete")
    with pytest.raises(RunbookError):
        cut_up(whole[: number % last], b"")


# --- Compression -----------------------------------------------------------------------------------------


def unpack(packed: bytes, packing: Packing) -> bytes:
    return io.BufferedReader(Unpacked(Hashed(io.BytesIO(packed)), packing, "x"), 8).read()


TEXT = b"some text, " * 5000


@pytest.mark.parametrize(
    ("packing", "packed"),
    [
        ("gzip", gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:])),
        ("zstd", zstandard.compress(TEXT[:1000]) + zstandard.compress(TEXT[1000:])),
        ("none", TEXT),
    ],
    ids=["gzip", "zstd", "none"],
)
def test_compressed_streams(packing: Packing, packed: bytes) -> None:
    assert unpack(packed, packing) == TEXT
    if packing == "none":
        return
    for end in (1, 5, len(packed) // 2 + 3, len(packed) - 1):
        with failing("object_corrupt"):
            unpack(packed[:end], packing)
    with failing("object_corrupt"):
        unpack(packed + b"more", packing)
    damaged = bytearray(packed)
    damaged[3 if packing == "zstd" else -6] ^= 0xFF
    with failing("object_corrupt"):
        unpack(bytes(damaged), packing)


def test_lz4_frames_are_walked() -> None:
    frame = b"\x04\x22\x4d\x18\x40\x40\x00" + (3).to_bytes(4, "little") + b"abc" + bytes(4)
    check_lz4(io.BytesIO(frame), "x", "y")
    for end in range(len(frame)):
        with failing("object_corrupt"):
            check_lz4(io.BytesIO(frame[:end]), "x", "y")
