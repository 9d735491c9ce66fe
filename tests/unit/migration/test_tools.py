# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which commands of other tools are let through."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._migration.tools import check_command, elsewhere, url_of


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        ("prisma", "npx prisma migrate deploy"),
        ("prisma", "pnpm exec prisma migrate deploy --schema prisma/schema.prisma"),
        ("prisma", "node_modules/.bin/prisma migrate deploy"),
        ("prisma", "npx --yes prisma migrate deploy --schema=x"),
        ("supabase", "supabase migration up --linked"),
        ("supabase", "npx supabase migration up --workdir . --include-all"),
    ],
)
def test_what_brings_a_database_forward(tool: str, line: str) -> None:
    assert check_command(line.split(), tool).line() == line.split()


@pytest.mark.parametrize(
    ("tool", "line", "says"),
    [
        ("prisma", "npx prisma migrate reset --force", "drops the database"),
        ("prisma", "npx prisma migrate reset --to 20240101_x", "ops.runbooks.restore"),
        ("supabase", "supabase db reset --linked", "ops.runbooks.restore"),
        ("prisma", "npx prisma db push --accept-data-loss", "without a migration"),
        ("prisma", "npx prisma migrate dev", "for developers"),
        ("prisma", "npx prisma migrate resolve --rolled-back x", "state=resolved"),
        ("supabase", "supabase migration repair --status reverted 1", "takes back"),
        ("supabase", "supabase migration up --db-url postgresql://u:hunter2@h/d", "password"),
        ("supabase", "supabase migration up --linked -p hunter2", "-p is not one of"),
        ("supabase", "supabase migration up --linked -phunter2", "-p is not one of"),
        ("supabase", "supabase migration up --password=hunter2", "--password is not one of"),
        ("supabase", "supabase migration up --linked hunter2", "a word without an option is not one of"),
        ("supabase", "supabase db reset -p hunter2", "(supabase db reset)"),
        ("supabase", "supabase link --password hunter2", "(supabase link)"),
        ("prisma", "DB_TOKEN=hunter2 npx prisma migrate deploy", "(command)"),
        ("prisma", "npm run db:migrate", "what it does is not known"),
        ("prisma", "sh -c npx", "what it does is not known"),
        ("prisma", "supabase migration up", "prisma migrate deploy"),
        ("prisma", "npx prisma migrate deploy --force", "--force"),
        ("prisma", "", "what it does is not known"),
    ],
)
def test_what_is_refused(tool: str, line: str, says: str) -> None:
    with pytest.raises(RunbookError) as caught:
        check_command(line.split(), tool)
    assert caught.value.code == "command_refused"
    assert says in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_connection_as_a_url() -> None:
    given = {"host": "db", "port": "5433", "user": "me", "password": "p@ss/word", "dbname": "app", "sslmode": "require"}
    assert url_of({}, "login_host", given) == "postgresql://me:p%40ss%2Fword@db:5433/app?sslmode=require"
    assert url_of({}, "x", {"host": "/run/pg", "dbname": "app"}) == "postgresql://localhost:5432/app?host=%2Frun%2Fpg"
    assert url_of({"database_url": "postgres://h/d?schema=x"}, "database_url", given) == "postgres://h/d?schema=x"


REF = "abcdefghijklmnopqrst"
HOSTED = {"project": REF, "database": "postgres", "host": f"db.{REF}.supabase.co"}
HERE = {"system_identifier": "1", "database": "app", "host": "127.0.0.1"}


@pytest.mark.parametrize(
    ("options", "identity", "port", "says"),
    [
        ("--linked", HOSTED, 5432, ""),
        ("--linked --workdir=other", HOSTED, 5432, "cannot be read"),
        ("--linked", {**HOSTED, "project": "zyxwvutsrqponmlkjihg"}, 5432, f"the project {REF}"),
        ("--linked", {**HOSTED, "database": "app"}, 5432, "not to app"),
        ("--linked", HERE, 5433, "127.0.0.1"),
        ("", HOSTED, 5432, "it has to say which"),
        ("--local", HOSTED, 54399, "--local goes to 127.0.0.1:54399"),
        ("--local", HERE, 54399, ""),
        ("--local", HERE, 5433, "127.0.0.1:54399"),
        ("--local --workdir other", HERE, 54322, ""),
    ],
)
def test_where_the_command_of_supabase_goes(
    options: str, identity: dict[str, str], port: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "supabase" / ".temp").mkdir(parents=True)
    (tmp_path / "supabase" / ".temp" / "project-ref").write_text(f"{REF}\n")
    (tmp_path / "supabase" / "config.toml").write_text("[db]\nport = 54399\n")
    command = check_command(["supabase", "migration", "up", *options.split()], "supabase")
    reason = elsewhere(command, str(tmp_path), identity, port)
    assert says in reason
    assert bool(reason) == bool(says)
