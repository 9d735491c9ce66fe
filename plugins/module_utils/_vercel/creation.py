# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a request for a deployment to a deployment (private to ops.runbooks): asked for once, and followed to its end.

Where an answer is lost, Vercel's list is read before anything is asked again: what is there under our identity is ours,
whoever has asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply, Unanswered
from ansible_collections.ops.runbooks.plugins.module_utils._core.parallel import Crew, together
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.client import Vercel
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.deployment_plan import (
    Source,
    Wish,
    body_of,
    chosen,
    done,
)
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import FAILED, Deployment, Project
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.output import File

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds between two looks at a build: the first pause, and the longest.
_POLL, _SLOWEST = 0.5, 5.0
#: Seconds in which a deployment whose answer was lost shows in the list, and how often one is asked for at most.
_SHOWS, _ASKED = 10.0, 3
#: How often files are handed over: what Vercel has had may go again before it is used.
_ROUNDS = 3
#: Files that are handed over at once.
_WORKERS = 6
#: Deployments that are looked through for one of ours.
_FAR = 1000
#: Lines of the end of a build's log that a failure shows.
LOG_LINES = 30


def find(vercel: Vercel, project: Project, wish: Wish, source: Source) -> Deployment | None:
    """What an earlier run has asked for. The list is filtered by Vercel where it can be, and by us in any case."""
    filters = {"meta-runbooks_identity": wish.identity}
    if wish.target in ("production", "preview"):
        filters["target"] = wish.target
    return chosen(islice(vercel.deployments(project, **filters), _FAR), wish, source)


