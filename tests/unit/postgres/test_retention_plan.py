# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backups stay: properties over any history, any clock and any rules, and the cases that people ask about."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import CLOCKS_MAY_DIFFER
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import KINDS, Selection
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.retention.plan import (
    REASONS,
    Candidate,
    Decision,
    Policy,
    Rule,
    decide,
    next_expiry,
    stored_backups,
    stored_bytes,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

WHOLE = Selection().hash
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
#: Clocks change there on 25 October and 29 March 2026; a day is 23 or 25 hours long.
BERLIN = ZoneInfo("Europe/Berlin")
DEFAULT = Policy(default=Rule(daily=30, weekly=12, monthly=12, within=30 * DAY))

#: Few enough moments to meet: equal ones, the hours of both changes of clocks, years apart, far ahead.
moments = st.one_of(
    st.sampled_from([NOON, NOON + timedelta(microseconds=1), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]),
    st.integers(0, 48).map(lambda half: datetime(2026, 10, 24, 12, tzinfo=UTC) + half * timedelta(minutes=30)),
    st.integers(-400, 40).map(lambda days: NOON + days * DAY),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
rules = st.builds(
    Rule,
    last=st.integers(0, 4),
    daily=st.integers(0, 4),
    weekly=st.integers(0, 3),
    monthly=st.integers(0, 3),
    within=st.sampled_from([timedelta(), DAY, 30 * DAY]),
)
policies = st.builds(
    Policy,
    default=rules,
    kinds=st.dictionaries(st.sampled_from(KINDS), rules, max_size=2),
    floor=st.integers(1, 5),
    suspect=st.sampled_from([timedelta(), DAY, 30 * DAY]),
    zone=st.sampled_from([UTC, BERLIN, ZoneInfo("Pacific/Apia"), ZoneInfo("America/St_Johns")]),
)
histories = st.lists(
    st.builds(
        Candidate,
        backup_id=st.just(""),
        snapshot_at=moments,
        kind=st.sampled_from(KINDS),
        selection_hash=st.sampled_from([WHOLE, "0123456789ab"]),
        bytes=st.integers(0, 10),
        state=st.sampled_from(["complete", "complete", "proven", "suspect", "damaged"]),
        held=st.booleans(),
        locked=st.booleans(),
    ),
    max_size=25,
).map(lambda found: [replace(each, backup_id=f"b{number}") for number, each in enumerate(found)])


def taken(number: float, **changes: object) -> Candidate:
    """A complete scheduled backup, ``number`` days before noon."""
    given_: dict[str, object] = {"kind": "scheduled", "selection_hash": WHOLE, "bytes": 10}
    made = {"backup_id": f"b{number:g}", "snapshot_at": NOON - number * DAY, **given_, **changes}
    return Candidate(**made)  # type: ignore[arg-type]


def ids(found: list[Candidate] | tuple[Candidate, ...]) -> set[str]:
    return {each.backup_id for each in found}


def kept(decision: Decision) -> dict[str, tuple[str, ...]]:
    return {each.backup_id: why for each, why in decision.kept}


@given(histories, policies, moments)
@settings(deadline=None, max_examples=400)
def test_whatever_happened_and_whatever_the_clock_says(history: list[Candidate], policy: Policy, now: datetime) -> None:
    decision = decide(history, policy, now)
    stays = [each for each, _why in decision.kept]
    assert Counter(ids(stays)) + Counter(ids(decision.removed)) == Counter(ids(history)), "each is decided once"
    assert all(why and set(why) <= set(REASONS) for _each, why in decision.kept)
    known = [each for each in history if each.snapshot_at - now <= CLOCKS_MAY_DIFFER]
    for selection in {each.selection_hash for each in history}:
        of = [each for each in known if each.selection_hash == selection]
        good = [each for each in of if each.good]
        left = [each for each in stays if each.good and each in good]
        assert len(left) >= min(policy.floor, len(good)), "the floor"
        proven = [each for each in good if each.state == "proven"]
        assert sum(each.state == "proven" for each in left) >= min(policy.floor, len(proven)), "its proven part"
        if good:
            newest = max(each.snapshot_at for each in good)
            assert {each for each in good if each.snapshot_at == newest} <= set(left), "the newest good one"
        else:
            assert set(of) <= set(stays), "the only ones there are, suspect or not"
    for each in decision.removed:
        assert not each.held
        assert not each.locked
        assert each.state != "damaged"
        assert each in known, "dated after now"


@given(histories, policies, moments)
@settings(deadline=None)
def test_a_second_run_removes_nothing(history: list[Candidate], policy: Policy, now: datetime) -> None:
    decision = decide(history, policy, now)
    again = decide([each for each, _why in decision.kept], policy, now)
    assert not again.removed
    assert kept(again) == kept(decision)


@given(histories, policies, moments, st.permutations(range(25)))
@settings(deadline=None)
def test_the_order_of_the_list_means_nothing(
    history: list[Candidate], policy: Policy, now: datetime, order: list[int]
) -> None:
    shuffled = [history[number] for number in order if number < len(history)]
    assert decide(shuffled, policy, now) == decide(history, policy, now)


@given(histories, policies, moments, moments)
@settings(deadline=None)
def test_a_clock_that_runs_ahead_removes_nothing_more(
    history: list[Candidate], policy: Policy, now: datetime, other: datetime
) -> None:
    """Among backups that are not from the future the clock has no say at all."""
    early, late = sorted((now, other))
    known = [each for each in history if each.snapshot_at <= early]
    assert decide(known, policy, early) == decide(known, policy, late)


@given(histories, policies, moments)
@settings(deadline=None)
def test_one_more_good_backup_keeps_at_least_as_many(history: list[Candidate], policy: Policy, now: datetime) -> None:
    """Taking a backup never leaves a database with fewer good ones than the floor had."""
    before = decide(history, policy, now)
    left = [each for each, _why in before.kept if each.good]
    more = Candidate(backup_id="more", snapshot_at=now, kind="scheduled", selection_hash=WHOLE)
    after = decide([*(each for each, _why in before.kept), more], policy, now)
    good = [each for each, _why in after.kept if each.good and each.selection_hash == WHOLE]
    whole = [each for each in left if each.selection_hash == WHOLE]
    assert len(good) >= min(policy.floor, len(whole) + 1)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), policies)
