# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of ``docs/leaving.md``, run as they stand there, on a machine where there is nothing of ours."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

from harness.age import age_command, key_pair
from harness.modules import ModuleRunner
from harness.paths import CHECKOUT
from harness.servers import Database, FileStoreAt, fresh_database
from roundtrip import nasty_database
from roundtrip.compare import compare

if TYPE_CHECKING:
    from sandbox import PostgresServer

DOCUMENT = (CHECKOUT / "docs" / "leaving.md").read_text(encoding="utf-8")


def script(**settings: str) -> str:
    """All commands of the document in one, with other values of the variables that it sets."""
    text = "".join(re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))
    for name, value in settings.items():
        text, count = re.subn(rf"^{name}=\S+$", f"{name}={value}", text, flags=re.MULTILINE)
        assert count == 1, name
    return "set -eu\n" + text


def followed(
    postgres: PostgresServer, store: FileStoreAt, directory: Path, *tools: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """What becomes of the document in a directory, with the programs in ``tools`` beside PostgreSQL's."""
    environment = {
        "PATH": os.pathsep.join([str(postgres.bindir), *map(str, tools), os.defpath]),
        "LC_ALL": "C.UTF-8",
        "PGHOST": postgres.host,
        "PGPORT": str(postgres.port),
        "PGUSER": postgres.user,
        "PGPASSWORD": postgres.password,
        **variables,
    }
    return subprocess.run(
        ["sh", "-c", script(store=str(store.directory), name="test/databases/main", backup="one")],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_document_restores_a_database(
    run_module: ModuleRunner, postgres: PostgresServer, file_store: FileStoreAt, tmp_path: Path
) -> None:
    with fresh_database(postgres, nasty_database.NAME) as source:
        nasty_database.load(source)
        args = {"environment": "test", "name": "main", "backup_id": "one", "include_globals": True}
        run_module("postgres_backup", {**source.args, **file_store.args, **args}).ok()
        lost = source.sibling(f"{source.name} lost")
        with source.sibling("postgres").connect() as connection:
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(source.name), sql.Identifier(lost.name)))
        done = followed(postgres, file_store, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ".one.manual." in done.stdout
        assert "sum of the differences: 0\n" in done.stdout
        other = [line for line in (tmp_path / "compared").read_text(encoding="utf-8").split("\n") if line[:2] != "0|"]
        assert all('"by_enum_' in line for line in other if line), "partitions by the hash of an enum alone"
        assert compare(nasty_database.conninfo(lost), nasty_database.conninfo(source)) == []


def test_the_document_restores_an_encrypted_database(
    run_module: ModuleRunner, database: Database, file_store: FileStoreAt, tmp_path: Path
) -> None:
    """Decrypted by pyrage, in the place of age: the same format, and nothing of ours."""
    database.execute("CREATE TABLE t AS SELECT n, repeat(md5(n::text), 9) AS body FROM generate_series(1, 3000) n")
    key = key_pair(tmp_path / "identity")
    args = {"environment": "test", "name": "main", "backup_id": "one", "include_globals": True}
    args |= {"encryption": "age", "age_recipients": [key.recipient]}
    run_module("postgres_backup", {**database.args, **file_store.args, **args}).ok()
    total = "SELECT sum(n), md5(string_agg(body, '' ORDER BY n)) FROM t"
    before = database.rows(total)
    database.sibling("postgres").execute(f"DROP DATABASE {database.name}")
    tools, directory = age_command(tmp_path / "bin"), tmp_path / "by_hand"
    directory.mkdir()
    # Without the identity nothing is restored, and that is said.
    without = followed(database.server, file_store, directory, tools)
    assert without.returncode != 0
    assert "AGE_IDENTITY" in without.stderr
    done = followed(database.server, file_store, directory, tools, AGE_IDENTITY=str(key.path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no table has another number of rows" in done.stdout
    assert database.rows(total) == before
    assert not list(directory.glob("*.dump"))
    assert not (directory / "globals.sql").exists()
