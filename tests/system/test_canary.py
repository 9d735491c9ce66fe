# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets may turn up nowhere: every playbook and every module, good and bad, at the highest verbosity.

Canaries are planted where users have secrets: in the inventory by way of the environment, in every secret option of
every module, in the environment itself. Playbooks and modules then succeed, are refused their parameters, meet servers
that refuse or do not answer, and raise what nobody foresaw. Searched are standard output and error, ansible's log, its
fact cache, its temporary files, the events of ansible-runner, the command lines of all processes meanwhile, the store,
PostgreSQL's log and its statistics of statements.

A module or a playbook is covered by being there. ``test_secrets_stay_inside.py`` has the good and unreachable cases of
single modules.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from psycopg import sql

from harness.canaries import Canary, Search, files, new_canary, watched_command_lines
from harness.children import Child, clean_environment
from harness.modules import ModuleRunner
from harness.paths import CHECKOUT, MIGRATIONS, PLAYBOOKS
from harness.playbooks import PlaybookRunner, Played
from harness.receiver import receiver
from harness.servers import Database, S3StoreAt, fresh_database, fresh_s3_store
from harness.sites import Site, make_site
from harness.source import module_names

if TYPE_CHECKING:
    from sandbox import S3Server, Sandbox
    from sandbox.vercel import VercelServer

#: A port on which nobody listens.
CLOSED = 9
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
#: Beside ``-vvvvv --diff``: what people and AWX have switched on.
LOUD = {
    "ANSIBLE_DISPLAY_TRACEBACK": "always",
    "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
    "ANSIBLE_INJECT_INVOCATION": "true",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """The secrets of one environment, and how each is reached."""

    password: Canary
    wrong_password: Canary
    secret_key: Canary
    session_token: Canary
    webhook: Canary
    heartbeat: Canary
    vercel_token: Canary
    bypass: Canary
    other: Canary
    site: Site
    database: Database
    store: S3StoreAt
    receiver: str

    @property
    def search(self) -> Search:
        """For all of them."""
        return Search(
            (
                self.password,
                self.wrong_password,
                self.secret_key,
                self.session_token,
                self.webhook,
                self.heartbeat,
                self.vercel_token,
                self.bypass,
                self.other,
            )
        )

    def url(self, *, password: Canary | None = None, port: int | None = None, database: str | None = None) -> str:
        server = self.database.server
        address = f"{server.host}:{port or server.port}/{database or self.database.name}"
        return f"postgresql://canary:{(password or self.password).quoted}@{address}"

    @property
    def environment(self) -> dict[str, str]:
        """As a user's shell or an AWX credential provides them."""
        return {
            "CANARY_DATABASE_URL": self.url(),
            "CANARY_SECRET_KEY": self.secret_key.text,
            "CANARY_SESSION_TOKEN": self.session_token.text,
            "CANARY_WEBHOOK_URL": f"{self.receiver}/services/{self.webhook.quoted}",
            "CANARY_HEARTBEAT_URL": f"{self.receiver}/ping/{self.heartbeat.quoted}",
            "CANARY_VERCEL_TOKEN": self.vercel_token.text,
            "CANARY_BYPASS": self.bypass.text,
            "CANARY_AGE_IDENTITY": self.other.text,
            "CANARY_SECRETS_KEY": f"{self.other.text}{self.other.text}",
        }

    @property
    def inventory(self) -> dict[str, Any]:
        """As the README tells people to write it: secrets by lookup."""
        names = {
            "runbooks_store_secret_key": "CANARY_SECRET_KEY",
            "runbooks_store_session_token": "CANARY_SESSION_TOKEN",
            "runbooks_webhook_url": "CANARY_WEBHOOK_URL",
            "runbooks_heartbeat_url": "CANARY_HEARTBEAT_URL",
            "runbooks_age_identity": "CANARY_AGE_IDENTITY",
        }
        variables = {
            "runbooks_environment": "canary",
            "runbooks_store": self.store.url,
            "runbooks_store_access_key": self.store.server.access_key,
            "runbooks_store_endpoint_url": self.store.server.endpoint_url,
            "runbooks_store_region": "us-east-1",
            "runbooks_store_addressing_style": "path",
            "runbooks_postgres_bindir": [str(self.database.server.bindir)],
            "migrations_directory": str(MIGRATIONS),
            **{name: from_environment(variable) for name, variable in names.items()},
        }
        hosts = {"main": {"database_url": from_environment("CANARY_DATABASE_URL")}}
        children = {"databases": {"hosts": hosts}, "apps": {"hosts": {"web": self.app}}}
        return {"all": {"vars": variables, "children": children}}

    @property
    def app(self) -> dict[str, Any]:
        """The variables of one app."""
        return {
            "vercel_project": self.site.options["project"],
            "vercel_team": self.site.options["team"],
            "vercel_api_url": self.site.options["api_url"],
            "vercel_token": from_environment("CANARY_VERCEL_TOKEN"),
            "app_url": self.site.vercel.api_url,
            "app_headers": {"Host": self.site.host},
            "app_secret_headers": {"x-vercel-protection-bypass": from_environment("CANARY_BYPASS")},
            "app_databases": ["main"],
            "verify_min_samples": 5,
            "verify_wait_for": "0s",
            "deploy_smoke_url": self.site.vercel.api_url,
            "deploy_smoke_headers": {"Host": "{{ deploy_address }}"},
            "runbooks_secrets_key": from_environment("CANARY_SECRETS_KEY"),
            "runbooks_secrets": [self.secret],
        }

    @property
    def secret(self) -> dict[str, Any]:
        """One that goes into previews, so that nothing is built for it; its consumer has nothing to say."""
        site = {name: self.site.options[name] for name in ("project", "team", "api_url")}
        token = from_environment("CANARY_VERCEL_TOKEN")
        place = {"name": "previews", "type": "vercel_env", "variable": "SESSION_SECRET", "targets": ["preview"]}
        headers = {"x-vercel-protection-bypass": from_environment("CANARY_BYPASS")}
        consumer = {"name": "web", "url": self.site.vercel.api_url, "samples": 1, "secret_headers": headers}
        return {
            "name": "session_secret",
            "provider": {"type": "generated"},
            "sign_out_users": True,
            "destinations": [{**place, **site, "token": token}],
            "consumers": [consumer],
        }


def from_environment(name: str) -> str:
    return f"{{{{ lookup('ansible.builtin.env', '{name}') }}}}"


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A server of this file's own: PostgreSQL that writes each statement to its log."""
    from sandbox import Sandbox

    with Sandbox(tmp_path_factory.mktemp("talkative"), log_statements=True, s3=False) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def vercel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VercelServer]:
    """A stand-in for Vercel of this file's own."""
    from sandbox.vercel import VercelServer

    with VercelServer(tmp_path_factory.mktemp("vercel")) as server:
        yield server