@settings(deadline=None)
def test_running_every_day_keeps_what_running_once_keeps(days: list[int], policy: Policy) -> None:
    """So that it does not matter how often it runs, or that it failed for a week."""
    policy = replace(policy, kinds={})
    history = [taken(-day, backup_id=f"b{number}") for number, day in enumerate(sorted(days))]
    left: list[Candidate] = []
    for each in history:
        left = [one for one, _why in decide([*left, each], policy, each.snapshot_at).kept]
    assert ids(left) == ids([each for each, _why in decide(history, policy, history[-1].snapshot_at).kept])


def test_the_default_keeps_thirty_days_twelve_weeks_and_twelve_months() -> None:
    history = [taken(number) for number in range(500)]
    decision = decide(history, DEFAULT, NOON)
    stays = kept(decision)
    assert {f"b{number}" for number in range(31)} <= set(stays)
    reasons = Counter(reason for why in stays.values() for reason in why)
    assert (reasons["keep_daily"], reasons["keep_weekly"], reasons["keep_monthly"]) == (30, 12, 12)
    assert reasons["keep_within"] == 31
    assert 31 + 6 <= len(stays) <= 31 + 24
    assert stored_backups(DEFAULT, every=DAY, after=500 * DAY) in range(40, 56)
    assert stored_bytes(DEFAULT, size=10, every=DAY, after=3 * DAY) == 40


def test_weeks_of_failure_remove_nothing() -> None:
    history = [taken(number) for number in range(40)]
    before = decide(history, DEFAULT, NOON)
    assert decide([each for each, _why in before.kept], DEFAULT, NOON + 3000 * DAY).removed == ()


def test_failed_ones_push_no_good_one_out() -> None:
    """A suspect backup counts for no rule, however new it is."""
    policy = Policy(default=Rule(last=2), floor=1)
    history = [taken(5), taken(4), *(taken(number, state="suspect") for number in range(4))]
    assert decide(history, policy, NOON).removed == ()


def test_suspect_ones_go_after_their_own_time_and_never_the_only_ones() -> None:
    policy = Policy(default=Rule(last=1), floor=1, suspect=30 * DAY)
    old, young = taken(60, state="suspect"), taken(10, state="suspect")
    assert decide([old, young], policy, NOON).removed == ()
    assert ids(decide([old, young, taken(0)], policy, NOON).removed) == {"b60"}


