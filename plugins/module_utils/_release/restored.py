# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what serves fits a backup that is to take the place of its database (private to ops.runbooks); pure.

A release is recorded with the migrations that it knows: the last one that it needs, and those that take something away.
A backup says which migration was the newest in it. What serves is what the last move on record brought, or the newest
good release where none is: what others have done at Vercel since, no store knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._postgres.model import MigrationHead
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.taken_away import Taken
from ansible_collections.ops.runbooks.plugins.module_utils._release.releases import Recorded
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.target import Intent

#: How the backup's newest migration stands to the last one that the release needs.
Relation = Literal["same", "older", "newer", "unknown"]
#: Tools whose migrations are in the order of the numbers that their names begin with.
_NUMBERED = ("runbooks", "prisma", "supabase")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One app whose serving release uses the database. ``lacks`` are migrations that have taken something away from the
    backup, which the release does not know; ``instead`` is a good release of the app that would fit, '' where none is.
    """

    app: str
    release: str
    deployment_id: str
    needs: str
    has: str
    relation: Relation
    lacks: tuple[str, ...] = ()
    instead: str = ""

    @property
    def fits(self) -> bool | None:
        """Whether it does; None where nobody can tell."""
        if self.lacks or self.relation == "older":
            return False
        return None if self.relation == "unknown" else True

    def describe(self) -> dict[str, Any]:
        """For results."""
        return {
            "app": self.app,
            "release": self.release,
            "deployment_id": self.deployment_id,
            "needs": self.needs or None,
            "backup_has": self.has or None,
            "relation": self.relation,
            "fits": self.fits,
        }

    def step(self) -> str:
        """What it comes to, for the plan."""
        needs = f"needs migrations up to {self.needs}" if self.needs else "has no migrations on record"
        has = f"the backup has them up to {self.has}" if self.has else "the backup says nothing of any"
        words = {
            "same": "the same, so that it fits",
            "older": "older, so that it does not fit",
            "newer": "newer, which it was made to live with",
            "unknown": "nobody can tell whether it fits",
        }
        end = "newer, and it does not fit" if self.lacks else words[self.relation]
        return f"{self.app} goes on with release {self.release}, which {needs}; {has}: {end}."

    def warning(self, name: str) -> str:
        """What to do where it does not fit; '' where it does, or nobody knows that it does not."""
        if self.fits is not False:
            return ""
        told = f"Release {self.release}, which serves {self.app} by what is on record, does not fit the backup: "
        instead = f", or roll {self.app} back to {self.instead}, which fits" if self.instead else ""
        if self.lacks:
            return (
                f"{told}it does not know {', '.join(self.lacks)}, which has taken something away. Release one that"
                f" knows it{instead}, before {name} is restored."
            )
        return (
            f"{told}it needs migrations up to {self.needs}, and the backup has them up to {self.has}. Run"
            f" ops.runbooks.migrate with its migrations as soon as {name} is restored{instead}: until then it meets"
            " tables and columns that are not there."
        )


def serving(releases: Sequence[Recorded], moves: Iterable[Intent]) -> Recorded | None:
    """What serves by what is on record; both are newest first."""
    last = next((each.to_id for each in moves if each.state == "done"), "")
    if last:
        return next((each for each in releases if each.deployment_id == last), None)
    return next((each for each in releases if each.passed), None)


def fit_of(
    app: str,
    name: str,
    releases: Sequence[Recorded],
    moves: Iterable[Intent],
    head: MigrationHead | None,
    taken: Iterable[Taken],
) -> Fit | None:
    """How what serves an app stands to a backup of the database ``name``; None where it does not use it, as far as is
    known. ``taken`` was taken away from what is in the backup."""
    found = serving(releases, moves)
    known = found.migrations.get(name) if found is not None else None
    if found is None or not isinstance(known, Mapping):
        return None
    names = tuple(each.name for each in taken)
    needs, relation, lacks = _judged(known, head, names)
    return Fit(
        app=app,
        release=found.release,
        deployment_id=found.deployment_id,
        needs=needs,
        has=head.id if head is not None else "",
        relation=relation,
        lacks=lacks,
        instead=_instead(name, found, releases, head, names),
    )


def _judged(
    known: Mapping[str, Any], head: MigrationHead | None, taken: Sequence[str]
) -> tuple[str, Relation, tuple[str, ...]]:
    contract = [str(each) for each in known.get("contract") or ()]
    last = str(known.get("head") or "")
    # Older records do not say what is needed: it is the last one, unless that is for later.
    needs = str(known.get("needs") or ("" if "needs" in known or last in contract else last))
    return needs, _relation(needs, head), tuple(each for each in taken if each not in contract)


def _relation(needs: str, head: MigrationHead | None) -> Relation:
    if head is None or not needs or head.tool not in _NUMBERED:
        return "unknown"
    wanted, there = _NUMBER.match(needs), _NUMBER.match(head.id)
    if wanted is None or there is None:
        return "unknown"
    if int(wanted[0]) != int(there[0]):
        return "older" if int(there[0]) < int(wanted[0]) else "newer"
    if head.id in (needs, there[0]):
        # Supabase knows a migration by its number alone.
        return "same"
    return "older" if head.id < needs else "newer"


def _instead(
    name: str, serves: Recorded, releases: Sequence[Recorded], head: MigrationHead | None, taken: Sequence[str]
) -> str:
    """The newest good release of which it is known that it fits."""
    for each in releases:
        known = each.migrations.get(name)
        if each.passed and each.deployment_id != serves.deployment_id and isinstance(known, Mapping):
            _needs, relation, lacks = _judged(known, head, taken)
            if relation in ("same", "newer") and not lacks:
                return each.release
    return ""
