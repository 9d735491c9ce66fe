# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a value that is in force on record (private to ops.runbooks): it is proven first, and nothing is written.

What is on record as the value that counts is written wherever somebody changes it, and is what a rotation goes back to:
a wrong one would take the place of the right one. So its service has to take it, every consumer that answers has to use
it, and every destination that can be read back has to hold it. What nobody can read is on record as unread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.consumers import ask
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import CURRENT_VARIABLE, Declaration
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import essence
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger, Value
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.own import refuse_own
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Seen
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, not_taken

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation.engine import Parties

_ATTEMPTED = "take the value that is in force on record"


class Adoption:
    """Of one secret, in one run. ``given`` is the value, '' where the destinations are to tell it."""

    def __init__(self, declaration: Declaration, parties: Parties, context: Context, given: str) -> None:
        self._declaration = declaration
        self._parties = parties
        self._context = context
        self._given = given
        self._made: Made | None = None
        self._proofs: list[str] = []

    def made(self, name: str) -> Made:
        """The value, proven once in a run. Raises what says why it is not the one that counts."""
        if self._made is None:
            self._made = self._proven(name)
        return self._made

    def look(self, name: str, seen: Seen) -> Seen:
        """The world with the destinations that hold the value, and those of which nobody can tell what they hold."""
        made, held, unread = self.made(name), [], []
        for target in self._declaration.targets:
            wanted, there = target.template.render(made.parts, None), seen.sight(target.name).exists
            if not there:
                # Where nothing is to be, nothing is missing; what is missing the next run writes.
                held += [] if wanted else [target.name]
                continue
            # What stands beside a value from before is nothing that this one could be compared with.
            text = None if target.template.uses_previous else self._parties.destinations[target.name].read()
            if text is None:
                unread.append(target.name)
            elif text in (wanted, self._given) or _same(text, wanted):
                held.append(target.name)
            else:
                raise self._refused(
                    f"{target.name} holds another text than {target.template.text} with that value",
                    "Find out which value counts, and give that one; where it is the same in another form, declare "
                    "that form as the value of the destination.",
                )
        self._say(held, unread)
        return replace(seen, held=tuple(held), unread=tuple(unread))

    def _proven(self, name: str) -> Made:
        provider = self._parties.provider
        if not self._declaration.targets:
            # What nobody ever sees is told by its service.
            return provider.adopted("", name)
        text = self._given or self._found()
        self._context.redactor.protect(text)
        made = replace(provider.adopted(text, name), known=True)
        for part in made.parts.values():
            self._context.redactor.protect(part)
        self._refuse_own(made)
        self._test(made)
        self._ask(made, text)
        return made

    def _found(self) -> str:
        """What the destinations that hold the value and nothing else have, all of them the same."""
        plain = [each.name for each in self._declaration.targets if each.template.plain]
        found = {text for name in plain if (text := self._parties.destinations[name].read())}
        if len(found) == 1:
            return found.pop()
        reason = "its destinations hold different values" if found else "no destination can be read back"
        raise self._refused(
            reason,
            f"Put it into the environment variable {CURRENT_VARIABLE} of this command, and never on its line "
            "(in a task of your own: current_value, from a lookup).",
        )

    def _refuse_own(self, made: Made) -> None:
        fingerprint = self._parties.keys.fingerprint(essence(made.parts))
        known = Value(id=made.id, fingerprint=fingerprint, slot="", since=self._context.clock.now())
        refuse_own(self._declaration, Ledger(current=known), self._parties.owns, self._parties.keys)

    def _test(self, made: Made) -> None:
        """As a new value is tried before anybody gets it; of some only who uses it can say whether it works."""
        try:
            verdict = self._parties.provider.test(made)
        except RunbookError as error:
            raise RunbookError(
                code=error.code,
                attempted=_ATTEMPTED,
                object=f"secret {self._declaration.name}",
                reason=f"it does not work: could not {error.attempted} ({error.object}): {error.reason}",
                remedy="Nothing was changed. Give the value that the app uses now, whole and as it is.",
            ) from None
        if not verdict.works:
            raise not_taken(made, verdict, adopting=True)
        self._proofs += [] if self._declaration.ends_sessions else ["its service"]

    def _ask(self, made: Made, text: str) -> None:
        """What consumers say that they use, in the declared form or in the one that was given."""
        for consumer in self._declaration.consumers:
            use = ask(consumer, consumer.template.render(made.parts, None), text, self._context)
            if use.uses == "neither":
                raise self._refused(
                    f"the consumer {consumer.name} uses another value",
                    "Give the one that it uses. Where it is the same in another form, declare that form as the value "
                    "of the consumer.",
                )
            self._proofs += [] if use.uses == "silent" else [consumer.name]

    def _say(self, held: list[str], unread: list[str]) -> None:
        """What nobody could prove is said, once."""
        if unread and not (held or self._proofs):
            self._proofs.append("nobody")
            self._context.warn(
                f"Nobody could prove that the value given for {self._declaration.name} is the one in force: "
                f"{' and '.join(unread)} cannot be read back, and no consumer has said what it uses."
            )

    def _refused(self, reason: str, remedy: str) -> RunbookError:
        return RunbookError(
            code="rotation_refused",
            attempted=_ATTEMPTED,
            object=f"secret {self._declaration.name}",
            reason=reason,
            remedy=remedy,
        )


def _same(text: str, wanted: str) -> bool:
    """Whether two texts are the same JSON."""
    try:
        found: Mapping[str, object] = json.loads(text)
        return isinstance(found, dict) and bool(found == json.loads(wanted))
    except ValueError:
        return False
