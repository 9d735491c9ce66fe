# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two login roles that take turns, on real servers: by a role that is no superuser and cannot read pg_authid."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.connect import connector
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.model import Names
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.role_pair.turns import RolePair

from harness import supabase
from harness.canaries import Search, new_canary
from harness.modules import ModuleRunner
from harness.pooler import Pooler
from harness.role_pairs import Team, forget, team
from harness.stores import failing, run_context

if TYPE_CHECKING:
    from sandbox import PostgresServer, Sandbox

#: Those of this database: others may have another encoding.
OWN_STATEMENTS = """
SELECT query FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture(params=["18", "15"])
def crew(request: pytest.FixtureRequest, run_module: ModuleRunner) -> Iterator[Team]:
    """A team on either server."""
    server: PostgresServer = request.getfixturevalue("postgres" if request.param == "18" else "postgres15")
    with team(server, run_module) as made:
        yield made


@pytest.fixture
def crew18(postgres: PostgresServer, run_module: ModuleRunner) -> Iterator[Team]:
    """A team on PostgreSQL 18."""
    with team(postgres, run_module) as made:
        yield made


PASSWORD = "".join(chr(each) for each in range(0x21, 0x7F))


def new_password() -> str:
    return secrets.token_urlsafe(24)


def test_a_whole_turn(crew: Team) -> None:
    one, two = new_password(), new_password()
    predicted = crew.pair("active", "a", password=one, check=True, diff=True).ok()
    assert predicted["diff"]["after"][crew.role("b")] == {
        "exists": True, "login": False, "expired": False, "member": True, "acts_as": crew.group, "connection_limit": -1,
    }  # fmt: skip
    assert not crew.database.rows("SELECT FROM pg_roles WHERE rolname = %s", crew.group)
    made = crew.pair("active", "a", password=one, diff=True).ok()
    assert (made.changed, made["plan"], made["diff"]) == (True, predicted["plan"], predicted["diff"])
    assert made["role_pair"]["test"]["direct"]["current_user"] == crew.group
    for again in (crew.pair("active", "a", password=one), crew.pair("active", "a", password=one, check=True)):
        assert not again.ok().changed
        assert again["role_pair"]["test"]["direct"]["session_user"] == crew.role("a"), "it was tested all the same"
    assert not crew.pair("present").ok().changed
    in_group = "SELECT count(*) FROM pg_auth_members WHERE member = %s::regrole AND roleid = %s::regrole"
    held = crew.database.value(in_group, crew.manager, crew.group)
    assert held == (1 if crew.database.server.version == "18" else 0), "16 and later: the ADMIN OPTION, of who made it"

    # What one of them makes is the group's, after a pooler's reset too.
    with crew.log_in("a", one) as app:
        app.execute("CREATE TABLE orders (id int)")
        app.execute("DISCARD ALL")
        app.execute("CREATE TABLE baskets (id int)")
    owners = crew.database.rows("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert owners == [(crew.group,)]

    crew.left("a")

    # The other one's turn.
    assert crew.pair("active", "b", password=two).ok().changed
    with crew.log_in("b", two) as app:
        app.execute("INSERT INTO orders VALUES (1)")
    with crew.log_in("a", one) as app:
        used = crew.pair("retired", "a").refused("role_in_use")
        assert str(app.info.backend_pid) in used.message
        crew.pair("active", "a", password=new_password()).refused("role_in_use")
        app.execute("SELECT 1")
    crew.left("a")
    assert crew.pair("retired", "a", check=True).ok().changed
    assert crew.pair("retired", "a").ok().changed
    assert not crew.pair("retired", "a").ok().changed
    with pytest.raises(psycopg.OperationalError, match="not permitted"):
        crew.log_in("a", one)
    assert crew.pair("active", "b", password=two).ok()["role_pair"]["roles"][crew.role("a")]["login"] is False

    # A login that is off is known by its password all the same, and comes back with it.
    back = crew.pair("active", "a", password=one, check=True).ok()
    assert back["plan"]["steps"] == [f"let {crew.role('a')} log in"]
    assert crew.pair("active", "a").ok().changed
    with crew.log_in("a", one) as app:
        assert crew.pair("retired", "a", force_after="0s").ok().changed
        with pytest.raises(psycopg.OperationalError):
            app.execute("SELECT 1")

    # Its password goes, and a new one comes in the next turn.
    gone = crew.pair("scrambled", "a").ok()
    assert (gone.changed, len(gone["plan"]["irreversible"])) == (True, 1)
    assert not crew.pair("scrambled", "a").ok().changed
    assert not crew.pair("retired", "a").ok().changed
    crew.pair("active", "a").refused("invalid_parameter")
    crew.pair("tested", "a", password=one).refused("login_denied")
    assert crew.pair("active", "a", password=one).ok().changed

    # The end.
    crew.left("a", "b")
    for letter in "ab":
        crew.pair("absent").refused("role_in_use")
        crew.pair("retired", letter).ok()
    assert "public.baskets" in crew.pair("absent").refused("role_needed").message
    crew.database.execute("DROP TABLE orders, baskets")
    assert crew.pair("absent").ok().changed
    assert not crew.pair("absent").ok().changed


def test_what_the_login_must_be_able_to_do(crew18: Team) -> None:
    password = new_password()
    crew18.as_manager("CREATE TABLE t (id int)")
    needs = [
        {"object": "public.t", "privileges": ["SELECT", "INSERT"]},
        {"object": "no.such", "privileges": ["SELECT"]},
    ]
    lacking = crew18.pair("active", "a", password=password, required_privileges=needs).refused("login_differs")
    assert lacking["failure"]["lacks"] == [
        "SELECT on table public.t",
        "INSERT on table public.t",
        "SELECT on table no.such",
    ]
    crew18.as_manager(f"GRANT SELECT, INSERT ON t TO {crew18.group}")
    crew18.pair("tested", "a", password=password, required_privileges=needs[:1]).ok()
    crew18.pair("tested", "a", password=new_password()).refused("login_denied")
    # Somebody has taken away that it acts as the group: it would own what it makes.
    crew18.as_manager(f"ALTER ROLE {crew18.role('a')} RESET role")
    crew18.pair("tested", "a", password=password).refused("login_differs")
    assert crew18.pair("present", login=[crew18.role("a")]).ok().changed
    crew18.pair("tested", "a", password=password).ok()
    crew18.pair("present", login=[crew18.role("b")], role=None, check=True).ok()


def test_roles_that_are_not_ours(crew18: Team, postgres: PostgresServer) -> None:
    crew18.pair("present", roles=[crew18.manager, "x"]).refused("role_refused")
    crew18.pair("present", group="service_role").refused("role_refused")
    # Made by somebody else, so that from PostgreSQL 16 on it is not the manager's.
    crew18.database.execute(f"CREATE ROLE {crew18.group}")
    assert "ADMIN OPTION" in crew18.pair("present").refused("privilege_missing").message
    # Names are anything; a password is not, and an option that would be passed over is refused.
    odd = f"{crew18.group} Ö'\"x"
    for changed in (True, False):
        assert crew18.pair("active", f"{odd}_a", group=odd, password=PASSWORD).ok().changed is changed
    crew18.pair("present", password=new_password()).refused("invalid_parameter")
    crew18.pair("active", "a", password="short").refused("invalid_parameter")


def test_a_server_that_does_not_ask(crew18: Team, postgres: PostgresServer) -> None:
    """A login proves nothing then; only who may read what the server keeps can tell."""
    password, rules = new_password(), postgres.data / "pg_hba.conf"
    before = rules.read_text(encoding="utf-8")
    rules.write_text(f"host all {crew18.role('a')} 127.0.0.1/32 trust\n{before}", encoding="utf-8")
    try:
        crew18.database.execute("SELECT pg_reload_conf()")
        crew18.pair("active", "a", password=password).refused("login_unproven")
        told = crew18.pair("active", "a", password=password, superuser=True).ok()
        assert not told.changed
        assert told["role_pair"]["test"]["direct"]["password_asked"] is False
    finally:
        rules.write_text(before, encoding="utf-8")
        crew18.database.execute("SELECT pg_reload_conf()")


class StalePooler(Pooler):
    """Refuses a number of logins as one does that still has the password from before."""

    def __init__(self, dsn: str, refusals: int) -> None:
        super().__init__(dsn, size=1)
        self.left = refusals

    def _greet(self, client: socket.socket) -> bool:
        if self.left <= 0:
            return super()._greet(client)
        self.left -= 1
        (length,) = struct.unpack("!i", client.recv(4))
        client.recv(length - 4)
        said = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user\0\0"
        client.sendall(b"E" + struct.pack("!i", len(said) + 4) + said)
        return False


def test_through_a_pooler(crew18: Team) -> None:
    password = new_password()
    crew18.pair("active", "a", password=password).ok()
    server = crew18.database.server
    dsn = f"postgresql://{crew18.role('a')}:{password}@{server.host}:{server.port}/{crew18.database.name}"
    with Pooler(dsn, size=1) as through:
        where = {"host": "127.0.0.1", "port": through.port, "ssl_mode": "disable"}
        seen = crew18.pair("tested", "a", password=password, pooler=where).ok()["role_pair"]["test"]["pooled"]
    assert (seen["session_user"], seen["current_user"]) == (crew18.role("a"), crew18.group)
    with StalePooler(dsn, refusals=1) as through:
        where = {"host": "127.0.0.1", "port": through.port, "ssl_mode": "disable", "patience": "0s"}
        crew18.pair("active", "a", password=password, pooler=where).refused("pooler_stale")
        assert not crew18.pair("active", "a", password=password, pooler=where).ok().changed, "the server's was right"
    with Pooler(crew18.database.url, size=1) as through:
        where = {"host": "127.0.0.1", "port": through.port, "ssl_mode": "disable"}
        other = crew18.pair("tested", "a", password=password, pooler=where).refused("login_differs")
    assert "the session is of role" in other.message


def test_a_password_is_in_no_log(sandbox: Sandbox, run_module: ModuleRunner) -> None:
    """Every statement of these sessions is in the server's log and in pg_stat_statements, and one of them fails."""
    canary, poor = new_canary("/+:@'\"\\%&=z$1"), new_canary("/+:@'\"\\%&=z$2")
    with team(sandbox.postgres, run_module) as crew:
        database, log = crew.database, sandbox.postgres.log
        start = log.stat().st_size
        database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        database.execute(f"ALTER DATABASE {database.name} SET log_statement = 'all'")
        database.execute(f"ALTER DATABASE {database.name} SET scram_iterations = 4097")
        said = [
            crew.pair("active", "a", password=canary.text).ok(),
            crew.pair("active", "a", password=canary.text).ok(),
        ]
        said += [crew.pair("tested", "a", password=poor.text).refused("login_denied")]
        # By a superuser, who may read verifiers; and a server that refuses the statement.
        again = crew.pair("active", "a", password=canary.text, superuser=True).ok()
        assert not again.changed
        database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
        said += [again, crew.pair("active", "a", password=poor.text, superuser=True).refused("server_failed")]
        with database.connect(options="-c default_transaction_read_only=off") as session:
            session.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only".encode())
        written = log.read_bytes()[start:].decode(errors="replace")
        kept = "\n".join(row[0] for row in database.rows(OWN_STATEMENTS))
    assert "PASSWORD 'SCRAM-SHA-256$4097:" in written, "the log has the statement"
    everything = "".join(each.everything for each in said)
    assert "SCRAM-SHA-256" not in everything
    assert not Search((canary, poor)).places([("log", written), ("statements", kept), ("said", everything)])


