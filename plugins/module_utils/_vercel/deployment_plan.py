# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a deployment is made of, and what a run of vercel_deployment does about it (private to ops.runbooks); pure.

A deployment carries the identity that it was made for, and a mark of its source. So a run finds what an earlier one has
asked for, also where that never heard the answer, and asks for no second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human_bytes
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import is_commit
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import (
    FAILED,
    IDENTITY,
    SOURCE,
    Deployment,
    Project,
    RollingRelease,
    as_iso,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.output import Output

State = Literal["present", "canceled", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is built. ``mark`` is the same for the same source, ``name`` is for sentences, ``body`` for Vercel."""

    mark: str
    name: str
    body: Mapping[str, Any]
    sha: str = ""
    ref: str = ""
    #: The files to hand over, where it was built here.
    output: Output | None = None

    @property
    def identity(self) -> str:
        """The identity of what is made from it, where nobody gives another one."""
        return self.mark.replace(":", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted: a deployment of ``source`` for ``target``, or the end of the one that is named."""

    state: State
    target: str = "production"
    identity: str = ""
    source: Source | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    assigns: bool = False
    named: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is. ``found`` is what an earlier run has asked for, or what is named; ``domains`` lead to it."""

    project: Project
    found: Deployment | None = None
    rolling: RollingRelease | None = None
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlan(Plan):
    """A plan that also says whether a deployment has to be asked for, or only waited for."""

    creates: bool = False


def git_source(project: Project, sha: str, ref: str) -> Source:
    """A commit of the repository that the project is connected with. Raises ``repository_unlinked``."""
    if not is_commit(sha):
        raise RunbookError(
            code="invalid_parameter",
            attempted="use git.sha",
            object=repr(sha),
            reason="it is not the whole id of a commit, and what a part of it means may be another commit tomorrow",
            remedy="Give all forty digits (git rev-parse <name>).",
        )
    link = project.link
    if link is None or not link.known_by:
        raise RunbookError(
            code="repository_unlinked",
            attempted=f"deploy the commit {sha[:12]}",
            object=f"project {project.name}",
            reason="the project is connected with no Git repository that Vercel can build from",
            remedy="Connect it in the project's settings, or build it and deploy the output (prebuilt).",
        )
    ref = ref or link.production_branch or sha
    git = {"type": link.kind, **link.known_by, "ref": ref, "sha": sha}
    where = f" of {link.name}" if link.name else ""
    return Source(mark=f"git:{sha}", name=f"commit {sha[:12]}{where}", body={"gitSource": git}, sha=sha, ref=ref)


def prebuilt_source(output: Output, directory: str) -> Source:
    """What was built here."""
    return Source(
        mark=f"prebuilt:{output.digest[:40]}",
        name=f"the build in {directory}",
        body={
            "version": 2,
            "source": "cli",
            "files": [each.entry() for each in output.files],
            # Names of files are relative to the root of the repository, whatever the project's settings say.
            "projectSettings": {"sourceFilesOutsideRootDirectory": True, "rootDirectory": None},
        },
        output=output,
    )


def redeploy_source(before: Deployment) -> Source:
    """Another build of what a deployment was built from, with the variables of today."""
    return Source(
        mark=f"redeploy:{before.id}",
        name=f"the source of {before.name}",
        body={"deploymentId": before.id},
        sha=before.sha,
        ref=before.ref,
    )


def body_of(wish: Wish, source: Source, project: Project) -> dict[str, Any]:
    """The request for a deployment."""
    ours = {IDENTITY: wish.identity, SOURCE: source.mark}
    action = {"action": "redeploy"} if "deploymentId" in source.body else {}
    body: dict[str, Any] = {
        "name": project.name,
        "project": project.id,
        "meta": {**action, **wish.meta, **ours},
        **source.body,
    }
    if wish.target == "production":
        body["target"] = "production"
    elif wish.target != "preview":
        body["customEnvironmentSlugOrId"] = project.environments[wish.target]
    if not wish.assigns:
        body["autoAssignCustomDomains"] = False
    return body


def check_target(wish: Wish, project: Project) -> None:
    """Whether the project has what is to be deployed to. Raises ``invalid_parameter``."""
    known = ("production", "preview", *project.environments)
    if wish.target not in known:
        raise RunbookError(
            code="invalid_parameter",
            attempted="use target",
            object=repr(wish.target),
            reason=f"project {project.name} has {', '.join(known)}",
            remedy="Name one of these; other environments are made in the project's settings.",
        )


def same(deployment: Deployment, wish: Wish, source: Source) -> bool:
    """Whether a deployment is the one that is wanted, made or in the making."""
    marks = (deployment.identity, deployment.source, deployment.environment)
    return marks == (wish.identity, source.mark, wish.target) and deployment.state not in FAILED and not deployment.gone


def chosen(deployments: Iterable[Deployment], wish: Wish, source: Source) -> Deployment | None:
    """Of several that are the same, the one that was made first: every run chooses that."""
    return min(
        (each for each in deployments if same(each, wish, source)),
        key=lambda each: (each.created_at, each.id),
        default=None,
    )


def done(deployment: Deployment, wish: Wish, project: Project) -> bool:
    """Whether nothing is left to be waited for."""
    if deployment.state != "READY":
        return False
    takes = wish.assigns and wish.target == "production" and project.assigns
    return not takes or (deployment.aliased and not deployment.alias_error)


def check_made(made: Deployment, wish: Wish, source: Source, place: str) -> None:
    """Whether what is ready is what was wanted. Raises ``deployment_differs``."""
    if "gitSource" in source.body and made.sha and made.sha != source.sha:
        wrong = f"Vercel has built the commit {made.sha[:12]}"
    elif made.environment != wish.target:
        wrong = f"Vercel has built it for {made.environment}"
    else:
        return
    raise differs(made, wish, source, place, wrong)


def differs(made: Deployment, wish: Wish, source: Source, place: str, wrong: str) -> RunbookError:
    """The failure for a deployment that is ready and is not as it should be."""
    return RunbookError(
        code="deployment_differs",
        attempted=f"deploy {source.name} for {wish.target}",
        object=place,
        reason=f"{made.name} is ready, but {wrong}",
        remedy="Look at it in Vercel; do not promote it. Where production has moved, vercel_rollback brings it back.",
    )


def described(
    deployment: Deployment | None, wish: Wish, project: Project, reason: str, **predicted: Any
) -> dict[str, Any]:
    """The object ``deployment``; what is not there yet is null, or as it is going to be."""
    source = wish.source
    found = deployment or Deployment(id="", state="ABSENT", target="")
    known = {
        "id": found.id or None,
        "url": found.url or None,
        "state": found.state,
        "substate": found.substate or None,
        "target": found.environment if deployment is not None else wish.target,
        "sha": found.sha or (source.sha if source is not None else "") or None,
        "ref": found.ref or (source.ref if source is not None else "") or None,
        "identity": found.identity or wish.identity or None,
        "created_at": as_iso(found.created_at),
        "serving": bool(found.id) and found.id == project.production_id,
        "prebuilt": found.prebuilt or (source is not None and source.output is not None),
        "inspector_url": found.inspector_url or None,
        "reason": reason,
    }
    return {**known, **predicted}


def plan_of(wish: Wish, seen: Seen) -> DeploymentPlan:
    """What is to be done."""
    return {"present": _present, "canceled": _canceled, "absent": _absent}[wish.state](wish, seen)


def _present(wish: Wish, seen: Seen) -> DeploymentPlan:
    source, found, project = wish.source, seen.found, seen.project
    if source is None:
        raise ValueError("a deployment has a source")
    if found is not None and done(found, wish, project):
        check_made(found, wish, source, f"project {project.name}")
        reason = f"{found.name} is that deployment"
        return DeploymentPlan(changed=False, result=described(found, wish, project, reason))
    if found is not None:
        steps: tuple[str, ...] = (f"wait for {found.name}, which an earlier run has asked for",)
        reason = "it is being built"
    else:
        steps = (*_handing_over(source), f"build {source.name} for {wish.target} as {wish.identity}", _traffic(wish))
        reason = "there is none yet"
    result = described(found, wish, project, reason, state="READY", substate=_substate(wish))
    before = {"deployment": found.id if found is not None else None, "state": found.state if found else None}
    after = {"deployment": found.id if found is not None else "(new)", "state": "READY"}
    told = {"target": wish.target, "identity": wish.identity, "source": source.mark}
    return DeploymentPlan(
        changed=True, result=result, steps=steps, before=before, after={**after, **told}, creates=found is None
    )


def _handing_over(source: Source) -> tuple[str, ...]:
    output = source.output
    if output is None:
        return ()
    return (f"hand over what Vercel lacks of {len(output.files)} files ({human_bytes(output.size)})",)


def _traffic(wish: Wish) -> str:
    if wish.target != "production":
        return "wait until it is ready; production is not touched"
    if wish.assigns:
        return "wait until it is ready and the production domains lead to it"
    return "wait until it is ready; it takes no traffic until it is promoted"


def _substate(wish: Wish) -> str | None:
    if wish.target != "production":
        return None
    return "PROMOTED" if wish.assigns else "STAGED"


def _canceled(wish: Wish, seen: Seen) -> DeploymentPlan:
    found = _there(wish, seen)
    if found.state == "READY":
        raise _unusable(
            f"cancel {found.name}", seen, "it is ready, and only a build can be cancelled", "Use state=absent."
        )
    if found.state in FAILED:
        result = described(found, wish, seen.project, f"it has ended as {found.state}")
        return DeploymentPlan(changed=False, result=result)
    return DeploymentPlan(
        changed=True,
        result=described(found, wish, seen.project, "it is cancelled", state="CANCELED"),
        steps=(f"cancel the build of {found.name}",),
        before={"deployment": found.id, "state": found.state},
        after={"deployment": found.id, "state": "CANCELED"},
    )


def _absent(wish: Wish, seen: Seen) -> DeploymentPlan:
    found, project = seen.found, seen.project
    if found is None or found.gone:
        return DeploymentPlan(changed=False, result=described(None, wish, project, f"there is no {wish.named}"))
    _refuse_what_serves(found, seen)
    reason = "it is taken away"
    return DeploymentPlan(
        changed=True,
        result=described(found, wish, project, reason, state="DELETED", substate=None),
        steps=(f"delete {found.name}",),
        irreversible=(f"{found.id} is gone for good: nothing can be rolled back to it, and its address ends",),
        before={"deployment": found.id, "state": found.state},
        after={"deployment": None, "state": "DELETED"},
    )


def _refuse_what_serves(found: Deployment, seen: Seen) -> None:
    """What visitors get, or are about to get, stays."""
    project, rolling, job = seen.project, seen.rolling, seen.project.job
    if found.id == project.production_id:
        reason = "it serves production"
    elif seen.domains:
        reason = f"{', '.join(seen.domains)} {'leads' if len(seen.domains) == 1 else 'lead'} to it"
    elif rolling is not None and found.id in (rolling.canary_id, rolling.current_id):
        reason = "the active rolling release needs it"
    elif job is not None and job.running and found.id in (job.to_id, job.from_id):
        reason = f"a {job.kind} that concerns it is under way"
    else:
        return
    raise _unusable(f"delete {found.name}", seen, reason, "Let another deployment serve first (vercel_promote).")


def _there(wish: Wish, seen: Seen) -> Deployment:
    if seen.found is not None:
        return seen.found
    raise RunbookError(
        code="deployment_missing",
        attempted="find the deployment",
        object=f"{wish.named} in project {seen.project.name}",
        reason="Vercel does not know it, or this token may not see it",
        remedy="Name a deployment that vercel_info lists, by its id (dpl_...) or its own address.",
    )


def _unusable(attempted: str, seen: Seen, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="deployment_unusable",
        attempted=attempted,
        object=f"project {seen.project.name}",
        reason=reason,
        remedy=remedy,
    )