@pytest.fixture
def planted(talkative: Sandbox, vercel: VercelServer, s3: S3Server) -> Iterator[Planted]:
    from sandbox.vercel import Token

    store = fresh_s3_store(s3, s3.bucket)
    with fresh_database(talkative.postgres) as database, receiver() as server:
        made = Planted(
            password=new_canary(),
            wrong_password=new_canary(),
            # The keys of S3 have no odd characters but these.
            secret_key=new_canary("/+="),
            session_token=new_canary("//+=="),
            webhook=new_canary("-_.~"),
            heartbeat=new_canary("-_.~"),
            vercel_token=new_canary("-_.~"),
            bypass=new_canary("-_.~"),
            other=new_canary(),
            site=make_site(vercel),
            database=database,
            store=store,
            receiver=server.url,
        )
        database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
        database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        set_password(database, "canary", made.password, "SUPERUSER")
        vercel.put(Token(token=made.vercel_token.text, user="usr_sandbox", teams=("team_sandbox",)))
        yield made


def set_password(database: Database, role: str, password: Canary, attributes: str) -> None:
    """By a verifier, as a careful administrator sets it: the statement is in the server's log."""
    with database.connect() as connection:
        verifier = connection.pgconn.encrypt_password(password.text.encode(), role.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
        create = sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}")
        name, rights = sql.Identifier(role), sql.SQL(attributes)  # type: ignore[arg-type,unused-ignore]
        connection.execute(create.format(name, rights, sql.Literal(verifier)))


