# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creating deployments over HTTP: from files, from Git, or again from another deployment."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import string
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused, bad_request
from sandbox.vercel import builder, deployments, output
from sandbox.vercel.call import Call, route
from sandbox.vercel.files import safe
from sandbox.vercel.model import Deployment, Project, World

TARGETS = ("production", "staging", "preview")


@route("POST", "/files")
def upload(call: Call) -> Reply:
    """Keep one file by its SHA-1."""
    call.allow("deploy")
    headers = call.headers
    digest = headers.get("x-vercel-digest") or headers.get("x-now-digest") or ""
    size = headers.get("x-now-size") or headers.get("Content-Length") or ""
    if not digest:
        raise bad_request("Missing required header `x-vercel-digest`.")
    if size.isdigit() and int(size) != len(call.raw):
        raise bad_request(f"The content has {len(call.raw)} bytes, not {size}.")
    call.files.add(call.raw, digest)
    return Reply(body={"urls": []})


@route("POST", "/deployments")
def create(call: Call) -> Reply:
    """Begin a deployment."""
    call.allow("deploy")
    body = call.body
    if not isinstance(body.get("name"), str):
        raise bad_request("Invalid request: missing required property `name`.")
    sources = [each for each in ("files", "gitSource", "deploymentId") if body.get(each)]
    if len(sources) != 1:
        raise bad_request("Invalid request: exactly one of `files`, `gitSource` and `deploymentId` is needed.")
    world = call.store.look()
    project = call.project(world, str(body.get("project") or body["name"]))
    target, custom = _target(project, body)
    made = _sourced(call, world, project, sources[0])
    made = replace(
        made,
        target=target,
        custom_environment=custom,
        meta={**made.meta, **_texts(body.get("meta"), "meta")},
        env=_texts(body.get("env"), "env") | _texts((body.get("build") or {}).get("env"), "build.env"),
        auto_assign=body.get("autoAssignCustomDomains", True) is not False,
        creator=call.user.id,
    )

    def step(world: World, now: int) -> tuple[World, str]:
        same = None if call.query.get("forceNew") == "1" else _same(world, made)
        if same is not None:
            return world, same.id
        return deployments.create(world, made, now=now), made.id

    chosen = call.change(step)
    world = call.store.look()
    if chosen == made.id and world.deployments[chosen].building:
        builder.begin(call.store, call.files, chosen)
    return Reply(body=call.view(world).deployment(world.deployments[chosen]))


def _target(project: Project, body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What is built for: a target, where None is a preview, or the id of a custom environment."""
    target, custom = body.get("target"), body.get("customEnvironmentSlugOrId")
    own = {name: each.id for each in project.custom_environments for name in (each.id, each.slug)}
    wanted = custom or (target if target not in (None, *TARGETS) else None)
    if wanted is None:
        return (None if target == "preview" else target), None
    if wanted not in own:
        raise bad_request("Invalid request: `target` should be equal to one of the allowed values.")
    return None, own[wanted]


def _same(world: World, made: Deployment) -> Deployment | None:
    """A deployment of the same source and values that has not failed: without ``forceNew`` it is not made twice."""
    project = world.projects[made.project]
    values = deployments.values_for(world, project, made.custom_environment or made.target, made.git_source) | dict(
        made.env
    )
    wanted = _identity(made, values)
    for each in world.of_project(project):
        if each.state in ("READY", *deployments.UNFINISHED) and _identity(each, dict(each.env)) == wanted:
            return each
    return None


def _identity(deployment: Deployment, values: dict[str, str]) -> tuple[object, ...]:
    # A build in earnest replaces the files; its source is the commit.
    files = None if deployment.git_source else dict(deployment.files)
    meta = dict(deployment.meta)
    target = deployment.custom_environment or deployment.target
    return files, deployment.git_source, meta, target, deployment.auto_assign, values


def _sourced(call: Call, world: World, project: Project, source: str) -> Deployment:
    """A deployment of what the request names, and nothing else yet."""
    name = "dpl_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _each in range(28))
    owner = world.teams.get(project.account)
    slug = owner.slug if owner else call.user.username
    url = deployments.hostname(project, name, slug, suffix=call.suffix)
    blank = Deployment(id=name, project=project.id, url=url)
    if source == "files":
        files = _files(call)
        prebuilt = call.query.get("prebuilt") == "1"
        lacks = output.problem(files) if prebuilt else None
        source = str(call.body.get("source") or "api")
        return replace(blank, files=files, prebuilt=prebuilt, source=source, error_message=lacks)
    if source == "gitSource":
        return _from_git(project, blank, call.body["gitSource"])
    before = call.deployment(world, str(call.body["deploymentId"]))
    if before.project != project.id:
        raise bad_request("The deployment belongs to another project.")
    return replace(
        blank,
        files=before.files,
        prebuilt=before.prebuilt,
        behaviour=before.behaviour,
        git_source=before.git_source,
        meta={**before.meta, "originalDeploymentId": before.id},
        source="redeploy",
        # What a build makes depends on the variables: it is made anew where that is possible.
        building=before.git_source is not None and bool(project.link and project.link.api_url),
        log=(f"Building again from {before.id}",),
    )


def _files(call: Call) -> dict[str, Any]:
    """The files of a request, all of whose contents are here.

    Raises:
        Refused: Some are missing; the answer lists their SHA-1.
    """
    found: dict[str, Any] = {}
    for entry in call.body["files"]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("file"), str):
            raise bad_request("Invalid request: each of `files` needs a `file`.")
        safe(entry["file"])
        digest = _inline(call, entry) if "data" in entry else str(entry.get("sha", ""))
        found[entry["file"]] = {"sha": digest, "mode": int(entry.get("mode") or 0o100644)}
    missing = sorted({each["sha"] for each in found.values() if not call.files.has(each["sha"])})
    if missing:
        raise Refused(400, "missing_files", "Missing files", missing=missing)
    return found


def _inline(call: Call, entry: Mapping[str, Any]) -> str:
    try:
        encoded = entry.get("encoding") == "base64"
        content = base64.b64decode(entry["data"], validate=True) if encoded else str(entry["data"]).encode()
    except binascii.Error as error:
        raise bad_request(f"The data of {entry['file']} are not base64.") from error
    return call.files.add(content, hashlib.sha1(content, usedforsecurity=False).hexdigest())


def _from_git(project: Project, blank: Deployment, git: Any) -> Deployment:
    if not isinstance(git, Mapping) or not isinstance(git.get("type"), str) or not isinstance(git.get("ref"), str):
        raise bad_request("Invalid request: `gitSource` needs `type` and `ref`.")
    link = project.link
    by_id = link is not None and str(git.get("repoId")) == str(link.repo_id)
    by_name = link is not None and (git.get("org"), git.get("repo")) == (link.org, link.repo)
    if link is None or git["type"] != link.type or not (by_id or by_name):
        raise Refused(400, "incorrect_git_source_info", "The provided gitSource is not the project's repository.")
    kind = link.type
    known = {"Org": link.org, "Repo": link.repo, "CommitRef": git["ref"], "CommitSha": git.get("sha")}
    meta = {f"{kind}{name}": str(value) for name, value in known.items() if value}
    return replace(blank, git_source=dict(git), meta=meta, source="git", building=bool(link.api_url))


def _texts(found: Any, where: str) -> dict[str, str]:
    if not isinstance(found or {}, Mapping) or not all(isinstance(each, str) for each in (found or {}).values()):
        raise bad_request(f"Invalid request: `{where}` should hold texts only.")
    return dict(found or {})
