# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The password of a database is rotated while its app works, on a real server; not one statement fails."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner
from harness.restores import Shop
from harness.role_pairs import Team, team
from harness.rotations import KEY, Killed, Secret, file_destination
from harness.servers import FileStoreAt
from harness.stores import failing

if TYPE_CHECKING:
    from sandbox import PostgresServer

URL = "postgresql://{user}:{password}@{host}:{port}/{database}"


@pytest.fixture
def crew(postgres: PostgresServer, run_module: ModuleRunner) -> Iterator[Team]:
    with team(postgres, run_module) as made:
        yield made


def provider(crew: Team) -> dict[str, Any]:
    """By the manager, who is no superuser."""
    server = crew.database.server
    address = f"{server.host}:{server.port}/{crew.database.name}"
    return {
        "type": "postgres_role_pair",
        "group": crew.group,
        "roles": None,
        "old_role": None,
        "database_url": f"postgresql://{crew.manager}:{crew.password}@{address}",
        "pooler": None,
        "session_watch": "0s",
    }


@pytest.fixture
def secret(crew: Team, tmp_path: Path) -> Secret:
    place = file_destination(tmp_path / "database_url", URL)
    return Secret(store=f"file://{tmp_path}/store", destinations=[place], provider=provider(crew))


def url(secret: Secret) -> str:
    return Path(secret.destinations[0]["path"]).read_text(encoding="utf-8")


@contextmanager
def load(secret: Secret) -> Iterator[list[str]]:
    """An app that logs in with what it finds, again and again; what went wrong, by its exception."""
    wrong: list[str] = []
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            try:
                with psycopg.connect(url(secret)) as session:
                    session.execute("SELECT count(*) FROM orders")
            except psycopg.Error as error:
                wrong.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


def rotated(secret: Secret, **changes: Any) -> dict[str, Any]:
    """From the day on which it is due to its end, over all dates."""
    said: dict[str, Any] = {}
    for _run in range(12):
        with suppress(Killed):
            said = secret.run(**changes)
            changes.pop("die_before", None)
        if said.get("phase") == "idle" and not said["overdue"]:
            return said
        secret.days += 8
    raise AssertionError(said)


def test_under_load_no_statement_fails(crew: Team, secret: Secret) -> None:
    """Twice, so that each role has had its turn; what is in the file always logs in."""
    assert secret.run()["phase"] == "idle"
    with psycopg.connect(url(secret)) as session:
        session.execute("CREATE TABLE orders (id int)")
    with load(secret) as wrong:
        for turn in range(2):
            before = url(secret)
            secret.days += 91
            over = rotated(secret)
            assert (over["last"]["outcome"], over["proof"]) == ("rotated", "none")
            assert url(secret) != before
            assert f"{crew.group}_{'ba'[turn]}" in url(secret)
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(before)
    assert wrong == []


def test_a_password_from_before_is_proven_by_logins(secret: Secret, tmp_path: Path) -> None:
    """At the server that alters the roles, and at the address that was given; a wrong one comes on no record."""
    secret.run()
    right = url(secret)
    user, password = right.split("//")[1].split("@")[0].split(":")
    port = right.rpartition(":")[2].partition("/")[0]
    again = Secret(store=f"file://{tmp_path}/again", destinations=secret.destinations, provider=secret.provider)
    for wrong, said in (
        (right.replace(password, "kanarienvogel"), f"could not log in as role {user}"),
        (right.replace(f":{port}/", ":1/"), f"could not log in as role {user}"),
        (right.replace(user, "somebody"), "its user is none of"),
    ):
        for check in (True, False):
            with pytest.raises(RunbookError) as refused:
                again.run(adopt=True, current_value=wrong, check=check)
            assert said in refused.value.message
            assert "kanarienvogel" not in refused.value.message
    assert (url(secret), again.kept) == (right, [])
    assert again.run(adopt=True, current_value=right)["last"]["outcome"] == "adopted"
    assert not again.run()["changed"]
    assert url(secret) == right


def test_whoever_is_still_logged_in_is_waited_for(crew: Team, secret: Secret) -> None:
    secret.run()
    with psycopg.connect(url(secret)) as session:
        secret.days = 91
        assert secret.run()["phase"] == "grace"
        secret.days += 8
        waiting = secret.run()
        assert (waiting["changed"], waiting["phase"], waiting["waits_for"]["what"]) == (False, "grace", "use")
        assert str(session.info.backend_pid) in waiting["waits_for"]["reason"]
        session.execute("SELECT 1")
    crew.left("a", "b")
    assert secret.run()["phase"] == "watching"