class Case:
    """Runs something loudly in a home of its own, and looks everywhere for canaries."""

    def __init__(self, home: Path, sandbox: Sandbox, planted: Planted) -> None:
        self.home = home
        self.planted = planted
        self._log = sandbox.postgres.directory
        self._since = {path: path.stat().st_size for path in self._logs()}

    def play(
        self, playbook: str, *, inventory: Any = None, env: dict[str, str] | None = None, **options: Any
    ) -> Played:
        """The run; fails where a canary is anywhere after it."""
        loud = {
            **LOUD,
            "ANSIBLE_LOG_PATH": str(self.home / "ansible.log"),
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.home / "facts"),
            **self.planted.environment,
            **(env or {}),
        }
        run = PlaybookRunner(self.home)
        inventory = self.planted.inventory if inventory is None else inventory
        with watched_command_lines() as lines:
            played = run(playbook, inventory=inventory, env=loud, verbosity=5, diff=True, timeout=600, **options)
        self.seen_nothing(played.output, lines)
        return played

    def tasks(self, *tasks: dict[str, Any], env: dict[str, str] | None = None) -> Played:
        """A play of these tasks on this machine: none of them ends it, and all results are shown at its end."""
        tries = [
            {"name": "Try", "register": f"tried_{number}", "ignore_errors": True, **task}
            for number, task in enumerate(tasks)
        ]
        results = ", ".join(f"tried_{number}" for number in range(len(tasks)))
        show = {"name": "Show", "ansible.builtin.debug": {"msg": f"{{{{ [{results}] }}}}"}}
        play = [{"name": "Canary", "hosts": "here", "gather_facts": False, "tasks": [*tries, show]}]
        self.home.mkdir(parents=True, exist_ok=True)
        path = self.home / "play.yml"
        path.write_text(yaml.safe_dump(play), encoding="utf-8")
        return self.play(str(path), inventory={"all": {"hosts": {"here": HERE}}}, env=env).ok()

    def alone(self, module: str, sets: Sequence[dict[str, Any]], env: dict[str, str] | None = None) -> str:
        """What the module says to each set of arguments, as ansible would show it: all of that is the module's own."""
        loud, env = {"_ansible_tracebacks_for": ["error", "warning"]}, {**self.planted.environment, **(env or {})}
        run = ModuleRunner(self.home)
        with watched_command_lines() as lines:
            runs = [run(module, {**given, **loud}, diff=True, env=env, verbosity=5) for given in sets]
        said = "".join(each.finished.output for each in runs)
        self.seen_nothing(said, lines)
        return said

    def seen_nothing(self, output: str, lines: set[str]) -> None:
        """Look everywhere."""
        found = self.planted.search.places(self._places(output, lines))
        leaks = {place: sorted(each.text for each in seen) for place, seen in found.items()}
        assert not leaks, f"{leaks}\n{output}"

    def _places(self, output: str, lines: set[str]) -> Iterator[tuple[str, str]]:
        yield "output", output
        yield "command lines", "\n".join(lines)
        yield from files(self.home)
        for path in self._logs():
            with path.open("rb") as log:
                log.seek(self._since.get(path, 0))
                yield str(path), log.read().decode(errors="replace")
        store = self.planted.store
        yield from ((key, key + store.read(key).decode(errors="replace")) for key in store.keys())  # noqa: SIM118
        statements = self.planted.database.rows("SELECT query FROM pg_stat_statements")
        yield "pg_stat_statements", "\n".join(str(query) for (query,) in statements)

    def _logs(self) -> list[Path]:
        return [path for path in self._log.rglob("*.log") if path.is_file()]


@pytest.fixture
def case(talkative: Sandbox, planted: Planted, tmp_path: Path) -> Case:
    return Case(tmp_path / "home", talkative, planted)


# --- Playbooks -------------------------------------------------------------------------------------------

#: init takes no inventory, and no secret.
RUNBOOKS = sorted(path.stem for path in PLAYBOOKS.glob("*.yml") if path.stem != "init")
#: These plan the most, and show the most of what they plan. What the others would do, molecule asks them.
PLANNING = ("backup", "deploy", "migrate", "restore")
each_runbook = pytest.mark.parametrize("runbook", RUNBOOKS)


