# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A group takes the place of the one login role that an application has, on real servers and without an outage."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from harness.modules import ModuleRunner
from harness.role_pairs import Team, team

if TYPE_CHECKING:
    from sandbox import PostgresServer, Sandbox

#: What the manager has, and the old role may use; then what the old role makes.
OTHERS = """
CREATE TABLE shared (id int, hidden text, shown text); CREATE SEQUENCE numbers; CREATE SCHEMA side;
CREATE ROLE {group}_readers; GRANT {group}_readers TO {old}; GRANT SELECT (id, shown), INSERT ON shared TO {old};
GRANT USAGE ON SEQUENCE numbers TO {old} WITH GRANT OPTION; GRANT USAGE ON SCHEMA side TO {old};
CREATE FUNCTION side.secret() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION side.secret FROM PUBLIC;
GRANT EXECUTE ON FUNCTION side.secret TO {old}; CREATE TABLE side.seen (id int); INSERT INTO side.seen VALUES (1);
GRANT SELECT ON side.seen TO {old}; GRANT CREATE ON DATABASE {database} TO {old};
ALTER TABLE side.seen ENABLE ROW LEVEL SECURITY;
CREATE POLICY app ON side.seen TO {old} USING (true);
ALTER DEFAULT PRIVILEGES IN SCHEMA side GRANT SELECT ON TABLES TO {old};
ALTER ROLE {old} SET search_path = public, side, kanarienvogel;
ALTER ROLE {old} IN DATABASE {database} SET statement_timeout = '61s';
"""
OWN = """
CREATE TABLE orders (id int PRIMARY KEY, tenant text); INSERT INTO orders VALUES (1, 'x');
ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON orders TO {old} USING (tenant = 'x');
CREATE VIEW totals AS SELECT count(*) FROM orders; CREATE TYPE mood AS ENUM ('calm'); CREATE EXTENSION hstore;
CREATE SCHEMA mine; CREATE TABLE mine.log (id serial, at date) PARTITION BY RANGE (at); CREATE PUBLICATION {old}_p;
CREATE TABLE mine.log_2026 PARTITION OF mine.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE MATERIALIZED VIEW mine.sums AS SELECT 1 AS one; CREATE DOMAIN mine.word AS text; SELECT lo_create(0);
CREATE STATISTICS mine.both ON id, tenant FROM orders; CREATE TEXT SEARCH CONFIGURATION mine.words (COPY = simple);
CREATE PROCEDURE mine.nothing() LANGUAGE sql AS 'SELECT 1'; CREATE COLLATION mine.plain (LOCALE = 'C');
GRANT SELECT ON orders TO {group}_readers;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {group}_readers;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
"""
#: What the application does, in either role.
WORK = (
    "SELECT id, shown FROM shared",
    "INSERT INTO shared (id, shown) VALUES (1, 'x')",
    "SELECT nextval('numbers')",
    "SELECT side.secret()",
    "SELECT 1 / (SELECT count(*) FROM side.seen)",
    "SELECT 1 / (SELECT count(*) FROM orders)",
    "UPDATE orders SET tenant = tenant",
    "SELECT * FROM totals",
)


class Application:
    """Sessions of a role that work all the time; ``failures`` is what went wrong."""

    def __init__(self, crew: Team, role: str, password: str) -> None:
        self._crew, self._role, self._password = crew, role, password
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._old_session), threading.Thread(target=self._new_sessions)]
        self.failures: list[str] = []
        self.rounds = 0

    def __enter__(self) -> Application:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _old_session(self) -> None:
        try:
            with self._crew.log_in(self._role, self._password) as session:
                while not self._over.wait(0.02):
                    work(session, prepare=True)
                    self.rounds += 1
        except psycopg.Error as error:
            self.failures.append(str(error))

    def _new_sessions(self) -> None:
        try:
            while not self._over.wait(0.1):
                with self._crew.log_in(self._role, self._password) as session:
                    work(session)
        except psycopg.Error as error:
            self.failures.append(str(error))


def work(session: psycopg.Connection[Any], *, prepare: bool | None = None) -> None:
    for statement in WORK:
        session.execute(statement.encode(), prepare=prepare)


@pytest.fixture(params=["18", "15"])
def crew(request: pytest.FixtureRequest, run_module: ModuleRunner) -> Iterator[Team]:
    """A team whose manager is no superuser, on either server."""
    server: PostgresServer = request.getfixturevalue("postgres" if request.param == "18" else "postgres15")
    with team(server, run_module) as made:
        yield made


@pytest.fixture
def crew18(postgres: PostgresServer, run_module: ModuleRunner) -> Iterator[Team]:
    """The same on PostgreSQL 18."""
    with team(postgres, run_module) as made:
        yield made


