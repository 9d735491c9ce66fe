# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where values of secrets come from (private to ops.runbooks): one interface, and a table of its kinds.

A provider is a small class. What a service says of it lives in the package of that service; here is only what a
rotation needs to know. An effect of a provider is idempotent, since a run may die right after it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new value: the provider's id of it, and its parts. The first of ``parts`` is what fingerprints are made of."""

    id: str
    parts: Mapping[str, str] = field(repr=False)


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

    parts: ClassVar[frozenset[str]]
    ends_sessions: ClassVar[bool]

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


ALPHABETS: Mapping[str, str] = {
    "url": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    "alphanumeric": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "hex": "0123456789abcdef",
}
#: Bits below which a value could be guessed from what a consumer says of it.
_FEWEST_BITS, _LONGEST = 128, 4096


class Generated:
    """A random text that only the app itself knows: the secret of its sessions, of its webhooks, ..."""

    parts: ClassVar[frozenset[str]] = frozenset({"value"})
    ends_sessions: ClassVar[bool] = True

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        self._alphabet = ALPHABETS[options["alphabet"]]
        self._length = int(options["length"])
        bits = (len(self._alphabet)).bit_length() - 1
        if self._length * bits < _FEWEST_BITS or self._length > _LONGEST:
            least = -(-_FEWEST_BITS // bits)
            reason = f"of this alphabet a value has {least} to {_LONGEST} characters"
            raise refused("provider", f"length {self._length}", reason, f"Set length to {least} or more.")

    def credentials(self) -> tuple[str, ...]:
        """See :class:`Provider`. No service holds any."""
        return ()

    def make(self, name: str, current: str | None) -> Made:
        """See :class:`Provider`."""
        value = "".join(secrets.choice(self._alphabet) for _character in range(self._length))
        return Made(id=name, parts={"value": value})

    def apply(self, made: Made) -> None:
        """See :class:`Provider`. It is in force where its destinations hold it."""

    def test(self, made: Made) -> Verdict:
        """See :class:`Provider`. Only its consumers can say, and they are asked later."""
        return Verdict(works=True)

    def in_use(self, credential: str) -> str:
        """See :class:`Provider`."""
        return ""

    def disable(self, credential: str) -> None:
        """See :class:`Provider`. Destinations that hold it beside the new one are written without it."""

    def enable(self, credential: str) -> None:
        """See :class:`Provider`."""

    def delete(self, credential: str) -> None:
        """See :class:`Provider`. What was kept of it in the store goes with the slot."""


#: Kind to its class. Another one is added here, and to the choices in ``options.py``.
PROVIDERS: Mapping[str, Callable[[Mapping[str, Any], Context], Provider]] = {"generated": Generated}


def not_taken(made: Made, verdict: Verdict) -> RunbookError:
    """The failure for a new value that does not work."""
    return RunbookError(
        code="secret_refused",
        attempted="try the new value",
        object=made.id,
        reason=verdict.reason or "it does not work",
        remedy="Nobody has been given it. Run the same command again once it should; take_back=true gives it up.",
    )