def test_the_way_back_logs_in_again(crew: Team, secret: Secret) -> None:
    secret.run()
    first = url(secret)
    secret.days = 91
    secret.run()
    secret.days += 8
    assert secret.run()["phase"] == "watching"
    assert secret.run(take_back=True)["last"]["outcome"] == "taken back"
    assert url(secret) == first
    psycopg.connect(first).close()


def test_killed_around_each_change_of_a_role(crew: Team, secret: Secret) -> None:
    """Before and after; what is in the file logs in all the time, and in the end nothing else does."""
    secret.run()
    secret.effects = []
    secret.days = 91
    rotated(secret)
    wanted = ("roles of", "login of role", "set the new value", "write a destination", "disable", "remove the value")
    points = [number for number, each in enumerate(secret.effects) if any(word in each for word in wanted)]
    assert len(points) > 5
    for point in sorted({near for number in points for near in (number, number + 1)}):
        before, secret.effects, killed = url(secret), [], False
        secret.days += 91
        for _run in range(12):
            left = point - len(secret.effects)
            try:
                said = secret.run(die_before=left if left >= 0 and not killed else -1)
            except Killed:
                killed = True
            else:
                if said["phase"] == "idle" and not said["overdue"]:
                    break
                secret.days += 8
            psycopg.connect(url(secret)).close()
            crew.left("a", "b")
        assert killed
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(before)
        psycopg.connect(url(secret)).close()
        crew.left("a", "b")
        assert len(secret.kept) == 1


def test_a_stolen_password_is_ended_first(crew: Team, secret: Secret) -> None:
    """With whoever is logged in by it, before anybody has the new one; until then it can be brought back."""
    secret.run()
    stolen, asked = url(secret), {"reason": "compromise", "break_first": True, "min_age": "0s"}
    with psycopg.connect(stolen) as session, suppress(psycopg.OperationalError):
        told = secret.run(check=True, **asked)["steps"]
        assert "disable the earlier value at once, so that what uses it fails until it has the new one" in told
        for _run in range(5):
            with suppress(Killed):
                secret.run(die_before=5, **asked)
            if secret.ledger.phase == "distributing":
                break
        assert url(secret) == stolen
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(stolen)
        session.execute("SELECT 1")
        raise AssertionError("a session of the stolen password goes on")
    assert secret.run(take_back=True)["last"]["outcome"] == "taken back"
    psycopg.connect(stolen).close()
    crew.left("a", "b")
    assert secret.run(rotation_id="again", **asked)["last"]["outcome"] == "rotated"
    psycopg.connect(url(secret)).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(stolen)


def test_a_stolen_password_is_ended_in_its_grace_period(crew: Team, secret: Secret) -> None:
    """With the thief who is logged in by it, and the value that has taken its place is replaced too."""
    secret.run()
    stolen, asked = url(secret), {"reason": "compromise", "break_first": True}
    with psycopg.connect(stolen) as thief, suppress(psycopg.OperationalError):
        secret.days = 91
        assert secret.run()["phase"] == "grace"
        second = url(secret)
        told = secret.run(check=True, **asked)["steps"]
        assert told[0] == "disable the earlier value, whoever uses it"
        said = secret.run(**asked)
        assert (said["steps"], said["phase"], said["last"]["outcome"]) == (told, "idle", "rotated")
        thief.execute("SELECT 1")
        raise AssertionError("the thief's session goes on")
    assert url(secret) not in (stolen, second)
    for dead in (stolen, second):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dead)
    psycopg.connect(url(secret)).close()


def test_a_login_from_before_is_adopted(crew: Team, secret: Secret) -> None:
    """Its URL is given, since an app has it; the pair takes its place, and it goes the same way as any other."""
    password = secrets.token_hex(16)
    crew.make_old(password)
    crew.pair("adopted", old_role=crew.old).ok()
    secret.provider = {**secret.provider, "old_role": crew.old}
    server = crew.database.server
    before = f"postgresql://{crew.old}:{password}@{server.host}:{server.port}/{crew.database.name}"
    Path(secret.destinations[0]["path"]).write_text(before, encoding="utf-8")
    with failing("rotation_refused"):
        secret.run()
    with failing("invalid_parameter"):
        secret.run(adopt=True, current_value="postgresql://somebody:x@db/x")
    assert secret.run(adopt=True, current_value=before)["last"]["outcome"] == "adopted"
    assert url(secret) == before
    secret.days = 91
    over = rotated(secret)
    assert over["last"]["outcome"] == "rotated"
    assert f"{crew.group}_a" in url(secret)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(before)


