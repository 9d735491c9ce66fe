# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Vercel says of projects and deployments, as values (private to ops.runbooks).

Read generously: fields that are not known are passed over, a word that is not known is kept as it is, and what is
missing is None. Times are datetimes, which Vercel gives as milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import masked

#: What ends an alias job, and what does not.
RUNNING = ("pending", "in-progress")
#: States of a deployment that is none, and never will be one.
FAILED = ("ERROR", "CANCELED", "BLOCKED", "DELETED")
#: Keys in a deployment's ``meta`` that are ours: the identity that it was made for, and what it was made from.
IDENTITY, SOURCE = "runbooks_identity", "runbooks_source"
#: What a repository is known by: the name in the source of a deployment, and the name in the project's link.
_REPOSITORIES: Mapping[str, Mapping[str, str]] = {
    "github": {"repoId": "repoId"},
    "github-custom-host": {"repoId": "repoId", "host": "host"},
    "gitlab": {"projectId": "projectId"},
    "bitbucket": {"repoUuid": "uuid", "workspaceUuid": "workspaceUuid"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasJob:
    """The last promote or rollback that a project was asked for. ``status`` as Vercel words it."""

    kind: str
    to_id: str
    from_id: str | None
    status: str
    requested_at: int

    @classmethod
    def read(cls, given: object) -> AliasJob | None:
        """From ``lastAliasRequest``; None where there was none."""
        if not isinstance(given, Mapping) or not given.get("toDeploymentId"):
            return None
        return cls(
            kind=_text(given, "type"),
            to_id=_text(given, "toDeploymentId"),
            from_id=given.get("fromDeploymentId") or None,
            status=_text(given, "jobStatus"),
            requested_at=_number(given.get("requestedAt")) or 0,
        )

    @property
    def running(self) -> bool:
        """Whether the service still works on it."""
        return self.status in RUNNING

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {
            "type": self.kind,
            "from_deployment": self.from_id,
            "to_deployment": self.to_id,
            "status": self.status,
            "requested_at": as_iso(self.requested_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment. ``target`` is '' for a preview; ``served`` is whether it ever had the production domains."""

    id: str
    url: str = ""
    project_id: str = ""
    state: str = ""
    substate: str = ""
    target: str = ""
    created_at: int = 0
    candidate: bool | None = None
    gone: bool = False
    sha: str = ""
    ref: str = ""
    message: str = ""
    #: Our own marks on it; '' where it is none of ours.
    identity: str = ""
    source: str = ""
    prebuilt: bool = False
    inspector_url: str = ""
    #: The custom environment that it was built for.
    custom: str = ""
    #: Why there is no deployment, or no domain for it.
    error: str = ""
    alias_error: str = ""
    aliased: bool = False

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Deployment:
        """From an item of a list (``uid``) or a deployment by itself (``id``)."""
        meta, project, git = _object(given, "meta"), _object(given, "project"), _object(given, "gitSource")
        nested = _text(project, "id")
        return cls(
            id=_text(given, "uid") or _text(given, "id"),
            url=_text(given, "url"),
            project_id=_text(given, "projectId") or nested,
            state=_text(given, "readyState") or _text(given, "state") or _text(given, "status"),
            substate=_text(given, "readySubstate"),
            target=_text(given, "target"),
            created_at=_number(given.get("createdAt")) or _number(given.get("created")) or 0,
            candidate=given["isRollbackCandidate"] if isinstance(given.get("isRollbackCandidate"), bool) else None,
            gone=bool(given.get("softDeletedByRetention")) or _text(given, "readyState") == "DELETED",
            sha=_git(meta, "CommitSha") or _text(git, "sha"),
            ref=_git(meta, "CommitRef") or _text(git, "ref"),
            message=masked(_git(meta, "CommitMessage").partition("\n")[0])[:120],
            identity=_text(meta, IDENTITY),
            source=_text(meta, SOURCE),
            prebuilt=given.get("prebuilt") is True,
            inspector_url=_text(given, "inspectorUrl"),
            custom=_text(_object(given, "customEnvironment"), "slug"),
            error=_text(given, "errorMessage") or _text(given, "readyStateReason"),
            alias_error=_text(_object(given, "aliasError"), "message"),
            aliased=bool(given.get("aliasAssigned")),
        )

    @property
    def environment(self) -> str:
        """What it was built for: ``production``, ``preview``, or the slug of a custom environment."""
        return self.custom or self.target or "preview"

    @property
    def name(self) -> str:
        """For sentences."""
        return f"{self.id} ({self.url})" if self.url else self.id

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {
            "id": self.id,
            "url": self.url or None,
            "state": self.state or None,
            "substate": self.substate or None,
            "target": self.environment,
            "created_at": as_iso(self.created_at),
            "rollback_candidate": self.candidate,
            "git_sha": self.sha or None,
            "git_ref": self.ref or None,
            "git_message": self.message or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The repository that a project is connected with. ``known_by`` is what the source of a deployment names it by."""

    kind: str
    known_by: Mapping[str, Any]
    production_branch: str = ""
    name: str = ""

    @classmethod
    def read(cls, given: object) -> Link | None:
        """From the project's ``link``; None where there is none, or of a kind that cannot be deployed from."""
        if not isinstance(given, Mapping) or _text(given, "type") not in _REPOSITORIES:
            return None
        kind = _text(given, "type")
        names = _REPOSITORIES[kind].items()
        owner, repository = _text(given, "org") or _text(given, "owner"), _text(given, "repo") or _text(given, "slug")
        return cls(
            kind=kind,
            known_by={ours: given[theirs] for ours, theirs in names if given.get(theirs)},
            production_branch=_text(given, "productionBranch"),
            name=f"{owner}/{repository}" if owner and repository else _text(given, "projectNameWithNamespace"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project. ``production`` is what serves the production domains now, None before the first time."""

    id: str
    name: str
    production: Deployment | None = None
    auto_assign: bool | None = None
    job: AliasJob | None = None
    paused: bool = False
    rollback_reason: str = ""
    rolling_configured: bool = False
    crons_deployment: str | None = None
    #: The repository where it is GitHub's, whose checks can be asked for, and the branch whose pushes go to production:
    #: that of any repository, of kinds too that ``link`` does not know how to deploy from.
    repository: str = ""
    production_branch: str = ""
    link: Link | None = None
    #: Custom environments, slug to id.
    environments: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Project:
        """From the project's own answer."""
        targets, link = given.get("targets"), given.get("link")
        link = link if isinstance(link, Mapping) else {}
        production = targets.get("production") if isinstance(targets, Mapping) else None
        crons, note = given.get("crons"), given.get("rollbackDescription")
        assign = given.get("autoAssignCustomDomains")
        return cls(
            id=_text(given, "id"),
            name=_text(given, "name"),
            production=Deployment.read(production) if isinstance(production, Mapping) and production else None,
            auto_assign=assign if isinstance(assign, bool) else None,
            job=AliasJob.read(given.get("lastAliasRequest")),
            paused=given.get("paused") is True,
            rollback_reason=_text(note, "description") if isinstance(note, Mapping) else "",
            rolling_configured=bool(given.get("rollingRelease")),
            crons_deployment=crons.get("deploymentId") if isinstance(crons, Mapping) else None,
            repository="/".join(filter(None, (_text(link, "org"), _text(link, "repo")))),
            production_branch=_text(link, "productionBranch"),
            link=Link.read(given.get("link")),
            environments={
                _text(each, "slug"): _text(each, "id")
                for each in given.get("customEnvironments") or ()
                if isinstance(each, Mapping) and _text(each, "slug")
            },
        )

    @property
    def production_id(self) -> str:
        """The deployment that serves production, '' where none does."""
        return self.production.id if self.production is not None else ""

    @property
    def assigns(self) -> bool:
        """Whether new production deployments take the domains by themselves: unless it was switched off."""
        return self.auto_assign is not False

    @property
    def pinned_by_rollback(self) -> bool:
        """Whether pushes do not reach production because of a rollback; teams also switch that off on purpose."""
        return (
            self.auto_assign is False
            and self.job is not None
            and self.job.kind == "rollback"
            and self.job.to_id == self.production_id
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingRelease:
    """A rolling release that has not ended."""

    state: str
    canary_id: str
    current_id: str
    percentage: float | None

    @classmethod
    def read(cls, given: object) -> RollingRelease | None:
        """From the answer for active ones; None where there is none."""
        release = given.get("rollingRelease") if isinstance(given, Mapping) else None
        if not isinstance(release, Mapping) or _text(release, "state") not in ("ACTIVE", ""):
            return None
        stage = release.get("activeStage")
        percentage = release.get("currentCanaryPercentage")
        if percentage is None and isinstance(stage, Mapping):
            percentage = stage.get("targetPercentage")
        return cls(
            state=_text(release, "substate") or _text(release, "state"),
            canary_id=_id(release.get("canaryDeployment")),
            current_id=_id(release.get("currentDeployment")),
            percentage=percentage if isinstance(percentage, (int, float)) else None,
        )

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {
            "state": self.state,
            "canary_deployment": self.canary_id or None,
            "current_deployment": self.current_id or None,
            "percentage": self.percentage,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One record of an environment variable. ``targets`` has the ids of custom environments too.

    ``value`` is None where it was not shown; ``owner`` is the integration that it belongs to.
    """

    key: str
    kind: str
    targets: tuple[str, ...]
    branch: str | None
    updated_at: int
    id: str = ""
    comment: str = ""
    owner: str = ""
    value: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Variable:
        """From an item of the list; ``target`` is a list, or a single text."""
        target = given.get("target")
        targets = [target] if isinstance(target, str) else list(target) if isinstance(target, (list, tuple)) else []
        custom = given.get("customEnvironmentIds")
        targets += custom if isinstance(custom, list) else []
        kind, value = _text(given, "type"), given.get("value")
        shown = kind == "plain" or (given.get("decrypted") is True and kind != "sensitive")
        return cls(
            key=_text(given, "key"),
            kind=kind,
            targets=tuple(str(each) for each in targets),
            branch=given.get("gitBranch") or None,
            updated_at=_number(given.get("updatedAt")) or 0,
            id=_text(given, "id"),
            comment=_text(given, "comment"),
            owner=_text(given, "configurationId"),
            value=value if shown and isinstance(value, str) else None,
        )

    def describe(self, environments: Mapping[str, str] | None = None) -> dict[str, Any]:
        """For results, without the value; custom environments by their slugs."""
        names = {place: slug for slug, place in (environments or {}).items()}
        return {
            "key": self.key,
            "type": self.kind,
            "targets": [names.get(each, each) for each in self.targets],
            "git_branch": self.branch,
            "updated_at": as_iso(self.updated_at),
        }


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    return value if isinstance(value, str) else ""


def _object(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = given.get(key)
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _id(given: object) -> str:
    return _text(given, "id") or _text(given, "uid") if isinstance(given, Mapping) else ""


def _git(meta: Mapping[str, Any], what: str) -> str:
    """What a connected repository, or a deployment by hand, says of its commit."""
    for service in ("github", "gitlab", "bitbucket", "git"):
        if found := _text(meta, f"{service}{what}"):
            return found
    return _text(meta, "sha") if what == "CommitSha" else ""


def as_iso(milliseconds: int) -> str | None:
    return iso(datetime.fromtimestamp(milliseconds // 1000, UTC)) if milliseconds else None
