# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollback or a promote does (private to ops.runbooks); pure.

Refusals come before anything is written: an active rolling release, a deployment that is forbidden or cannot serve
production, another job that the service still works on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import (
    AliasJob,
    Deployment,
    Project,
    RollingRelease,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import (
    Intent,
    Wish,
    outdated_by,
    served,
    unfinished,
)

#: What a reading of the project says about a job of ours.
Verdict = Literal["running", "done", "failed", "skipped", "ended", "unseen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The world. ``target`` is None where production no longer serves ``left``, so that nothing is to be done.

    ``leftovers`` are what a run without its store has kept on this machine.
    """

    project: Project
    left: str
    target: Deployment | None
    rolling: RollingRelease | None = None
    intent: Intent | None = None
    domains: Mapping[str, str | None] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    without_store: str = ""


@dataclass(frozen=True, kw_only=True)
class MovePlan(Plan):
    """``post``: whether Vercel is to be asked; ``assigns``: the wanted setting; ``finishes``: an intent to close."""

    post: bool = False
    assigns: bool | None = None
    finishes: bool = False
    uploads: tuple[str, ...] = field(default=())


def plan_move(wish: Wish, seen: Seen) -> MovePlan:
    """Decide. Raises ``deployment_forbidden``, ``deployment_unusable``, ``rolling_release_active``, ``job_running``."""
    project, target = seen.project, seen.target
    if target is None:
        return _stay(wish, seen, _gone_on(wish, seen))
    if project.production_id == target.id:
        if described(seen.domains, target.id):
            raise domain_differs(project.name, seen.domains, target.id)
        return _stay(wish, seen, f"production serves {target.id} already")
    check_target(wish, target, project)
    check_service(wish, seen, target)
    wanted = wanted_assign(wish, seen)
    verb = "roll production back" if wish.kind == "rollback" else "promote production"
    steps = [f"{verb} from {seen.left or 'nothing'} to {target.name}, without a build"]
    if wanted != (wish.kind == "promote"):
        steps.append(f"set auto-assign of production domains to {_word(wanted)}")
    steps.append("read from every production domain that it serves it")
    result = result_of(wish, seen, target.id, wanted, f"production is to serve {target.id}")
    return MovePlan(
        changed=True,
        result=result,
        steps=(*_prologue(seen), *steps),
        before={"production": project.production_id, "auto_assign": project.assigns},
        after={"production": target.id, "auto_assign": wanted},
        warnings=(*warnings_of(wish, wanted), *no_way_back(wish, project)),
        post=True,
        assigns=wanted,
        finishes=True,
        uploads=seen.leftovers,
    )


def _stay(wish: Wish, seen: Seen, reason: str) -> MovePlan:
    """Production stays; what a killed run left undone is finished all the same. Raises ``job_running``.

    While a job brings production elsewhere it does not stay, whatever it serves at this moment.
    """
    project, intent = seen.project, seen.intent
    if project.job is not None and project.job.running and project.job.to_id != project.production_id:
        raise _job_running(wish, project, project.job, wish.to)
    ours = intent is not None and intent.state == "open" and intent.to_id == project.production_id
    wanted = project.assigns
    if ours or (seen.target is not None and wish.auto_assign != "keep"):
        wanted = wanted_assign(wish, seen)
    steps = []
    if wanted != project.assigns:
        steps.append(f"set auto-assign of production domains to {_word(wanted)}")
    if ours:
        steps.append("write down that the move is done")
    every = (*_prologue(seen), *steps)
    changed = bool(steps or seen.leftovers)
    return MovePlan(
        changed=changed,
        result=result_of(wish, seen, project.production_id, wanted, reason),
        steps=every if changed else (),
        before={"production": project.production_id, "auto_assign": project.assigns},
        after={"production": project.production_id, "auto_assign": wanted},
        assigns=wanted if wanted != project.assigns else None,
        finishes=ours,
        uploads=seen.leftovers,
    )


def _gone_on(wish: Wish, seen: Seen) -> str:
    now = seen.project.production_id or "nothing"
    text = f"production no longer serves {seen.left}, which was to be left, but {now}"
    return text if wish.from_id else f"{text}; to leave that one too, give from_deployment={now}"


def _prologue(seen: Seen) -> tuple[str, ...]:
    upload = f"write {len(seen.leftovers)} records of a run without its store to the store"
    alone = f"go on without the store, and keep the evidence in {seen.without_store}"
    return ((alone,) if seen.without_store else ()) + ((upload,) if seen.leftovers else ())


def wanted_assign(wish: Wish, seen: Seen) -> bool:
    """Whether new production deployments are to take the domains afterwards.

    ``keep`` is as before the work began, which an unfinished run knows, and for the promote that undoes a rollback as
    it was before that.
    """
    if wish.auto_assign != "keep":
        return wish.auto_assign == "true"
    intent, project = seen.intent, seen.project
    unfinished = intent is not None and intent.state == "open" and intent.kind == wish.kind
    if intent is not None and unfinished and (intent.from_id == seen.left or intent.to_id == project.production_id):
        return intent.assigns_before
    if wish.kind == "promote" and project.pinned_by_rollback:
        known = intent is not None and intent.kind == "rollback" and intent.to_id == project.production_id
        return intent.assigns_before if intent is not None and known else True
    return project.assigns


def warnings_of(wish: Wish, wanted: bool) -> tuple[str, ...]:
    """What the reader has to know of the time after it."""
    if wish.kind == "rollback" and not wanted:
        return ("Until a promote, pushes to the production branch are built and do not reach production.",)
    if wish.kind == "rollback":
        return (
            "The next push to the production branch goes live, with the commit that was left unless it is reverted.",
        )
    return ()


def no_way_back(wish: Wish, project: Project) -> tuple[str, ...]:
    """Where what is left holds something that is gone, so that the undo would be refused."""
    left = project.production
    why = outdated_by(wish.outdated, left.created_at) if left is not None else ""
    return (f"What is left cannot serve again: {why}.",) if why else ()


def result_of(wish: Wish, seen: Seen, production: str, assigns: bool, reason: str) -> dict[str, Any]:
    """The object ``move``."""
    target = seen.target
    return {
        "id": f"{wish.kind}-{seen.left or 'none'}",
        "kind": wish.kind,
        "project": seen.project.name,
        "project_id": seen.project.id,
        "asked": wish.to,
        "from_deployment": seen.left or None,
        "to_deployment": target.id if target is not None else None,
        "to_url": target.url or None if target is not None else None,
        "to_git_sha": target.sha or None if target is not None else None,
        "production": production or None,
        "auto_assign": assigns,
        "reason": reason,
        "domains": dict(seen.domains),
    }


def record_of(wish: Wish, seen: Seen, plan: MovePlan) -> dict[str, Any]:
    """The part of a record that tells one move from another; of a run that goes on, as its first run wrote it."""
    intent, job, to = seen.intent, seen.project.job, str(plan.result["to_deployment"])
    if intent is not None and (not plan.post or unfinished(intent, wish.kind, seen.left, to)):
        ends = (intent.kind, intent.from_id, intent.to_id, intent.asked)
        before, noted = intent.assigns_before, intent.noted
    else:
        ends = (wish.kind, seen.left, to, wish.to)
        before, noted = seen.project.assigns, job.requested_at if job is not None and not job.running else 0
    body = dict(zip(("kind", "from_deployment", "to_deployment", "asked"), ends, strict=True))
    return {**body, "noted": noted, "assigns_before": before}


def check_target(wish: Wish, target: Deployment, project: Project) -> None:
    """Raise ``deployment_unusable`` or ``deployment_forbidden`` where it may not serve production."""
    if target.project_id and target.project_id != project.id:
        raise unusable(wish, target, "it belongs to another project", "Name a deployment of this project.")
    if target.id in wish.barred:
        raise RunbookError(
            code="deployment_forbidden",
            attempted=f"{_verb(wish)} {target.name}",
            object=project.name,
            reason=f"this deployment may not serve again: {wish.barred[target.id]}",
            remedy="Name another deployment, or take that back first where it is no longer true.",
        )
    if outdated := outdated_by(wish.outdated, target.created_at):
        raise outdated_build(f"{_verb(wish)} {target.name}", project.name, outdated)
    if target.target != "production":
        raise unusable(wish, target, "it was built for previews, not for production", "Name a production deployment.")
    if target.gone or target.state != "READY":
        state = "deleted" if target.gone else target.state or "unknown"
        raise unusable(wish, target, f"its state is {state}, not READY", "Name a deployment that is ready.")
    if wish.kind == "rollback" and not served(target):
        raise unusable(
            wish,
            target,
            "it has never served production, or Vercel keeps it no longer for that",
            "Name one that vercel_info lists among the candidates; what never served is promoted.",
        )


def check_service(wish: Wish, seen: Seen, target: Deployment) -> None:
    """Raise ``rolling_release_active`` or ``job_running`` where Vercel is at something else."""
    job = seen.project.job
    if seen.rolling is not None:
        raise rolling_active(wish, seen.project, seen.rolling.canary_id)
    if wish.kind == "promote" and seen.project.rolling_configured:
        raise RunbookError(
            code="rolling_release_active",
            attempted=f"{_verb(wish)} {target.name}",
            object=seen.project.name,
            reason="rolling releases are configured, so that a promote would only begin one",
            remedy="Promote it in Vercel, and follow its stages there.",
        )
    if job is not None and job.running and (job.kind, job.to_id) != (wish.kind, target.id):
        raise _job_running(wish, seen.project, job, target.name)


def _job_running(wish: Wish, project: Project, job: AliasJob, to: str) -> RunbookError:
    return RunbookError(
        code="job_running",
        attempted=f"{_verb(wish)} {to}",
        object=project.name,
        reason=f"Vercel still works on a {job.kind} to {job.to_id}",
        remedy="Wait for its end, then run the same command again.",
    )


def rolling_active(wish: Wish, project: Project, canary: str) -> RunbookError:
    """The failure for a release that goes out in stages at this moment."""
    return RunbookError(
        code="rolling_release_active",
        attempted=_verb(wish).removesuffix(" to"),
        object=project.name,
        reason=f"a rolling release of {canary or 'a deployment'} is active",
        remedy="Abort or complete it in Vercel, then run the same command again.",
    )


def queued(wish: Wish, project: Project, target: Deployment) -> RunbookError:
    """The failure for a request that was taken, and waits for the end of a rolling release."""
    return RunbookError(
        code="rolling_release_active",
        attempted=f"{_verb(wish)} {target.name}",
        object=project.name,
        reason="Vercel has queued it behind an active rolling release, and it happens when that one ends",
        remedy="Follow the rolling release in Vercel; after its end run the same command again, which proves the rest.",
    )


def outdated_build(attempted: str, place: str, reason: str) -> RunbookError:
    """The failure for a deployment that was built before something it needs was taken away."""
    return RunbookError(
        code="deployment_outdated",
        attempted=attempted,
        object=place,
        reason=f"what it was built with is gone: {reason}",
        remedy="Name a deployment that was built since, or build its commit again with vercel_deployment (redeploy).",
    )


def unusable(wish: Wish, target: Deployment, reason: str, remedy: str) -> RunbookError:
    """The failure for a deployment that is there and cannot be used."""
    return RunbookError(
        code="deployment_unusable",
        attempted=f"{_verb(wish)} {target.name}",
        object=target.name,
        reason=reason,
        remedy=remedy,
    )


def _verb(wish: Wish) -> str:
    return "roll production back to" if wish.kind == "rollback" else "promote production to"


def _word(value: bool) -> str:
    return "on" if value else "off"


def judge(project: Project, kind: str, to: str, noted: int) -> Verdict:
    """What a reading says about the job that was asked for after ``noted``.

    A job counts only where deployment, kind and time are right: else the success of an earlier one would be taken for
    this one's. Without such a job production itself is the answer. ``ended`` is a success that production does not
    show: not yet, or no longer.
    """
    job = project.job
    serves = project.production_id == to
    if job is None or (job.kind, job.to_id) != (kind, to) or job.requested_at <= noted:
        return "done" if serves else "unseen"
    if job.running:
        return "running"
    if job.status == "failed":
        return "failed"
    if serves:
        return "done"
    if job.status == "succeeded":
        return "ended"
    return "skipped" if job.status == "skipped" else "running"


def arriving(wish: Wish, project: Project, intent: Intent | None) -> Verdict:
    """How far the move is that brings production to what is to be left.

    Until it has come, production serves something else, and to stay there would leave it to serve unseen a moment
    later. A run that asked for it and got no answer has left its intent open; its job may show late.
    """
    job, left = project.job, wish.from_id
    if left and job is not None and job.running and job.to_id == left:
        return "running"
    if left and intent is not None and intent.state == "open" and intent.to_id == left:
        return judge(project, intent.kind, left, intent.noted)
    return "done"


def described(seen: Mapping[str, str | None], wanted: str) -> str:
    """The host names that do not serve what they should, in a clause."""
    wrong = [f"{host} serves {found or 'nothing'}" for host, found in seen.items() if found != wanted]
    return "; ".join(wrong)


def domain_differs(place: str, found: Mapping[str, str | None], wanted: str) -> RunbookError:
    """The failure for a host name that serves something else than production is said to be."""
    return RunbookError(
        code="domain_differs",
        attempted="prove what production serves",
        object=place,
        reason=f"Vercel names {wanted} for production, yet {described(found, wanted)}",
        remedy="Look at the project's domains in Vercel, then run the same command again.",
        details={"domains": dict(found)},
    )
