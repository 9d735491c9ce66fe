# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided about secrets of Secrets Manager."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager import SecretState, SecretValue
from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager_plan import (
    SecretPlan,
    SeenSecret,
    Wanted,
    plan_secret,
    text_of_value,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

OLD, NEW = "o" * 32, "n" * 32
STATE = SecretState(arn="arn:x", name="s", versions={OLD: ("AWSCURRENT",)}, tags={"team": "web", "aws:x": "y"})
VALUES = {OLD: "old", NEW: "new"}


def seen(*, token: str | None = None, **labels: tuple[str, ...]) -> SeenSecret:
    """A secret whose versions ``old`` and ``new`` have these labels."""
    ids = {"old": OLD, "new": NEW}
    state = replace(STATE, versions={ids[name]: stages for name, stages in labels.items() if stages})

    def value(id: str | None) -> SecretValue | None:
        return SecretValue(version=id, text=VALUES[id]) if id in VALUES and id is not None else None

    known = token if token is not None and token in {ids[name] for name in labels} else None
    return SeenSecret(
        state=state, current=value(state.holder("AWSCURRENT")), pending=value(state.pending), requested=value(known)
    )


def kinds(plan: SecretPlan) -> list[tuple[str, str | None]]:
    return [(each.kind, each.version) for each in plan.actions]


CURRENT, PENDING = ("AWSCURRENT",), ("AWSPENDING",)


@pytest.mark.parametrize(
    ("wanted", "labels", "expected"),
    [
        ({"value": "old"}, {"old": CURRENT}, []),
        ({"value": "new"}, {"old": CURRENT}, [("stage", None), ("promote", None)]),
        ({"value": "new", "token": NEW}, {"old": CURRENT}, [("stage", NEW), ("promote", NEW)]),
        ({"value": "new"}, {"old": CURRENT, "new": PENDING}, [("promote", NEW)]),
        ({"value": "new", "token": NEW}, {"old": CURRENT, "new": PENDING}, [("promote", NEW)]),
        ({"value": "new", "token": NEW}, {"old": CURRENT, "new": ()}, [("promote", NEW)]),
        ({"value": "new", "token": NEW, "pending": True}, {"old": CURRENT, "new": ()}, [("stage", NEW)]),
        ({"value": "old"}, {"old": ("AWSCURRENT", "AWSPENDING")}, [("settle", OLD)]),
        ({"value": "old"}, {"old": ("AWSCURRENT", "ops.runbooks")}, [("settle", OLD)]),
        ({"value": "new", "pending": True}, {"old": CURRENT}, [("stage", None)]),
        ({"value": "new", "pending": True}, {"old": CURRENT, "new": PENDING}, []),
        (
            {"value": "third", "replace_pending": True},
            {"old": CURRENT, "new": PENDING},
            [("stage", None), ("promote", None)],
        ),
        ({"token": NEW}, {"old": CURRENT, "new": PENDING}, [("promote", NEW)]),
        ({"token": OLD}, {"old": ("AWSPREVIOUS",), "new": CURRENT}, [("promote", OLD)]),
        ({"token": OLD}, {"old": CURRENT}, []),
        ({}, {"old": CURRENT}, []),
    ],
)
def test_what_is_done(wanted: dict[str, Any], labels: dict[str, Any], expected: list[Any]) -> None:
    decided = plan_secret(Wanted(secret="s", **wanted), seen(token=wanted.get("token"), **labels))
    assert kinds(decided) == expected
    assert decided.changed == bool(expected)
    assert {"old", "new", "third"}.isdisjoint(map(str, decided.result.values()))


@pytest.mark.parametrize(
    ("wanted", "labels", "code"),
    [
        ({"value": "third"}, {"old": CURRENT, "new": PENDING}, "secret_conflict"),
        ({"value": "third", "token": NEW}, {"old": CURRENT, "new": PENDING}, "secret_conflict"),
        ({"value": "old", "token": NEW}, {"old": CURRENT, "new": PENDING}, "secret_conflict"),
        ({"value": "third", "token": "x" * 32}, {"old": CURRENT, "new": PENDING}, "secret_conflict"),
        ({"token": "x" * 32}, {"old": CURRENT}, "secret_missing"),
    ],
)
def test_what_is_refused(wanted: dict[str, Any], labels: dict[str, Any], code: str) -> None:
    with pytest.raises(RunbookError) as caught:
        plan_secret(Wanted(secret="s", **wanted), seen(token=wanted.get("token"), **labels))
    assert caught.value.code == code


def test_a_value_that_is_empty_is_a_variable_that_is_not_set() -> None:
    for value, says in (("", "it is empty. Set the variable that it is looked up from."), ({}, "the filter to_json.")):
        with pytest.raises(RunbookError) as refused:
            text_of_value(value, "s")
        assert refused.value.message.endswith(says)


def test_what_else_a_plan_says() -> None:
    """A value that is lost, a version that is not made, what follows a restored secret, and a key that AWS omits."""
    waits = {"old": CURRENT, "new": PENDING}
    lost = plan_secret(Wanted(secret="s", value="third", replace_pending=True), seen(**waits))
    assert (NEW in lost.irreversible[0], "its value is lost" in lost.irreversible[0]) == (True, True)
    same = plan_secret(Wanted(secret="s", value="old", token="x" * 32), seen(old=CURRENT))
    assert (same.changed, f"Version {OLD} is current" in same.warnings[0]) == (False, True)

    gone = replace(seen(**waits).state or STATE, gone_at=datetime(2026, 12, 1, tzinfo=UTC))
    with pytest.raises(RunbookError, match="rotation is under way"):
        plan_secret(Wanted(secret="s", value="third"), SeenSecret(state=gone))
    told = plan_secret(Wanted(secret="s", token=NEW, description="x"), SeenSecret(state=gone))
    assert kinds(told) == [("restore", None)]
    assert [each.partition(" ")[0] for each in told.steps] == ["take", "make", "change"]
    told = plan_secret(Wanted(secret="s", value="third", replace_pending=True), SeenSecret(state=gone))
    assert ("where it differs" in told.steps[1], "its value is lost" in told.irreversible[0]) == (True, True)

    for key in ("alias/aws/secretsmanager", "arn:aws:kms:us-east-1:1:alias/aws/secretsmanager"):
        assert not plan_secret(Wanted(secret="s", kms_key_id=key), seen(old=CURRENT)).changed
    assert plan_secret(Wanted(secret="s", kms_key_id="alias/acme"), seen(old=CURRENT)).changed


def test_what_a_killed_run_has_put_is_taken_up() -> None:
    left = SecretValue(version=NEW, text="new")
    there = replace(seen(old=CURRENT, new=("ops.runbooks",)), left=left)
    assert kinds(plan_secret(Wanted(secret="s", value="new"), there)) == [("promote", NEW)]
    assert kinds(plan_secret(Wanted(secret="s", value="new", pending=True), there)) == [("stage", NEW)]
    assert kinds(plan_secret(Wanted(secret="s", value="third"), there)) == [("stage", None), ("promote", None)]
    state = replace(there.state or STATE, versions={OLD: CURRENT, NEW: ("ops.runbooks",), "x" * 32: PENDING})
    with pytest.raises(RunbookError, match="rotation is under way"):
        plan_secret(Wanted(secret="s", value="new"), replace(there, state=state))


def test_what_is_not_there() -> None:
    assert kinds(plan_secret(Wanted(secret="s", value="new"), SeenSecret())) == [("create", None)]
    for wanted in ({}, {"value": "new", "pending": True}):
        with pytest.raises(RunbookError, match="no such secret"):
            plan_secret(Wanted(secret="s", **wanted), SeenSecret())
    assert not plan_secret(Wanted(secret="s", present=False), SeenSecret()).changed


def test_deletion_and_its_way_back() -> None:
    going = SeenSecret(state=replace(STATE, gone_at=datetime(2026, 12, 1, tzinfo=UTC)))
    assert kinds(plan_secret(Wanted(secret="s", value="new"), going)) == [("restore", None)]
    assert not plan_secret(Wanted(secret="s", present=False), going).changed
    at_once = plan_secret(Wanted(secret="s", present=False, recovery_window=0), SeenSecret(state=STATE))
    assert (kinds(at_once), len(at_once.irreversible)) == ([("delete", None)], 1)
    assert not plan_secret(Wanted(secret="s", present=False), SeenSecret(state=STATE)).irreversible


def test_what_describes_it() -> None:
    state = SeenSecret(state=replace(STATE, kms_key_id="arn:aws:kms:eu-west-1:1:alias/acme", description="d"))
    same = Wanted(secret="s", kms_key_id="alias/acme", description="d", tags={"team": "web"}, purge_tags=True)
    assert not plan_secret(same, state).changed, "tags of AWS itself stay"
    other = Wanted(secret="s", kms_key_id="alias/other", tags={"stage": "x"}, purge_tags=True)
    assert [each.kind for each in plan_secret(other, state).actions] == ["update", "tag", "untag"]


def test_aws_may_rotate_it_too() -> None:
    state = seen(old=CURRENT)
    assert state.state is not None
    rotated = replace(state, state=replace(state.state, rotated_by_aws=True))
    assert plan_secret(Wanted(secret="s", value="new"), rotated).warnings
    assert not plan_secret(Wanted(secret="s", value="old"), rotated).warnings
