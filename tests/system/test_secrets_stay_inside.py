# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Canaries: unmistakable secrets go into every secret option of every module, and may turn up nowhere afterwards.

Searched are standard output and error at the highest verbosity, ansible's log, whatever is left in its home, the
command lines of all processes meanwhile, the server's log, and everything in the store; raw and in the forms in which
libraries and tools echo what they were given. A new module is covered by being there: its options are read from its
documentation.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import psutil
import pytest
import yaml

from harness.children import clean_environment
from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner, Played
from harness.servers import Database, S3StoreAt, fresh_database, fresh_s3_store
from harness.source import module_names

if TYPE_CHECKING:
    from sandbox import Sandbox

#: Unlike anything else, with the characters that quoting changes.
PASSWORD = "kan4ry-pw/+:@'é\"\\ %41&=z"
SECRET_KEY = "kan4ryS3/secret+key/of=40characters/exactly"
TOKEN = "kan4ryToken//session++of==many/characters"
OTHER = "kan4ryOther-value/of+an=option"
CANARIES = (PASSWORD, SECRET_KEY, TOKEN, OTHER)
CLOSED_PORT = 9
#: The machine that the tests run on, as a host with tasks.
HERE = {"all": {"hosts": {"here": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}}


def forms(secret: str) -> set[str]:
    """How a secret is met in output, and its beginning, which a cut message may show."""
    raw = secret.encode()
    found = {secret, secret[:9], quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
    found |= {repr(secret)[1:-1], secret.replace("'", "''"), secret[::-1]}
    return found | {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}


def seen_in(text: str) -> set[str]:
    """The canaries that a text gives away."""
    return {secret for secret in CANARIES if any(form in text for form in forms(secret))}


@contextmanager
def watched_command_lines() -> Iterator[set[str]]:
    """Collects the command line of every process that runs meanwhile."""
    lines: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for process in psutil.process_iter():
                try:
                    lines.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lines
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Servers of this file's own; PostgreSQL writes each statement to its log."""
    from sandbox import Sandbox

    with Sandbox(tmp_path_factory.mktemp("talkative"), log_statements=True) as sandbox:
        yield sandbox


@pytest.fixture
def guarded(talkative: Sandbox) -> Iterator[Database]:
    """A database; ``guarded.args`` and ``guarded.url`` log in as a role whose password is a canary."""
    with fresh_database(talkative.postgres) as database:
        database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
        with database.connect() as connection:
            from psycopg import sql

            # By a verifier, as a careful administrator sets it: the statement is in the server's log.
            verifier = connection.pgconn.encrypt_password(PASSWORD.encode(), b"canary", b"scram-sha-256").decode()
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


def arguments(
    options: dict[str, Any], database: Database, store: S3StoreAt, by_url: bool, reachable: bool
) -> dict[str, Any]:
    """Something for every required option, and a canary for every secret one."""
    port = database.server.port if reachable else CLOSED_PORT
    url = f"postgresql://canary:{quote(PASSWORD, safe='')}@{database.server.host}:{port}/{database.name}"
    by_parts = {"login_host": database.server.host, "login_port": port, "login_user": "canary"}
    by_parts |= {"login_password": PASSWORD, "database": database.name}
    known = {
        **store.args,
        "secret_key": SECRET_KEY,
        "session_token": TOKEN,
        "environment": "canary",
        "name": "main",
        "bindir": [str(database.server.bindir)],
        "backup_id": "nightly",
        "backup": "latest",
        "maintenance_database": "postgres",
        "target_database": f"{database.name}_restored",
        **({"database_url": url} if by_url else by_parts),
    }
    given = {name: value for name, value in known.items() if name in options}
    for name, option in options.items():
        if name in given or name in by_parts or name == "database_url":
            continue
        if name.endswith(("_url", "webhook")):
            given[name] = f"http://127.0.0.1:{CLOSED_PORT}/{quote(OTHER, safe='')}"
        elif option.get("required"):
            given[name] = option["choices"][0] if option.get("choices") else _sample(option["type"])
    return given


def _sample(kind: str) -> Any:
    return {"list": ["x"], "dict": {"x": "y"}, "int": 1, "bool": False, "float": 1.0}.get(kind, "x")


class Case:
    """Plays one task in a home of its own and looks for canaries everywhere."""

    def __init__(self, home: Path, sandbox: Sandbox, store: S3StoreAt) -> None:
        self.home = home
        self.run = PlaybookRunner(home)
        self._log = sandbox.postgres.directory
        self._store = store

    def play(self, module: str, given: dict[str, Any], *, check: bool) -> tuple[Played, dict[str, set[str]]]:
        """The run, and where canaries were seen: place to canaries, empty where all is well."""
        # The arguments come from the environment: in the playbook they would be ansible's to show.
        task = {
            "name": "Try",
            f"ops.runbooks.{module}": "{{ lookup('ansible.builtin.env', 'CANARY_ARGUMENTS') | from_json }}",
            "register": "tried",
        }
        show = {"name": "Show all of it", "ansible.builtin.debug": {"var": "tried"}}
        block = [{"name": "Try and show", "block": [task], "always": [show]}]
        play = [{"name": "Canary", "hosts": "here", "gather_facts": False, "tasks": block}]
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
        env = {
            "CANARY_ARGUMENTS": json.dumps(given),
            "ANSIBLE_LOG_PATH": str(self.home / "ansible.log"),
        }
        with watched_command_lines() as lines:
            played = self.run(str(self.home / "play.yml"), inventory=HERE, env=env, check=check, diff=True, verbosity=5)
        return played, self.seen(played, lines)

    def seen(self, played: Played, lines: set[str]) -> dict[str, set[str]]:
        """Where canaries are: place to canaries."""
        places = {"output": played.output, "command lines": "\n".join(lines)}
        kept = [path for root in (self.home, self._log) for path in root.rglob("*") if path.is_file()]
        # The data directory holds tables and their write-ahead log; the password is in neither, but the bytes are many.
        kept = [path for path in kept if path.name == "play.yml" or "data" not in path.parts or path.suffix == ".log"]
        places |= {str(path): path.read_text(encoding="utf-8", errors="replace") for path in kept}
        keys = self._store.keys()
        places |= {key: self._store.read(key).decode(errors="replace") for key in keys}
        return {place: found for place, text in places.items() if (found := seen_in(text))}


@pytest.mark.parametrize(
    ("by_url", "reachable"), [(True, True), (False, True), (True, False)], ids=["url", "parts", "unreachable"]
)
@pytest.mark.parametrize("module", module_names())
def test_module(
    module: str,
    by_url: bool,
    reachable: bool,
    options: dict[str, dict[str, Any]],
    guarded: Database,
    talkative: Sandbox,
    tmp_path: Path,
) -> None:
    store = fresh_s3_store(talkative.s3, talkative.s3.bucket)
    case = Case(tmp_path / "home", talkative, store)
    if module != "postgres_backup" and reachable:
        backup = arguments(options["postgres_backup"], guarded, store, True, True)
        ModuleRunner(tmp_path / "before")("postgres_backup", backup).ok()
    given = arguments(options[module], guarded, store, by_url, reachable)
    played, found = case.play(module, given, check=False)
    assert not found, played.output
    assert "run_id" in played.output, "the module did not come as far as its runner"


def test_the_search_finds_what_is_there(guarded: Database, talkative: Sandbox, tmp_path: Path) -> None:
    """A module that is not ours and shows what it was given: the test above can fail."""
    store = fresh_s3_store(talkative.s3, talkative.s3.bucket)
    case = Case(tmp_path / "home", talkative, store)
    case.home.mkdir()
    task = {"name": "Show", "ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.env', 'LEAK') | b64encode }}"}}
    play = [{"name": "Leak", "hosts": "here", "gather_facts": False, "tasks": [task]}]
    (case.home / "leak.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    played = case.run(str(case.home / "leak.yml"), inventory=HERE, env={"LEAK": TOKEN})
    store.write("leaked", SECRET_KEY.encode())
    with guarded.connect() as connection:
        connection.execute("SELECT %s", (quote(PASSWORD),))
    found = case.seen(played, {f"psql --password={OTHER}"})
    assert found.pop("output") == {TOKEN}
    assert found.pop("leaked") == {SECRET_KEY}
    assert found.pop("command lines") == {OTHER}
    assert list(found.values()) == [{PASSWORD}], "the server's log"
