# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Promote, rollback and what the passing of time makes of them: pure functions.

Both are jobs: accepted at once, ``pending``, then ``in-progress``, and only at their end do hostnames move. What the
service does not document is decided here and marked *chosen*; nothing may depend on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.standin.refusal import Refused, bad_request, not_found
from sandbox.vercel.model import Alias, Deployment, Job, Project, Release, RollbackNote, World

#: Jobs that have not ended.
RUNNING = ("pending", "in-progress")


def promote(world: World, project: Project, deployment_id: str, *, user: str, now: int) -> tuple[World, int]:
    """Accept a promote; 201, or 202 where it waits for an active rolling release."""
    deployment = _own(world, project, deployment_id)
    if project.production == deployment.id and not _moving(project):
        raise Refused(
            409, "conflict", f'The deployment "{deployment.id}" is already the current production deployment.'
        )
    if deployment.target != "production":
        # Chosen: the official CLI never asks for this, it rebuilds previews.
        raise bad_request("Only a production deployment can be promoted.")
    if deployment.state != "READY":
        raise bad_request(f"The deployment is not ready: it is {deployment.state}.")
    if project.release is not None and project.release.state == "ACTIVE":
        release = replace(project.release, queued=deployment.id, updated_at=now)
        return world.put(replace(project, release=release)), 202
    if project.rolling_stages and project.production is not None:
        return start_release(world, project, deployment.id, now=now), 201
    return _accept(world, project, "promote", deployment, user=user, now=now), 201


def rollback(
    world: World, project: Project, deployment_id: str, *, description: str, user: str, now: int
) -> tuple[World, int]:
    """Accept a rollback, which is always 201."""
    if len(description) > 250:
        raise bad_request("The description is longer than 250 characters.")
    deployment = _own(world, project, deployment_id)
    if project.production == deployment.id and not _moving(project):
        raise Refused(422, "unprocessable_entity", "The deployment is already the current production deployment.")
    if not is_candidate(project, deployment):
        raise Refused(422, "unprocessable_entity", f'The deployment "{deployment.id}" cannot be rolled back to.')
    if plan_of(world, project.account) == "hobby" and deployment.id != previous(project):
        raise Refused(
            402,
            "payment_required",
            "Rolling back further than the previous production deployment is a feature of the Pro plan.",
        )
    if project.release is not None and project.release.state == "ACTIVE":
        project = replace(project, release=replace(project.release, state="ABORTED", updated_at=now))
    return _accept(world, project, "rollback", deployment, user=user, now=now, description=description), 201


def describe(world: World, project: Project, description: str, *, user: str, now: int) -> World:
    """Change the reason given with the last rollback."""
    if len(description) > 250:
        raise bad_request("The description is longer than 250 characters.")
    if project.rollback_note is None:
        raise not_found("The project is not rolled back.")
    return world.put(replace(project, rollback_note=RollbackNote(description=description, created_at=now, user=user)))


def is_candidate(project: Project, deployment: Deployment) -> bool:
    """Whether it has served production, is not what serves now, and is still there."""
    return (
        deployment.target == "production"
        and deployment.state == "READY"
        and deployment.substate == "PROMOTED"
        and deployment.id != project.production
    )


def previous(project: Project) -> str | None:
    """What served directly before the present production deployment."""
    return next((each for each in reversed(project.served) if each != project.production), None)


def plan_of(world: World, account: str) -> str:
    """The plan that a team or a person pays for."""
    found = world.teams.get(account) or world.users.get(account)
    return found.plan if found is not None else "hobby"


def _own(world: World, project: Project, deployment_id: str) -> Deployment:
    found = world.deployments.get(deployment_id)
    if found is None or found.project != project.id or found.state == "DELETED":
        raise not_found(f'Deployment "{deployment_id}" not found.')
    return found


def _moving(project: Project) -> bool:
    return project.job is not None and project.job.status in RUNNING


def _accept(
    world: World, project: Project, kind: str, to: Deployment, *, user: str, now: int, description: str = ""
) -> World:
    """Note the job. Chosen: one that still runs is given up, and its hostnames do not move."""
    starts = now + project.timings.job_pending
    job = Job(
        type=kind,
        to_deployment=to.id,
        from_deployment=project.production,
        requested_at=now,
        starts_at=starts,
        ends_at=starts + project.timings.job_work,
        outcome=project.job_outcome,
        visible_at=now + project.timings.job_visible,
        description=description,
        user=user,
    )
    return world.put(replace(project, job=job, job_before=project.job, updated_at=now))


def advance(world: World, now: int) -> World:
    """What jobs and hostnames have become by now; the same value where nothing was due."""
    for project in world.projects.values():
        world = _advance_job(world, project, now)
    for deployment in world.deployments.values():
        if deployment.alias_at is not None and deployment.alias_at <= now:
            world = _take_over(world, deployment)
    return world


def _advance_job(world: World, project: Project, now: int) -> World:
    job = project.job
    if job is None or job.status not in RUNNING:
        return world
    if now >= job.ends_at:
        return _finish(world, project, job)
    if job.status == "pending" and now >= job.starts_at:
        return world.put(replace(project, job=replace(job, status="in-progress")))
    return world


