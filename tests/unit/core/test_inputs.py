# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was typed after -e: names that are nearly those of inputs, and values that inputs do not take."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.inputs import (
    ANY,
    SWITCH,
    distance,
    mistaken_names,
    mistaken_values,
    nearest,
)
from hypothesis import given
from hypothesis import strategies as st

ROTATE = {"secret": ANY, "reason": ["scheduled", "requested", "compromise"], "break_first": SWITCH, "take_back": SWITCH}


def names(given: Mapping[str, object], *others: str) -> str:
    return " ".join(mistaken_names("rotate", ROTATE, given, lambda: others))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("takeback", "take_back"),
        ("take-back", "take_back"),
        ("Secret", "secret"),
        ("secert", "secret"),
        ("secrets", "secret"),
        ("reson", "reason"),
        ("sceert", "secret"),
        ("braek_frist", "break_first"),
        ("take_beck_", "take_back"),
    ],
)
def test_a_slip_of_the_pen_is_named_with_what_was_meant(typed: str, meant: str) -> None:
    assert f"{typed} is no input of rotate: did you mean {meant}?" in names({"secret": "a", typed: "x"})


def test_what_is_far_from_any_input_or_has_another_owner_is_left_alone() -> None:
    assert not names(
        dict.fromkeys((*ROTATE, "verify_min_samples", "region", "awx_secret", "tower_secret", "ansible_reason"), 1)
    )
    assert not names({"secrets_": 1}, "secrets_"), "a variable of a role"


def test_a_short_name_is_near_with_one_slip_only() -> None:
    assert nearest("tp", ["to", "at"]) == "to"
    assert nearest("pahts", ["path", "phase"]) == ""


def test_what_has_no_value_is_repeated_only_where_it_is_nearly_an_input() -> None:
    assert "-e take-back gives no value. Write -e take_back=yes." in names({"_raw_params": "take-back"})
    assert "Write -e secret=..." in names({"_raw_params": "secret"})
    assert "hunter2hunter2" not in names({"_raw_params": "hunter2hunter2"})
    assert "one -e gives no value" in names({"_raw_params": "hunter2hunter2"})
    assert "-e \"name='two words'\"" in names({"reason": "the", "_raw_params": "checkout answers 500"})


def test_a_value_that_an_input_does_not_take_is_said() -> None:
    def said(name: str, value: object) -> list[str]:
        return mistaken_values([(name, ROTATE[name], value)])

    assert said("take_back", "treu") == ["Could not make sense of take_back=treu: take_back is yes or no. Correct it."]
    assert "reason is scheduled, requested or compromise." in said("reason", "compromised")[0]
    assert said("take_back", "y"), "the filter bool takes it for no"
    for value in (True, False, "yes", "No", "TRUE", "off", 1, 0, "", None):
        assert said("take_back", value) == []
    assert said("secret", "anything at all") == said("reason", "requested") == said("reason", "") == []


@given(st.text("ab_", max_size=6), st.text("ab_", max_size=6))
def test_a_distance_is_the_same_both_ways_and_nothing_only_to_itself(one: str, other: str) -> None:
    there, back = (distance(*pair) for pair in ((one, other), (other, one)))
    assert there == back <= max(len(one), len(other))
    assert (there == 0) == (one == other)
    assert distance("ab" + one, "ba" + one) == 1
