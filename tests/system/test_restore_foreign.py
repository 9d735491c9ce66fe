# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dumps that are no backups of ours: each format, cut and damaged, with commands of psql in them."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from harness.modules import ModuleRunner, Outcome
from harness.servers import Database, S3StoreAt, fresh_database, fresh_file_store

if TYPE_CHECKING:
    from sandbox import PostgresServer

SCHEMA = """
CREATE TABLE plain (id int PRIMARY KEY, text text);
INSERT INTO plain SELECT n, 'row ' || n FROM generate_series(1, 300) n;
INSERT INTO plain VALUES (1000, E'tab\\t newline\\n \\\\. end $$ ''quoted''; -- no comment'), (1001, ''), (1002, NULL);
CREATE TABLE "odd ""name""; --" (n int);
INSERT INTO "odd ""name""; --" VALUES (1), (2);
CREATE TABLE empty (n int);
CREATE FUNCTION atomic(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN 1 END; SELECT 2; END;
CREATE FUNCTION dollar() RETURNS text LANGUAGE sql AS $f$ SELECT '\\! touch /nowhere; COPY x FROM stdin;' $f$;
COMMENT ON TABLE empty IS 'it''s; a "comment" \\ with /* everything */ -- in it';
SELECT lo_from_bytea(0, 'large object');
"""
LIVE = "SELECT count(*), max(text) FROM plain"


@pytest.fixture(scope="module")
def source(postgres: PostgresServer) -> Iterator[Database]:
    """A small database with what is hard to read in a plain dump."""
    with fresh_database(postgres, "foreign") as made:
        made.execute(SCHEMA)
        yield made


