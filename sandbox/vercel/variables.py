# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Environment variables: pure functions. A variable is known by key, one target or custom environment, and branch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.standin.refusal import Refused, bad_request, not_found
from sandbox.vercel.model import Project, Variable, World

TARGETS = ("production", "preview", "development")
TYPES = ("system", "encrypted", "plain", "sensitive", "secret")

#: What the platform sets itself, or what a build could be taken over by.
RESERVED = re.compile(
    r"(AWS_(SECRET_KEY|EXECUTION_ENV|LAMBDA_\w+|SESSION_TOKEN)|NOW_REGION|TZ|LAMBDA_\w+|VERCEL(_\w+)?)"
)

#: All of a deployment's variables together, in bytes.
LARGEST = 64 * 1024

FIELDS = {
    "key": "key",
    "value": "value",
    "type": "type",
    "target": "target",
    "customEnvironmentIds": "custom_environments",
    "gitBranch": "git_branch",
    "comment": "comment",
    "visibility": "visibility",
}


def read(document: Any) -> dict[str, Any]:
    """The fields of a variable in a request, by their names here.

    Raises:
        Refused: One has another type or cannot be set.
    """
    if not isinstance(document, Mapping):
        raise bad_request("Invalid request: should be object.")
    unknown = sorted(set(document) - set(FIELDS))
    if unknown:
        raise bad_request(f"Invalid request: should NOT have additional property `{unknown[0]}`.")
    given = {FIELDS[name]: value for name, value in document.items()}
    for name in ("target", "custom_environments"):
        if name in given:
            value = given[name]
            given[name] = tuple([value] if isinstance(value, str) else value or ())
    return given


def create(
    world: World, project: Project, document: Any, *, upsert: bool, user: str, now: int, new_id: Callable[[], str]
) -> tuple[World, Variable]:
    """Add one variable, or with ``upsert`` change the whole record that has it already, with all its targets."""
    given = read(document)
    for name in ("key", "value", "type"):
        if not isinstance(given.get(name), str):
            raise bad_request(f"Invalid request: missing required property `{name}`.")
    # Lists are paged by time: two of one project never have the same.
    now = max([now, *(each.created_at + 1 for each in world.variables_of(project))])
    made = Variable(
        id=new_id(), project=project.id, created_at=now, updated_at=now, created_by=user, updated_by=user, **given
    )
    made = _enforced(world, project, made)
    _check(made)
    held = _collisions(world, project, made)
    if held and not upsert:
        raise _exists(made, held[0])
    if held:
        targets = tuple(dict.fromkeys([*held[0].target, *made.target]))
        made = replace(
            made, id=held[0].id, target=targets, created_at=held[0].created_at, created_by=held[0].created_by
        )
        others = _collisions(world, project, made)
        if others:
            raise _exists(made, others[0])
    changed = world.put(made)
    _check_size(changed, project, made)
    return changed, made


def edit(
    world: World, project: Project, variable_id: str, document: Any, *, user: str, now: int
) -> tuple[World, Variable]:
    """Change fields of one record, for all its targets."""
    held = find(world, project, variable_id)
    given = read(document)
    if held.type == "sensitive" and given.get("type", "sensitive") != "sensitive":
        raise bad_request("You cannot change the type of a Sensitive Environment Variable.")
    made = _enforced(world, project, replace(held, **given, updated_at=now, updated_by=user))
    _check(made)
    others = _collisions(world, project, made)
    if others:
        raise _exists(made, others[0])
    changed = world.put(made)
    _check_size(changed, project, made)
    return changed, made


def remove(world: World, project: Project, variable_id: str) -> tuple[World, Variable]:
    """Take one record away, for all its targets."""
    held = find(world, project, variable_id)
    return world.drop(held), held


def find(world: World, project: Project, variable_id: str) -> Variable:
    """A record of this project."""
    held = world.variables.get(variable_id)
    if held is None or held.project != project.id:
        raise not_found("The environment variable was not found.")
    return held


def _enforced(world: World, project: Project, variable: Variable) -> Variable:
    """What a team's policy makes of a variable."""
    team = world.teams.get(project.account)
    if team is None or not team.sensitive_only or "development" in variable.target:
        return variable
    return replace(variable, type="sensitive")


def _check(variable: Variable) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable.key):
        raise bad_request("The name contains invalid characters. Only letters, digits, and underscores are allowed.")
    if RESERVED.fullmatch(variable.key):
        raise bad_request(f"The name of your Environment Variable is reserved: {variable.key}.")
    if variable.type not in TYPES:
        raise bad_request("Invalid request: `type` should be equal to one of the allowed values.")
    unknown = sorted(set(variable.target) - set(TARGETS))
    if unknown or not (variable.target or variable.custom_environments):
        raise bad_request("Invalid request: `target` should be equal to one of the allowed values.")
    if variable.type == "sensitive" and "development" in variable.target:
        raise bad_request("You cannot set a Sensitive Environment Variable's target to development.")
    if variable.git_branch is not None and variable.target != ("preview",):
        raise bad_request("A git branch can be given for the preview environment only.")


def _collisions(world: World, project: Project, variable: Variable) -> list[Variable]:
    places = {*variable.target, *variable.custom_environments}
    return [
        each
        for each in world.variables_of(project)
        if each.id != variable.id
        and each.key == variable.key
        and each.git_branch == variable.git_branch
        and places & {*each.target, *each.custom_environments}
    ]


def _exists(variable: Variable, held: Variable) -> Refused:
    return Refused(
        403,
        "ENV_ALREADY_EXISTS",
        f"Another Environment Variable with the Name and Environment Variable ID {held.id} already exists.",
        envVarId=held.id,
        envVarKey=variable.key,
        key=variable.key,
        target=list(variable.target),
        gitBranch=variable.git_branch,
    )


def _check_size(world: World, project: Project, changed: Variable) -> None:
    for target in (*changed.target, *changed.custom_environments):
        mine = [each for each in world.variables_of(project) if target in (*each.target, *each.custom_environments)]
        if sum(len(f"{each.key}={each.value}".encode()) for each in mine) > LARGEST:
            raise bad_request("The total size of your Environment Variables exceeds the limit of 64 KB.")
