# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which deployment a rollback or a promote means (private to ops.runbooks); pure.

A name for a deployment that depends on what serves now ("previous") would mean another one after the work was done. So
every wish has a deployment that it leaves: the one given, else the one that an unfinished or finished move has left
already, else the one that serves production now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Deployment, Project

Kind = Literal["promote", "rollback"]
#: Words that mean another deployment whenever another one serves.
PREVIOUS, LAST_GOOD = "previous", "last_known_good"
RELATIVE = (PREVIOUS, LAST_GOOD)
_SHA = re.compile(r"[0-9a-f]{7,40}")
_ID = re.compile(r"dpl_[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release on record: which deployment it is, whether a gate passed, and why it is not to be used again."""

    name: str
    deployment: str
    passed: bool
    bad: str = ""
    baseline: bool = False

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Release:
        """From an item of the option ``releases``, as M(ops.runbooks.release_info) returns it."""
        return cls(
            name=str(given.get("release") or ""),
            deployment=str(given.get("deployment_id") or ""),
            passed=given.get("gate") == "pass",
            bad=str(given.get("bad") or ""),
            baseline=given.get("baseline") is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outdated:
    """Builds from a span of time (milliseconds) that may not serve again, and why."""

    before: int
    after: int
    reason: str

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Outdated:
        """From an item of the option ``outdated``. Raises ``invalid_parameter``."""
        before, after = given["built_before"], given.get("built_after")
        return cls(
            before=_milliseconds(before), after=_milliseconds(after) if after else 0, reason=str(given["reason"])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a run had set out to do, written down before it asked Vercel. ``state`` is open, done or failed.

    ``noted`` is when the last job before it was requested; a job that is newer can be its own.
    """

    kind: str
    from_id: str
    to_id: str
    asked: str
    noted: int
    assigns_before: bool
    state: str
    number: int = 0
    reason: str = ""

    @classmethod
    def read(cls, body: Mapping[str, Any], number: int) -> Intent:
        """From its document."""
        return cls(
            kind=str(body.get("kind", "")),
            from_id=str(body.get("from_deployment", "")),
            to_id=str(body.get("to_deployment", "")),
            asked=str(body.get("asked", "")),
            noted=int(body.get("noted", 0)),
            assigns_before=body.get("assigns_before") is not False,
            state=str(body.get("state", "")),
            number=number,
            reason=str(body.get("reason") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted. ``to`` and ``from_id`` as given, '' where not."""

    kind: Kind
    to: str
    from_id: str = ""
    reason: str = ""
    auto_assign: str = "keep"
    forbidden: Mapping[str, str] = field(default_factory=dict)
    outdated: tuple[Outdated, ...] = ()
    releases: tuple[Release, ...] = ()

    @property
    def barred(self) -> dict[str, str]:
        """Deployments that may not serve again, and why: what is forbidden, and what is on record as bad."""
        return {**{each.deployment: each.bad for each in self.releases if each.bad}, **self.forbidden}


def outdated_by(outdated: Iterable[Outdated], built: int) -> str:
    """Why what was built then may not serve again; '' where it may."""
    return next((each.reason for each in outdated if each.after < built < each.before), "")


def leaving(wish: Wish, project: Project, intent: Intent | None) -> str:
    """The deployment that is to be left; see above."""
    if wish.from_id or wish.to not in RELATIVE:
        return wish.from_id or project.production_id
    now, job = project.production_id, project.job
    if job is not None and job.kind != "rollback" and job.to_id == now:
        # Somebody promoted it since: whatever was rolled back before is over.
        return now
    if intent is not None and intent.kind == wish.kind and intent.to_id == now and intent.state != "failed":
        return intent.from_id
    if job is not None and job.to_id == now and job.status == "succeeded" and job.from_id:
        return job.from_id
    return now


def left_behind(from_id: str, kind: str, project: Project, moves: Iterable[Intent]) -> bool:
    """Whether it was left for what serves now: the last job says so, or ``moves`` (newest first), one after another.

    A chain that another move interrupts proves nothing: what was left months ago is not what this run is about.
    """
    now, job = project.production_id, project.job
    if job is not None and (job.kind, job.from_id, job.to_id) == (kind, from_id, now) and job.status == "succeeded":
        return True
    at, last = now, ("", "")
    for each in moves:
        if each.state == "failed" or (each.from_id, each.to_id) == last:
            continue
        if each.kind != kind or each.to_id != at:
            return False
        at, last = each.from_id, (each.from_id, each.to_id)
        if at == from_id:
            return True
    return False


def rolled_away(moves: Iterable[Intent]) -> dict[str, Intent]:
    """Deployments that a rollback has left and no later move has touched, each with that rollback.

    ``moves`` are newest first. One that failed has moved nothing, nor has the intent that was written down before it.
    """
    away: dict[str, Intent] = {}
    touched: set[str] = set()
    failed = ("", "", "")
    for each in moves:
        ends = (each.kind, each.from_id, each.to_id)
        if each.state == "failed" or (each.state == "open" and ends == failed):
            failed = ends if each.state == "failed" else ("", "", "")
            continue
        if each.kind == "rollback" and each.from_id and each.from_id not in touched:
            away.setdefault(each.from_id, each)
        touched |= {each.from_id, each.to_id}
    return away


def unfinished(intent: Intent | None, kind: str, left: str, to: str) -> bool:
    """Whether a run that did not end had set out to do exactly this."""
    return intent is not None and (intent.state, intent.kind, intent.from_id, intent.to_id) == ("open", kind, left, to)


def resumed(wish: Wish, left: str, intent: Intent | None) -> str:
    """The target that an unfinished run of the same wish had chosen; '' where there is none."""
    if intent is None or intent.state != "open":
        return ""
    same = (intent.kind, intent.from_id, intent.asked) == (wish.kind, left, wish.to)
    return intent.to_id if same else ""


def reference_of(to: str) -> str:
    """What asks Vercel for one deployment, an id or a host name; '' where the word is none of both."""
    host = re.sub(r"^https?://", "", to).split("/")[0]
    return host if _ID.fullmatch(to) or "." in host else ""


def is_sha(to: str) -> bool:
    """Whether it can be the id of a commit."""
    return bool(_SHA.fullmatch(to))


def find_release(to: str, releases: Sequence[Release]) -> str:
    """The deployment of the newest release on record with this name; '' where there is none."""
    return next((each.deployment for each in releases if each.name == to), "")


def previous(left: Deployment, project: Project, candidates: Iterable[Deployment], forbidden: Mapping[str, str]) -> str:
    """What served production directly before ``left``; '' where nothing that can serve again did.

    Where the last job put ``left`` there by a promote, that job says so. Else it is the newest deployment before it
    that has served.
    """
    usable = [each for each in candidates if each.id != left.id and served(each) and each.id not in forbidden]
    job = project.job
    if job is not None and job.kind == "promote" and job.to_id == left.id and job.status == "succeeded":
        for each in usable:
            if each.id == job.from_id:
                return each.id
    older = [each for each in usable if each.created_at < left.created_at]
    return max(older, key=lambda each: each.created_at).id if older else ""


def last_good(
    left: Deployment | None,
    candidates: Iterable[Deployment],
    wish: Wish,
    intent: Intent | None,
    away: Iterable[str] = (),
) -> str:
    """The newest release on record that passed its gate, is older than ``left``, and can be rolled back to.

    What is newer is what an earlier rollback has left, or what nobody has seen serve since: going on to it would be no
    way back. What the last rollback on record left is none either, nor what is ``away`` by an earlier one. Where no
    gate was ever passed, what served before the first release that had one takes its place. Raises ``release_missing``
    where there is none; the wish's releases are newest first.
    """
    avoided = {*wish.barred, *away, left.id if left is not None else ""}
    if intent is not None and intent.kind == "rollback":
        avoided.add(intent.from_id)
    good = [each.deployment for each in wish.releases if each.passed and each.deployment not in avoided]
    usable = {each.id for each in candidates if served(each) and (left is None or each.created_at < left.created_at)}
    base = [each.deployment for each in wish.releases if each.baseline and each.deployment not in avoided]
    found = [each for each in good if each in usable] or [each for each in base if each in usable and not good]
    if found:
        return found[0]
    if not good:
        reason = "no release but what was left or is bad is on record with a passed gate"
    else:
        reason = f"of the {len(good)} releases with a passed gate none is older and can be rolled back to"
    raise RunbookError(
        code="release_missing",
        attempted="find the last known good release",
        object=LAST_GOOD,
        reason=reason,
        remedy="Name another target: to=previous, or a deployment. ops.runbooks.verify records what serves as good.",
    )


def _milliseconds(moment: str) -> int:
    return round(parse_iso(moment, "read the option outdated").timestamp() * 1000)


def served(deployment: Deployment) -> bool:
    """Whether a deployment can be rolled back to, as far as Vercel says."""
    if deployment.gone or deployment.state != "READY" or deployment.target != "production":
        return False
    return deployment.candidate is not False and deployment.substate in ("", "PROMOTED")