def test_proven_ones_make_the_floor_and_others_fill_it() -> None:
    policy = Policy(default=Rule(last=1), floor=3)
    history = [taken(9, state="proven"), *(taken(number) for number in range(5)), taken(30, state="proven")]
    decision = decide(history, policy, NOON)
    assert decision.floor == {"b9", "b30", "b0"}
    assert ids(decision.removed) == {"b1", "b2", "b3", "b4"}
    enough = [*history, taken(20, state="proven")]
    assert decide(enough, policy, NOON).floor == {"b9", "b20", "b30"}
    assert "b0" in kept(decide(enough, policy, NOON)), "the newest stays, proven or not"


def test_a_part_never_stands_for_the_whole() -> None:
    policy = Policy(default=Rule(last=1), floor=2)
    parts = [taken(number / 10, selection_hash="0123456789ab") for number in range(5)]
    decision = decide([taken(50), taken(60), taken(70), *parts], policy, NOON)
    assert ids(decision.removed) == {"b70", "b0.2", "b0.3", "b0.4"}


def test_kinds_have_rules_of_their_own() -> None:
    policy = replace(DEFAULT, kinds={"pre_deploy": Rule(within=14 * DAY)}, floor=1)
    history = [taken(0), taken(20), taken(13, kind="pre_deploy"), taken(15, kind="pre_deploy")]
    assert ids(decide(history, policy, NOON).removed) == {"b15"}


def test_from_the_future_and_a_clock_that_is_behind() -> None:
    """What is dated after now stays, and keeps nothing else from staying."""
    policy = Policy(default=Rule(last=1), floor=1)
    ahead = taken(-400)
    decision = decide([taken(2), taken(1), ahead], policy, NOON)
    assert kept(decision) == {"b1": ("newest", "floor", "keep_last"), "b-400": ("future",)}
    assert decide([taken(2), taken(1)], policy, NOON - 1000 * DAY).removed == ()


def test_equally_old_ones_stay_together() -> None:
    policy = Policy(default=Rule(last=1), floor=1)
    twins = [taken(0, backup_id="a"), taken(0, backup_id="b"), taken(1)]
    assert ids(decide(twins, policy, NOON).removed) == {"b1"}


def test_days_are_those_of_the_time_zone_however_long_they_are() -> None:
    """25 October 2026 has 25 hours in Berlin: from 22:00 UTC of the 24th to 23:00 UTC of the 25th."""
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    history = [
        Candidate(backup_id=f"h{hour}", snapshot_at=start + hour * timedelta(hours=1), kind="manual", selection_hash="")
        for hour in range(-1, 26)
    ]
    policy = Policy(default=Rule(daily=9), floor=1, zone=BERLIN)
    assert ids([each for each, _why in decide(history, policy, NOON).kept]) == {"h-1", "h24", "h25"}


def test_held_and_locked_ones_stay() -> None:
    policy = Policy(default=Rule(last=1), floor=1)
    history = [taken(0), taken(700, held=True), taken(800, locked=True, state="suspect"), taken(900)]
    decision = decide(history, policy, NOON)
    assert ids(decision.removed) == {"b900"}
    assert kept(decision)["b700"] == ("held",)
    assert kept(decision)["b800"] == ("locked",)


def test_what_goes_next() -> None:
    policy = Policy(default=Rule(within=3 * DAY), floor=1)
    decision = decide([taken(number) for number in range(4)], policy, NOON)
    following = next_expiry(decision, policy, NOON)
    assert following is not None
    assert (following[0].backup_id, following[1]) == ("b3", NOON + DAY)
    assert next_expiry(decide([], policy, NOON), policy, NOON) is None
    forever = Policy(default=Rule(within=36000 * DAY), floor=1)
    assert next_expiry(decide([taken(0)], forever, NOON), forever, NOON) is None


@example(1100)
@given(st.integers(1, 300))
@settings(deadline=None, max_examples=10)
def test_many_backups_of_one_day(count: int) -> None:
    history = [
        taken(0, backup_id=f"b{number}", snapshot_at=NOON + number * timedelta(seconds=1)) for number in range(count)
    ]
    policy = Policy(default=Rule(daily=1), floor=3)
    decision = decide(history, policy, NOON + DAY)
    assert len(decision.kept) == min(3, count)
    assert f"b{count - 1}" in kept(decision)
