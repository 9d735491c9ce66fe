# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backups stay (private to ops.runbooks): the decision, pure, over any history and any clock.

Time is counted back from the newest good backup and not from now, and days are days that have a backup: so weeks of
failed runs remove nothing, and neither does a clock that runs ahead. The clock decides one thing only, what is dated
after it; that stays and counts for nothing, since nobody knows how old it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import CLOCKS_MAY_DIFFER
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import Selection

#: Why a backup stays, in the order in which reasons are listed.
REASONS = (
    "newest",
    "floor",
    "keep_last",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_within",
    "held",
    "locked",
    "suspect",
    "damaged",
    "future",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How many backups of one kind stay: each part by itself, so that a backup stays where any of them wants it."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    within: timedelta = timedelta()

    @property
    def empty(self) -> bool:
        """Whether it keeps nothing."""
        return self == Rule()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules: ``default`` is for every kind that is not in ``kinds``.

    ``floor`` is how many of the newest good backups of each selection stay whatever the rules say; ``suspect`` how long
    a suspect one stays behind the newest good one; ``zone`` says where days, weeks and months begin.
    """

    default: Rule
    kinds: Mapping[str, Rule] = field(default_factory=dict)
    floor: int = 7
    suspect: timedelta = timedelta(days=30)
    zone: tzinfo = UTC

    def rule(self, kind: str) -> Rule:
        """The rule for a kind of backup."""
        return self.kinds.get(kind, self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A backup as the decision sees it. ``state`` is complete, proven, suspect, or damaged where archives are gone."""

    backup_id: str
    snapshot_at: datetime
    kind: str
    selection_hash: str
    bytes: int = 0
    state: str = "complete"
    held: bool = False
    locked: bool = False

    @property
    def good(self) -> bool:
        """Whether it counts as a backup."""
        return self.state in ("complete", "proven")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``kept``: backup and reasons, ``removed``: what goes; both oldest first. ``newest`` and ``floor`` are ids."""

    kept: tuple[tuple[Candidate, tuple[str, ...]], ...]
    removed: tuple[Candidate, ...]
    newest: frozenset[str]
    floor: frozenset[str]


_Reasons = dict[Candidate, set[str]]


def decide(candidates: Iterable[Candidate], policy: Policy, now: datetime) -> Decision:
    """The decision. Backups of different selections know nothing of each other; of equally old ones none is newer."""
    ordered = sorted(candidates, key=lambda each: (each.snapshot_at, each.backup_id))
    reasons: _Reasons = {each: set() for each in ordered}
    selections: dict[str, list[Candidate]] = defaultdict(list)
    for each in ordered:
        if each.snapshot_at - now > CLOCKS_MAY_DIFFER:
            reasons[each].add("future")
        else:
            selections[each.selection_hash].append(each)
        reasons[each] |= {name for name, on in (("held", each.held), ("locked", each.locked)) if on}
    for of_selection in selections.values():
        _decide_selection(of_selection, policy, reasons)
    return Decision(
        kept=tuple((each, _in_order(why)) for each, why in reasons.items() if why),
        removed=tuple(each for each, why in reasons.items() if not why),
        newest=_named(reasons, "newest"),
        floor=_named(reasons, "floor"),
    )


def _decide_selection(candidates: list[Candidate], policy: Policy, reasons: _Reasons) -> None:
    good = [each for each in candidates if each.good]
    newest = good[-1].snapshot_at if good else None
    for each in candidates:
        if each.state == "damaged":
            reasons[each].add("damaged")
        elif each.state == "suspect" and (newest is None or newest - each.snapshot_at <= policy.suspect):
            reasons[each].add("suspect")
    if newest is None:
        return
    _keep(_newest(good, 1), "newest", reasons)
    _keep_floor(good, policy.floor, reasons)
    for kind in {each.kind for each in good}:
        rule = policy.rule(kind)
        of_kind = [each for each in good if each.kind == kind]
        _keep(_newest(of_kind, rule.last), "keep_last", reasons)
        if rule.within:
            _keep((each for each in of_kind if newest - each.snapshot_at <= rule.within), "keep_within", reasons)
        for name, count, period in _periods(rule, policy.zone):
            _keep(_newest_of_periods(of_kind, count, period), name, reasons)


def _keep_floor(good: list[Candidate], floor: int, reasons: _Reasons) -> None:
    """The newest proven ones; where there are fewer than ``floor``, also the newest others up to that number."""
    proven = _newest([each for each in good if each.state == "proven"], floor)
    _keep(proven, "floor", reasons)
    lacking = floor - len(proven)
    _keep(_newest([each for each in good if each not in proven], lacking), "floor", reasons)


def _periods(rule: Rule, zone: tzinfo) -> tuple[tuple[str, int, Callable[[Candidate], object]], ...]:
    """Days, weeks (from Monday) and months as a calendar in that zone shows them, however many hours a day has."""
    return (
        ("keep_daily", rule.daily, lambda each: each.snapshot_at.astimezone(zone).date()),
        ("keep_weekly", rule.weekly, lambda each: each.snapshot_at.astimezone(zone).isocalendar()[:2]),
        ("keep_monthly", rule.monthly, lambda each: each.snapshot_at.astimezone(zone).timetuple()[:2]),
    )


def _newest(ordered: list[Candidate], count: int) -> list[Candidate]:
    """The newest ``count``, and whatever is exactly as old as the oldest of them."""
    if count <= 0 or not ordered:
        return []
    limit = ordered[-min(count, len(ordered))].snapshot_at
    return [each for each in ordered if each.snapshot_at >= limit]


def _newest_of_periods(ordered: list[Candidate], count: int, period: Callable[[Candidate], object]) -> list[Candidate]:
    """The newest backup of each of the newest ``count`` periods that have any."""
    periods: dict[object, list[Candidate]] = {}
    for each in reversed(ordered):
        periods.setdefault(period(each), []).insert(0, each)
    return [each for members in list(periods.values())[: max(count, 0)] for each in _newest(members, 1)]


def _keep(chosen: Iterable[Candidate], reason: str, reasons: _Reasons) -> None:
    for each in chosen:
        reasons[each].add(reason)


def _in_order(why: set[str]) -> tuple[str, ...]:
    return tuple(name for name in REASONS if name in why)


def _named(reasons: _Reasons, reason: str) -> frozenset[str]:
    return frozenset(each.backup_id for each, why in reasons.items() if reason in why)


def next_expiry(
    decision: Decision, policy: Policy, now: datetime, *, longest: int = 62
) -> tuple[Candidate, datetime] | None:
    """What goes first, and when, where one good backup a day follows the newest one of whole databases.

    None where nothing would within ``longest`` days, or there is no such backup.
    """
    kept = [each for each, _why in decision.kept]
    whole = [each for each in kept if each.selection_hash == Selection().hash and each.backup_id in decision.newest]
    if not whole:
        return None
    for day in range(1, longest + 1):
        at = whole[-1].snapshot_at + timedelta(days=day)
        kept.append(
            replace(whole[-1], backup_id=f"{whole[-1].backup_id}+{day}", snapshot_at=at, held=False, locked=False)
        )
        if removed := decide(kept, policy, max(now, at)).removed:
            return removed[0], at
    return None


def stored_backups(policy: Policy, *, every: timedelta, after: timedelta, kind: str = "scheduled") -> int:
    """How many backups there are ``after`` a time of taking a good one ``every`` so often and keeping to the policy.

    What a plan costs: the rules are applied once at the end, which keeps what applying them each day would keep.
    """
    start = datetime(2001, 1, 1, 2, tzinfo=UTC)
    count = after // every + 1
    history = [
        Candidate(backup_id=f"{n:09d}", snapshot_at=start + n * every, kind=kind, selection_hash="")
        for n in range(count)
    ]
    return len(decide(history, policy, start + after).kept)


def stored_bytes(policy: Policy, *, size: int, every: timedelta, after: timedelta, kind: str = "scheduled") -> int:
    """What :func:`stored_backups` take in the store where each takes ``size`` bytes."""
    return size * stored_backups(policy, every=every, after=after, kind=kind)
