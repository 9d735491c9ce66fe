# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-in for Vercel knows: one immutable value, changed only by pure functions.

Times are integer milliseconds since 1970, as in the API. A seed file gives each thing by these fields; whatever it
leaves out has the default seen here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from sandbox.standin import codec

#: The version of the state file's form.
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """An account that owns projects."""

    id: str
    slug: str
    name: str = ""
    #: ``hobby`` may roll back to the previous deployment only; rolling releases need ``pro`` or ``enterprise``.
    plan: str = "pro"
    #: The team's rule that production and preview variables are always ``sensitive``.
    sensitive_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person; their personal account has the same id."""

    id: str
    username: str
    email: str = ""
    #: What the official CLI works in when no scope was named.
    default_team: str | None = None
    plan: str = "hobby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a client shows; it reaches the user's personal account and the named teams."""

    token: str
    user: str
    teams: tuple[str, ...] = ()
    #: How many production variables it cannot see; they still collide.
    hides: tuple[str, ...] = ()
    #: Names of what it may not do: ``deploy``, ``promote``, ``rollback``, ``env``, ``project``.
    denied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A hostname of a project."""

    name: str
    redirect: str | None = None
    git_branch: str | None = None
    verified: bool = True
    #: Moving this hostname fails, and with it the job that does it.
    fails: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A promote or a rollback: what the API shows as ``lastAliasRequest``."""

    type: str
    to_deployment: str
    from_deployment: str | None = None
    status: str = "pending"
    requested_at: int = 0
    starts_at: int = 0
    ends_at: int = 0
    #: Until then clients are shown the job before it.
    visible_at: int = 0
    #: How it is going to end: ``succeeded``, ``failed`` or ``skipped``.
    outcome: str = "succeeded"
    failed_aliases: tuple[str, ...] = ()
    from_rolling_release: str | None = None
    description: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackNote:
    """The reason that was given with a rollback."""

    description: str
    created_at: int = 0
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A rolling release: two deployments share the traffic."""

    id: str
    current: str
    canary: str
    state: str = "ACTIVE"
    stage: int = 0
    queued: str | None = None
    started_at: int = 0
    updated_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long things take, in milliseconds."""

    queue: int = 50
    build: int = 150
    #: From READY until the production hostnames point to the new deployment.
    alias: int = 50
    #: How long the answers still show the job before: clients that look too early are deceived.
    job_visible: int = 0
    job_pending: int = 100
    job_work: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLink:
    """The connected repository: pushes to its production branch deploy without being asked."""

    type: str = "github"
    repo: str = ""
    org: str = ""
    repo_id: int = 0
    production_branch: str = "main"
    #: Where its archives come from. Without, nothing is built in earnest; see ``Project.builds``.
    api_url: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomEnvironment:
    """A target of a project's own, beside production and preview."""

    id: str
    slug: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How the source of a commit or branch builds where nothing is built in earnest."""

    fails: bool = False
    error: str = 'Command "npm run build" exited with 1'
    #: BLOCKED instead of a build: a seat or a verification is missing.
    blocked: bool = False
    behaviour: Behaviour | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a deployment without files of its own answers to every request."""

    status: int = 200
    latency: int = 0
    #: Of 100 requests, how many are answered with 500 instead; evenly spread.
    error_percent: int = 0
    #: Answers by path, such as ``/api/health``; every other path gets ``status``.
    paths: Mapping[str, int] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project of a team or of a user."""

    id: str
    name: str
    account: str
    created_at: int = 0
    updated_at: int = 0
    paused: bool = False
    auto_assign: bool = True
    auto_assign_by: str | None = None
    #: The current production deployment.
    production: str | None = None
    #: Everything that has served production, oldest first, each time that it began to.
    served: tuple[str, ...] = ()
    job: Job | None = None
    job_before: Job | None = None
    #: How the next jobs end.
    job_outcome: str = "succeeded"
    rollback_note: RollbackNote | None = None
    rolling_stages: tuple[int, ...] = ()
    release: Release | None = None
    domains: tuple[Domain, ...] = ()
    custom_environments: tuple[CustomEnvironment, ...] = ()
    link: GitLink | None = None
    crons: tuple[Mapping[str, str], ...] = ()
    cron_deployment: str | None = None
    #: Reported of the service: the crons stay with the deployment that a rollback left.
    crons_stay: bool = False
    attack_mode: bool = False
    attack_mode_until: int | None = None
    attack_mode_updated_at: int | None = None
    timings: Timings = Timings()
    #: By commit, branch or ``*``.
    builds: Mapping[str, Build] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One build of a project."""

    id: str
    project: str
    #: The unique hostname.
    url: str
    target: str | None = "production"
    #: The custom environment that it was built for, by its id; ``target`` is None then.
    custom_environment: str | None = None
    state: str = "READY"
    #: READY only: STAGED never served production, PROMOTED has.
    substate: str | None = None
    created_at: int = 0
    building_at: int | None = None
    ready_at: int | None = None
    #: When production hostnames are to move to it by themselves; None: not at all, or done.
    alias_at: int | None = None
    alias_assigned_at: int | None = None
    alias_error: Mapping[str, str] | None = None
    #: False for a production build that was asked to take no traffic.
    auto_assign: bool = True
    #: How the build is going to end.
    outcome: str = "READY"
    error_code: str | None = None
    error_message: str | None = None
    source: str = "cli"
    prebuilt: bool = False
    creator: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)
    git_source: Mapping[str, Any] | None = None
    #: The values that the build has seen; whatever serves keeps them for good.
    env: Mapping[str, str] = field(default_factory=dict)
    #: Path to content (SHA-1) and mode of the files that it serves.
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    behaviour: Behaviour | None = None
    #: The build's log.
    log: tuple[str, ...] = ()
    #: A real build is under way or has to be begun.
    building: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable of a project, for one target or several."""

    id: str
    project: str
    key: str
    value: str = ""
    type: str = "encrypted"
    visibility: str | None = None
    target: tuple[str, ...] = ()
    custom_environments: tuple[str, ...] = ()
    git_branch: str | None = None
    comment: str | None = None
    #: The integration that owns it.
    configuration: str | None = None
    created_at: int = 0
    updated_at: int = 0
    created_by: str = ""
    updated_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Which deployment a hostname shows."""

    alias: str
    deployment: str
    project: str
    uid: str = ""
    created_at: int = 0
    redirect: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalConfig:
    """A store of small values that deployments read at run time."""

    id: str
    slug: str
    account: str
    items: Mapping[str, Any] = field(default_factory=dict)
    created_at: int = 0
    updated_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything at one moment."""

    teams: Mapping[str, Team] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    projects: Mapping[str, Project] = field(default_factory=dict)
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    configs: Mapping[str, GlobalConfig] = field(default_factory=dict)

    def put(self, thing: Thing) -> Self:
        """The world with this thing in it, in the place of the one with the same id."""
        section, key = _place(thing)
        return replace(self, **{section: {**getattr(self, section), key: thing}})

    def drop(self, thing: Thing) -> Self:
        """The world without it."""
        section, key = _place(thing)
        kept = {name: each for name, each in getattr(self, section).items() if name != key}
        return replace(self, **{section: kept})

    def of_project(self, project: Project) -> list[Deployment]:
        """Its deployments, newest first."""
        mine = [each for each in self.deployments.values() if each.project == project.id]
        return sorted(mine, key=lambda each: (each.created_at, each.id), reverse=True)

    def variables_of(self, project: Project) -> list[Variable]:
        """Its environment variables, newest first."""
        mine = [each for each in self.variables.values() if each.project == project.id]
        return sorted(mine, key=lambda each: (each.created_at, each.id), reverse=True)


Thing = Team | User | Token | Project | Deployment | Variable | Alias | GlobalConfig

_SECTIONS: dict[str, tuple[type[Any], str]] = {
    "teams": (Team, "id"),
    "users": (User, "id"),
    "tokens": (Token, "token"),
    "projects": (Project, "id"),
    "deployments": (Deployment, "id"),
    "variables": (Variable, "id"),
    "aliases": (Alias, "alias"),
    "configs": (GlobalConfig, "id"),
}


def _place(thing: Thing) -> tuple[str, str]:
    for section, (kind, key) in _SECTIONS.items():
        if isinstance(thing, kind):
            return section, str(getattr(thing, key))
    raise TypeError(type(thing).__name__)


def dump(world: World) -> dict[str, Any]:
    """The world as a JSON document: a list for each kind of thing."""
    lists = {section: [codec.encode(each) for each in getattr(world, section).values()] for section in _SECTIONS}
    return {"schema": SCHEMA, **{section: each for section, each in lists.items() if each}}


def things(document: Mapping[str, Any]) -> list[Thing]:
    """The things that a JSON document lists.

    Raises:
        BadState: It has another form; the text names the field.
    """
    unknown = sorted(set(document) - set(_SECTIONS) - {"schema"})
    if unknown:
        raise codec.BadState(f"The state has unknown sections: {', '.join(unknown)}.")
    if document.get("schema", SCHEMA) != SCHEMA:
        raise codec.BadState(f"The state was written by another version: schema {document['schema']}, not {SCHEMA}.")
    found: list[Thing] = []
    for section, (kind, _key) in _SECTIONS.items():
        for number, each in enumerate(document.get(section, [])):
            found.append(codec.decode(kind, each, f"{section}[{number}]"))
    return found
