# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module release_approval (private to ops.runbooks): somebody else has seen this plan and agrees.

An approval is for one plan, known by its digest: where anything in the plan has changed it is another plan, and needs
another approval. It ends after some hours by the store's clock, and whoever asked for the work cannot give it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import (
    CLOCKS_MAY_DIFFER,
    human,
    iso,
    parse_duration,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id, check_name
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.record import who
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import RUN_SPEC, STORE_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._release.approvals import (
    Approval,
    Approvals,
    Person,
    effective,
    person_of,
)

APPROVAL_SPEC = STORE_SPEC.merge(
    RUN_SPEC,
    ArgumentSpec(
        options={
            "release": {"type": "str", "required": True},
            "digest": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "query", "absent"], "default": "present"},
            "requester": {"type": "str"},
            "reason": {"type": "str"},
            "valid_for": {"type": "str", "default": "4h"},
        }
    ),
)
Word = Literal["approved", "missing", "expired", "own", "other_plan"]
_LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked about, by whom, and when by the store's clock."""

    release: str
    digest: str
    person: Person
    now: datetime
    valid_for: timedelta
    requester: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRecord:
    """What is written: for this plan, oldest first, and for the other plans of this release."""

    approvals: tuple[Approval, ...] = ()
    others: tuple[tuple[str, tuple[Approval, ...]], ...] = ()
    now: datetime


def judge(found: OnRecord, asked: Asked) -> dict[str, Any]:
    """The object ``approval``: whether this plan may be carried out for who asks."""
    standing = effective(found.approvals)
    fresh = [each for each in standing if not _over(each, asked)]
    by_others = [each for each in fresh if not each.approver.is_same(asked.requester)]
    # One that somebody vouches for before one that nobody does, then the newest.
    chosen = next(iter(sorted(by_others, key=lambda each: each.approver.unauthenticated)), None)
    if chosen is not None:
        name = "a name that nobody vouches for" if chosen.approver.unauthenticated else chosen.approver.way
        said = f"{chosen.approver.name} ({name}) approved it at {iso(chosen.approved_at)}."
        return _described("approved", asked, chosen, said)
    if fresh:
        return _described("own", asked, fresh[0], f"{fresh[0].approver.name} asked for it, and alone approved it.")
    if standing:
        return _described("expired", asked, standing[0], f"The approval ended at {iso(_end(standing[0], asked))}.")
    others = [name for name, each in found.others if any(not _over(one, asked) for one in effective(each))]
    if others:
        said = f"What was approved is another plan ({', '.join(each[:12] for each in others)}): something has changed."
        return _described("other_plan", asked, None, said)
    said = "Its approval was withdrawn." if found.approvals else "Nobody has approved it."
    return _described("missing", asked, None, said)


def plan_present(found: OnRecord, asked: Asked) -> tuple[Plan, Approval]:
    """Approve, once per person. Raises ``approval_refused``."""
    if asked.requester and asked.person.is_same(asked.requester):
        raise RunbookError(
            code="approval_refused",
            attempted="approve the release",
            object=f"{asked.release}, plan {asked.digest[:12]}",
            reason=f"{asked.requester} asked for it and cannot approve it as well",
            remedy="Let somebody else look at the plan and approve it.",
        )
    mine = [
        each
        for each in effective(found.approvals)
        if each.approver.way == asked.person.way
        and each.approver.is_same(asked.person.name)
        and not _over(each, asked)
        and each.reason == asked.reason
    ]
    made = mine[0] if mine else _made(asked)
    how = ", a name that nobody vouches for" if asked.person.unauthenticated else f", by {asked.person.way}"
    step = f"approve {asked.release}, plan {asked.digest}, as {asked.person.name}{how}, for {_length(asked)}"
    said = f"{made.approver.name} approved it."
    result = _described("approved", asked, made, said)
    before = {} if not mine else made.body(asked.release, asked.digest)
    after = made.body(asked.release, asked.digest)
    return Plan(changed=not mine, result=result, steps=() if mine else (step,), before=before, after=after), made


def plan_absent(found: OnRecord, asked: Asked) -> tuple[Plan, Approval]:
    """Take back whatever stands for this plan."""
    standing = [each for each in effective(found.approvals) if not _over(each, asked)]
    made = _made(asked, withdrawn=True)
    step = f"withdraw the approval of {asked.release}, plan {asked.digest}"
    result = _described("missing", asked, None, "Its approval was withdrawn." if standing else "Nothing stands.")
    before = standing[0].body(asked.release, asked.digest) if standing else {}
    plan = Plan(changed=bool(standing), result=result, steps=(step,) if standing else (), before=before)
    return plan, made


