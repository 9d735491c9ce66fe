# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API shows of things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.vercel import jobs
from sandbox.vercel.model import Alias, CustomEnvironment, Deployment, Domain, Job, Project, User, World

Shown = dict[str, Any]

#: Minutes that a stage of a rolling release lasts.
STAGE_MINUTES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How one moment looks to clients of a server at this port."""

    world: World
    port: int
    now: int

    def address(self, hostname: str) -> str:
        """A hostname as a client reaches it: names below ``localhost`` are served at our port."""
        return f"{hostname}:{self.port}" if hostname.endswith(".localhost") else hostname

    def creator(self, user_id: str) -> Shown:
        """Who did something."""
        user = self.world.users.get(user_id) or User(id=user_id or "usr_unknown", username="unknown")
        return {"uid": user.id, "username": user.username, "email": user.email}

    def item(self, deployment: Deployment) -> Shown:
        """A deployment in a list; it has a ``uid`` and no ``id``."""
        project = self.world.projects[deployment.project]
        shown: Shown = {
            "uid": deployment.id,
            "name": project.name,
            "projectId": project.id,
            "url": self.address(deployment.url),
            "created": deployment.created_at,
            "createdAt": deployment.created_at,
            "state": deployment.state,
            "readyState": deployment.state,
            "type": "LAMBDAS",
            "target": deployment.target,
            "source": deployment.source,
            "meta": dict(deployment.meta),
            "creator": self.creator(deployment.creator),
            "inspectorUrl": f"http://127.0.0.1:{self.port}/{project.account}/{project.name}/{deployment.id[4:]}",
            "isRollbackCandidate": jobs.is_candidate(project, deployment),
            "aliasAssigned": deployment.alias_assigned_at,
            "aliasError": deployment.alias_error,
            "prebuilt": deployment.prebuilt,
        }
        optional = {
            "readySubstate": deployment.substate if deployment.state == "READY" else None,
            "buildingAt": deployment.building_at if deployment.state != "QUEUED" else None,
            "ready": deployment.ready_at if deployment.state == "READY" else None,
            "errorCode": deployment.error_code if deployment.state == "ERROR" else None,
            "errorMessage": deployment.error_message if deployment.state == "ERROR" else None,
            "customEnvironment": next(
                (
                    {"id": each.id, "slug": each.slug}
                    for each in project.custom_environments
                    if each.id == deployment.custom_environment
                ),
                None,
            ),
        }
        return shown | {name: value for name, value in optional.items() if value is not None}

    def deployment(self, deployment: Deployment) -> Shown:
        """A deployment by itself; it has an ``id``, and ``aliasAssigned`` says yes or no."""
        project = self.world.projects[deployment.project]
        shown = self.item(deployment)
        del shown["uid"]
        shown |= {
            "id": deployment.id,
            "version": 2,
            "status": deployment.state,
            "alias": self.aliases_of(deployment),
            "aliasAssigned": deployment.alias_assigned_at is not None,
            "aliasAssignedAt": deployment.alias_assigned_at,
            "autoAssignCustomDomains": deployment.auto_assign,
            "regions": ["iad1"],
            "build": {"env": sorted(deployment.env)},
            "env": sorted(deployment.env),
            "ownerId": project.account,
            "project": {"id": project.id, "name": project.name, "framework": None},
            "public": False,
            "plan": jobs.plan_of(self.world, project.account),
            "routes": None,
            "bootedAt": deployment.created_at,
        }
        if deployment.git_source is not None:
            shown["gitSource"] = dict(deployment.git_source)
        if deployment.state in ("ERROR", "BLOCKED"):
            shown |= {"errorStep": "buildStep", "readyStateReason": deployment.error_message}
        team = self.world.teams.get(project.account)
        if team is not None:
            shown["team"] = {"id": team.id, "slug": team.slug, "name": team.name or team.slug}
        return shown

    def aliases_of(self, deployment: Deployment) -> list[str]:
        """The hostnames that show it now."""
        return sorted(each.alias for each in self.world.aliases.values() if each.deployment == deployment.id)

    def project(self, project: Project) -> Shown:
        """A project with everything that promote and rollback leave in it."""
        serving = self.world.deployments.get(project.production or "")
        shown: Shown = {
            "id": project.id,
            "name": project.name,
            "accountId": project.account,
            "createdAt": project.created_at,
            "updatedAt": project.updated_at,
            "framework": None,
            "nodeVersion": "24.x",
            "rootDirectory": None,
            "directoryListing": False,
            "live": False,
            "paused": project.paused,
            "autoAssignCustomDomains": project.auto_assign,
            "targets": {"production": self.target(serving)},
            "latestDeployments": [self.item(each) for each in self.world.of_project(project)[:10]],
            "lastAliasRequest": job(self.visible_job(project)),
            "rollingRelease": rolling_config(project),
            "security": {
                "attackModeEnabled": project.attack_mode,
                "attackModeActiveUntil": project.attack_mode_until,
                "attackModeUpdatedAt": project.attack_mode_updated_at,
            },
            "customEnvironments": [custom_environment(each) for each in project.custom_environments],
        }
        optional = {
            "autoAssignCustomDomainsUpdatedBy": project.auto_assign_by,
            "rollbackDescription": self.rollback_note(project),
            "crons": self.crons(project),
            "link": link(project),
        }
        return shown | {name: value for name, value in optional.items() if value is not None} | dict(project.settings)

    def visible_job(self, project: Project) -> Job | None:
        """The last job, or the one before where the last is too young to be seen."""
        young = project.job is not None and project.job.visible_at > self.now
        return project.job_before if young else project.job

    def target(self, deployment: Deployment | None) -> Shown | None:
        """The current production deployment as a project names it."""
        if deployment is None:
            return None
        return self.item(deployment) | {"id": deployment.id, "alias": self.aliases_of(deployment)}

    def rollback_note(self, project: Project) -> Shown | None:
        """Why the project is rolled back."""
        note = project.rollback_note
        if note is None:
            return None
        who = self.creator(note.user)
        return {
            "description": note.description,
            "createdAt": note.created_at,
            "userId": who["uid"],
            "username": who["username"],
        }

    def crons(self, project: Project) -> Shown | None:
        """What runs at fixed times, and in which deployment."""
        if not project.crons:
            return None
        return {
            "deploymentId": project.cron_deployment,
            "definitions": [dict(each) for each in project.crons],
            "enabledAt": project.created_at,
            "disabledAt": None,
            "updatedAt": project.updated_at,
        }

    def release(self, project: Project) -> Shown | None:
        """A rolling release."""
        release = project.release
        if release is None:
            return None
        stages = [stage(project, index) for index in range(len(project.rolling_stages))]
        active = stages[release.stage] if release.state == "ACTIVE" and release.stage < len(stages) else None
        following = stages[release.stage + 1] if active and release.stage + 1 < len(stages) else None
        return {
            "state": release.state,
            "substate": None,
            "currentDeployment": self._named(release.current),
            "canaryDeployment": self._named(release.canary),
            "queuedDeploymentId": release.queued,
            "advancementType": "manual-approval",
            "stages": stages,
            "activeStage": active,
            "nextStage": following,
            "currentCanaryPercentage": active["targetPercentage"] if active else None,
            "startedAt": release.started_at,
            "updatedAt": release.updated_at,
        }

    def _named(self, deployment_id: str) -> Shown | None:
        found = self.world.deployments.get(deployment_id)
        return self.deployment(found) if found else None

    def domain(self, project: Project, domain: Domain) -> Shown:
        """A hostname of a project."""
        return {
            "name": domain.name,
            "apexName": ".".join(domain.name.split(".")[-2:]),
            "projectId": project.id,
            "redirect": domain.redirect,
            "redirectStatusCode": 308 if domain.redirect else None,
            "gitBranch": domain.git_branch,
            "customEnvironmentId": None,
            "createdAt": project.created_at,
            "updatedAt": project.updated_at,
            "verified": domain.verified,
        }

    def alias(self, alias: Alias) -> Shown:
        """What a hostname shows."""
        deployment = self.world.deployments[alias.deployment]
        return {
            "uid": alias.uid,
            "alias": alias.alias,
            "deploymentId": alias.deployment,
            "deployment": {"id": deployment.id, "url": self.address(deployment.url), "meta": dict(deployment.meta)},
            "projectId": alias.project,
            "redirect": alias.redirect,
            "created": iso(alias.created_at),
            "createdAt": alias.created_at,
            "updatedAt": alias.created_at,
        }


def custom_environment(found: CustomEnvironment) -> Shown:
    """A target of a project's own."""
    return {"id": found.id, "slug": found.slug, "type": "preview", "branchMatcher": None, "domains": []}