def inputs(runbook: str, planted: Planted, home: Path | None = None) -> dict[str, str]:
    """What a runbook is launched with, where it needs anything to do its work."""
    restored = {"backup": "latest", "target_database": f"{planted.database.name}_restored"}
    back = {"to": "previous", "reason": "a canary sang"}
    release = {"release": planted.site.id("D")}
    known = {"restore": restored, "rollback": back, "promote": {**back, "to": planted.site.id("D")}, "deploy": release}
    if runbook == "approve":
        known["approve"] = {**release, "confirm": digest_of(planted, home) if home is not None else "0" * 16}
    return known.get(runbook, {})


def digest_of(planted: Planted, home: Path) -> str:
    """The digest of the plan that is to be approved: with the migrations that it needs."""
    run = ModuleRunner(home)
    asked = run("postgres_migration", arguments("postgres_migration", planted), check=True).ok()["migration"]
    pending = [{"database": "main", "name": each["name"], "checksum": each["checksum"]} for each in asked["pending"]]
    plan = {"release": planted.site.id("D"), "name": "web", "migrations": pending}
    return str(run("release_plan", {**arguments("release_plan", planted), **plan}).ok()["release"]["digest"])


#: Runbooks of the group apps.
OF_APPS = ("approve", "deploy", "promote", "rollback", "rotate", "secrets", "verify")


@each_runbook
def test_a_playbook_that_does_its_work(runbook: str, case: Case, planted: Planted) -> None:
    if runbook != "backup":
        ModuleRunner(case.home.with_name("before"))("postgres_backup", arguments("postgres_backup", planted)).ok()
    if runbook in PLANNING:
        case.play(f"ops.runbooks.{runbook}", extra_vars=inputs(runbook, planted, case.home), check=True).ok()
    case.play(f"ops.runbooks.{runbook}", extra_vars=inputs(runbook, planted, case.home)).ok()


def troubles(planted: Planted) -> dict[str, dict[str, str]]:
    """Host to variables and their values: one host for each way in which a run can fail.

    What a role makes of a refusal does not depend on its words: those of each module have tests of their own below.
    """
    dead = f"http://127.0.0.1:{CLOSED}"
    # Where both are out of reach, each is: a database that is gone is said, and nobody can be told.
    unheard = {
        "database_url": planted.url(port=CLOSED),
        "runbooks_webhook_url": f"{dead}/{planted.webhook.quoted}",
        "runbooks_heartbeat_url": f"{dead}/{planted.heartbeat.quoted}",
    }
    return {
        "denied": {"database_url": planted.url(password=planted.wrong_password)},
        "unquoted": {"database_url": f"postgresql://canary:{planted.password.text}@127.0.0.1/x"},
        "unheard": unheard,
        "storeless": {"database_url": planted.url(), "runbooks_store_endpoint_url": dead},
    }


def app_troubles(planted: Planted) -> dict[str, Any]:
    """An app for each way in which Vercel and the app can be out of reach."""
    inventory = planted.inventory
    inventory["all"]["children"]["apps"]["hosts"] = {
        "denied": {**planted.app, "vercel_token": from_environment("CANARY_BYPASS")},
        "gone": {
            **planted.app,
            "vercel_api_url": f"http://127.0.0.1:{CLOSED}",
            "rollback_timeout": "1s",
            "promote_timeout": "1s",
        },
        "missing": {**planted.app, "vercel_project": "no-such-project"},
        "plain": {**planted.app, "vercel_api_url": "http://192.0.2.1", "app_url": "http://192.0.2.1"},
    }
    return inventory


