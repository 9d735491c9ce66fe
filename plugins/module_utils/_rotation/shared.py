# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Places of which several destinations write a part each (private to ops.runbooks); pure.

Such a place has but one mark for all of it, so that what one destination has written looks to the next one as if
somebody else had changed its own part. Each that writes puts on record as what it has found the place: so the ledgers
together tell whether a mark has come from another one by nothing but what they have written themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger, Written
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight

#: Marks from before that are kept on record.
_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """What another destination was given last, and of which secret it is."""

    secret: str
    written: Written


def upon(before: Written | None, found: str) -> tuple[str, ...]:
    """The marks of the place from which that of what is written now has come, the newest first.

    ``found`` is its mark right before that, and ``before`` what the same destination has written before.
    """
    if not found:
        return ()
    return (found, *(before.upon if before is not None and before.mark == found else ()))[:_KEPT]


def unsettled(ledger: Ledger, sights: Collection[tuple[str, Sight]]) -> bool:
    """Whether a place looks changed of which others may have changed their own parts."""
    known = {name: ledger.holding(name) for name, sight in sights if sight.parts}
    return any(
        written is not None and written.mark != sight.mark for name, sight in sights if (written := known.get(name))
    )


def others_of(secret: str, destination: str, ledgers: Mapping[str, Ledger]) -> tuple[Other, ...]:
    """What all other destinations on record were given."""
    return tuple(
        Other(secret=name, written=each)
        for name, ledger in ledgers.items()
        for each in ledger.written
        if (name, each.destination) != (secret, destination) and each.parts
    )


def settled(secret: str, ledger: Ledger, name: str, sight: Sight, ledgers: Mapping[str, Ledger]) -> Sight:
    """A destination as it is for itself: as it was written, where only others have changed the place since, by their
    own parts. Raises ``destination_unusable`` where one of these writes a part of this one's."""
    written = ledger.holding(name)
    if not sight.parts or written is None or written.mark == sight.mark:
        return sight
    others = others_of(secret, name, ledgers)
    reached, waiting = {sight.mark}, [sight.mark]
    while waiting and written.mark not in reached:
        mark = waiting.pop()
        for each in (each for each in others if each.written.mark == mark):
            if both := sorted(set(each.written.parts) & set(sight.parts)):
                raise _written_twice(secret, name, each, both[0])
            waiting += [before for before in each.written.upon if before not in reached]
            reached |= set(each.written.upon)
    return replace(sight, mark=written.mark) if written.mark in reached else sight


def _written_twice(secret: str, name: str, other: Other, part: str) -> RunbookError:
    return RunbookError(
        code="destination_unusable",
        attempted="look at the destination of a secret",
        object=f"{name} of {secret}",
        reason=f"its input {part} is written by {other.written.destination} of the secret {other.secret} too",
        remedy="Let one of them write it.",
    )
