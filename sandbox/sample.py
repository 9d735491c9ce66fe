# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deploy the sample application: a project ``web`` whose repository is on the GitHub of the sandbox.

A release is a commit; :func:`commit` makes as many as a demo needs. It logs in as one of two roles that take turns, so
that its password can be rotated.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox import app, pagila
from sandbox.errors import SandboxError
from sandbox.vercel.model import GitLink, Project, Timings, Variable
from sandbox.vercel.service import TEAM

if TYPE_CHECKING:
    from sandbox.environment import Sandbox

REPOSITORY = "sandbox/web"
PROJECT = Project(
    id="prj_web",
    name="web",
    account=TEAM.id,
    link=GitLink(org="sandbox", repo="web", repo_id=1),
    timings=Timings(queue=200, build=500, alias=200, job_pending=300, job_work=700),
)

#: What every release asks of the database.
QUERY = "SELECT title FROM film ORDER BY film_id LIMIT 1"

#: The group that acts for the app, and the logins that are members of it; of the first one the password is set here.
GROUP = "web"
_LOGINS = """
DO $$ BEGIN
  IF to_regrole('{group}') IS NULL THEN CREATE ROLE {group} NOLOGIN; END IF;
  IF to_regrole('{group}_a') IS NULL THEN CREATE ROLE {group}_a IN ROLE {group}; END IF;
  IF to_regrole('{group}_b') IS NULL THEN CREATE ROLE {group}_b IN ROLE {group}; END IF;
END $$;
ALTER ROLE {group}_a LOGIN PASSWORD '{password}';
ALTER ROLE {group}_a SET role = '{group}';
ALTER ROLE {group}_b SET role = '{group}';
GRANT USAGE ON SCHEMA public TO {group};
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {group};
"""

#: Seconds that a build may take until it serves.
PATIENCE = 60


def ensure(sandbox: Sandbox) -> bool:
    """The project with one release that serves and works; whether anything had to be done for it.

    Where PostgreSQL or GitHub has another address than before, the release is built again: a build keeps its values.
    """
    world = sandbox.vercel.world()
    held = world.projects.get(PROJECT.id, PROJECT)
    link = replace(PROJECT.link or GitLink(), api_url=sandbox.github.api_url, token=sandbox.github.token)
    known = database_url(sandbox)
    if held.production is not None and held.link == link and known and urlsplit(known).port == sandbox.postgres.port:
        return False
    variable = Variable(
        id="env_database_url",
        project=PROJECT.id,
        key="DATABASE_URL",
        value=_login(sandbox),
        type="sensitive",
        target=("production",),
    )
    now = int(time.time() * 1000)
    sandbox.vercel.put(replace(held, link=link, auto_assign=True), replace(variable, created_at=now, updated_at=now))
    deploy(sandbox, commit(sandbox))
    return True


def database_url(sandbox: Sandbox) -> str:
    """With what the app is built to reach its database; '' before it is deployed."""
    found = (each for each in sandbox.vercel.world().variables.values() if each.project == PROJECT.id)
    return next((each.value for each in found if each.key == "DATABASE_URL"), "")


def _login(sandbox: Sandbox) -> str:
    """The address of a login of the app's own."""
    password = secrets.token_hex(16)
    server = sandbox.postgres
    pagila.psql(server, "pagila", script=_LOGINS.format(group=GROUP, password=password).encode())
    return f"postgresql://{GROUP}_a:{password}@{server.host}:{server.port}/pagila"


def commit(
    sandbox: Sandbox, *, slow_ms: int = 0, error_percent: int = 0, query: str = QUERY, build_fails: bool = False
) -> str:
    """A release in the repository, whose checks are green; its SHA. The same again is the same commit."""
    return app.commit(
        sandbox.github,
        sandbox.directory / "app",
        repository=REPOSITORY,
        slow_ms=slow_ms,
        error_percent=error_percent,
        query=query,
        build_fails=build_fails,
    )


def deploy(sandbox: Sandbox, sha: str) -> str:
    """Build a commit for production, as a push to the production branch does; wait until it serves.

    Raises:
        SandboxError: It does not build, or does not come to serve.
    """
    body = {
        "name": PROJECT.name,
        "project": PROJECT.id,
        "target": "production",
        "gitSource": {"type": "github", "repoId": 1, "ref": "main", "sha": sha},
    }
    made = sandbox.vercel.ask("POST", f"/v13/deployments?forceNew=1&slug={TEAM.slug}", body).json
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        world = sandbox.vercel.world()
        if world.projects[PROJECT.id].production == made["id"]:
            return str(made["id"])
        if world.deployments[made["id"]].state in ("ERROR", "BLOCKED"):
            raise SandboxError(f"The sample does not build: {world.deployments[made['id']].error_message}.")
        time.sleep(0.05)
    raise SandboxError(f"The sample did not come to serve; {sandbox.vercel.log} may say why.")


def url(sandbox: Sandbox) -> str:
    """Where its users find it."""
    return f"http://{PROJECT.name}.localhost:{sandbox.vercel.port}"
