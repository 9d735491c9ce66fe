# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What visitors of a hostname see."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.vercel.model import Behaviour, Deployment, Project, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request to a hostname."""

    method: str
    host: str
    #: Path and query.
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the visitor gets."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def trouble(status: int, code: str, text: str) -> Answer:
    """An error of the platform, as it writes them for programs."""
    return Answer(
        status=status,
        headers={"Content-Type": "text/plain; charset=utf-8", "X-Vercel-Error": code, "Cache-Control": "no-store"},
        body=f"{text}\n\n{code}\n".encode(),
    )


def find(world: World, host: str, *, turn: int = 0) -> Deployment | Answer:
    """The deployment that a hostname shows, or why it shows none; ``turn`` shares the traffic of rolling releases."""
    deployment = next((each for each in world.deployments.values() if each.url == host), None)
    alias = world.aliases.get(host)
    if deployment is None and alias is not None:
        if alias.redirect is not None:
            return Answer(status=308, headers={"Location": f"//{alias.redirect}/"})
        deployment = world.deployments.get(alias.deployment)
        project = world.projects[alias.project]
        if project.paused and alias.deployment == project.production:
            return trouble(503, "DEPLOYMENT_PAUSED", "This deployment is temporarily paused")
        deployment = _shared(world, project, deployment, turn)
    if deployment is None or deployment.state in ("ERROR", "CANCELED"):
        return trouble(404, "DEPLOYMENT_NOT_FOUND", "The deployment could not be found on Vercel.")
    if deployment.state == "DELETED":
        return trouble(410, "DEPLOYMENT_DELETED", "This deployment has been deleted.")
    if deployment.state == "BLOCKED":
        return trouble(403, "DEPLOYMENT_BLOCKED", "This deployment is blocked.")
    if deployment.state != "READY":
        return trouble(404, "DEPLOYMENT_NOT_READY", "This deployment is not ready yet.")
    return deployment


def _shared(world: World, project: Project, current: Deployment | None, turn: int) -> Deployment | None:
    """Of a rolling release's two deployments the one whose turn it is."""
    release = project.release
    if release is None or release.state != "ACTIVE" or not project.rolling_stages:
        return current
    percent = project.rolling_stages[min(release.stage, len(project.rolling_stages) - 1)]
    return world.deployments.get(release.canary) if turn % 100 < percent else current


_turns = itertools.count()


def behave(deployment: Deployment, visit: Visit) -> Answer:
    """The answer of a deployment that has no files: fixed, but slow and failing as it was asked to be."""
    behaviour = deployment.behaviour or Behaviour()
    if behaviour.latency:
        time.sleep(behaviour.latency / 1000)
    status = behaviour.paths.get(visit.path, behaviour.status)
    if behaviour.error_percent and (next(_turns) * behaviour.error_percent) % 100 < behaviour.error_percent:
        status = 500
    body: Any = behaviour.body
    if body is None:
        body = {"ok": status < 400, "deployment": deployment.id, "release": release_of(deployment)}
    return Answer(
        status=status,
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
        body=json.dumps(body).encode(),
    )


def release_of(deployment: Deployment) -> str | None:
    """The commit that was deployed."""
    return deployment.meta.get("githubCommitSha") or (deployment.git_source or {}).get("sha")