def test_by_the_module(crew: Team, run_module: ModuleRunner, tmp_path: Path) -> None:
    """No password is shown, nor is it in the store."""
    place = {"name": "here", "type": "file", "path": str(tmp_path / "url"), "value": URL}
    given = {name: value for name, value in provider(crew).items() if value is not None}
    args = {"store": f"file://{tmp_path}/store", "environment": "test", "name": "database_url", "secrets_key": KEY}
    said = run_module("secret_rotation", {**args, "provider": given, "destinations": [place]}, verbosity=3).ok()
    made = (tmp_path / "url").read_text(encoding="utf-8")
    psycopg.connect(made).close()
    password = made.partition("@")[0].rpartition(":")[2]
    everything = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "store").rglob("*.json"))
    for secret in (password, crew.password, KEY):
        assert secret not in said.everything + everything


def test_a_restore_ends_by_logging_in_with_what_counts(
    crew: Team, secret: Secret, run_module: ModuleRunner, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """Passwords are the server's and in no dump. After a restore in place the app has to get in, or the run is red."""
    secret.run()
    role = secret.ledger.current.id if secret.ledger.current is not None else ""
    with psycopg.connect(url(secret)) as session:
        session.execute("CREATE TABLE orders (id int)")
    store, database = FileStoreAt(url=secret.store, directory=tmp_path / "store"), crew.database
    login = {name: value for name, value in database.args.items() if name != "bindir"}
    args = {**store.args, **login, "environment": "test", "name": "main"}
    unread = run_module("secret_login_info", args).ok()["logins"]
    assert [each["secret"] for each in unread["unchecked"]] == ["auth_secret"]
    (works,) = run_module("secret_login_info", {**args, "secrets_key": KEY}).ok()["logins"]["checked"]
    assert (works["user"], works["works"], works["tables"], works["readable"]) == (role, True, 1, 1)
    beside = f"{database.name}_beside"
    database.execute(f"CREATE DATABASE {beside}")
    database.sibling(beside).execute(f"CREATE TABLE orders (id int); REVOKE CONNECT ON DATABASE {beside} FROM PUBLIC")
    elsewhere = {**args, "secrets_key": KEY, "login_database": beside}
    (denied,) = run_module("secret_login_info", elsewhere).ok()["logins"]["checked"]
    assert (denied["works"], "permission denied for database" in denied["reason"]) == (False, True)
    database.execute(f"GRANT CONNECT ON DATABASE {beside} TO PUBLIC")
    (blind,) = run_module("secret_login_info", elsewhere).ok()["logins"]["checked"]
    assert (blind["works"], blind["reason"]) == (False, "it may read none of the 1 tables")
    database.execute(f"DROP DATABASE {beside}")

    Shop(database=database, store=store, run=run_module).backup("b1", environment="test")
    variables = {"runbooks_environment": "test", "runbooks_store": store.url}
    variables["runbooks_postgres_bindir"] = str(database.server.bindir)
    hosts = {"main": {"database_url": database.url}}
    run: dict[str, Any] = {
        "inventory": {"all": {"vars": variables, "children": {"databases": {"hosts": hosts}}}},
        "extra_vars": {"restore_strategy": "in_place", "backup": "b1", "restore_id": "inc3"},
        "env": {"RUNBOOKS_SECRETS_KEY": KEY},
    }
    restored = run_playbook("ops.runbooks.restore", **run).ok()
    said = [line for line in restored.output.splitlines() if "auth_secret" in line]
    told = f"secret auth_secret: role {role} logs in to {database.name}, and may read 1 of 1 tables"
    assert any(told in line for line in said), said
    database.execute(f"ALTER ROLE {role} PASSWORD 'as it was before a rotation'")
    red = run_playbook("ops.runbooks.restore", **run).red()
    assert "Result: failed (secret_unusable)" in red.output
    assert f"secret auth_secret, role {role}: " in red.output
    assert "-e secret=auth_secret -e reason=requested" in red.output
