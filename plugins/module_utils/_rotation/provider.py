# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where values of secrets come from (private to ops.runbooks): one interface; its kinds are in ``providers.py``.

A provider is a small class. What a service says of it lives in the package of that service; here is only what a
rotation needs to know. An effect of a provider is idempotent, since a run may die right after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Protocol, runtime_checkable

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new value: the provider's id of it, and its parts. The first of ``parts`` is what fingerprints are made of.

    ``beside`` is the id of the value that counts until this one does; '' where there is none, or it is not known.
    ``known`` is one that is in force already, so that nobody has to learn of it.
    """

    id: str
    parts: Mapping[str, str] = field(repr=False)
    beside: str = ""
    known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a new value works; ``reason`` says why it does not."""

    works: bool
    reason: str = ""


class Provider(Protocol):
    """One kind of secret.

    ``parts`` names what a value is made of. ``ends_sessions`` is a value that is good only as long as somebody holds
    it: no service keeps the earlier one valid.
    """

    @property
    def ends_sessions(self) -> bool:
        """See above."""

    @property
    def parts(self) -> frozenset[str]:
        """See above."""

    def credentials(self) -> tuple[str, ...]:
        """The ids of what there is at the service, without a value; () where nothing can be left behind."""

    def make(self, name: str, current: str | None) -> Made:
        """A new value beside the current one; ``name`` is used once."""

    def apply(self, made: Made) -> None:
        """Set a value that we have made, where the service checks it."""

    def test(self, made: Made) -> Verdict:
        """Whether the service takes it."""

    def in_use(self, credential: str) -> str:
        """By what an earlier value is known to be in use; '' where it is not, or nobody can tell."""

    def disable(self, credential: str) -> None:
        """Take an earlier value out of use, so that it can be brought back."""

    def enable(self, credential: str) -> None:
        """Bring one back."""

    def delete(self, credential: str) -> None:
        """Remove one for good; one that is not there counts as removed."""

    def adopted(self, text: str, name: str) -> Made:
        """A value that is in force already, from its text. Raises ``invalid_parameter`` where it is none."""

    def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class Ripening(Protocol):
    """One whose new value others have to learn of before it may be tried, for so long after it was made."""

    ripens: timedelta


@runtime_checkable
class Limited(Protocol):
    """One whose service takes only so many credentials."""

    def require_room(self) -> None:
        """Raises where there is no room for another one. Asked before a rotation begins, in check mode too."""


@runtime_checkable
class Readable(Protocol):
    """One that shows the value of a credential again, as often as it is asked."""

    def read(self, credential: str) -> Mapping[str, str] | None:
        """The parts of a value; None where there is no such credential."""


@runtime_checkable
class Vague(Protocol):
    """One that tells of a use, and not by whom. After a compromise it is not asked."""

    vague: ClassVar[bool]


@runtime_checkable
class Revivable(Protocol):
    """One that can tell whether a value that was disabled is good again, since somebody has brought it back."""

    def revived(self, credential: str) -> str:
        """By what that is known; '' where it is disabled still, or gone."""


@runtime_checkable
class Breaking(Protocol):
    """One whose service keeps an earlier value good, whether anybody holds it or not."""

    def lasts(self, credential: str) -> str:
        """Why it cannot be ended before the new one is in use; '' where it can. Asks nobody."""

    def end(self, credential: str) -> None:
        """Take it out of use, whoever uses it, so that it can be brought back."""


@runtime_checkable
class Displacing(Protocol):
    """One whose new value takes the place of the one that counts as soon as it is tried."""

    def give_way(self, credential: str, current: str) -> None:
        """Let the one that counts have its place again, where ``credential`` has it."""


@runtime_checkable
class Careful(Protocol):
    """One whose credentials have no names, so that one which nobody knows may be somebody else's."""

    def sweep(self, credential: str, since: datetime) -> None:
        """Remove one that a run of the rotation which began at ``since`` has left; what may be somebody's stays."""


@runtime_checkable
class Occupied(Protocol):
    """One whose service may have a credential of the declared name, or of the declared user, before the first value."""

    def standing(self) -> str:
        """What is there, for a sentence; '' where nothing is. Asked where nothing is on record, in check mode too."""


def already_there(secret: str, what: str) -> RunbookError:
    """The failure for a credential that is none on record: beside a new one it would be good for ever."""
    return RunbookError(
        code="rotation_refused",
        attempted="make the first value",
        object=f"secret {secret}",
        reason=f"{what}, which is not on record and would stay good beside a new one",
        remedy="Run once with adopt=true, which takes it on record and changes nothing outside; or, where nothing "
        "uses it, delete it.",
    )


def not_taken(made: Made, verdict: Verdict, *, adopting: bool = False) -> RunbookError:
    """The failure for a value that does not work: a new one, or one that was given as the one in force."""
    again = "Nobody has been given it. Run the same command again once it should; take_back=true gives it up."
    return RunbookError(
        code="secret_refused",
        attempted="take the value that is in force on record" if adopting else "try the new value",
        object=made.id,
        reason=verdict.reason or "it does not work",
        remedy="Nothing was changed. Give the value that the app uses now." if adopting else again,
    )
