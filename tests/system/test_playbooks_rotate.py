# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbooks rotate and secrets: the password of a real database, for an app that really runs, under load."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from harness.children import until
from harness.modules import ModuleRunner
from harness.playbooks import PlaybookRunner, Played
from harness.role_pairs import Team, team
from harness.rotations import KEY
from harness.servers import FileStoreAt
from harness.vercel import ProjectAt, fresh_project

if TYPE_CHECKING:
    from sandbox import PostgresServer
    from sandbox.vercel import VercelServer

URL = "postgresql://{user}:{password}@{host}:{port}/{database}"


class Shop:
    """An app on a project of its own, the database that it works on, and the runbooks of their environment."""

    def __init__(
        self, project: ProjectAt, crew: Team, store: FileStoreAt, run_playbook: PlaybookRunner, home: Path
    ) -> None:
        self.project = project
        self.crew = crew
        self.store = store
        self._run = run_playbook
        self._home = home

    @property
    def manager(self) -> str:
        """The login that alters the pair."""
        server = self.crew.database.server
        return f"postgresql://{self.crew.manager}:{self.crew.password}@{server.host}:{server.port}/{self.crew.database.name}"

    @property
    def secret(self) -> dict[str, Any]:
        """As an inventory declares it, with periods that a test can wait for."""
        server = self.project.server
        consumer = {"url": f"{server.api_url}/api/runbooks/secrets", "headers": {"Host": self.project.host}}
        target = {"project": self.project.name, "team": self.project.team, "api_url": server.api_url}
        return {
            "name": "database_url",
            "provider": {
                "type": "postgres_role_pair",
                "group": self.crew.group,
                "database_url": self.manager,
                "session_watch": "0s",
            },
            "destinations": [
                {"name": "web", "type": "vercel_env", "variable": "DATABASE_URL", "value": URL, **target},
                {"name": "file", "type": "file", "path": str(self._home / "database_url"), "value": URL},
            ],
            "consumers": [{"name": "web", "value": URL, **consumer}],
            "grace": "1s",
            "watch": "0s",
            "min_age": "0s",
        }

    @property
    def url(self) -> str:
        """What the destinations hold."""
        return (self._home / "database_url").read_text(encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        return {"VERCEL_TOKEN": self.project.token, "RUNBOOKS_SECRETS_KEY": KEY}

    def inventory(self, **changes: Any) -> dict[str, Any]:
        server = self.project.server
        app = {
            "vercel_project": self.project.name,
            "vercel_team": self.project.team,
            "vercel_api_url": server.api_url,
            "app_url": server.api_url,
            "app_headers": {"Host": self.project.host},
            "app_paths": ["/api/selftest"],
            "deploy_smoke_url": server.api_url,
            "deploy_smoke_headers": {"Host": "{{ deploy_address }}"},
            "deploy_gate_wait": "0s",
            "verify_min_samples": 8,
            "verify_slo": {"error_rate": 0, "p95_ms": 20000},
        }
        variables = {
            "runbooks_environment": "test",
            "runbooks_store": self.store.url,
            "runbooks_lock_lease": "10s",
            "runbooks_secrets": [self.secret],
        }
        hosts = {"web": {**app, **changes}}
        return {"all": {"vars": variables, "children": {"apps": {"hosts": hosts}}}}

    def play(self, runbook: str, *, check: bool = False, app: dict[str, Any] | None = None, **inputs: str) -> Played:
        return self._run(f"ops.runbooks.{runbook}", check=check, **self._options(app, inputs))

    def killed_once_it_serves(self, served: str, **inputs: str) -> None:
        """A run of rotate that ends as soon as something else than ``served`` does."""
        child = self._run.start("ops.runbooks.rotate", **self._options(None, inputs))
        until(lambda: self.project.now.production != served, 240)
        child.kill()
        child.wait()

    def _options(self, app: dict[str, Any] | None, inputs: dict[str, str]) -> dict[str, Any]:
        return {"inventory": self.inventory(**(app or {})), "extra_vars": inputs, "env": self.environment}

    def deploy(self, run: ModuleRunner, sources: Path) -> None:
        """The first release, with whatever variables there are now."""
        from sandbox import app

        app.build(app.write(sources, release="v1", query="SELECT count(*) FROM film"))
        project = self.project.args
        made = run("vercel_deployment", {**project, "prebuilt": str(sources)}).ok()["deployment"]["id"]
        named = {**self.store.args, "environment": "test", "name": "web"}
        run("vercel_promote", {**named, **project, "to": made}).ok()

    def rotate_alone(self, run: ModuleRunner) -> dict[str, Any]:
        """By the module, without the runbook around it."""
        args = {**self.store.args, "environment": "test", **self.secret}
        found: dict[str, Any] = run("secret_rotation", args, env=self.environment).ok()["rotation"]
        return found


@pytest.fixture
def shop(
    postgres: PostgresServer,
    vercel: VercelServer,
    file_store: FileStoreAt,
    run_module: ModuleRunner,
    run_playbook: PlaybookRunner,
    tmp_path: Path,
) -> Iterator[Shop]:
    """One whose app runs with the first value."""
    from sandbox.vercel import GitLink

    vercel.faults()
    with team(postgres, run_module) as crew:
        crew.pair("present").ok()
        # As Vercel has it for everybody who has not changed it: pushes take the production domains.
        project = fresh_project(vercel, auto_assign=True, link=GitLink(org="acme", repo="web", repo_id=7))
        made = Shop(project, crew, file_store, run_playbook, tmp_path)
        assert made.rotate_alone(run_module)["waits_for"]["what"] == "deployment"
        with psycopg.connect(made.url) as session:
            session.execute("CREATE TABLE film (title text)")
        made.deploy(run_module, tmp_path / "app")
        assert made.rotate_alone(run_module)["phase"] == "idle"
        yield made


@contextmanager
def load(shop: Shop) -> Iterator[Counter[int]]:
    """Users, all the time: what they are answered, each after a query and a write of its own login."""
    answers: Counter[int] = Counter()
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.1):
            answers[shop.project.server.visit(shop.project.host, "/api/selftest").status] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def test_the_life_of_a_password_under_load(shop: Shop) -> None:
    """Asked for, taken back by its gate, not tried again by itself; then in use, and the earlier one ended.

    The run that lets it serve is killed right then: the next one judges what serves before it goes on. Then somebody
    has seen it, and one run does everything, in a freeze too: it ends first, and what was built with it is no way back.
    """
    first, served = shop.url, str(shop.project.now.production)
    with load(shop) as answers:
        planned = shop.play("rotate", check=True, secret="database_url", reason="requested").ok()
        assert "database_url: begin a rotation of database_url" in planned.output
        assert f"build {served} again with the new values of database_url" in planned.output
        assert (shop.url, shop.project.now.production) == (first, served)

        bad = shop.play("rotate", secret="all", reason="requested", app={"verify_slo": {"p95_ms": 0.01}}).red()
        assert "Result: failed (release_rolled_back)" in bad.output
        assert "The earlier value of database_url is still good" in bad.output
        assert f"Production affected: it was; it serves {served} again" in bad.output
        assert (shop.project.now.production, shop.url != first) == (served, True)
        assert "Next: ansible-playbook ops.runbooks.secrets " in bad.output
        psycopg.connect(first).close()
        moves = shop.project.posts("/promote/")
        for check in (True, False):
            again = shop.play("rotate", check=check).red()
            assert "Result: failed (release_bad)" in again.output
        assert shop.project.posts("/promote/") == moves

        shop.killed_once_it_serves(served, break_glass="its objectives were mistaken")
        good = shop.play("rotate").ok()
        assert "Changed: database_url: rotated; the earlier value is good until 20" in good.output
        assert re.search(r"database_url +grace +the grace period ends", good.output)
        rebuilt = shop.project.deployment(str(shop.project.now.production))
        assert (rebuilt.source, rebuilt.meta["originalDeploymentId"]) == ("redeploy", served)
        psycopg.connect(first).close()

        late = {"runbooks_secrets": [{**shop.secret, "max_age": "2s"}], "secrets_overdue_hours": 0}
        told = shop.play("secrets", app=late).red()
        assert "Result: failed (rotation_overdue)" in told.output
        assert "Next: ansible-playbook ops.runbooks.rotate " in told.output
        assert re.search(r"database_url +grace +0\.0 d old, OVERDUE since ", told.output)
        assert re.search(r"[0-9]+ deployments of web-\S+ still hold an earlier value", told.output)

        shop.crew.left("a")
        ended = shop.play("rotate").ok()
        assert "Changed: database_url: rotated; the earlier value is gone for good" in ended.output
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(first)
        nothing = shop.play("rotate").ok()
        assert "Result: nothing to do" in nothing.output
        assert nothing.recap["web"]["changed"] == 0

    assert set(answers) == {200}
    assert answers[200] > 50

    second, freeze = shop.url, {"start": "2026-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z", "reason": "sale"}
    at_once = {"secret": "database_url", "reason": "compromise", "break_first": "true"}
    seen = shop.play("rotate", app={"runbooks_freezes": [freeze]}, **at_once).ok()
    assert (
        "Nothing can take its place should its gate fail: the earlier value of database_url was ended at once"
        in seen.output
    )
    assert "Changed: database_url: rotated; the earlier value is gone for good" in seen.output
    assert shop.project.server.visit(shop.project.host, "/api/selftest").status == 200
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(second)


