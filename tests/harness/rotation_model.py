# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small world in which rotations run: a service with keys, destinations, consumers, the store, controllers.

Controllers plan with the collection's own planner and follow its own table, one small move at a time; between any two
moves another controller may move, a consumer may be deployed anew, time may pass, and a controller may die or sleep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.course import Facts, after, remaining
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import (
    Consumer,
    Declaration,
    Request,
    Target,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import (
    COMPROMISE,
    DISTRIBUTING,
    IDLE,
    RETURNING,
    STAGED,
    VERIFYING,
    Ledger,
    Value,
    Written,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.phases import TABLE, Action, Effect
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import (
    BEFORE_PROOF,
    Seen,
    Sight,
    Step,
    Use,
    Wait,
    holds,
    next_step,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.retired import may_have_retired
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Template

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
#: What passes at once when time does: more than a period of grace, and less than a third of what a value may grow old.
LEAP = timedelta(days=29)
#: A key at the service that is none of ours.
FOREIGN = "foreign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The variant that is looked at. Without ``fenced`` it is one with a mistake in it."""

    declaration: Declaration
    controllers: int = 1
    deaths: int = 1
    limit: int = 3
    rotations: int = 1
    take_back: bool = False
    fenced: bool = True
    #: Whether rotations end the earlier value first, and accept the outage.
    broken: bool = False

    @property
    def request(self) -> Request:
        """What runs are asked for."""
        return Request(reason=COMPROMISE, break_first=True, rotation_id="x") if self.broken else Request()


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """One run: what it has read, the step that it is at, and how far it is in it."""

    number: int
    ledger: Ledger
    seen: Seen
    request: Request
    entered: bool = False
    step: Step | None = None
    moves: tuple[tuple[str, Effect], ...] = ()
    listed: tuple[str, ...] = ()
    made: str = ""
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything there is. ``places`` and ``running`` hold names of contents, as the ledger calls them."""

    ledger: Ledger = field(default_factory=Ledger)
    number: int = 0
    keys: frozenset[str] = frozenset({FOREIGN})
    disabled: frozenset[str] = frozenset()
    slots: frozenset[tuple[str, str]] = frozenset()
    places: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    days: int = 0
    made: int = 0
    #: How many controllers may still die: each death costs an epoch, of which there are endlessly many.
    deaths: int = 0
    controllers: tuple[Controller | None, ...] = ()

    @property
    def now(self) -> datetime:
        return BEGINNING + LEAP * self.days


def minted(**rules: int | bool) -> Rules:
    """Keys that a service makes and limits; two destinations, two consumers, one per destination."""
    targets = tuple(Target(name=f"place{number}", kind="file") for number in range(2))
    consumers = tuple(Consumer(name=f"consumer{number}", url="", reports="x") for number in range(2))
    made = Declaration(name="x", provider="mint", targets=targets, consumers=consumers, lasts=lambda _credential: "")
    return Rules(declaration=made, **rules)  # type: ignore[arg-type]


def generated(**rules: int | bool) -> Rules:
    """A value of ours, with the earlier one beside it in the second destination."""
    targets = (
        Target(name="place0", kind="file"),
        Target(name="place1", kind="file", template=Template("{value} {previous}")),
    )
    consumers = tuple(Consumer(name=f"consumer{number}", url="", reports="x") for number in range(2))
    made = Declaration(name="x", provider="generated", targets=targets, consumers=consumers, ends_sessions=True)
    return Rules(declaration=made, limit=99, **rules)  # type: ignore[arg-type]


def beginning(rules: Rules) -> World:
    """A secret that has been rotated once before, and whose next rotation is due."""
    value = Value(id="k0", fingerprint="", slot="s0", since=BEGINNING)
    names = [each.name for each in rules.declaration.targets]
    written = tuple(Written(destination=name, holds="k0", mark="k0", at=BEGINNING) for name in names)
    return World(
        ledger=Ledger(current=value, written=written, reason="scheduled"),
        number=1,
        keys=frozenset({FOREIGN, "k0"}),
        slots=frozenset({("s0", "k0")}),
        places=("k0",) * len(names),
        running=("k0",) * len(rules.declaration.consumers),
        days=4,
        deaths=rules.deaths,
        controllers=(None,) * rules.controllers,
    )


def moves(world: World, rules: Rules) -> Iterator[World]:
    """Every world that may come next."""
    for index, controller in enumerate(world.controllers):
        if controller is None:
            yield _with(world, index, _started(world, rules, rules.request))
            if rules.broken and not rules.take_back and not world.ledger.history:
                # One that is due begins by itself, and somebody wants the earlier value ended while it is under way.
                yield _with(world, index, _started(world, rules, Request()))
            if rules.take_back and world.ledger.phase != IDLE:
                yield _with(world, index, _started(world, rules, Request(take_back=True)))
            continue
        if world.deaths and controller.step is not None:
            yield _with(replace(world, deaths=world.deaths - 1), index, None)
        yield _moved(world, rules, index, controller)
    for index, content in enumerate(world.running):
        if content != world.places[index]:
            running = (*world.running[:index], world.places[index], *world.running[index + 1 :])
            yield replace(world, running=running)
    if waits_for_date(world, rules):
        yield replace(world, days=world.days + 1)


def waits_for_date(world: World, rules: Rules) -> bool:
    """Whether time passing makes a difference."""
    if world.ledger.phase == IDLE:
        done = sum(each.outcome == "rotated" for each in world.ledger.history)
        current = world.ledger.current
        return done < rules.rotations and current is not None and world.now < current.since + rules.declaration.max_age
    return world.ledger.not_before is not None and world.now < world.ledger.not_before


def _with(world: World, index: int, controller: Controller | None) -> World:
    controllers = (*world.controllers[:index], controller, *world.controllers[index + 1 :])
    return replace(world, controllers=controllers)


def look(world: World, rules: Rules) -> Seen:
    """What a run finds outside."""
    names = [each.name for each in rules.declaration.targets]
    sights = tuple(
        (name, Sight(exists=bool(content), mark=content)) for name, content in zip(names, world.places, strict=True)
    )
    wanted, _beside = world.ledger.wanted()
    other = world.ledger.other()
    uses = []
    for consumer, content in zip(rules.declaration.consumers, world.running, strict=True):
        held = content.split("+")
        if wanted is not None and held[0] == wanted.id:
            uses.append(
                Use(consumer=consumer.name, uses="wanted", accepts_other=other is not None and other.id in held)
            )
        elif other is not None and held[0] == other.id:
            uses.append(Use(consumer=consumer.name, uses="other", accepts_other=True))
        else:
            uses.append(Use(consumer=consumer.name, uses="neither"))
    return Seen(sights=sights, uses=tuple(uses))


def _started(world: World, rules: Rules, request: Request) -> Controller:
    return Controller(number=world.number, ledger=world.ledger, seen=look(world, rules), request=request)


def _moved(world: World, rules: Rules, index: int, controller: Controller) -> World:
    """One move of one controller; it ends where it has to wait, is overtaken, or is refused."""
    if controller.step is None:
        return _with(world, index, _chosen(world, rules, controller))
    if controller.moves:
        (half, effect), rest = controller.moves[0], controller.moves[1:]
        return _effected(world, rules, index, replace(controller, moves=rest), half, effect)
    return _swapped(world, rules, index, controller)


def _chosen(world: World, rules: Rules, controller: Controller) -> Controller | None:
    try:
        step = next_step(
            rules.declaration,
            controller.ledger,
            controller.seen,
            controller.request,
            world.now,
            entered=controller.entered,
        )
    except RunbookError:
        return None
    if isinstance(step, Wait):
        return None
    halves = []
    for effect in TABLE[step.action].effects:
        halves += [("list", effect)] * (effect in (Effect.SWEEP, Effect.FORGET))
        halves += [("fence", effect)] * rules.fenced + [("do", effect)]
    known = tuple(sorted(world.keys)) if step.action is Action.BEGIN else ()
    named = controller.request.rotation_id or f"r{len(controller.ledger.history)}"
    facts = Facts(rotation_id=named, known=known)
    return replace(controller, step=step, moves=tuple(halves), listed=(), made="", facts=facts)


def _effected(world: World, rules: Rules, index: int, controller: Controller, half: str, effect: Effect) -> World:
    if half == "fence":
        return _with(world, index, controller if controller.number == world.number else None)
    if half == "list":
        return _with(world, index, replace(controller, listed=_listed(world, rules, controller, effect)))
    done = _DO[effect](world, rules, controller)
    if done is None:
        return _with(world, index, None)
    world, controller = done
    return _with(world, index, controller)


def _listed(world: World, rules: Rules, controller: Controller, effect: Effect) -> tuple[str, ...]:
    ledger = controller.ledger
    if effect is Effect.SWEEP:
        ours = {each.id for each in (ledger.current, ledger.new, ledger.old) if each is not None}
        return tuple(sorted(world.keys - ours - set(ledger.known)))
    if controller.step is None:
        raise ValueError("what lists has a step")
    follows = after(
        ledger, controller.step, controller.facts, rules.declaration, controller.request, controller.seen, world.now
    )
    return tuple(sorted(slot for slot, _key in world.slots if slot not in follows.slots()))


_Done = tuple[World, Controller] | None


def _make(world: World, rules: Rules, controller: Controller) -> _Done:
    if len(world.keys) >= rules.limit:
        return None
    key = f"k{world.made + 1}"
    return replace(world, made=world.made + 1, keys=world.keys | {key}), replace(controller, made=key)


def _keep(world: World, rules: Rules, controller: Controller) -> _Done:
    ledger = controller.ledger
    slot = f"{ledger.rotation_id}.{ledger.epoch}"
    if slot in dict(world.slots):
        return None
    value = Value(id=controller.made, fingerprint="", slot=slot, since=world.now)
    slots = frozenset(each for each in world.slots if each[0] != slot) | {(slot, controller.made)}
    return replace(world, slots=slots), replace(controller, facts=replace(controller.facts, value=value))


def _test(world: World, rules: Rules, controller: Controller) -> _Done:
    new = controller.ledger.new
    return (world, controller) if new is not None and new.id in world.keys else None


def _write(world: World, rules: Rules, controller: Controller) -> _Done:
    step = controller.step
    wanted, beside = controller.ledger.wanted()
    if step is None or wanted is None:
        raise ValueError("what is written is there")
    kept = dict(world.slots)
    if wanted.slot not in kept:
        return None
    # What a destination gets is what the slot holds, whatever the ledger says of it.
    value = replace(wanted, id=kept[wanted.slot])
    content = holds(rules.declaration.target(step.target), value, beside)
    number = [each.name for each in rules.declaration.targets].index(step.target)
    places = (*world.places[:number], content, *world.places[number + 1 :])
    named = holds(rules.declaration.target(step.target), wanted, beside)
    written = Written(destination=step.target, holds=named, mark=content, at=world.now)
    seen = controller.seen.having(step.target, Sight(exists=True, mark=content))
    return (
        replace(world, places=places),
        replace(controller, seen=seen, facts=replace(controller.facts, written=(written,))),
    )


def _disable(world: World, rules: Rules, controller: Controller) -> _Done:
    old = controller.ledger.old
    return replace(world, disabled=world.disabled | ({old.id} if old is not None else set())), controller


def _end(world: World, rules: Rules, controller: Controller) -> _Done:
    current = controller.ledger.current
    return replace(world, disabled=world.disabled | ({current.id} if current is not None else set())), controller


def _enable(world: World, rules: Rules, controller: Controller) -> _Done:
    ledger = controller.ledger
    back = ledger.current if ledger.phase in (*BEFORE_PROOF, RETURNING) else ledger.old
    return replace(world, disabled=world.disabled - ({back.id} if back is not None else set())), controller


def _sweep(world: World, rules: Rules, controller: Controller) -> _Done:
    return replace(world, keys=world.keys - set(controller.listed)), controller


def _delete(world: World, rules: Rules, controller: Controller) -> _Done:
    if controller.step is None:
        raise ValueError("what deletes has a step")
    ledger = controller.ledger
    gone = ledger.old if controller.step.action is Action.CLEAR else ledger.new
    ids = {gone.id} if gone is not None else set()
    return replace(world, keys=world.keys - ids, disabled=world.disabled - ids), controller


def _forget(world: World, rules: Rules, controller: Controller) -> _Done:
    return replace(world, slots=frozenset(each for each in world.slots if each[0] not in controller.listed)), controller


_DO = {
    Effect.SWEEP: _sweep,
    Effect.MAKE: _make,
    Effect.KEEP: _keep,
    Effect.APPLY: _test,
    Effect.TEST: _test,
    Effect.END: _end,
    Effect.WRITE: _write,
    Effect.DISABLE: _disable,
    Effect.ENABLE: _enable,
    Effect.DELETE: _delete,
    Effect.FORGET: _forget,
}


def _swapped(world: World, rules: Rules, index: int, controller: Controller) -> World:
    step = controller.step
    if step is None or controller.number != world.number:
        return _with(world, index, None)
    follows = after(
        controller.ledger, step, controller.facts, rules.declaration, controller.request, controller.seen, world.now
    )
    world = replace(world, ledger=follows, number=world.number + 1)
    going_on = Controller(
        number=world.number,
        ledger=follows,
        seen=look(world, rules),
        request=remaining(controller.request, step, controller.ledger, follows),
        entered=controller.entered or step.action in (Action.ENTER, Action.BEGIN),
    )
    return _with(world, index, going_on)


def harm(world: World) -> str:
    """What must never be: '' where all is well."""
    live = world.keys - world.disabled
    accepted = {world.ledger.current.id} if world.ledger.withdrawn_at and world.ledger.current is not None else set()
    accepted |= {world.ledger.old.id} if world.ledger.withdrawn_at and world.ledger.old is not None else set()
    if world.disabled & accepted and not may_have_retired(world.ledger):
        return "what was ended first is dead, and the ledger lets what was built with it serve again"
    live |= world.disabled & accepted
    if dead := [each for each in world.running if each.partition("+")[0] not in live]:
        return f"a consumer runs with {dead[0]}, which is dead"
    if dead := [each for each in world.places if each.partition("+")[0] not in live]:
        return f"a destination holds {dead[0]}, which is dead"
    old = world.ledger.old
    if old is not None and old.id in world.disabled and not may_have_retired(world.ledger):
        return f"{old.id} is dead, and the ledger lets what was built with it serve again"
    kept = {slot for slot, _key in world.slots}
    needed = [world.ledger.current]
    needed += [world.ledger.new] if world.ledger.phase in (STAGED, DISTRIBUTING, VERIFYING) else []
    if lost := [each.id for each in needed if each is not None and each.slot not in kept]:
        return f"the value {lost[0]} is lost"
    return "" if FOREIGN in world.keys else "a foreign key is gone"


def settled(world: World, rules: Rules, *, orphans: bool = False) -> str:
    """Why clean runs do not lead to the one right end from here; '' where they do."""
    world = replace(world, controllers=(None,))
    alone = replace(rules, controllers=1, take_back=False, rotations=0)
    for _round in range(12):
        before = world
        world = _clean_run(world, alone)
        world = replace(world, running=world.places)
        if world.ledger.phase != IDLE and waits_for_date(world, alone):
            world = replace(world, days=world.days + 1)
        if world == before:
            break
    current = world.ledger.current
    if world.ledger.phase != IDLE or current is None:
        return f"it stays in {world.ledger.phase}"
    if {each.partition("+")[0] for each in world.places} != {current.id}:
        return f"destinations hold {world.places}"
    if not orphans and world.keys != {FOREIGN, current.id}:
        return f"keys are left: {sorted(world.keys)}"
    if world.keys < {FOREIGN, current.id} or current.id in world.disabled:
        return "the current key is dead"
    return harm(world)


def _clean_run(world: World, rules: Rules) -> World:
    world = _with(world, 0, _started(world, rules, rules.request))
    while (controller := world.controllers[0]) is not None:
        world = _moved(world, rules, 0, controller)
    return world