@each_runbook
def test_a_playbook_in_trouble(runbook: str, case: Case, planted: Planted) -> None:
    inventory, env = planted.inventory, {}
    hosts: dict[str, dict[str, str]] = {}
    if runbook in OF_APPS:
        inventory = app_troubles(planted)
        apps = inventory["all"]["children"]["apps"]["hosts"]
        if runbook != "rollback":
            inventory["all"]["children"]["apps"]["hosts"] = apps = {name: apps[name] for name in ("denied", "gone")}
        played = case.play(f"ops.runbooks.{runbook}", inventory=inventory, extra_vars=inputs(runbook, planted))
        assert set(played.recap) >= set(apps)
        return
    asks_servers = "ops.runbooks.database\n" in (PLAYBOOKS / f"{runbook}.yml").read_text(encoding="utf-8")
    for host, variables in troubles(planted).items():
        if not asks_servers and host not in ("unheard", "storeless"):
            # It has nothing to do with the address of a database.
            continue
        if asks_servers and runbook != "backup" and host not in ("denied", "storeless"):
            # The roles that read addresses and send messages are the same for all.
            continue
        names = {name: f"CANARY_{host}_{name}".upper() for name in variables}
        env |= {names[name]: value for name, value in variables.items()}
        hosts[host] = {name: from_environment(names[name]) for name in variables}
    inventory["all"]["children"]["databases"]["hosts"] = hosts
    played = case.play(f"ops.runbooks.{runbook}", inventory=inventory, extra_vars=inputs(runbook, planted), env=env)
    assert set(played.recap) >= set(hosts)
    assert played.recap["storeless"]["failed"] == 1


