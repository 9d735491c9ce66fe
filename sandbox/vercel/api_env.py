# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Environment variables over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused, bad_request
from sandbox.vercel import variables
from sandbox.vercel.call import Call, route
from sandbox.vercel.deployments import values_for
from sandbox.vercel.model import Variable, World


@route("GET", "/projects/{name}/env")
def list_(call: Call, name: str) -> Reply:
    """The variables of a project: all that the token may see, in one answer."""
    world = call.store.look()
    project = call.project(world, name)
    mine = [each for each in world.variables_of(project) if _asked(call, each)]
    hidden = [each for each in mine if "production" in each.target and each.key in call.token.hides]
    decrypt = call.query.get("decrypt") == "true"
    shown = [shape(each, decrypt=decrypt) for each in mine if each not in hidden]
    answer: dict[str, Any] = {"envs": shown}
    if hidden:
        answer["hiddenProductionEnvCount"] = len(hidden)
    return Reply(body=answer)


def _asked(call: Call, variable: Variable) -> bool:
    query = call.query
    branch = query.get("gitBranch")
    return (
        (not query.get("target") or query["target"] in variable.target)
        and (branch is None or variable.git_branch in (None, branch))
        and (not query.get("customEnvironmentId") or query["customEnvironmentId"] in variable.custom_environments)
    )


@route("GET", "/projects/{name}/env/{variable_id}")
def get(call: Call, name: str, variable_id: str) -> Reply:
    """One variable, in clear where it can be read."""
    world = call.store.look()
    return Reply(body=shape(variables.find(world, call.project(world, name), variable_id), decrypt=True))


@route("POST", "/projects/{name}/env")
def create(call: Call, name: str) -> Reply:
    """Add one, or many: of many some may fail though the answer is 201."""
    call.allow("env")
    upsert = call.query.get("upsert") == "true"
    single = not isinstance(call.document, list)
    created: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for document in [call.document] if single else call.document:

        def step(world: World, now: int, document: Any = document) -> tuple[World, Variable]:
            project = call.project(world, name)
            return variables.create(world, project, document, upsert=upsert, user=call.user.id, now=now, new_id=new_id)

        try:
            created.append(shape(call.change(step)))
        except Refused as refused:
            if single or refused.status == 404:
                raise
            failed.append(refused.body)
    return Reply(status=201, body={"created": created[0] if single else created, "failed": failed})


@route("PATCH", "/projects/{name}/env/{variable_id}")
def edit(call: Call, name: str, variable_id: str) -> Reply:
    """Change one record."""
    call.allow("env")

    def step(world: World, now: int) -> tuple[World, Variable]:
        project = call.project(world, name)
        return variables.edit(world, project, variable_id, call.body, user=call.user.id, now=now)

    return Reply(body=shape(call.change(step)))


@route("DELETE", "/projects/{name}/env/{variable_id}")
def delete(call: Call, name: str, variable_id: str) -> Reply:
    """Take one record away."""
    call.allow("env")
    gone = call.change(lambda world, _now: variables.remove(world, call.project(world, name), variable_id))
    return Reply(body=shape(gone))


@route("DELETE", "/projects/{name}/env")
def delete_many(call: Call, name: str) -> Reply:
    """Take several records away; those that do not exist are passed over."""
    call.allow("env")
    wanted = call.body.get("ids")
    if not isinstance(wanted, list):
        raise bad_request("Invalid request: missing required property `ids`.")

    def step(world: World, _now: int) -> tuple[World, list[str]]:
        project = call.project(world, name)
        gone = [each for each in world.variables_of(project) if each.id in wanted]
        for each in gone:
            world = world.drop(each)
        return world, [each.id for each in gone]

    gone = call.change(step)
    return Reply(body={"deleted": len(gone), "ids": gone})


@route("GET", "/env/pull/{name}")
@route("GET", "/env/pull/{name}/{target}")
@route("GET", "/env/pull/{name}/{target}/{branch}")
def pull(call: Call, name: str, target: str = "development", branch: str = "") -> Reply:
    """The values for one target, as the official CLI writes them into a file; sensitive ones stay empty."""
    world = call.store.look()
    project = call.project(world, name)
    values = values_for(world, project, target, {"ref": branch or call.query.get("gitBranch")})
    hidden = {each.key for each in world.variables_of(project) if each.type == "sensitive" and target in each.target}
    shown = {key: "" if key in hidden else value for key, value in values.items()}
    return Reply(body={"env": shown, "buildEnv": {}})


def new_id() -> str:
    """An id of a variable."""
    return secrets.token_urlsafe(12).replace("-", "x").replace("_", "y")


def shape(variable: Variable, *, decrypt: bool = False) -> dict[str, Any]:
    """A variable as the API shows it."""
    readable = variable.type in ("plain", "system") or (decrypt and variable.type != "sensitive")
    shown: dict[str, Any] = {
        "id": variable.id,
        "key": variable.key,
        "value": variable.value if readable else "" if variable.type == "sensitive" else ciphertext(variable),
        "type": variable.type,
        "target": list(variable.target),
        "customEnvironmentIds": list(variable.custom_environments),
        "configurationId": variable.configuration,
        "createdAt": variable.created_at,
        "updatedAt": variable.updated_at,
        "createdBy": variable.created_by or None,
        "updatedBy": variable.updated_by or None,
        "decrypted": readable,
    }
    optional = {"gitBranch": variable.git_branch, "comment": variable.comment, "visibility": variable.visibility}
    return shown | {name: value for name, value in optional.items() if value is not None}


def ciphertext(variable: Variable) -> str:
    """Something that looks encrypted and tells nothing; another one after each change."""
    mark = hashlib.sha256(f"{variable.id}{variable.updated_at}".encode()).hexdigest()
    return base64.b64encode(json.dumps({"v": "v2", "c": mark}).encode()).decode()
