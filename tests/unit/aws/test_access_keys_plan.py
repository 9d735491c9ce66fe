# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided about access keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys import AccessKey, LastUse, Pair
from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys_plan import (
    KeyPlan,
    KeyRules,
    SeenKeys,
    plan_keys,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.key_places import Held, Intent
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def key(id: str, *, active: bool = True, age: timedelta = timedelta(days=90)) -> AccessKey:
    return AccessKey(id=id, active=active, created_at=NOW - age)


def decide(
    state: Any,
    *keys: AccessKey,
    own: str = "OWN",
    elsewhere: str = "",
    uses: Any = None,
    held: Any = None,
    **rules: Any,
) -> KeyPlan:
    seen = SeenKeys(user="u", keys=keys, own=frozenset({own}), now=NOW, held=held or Held(), uses=uses or {})
    seen = replace(seen, elsewhere=elsewhere)
    return plan_keys(KeyRules(state=state, place="file x", **rules), seen)


def kinds(plan: KeyPlan) -> list[tuple[str, str]]:
    return [(each.kind, each.id) for each in plan.actions]


def intent(*known: str, ago: timedelta = timedelta(minutes=10)) -> Intent:
    return Intent(user="u", known=known, at=NOW - ago)


PAIR = Pair(id="A", secret="shh-nobody-sees-this")
JUST_THEN = timedelta(minutes=9, seconds=58)
UNUSED = LastUse(user="u")


def test_a_place_gets_a_key_where_it_has_none() -> None:
    assert kinds(decide("present")) == [("create", "")]
    assert kinds(decide("present", key("B"))) == [("create", "")]
    assert kinds(decide("present", key("A"), held=Held(user="u", pair=PAIR))) == []
    assert kinds(decide("present", key("A"), held=Held(user="u", pair=PAIR, unsettled=True))) == [("settle", "A")]
    assert kinds(decide("present", key("B"), held=Held(user="u", pair=PAIR))) == [("create", "")], "A was deleted"
    assert "shh" not in repr(decide("present", key("A"), held=Held(user="u", pair=PAIR)))


def test_no_key_is_deleted_to_make_room() -> None:
    with pytest.raises(RunbookError, match=r"A \(active .*B \(inactive") as caught:
        decide("present", key("A"), key("B", active=False))
    assert caught.value.code == "access_key_limit"


@pytest.mark.parametrize(
    ("made", "use", "known"),
    [
        (JUST_THEN, LastUse(user="u", at=NOW), ()),
        (JUST_THEN, None, ()),
        (timedelta(minutes=5), UNUSED, ()),
        (timedelta(minutes=11), UNUSED, ()),
        (JUST_THEN, UNUSED, ("B",)),
    ],
    ids=["used", "not told", "made later", "made before", "known before"],
)
def test_what_an_earlier_run_has_not_made_is_not_named(
    made: timedelta, use: LastUse | None, known: tuple[str, ...]
) -> None:
    there, held = key("B", age=made), Held(intent=intent(*known))
    plan = decide("present", there, held=held, uses={"B": use})
    assert (kinds(plan), plan.warnings) == ([("create", "")], ())
    with pytest.raises(RunbookError, match="most that AWS allows") as caught:
        decide("present", there, key("C"), held=Held(intent=intent("C", *known)), uses={"B": use})
    assert "about to make" not in caught.value.message


def test_what_an_earlier_run_has_lost_is_named_and_stays() -> None:
    """That run may be at work still, and a use is told hours late: nothing is deleted, not even to make room."""
    lost = key("B", age=JUST_THEN)
    plan = decide("present", lost, held=Held(intent=intent()), uses={"B": UNUSED})
    assert (kinds(plan), plan.irreversible) == ([("create", "")], ())
    assert plan.warnings[0].startswith("B of u was made while another run was about to make")
    with pytest.raises(RunbookError, match=r"B was made while another run was about to make .* 4 h late"):
        decide("present", key("C"), lost, held=Held(intent=intent("C")), uses={"B": UNUSED})


def test_a_pair_that_is_not_listed_need_not_be_gone() -> None:
    held = Held(user="u", pair=PAIR)
    for told, code in (
        ({"elsewhere": "arn:aws:iam::2:user/u"}, "destination_unusable"),
        ({"uses": {"A": LastUse(user="", account="2")}}, "destination_unusable"),
        ({"uses": {"A": LastUse(user="u")}}, "access_key_unproven"),
    ):
        with pytest.raises(RunbookError) as caught:
            decide("present", key("B"), held=held, **told)
        assert caught.value.code == code
    plan = decide("present", key("B"), held=held)
    assert (kinds(plan), "replaced in file x" in plan.irreversible[0]) == ([("create", "")], True)


def test_a_place_of_others_is_not_used() -> None:
    for held, keys, code in (
        (Held(user="other", pair=PAIR), (key("A"),), "destination_unusable"),
        (Held(user="u", pair=PAIR), (key("A", active=False),), "access_key_unusable"),
    ):
        with pytest.raises(RunbookError) as caught:
            decide("present", *keys, held=held)
        assert caught.value.code == code


def test_one_key_by_its_id() -> None:
    off = key("A", active=False)
    assert kinds(decide("inactive", key("A"), id="A")) == [("deactivate", "A")]
    assert kinds(decide("inactive", off, id="A")) == []
    assert kinds(decide("active", off, id="A")) == [("activate", "A")]
    assert kinds(decide("absent", off, id="A")) == [("delete", "A")]
    assert kinds(decide("absent", id="A")) == []
    for state, keys, code in (
        ("absent", (key("A"),), "access_key_in_use"),
        ("inactive", (), "access_key_missing"),
        ("active", (key("B"),), "access_key_missing"),
    ):
        with pytest.raises(RunbookError) as caught:
            decide(state, *keys, id="A")
        assert caught.value.code == code
    for state in ("inactive", "absent"):
        with pytest.raises(RunbookError, match="itself works with"):
            decide(state, key("A"), id="A", own="A")
    with pytest.raises(RunbookError, match="belongs to the user other"):
        decide("absent", id="A", uses={"A": LastUse(user="other")})
    with pytest.raises(RunbookError, match="belongs to the account 2"):
        decide("absent", id="A", uses={"A": LastUse(user="", account="2")})
    with pytest.raises(RunbookError, match="does not list it"):
        decide("absent", id="A", uses={"A": LastUse(user="u")})


@pytest.mark.parametrize(
    ("last", "age", "may"),
    [
        (None, timedelta(days=2), True),
        (None, timedelta(hours=1), False),
        (timedelta(hours=28), timedelta(days=9), True),
        (timedelta(hours=27), timedelta(days=9), False),
    ],
)
def test_a_last_use_is_told_late(last: timedelta | None, age: timedelta, may: bool) -> None:
    uses = {"A": LastUse(user="u", at=NOW - last if last is not None else None, service="s3")}
    rules = {"id": "A", "unused_for": timedelta(days=1)}
    if may:
        assert decide("inactive", key("A", age=age), uses=uses, **rules).changed
        return
    with pytest.raises(RunbookError, match="up to 4 h late"):
        decide("inactive", key("A", age=age), uses=uses, **rules)
