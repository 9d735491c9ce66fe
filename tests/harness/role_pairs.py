# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pairs of login roles for tests: a database, and a role that may manage roles and is no superuser."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from harness.modules import ModuleRunner, Outcome
from harness.paths import CHECKOUT
from harness.servers import Database, fresh_database

if TYPE_CHECKING:
    from sandbox import PostgresServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Names that nobody else on the server has. ``manager`` has CREATEROLE, and owns the database."""

    database: Database
    run: ModuleRunner
    group: str
    password: str

    @property
    def manager(self) -> str:
        """Who works."""
        return f"{self.group}_ops"

    @property
    def old(self) -> str:
        """The login role from before, where a test makes it."""
        return f"{self.group}_old"

    def pair(self, state: str, letter: str | None = None, **options: Any) -> Outcome:
        """The module, as the manager, or as the superuser where that is asked for."""
        how = {each: options.pop(each) for each in ("check", "diff", "env") if each in options}
        login = {**self.database.args, "login_user": self.manager, "login_password": self.password}
        del login["bindir"]
        if letter is not None:
            options["role"] = self.role(letter)
        if options.pop("superuser", False):
            login |= {"login_user": self.database.server.user, "login_password": self.database.server.password}
        asked = {"group": self.group, "state": state, "watch": "0s", **login, **options}
        return self.run("postgres_role_pair", asked, **how)

    def role(self, letter: str) -> str:
        """``a`` and ``b`` are the pair's; anything else is a role's name."""
        return f"{self.group}_{letter}" if len(letter) == 1 else letter

    def log_in(self, letter: str, password: str) -> psycopg.Connection[Any]:
        """As the application; use it as a context manager."""
        server = self.database.server
        return psycopg.connect(
            host=server.host,
            port=server.port,
            dbname=self.database.name,
            user=self.role(letter),
            password=password,
            autocommit=True,
        )

    def left(self, *letters: str) -> None:
        """Wait until the server has noticed that sessions are over."""
        roles = [self.role(each) for each in letters]
        end = time.monotonic() + 30
        while self.database.rows("SELECT FROM pg_stat_activity WHERE usename = ANY (%s)", roles):
            assert time.monotonic() < end
            time.sleep(0.02)

    def as_manager(self, statement: str) -> None:
        """Statements of the manager's."""
        with self.log_in(self.manager, self.password) as session:
            session.execute(statement.encode())

    def make_old(self, password: str, attributes: str = "") -> None:
        """A login role as an application has it today, made by the manager."""
        self.as_manager(f"CREATE ROLE {self.old} LOGIN {attributes} PASSWORD '{password}'")


def documented() -> list[str]:
    """The statements that make the manager, as ``docs/permissions.md`` has them."""
    section = (
        (CHECKOUT / "docs" / "permissions.md").read_text(encoding="utf-8").split("## Login roles that take turns", 1)[1]
    )
    return re.findall(r"^```sql\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[:1]


@contextmanager
def team(server: PostgresServer, run: ModuleRunner) -> Iterator[Team]:
    """A database and its manager; what begins with the group's name is gone afterwards."""
    group, password = f"t{secrets.token_hex(3)}", secrets.token_hex(16)
    with fresh_database(server, group) as database:
        made = Team(database=database, run=run, group=group, password=password)
        for statement in documented():
            database.execute(statement.replace("runbooks_roles", made.manager))
        database.execute(f"ALTER ROLE {made.manager} PASSWORD '{password}'")
        database.execute(
            f"ALTER DATABASE {database.name} OWNER TO {made.manager}; ALTER SCHEMA public OWNER TO {made.manager};"
            "GRANT CREATE ON SCHEMA public TO PUBLIC"
        )
        try:
            yield made
        finally:
            forget(database, group)


def forget(database: Database, beginning: str) -> None:
    """Drop every role whose name begins so, with what it owns in this database."""
    with database.connect() as session:
        session.execute(f'ALTER DATABASE "{database.name}" OWNER TO CURRENT_USER'.encode())
        found = session.execute(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) ORDER BY rolname DESC", (beginning,)
        ).fetchall()
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(usename, %s)", (beginning,)
        )
        for (name,) in found:
            session.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        # Before PostgreSQL 16 nobody minds the order; since then who granted a membership is dropped last.
        for name in sorted((name for (name,) in found), key=lambda each: each.endswith("_ops")):
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