def test_at_supabase(postgres: PostgresServer, run_module: ModuleRunner) -> None:
    """The project's own role is no superuser, and the application's tables are its own."""
    password = new_password()
    with supabase.project(postgres) as project:
        try:
            asked = {**project.login, "login_host": postgres.host, "login_port": postgres.port, "group": "supa_app"}
            run_module("postgres_role_pair", {**asked, "group": "service_role"}).refused("role_refused")
            given = {**asked, "state": "active", "role": "supa_app_a", "password": password, "bypassrls": True}
            assert run_module("postgres_role_pair", given).ok().changed
            assert not run_module("postgres_role_pair", given).ok().changed
            project.database.execute("GRANT SELECT ON public.note TO supa_app")
            with psycopg.connect(project.database.url, user="supa_app_a", password=password) as app:
                assert app.execute("SELECT count(*) FROM public.note").fetchone() == (20,), "no policy hides them"
        finally:
            forget(project.database, "supa_app")


# --- The class that rotation uses, and a run that dies ---------------------------------------------------


class Killed(Exception):
    """The process has gone."""


class Doomed:
    """Lets a number of effects happen and dies before the next one."""

    def __init__(self, effects: int) -> None:
        self.left = effects

    def __call__(self, what: str) -> None:
        if self.left == 0:
            raise Killed(what)
        self.left -= 1


