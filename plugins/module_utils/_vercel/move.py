# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules vercel_rollback and vercel_promote (private to ops.runbooks): which deployment serves production.

One request to Vercel, and everything around it that makes it one: the intent that is on record before it, the reading
that tells a job of ours from an earlier one, the reading after an answer that was lost, and the proof by what each
production domain serves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply, Unanswered
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store, open_store
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import Vercel
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.failures import message_of
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.move_plan import (
    MovePlan,
    Seen,
    arriving,
    described,
    domain_differs,
    judge,
    plan_move,
    queued,
    record_of,
    result_of,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.moves import (
    UNUSABLE,
    Moves,
    leftovers,
    local_directory,
    local_store,
    upload,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.resolve import departure, elsewhere, resolve
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import (
    Intent,
    Kind,
    Outdated,
    Release,
    Wish,
    leaving,
    unfinished,
)

#: Seconds between two looks at a job: the first pause, and the longest. Jobs take seconds, and who waits for one is
#: waiting for what users meet: for so many seconds no pause is longer than the first one.
_POLL, _SLOWEST, _EAGER = 0.2, 5.0, 5.0
#: Seconds in which Vercel has to answer the first questions: nobody waits minutes to learn that it is out of reach.
_LOOK = 30.0
#: Seconds in which a job that was asked for shows, and how often it is asked for at most.
_SHOWS, _ASKED = 10.0, 3
#: What a move that is still on its way to a deployment is said to be.
_COMING = ("running", "unseen", "ended")


class Move(Operation[Seen, MovePlan]):
    """Bring production to another deployment, without a build."""

    noun: ClassVar[str] = "move"
    kind: ClassVar[Kind]

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._directory = local_directory(params["break_glass_dir"])
        self._patience = parse_duration(params["timeout"], "timeout").total_seconds()
        self._vercel = Vercel(params, context, os.environ, patience=min(self._patience, _LOOK))
        self._wish = Wish(
            kind=self.kind,
            to=params["to"].strip(),
            from_id=(params["from_deployment"] or "").strip(),
            reason=" ".join((params.get("reason") or "").split()),
            auto_assign=params["auto_assign"],
            forbidden=_forbidden(params.get("forbidden") or ()),
            outdated=tuple(Outdated.read(each) for each in params.get("outdated") or ()),
            releases=tuple(Release.read(each) for each in params.get("releases") or ()),
        )
        self._without = ""
        #: Whether it is certain that nothing comes of what was asked.
        self._refused = False
        #: When every production domain was seen to serve the target, by the monotonic clock; 0 before.
        self.proven = 0.0

    @cached_property
    def state_store(self) -> Store:
        """The store; where it cannot be used and the run was told to go on, a directory of this machine."""
        given = self.params["state_store"] or self.params["store"]
        store = open_store(self.params, given, self.context)
        try:
            Moves(store, self.params["environment"], self.params["name"], self.context).newest()
        except RunbookError as error:
            if error.code not in UNUSABLE:
                raise
            if not self.params["break_glass"]:
                error.remedy = f"{error.remedy} To go on without the store, give break_glass a reason."
                raise
            self._without = error.reason
            self.context.warn(f"The store was not used (break-glass: {self.params['break_glass']}): {error.reason}.")
            return local_store(self._directory, self.context)
        return store

    def observe(self) -> Seen:
        """The project, what is on record, and the deployment that is meant."""
        self._vercel.api.wait_until(min(self._patience, _LOOK))
        project = self._vercel.project()
        moves = self._moves()
        intent = moves.newest() if moves is not None else None
        self._wish = replace(self._wish, from_id=departure(self._vercel, self._wish, project))
        project = self._arrival(project, intent)
        left = leaving(self._wish, project, intent)
        on_record = moves.newest_first() if moves is not None else ()
        target: Deployment | None = None
        if left == project.production_id:
            target = resolve(self._vercel, self._wish, project, left, intent, on_record)
        elif self._wish.from_id:
            target = elsewhere(self._vercel, self._wish, project, intent, on_record)
        there = moves is not None and not self._without
        return Seen(
            project=project,
            left=left,
            target=target,
            rolling=self._vercel.rolling_release(project),
            intent=intent,
            domains=self._domains(project, target),
            leftovers=leftovers(self._directory, *self._app, self.context) if there else (),
            without_store=str(self._directory) if self._without else "",
        )

    def _arrival(self, project: Project, intent: Intent | None) -> Project:
        """The project once nothing is on its way to what is to be left; see :func:`arriving`.

        What does not show in time never comes; what does not end in time is refused by the plan.
        """
        clock, pause = self.context.clock, _POLL
        verdict = arriving(self._wish, project, intent)
        if verdict not in _COMING:
            return project
        self._vercel.api.wait_until(self._patience + _LOOK)
        end, last = clock.monotonic() + _SHOWS, clock.monotonic() + self._patience
        while verdict in _COMING and clock.monotonic() < last:
            if verdict == "running":
                end = clock.monotonic() + _SHOWS
            elif clock.monotonic() >= end:
                break
            self.context.progress(job=verdict)
            self._vercel.api.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST)
            project = self._vercel.project()
            verdict = arriving(self._wish, project, intent)
        self._vercel.api.wait_until(min(self._patience, _LOOK))
        return project

    def plan(self, state: Seen) -> MovePlan:
        """See :func:`plan_move`."""
        return plan_move(self._wish, state)

    def resources(self, plan: MovePlan) -> tuple[str, ...]:
        """The app, and nothing else: no data is touched."""
        return (f"app/{self.params['name']}",) if self.params["store"] else ()

    def identity(self, plan: MovePlan) -> str:
        """What is left is what makes two moves different."""
        return str(plan.result["id"])

    def act(self, state: Seen, plan: MovePlan) -> Mapping[str, Any]:
        """Write the intent, ask, wait, settle auto-assign, prove; then write what became of it."""
        if plan.uploads:
            upload(self._directory, self.state_store, *self._app, self.context)
        self._vercel.api.wait_until(self._patience)
        target = state.target
        project, domains = state.project, dict(state.domains)
        if plan.post and target is not None:
            self._note(state, plan, "open")
            try:
                project = self._move(state, target)
            except RunbookError:
                if self._refused:
                    self._note(state, plan, "failed")
                raise
        if plan.assigns is not None:
            project = self._settle(project, plan.assigns)
        if plan.finishes:
            domains = self._prove(project)
            self.proven = self.context.clock.monotonic()
            self._note(state, plan, "done")
        result = result_of(self._wish, state, project.production_id, project.assigns, plan.result["reason"])
        return {**result, "reason": f"production serves {project.production_id}", "domains": domains}

    def explain(self, reason: str) -> None:
        """Say why, where that is known only after the first look."""
        self._wish = replace(self._wish, reason=" ".join(reason.split()))

    def close(self) -> None:
        """Let go of connections."""
        self._vercel.close()

    def _domains(self, project: Project, target: Deployment | None) -> dict[str, str | None]:
        """What the production domains serve, where production is not to be moved: then that is the proof."""
        if target is not None and target.id != project.production_id:
            return {}
        return {host: self._vercel.serves(host) for host in self._vercel.production_domains(project)}

    @property
    def _app(self) -> tuple[str, str]:
        return self.params["environment"], self.params["name"]

    def _moves(self) -> Moves | None:
        return Moves(self.state_store, *self._app, self.context) if self.params["store"] else None

    def _note(self, state: Seen, plan: MovePlan, phase: str) -> None:
        """Write down what is about to be asked, or what became of it."""
        moves = self._moves()
        if moves is None:
            return
        told = {
            "reason": self._wish.reason,
            "break_glass": self.params["break_glass"] or "",
            "run_id": self.context.run_id,
        }
        record = {**record_of(self._wish, state, plan), **told, "state": phase}
        moves.write(self.context.redactor.value(record), f"write down the {self.kind}")

    def _move(self, state: Seen, target: Deployment) -> Project:
        """Until production serves the target. Asks only where no job of ours is there."""
        project, noted = self._resume(state, target)
        if project is not None:
            return project
        for _attempt in range(_ASKED):
            self.context.effect(f"ask Vercel for the {self.kind}")
            lost: Unanswered | None = None
            try:
                self._taken(self._ask(state.project, target), target)
            except Unanswered as error:
                lost = error
            shows = _SHOWS if lost is not None else self._vercel.api.left()
            if project := self._follow(target, noted, shows=shows):
                return project
        raise self._late(target) if lost is None else lost

    def _resume(self, state: Seen, target: Deployment) -> tuple[Project | None, int]:
        """The end of a job that is ours already, and the time that a new job has to be newer than."""
        intent, job = state.intent, state.project.job
        noted, since = job.requested_at if job is not None else 0, 0
        if intent is not None and unfinished(intent, self.kind, state.left, target.id):
            # A killed run may have asked a moment ago, and its job may show late.
            since = min(noted, intent.noted)
        elif job is None or not job.running:
            return None, noted
        if judge(state.project, self.kind, target.id, since) in ("failed", "skipped"):
            return None, noted
        return self._follow(target, since, shows=_SHOWS, ours=False), noted

    def _ask(self, project: Project, target: Deployment) -> Reply:
        if self.kind == "promote":
            return self._vercel.promote(project, target.id)
        return self._vercel.rollback(project, target.id, self._wish.reason)

    def _taken(self, reply: Reply, target: Deployment) -> None:
        """Go on where the request was taken, or where production serves the target by now."""
        attempted = f"{'roll production back' if self.kind == 'rollback' else 'promote production'} to {target.name}"
        if reply.status == 202:
            raise queued(self._wish, self._vercel.project(), target)
        if reply.good:
            return
        if reply.status in (409, 422) and self._vercel.project().production_id == target.id:
            self.came_late = True
            return
        self._refused = True
        failure = self._vercel.refusal(reply, attempted)
        if reply.status == 402 and self.kind == "rollback":
            said = message_of(reply, self.context.redactor) or "no text"
            failure.reason = f"its plan does not allow this rollback (it answered 402: {said})"
            failure.remedy = (
                "On the hobby plan only the deployment directly before can be rolled back to: use to=previous."
            )
        raise failure

    def _follow(self, target: Deployment, noted: int, *, shows: float, ours: bool = True) -> Project | None:
        """The project once it serves the target; None where no job of ours showed within ``shows`` seconds.

        Where this run has not asked yet, a success that production does not show within them is none: it may be of
        another day, and production may have gone on since.
        """
        clock, pause = self.context.clock, _POLL
        eager = clock.monotonic() + _EAGER
        end = clock.monotonic() + shows
        while True:
            project = self._vercel.project()
            verdict = judge(project, self.kind, target.id, noted)
            if verdict == "done":
                return project
            if verdict in ("failed", "skipped"):
                self._refused = True
                raise self._ended(project, target, verdict)
            if verdict == "running":
                end = max(end, clock.monotonic() + shows)
            elif (verdict == "unseen" or not ours) and clock.monotonic() >= end:
                return None
            if self._vercel.api.left() <= 0:
                raise self._late(target)
            self.context.progress(job=verdict)
            self._vercel.api.sleep(pause)
            pause = pause if clock.monotonic() < eager else min(pause * 1.5, _SLOWEST)

    def _settle(self, project: Project, wanted: bool) -> Project:
        """Set auto-assign and read it back. Raises ``auto_assign_differs``: production has been moved by then."""
        if project.assigns != wanted:
            self.context.effect("set auto-assign of production domains")
            try:
                self._vercel.set_auto_assign(project, wanted)
            except Unanswered:
                # Setting it again would be the same; reading tells whether it is needed.
                self._vercel.api.sleep(_POLL)
                if self._vercel.project().assigns != wanted:
                    self.context.effect("set auto-assign of production domains again")
                    self._vercel.set_auto_assign(project, wanted)
            except RunbookError as error:
                raise self._unsettled(project, error.reason, error.remedy) from error
        settled: Project = self._until(
            self._vercel.project,
            lambda found: found.assigns == wanted,
            lambda found: self._unsettled(
                found,
                f"Vercel still says {'on' if found.assigns else 'off'}",
                "Set it in the project's settings, or run the same command again.",
            ),
        )
        return settled

    def _unsettled(self, project: Project, reason: str, remedy: str) -> RunbookError:
        return RunbookError(
            code="auto_assign_differs",
            attempted="set auto-assign of production domains",
            object=self._vercel.place,
            reason=f"production serves {project.production_id or 'nothing'} already, but {reason}",
            remedy=remedy,
        )

    def _prove(self, project: Project) -> dict[str, str | None]:
        """What every production domain serves, asked one by one, until it is what production is."""
        hosts = self._vercel.production_domains(project)
        if not hosts:
            self.context.warn("The project has no production domain of its own to prove it with.")
        proven: dict[str, str | None] = self._until(
            lambda: {host: self._vercel.serves(host) for host in hosts},
            lambda found: not described(found, project.production_id),
            lambda found: domain_differs(self._vercel.place, found, project.production_id),
        )
        return proven

    def _until(self, read: Callable[[], Any], good: Callable[[Any], bool], bad: Callable[[Any], RunbookError]) -> Any:
        """What is read once it is good; the failure where it does not become so in time."""
        end, pause = self.context.clock.monotonic() + 30, _POLL
        while not good(found := read()):
            if self.context.clock.monotonic() >= end or self._vercel.api.left() <= 0:
                raise bad(found)
            self._vercel.api.sleep(pause)
            pause = min(pause * 2, _SLOWEST)
        return found

    def _ended(self, project: Project, target: Deployment, verdict: str) -> RunbookError:
        hosts = ", ".join(self._vercel.failed_aliases(project))
        return RunbookError(
            code="job_failed",
            attempted=f"{self.kind} {target.name}",
            object=self._vercel.place,
            reason=f"Vercel's job ended as {verdict}{f' at {hosts}' if hosts else ''}; production serves "
            f"{project.production_id or 'nothing'}",
            remedy="Look at the domains of the project, then run the same command again.",
        )

    def _late(self, target: Deployment) -> RunbookError:
        return RunbookError(
            code="job_running",
            attempted=f"see the {self.kind} to {target.name} through",
            object=self._vercel.place,
            reason="Vercel had not finished it within timeout, and still works on it",
            remedy="Run the same command again: it waits for this job and asks for no second one.",
        )


def _forbidden(given: Any) -> dict[str, str]:
    """Deployment to reason."""
    return {str(each["deployment_id"]): str(each["reason"]) for each in given}
