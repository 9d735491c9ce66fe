# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Environment variables on the stand-in for Vercel: identity, conflicts, and what can be read back."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.standin.refusal import Refused
from sandbox.vercel import api_env, variables
from sandbox.vercel.model import Project, Team, Variable, World

NOW = 1_000_000


def world(*, sensitive_only: bool = False) -> World:
    team = Team(id="t", slug="t", sensitive_only=sensitive_only)
    return World().put(team).put(Project(id="p", name="web", account="t"))


def created(before: World, *, name: str = "v1", upsert: bool = False, **fields: Any) -> tuple[World, Variable]:
    document = {"key": "A", "value": "1", "type": "encrypted", "target": ["production"], **fields}
    return variables.create(
        before, before.projects["p"], document, upsert=upsert, user="u", now=NOW, new_id=lambda: name
    )


def refused(*arguments: Any, **fields: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        created(*arguments, **fields)
    return caught.value


def test_the_same_key_for_another_target_or_branch_is_another_variable() -> None:
    after, _made = created(world())
    after, _made = created(after, name="v2", target=["preview"])
    after, _made = created(after, name="v3", target=["preview"], gitBranch="fix")
    assert len(after.variables) == 3


def test_a_conflict_names_the_record_that_is_there() -> None:
    after, _made = created(world(), target=["production", "preview"])
    conflict = refused(after, name="v2", target=["preview"])
    assert conflict.status == 403
    assert (conflict.body["error"]["code"], conflict.body["error"]["envVarId"]) == ("ENV_ALREADY_EXISTS", "v1")


def test_upsert_changes_the_whole_record_with_all_its_targets() -> None:
    after, _made = created(world(), target=["production", "preview"])
    after, made = created(after, name="v2", target=["preview"], value="2", upsert=True)
    assert (made.id, made.value, made.target) == ("v1", "2", ("production", "preview"))
    assert len(after.variables) == 1


def test_one_target_as_a_text() -> None:
    assert created(world(), target="production")[1].target == ("production",)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "sensitive", "target": ["development"]},
        {"gitBranch": "fix"},
        {"key": "A-B"},
        {"key": "VERCEL_URL"},
        {"type": "secretive"},
        {"target": []},
        {"target": ["staging"]},
        {"value": None},
        {"colour": "red"},
        {"value": "x" * 70_000},
    ],
)
def test_refused(fields: dict[str, Any]) -> None:
    assert refused(world(), **fields).status == 400


def test_a_team_can_force_sensitive() -> None:
    assert created(world(sensitive_only=True), type="plain")[1].type == "sensitive"
    assert created(world(sensitive_only=True), type="plain", target=["development"])[1].type == "plain"


def test_sensitive_is_one_way() -> None:
    after, made = created(world(), type="sensitive")
    with pytest.raises(Refused):
        variables.edit(after, after.projects["p"], made.id, {"type": "plain"}, user="u", now=NOW)


def test_fewer_targets_make_room_for_another_record() -> None:
    after, made = created(world(), target=["production", "preview"])
    after, _made = variables.edit(after, after.projects["p"], made.id, {"target": ["preview"]}, user="u", now=NOW)
    after, other = created(after, name="v2")
    assert {each.id: each.target for each in after.variables.values()} == {
        made.id: ("preview",),
        other.id: ("production",),
    }
    with pytest.raises(Refused):
        variables.edit(after, after.projects["p"], made.id, {"target": ["production"]}, user="u", now=NOW)


@pytest.mark.parametrize(
    ("kind", "decrypt", "value", "decrypted"),
    [
        ("plain", False, "1", True),
        ("encrypted", True, "1", True),
        ("encrypted", False, None, False),
        ("sensitive", True, "", False),
        ("sensitive", False, "", False),
    ],
)
def test_what_can_be_read_back(kind: str, decrypt: bool, value: str | None, decrypted: bool) -> None:
    shown = api_env.shape(created(world(), type=kind)[1], decrypt=decrypt)
    assert shown["decrypted"] is decrypted
    if value is None:
        assert shown["value"] not in ("", "1")
    else:
        assert shown["value"] == value
