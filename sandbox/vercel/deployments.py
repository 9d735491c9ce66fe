# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creating, building, cancelling and deleting deployments: pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sandbox.standin.refusal import Refused, bad_request, not_found
from sandbox.vercel.model import Alias, Build, Deployment, Domain, Project, Variable, World

#: States that a build passes through.
UNFINISHED = ("QUEUED", "INITIALIZING", "BUILDING")


def hostname(project: Project, deployment_id: str, slug: str, *, suffix: str) -> str:
    """The unique hostname of a deployment."""
    label = re.sub(r"[^a-z0-9-]", "-", f"{project.name}-{deployment_id.removeprefix('dpl_')[:9]}-{slug}".lower())
    return f"{label[:63].strip('-')}.{suffix}"


def build_of(project: Project, git: Mapping[str, Any] | None) -> Build:
    """How this source builds, by commit, then branch, then ``*``."""
    source = git or {}
    for key in (source.get("sha"), source.get("ref"), "*"):
        if key and key in project.builds:
            return project.builds[key]
    return Build()


def create(world: World, deployment: Deployment, *, now: int) -> World:
    """Begin a deployment; the caller has chosen its id, hostname and source."""
    project = world.projects[deployment.project]
    timings = project.timings
    build = build_of(project, deployment.git_source)
    outcome = "BLOCKED" if build.blocked else "ERROR" if build.fails or deployment.error_message else "READY"
    # Lists are paged by time: two of one project never have the same.
    now = max([now, *(each.created_at + 1 for each in world.of_project(project))])
    building = now + timings.queue
    made = replace(
        deployment,
        state="BLOCKED" if outcome == "BLOCKED" else "QUEUED",
        created_at=now,
        building_at=building,
        building=deployment.building and outcome == "READY",
        # A build in earnest reports its own end.
        ready_at=None if deployment.building and outcome == "READY" else building + timings.build,
        outcome=outcome,
        error_code="BUILD_FAILED" if outcome == "ERROR" else None,
        error_message=(deployment.error_message or build.error) if outcome == "ERROR" else None,
        behaviour=deployment.behaviour or build.behaviour,
        env=values_for(world, project, deployment.custom_environment or deployment.target, deployment.git_source)
        | dict(deployment.env),
    )
    return world.put(made)


def values_for(world: World, project: Project, target: str | None, git: Mapping[str, Any] | None) -> dict[str, str]:
    """The variables that a build for this target gets now; those of its branch win."""
    wanted = target or "preview"
    branch = (git or {}).get("ref")
    mine = [each for each in world.variables_of(project) if _applies(each, wanted, branch)]
    return {each.key: each.value for each in sorted(mine, key=lambda each: each.git_branch is not None)}


def _applies(variable: Variable, target: str, branch: str | None) -> bool:
    names = (*variable.target, *variable.custom_environments)
    return target in names and variable.git_branch in (None, branch)


def advance(world: World, now: int) -> World:
    """What builds have become by now; the same value where nothing was due."""
    for deployment in world.deployments.values():
        if deployment.state not in UNFINISHED:
            continue
        if deployment.ready_at is not None and deployment.ready_at <= now:
            world = finish(world, deployment, now=deployment.ready_at)
        elif deployment.state == "QUEUED" and deployment.building_at is not None and deployment.building_at <= now:
            world = world.put(replace(deployment, state="BUILDING"))
    return world


def finish(world: World, deployment: Deployment, *, now: int) -> World:
    """The end of a build."""
    if deployment.state not in UNFINISHED:
        return world
    done = replace(deployment, state=deployment.outcome, ready_at=now, building=False)
    if done.state == "READY":
        project = world.projects[done.project]
        production = done.target == "production"
        done = replace(
            done,
            substate="STAGED" if production else None,
            alias_at=now + project.timings.alias if production else None,
            alias_assigned_at=None if production else now,
        )
        world = _branch_alias(world, project, done, now=now)
    return world.put(done)


def _branch_alias(world: World, project: Project, deployment: Deployment, *, now: int) -> World:
    """Hostnames that belong to a Git branch show its newest deployment."""
    branch = (deployment.git_source or {}).get("ref")
    for domain in project.domains:
        if domain.git_branch is not None and domain.git_branch == branch:
            world = point(world, project, deployment, domain.name, now=now)
    return world


def point(world: World, project: Project, deployment: Deployment, alias: str, *, now: int) -> World:
    """Move one hostname; that is no promote."""
    held = world.aliases.get(alias)
    if held is not None and world.projects[held.project].account != project.account:
        raise Refused(409, "alias_in_use", f"The alias {alias} belongs to another account.")
    made = Alias(
        alias=alias,
        deployment=deployment.id,
        project=project.id,
        uid=held.uid if held else f"als_{deployment.id.removeprefix('dpl_')}_{alias}",
        created_at=now,
    )
    return world.put(made)


def cancel(world: World, deployment: Deployment) -> World:
    """Stop a build; one that has ended cannot be stopped."""
    if deployment.state not in UNFINISHED:
        raise bad_request(f"The deployment cannot be canceled: it is {deployment.state}.")
    return world.put(replace(deployment, state="CANCELED", ready_at=None, building=False))


def delete(world: World, deployment: Deployment) -> World:
    """Take a deployment away for good, with the hostnames that show it."""
    if deployment.state == "DELETED":
        raise not_found(f'Deployment "{deployment.id}" not found.')
    for alias in list(world.aliases.values()):
        if alias.deployment == deployment.id:
            world = world.drop(alias)
    project = world.projects[deployment.project]
    if project.production == deployment.id:
        world = world.put(replace(project, production=None))
    return world.put(replace(deployment, state="DELETED", substate=None, alias_at=None, building=False))


def settle(world: World) -> World:
    """Complete what a seed has left out, so that it is as if everything had happened here."""
    for project in list(world.projects.values()):
        if not project.domains:
            project = replace(project, domains=(Domain(name=f"{project.name}.localhost"),))
        if project.production is not None and not project.served:
            project = replace(project, served=_history(world, project))
        if project.crons and project.cron_deployment is None:
            project = replace(project, cron_deployment=project.production)
        world = world.put(project)
        for name in project.served:
            if name in world.deployments and world.deployments[name].state == "READY":
                world = world.put(_promoted(world.deployments[name]))
        for deployment in world.of_project(project):
            if deployment.state == "READY" and deployment.substate is None and deployment.target == "production":
                world = world.put(replace(deployment, substate="STAGED"))
        world = _seeded_aliases(world, project)
    return world


def _promoted(deployment: Deployment) -> Deployment:
    assigned = deployment.alias_assigned_at or deployment.ready_at or deployment.created_at
    return replace(deployment, substate="PROMOTED", alias_assigned_at=assigned)


def _history(world: World, project: Project) -> tuple[str, ...]:
    """A seed that names no history: what it marks as PROMOTED has served in the order of its making."""
    marked = [each for each in reversed(world.of_project(project)) if each.substate == "PROMOTED"]
    return (*(each.id for each in marked if each.id != project.production), str(project.production))


def _seeded_aliases(world: World, project: Project) -> World:
    serving = world.deployments.get(project.production or "")
    if serving is None:
        return world
    for domain in project.domains:
        if domain.name not in world.aliases and domain.git_branch is None and domain.verified:
            alias = Alias(
                alias=domain.name,
                deployment=serving.id,
                project=project.id,
                uid=f"als_{domain.name}",
                created_at=serving.created_at,
                redirect=domain.redirect,
            )
            world = world.put(alias)
    return world
