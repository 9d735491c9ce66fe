# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What carries a rotation out (private to ops.runbooks): the rows of the table, one after the other.

Before each effect it looks whether the ledger is still the one that was planned from, and whether the run may go on at
all; after the effects of a row it swaps the ledger. Where another run has written meanwhile it stops, with nothing
done: what it has left behind is what the table's recovery is for.

What is to be removed is listed before the look at the ledger and removed after it. So a run that was asleep in between
finds out that it was, and removes nothing that another run has made since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.adoption import Adoption
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.course import (
    Facts,
    adopted_places,
    after,
    identity,
    placed,
    remaining,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Declaration, Request
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination import Destination, Marked
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import Opened, Vault, essence
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.ledger import Book, Entry
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import (
    IDLE,
    RETURNING,
    Ledger,
    Value,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.own import Own, refuse_own
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.phases import TABLE, Action, Effect
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import (
    BEFORE_PROOF,
    Seen,
    Sight,
    Step,
    Wait,
    holds,
    next_step,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import (
    Breaking,
    Careful,
    Displacing,
    Made,
    Provider,
    not_taken,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.shared import settled, unsettled
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.witnesses import Witnesses

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Steps after which the world is as it was, and what was said of it still stands.
_STANDING = (Action.ENTER, Action.RETIRE, Action.FINISH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Everybody who has a part in the rotation of one secret. ``owns`` are what the run itself works with."""

    book: Book
    vault: Vault
    provider: Provider
    destinations: Mapping[str, Destination]
    keys: Keys
    owns: tuple[Own, ...] = ()
    #: Where all secrets of the environment stand.
    ledgers: Callable[[], Mapping[str, Ledger]] = dict


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Ledger and world at one time."""

    entry: Entry
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far a run has come, what is waited for, and how many requests each phase has taken."""

    state: State
    wait: Wait
    requests: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class _Work:
    """One step under way: what its effects have found and made."""

    step: Step
    entry: Entry
    seen: Seen
    facts: Facts
    listed: tuple[str, ...] = ()
    made: Made | None = None


class Engine:
    """One secret in one run."""

    def __init__(
        self, declaration: Declaration, request: Request, parties: Parties, context: Context, adopted: str = ""
    ) -> None:
        self._declaration = declaration
        self._request = request
        self._parties = parties
        self._context = context
        self._adoption = Adoption(declaration, parties, context, adopted)
        self._entered = False
        self._opened = Opened(parties.vault, parties.keys)
        self._witnesses = Witnesses(declaration, parties.provider, self._opened, context)
        #: Requests so far, by phase.
        self.requests: dict[str, int] = {}
        #: What was found last, for a failure too.
        self.entry = Entry(number=0, ledger=Ledger())

    def look(self, now: datetime) -> State:
        """Read ledger and destinations, and ask the consumers where they decide. Changes nothing."""
        self.entry = entry = self._parties.book.read()
        self._parties.keys.check(entry.ledger.key, self._declaration.name)
        if not self._request.take_back:
            self._parties.vault.check()
            refuse_own(self._declaration, entry.ledger, self._parties.owns, self._parties.keys)
        sights = tuple((name, destination.observe()) for name, destination in self._parties.destinations.items())
        seen = Seen(sights=self._settled(entry.ledger, sights))
        if self._request.adopt and entry.ledger.phase == IDLE and entry.ledger.current is None:
            seen = self._adoption.look(f"adopted.{entry.ledger.epoch}", seen)
        return State(entry=entry, seen=self._witnesses.ask(entry.ledger, self._request, seen, now))

    def _settled(self, ledger: Ledger, sights: tuple[tuple[str, Sight], ...]) -> tuple[tuple[str, Sight], ...]:
        """Where others write parts of a place, the ledgers tell whether they have changed it, and nobody else."""
        if not unsettled(ledger, sights):
            return sights
        ledgers, name = self._parties.ledgers(), self._declaration.name
        return tuple((each, settled(name, ledger, each, sight, ledgers)) for each, sight in sights)

    def run(self, state: State) -> Outcome:
        """As far as it may go now."""
        entry, seen = state.entry, state.seen
        while True:
            now = self._context.clock.now().replace(microsecond=0)
            chosen = next_step(self._declaration, entry.ledger, seen, self._request, now, entered=self._entered)
            if isinstance(chosen, Wait):
                return Outcome(state=State(entry=entry, seen=seen), wait=chosen, requests=dict(self.requests))
            before, since = entry.ledger, self._context.requests
            entry, seen = self._carry_out(chosen, entry, seen, now)
            self._request = remaining(self._request, chosen, before, entry.ledger)
            if chosen.action not in _STANDING:
                seen = self._witnesses.ask(entry.ledger, self._request, seen, now)
            spent = self._context.requests - since
            self.requests[before.phase] = self.requests.get(before.phase, 0) + spent

    def _carry_out(self, step: Step, entry: Entry, seen: Seen, now: datetime) -> tuple[Entry, Seen]:
        ledger = entry.ledger
        rotation_id = identity(ledger, self._declaration, self._request, self._context.run_id, now)
        known = self._parties.provider.credentials() if step.action is Action.BEGIN else ()
        proof = self._proof(seen) if step.action is Action.PROVE else ""
        work = _Work(step=step, entry=entry, seen=seen, facts=Facts(rotation_id=rotation_id, known=known, proof=proof))
        for effect in TABLE[step.action].effects:
            self._prepare(effect, work, now)
            self._fence(effect, work)
            self._EFFECTS[effect](self, work, now)
        follows = after(ledger, step, work.facts, self._declaration, self._request, work.seen, now)
        self._context.effect(f"write down that {self._declaration.name} is {follows.phase}")
        swapped = self._parties.book.swap(entry, replace(follows, key=self._parties.keys.known_by()))
        if swapped is None:
            raise self._overtaken("write down where the secret stands")
        self._entered = self._entered or step.action in (Action.ENTER, Action.BEGIN)
        self.entry = swapped
        return swapped, work.seen

    def _fence(self, effect: Effect, work: _Work) -> None:
        """The last look before a change: at the ledger, and at whether this run may still work."""
        if self._parties.book.read().number != work.entry.number:
            raise self._overtaken(effect.value)
        where = f" {work.step.target}" if work.step.target else ""
        self._context.effect(f"{effect.value}{where}")

    def _prepare(self, effect: Effect, work: _Work, now: datetime) -> None:
        """List what is to be removed, before the look at the ledger."""
        ledger = work.entry.ledger
        if effect is Effect.SWEEP:
            ours = {each.id for each in (ledger.current, ledger.new, ledger.old) if each is not None}
            found = self._parties.provider.credentials()
            work.listed = tuple(each for each in found if each not in ours and each not in ledger.known)
        elif effect is Effect.FORGET:
            kept = after(ledger, work.step, work.facts, self._declaration, self._request, work.seen, now).slots()
            work.listed = tuple(each for each in self._parties.vault.slots(ledger.slots()) if each not in kept)

    def _sweep(self, work: _Work, now: datetime) -> None:
        provider, since = self._parties.provider, work.entry.ledger.started_at or now
        for credential in work.listed:
            if isinstance(provider, Careful):
                provider.sweep(credential, since)
            else:
                provider.delete(credential)

    def _make(self, work: _Work, now: datetime) -> None:
        ledger = work.entry.ledger
        name = f"{ledger.rotation_id}.{ledger.epoch}"
        self._parties.vault.ready()
        work.made = self._parties.provider.make(name, ledger.current.id if ledger.current is not None else None)
        for part in work.made.parts.values():
            self._context.redactor.protect(part)

    def _keep(self, work: _Work, now: datetime) -> None:
        ledger = work.entry.ledger
        if work.step.action is Action.ADOPT:
            work.made = self._adoption.made(f"adopted.{ledger.epoch}")
            slot = f"adopted.{ledger.epoch}"
        else:
            slot = f"{ledger.rotation_id}.{ledger.epoch}"
        if work.made is None:
            raise ValueError("what is kept was made")
        lies = self._opened.keep(slot, work.made)
        if lies is None:
            raise self._overtaken("keep the value in the store")
        fingerprint = self._parties.keys.fingerprint(essence(work.made.parts))
        work.facts = replace(work.facts, value=Value(id=work.made.id, fingerprint=fingerprint, slot=lies, since=now))
        if work.step.action is Action.ADOPT and work.facts.value is not None:
            written = adopted_places(work.facts.value, work.seen, now)
            work.facts = replace(work.facts, written=written)

    def _apply(self, work: _Work, now: datetime) -> None:
        work.made = self._new(work)
        self._parties.provider.apply(work.made)

    def _test(self, work: _Work, now: datetime) -> None:
        made = work.made or self._new(work)
        verdict = self._parties.provider.test(made)
        if not verdict.works:
            raise not_taken(made, verdict)

    def _end(self, work: _Work, now: datetime) -> None:
        current, provider = work.entry.ledger.current, self._parties.provider
        if current is not None and isinstance(provider, Breaking):
            provider.end(current.id)

    def _write(self, work: _Work, now: datetime) -> None:
        target = self._declaration.target(work.step.target)
        wanted, beside = work.entry.ledger.wanted()
        if wanted is None:
            raise ValueError("what is written is there")
        uses = beside is not None and target.template.uses_previous
        text = target.template.render(
            self._opened.parts(wanted), self._opened.parts(beside) if beside and uses else None
        )
        self._context.redactor.protect(text)
        ledger, destination = work.entry.ledger, self._parties.destinations[target.name]
        # It is written since it is not what is on record; only what is adopted may be there by its mark.
        adopted = ledger.phase == IDLE and ledger.holding(target.name) is None
        if isinstance(destination, Marked) and not adopted:
            sight = destination.write_again(text)
        else:
            sight = destination.write(text)
        if not text and ledger.holding(target.name) is None:
            # Nothing was there and nothing is: nobody has to be deployed anew for that.
            sight = replace(sight, changed=0)
        content = holds(target, wanted, beside)
        written = placed(ledger, target.name, content, sight, now)
        work.facts = replace(work.facts, written=(written,))
        work.seen = work.seen.having(target.name, sight)

    def _disable(self, work: _Work, now: datetime) -> None:
        old, provider = work.entry.ledger.old, self._parties.provider
        if old is None:
            return
        if work.entry.ledger.broken and isinstance(provider, Breaking):
            provider.end(old.id)
        else:
            provider.disable(old.id)

    def _enable(self, work: _Work, now: datetime) -> None:
        ledger = work.entry.ledger
        back = ledger.current if ledger.phase in (*BEFORE_PROOF, RETURNING) else ledger.old
        if back is not None:
            self._parties.provider.enable(back.id)

    def _delete(self, work: _Work, now: datetime) -> None:
        ledger = work.entry.ledger
        gone, provider = ledger.old if work.step.action is Action.CLEAR else ledger.new, self._parties.provider
        if gone is None:
            return
        if work.step.action is Action.DROP and ledger.current is not None and isinstance(provider, Displacing):
            provider.give_way(gone.id, ledger.current.id)
        provider.delete(gone.id)

    def _forget(self, work: _Work, now: datetime) -> None:
        """At best effort: what is left is of no use to anybody."""
        try:
            for slot in work.listed:
                self._parties.vault.forget(slot)
        except RunbookError as error:
            if error.code not in ("store_denied", "service_denied"):
                raise
            self._context.warn("Values that are out of use stay where they were kept: it does not let them go.")

    _EFFECTS: Mapping[Effect, Callable[[Engine, _Work, datetime], None]] = {
        Effect.SWEEP: _sweep,
        Effect.MAKE: _make,
        Effect.KEEP: _keep,
        Effect.APPLY: _apply,
        Effect.TEST: _test,
        Effect.END: _end,
        Effect.WRITE: _write,
        Effect.DISABLE: _disable,
        Effect.ENABLE: _enable,
        Effect.DELETE: _delete,
        Effect.FORGET: _forget,
    }

    def _new(self, work: _Work) -> Made:
        new = work.entry.ledger.new
        if new is None:
            raise ValueError("what is tried was made")
        current = work.entry.ledger.current
        beside = current.id if current is not None else ""
        return Made(id=new.id, parts=self._opened.parts(new), beside=beside)

    def _proof(self, seen: Seen) -> str:
        """By what the new value is known to be in use, for the record."""
        if seen.uses:
            return f"asked {', '.join(each.consumer for each in seen.uses)}"
        return "deployment" if any(sight.built is not None for _name, sight in seen.sights) else "none"

    def _overtaken(self, attempted: str) -> RunbookError:
        return RunbookError(
            code="rotation_overtaken",
            attempted=attempted,
            object=self._parties.book.where,
            reason="another run has continued the rotation of this secret meanwhile",
            remedy="Nothing more was changed. Run the same command again: it goes on from what the store says.",
        )
