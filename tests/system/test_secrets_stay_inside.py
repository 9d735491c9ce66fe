# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module at its work, with a secret in each of its secret options.

A new module is covered by being there: its options are read from its documentation. ``test_canary.py`` has the
playbooks, and everything that goes wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from psycopg import sql

from harness.canaries import Canary, Search, files, new_canary, watched_command_lines
from harness.children import clean_environment
from harness.modules import ModuleRunner
from harness.paths import MIGRATIONS
from harness.playbooks import PlaybookRunner, Played
from harness.servers import Database, S3StoreAt, fresh_database, fresh_s3_store
from harness.source import module_names, modules

if TYPE_CHECKING:
    from sandbox import PostgresServer, S3Server, Sandbox

PASSWORD, SECRET_KEY, TOKEN, OTHER = new_canary(), new_canary("/+="), new_canary("//++=="), new_canary()
SEARCH = Search((PASSWORD, SECRET_KEY, TOKEN, OTHER))
CLOSED_PORT = 9
#: The machine that the tests run on, as a host with tasks.
HERE = {"all": {"hosts": {"here": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A server of this file's own: PostgreSQL that writes each statement to its log."""
    from sandbox import Sandbox

    with Sandbox(tmp_path_factory.mktemp("talkative"), log_statements=True, s3=False) as sandbox:
        yield sandbox


@pytest.fixture
def guarded(talkative: Sandbox) -> Iterator[Database]:
    """A database; ``guarded.args`` and ``guarded.url`` log in as a role whose password is a canary."""
    with fresh_database(talkative.postgres) as database:
        database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
        with database.connect() as connection:
            # By a verifier, as a careful administrator sets it: the statement is in the server's log.
            verifier = connection.pgconn.encrypt_password(PASSWORD.text.encode(), b"canary", b"scram-sha-256").decode()
            connection.execute("DROP ROLE IF EXISTS canary")
            create = sql.SQL("CREATE ROLE canary LOGIN SUPERUSER PASSWORD {}")
            connection.execute(create.format(sql.Literal(verifier)))
        yield database


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Module name to its documented options."""
    names = [f"ops.runbooks.{name}" for name in module_names()]
    argv = [sys.executable, "-m", "ansible", "doc", "--json", "-t", "module", *names]
    environment = clean_environment(tmp_path_factory.mktemp("home"))
    done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {name.rsplit(".", 1)[-1]: page["doc"]["options"] for name, page in json.loads(done.stdout).items()}


def arguments(options: dict[str, Any], database: Database, store: S3StoreAt, by_url: bool) -> dict[str, Any]:
    """Something for every required option, and a canary for every secret one."""
    port = database.server.port
    url = f"postgresql://canary:{PASSWORD.quoted}@{database.server.host}:{port}/{database.name}"
    by_parts = {"login_host": database.server.host, "login_port": port, "login_user": "canary"}
    by_parts |= {"login_password": PASSWORD.text, "database": database.name}
    known = {
        **store.args,
        "secret_key": SECRET_KEY.text,
        "session_token": TOKEN.text,
        "environment": "canary",
        "name": "main",
        "bindir": [str(database.server.bindir)],
        "backup_id": "nightly",
        "backup": "latest",
        "identity": "step",
        "what": "something was done",
        "bucket": store.bucket,
        "object": "canary",
        "content": "a canary sang",
        "maintenance_database": "postgres",
        "target_database": f"{database.name}_restored",
        "directory": str(MIGRATIONS),
        "git": {"sha": "5ca1ab1e" * 5, "ref": "main"},
        "variables": [{"name": "API_KEY", "value": OTHER.text}],
        "secrets": [{"name": "API_KEY", "value": OTHER.text}],
        "repository": "acme/web",
        **({"database_url": url} if by_url else by_parts),
    }
    if "access_key_id" in options:
        known["file"] = "/nowhere/key"
    rotated = {
        "provider": {"type": "generated"},
        "destinations": [{"name": "canary", "type": "file", "path": "/nowhere/canary"}],
    }
    known |= {**rotated, "secrets_key": OTHER.text}
    if "provider" in options.get("secrets", {}).get("suboptions", {}):
        known["secrets"] = [{"name": "canary", **rotated}]
    given = {name: value for name, value in known.items() if name in options and _fits(value, options[name])}
    for name, option in options.items():
        if name in given or name in by_parts or name == "database_url":
            continue
        if name.endswith(("_url", "webhook")):
            given[name] = f"http://127.0.0.1:{CLOSED_PORT}/{OTHER.quoted}"
        elif option.get("required"):
            given[name] = option["choices"][0] if option.get("choices") else _sample(option["type"])
    return given


def _fits(value: Any, option: dict[str, Any]) -> bool:
    """Whether an option of that name is the one that is meant."""
    return not isinstance(value, list) or option["type"] == "list"


def _sample(kind: str) -> Any:
    return {"list": ["x"], "dict": {"x": "y"}, "int": 1, "bool": False, "float": 1.0}.get(kind, "x")


class Case:
    """Plays tasks in a home of its own and looks for canaries everywhere."""

    def __init__(self, home: Path, server: PostgresServer, store: S3StoreAt) -> None:
        self.home = home
        self.run = PlaybookRunner(home)
        self._logs = server.directory
        self._store = store

    def play(self, tries: list[tuple[str, dict[str, Any]]]) -> tuple[Played, dict[str, set[Canary]]]:
        """The run of pairs of module and arguments, and where canaries were seen: place to canaries."""
        env = {"ANSIBLE_LOG_PATH": str(self.home / "ansible.log")}
        tasks: list[dict[str, Any]] = []
        for number, (module, given) in enumerate(tries):
            # The arguments come from the environment: in the playbook they would be ansible's to show.
            env[f"CANARY_{number}"] = json.dumps(given)
            arguments = f"{{{{ lookup('ansible.builtin.env', 'CANARY_{number}') | from_json }}}}"
            task = {"name": f"Try {module}", f"ops.runbooks.{module}": arguments, "ignore_errors": True}
            tasks.append({**task, "register": f"tried_{number}"})
        shown = {f"{number}": f"{{{{ tried_{number} }}}}" for number in range(len(tries))}
        tasks.append({"name": "Show all of it", "ansible.builtin.debug": {"msg": shown}})
        keep = {"name": "Keep it", "ansible.builtin.copy": {"content": "{{ shown | to_json }}", "dest": str(self.kept)}}
        tasks.append({**keep, "vars": {"shown": shown}, "diff": False})
        play = [{"name": "Canary", "hosts": "here", "gather_facts": False, "tasks": tasks}]
        self.home.mkdir(parents=True, exist_ok=True)
        book = self.home / "play.yml"
        book.write_text(yaml.safe_dump(play), encoding="utf-8")
        with watched_command_lines() as lines:
            played = self.run(str(book), inventory=HERE, env=env, diff=True, verbosity=5, timeout=600)
        return played, SEARCH.places(self.texts(played, lines))

    @property
    def kept(self) -> Path:
        """The file with all results, by the number of the task."""
        return self.home / "results.json"

    def texts(self, played: Played, lines: set[str]) -> Iterator[tuple[str, str]]:
        """Place and text of all that a run leaves."""
        yield "output", played.output
        yield "command lines", "\n".join(lines)
        yield from files(self.home)
        for path in self._logs.glob("*log*"):
            yield from files(path) if path.is_dir() else [(str(path), path.read_text(errors="replace"))]
        for key in self._store.keys():  # noqa: SIM118  a store is no dictionary
            yield key, self._store.read(key).decode(errors="replace")


#: Modules that get the address of a database in parts, once more.
IN_PARTS = [source.path.stem for source in modules() if "  - ops.runbooks._postgres\n" in source.text]


def test_every_module(
    options: dict[str, dict[str, Any]], guarded: Database, talkative: Sandbox, s3: S3Server, tmp_path: Path
) -> None:
    """All in one play, since a start of ansible costs more than most of them; a backup is there for those after it."""
    store = fresh_s3_store(s3, s3.bucket)
    case = Case(tmp_path / "home", talkative.postgres, store)
    backup = arguments(options["postgres_backup"], guarded, store, True)
    ModuleRunner(tmp_path / "before")("postgres_backup", backup).ok()
    chosen = [*((name, True) for name in module_names()), *((name, False) for name in IN_PARTS)]
    tries = [(name, arguments(options[name], guarded, store, by_url)) for name, by_url in chosen]
    played, found = case.play(tries)
    assert not found, played.output
    results = json.loads(case.kept.read_text(encoding="utf-8"))
    missed = [name for number, (name, _given) in enumerate(tries) if "run_id" not in results[str(number)]]
    assert not missed, f"these did not come as far as their runner: {missed}\n{played.output}"
