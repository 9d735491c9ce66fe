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

from harness.modules import ModuleRunner
from harness.paths import CHECKOUT
from harness.servers import FileStoreAt, fresh_database
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
        environment = {
            "PATH": os.pathsep.join([str(postgres.bindir), os.defpath]),
            "LC_ALL": "C.UTF-8",
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGUSER": postgres.user,
            "PGPASSWORD": postgres.password,
        }
        done = subprocess.run(
            ["sh", "-c", script(store=str(file_store.directory), name="test/databases/main", backup="one")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert ".one.manual." in done.stdout
        assert "sum of the differences: 0\n" in done.stdout
        other = [line for line in (tmp_path / "compared").read_text(encoding="utf-8").split("\n") if line[:2] != "0|"]
        assert all('"by_enum_' in line for line in other if line), "partitions by the hash of an enum alone"
        assert compare(nasty_database.conninfo(lost), nasty_database.conninfo(source)) == []