def _made(asked: Asked, *, withdrawn: bool = False) -> Approval:
    return Approval(
        approver=asked.person,
        requester=asked.requester,
        reason=asked.reason,
        withdrawn=withdrawn,
        approved_at=asked.now,
        valid_for=asked.valid_for,
    )


def _end(approval: Approval, asked: Asked) -> datetime:
    """The shorter of what was given and what is asked for counts."""
    return approval.approved_at + min(approval.valid_for, asked.valid_for)


def _over(approval: Approval, asked: Asked) -> bool:
    """Whether it has ended; one that is dated ahead of the store's clock says nothing about its age."""
    return _end(approval, asked) <= asked.now or approval.approved_at - asked.now > CLOCKS_MAY_DIFFER


def _length(asked: Asked) -> str:
    return human(asked.valid_for.total_seconds())


def _described(decision: Word, asked: Asked, approval: Approval | None, said: str) -> dict[str, Any]:
    person = approval.approver if approval is not None else None
    return {
        "decision": decision,
        "release": asked.release,
        "digest": asked.digest,
        "requester": asked.requester or None,
        "approver": person.name if person is not None else None,
        "authenticated_by": person.way if person is not None else None,
        "unauthenticated": person.unauthenticated if person is not None else None,
        "approved_at": iso(approval.approved_at) if approval is not None else None,
        "expires_at": iso(_end(approval, asked)) if approval is not None else None,
        "reasons": [said],
    }


class ReleaseApproval(Operation[OnRecord, Plan]):
    """Approve, look, or take back."""

    noun: ClassVar[str] = "approval"
    spec: ClassVar[ArgumentSpec] = APPROVAL_SPEC
    recorded: ClassVar[bool] = False

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        check_name(params["release"], "release")
        check_id(params["digest"], "digest")
        self._valid_for = parse_duration(params["valid_for"], "valid_for")
        if not timedelta(0) < self._valid_for <= _LONGEST:
            raise RunbookError(
                code="invalid_parameter",
                attempted="use valid_for",
                object=repr(params["valid_for"]),
                reason=f"an approval holds for at most {human(_LONGEST.total_seconds())}, and for longer than nothing",
                remedy="Write a duration such as 4h.",
            )
        self._person = person_of(os.environ, who(os.environ)["user"])

    def observe(self) -> OnRecord:
        """What is on record, and the store's time."""
        approvals, digest = self._approvals(), self.params["digest"]
        others: Sequence[str] = approvals.other_digests(digest) if self.params["state"] == "query" else ()
        return OnRecord(
            approvals=tuple(approvals.of(digest)),
            others=tuple((each, tuple(approvals.of(each))) for each in others),
            now=self.state_store.now(),
        )

    def plan(self, state: OnRecord) -> Plan:
        """See :func:`judge`, :func:`plan_present` and :func:`plan_absent`."""
        asked = self._asked(state.now)
        if self.params["state"] == "query":
            return Plan(changed=False, result=judge(state, asked))
        planned = plan_present if self.params["state"] == "present" else plan_absent
        return planned(state, asked)[0]

    def act(self, state: OnRecord, plan: Plan) -> Mapping[str, Any]:
        """Write it, by the store's clock of this moment."""
        self.context.effect("ask the store for its time")
        asked = self._asked(self.state_store.now(may_write=True))
        planned = plan_present if self.params["state"] == "present" else plan_absent
        last, made = planned(state, asked)
        self._approvals().write(made, self.params["digest"])
        return last.result

    def _asked(self, now: datetime) -> Asked:
        query = self.params["state"] == "query"
        return Asked(
            release=self.params["release"],
            digest=self.params["digest"],
            person=self._person,
            now=now.replace(microsecond=0),
            valid_for=self._valid_for,
            requester=(self.params["requester"] or (self._person.name if query else "")).strip(),
            reason=" ".join((self.params["reason"] or "").split()),
        )

    def _approvals(self) -> Approvals:
        params = self.params
        return Approvals(self.state_store, params["environment"], params["name"], params["release"], self.context)