def _finish(world: World, project: Project, job: Job) -> World:
    """The end of a job, at the time when it was due."""
    failing = tuple(domain.name for domain in project.domains if domain.fails)
    outcome = "failed" if failing else job.outcome
    to = world.deployments.get(job.to_deployment)
    if to is None or to.state != "READY":
        outcome = "failed"
    if outcome == "succeeded" and to is not None:
        world = serve(world, project, to, now=job.ends_at)
        project = replace(world.projects[project.id], **_consequences(world.projects[project.id], job))
        return world.put(replace(project, job=replace(job, status="succeeded")))
    if outcome == "failed":
        # Chosen: what can be moved is moved, and the project still names its old production deployment.
        world = _point(world, project, job.to_deployment, now=job.ends_at) if failing else world
        failing = failing or tuple(domain.name for domain in project.domains)
        return world.put(replace(project, job=replace(job, status="failed", failed_aliases=failing)))
    return world.put(replace(project, job=replace(job, status=outcome)))


def _consequences(project: Project, job: Job) -> dict[str, Any]:
    """A promote ends the state of being rolled back, a rollback begins it."""
    if job.type == "promote":
        return {"auto_assign": True, "auto_assign_by": job.user or None, "rollback_note": None}
    note = RollbackNote(description=job.description, created_at=job.requested_at, user=job.user)
    crons = project.cron_deployment
    return {
        "auto_assign": False,
        "auto_assign_by": job.user or None,
        "rollback_note": note if job.description else None,
        "cron_deployment": job.from_deployment if project.crons_stay and project.crons else crons,
    }


def serve(world: World, project: Project, deployment: Deployment, *, now: int) -> World:
    """Make a deployment the production one: all production hostnames show it from this moment."""
    project = replace(
        project,
        production=deployment.id,
        served=(*project.served, deployment.id) if project.served[-1:] != (deployment.id,) else project.served,
        cron_deployment=deployment.id if project.crons else None,
        updated_at=now,
    )
    shown = replace(deployment, substate="PROMOTED", alias_at=None, alias_assigned_at=now)
    return _point(world.put(project).put(shown), project, deployment.id, now=now)


def _point(world: World, project: Project, deployment_id: str, *, now: int) -> World:
    """Let each production hostname that can be moved show this deployment."""
    for domain in project.domains:
        if domain.fails or domain.git_branch is not None or not domain.verified:
            continue
        alias = Alias(
            alias=domain.name,
            deployment=deployment_id,
            project=project.id,
            uid=f"als_{deployment_id.removeprefix('dpl_')}_{domain.name}",
            created_at=now,
            redirect=domain.redirect,
        )
        world = world.put(alias)
    return world


def _take_over(world: World, deployment: Deployment) -> World:
    """A production build that is ready becomes the production deployment by itself, unless that is switched off."""
    project = world.projects[deployment.project]
    due = deployment.alias_at or 0
    # Also of a build that takes no traffic: clients wait for it, and its own hostname is assigned.
    done = replace(deployment, alias_at=None, alias_assigned_at=due)
    failing = [domain.name for domain in project.domains if domain.fails]
    if not (project.auto_assign and deployment.auto_assign):
        return world.put(done)
    if failing:
        error = {"code": "alias_failed", "message": f"Could not assign {failing[0]}."}
        return world.put(replace(done, alias_error=error, alias_assigned_at=None))
    if project.rolling_stages and project.production is not None:
        return start_release(world.put(done), project, done.id, now=due)
    return serve(world, project, done, now=due)


def start_release(world: World, project: Project, canary: str, *, now: int) -> World:
    """Begin to share the traffic with a new deployment."""
    if project.release is not None and project.release.state == "ACTIVE":
        return world.put(replace(project, release=replace(project.release, queued=canary, updated_at=now)))
    release = Release(
        id=f"rr_{canary.removeprefix('dpl_')}",
        current=project.production or "",
        canary=canary,
        started_at=now,
        updated_at=now,
    )
    shared = replace(world.deployments[canary], substate="ROLLING")
    return world.put(replace(project, release=release, updated_at=now)).put(shared)


def approve_stage(world: World, project: Project, *, canary: str, stage: int, now: int) -> World:
    """Go on to a stage; the last one completes the release."""
    release = _active(project, canary)
    if stage != release.stage + 1:
        raise bad_request(f"The next stage is {release.stage + 1}.")
    if stage >= len(project.rolling_stages):
        return complete_release(world, project, canary=canary, now=now)
    return world.put(replace(project, release=replace(release, stage=stage, updated_at=now)))


def complete_release(world: World, project: Project, *, canary: str, now: int) -> World:
    """Give all the traffic to the new deployment."""
    release = _active(project, canary)
    ended = replace(project, release=replace(release, state="COMPLETE", queued=None, updated_at=now))
    world = serve(world.put(ended), ended, world.deployments[canary], now=now)
    if release.queued is not None:
        return start_release(world, world.projects[project.id], release.queued, now=now)
    return world


def _active(project: Project, canary: str) -> Release:
    release = project.release
    if release is None or release.state != "ACTIVE":
        raise bad_request("There is no active rolling release.")
    if release.canary != canary:
        raise bad_request("canaryDeploymentId is not the deployment of the active rolling release.")
    return release