@pytest.fixture(scope="module")
def dumps(source: Database, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name to dump: one of each format."""
    top = tmp_path_factory.mktemp("dumps")
    options = {
        "custom": ["-Fc"],
        "tar": ["-Ft"],
        "plain": ["-Fp"],
        "inserts": ["-Fp", "--inserts"],
        "directory": ["-Fd", "--compress=none"],
        "directory.gz": ["-Fd", "--compress=gzip:1"],
        "directory.lz4": ["-Fd", "--compress=lz4"],
        "directory.zst": ["-Fd", "--compress=zstd"],
        "created": ["-Fp", "--create"],
    }
    server = source.server
    env = {"PGPASSWORD": server.password, "PATH": os.environ["PATH"]}
    login = ["-h", server.host, "-p", str(server.port), "-U", server.user]
    for name, given in options.items():
        argv = [str(server.bindir / "pg_dump"), *login, *given, "-f", str(top / name), source.name]
        subprocess.run(argv, env=env, check=True)
    argv = [str(server.bindir / "pg_dumpall"), *login, "--roles-only", "-f", str(top / "cluster")]
    subprocess.run(argv, env=env, check=True)
    plain = (top / "plain").read_bytes()
    (top / "gzip").write_bytes(gzip.compress(plain[:2000]) + gzip.compress(plain[2000:]))
    (top / "zstd").write_bytes(zstandard.compress(plain))
    (top / "custom.gz").write_bytes(gzip.compress((top / "custom").read_bytes()))
    return {path.name: path for path in top.iterdir()}


Restore = Callable[..., Outcome]


@pytest.fixture
def restore(run_module: ModuleRunner, source: Database, s3_store: S3StoreAt, tmp_path: Path) -> Restore:
    """``restore(path, target=, check=, **options)`` beside the source, whose rows must stay as they are."""
    store = fresh_file_store(tmp_path / "store")

    def call(path: object, *, target: str = "restored", check: bool = False, **options: Any) -> Outcome:
        args = {
            **source.args,
            **s3_store.options,
            "store": store.url,
            "environment": "test",
            "name": "main",
            "path": str(path),
            "target_database": f"{source.name}_{target}",
            **options,
        }
        before = source.rows(LIVE)
        outcome = run_module("postgres_restore", args, check=check)
        assert source.rows(LIVE) == before
        return outcome

    return call


def databases(source: Database) -> list[str]:
    return [
        name
        for (name,) in source.rows("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", f"{source.name}_")
    ]


def nothing_made(source: Database) -> None:
    assert [name for name in databases(source) if "_bad" in name] == []


GOOD = (
    "custom",
    "tar",
    "plain",
    "inserts",
    "directory",
    "directory.gz",
    "directory.lz4",
    "directory.zst",
    "gzip",
    "zstd",
    "custom.gz",
)


@pytest.mark.parametrize("name", GOOD)
def test_each_format(name: str, restore: Restore, source: Database, dumps: dict[str, Path]) -> None:
    # Names say nothing: what it is must be seen from its content.
    target = f"f_{name.replace('.', '_')}"
    done = restore(dumps[name], target=target).ok()
    assert done.changed
    result = done["restore"]["dump"]
    assert result["compared"] is False
    assert result["not_proven"]
    assert {each["table"]: each["rows"] for each in result["tables"]} == {
        "public.plain": 303,
        'public.odd "name"; --': 2,
        "public.empty": 0,
    }
    restored = source.sibling(f"{source.name}_{target}")
    for query in (LIVE, "SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM plain p", "SELECT dollar(), atomic(1)"):
        assert restored.rows(query) == source.rows(query)
    assert restored.value("SELECT obj_description('empty'::regclass)") == source.value(
        "SELECT obj_description('empty'::regclass)"
    )
    assert restored.value("SELECT lo_get(oid) FROM pg_largeobject_metadata") == b"large object"
    restored.sibling("postgres").execute(f'DROP DATABASE "{restored.name}" WITH (FORCE)')


def test_a_second_run_changes_nothing(
    restore: Restore, source: Database, dumps: dict[str, Path], s3_store: S3StoreAt
) -> None:
    s3_store.write("some/dump", dumps["gzip"].read_bytes())
    path = f"{s3_store.url}/some/dump"
    digest = hashlib.sha256(dumps["gzip"].read_bytes()).hexdigest()
    told = restore(path, target="twice", sha256=digest, check=True).ok()
    assert told.changed
    assert told["restore"]["dump"]["sha256"] == digest
    assert (told["restore"]["dump"]["format"], told["restore"]["dump"]["compression"]) == ("plain", "gzip")
    assert restore(path, target="twice", sha256=digest).ok().changed
    assert not restore(path, target="twice", sha256=digest).ok().changed
    assert not restore(path, target="twice", sha256=digest, check=True).ok().changed
    restore(path, target="bad", sha256="0" * 64).refused("object_corrupt")
    # Another dump does not go where this one is.
    restore(dumps["custom"], target="twice").refused("target_occupied")
    nothing_made(source)


def test_what_is_no_dump_is_refused(restore: Restore, source: Database, dumps: dict[str, Path], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sql"
    for content in (b"", b"SELECT 1;\n", b"PK\x03\x04", b"\x1f\x8b", gzip.compress(b"hello")):
        wrong.write_bytes(content)
        refused = restore(wrong, target="bad")
        assert refused.code in ("backup_unusable", "object_corrupt")
    restore(tmp_path / "gone", target="bad").refused("source_missing")
    restore(tmp_path, target="bad").refused("backup_unusable")
    assert "pg_dumpall" in restore(dumps["cluster"], target="bad").refused("backup_unusable").message
    restore(dumps["created"], target="bad").refused("backup_unusable")
    restore(dumps["plain"], target="bad", roles="skip").refused("invalid_parameter")
    restore(dumps["plain"], target="bad", owner="postgres").refused("invalid_parameter")
    nothing_made(source)


def cuts(body: bytes) -> list[int]:
    """Places to cut a text dump at: at rows, between statements, anywhere."""
    rows = body.index(b"FROM stdin;\n") + 12
    return [
        body.index(b"\n", rows) + 1,
        body.rindex(b"\\.\n") + 3,
        body.rindex(b"-- PostgreSQL database dump complete"),
    ]


def test_what_was_cut_is_noticed(restore: Restore, source: Database, dumps: dict[str, Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    plain = dumps["plain"].read_bytes()
    for end in cuts(plain):
        cut.write_bytes(plain[:end])
        restore(cut, target="bad").refused("object_corrupt")
    # The end of the compression is no end of the dump.
    cut.write_bytes(gzip.compress(plain[: cuts(plain)[0]]))
    restore(cut, target="bad").refused("object_corrupt")
    for name in ("gzip", "zstd"):
        body = dumps[name].read_bytes()
        cut.write_bytes(body[:-1])
        restore(cut, target="bad").refused("object_corrupt")
    custom = dumps["custom"].read_bytes()
    for end in (len(custom) // 3, len(custom) - 40):
        cut.write_bytes(custom[:end])
        assert restore(cut, target="bad").code in ("object_corrupt", "restore_failed")
    tar = dumps["tar"].read_bytes()
    for end in (len(tar) // 2 // 512 * 512, len(tar.rstrip(b"\0")) + 100):
        cut.write_bytes(tar[:end])
        restore(cut, target="bad").refused("object_corrupt")
    nothing_made(source)


@pytest.mark.parametrize("name", ["directory", "directory.gz", "directory.lz4", "directory.zst"])
def test_a_data_file_of_a_directory(
    name: str, restore: Restore, source: Database, dumps: dict[str, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dumps[name], copy)
    largest = max(copy.glob("[0-9]*.dat*"), key=lambda path: path.stat().st_size)
    body = largest.read_bytes()
    ends = [0, len(body) - 5] if name != "directory" else [0, body.index(b"\n") + 1, len(body) - 3]
    for end in ends:
        largest.write_bytes(body[:end])
        restore(copy, target="bad").refused("object_corrupt")
    largest.unlink()
    restore(copy, target="bad").refused("object_corrupt")
    nothing_made(source)


def test_commands_of_psql_are_refused(
    restore: Restore, source: Database, dumps: dict[str, Path], tmp_path: Path
) -> None:
    plain, proof, dump = dumps["plain"].read_bytes(), tmp_path / "proof", tmp_path / "dump"
    marker = b"SET statement_timeout = 0;\n"
    assert marker in plain
    for command in (
        f"\\! touch {proof}\n",
        f"SELECT 1 \\! touch {proof}\n",
        f"COPY plain FROM PROGRAM 'touch {proof}';\n",
        f'DROP DATABASE "{source.name}";\n',
    ):
        dump.write_bytes(plain.replace(marker, marker + command.encode(), 1))
        refused = restore(dump, target="bad").refused("backup_unusable")
        assert "line" in refused.message
    assert not proof.exists()
    nothing_made(source)


NAP = """
CREATE FUNCTION public.nap(n integer) RETURNS boolean LANGUAGE plpgsql AS $f$
BEGIN
  IF current_database() ~ '__restoring_' THEN PERFORM pg_sleep(600); END IF;
  RETURN true;
END $f$;
CREATE TABLE public.slow (n integer CHECK (public.nap(n)), filler text);
"""


def test_what_hangs_ends_at_the_time_limit(
    restore: Restore, make_database: Callable[[], Database], dumps: dict[str, Path], source: Database, tmp_path: Path
) -> None:
    """Nothing of ours runs while a statement, a row or a pipe is waited for, and the limit holds all the same."""
    plain, dump = dumps["plain"].read_bytes(), tmp_path / "dump"
    marker = b"SET statement_timeout = 0;\n"
    rows = NAP.encode() + b"COPY public.slow (n) FROM stdin;\n" + b"1\n" * 1000 + b"\\.\n"
    # It catches being cancelled, so that only cutting it off helps.
    deaf = b"BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END"
    deaf = b"DO $d$ BEGIN LOOP " + deaf + b"; END LOOP; END $d$;\n"
    for hangs in (b"SELECT pg_sleep(600);\n", rows, deaf):
        dump.write_bytes(plain.replace(marker, marker + hangs, 1))
        restore(dump, target="bad", timeout="2s").refused("timed_out")
        nothing_made(source)
    big = make_database()
    big.execute(NAP + "INSERT INTO public.slow SELECT n, repeat('x', 1000) FROM generate_series(1, 8000) n")
    argv = [str(big.server.bindir / "pg_dump"), "--format=custom", "--compress=none", f"--file={dump}"]
    subprocess.run([*argv, f"--dbname={big.url}"], check=True)
    restore(dump, target="bad", timeout="2s").refused("timed_out")
    nothing_made(source)


def test_a_transaction_that_is_left_open(
    restore: Restore, source: Database, dumps: dict[str, Path], tmp_path: Path
) -> None:
    plain, dump = dumps["plain"].read_bytes(), tmp_path / "dump"
    # Behind the large objects, which end a transaction of their own.
    marker = b"--\n-- PostgreSQL database dump complete"
    dump.write_bytes(plain.replace(marker, b"BEGIN;\n" + marker, 1))
    assert "leaves a transaction open" in restore(dump, target="bad").refused("restore_failed").message
    nothing_made(source)


def test_a_directory_that_reaches_beyond_itself(
    restore: Restore, source: Database, dumps: dict[str, Path], tmp_path: Path
) -> None:
    """pg_restore opens whatever a table of contents names, and follows links."""
    copy, secret = tmp_path / "copy", tmp_path / "secret.dat"
    shutil.copytree(dumps["directory"], copy)
    data = max(copy.glob("[0-9]*.dat"), key=lambda path: path.stat().st_size)
    data.rename(secret)
    data.symlink_to(secret)
    assert "no ordinary file" in restore(copy, target="bad").refused("object_corrupt").message
    data.unlink()
    secret.rename(data)
    (copy / "folder").mkdir()
    assert "no ordinary file" in restore(copy, target="bad").refused("object_corrupt").message
    (copy / "folder").rmdir()
    blobs = next(copy.glob("blob*.toc"))
    listed = blobs.read_bytes()
    blobs.write_bytes(listed.replace(b"blob_", b"../b_"))
    assert "outside of it" in restore(copy, target="bad").refused("object_corrupt").message
    blobs.write_bytes(listed)
    contents = (copy / "toc.dat").read_bytes()
    name = data.name.encode()
    assert name in contents
    (copy / "toc.dat").write_bytes(contents.replace(name, b"../" + name[3:], 1))
    assert "outside of it" in restore(copy, target="bad").refused("object_corrupt").message
    nothing_made(source)


def test_a_failing_statement_leaves_nothing(
    restore: Restore, source: Database, dumps: dict[str, Path], tmp_path: Path
) -> None:
    plain, dump = dumps["plain"].read_bytes(), tmp_path / "dump"
    dump.write_bytes(plain.replace(b"row 7\n", b"row 7\ttoo many\n", 1))
    failed = restore(dump, target="bad").refused("restore_failed")
    assert "extra data" in failed.message
    nothing_made(source)
    dump.write_bytes(plain.replace(b"OWNER TO", b"OWNER TO nobody_here; --", 1))
    assert "nobody_here" in restore(dump, target="bad").refused("restore_failed").message
    nothing_made(source)