class Creation:
    """One deployment in the making."""

    def __init__(self, vercel: Vercel, project: Project, wish: Wish, source: Source, context: Context) -> None:
        self._vercel = vercel
        self._project = project
        self._wish = wish
        self._source = source
        self._context = context
        self._attempted = f"deploy {source.name} for {wish.target}"

    def begin(self) -> Deployment:
        """Ask for it until it is there. Raises :class:`Unanswered` where nobody can tell, and what Vercel refuses."""
        lost: Unanswered | None = None
        for _attempt in range(_ASKED):
            try:
                made = self._ask()
            except Unanswered as error:
                lost, made = error, None
            made = made or self._seek()
            if made is not None:
                return self._first(made)
        raise lost or self._vanished("it is nowhere in the list")

    def follow(self, deployment: Deployment) -> Deployment:
        """The deployment once it is ready. Raises ``build_failed``, ``build_running``."""
        pause = _POLL
        while True:
            found = self._vercel.deployment(deployment.id)
            if found is None:
                raise self._vanished(f"{deployment.name} was deleted while it was being built")
            if found.state in FAILED:
                raise self._failed(found)
            if done(found, self._wish, self._project):
                return found
            if found.state == "READY" and found.alias_error:
                raise self._unaliased(found)
            if self._vercel.api.left() <= 0:
                raise self._late(found)
            self._context.progress(deployment=found.id, state=found.state)
            self._vercel.api.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST)

    def _ask(self) -> Deployment | None:
        """Hand over what is lacking, and ask; None where the answer does not name what was made."""
        body = body_of(self._wish, self._source, self._project)
        for _round in range(_ROUNDS):
            self._context.effect("ask Vercel for the deployment")
            reply = self._vercel.create_deployment(body, prebuilt=self._source.output is not None)
            lacks = _missing(reply)
            if reply.good:
                made = Deployment.read(reply.fields)
                return made if made.id else None
            if not lacks:
                raise self._vercel.refusal(reply, self._attempted)
            self._hand_over(lacks)
        raise self._vercel.refusal(reply, self._attempted)

    def _hand_over(self, lacks: Sequence[str]) -> None:
        """Upload each content once, several at a time, each worker over a connection of its own."""
        output = self._source.output
        known = {each.sha: each for each in output.files} if output is not None else {}
        files = [known[sha] for sha in lacks if sha in known]
        if not files:
            raise RunbookError(
                code="service_failed",
                attempted=self._attempted,
                object=self._vercel.place,
                reason="Vercel asks for files that are not part of it",
                remedy="Build it again, then run the same command again.",
            )
        crew = Crew()
        jobs = [self._worker(files[number::_WORKERS], crew) for number in range(min(_WORKERS, len(files)))]
        try:
            together(jobs, _WORKERS, crew)
        except Unanswered as error:
            # Lost on the way of a file; no deployment was asked for yet.
            raise RunbookError(
                code=error.code,
                attempted=error.attempted,
                object=error.object,
                reason=error.reason,
                remedy="Run the same command again: it hands over what is still lacking.",
            ) from error

    def _worker(self, files: Sequence[File], crew: Crew) -> Callable[[], None]:
        def work() -> None:
            with closing(self._vercel.api.twin()) as api:
                for file in files:
                    if crew.dismissed:
                        return
                    self._context.effect(f"upload {file.name}")
                    self._vercel.upload(api, file.sha, file.size, file.content, file.name)

        return work

    def _seek(self) -> Deployment | None:
        """What was asked for, though its answer was lost; it may show late."""
        end, pause = self._context.clock.monotonic() + _SHOWS, _POLL
        while True:
            found = find(self._vercel, self._project, self._wish, self._source)
            if found is not None or self._context.clock.monotonic() >= end or self._vercel.api.left() <= 0:
                return found
            self._vercel.api.sleep(pause)
            pause = min(pause * 2, _SLOWEST)

    def _first(self, made: Deployment) -> Deployment:
        """Of two that were asked for at once, the first; the second is not built."""
        first = find(self._vercel, self._project, self._wish, self._source)
        if first is None or first.id == made.id:
            return made
        self._context.warn(f"{first.name} was asked for at the same time under the same identity, and is used.")
        self._context.effect(f"cancel {made.name}")
        try:
            cancelled = self._vercel.cancel(made.id).good
        except Unanswered:
            cancelled = False
        if not cancelled:
            self._context.warn(f"{made.name} may have been built beside it; it takes no part in this.")
        return first

    def _failed(self, found: Deployment) -> RunbookError:
        lines = self._log(found)
        if found.state == "BLOCKED":
            reason = (
                f"{found.name} is blocked: {found.error or 'a seat or a verification is missing'}; waiting is of no use"
            )
            remedy = (
                "Give the author of the commit a seat, or verify the account, in Vercel; then run the command again."
            )
        elif found.state == "CANCELED":
            reason, remedy = f"the build of {found.name} was cancelled", "Run the same command again to build it anew."
        else:
            said = found.error or "Vercel does not say why"
            reason = f"the build of {found.name} has failed: {said}"
            reason += f" (the log ends with: {lines[-1].strip()[:200]})" if lines else ""
            remedy = "Read failure.log and mend the source; the same command again builds it anew."
        return self._failure("build_failed", reason, remedy, lines, found)

    def _unaliased(self, found: Deployment) -> RunbookError:
        reason = f"{found.name} is built, but the production domains do not lead to it: {found.alias_error}"
        return self._failure("build_failed", reason, "Look at the domains of the project, then promote it.", [], found)

    def _late(self, found: Deployment) -> RunbookError:
        reason = f"{found.name} is still {found.state or 'being built'} after the timeout"
        remedy = "Run the same command again: it waits for this one and asks for no second one."
        return self._failure("build_running", reason, remedy, [], found)

    def _failure(self, code: str, reason: str, remedy: str, lines: Sequence[str], found: Deployment) -> RunbookError:
        details = {"deployment_id": found.id, "inspector_url": found.inspector_url or None, "log": list(lines)}
        return RunbookError(
            code=code,
            attempted=self._attempted,
            object=self._vercel.place,
            reason=reason,
            remedy=remedy,
            details=details,
        )

    def _log(self, found: Deployment) -> list[str]:
        """The end of the log; a failure without it is better than none.

        Redacted before its lines are cut: half a secret is not recognised.
        """
        try:
            return [self._context.redactor.text(line)[:500] for line in self._vercel.build_log(found.id, LOG_LINES)]
        except RunbookError as error:
            self._context.warn(f"The log of the build could not be read: {error.reason}.")
            return []

    def _vanished(self, reason: str) -> RunbookError:
        return RunbookError(
            code="deployment_missing",
            attempted=self._attempted,
            object=self._vercel.place,
            reason=reason,
            remedy="Run the same command again.",
        )


def _missing(reply: Reply) -> list[str]:
    """The SHA-1 of files that Vercel wants to be given first."""
    error = reply.fields.get("error")
    if reply.status != 400 or not isinstance(error, dict) or error.get("code") != "missing_files":
        return []
    listed = error.get("missing")
    return [str(each) for each in listed] if isinstance(listed, list) else []
