# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that nobody but the app itself knows (private to ops.runbooks): random texts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Verdict

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

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

    def adopted(self, text: str, name: str) -> Made:
        """See :class:`Provider`."""
        return Made(id=name, parts={"value": text})

    def close(self) -> None:
        """See :class:`Provider`."""
