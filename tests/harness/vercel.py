# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Teams and projects that tests own: fresh ones on the session's stand-in for Vercel."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.vercel import Deployment, Project, VercelServer


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectAt:
    """A project of a test's own, in a team and with a token of its own, with a history of deployments.

    ``good`` serves, ``previous`` and ``older`` served before it, ``staged`` is a production build that never served,
    ``preview`` is none for production, ``failed`` did not build.
    """

    server: VercelServer
    id: str
    name: str
    team: str
    token: str
    good: str
    previous: str
    older: str
    staged: str
    preview: str
    failed: str

    @property
    def host(self) -> str:
        """The production hostname."""
        return f"{self.name}.localhost"

    @property
    def args(self) -> dict[str, Any]:
        """The options with which a module reaches it."""
        return {"api_url": self.server.api_url, "token": self.token, "team": self.team, "project": self.name}

    @property
    def now(self) -> Project:
        """Its state on the service."""
        return self.server.world().projects[self.id]

    def deployment(self, name: str) -> Deployment:
        """A deployment's state on the service."""
        return self.server.world().deployments[name]

    def change(self, **fields: Any) -> None:
        """Change what the service holds of it, such as ``job_outcome`` or ``timings``."""
        self.server.change("projects", self.id, **fields)

    def serving(self) -> str:
        """The deployment that a visitor of the production hostname gets."""
        return str(self.server.visit(self.host).json["deployment"])

    def posts(self, path: str) -> int:
        """How many POSTs with this text in their path came in for this project."""
        return sum(path in each["target"] and self.id in each["target"] for each in self.server.requests("POST"))


def fresh_project(server: VercelServer, *, plan: str = "pro", **fields: Any) -> ProjectAt:
    """A project in a team of its own; ``fields`` are those of :class:`sandbox.vercel.Project`."""
    from sandbox.vercel import Project, Team, Token, User

    mark = secrets.token_hex(5)
    team, name, token = f"team_{mark}", f"web-{mark}", f"vcp_{secrets.token_hex(20)}"
    ids = {each: f"dpl_{each}{mark}" for each in ("older", "previous", "good", "staged", "preview", "failed")}
    project = Project(
        id=f"prj_{mark}",
        name=name,
        account=team,
        production=ids["good"],
        served=(ids["older"], ids["previous"], ids["good"]),
        **fields,
    )
    server.put(
        User(id=f"usr_{mark}", username=f"user-{mark}", default_team=team),
        Team(id=team, slug=f"team-{mark}", plan=plan),
        Token(token=token, user=f"usr_{mark}", teams=(team,)),
        project,
        *_history(project, ids),
    )
    return ProjectAt(server=server, id=project.id, name=name, team=f"team-{mark}", token=token, **ids)


def _history(project: Project, ids: dict[str, str]) -> list[Deployment]:
    from sandbox.vercel import Deployment

    made = []
    for number, (kind, name) in enumerate(ids.items()):
        at = 1_790_000_000_000 + number * 3_600_000
        deployment = Deployment(
            id=name,
            project=project.id,
            url=f"{project.name}-{kind}.localhost",
            target=None if kind == "preview" else "production",
            state="ERROR" if kind == "failed" else "READY",
            created_at=at,
            building_at=at + 1000,
            ready_at=None if kind == "failed" else at + 60_000,
            error_code="BUILD_FAILED" if kind == "failed" else None,
            error_message='Command "npm run build" exited with 1' if kind == "failed" else None,
            source="git",
            meta={"githubCommitSha": f"{number:x}" * 40, "githubCommitRef": "main"},
        )
        made.append(deployment)
    return made