def prepare(crew: Team, password: str) -> None:
    """An application with one login role."""
    crew.make_old(password)
    named = {"old": crew.old, "group": crew.group, "database": crew.database.name}
    crew.as_manager(OTHERS.format(**named))
    with crew.log_in(crew.old, password) as session:
        session.execute(OWN.format(**named).encode())


def test_what_the_old_role_has_goes_over(crew: Team) -> None:
    old_password, new = secrets.token_hex(16), secrets.token_hex(16)
    prepare(crew, old_password)
    asked = {"old_role": crew.old}
    predicted = crew.pair("adopted", **asked, check=True).ok()
    listing = predicted["role_pair"]["adoption"]
    assert {"table public.orders", "view public.totals"} <= set(listing["owned"])
    assert "SELECT on table public.shared" in listing["grants"]
    assert "EXECUTE on routine side.secret()" in listing["grants"]
    assert listing["policies"] == ["mine on public.orders", "app on side.seen"]
    assert listing["settings"] == ["search_path", "statement_timeout"]
    assert listing["memberships"] == [f"{crew.group}_readers"]
    assert not crew.database.rows("SELECT FROM pg_roles WHERE rolname = %s", crew.group), "nothing was written"
    with Application(crew, crew.old, old_password) as application:
        with crew.log_in(crew.old, old_password) as session:
            session.execute("SELECT 1")
            done = crew.pair("adopted", **asked, lock_timeout="1s").ok()
            work(session)
            session.execute("CREATE TABLE late (id int)")
        assert done.changed
        assert done["plan"] == predicted["plan"]
        # A session from before makes things of its own still: the next run brings them over.
        late = crew.pair("adopted", **asked).ok()["plan"]["steps"]
        assert [each for each in late if each.startswith("reassign ")]
        assert not crew.pair("adopted", **asked).ok().changed
    assert application.failures == []
    assert application.rounds > 3
    assert "kanarienvogel" not in done.everything, "the value of a setting may be secret"
    owners = crew.database.rows("SELECT DISTINCT tableowner FROM pg_tables WHERE tablename IN ('orders', 'late')")
    assert owners == [(crew.group,)]
    assert not crew.database.rows(
        "SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = %s"
        " AND m.roleid = %s::regrole AND m.grantor = m.member",
        crew.manager,
        crew.group,
    ), "what the manager was for the time of the work it is no more"
    # The pair may do all of it, and what it makes is open to the same others.
    crew.pair("active", "a", password=new).ok()
    with crew.log_in("a", new) as session:
        work(session)
        session.execute("CREATE TABLE made (id int); CREATE FUNCTION made() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        settings = session.execute(
            "SELECT current_setting(n) FROM unnest(ARRAY['search_path', 'statement_timeout']) n"
        ).fetchall()
    assert settings == [("public, side, kanarienvogel",), ("61s",)]
    readers = f"{crew.group}_readers"
    assert crew.database.value("SELECT has_table_privilege(%s, 'made', 'SELECT')", readers)
    assert not crew.database.value("SELECT has_function_privilege(%s, 'made()', 'EXECUTE')", readers)
    crew.as_manager("CREATE TABLE side.later (id int)")
    assert crew.database.value("SELECT has_table_privilege(%s, 'side.later', 'SELECT')", crew.role("a"))
    # The old role retires like one of the pair.
    crew.left(crew.old)
    assert crew.pair("retired", crew.old, **asked).ok().changed
    with pytest.raises(psycopg.OperationalError):
        crew.log_in(crew.old, old_password)


def test_the_old_role_as_the_group(crew18: Team, sandbox: Sandbox) -> None:
    """The least change: nothing but two logins is new."""
    old_password, new = secrets.token_hex(16), secrets.token_hex(16)
    prepare(crew18, old_password)
    asked = {"group": crew18.old}
    names = f"{crew18.old}_a", f"{crew18.old}_b"
    start = sandbox.postgres.log.stat().st_size
    crew18.database.execute(f"ALTER DATABASE {crew18.database.name} SET log_statement = 'all'")
    crew18.pair("present", **asked).refused("role_refused")
    predicted = crew18.pair("adopted", **asked, check=True).ok()
    assert not [each for each in predicted["plan"]["steps"] if "reassign" in each or "policy" in each]
    with Application(crew18, crew18.old, old_password) as application:
        assert crew18.pair("adopted", **asked).ok()["plan"] == predicted["plan"]
        assert not crew18.pair("adopted", **asked).ok().changed
        assert crew18.pair("active", names[0], **asked, password=new).ok().changed
        with crew18.log_in(names[0], new) as session:
            work(session)
        crew18.pair("retired", crew18.old, **asked).refused("role_in_use")
    assert application.failures == []
    crew18.left(crew18.old, names[0])
    assert b"kanarienvogel" not in sandbox.postgres.log.read_bytes()[start:]
    assert crew18.pair("retired", crew18.old, **asked).ok().changed
    with pytest.raises(psycopg.OperationalError):
        crew18.log_in(crew18.old, old_password)
    with crew18.log_in(names[0], new) as session:
        work(session)
    crew18.left(crew18.old)
    assert crew18.pair("scrambled", crew18.old, **asked).ok().changed