def test_the_first_and_the_last_line_say_what_was_not_done(
    run_playbook: PlaybookRunner, file_store: FileStoreAt, tmp_path: Path
) -> None:
    """A value that is asked for, one on the command line, a rotation that has not begun, another key than before."""
    place = {"name": "file", "type": "file", "path": str(tmp_path / "auth_secret")}
    secret = {"name": "auth_secret", "provider": {"type": "generated"}, "destinations": [place], "sign_out_users": True}
    app = {"vercel_project": "web", "app_url": "https://app.example.com"}
    variables = {
        "runbooks_environment": "test",
        "runbooks_store": file_store.url,
        "runbooks_secrets": [secret],
    }
    inventory = {"all": {"vars": variables, "children": {"apps": {"hosts": {"web": app}}}}}

    def play(key: str = KEY, **inputs: str) -> str:
        env = {"RUNBOOKS_SECRETS_KEY": key}
        return run_playbook("ops.runbooks.rotate", inventory=inventory, extra_vars=inputs, env=env).output

    asked = play(secret="auth_secret", adopt="true")
    assert "Put it into the environment variable RUNBOOKS_CURRENT_VALUE of this command" in asked
    assert "Next: RUNBOOKS_CURRENT_VALUE=... ansible-playbook ops.runbooks.rotate" in asked
    assert "put the value into the environment variable RUNBOOKS_CURRENT_VALUE" in play(current_value="x")
    assert "Changed: auth_secret: its first value is in use" in play()
    young = play(secret="auth_secret", reason="requested")
    assert (
        "Result: waiting: the rotation of auth_secret that was asked for has not begun: the value is younger" in young
    )
    assert "Changed: nothing" in young
    other = play(key="another-one-than-before-0123456789")
    assert "Result: failed (secret_unreadable)" in other
    assert "Changed: nothing" in other
