# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-in for GitHub knows: repositories, their branches and commits, and what was checked of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from sandbox.standin.refusal import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRun:
    """One check of a commit, as GitHub Actions reports them."""

    name: str
    #: ``queued``, ``in_progress`` or ``completed``.
    status: str = "completed"
    #: Only of a completed one: success, failure, neutral, cancelled, skipped, timed_out, action_required, stale.
    conclusion: str | None = "success"
    id: int = 0
    app: str = "github-actions"
    app_id: int = 15368
    #: Its check suite among those of the app: in GitHub Actions each run of a workflow has one of its own.
    suite: int = 0
    #: Where its details are; of GitHub Actions with the number of the workflow run in it.
    details_url: str = ""
    #: An earlier attempt of a check with the same name; ``filter=latest`` (the default) leaves it out.
    superseded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One commit status, as older services report them."""

    context: str
    #: ``success``, ``failure``, ``error`` or ``pending``.
    state: str = "success"
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit."""

    sha: str
    #: The directory on this machine that holds its sources; it is packed when the archive is asked for.
    sources: str | None = None
    message: str = ""
    check_runs: tuple[CheckRun, ...] = ()
    #: Apps in whose suite 0 jobs wait for others and are not there yet; apps that were told and have nothing to say.
    unfinished: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A check that a branch demands; without ``app_id`` any app may report it."""

    context: str
    app_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What is set for a branch: by its protection, and by the rulesets that apply to it."""

    protection: tuple[Demand, ...] = ()
    rules: tuple[Demand, ...] = ()
    #: Whether a ruleset demands workflows as well, which have no names in it.
    workflows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository; ``name`` is ``owner/repo``."""

    name: str
    id: int = 1
    private: bool = True
    #: Branches and tags by name, each a commit's SHA.
    refs: Mapping[str, str] = field(default_factory=dict)
    #: By SHA.
    commits: Mapping[str, Commit] = field(default_factory=dict)
    default_branch: str = "main"
    #: By name of the branch, which need not exist.
    branches: Mapping[str, Branch] = field(default_factory=dict)
    #: Names that it had before.
    formerly: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret of GitHub Actions, opened: what a workflow would be given."""

    name: str
    value: str
    created_at: str
    updated_at: str
    #: Of an organization's: ``all``, ``private``, or ``selected`` with the ids of repositories.
    visibility: str = ""
    repositories: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """The secrets of one place and the key that they are sealed for; ``path`` is where they are in the API.

    That of a repository is made when it is asked for. An environment, or an organization without repositories, is there
    where its vault is put in: ``/repos/acme/web/environments/production``, ``/orgs/acme/actions``.
    """

    path: str
    #: The private key in base64; drawn where there is none. Another one means that GitHub has changed its key.
    key: str = ""
    secrets: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a client shows, and the repositories that it reads; none named: all."""

    token: str
    login: str = "sandbox"
    repositories: tuple[str, ...] = ()
    #: What a fine-grained one lacks: checks, statuses, contents, metadata, secrets, environments, organization_secrets.
    lacks: tuple[str, ...] = ()
    #: The scopes of a classic one, as ``X-OAuth-Scopes`` names them; None: it is a fine-grained one.
    scopes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything at one moment."""

    repositories: Mapping[str, Repository] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    vaults: Mapping[str, Vault] = field(default_factory=dict)

    def put(self, thing: Repository | Token | Vault) -> Self:
        """The world with this thing in it."""
        if isinstance(thing, Vault):
            return replace(self, vaults={**self.vaults, thing.path: thing})
        if isinstance(thing, Token):
            return replace(self, tokens={**self.tokens, thing.token: thing})
        return replace(self, repositories={**self.repositories, thing.name: thing})


KINDS: Mapping[str, type[Any]] = {"repositories": Repository, "tokens": Token, "vaults": Vault}


def find_commit(repository: Repository, ref: str) -> Commit:
    """A commit by SHA (its first seven digits are enough), branch or tag.

    Raises:
        Refused: There is none.
    """
    if not repository.commits:
        raise Refused(409, "", "Git Repository is empty.")
    wanted = repository.refs.get(ref.removeprefix("refs/").removeprefix("heads/").removeprefix("tags/"), ref)
    hits = [each for sha, each in repository.commits.items() if len(wanted) >= 7 and sha.startswith(wanted)]
    if len(hits) != 1:
        raise Refused(422, "", f"No commit found for SHA: {ref}")
    return hits[0]


def combined(statuses: tuple[Status, ...]) -> str:
    """The state of a commit: without any status it is ``pending``, as GitHub has it."""
    states = {each.state for each in statuses}
    if states & {"failure", "error"}:
        return "failure"
    return "success" if states == {"success"} else "pending"