def job(found: Job | None) -> Shown | None:
    """``lastAliasRequest``."""
    if found is None:
        return None
    shown: Shown = {
        "fromDeploymentId": found.from_deployment,
        "toDeploymentId": found.to_deployment,
        "jobStatus": found.status,
        "requestedAt": found.requested_at,
        "type": found.type,
    }
    if found.from_rolling_release is not None:
        shown["fromRollingReleaseId"] = found.from_rolling_release
    return shown


def link(project: Project) -> Shown | None:
    """The connected repository."""
    if project.link is None:
        return None
    return {
        "type": project.link.type,
        "org": project.link.org,
        "repo": project.link.repo,
        "repoId": project.link.repo_id,
        "productionBranch": project.link.production_branch,
        "deployHooks": [],
    }


def rolling_config(project: Project) -> Shown | None:
    """How a rolling release goes, where the project has them."""
    if not project.rolling_stages:
        return None
    stages = [{"targetPercentage": each, "requireApproval": True} for each in project.rolling_stages]
    return {"target": "production", "stages": stages}


def stage(project: Project, index: int) -> Shown:
    """One stage of a rolling release; here its duration is in seconds."""
    return {
        "index": index,
        "isFinalStage": index == len(project.rolling_stages) - 1,
        "targetPercentage": project.rolling_stages[index],
        "requireApproval": True,
        "duration": STAGE_MINUTES * 60,
    }


def iso(at: int) -> str:
    """A time as some answers write it."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def page(
    items: list[Shown], query: Mapping[str, str], *, key: str = "createdAt", size: int = 20
) -> tuple[list[Shown], Shown]:
    """One page of a list that is sorted newest first, and what leads to the next one."""
    until, since = query.get("until", ""), query.get("since", "")
    limit = int(query["limit"]) if query.get("limit", "").isdigit() else size
    if until.isdigit():
        items = [each for each in items if each[key] < int(until)]
    if since.isdigit():
        items = [each for each in items if each[key] > int(since)]
    shown = items[: max(1, min(limit, 100))]
    more = len(items) > len(shown)
    pagination = {
        "count": len(shown),
        "next": shown[-1][key] if more else None,
        "prev": shown[0][key] if shown else None,
    }
    return shown, pagination