def test_events_of_ansible_runner(case: Case, planted: Planted, tmp_path: Path) -> None:
    """As AWX runs it: each event is kept as JSON, for everybody who may read the job."""
    data = case.home / "runner"
    (data / "inventory").mkdir(parents=True)
    (data / "project").mkdir()
    (data / "inventory" / "hosts.yml").write_text(yaml.safe_dump(planted.inventory), encoding="utf-8")
    play = [{"name": "Back up", "ansible.builtin.import_playbook": "ops.runbooks.backup"}]
    (data / "project" / "backup.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    runner = str(Path(sys.executable).with_name("ansible-runner"))
    argv = [runner, "run", str(data), "-p", "backup.yml", "-vvvvv", "--ident", "job"]
    # What starts a job has the secrets in its environment, and the runner writes that down by itself.
    with watched_command_lines() as lines:
        env = clean_environment(case.home, {**LOUD, **planted.environment, "ANSIBLE_LOG_PATH": str(data / "log")})
        ran = Child(argv, env=env, cwd=CHECKOUT).wait(300)
    assert ran.status == 0, ran.output
    assert list((data / "artifacts" / "job" / "job_events").glob("*.json"))
    (data / "artifacts" / "job" / "command").unlink()
    case.seen_nothing(ran.output, lines)


# --- Modules ---------------------------------------------------------------------------------------------


def spec_of(module: str) -> Any:
    """The argument spec of a module's one operation."""
    loaded = import_module(f"ansible_collections.ops.runbooks.plugins.modules.{module}")
    (operation,) = (value for value in vars(loaded).values() if isinstance(value, type) and hasattr(value, "spec"))
    return operation.spec


def arguments(module: str, planted: Planted) -> dict[str, Any]:
    """Something for every required option, and a canary for every secret one; connected where it can be."""
    options = spec_of(module).options
    server = planted.database.server
    known = {
        **planted.store.args,
        "environment": "canary",
        "name": "main",
        "run_id": "canary-run",
        "secret_key": planted.secret_key.text,
        "session_token": planted.session_token.text,
        "login_host": server.host,
        "login_port": server.port,
        "login_user": "canary",
        "login_password": planted.password.text,
        "database": planted.database.name,
        "bindir": [str(server.bindir)],
        "backup_id": "nightly",
        "backup": "latest",
        "target_database": f"{planted.database.name}_restored",
        "identity": "canary",
        "what": "a canary sang",
        "bucket": planted.store.bucket,
        "object": "canary",
        "content": "a canary sang",
        **planted.site.options,
        "token": planted.vercel_token.text,
        "to": planted.site.id("B"),
        "reason": "a canary sang",
        "deployment_id": planted.site.id("B"),
        "repository": "acme/web",
        "sha": "4f2c9e1",
        "freezes": [{"ics": f"{planted.receiver}/freezes/{planted.other.quoted}"}],
        "redeploy": planted.site.id("B"),
        "directory": str(MIGRATIONS),
        "probes": [{"url": planted.site.vercel.api_url, "secret_headers": {"x-bypass": planted.bypass.text}}],
        "slo": {"error_rate": 1},
        "outcome": {"runbook": "canary", "failed": True},
    }
    if module == "postgres_role_pair":
        # One that is taken, so that it comes as far as the server.
        known |= {"group": "canary_app", "state": "active", "role": "canary_app_a", "password": planted.other.quoted}
    if module == "vercel_env":
        known["variables"] = [{"name": "A_CANARY", "type": kind, "value": planted.bypass.text, "targets": [target]}
                              for kind, target in (("encrypted", "preview"), ("sensitive", "production"))]  # fmt: skip
    if module == "aws_access_key":
        known["file"] = "/nowhere/key"
    if module == "supabase_api_key":
        known |= {"project_ref": "canary" * 3 + "20"}
    if module == "github_secret":
        known["secrets"] = [{"name": "A_CANARY", "value": planted.bypass.text}]
    if module.startswith("secret_rotation"):
        aws = {"secret_key": planted.secret_key.text, "session_token": planted.session_token.text}
        place = {**planted.site.options, **aws, "token": planted.vercel_token.text, "variable": "A_CANARY"}
        headers = {"secret_headers": {"x-bypass": planted.bypass.text}}
        asked = {"name": "app", "url": planted.receiver, **headers}
        declared = {
            "provider": {
                "type": "generated",
                "database_url": planted.url(),
                "token": planted.other.text,
                **aws,
                **headers,
            },
            "destinations": [{**place, "name": "web", "type": "vercel_env"}],
            "consumers": [asked],
        }
        known |= {**declared, "reason": "scheduled", "secrets": [{**declared, "name": "main"}]}
    given = {name: value for name, value in known.items() if name in options}
    for name, option in options.items():
        if option.get("no_log") and name not in given and name != "database_url":
            given[name] = f"http://127.0.0.1:{CLOSED}/{planted.other.quoted}"
        elif option.get("required") and name not in given:
            given[name] = option["choices"][0] if option.get("choices") else "x"
    return given


each_module = pytest.mark.parametrize("module", module_names())
#: What no option of that type takes.
WRONG = {"int": "x", "bool": "perhaps", "dict": "x", "float": "x", "list": {"a": 1}}


@each_module
def test_a_module_that_is_given_nonsense(module: str, case: Case, planted: Planted) -> None:
    """Each secret in a form that it does not have, one option of each kind that is wrong, one that nobody knows."""
    good = arguments(module, planted)
    tries, kinds = twisted(module, planted), {}
    for name, option in spec_of(module).options.items():
        if option.get("choices"):
            kinds["choice"] = {name: "x"}
        elif option.get("type") in WRONG and not option.get("no_log"):
            kinds[option["type"]] = {name: WRONG[option["type"]]}
    tries += [{**good, **wrong} for wrong in (*kinds.values(), {"name": "\n{{ 1 }}'\""}, {"store": None})]
    said = case.alone(module, [*tries, unknown(module, planted)])
    assert said.count("invalid_parameter") >= len(kinds)
    assert f"(ops.runbooks.{module}) module: no_such_option" in said


def twisted(module: str, planted: Planted) -> list[dict[str, Any]]:
    """Arguments with one secret after the other as a list, and as a dictionary."""
    good, secret = arguments(module, planted), planted.other.text
    names = [name for name, option in spec_of(module).options.items() if option.get("no_log")]
    return [{**good, name: form} for name in names for form in ([secret], {secret: secret})]


def test_what_ansible_makes_of_nonsense(case: Case, planted: Planted) -> None:
    """Its templating, its log, its temporary files, its callback: of one twisted secret of each module that has any.

    The arguments come from the environment: in the playbook they would be ansible's own to show.
    """
    tasks, env = [], {}
    for module in module_names():
        (given, *_others) = [*twisted(module, planted), unknown(module, planted)]
        name = f"CANARY_ARGUMENTS_{len(tasks)}"
        env[name] = json.dumps(given)
        tasks.append({f"ops.runbooks.{module}": f"{{{{ lookup('ansible.builtin.env', '{name}') | from_json }}}}"})
    recap = case.tasks(*tasks, env=env).recap["here"]
    assert recap["ok"] == len(tasks) + 1, "each was tried, and all were shown"
    assert recap["ignored"] > 0, "not every module takes a list for a text"


def unknown(module: str, planted: Planted) -> dict[str, Any]:
    """Arguments with an option that nobody knows."""
    return {**arguments(module, planted), "no_such_option": 1}


@each_module
def test_a_module_that_servers_refuse(module: str, case: Case, planted: Planted) -> None:
    good, options = arguments(module, planted), spec_of(module).options
    set_password(planted.database, "canary_poor", planted.other, "NOSUPERUSER")
    wrong = [
        {"store": "s3://no-such-bucket-of-canaries"},
        {"bucket": "no-such-bucket-of-canaries"},
        {"access_key": "unknown"},
        {"endpoint_url": f"https://127.0.0.1:{planted.store.server.endpoint_url.rpartition(':')[2]}"},
        {"login_password": planted.wrong_password.text},
        {"login_user": "canary_poor", "login_password": planted.other.text},
        {"database": "no_such_database", "maintenance_database": "no_such_database"},
        {"ssl_mode": "require"},
    ]
    known = [{name: value for name, value in changes.items() if name in options} for changes in wrong]
    tries = [{**good, **given} for given in known if given]
    if "database_url" in options:
        login = {name: None for name in good if name.startswith("login_") or name == "database"}
        by_url = {name: value for name, value in good.items() if name not in login}
        tries.append({**by_url, "database_url": planted.url(password=planted.wrong_password)})
        tries.append({**by_url, "database_url": planted.url(database="no_such_database")})
        tries.append({**by_url, "database_url": f"postgresql://canary:{planted.password.text}@["})
    assert "run_id" in case.alone(module, tries or [good]), "one came as far as the runner"


@each_module
def test_a_module_that_takes_its_secrets_from_the_environment(module: str, case: Case, planted: Planted) -> None:
    good = arguments(module, planted)
    secret = {name for name, option in spec_of(module).options.items() if option.get("no_log")}
    given = {name: value for name, value in good.items() if name not in secret and not name.startswith("login_")}
    tries = [{name: value for name, value in given.items() if name not in ("access_key", "database")}]
    base = {
        "AWS_ACCESS_KEY_ID": planted.store.server.access_key,
        "AWS_SECRET_ACCESS_KEY": planted.secret_key.text,
        "AWS_SESSION_TOKEN": planted.session_token.text,
        "AWS_DEFAULT_REGION": "us-east-1",
        "VERCEL_TOKEN": planted.vercel_token.text,
        "GITHUB_TOKEN": planted.vercel_token.text,
        "SUPABASE_ACCESS_TOKEN": planted.vercel_token.text,
        "RUNBOOKS_SECRETS_KEY": planted.other.text,
    }
    said = case.alone(module, tries, {**base, "RUNBOOKS_DATABASE_URL": planted.url()})
    assert "connection_missing" not in said
    assert "store_credentials" not in said
    wrong = planted.url(password=planted.wrong_password)
    case.alone(module, tries, {**base, "DATABASE_URL": wrong, "PGPASSWORD": planted.other.text})


# --- The barrier itself ----------------------------------------------------------------------------------

LEAKY = """#!/usr/bin/python
from __future__ import annotations
import base64, json, logging, os, subprocess, sys, threading, warnings
from urllib.parse import quote
from ansible_collections.ops.runbooks.plugins.module_utils._core import process
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.runner import run
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

WAYS = ["exception", "chain", "failure", "warning", "result", "plan", "diff", "thread", "log", "child", "close", "file"]

class Leaky(Operation):
    noun = "leak"
    spec = ArgumentSpec(options={"way": {"type": "str", "choices": WAYS}, "secret": {"type": "str", "no_log": True}})

    def observe(self):
        secret = self.params["secret"]
        return {"raw": secret, secret: 1, "list": [quote(secret, safe=""), base64.b64encode(secret.encode()).decode()],
                "basic": base64.b64encode(("user:" + secret).encode()).decode(), "json": json.dumps([secret])}

    def plan(self, state):
        way, secret = self.params["way"], self.params["secret"]
        shown = state if way in ("plan", "diff", "result") else {}
        return Plan(changed=True, result=shown, steps=(secret,) if way == "plan" else (), before=shown, after={},
                    warnings=(secret, json.dumps(state)) if way == "warning" else ())

    def act(self, state, plan):
        secret = self.params["secret"]
        getattr(self, self.params["way"], lambda *_: None)(state, secret)
        return state if self.params["way"] == "result" else {}

    def exception(self, state, secret):
        raise ValueError(f"connection to postgresql://u:{secret}@h failed", state)

    def chain(self, state, secret):
        try:
            self.exception(state, secret)
        except ValueError as error:
            raise RuntimeError(secret) from error

    def failure(self, state, secret):
        raise RunbookError(code="server_failed", attempted=secret, object=json.dumps(state), reason=quote(secret),
                           remedy=f"psql 'password={secret}'", details={secret: state})

    def thread(self, state, secret):
        thread = threading.Thread(target=self.exception, args=(state, secret))
        thread.start()
        thread.join()

    def log(self, state, secret):
        logging.getLogger("urllib3").error("%s", state)
        warnings.warn(secret)

    def child(self, state, secret):
        env = {"SECRET": secret}
        done = process.capture(["sh", "-c", "env >&2; exit 3"], context=self.context, env=env, timeout=10)
        raise RunbookError(code="tool_failed", attempted="x", object="x", reason=done.stderr, remedy="x")

    def file(self, state, secret):
        with open(os.path.join(self.context.tmpdir, "secret"), "w") as out:
            out.write(secret)
        raise ValueError(secret)

    def close(self):
        if self.params["way"] == "close":
            raise ValueError(self.params["secret"])

    def context_of_failure(self):
        return self.observe()

run(Leaky)
"""
WAYS = ["exception", "chain", "failure", "warning", "result", "plan", "diff", "thread", "log", "child", "close", "file"]


@pytest.mark.parametrize("hidden", [False, True], ids=["shown", "no_log"])
def test_an_operation_that_leaks_wherever_it_can(case: Case, planted: Planted, hidden: bool) -> None:
    library = case.home / "library"
    library.mkdir(parents=True)
    (library / "leaky.py").write_text(LEAKY, encoding="utf-8")
    secret = from_environment("CANARY_OTHER")
    tasks = [{"leaky": {"way": way, "secret": secret}, "no_log": hidden} for way in WAYS]
    env = {"CANARY_OTHER": planted.other.text, "ANSIBLE_LIBRARY": str(library)}
    played = case.tasks(*tasks, env=env)
    assert played.recap["here"]["ok"] == len(WAYS) + 1, "each was tried, and all were shown"


def test_the_search_finds_what_is_there(case: Case, planted: Planted, tmp_path: Path) -> None:
    """The tests above can fail: each place is searched, and each form is known."""
    lookup = "{{ lookup('ansible.builtin.env', 'CANARY_OTHER') | b64encode }}"
    with pytest.raises(AssertionError) as caught:
        case.tasks({"ansible.builtin.debug": {"msg": lookup}}, env={"CANARY_OTHER": f"user:{planted.other.text}"})
    assert "'output'" in str(caught.value)
    assert "ansible.log" in str(caught.value)

    silent = replace(planted)
    silent.store.write(f"{planted.webhook.text[:10]}", b"")
    silent.store.write("leaked", json.dumps(planted.secret_key.text).encode())
    (case.home / "facts").mkdir(exist_ok=True)
    (case.home / "facts" / "here").write_text(planted.session_token.text)
    silent.database.rows("SELECT %s::text", planted.password.quoted)
    silent.database.execute(f"SELECT 1 AS x{planted.wrong_password.text[:10]}")
    with pytest.raises(AssertionError) as caught:
        case.seen_nothing("", {f"curl {planted.heartbeat.quoted}"})
    text = str(caught.value)
    for place in ("command lines", "facts/here", "leaked", planted.webhook.text[:10], "pg_stat_statements", ".log"):
        assert place in text, place
