# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may approve what, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.documents import Document
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._release.approval import (
    Asked,
    OnRecord,
    judge,
    plan_absent,
    plan_present,
)
from ansible_collections.ops.runbooks.plugins.module_utils._release.approvals import Approval, Person, person_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANN, BEN, EVA = (Person(name=name, way="awx") for name in ("ann", "ben", "eva"))


def asked(person: Person = ANN, *, now: datetime = NOW, valid: timedelta = 4 * HOUR, **more: Any) -> Asked:
    return Asked(release="4f2c9e1", digest="a" * 64, person=person, now=now, valid_for=valid, **more)


def approval(person: Person = BEN, hours: float = 1, **more: Any) -> Approval:
    return Approval(approver=person, approved_at=NOW - hours * HOUR, valid_for=4 * HOUR, **more)


def on_record(*approvals: Approval, others: Sequence[tuple[str, tuple[Approval, ...]]] = ()) -> OnRecord:
    return OnRecord(approvals=approvals, others=tuple(others), now=NOW)


def decision(found: OnRecord, **more: Any) -> str:
    return str(judge(found, asked(requester="ann", **more))["decision"])


def test_somebody_else_has_approved() -> None:
    said = judge(on_record(approval()), asked(requester="ann"))
    assert (said["decision"], said["approver"], said["unauthenticated"]) == ("approved", "ben", False)
    assert (said["approved_at"], said["expires_at"]) == ("2026-11-20T11:00:00Z", "2026-11-20T15:00:00Z")
    assert said["reasons"] == ["ben (awx) approved it at 2026-11-20T11:00:00Z."]


def test_nobody_has() -> None:
    assert decision(on_record()) == "missing"


@pytest.mark.parametrize("name", ["ann", "Ann", " ANN "])
def test_who_asks_cannot_approve(name: str) -> None:
    mine = approval(Person(name=name))
    assert decision(on_record(mine)) == "own"
    assert decision(on_record(approval(BEN), mine)) == "approved"


def test_it_ends_by_the_shorter_time() -> None:
    almost, over = approval(hours=3.99), approval(hours=4)
    assert decision(on_record(almost)) == "approved"
    assert decision(on_record(over)) == "expired"
    assert decision(on_record(almost), valid=HOUR) == "expired"
    assert decision(on_record(approval(hours=5)), valid=24 * HOUR) == "expired"


def test_one_that_is_dated_ahead_says_nothing_about_its_age() -> None:
    assert decision(on_record(approval(hours=-1))) == "expired"
    assert decision(on_record(approval(hours=-0.05))) == "approved"


def test_another_plan_needs_another_approval() -> None:
    said = judge(on_record(others=[("b" * 64, (approval(),))]), asked(requester="ann"))
    assert said["decision"] == "other_plan"
    assert said["reasons"] == ["What was approved is another plan (bbbbbbbbbbbb): something has changed."]
    assert said["approver"] is None
    assert decision(on_record(others=[("b" * 64, (approval(hours=5),))])) == "missing"


def test_what_was_taken_back_does_not_count() -> None:
    taken = approval(EVA, 0.5, withdrawn=True)
    assert decision(on_record(approval(), taken)) == "missing"
    assert decision(on_record(approval(), taken, approval(hours=0.1))) == "approved"


def test_a_name_that_somebody_vouches_for_comes_first() -> None:
    said = judge(on_record(approval(BEN), approval(Person(name="eva"), 0.5)), asked(requester="ann"))
    assert (said["approver"], said["unauthenticated"]) == ("ben", False)
    said = judge(on_record(approval(Person(name="eva"), 0.5)), asked(requester="ann"))
    assert (said["approver"], said["authenticated_by"], said["unauthenticated"]) == ("eva", "terminal", True)
    assert said["reasons"] == ["eva (a name that nobody vouches for) approved it at 2026-11-20T11:30:00Z."]


def test_to_approve_once() -> None:
    plan, made = plan_present(on_record(), asked(BEN, requester="ann"))
    assert plan.changed
    assert plan.steps == (f"approve 4f2c9e1, plan {'a' * 64}, as ben, by awx, for 4 h",)
    assert plan.result["decision"] == "approved"
    again, _made = plan_present(on_record(made), asked(BEN, requester="ann"))
    assert (again.changed, again.steps) == (False, ())
    assert again.result["expires_at"] == plan.result["expires_at"]
    later, _made = plan_present(on_record(made), asked(BEN, requester="ann", now=NOW + 4 * HOUR))
    assert later.changed
    second, _made = plan_present(on_record(made), asked(EVA))
    assert second.changed
    vouched, _made = plan_present(on_record(approval(Person(name="ben"))), asked(BEN))
    assert vouched.changed, "a name that somebody vouches for is more than the same name"


def test_to_approve_what_one_asked_for() -> None:
    with pytest.raises(RunbookError, match="Ann asked for it") as refused:
        plan_present(on_record(), asked(ANN, requester="Ann"))
    assert refused.value.code == "approval_refused"


def test_to_take_back() -> None:
    plan, made = plan_absent(on_record(approval()), asked(EVA))
    assert (plan.changed, made.withdrawn) == (True, True)
    assert not plan_absent(on_record(approval(), made), asked(EVA))[0].changed
    assert not plan_absent(on_record(approval(hours=5)), asked(EVA))[0].changed


def test_a_document_is_read_as_it_was_written_and_no_longer() -> None:
    made = approval(reason="looked at it", requester="ann")
    body = {"approval": made.body("4f2c9e1", "a" * 64)}
    read = Approval.read(Document(number=3, body=body, modified=NOW))
    assert read == approval(reason="looked at it", requester="ann")
    # The store's own date of the object counts where it is earlier.
    early = Approval.read(Document(number=3, body=body, modified=NOW - 2 * HOUR))
    assert early.approved_at == NOW - 2 * HOUR
    for damaged in ({}, {"approval": "x"}, {"approval": {"approver": "ben", "approved_at": "soon", "valid_for": "x"}}):
        nothing = Approval.read(Document(number=1, body=damaged, modified=NOW))
        assert decision(on_record(nothing)) == "expired"


@pytest.mark.parametrize(
    ("environ", "login", "expected"),
    [
        ({}, "ann", Person(name="ann")),
        ({}, "ann as root", Person(name="ann")),
        ({"AWX_USER_NAME": "ben", "JOB_ID": "7", "AWX_HOST": "https://awx"}, "root", BEN),
        # A variable that anybody can give to ansible-playbook is no AWX.
        ({"AWX_USER_NAME": "ben"}, "ann", Person(name="ann")),
        ({"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "eva"}, "runner", Person(name="eva", way="github")),
        ({"GITHUB_ACTOR": "eva"}, "ann", Person(name="ann")),
    ],
)
def test_who_it_is(environ: dict[str, str], login: str, expected: Person) -> None:
    assert person_of(environ, login) == expected
