# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rotations in a small world, by the planner and the table that the engine uses: nobody is ever left with a dead key.

With one controller every world that can be reached is visited. With two, whose leases do nothing, random ways are gone:
there are too many worlds to visit in each run of the tests.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import pytest

from harness.rotation_model import Rules, World, beginning, generated, harm, minted, moves, settled

KINDS = {"minted": minted, "generated": generated}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def explored(rules: Rules) -> list[World]:
    """Every world that can be reached; stops at the first one in which something is wrong."""
    first = beginning(rules)
    seen, waiting = {first}, deque([first])
    while waiting:
        world = waiting.popleft()
        assert not harm(world), (harm(world), world)
        for follows in moves(world, rules):
            if follows not in seen:
                seen.add(follows)
                waiting.append(follows)
    return list(seen)


def walks(rules: Rules, *, count: int, length: int, seed: int) -> list[World]:
    """Worlds at the ends of random ways; harm on a way is an assertion error."""
    chance, ends = random.Random(seed), []
    for _walk in range(count):
        world = beginning(rules)
        for _move in range(length):
            world = chance.choice(list(moves(world, rules)))
            assert not harm(world), (harm(world), world)
        ends.append(world)
    return ends


@each_kind
@pytest.mark.parametrize("take_back", [False, True])
def test_one_controller_that_may_die_at_any_move(kind: Callable[..., Rules], take_back: bool) -> None:
    """Once; and from each world, as far as they are tried, clean runs lead to one live key that everybody uses."""
    rules = kind(take_back=take_back, deaths=1)
    worlds = explored(rules)
    assert len(worlds) > 800
    for world in random.Random(0).sample(worlds, 150):
        assert not settled(world, rules), (settled(world, rules), world)


@pytest.mark.parametrize("take_back", [False, True])
def test_a_rotation_that_ends_the_earlier_value_first(take_back: bool) -> None:
    """With the outage that somebody has agreed to, and no other; it ends as any rotation does."""
    rules = minted(take_back=take_back, broken=True)
    worlds = explored(rules)
    assert any(world.ledger.phase == "breaking" and world.disabled for world in worlds)
    assert take_back or any(world.ledger.broken and world.ledger.reason == "scheduled" for world in worlds)
    for world in random.Random(0).sample(worlds, 60):
        assert not settled(world, rules), (settled(world, rules), world)


@each_kind
def test_two_controllers_whose_leases_do_nothing(kind: Callable[..., Rules]) -> None:
    """Two rotations in a row. A key of one that was overtaken may be left, since no ledger could know of it."""
    rules = kind(controllers=2, deaths=2, rotations=2)
    for world in walks(rules, count=60, length=90, seed=1):
        assert not settled(world, rules, orphans=True), (settled(world, rules, orphans=True), world)


def test_without_the_look_before_each_effect_there_is_harm() -> None:
    """What the model is good for: it finds the mistake that a slow controller would make."""
    with pytest.raises(AssertionError, match="is dead"):
        walks(minted(controllers=2, deaths=2, rotations=2, fenced=False), count=200, length=90, seed=0)
