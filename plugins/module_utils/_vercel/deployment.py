# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module vercel_deployment (private to ops.runbooks): a deployment is made once, cancelled, or taken away."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply, Unanswered
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import Vercel
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.creation import Creation, find
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.deployment_plan import (
    DeploymentPlan,
    Seen,
    Source,
    Wish,
    check_made,
    check_target,
    described,
    differs,
    git_source,
    plan_of,
    prebuilt_source,
    redeploy_source,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import FAILED, Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.options import DEPLOYMENT_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.output import Output, read_output
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.resolve import named_deployment

#: Seconds in which Vercel has to answer the first questions.
_LOOK = 60.0
#: Seconds for which a build is followed though Vercel cannot be reached.
_OUTAGE = 180.0
#: Seconds between two looks at what was cancelled or deleted, in how many it shows, and how often it is asked for.
_PAUSE, _SHOWS, _ASKED = 0.5, 20.0, 3


class VercelDeployment(Operation[Seen, DeploymentPlan]):
    """One deployment of one project."""

    noun: ClassVar[str] = "deployment"
    spec: ClassVar[ArgumentSpec] = DEPLOYMENT_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._patience = parse_duration(params["timeout"], "timeout").total_seconds()
        self._vercel = Vercel(params, context, os.environ, patience=min(self._patience, _LOOK), persistence=_OUTAGE)
        self._wish = Wish(
            state=params["state"],
            target=params["target"].strip(),
            identity=check_id(params["identity"], "identity") if params["identity"] else "",
            meta=_texts(params["meta"]),
            assigns=params["assign_domains"],
            named=(params["deployment"] or "").strip(),
        )
        self._known: Deployment | None = None

    def observe(self) -> Seen:
        """The project, and what is wanted where it is there already."""
        self._vercel.api.wait_until(min(self._patience, _LOOK))
        project = self._vercel.project()
        if self._wish.state == "present":
            return self._observe_present(project)
        found = named_deployment(self._vercel, self._wish.named, project)
        if found is None or self._wish.state == "canceled":
            return Seen(project=project, found=found)
        domains = self._vercel.production_domains(project)
        hosts = tuple(host for host in domains if self._vercel.serves(host) == found.id)
        return Seen(project=project, found=found, rolling=self._vercel.rolling_release(project), domains=hosts)

    def plan(self, state: Seen) -> DeploymentPlan:
        """See :func:`plan_of`."""
        return plan_of(self._wish, state)

    def resources(self, plan: DeploymentPlan) -> tuple[str, ...]:
        """The app where visitors may notice; a build that takes no traffic must not keep a rollback waiting."""
        if not self.params["store"] or self._wish.state == "canceled":
            # Whoever builds it holds the lock of it.
            return ()
        quiet = self._wish.state == "present" and not self._wish.assigns
        name = self.params["name"]
        return (f"deployment/{name}.{self._wish.target}" if quiet else f"app/{name}",)

    def identity(self, plan: DeploymentPlan) -> str:
        """What is made, or what is ended."""
        return f"deploy-{self._wish.identity}" if self._wish.state == "present" else f"end-{plan.result['id']}"

    def act(self, state: Seen, plan: DeploymentPlan) -> Mapping[str, Any]:
        """Make it, or end it; then say what there is."""
        self._vercel.api.wait_until(self._patience)
        if self._wish.state == "present":
            return self._make(state, plan)
        found, wanted = state.found, "CANCELED" if self._wish.state == "canceled" else "DELETED"
        if found is None:
            raise ValueError("what is to be ended is there")
        ask = self._vercel.cancel if wanted == "CANCELED" else self._vercel.delete
        ended = self._end(found, wanted, ask)
        shown = ended or replace(found, state=wanted, substate="")
        return described(shown, self._wish, state.project, plan.result["reason"], state=wanted)

    def context_of_failure(self) -> Mapping[str, Any]:
        """What is known of the deployment."""
        return {"id": self._known.id, "url": self._known.url, "state": self._known.state} if self._known else {}

    def close(self) -> None:
        """Let go of connections."""
        self._vercel.close()

    @cached_property
    def _output(self) -> Output:
        """What was built here; read once, however often the world is looked at."""
        return read_output(self.params["prebuilt"], self._wish.target)

    def _observe_present(self, project: Project) -> Seen:
        check_target(self._wish, project)
        if self._wish.assigns and self._wish.target == "production" and project.rolling_configured:
            raise RunbookError(
                code="rolling_release_active",
                attempted="deploy with assign_domains",
                object=self._vercel.place,
                reason="the project has rolling releases configured, so that this would begin one",
                remedy="Leave assign_domains out, and let Vercel's own pages lead the rolling release.",
            )
        source = self._source(project)
        self._wish = replace(self._wish, source=source, identity=self._wish.identity or source.identity)
        return Seen(project=project, found=find(self._vercel, project, self._wish, source))

    def _source(self, project: Project) -> Source:
        if self.params["git"]:
            return git_source(project, self.params["git"]["sha"].strip().lower(), self.params["git"]["ref"] or "")
        if self.params["prebuilt"]:
            return prebuilt_source(self._output, self.params["prebuilt"])
        before = named_deployment(self._vercel, self.params["redeploy"].strip(), project)
        if before is None or before.gone:
            raise RunbookError(
                code="deployment_missing",
                attempted="build a deployment again",
                object=f"{self.params['redeploy']} in {self._vercel.place}",
                reason="Vercel does not know it, or this token may not see it",
                remedy="Name a deployment that vercel_info lists, by its id (dpl_...) or its own address.",
            )
        return redeploy_source(before)

    def _make(self, state: Seen, plan: DeploymentPlan) -> Mapping[str, Any]:
        source = self._wish.source
        if source is None:
            raise ValueError("a deployment has a source")
        creation = Creation(self._vercel, state.project, self._wish, source, self.context)
        begun = creation.begin() if plan.creates or state.found is None else state.found
        self._known = begun
        self._known = ready = creation.follow(begun)
        check_made(ready, self._wish, source, self._vercel.place)
        project = self._vercel.project()
        if not self._wish.assigns and project.production_id == ready.id != state.project.production_id:
            wrong = "it serves production already, and was to take no traffic"
            raise differs(ready, self._wish, source, self._vercel.place, wrong)
        if self._wish.assigns and self._wish.target == "production" and project.production_id != ready.id:
            self.context.warn(f"{ready.name} does not serve production: auto-assign of the project is off.")
        return described(ready, self._wish, project, "it is ready")

    def _end(self, found: Deployment, wanted: str, ask: Callable[[str], Reply]) -> Deployment | None:
        """Ask for its end until it has come. Asking twice is asking once, so that a lost answer is no trouble."""
        verb = "cancel" if wanted == "CANCELED" else "delete"
        for _attempt in range(_ASKED):
            self.context.effect(f"{verb} {found.name}")
            refused: RunbookError | None = None
            try:
                reply = ask(found.id)
                if not reply.good and reply.status != 404:
                    refused = self._vercel.refusal(reply, f"{verb} {found.name}")
            except Unanswered as error:
                refused = error
            now = self._ended(found, wanted, wait=refused is None)
            if _is(now, wanted):
                return now
            if refused is not None and not isinstance(refused, Unanswered):
                too_late = verb == "cancel" and now is not None and now.state == "READY"
                raise self._too_late(found, now) if too_late else refused
        raise refused or self._too_late(found, now)

    def _ended(self, found: Deployment, wanted: str, *, wait: bool) -> Deployment | None:
        """What has become of it, once that has happened or should have."""
        end = self.context.clock.monotonic() + (_SHOWS if wait else 0)
        while True:
            now = self._vercel.deployment(found.id)
            if _is(now, wanted) or self.context.clock.monotonic() >= end or self._vercel.api.left() <= 0:
                return now
            self._vercel.api.sleep(_PAUSE)

    def _too_late(self, found: Deployment, now: Deployment | None) -> RunbookError:
        return RunbookError(
            code="deployment_unusable",
            attempted=f"{'cancel' if self._wish.state == 'canceled' else 'delete'} {found.name}",
            object=self._vercel.place,
            reason=f"it is {now.state if now is not None else 'gone'} all the same",
            remedy="Run the same command again; what is READY can only be deleted (state=absent).",
        )


def _is(now: Deployment | None, wanted: str) -> bool:
    """Whether a deployment has come to the end that it was to come to."""
    return now is None or now.gone or (wanted == "CANCELED" and now.state in FAILED)


def _texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    """What Vercel keeps beside a deployment: texts only, and none of the marks that are ours."""
    wrong = [key for key, value in (given or {}).items() if isinstance(value, (dict, list))]
    wrong += [str(key) for key in given or {} if str(key).startswith("runbooks_")]
    if wrong:
        raise RunbookError(
            code="invalid_parameter",
            attempted="use meta",
            object=wrong[0],
            reason="meta takes texts, under names that do not begin with runbooks_",
            remedy="Rename it, or make it a text.",
        )
    return {str(key): str(value) for key, value in (given or {}).items() if value is not None}