def opened(crew: Team, effects: int | None = None) -> Any:
    """The class on a session of its own, and what closes it."""
    context = run_context()
    if effects is not None:
        context.controller.check = Doomed(effects)  # type: ignore[method-assign]
    options = {**crew.database.args, "login_user": crew.manager, "login_password": crew.password}
    way = connector({**options, "database_url": None, "connection_fallback": False}, context, environ={})
    session = way.open()
    session.prepare_for_work(timedelta(seconds=5))
    return RolePair(way, session, context, Names.read(crew.group, None, None), watch=0.0), way


def test_killed_before_and_after_each_effect(crew18: Team) -> None:
    """Each is done by the next run, and once only."""
    one = new_password()

    def dies(effects: int, *call: Any, **options: Any) -> None:
        pair, way = opened(crew18, effects)
        with pytest.raises(Killed):
            getattr(pair, call[0])(*call[1:], **options)
        way.close()

    def does(*call: Any, **options: Any) -> Any:
        pair, way = opened(crew18)
        done = getattr(pair, call[0])(*call[1:], **options)
        way.close()
        return done

    a, b = crew18.role("a"), crew18.role("b")
    dies(0, "apply", a, one)
    assert does("list") == ()
    assert does("apply", a, one)
    assert not does("apply", a, one), "the answer to the first one may have been lost"
    assert does("test", a, one).direct.current_user == crew18.group
    assert [(each.id, each.enabled) for each in does("list")] == [(a, True), (b, False)]
    with crew18.log_in("a", one):
        proof = does("unused", a)
        assert (proof.state, len(proof.by)) == ("in_use", 1)
        with failing("role_in_use"):
            does("disable", a)
        dies(0, "disable", a, force_after=0.0)
        # Between the login that goes and the sessions that are ended.
        dies(1, "disable", a, force_after=0.0)
        with failing("role_in_use"):
            does("disable", a)
        assert does("disable", a, force_after=0.0)
    assert not does("disable", a)
    assert does("unused", a).state == "unused"
    dies(0, "enable", a)
    assert does("enable", a)
    assert not does("enable", a)
    with failing("role_in_use"):
        does("delete", a)
    does("disable", a)
    dies(0, "delete", a)
    assert does("delete", a)
    assert not does("delete", a)


def test_who_logs_in_while_the_login_is_taken_away(crew18: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last look and before the end of the transaction: it gets its login back."""
    one = new_password()
    pair, way = opened(crew18)
    pair.apply(crew18.role("a"), one)
    late: list[psycopg.Connection[Any]] = []
    refuse = pair._refuse_used

    def look(role: str) -> None:
        refuse(role)
        if not late:
            late.append(crew18.log_in("a", one))

    monkeypatch.setattr(pair, "_refuse_used", look)
    with failing("role_in_use"):
        pair.disable(crew18.role("a"))
    way.close()
    late[0].close()
    crew18.log_in("a", one).close()