def test_what_is_refused_is_listed_and_nothing_done(crew18: Team) -> None:
    password = secrets.token_hex(16)
    crew18.make_old(password)
    crew18.database.execute(
        f"CREATE TABLE foreign_to_all (id int); GRANT SELECT ON foreign_to_all TO {crew18.old};"
        f"GRANT pg_monitor TO {crew18.old}; CREATE TABLE rows (tenant name); ALTER TABLE rows OWNER TO {crew18.old};"
        f"CREATE POLICY own ON rows USING (tenant = current_user); ALTER ROLE {crew18.old} SET app.signing = 'secret'"
    )
    refused = crew18.pair("adopted", old_role=crew18.old).refused("adoption_refused")
    reasons = " ".join(refused["failure"]["refused"])
    assert len(refused["failure"]["refused"]) == 5, "the setting for each of the pair"
    assert "app.signing" in reasons
    assert "CURRENT_USER" in reasons
    assert "foreign_to_all" in reasons
    assert "pg_monitor" in reasons
    assert not [each for each in refused["failure"]["refused"] if "schema" in each]
    assert refused["role_pair"]["adoption"]["owned_count"] == 1
    assert not crew18.database.rows("SELECT FROM pg_roles WHERE rolname = %s", crew18.group)
    assert "give the group the old role's own name" in refused["msg"]
    unknown = crew18.pair("adopted", old_role=f"{crew18.group}_nobody").refused("adoption_refused")
    assert "Give old_role the name of the login role of today" in unknown["msg"]
    nobody = crew18.pair("adopted").refused("adoption_refused")
    assert "own name" not in nobody["msg"], "it has that already"
    crew18.pair("adopted", old_role=crew18.manager).refused("role_refused")


def test_a_superuser_does_the_rest(crew18: Team, sandbox: Sandbox) -> None:
    """What was refused above, but for what nobody can do; a setting that may be secret is in no statement."""
    closed = '"Clo sed"'
    password = secrets.token_hex(16)
    crew18.make_old(password)
    crew18.database.execute(
        f"CREATE TABLE foreign_to_all (id int); GRANT SELECT ON foreign_to_all TO {crew18.old};"
        f"GRANT pg_monitor TO {crew18.old}; CREATE SCHEMA {closed}; GRANT USAGE ON SCHEMA {closed} TO {crew18.old};"
        f"CREATE TABLE {closed}.t (id int);"
        f"ALTER TABLE {closed}.t OWNER TO {crew18.old}; ALTER ROLE {crew18.old} SET app.signing = 'kanarienvogel';"
        f"ALTER ROLE {crew18.old} BYPASSRLS CREATEDB; GRANT SET ON PARAMETER log_statement TO {crew18.old}"
    )
    refused = crew18.pair("adopted", old_role=crew18.old, check=True).refused("adoption_refused")
    assert [each for each in refused["failure"]["refused"] if "things in schema Clo sed" in each]
    start = sandbox.postgres.log.stat().st_size
    crew18.database.execute(f"ALTER DATABASE {crew18.database.name} SET log_statement = 'all'")
    asked = {"old_role": crew18.old, "superuser": True}
    predicted = crew18.pair("adopted", **asked, check=True).ok()
    done = crew18.pair("adopted", **asked).ok()
    assert done["plan"] == predicted["plan"]
    assert not crew18.pair("adopted", **asked).ok().changed
    assert crew18.pair("active", "b", password=password, superuser=True).ok().changed
    with crew18.log_in("b", password) as session:
        session.execute(f"SELECT 1 FROM foreign_to_all; INSERT INTO {closed}.t VALUES (1)".encode())
        session.execute("SET log_statement = 'none'")
        assert session.execute("SHOW app.signing").fetchone() == ("kanarienvogel",)
        assert session.execute("SELECT rolbypassrls FROM pg_roles WHERE rolname = current_user").fetchone() == (True,)
    assert b"kanarienvogel" not in sandbox.postgres.log.read_bytes()[start:]


def test_a_table_that_is_in_use(crew18: Team) -> None:
    """A long statement of somebody else's: nobody waits for longer than was allowed, and nothing is half done."""
    password = secrets.token_hex(16)
    prepare(crew18, password)
    with crew18.log_in(crew18.old, password) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM orders")
        busy = crew18.pair("adopted", old_role=crew18.old, lock_timeout="1s").refused("timed_out")
        assert "Nothing was changed" in busy["failure"]["remedy"]
        assert not crew18.database.rows("SELECT FROM pg_roles WHERE rolname = %s", crew18.group)
