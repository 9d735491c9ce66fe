# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A place of a user's own for a secret (private to ops.runbooks), from the outside like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plugin import Held
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

_NEEDED = ("observe", "write")


class OwnDestination:
    """See ``destination.Destination``."""

    def __init__(self, target: Target, keys: Keys, context: Context, looks: dict[tuple[str, ...], Any]) -> None:
        self._redactor = context.redactor
        self._held = Held(f"destination {target.name}", target.options, context, _NEEDED, keys.fingerprint)

    def observe(self) -> Sight:
        """By the mark that the class gives, which is nothing where nothing is there."""
        mark = self._held.call("observe")
        if mark is None:
            return Sight(exists=False)
        if not isinstance(mark, str) or not mark or len(mark) > 500:
            raise self._held.wrong("observe", "a mark of 500 characters at most, or None where nothing is there")
        return Sight(exists=True, mark=mark)

    def read(self) -> str | None:
        """See ``destination.Destination``."""
        if not self._held.has("read"):
            return None
        text = self._held.call("read")
        if text is not None and not isinstance(text, str):
            raise self._held.wrong("read", "the text that is there, or None")
        self._redactor.protect(text)
        return text

    def write(self, text: str) -> Sight:
        """See ``destination.Destination``. What is seen afterwards has to be what was to be."""
        self._held.call("write", text)
        sight = self.observe()
        if sight.exists != bool(text):
            raise self._held.wrong("observe", "a mark after a text was written, and None after an empty one was")
        if text and text in sight.mark:
            raise self._held.wrong("observe", "a mark that is no secret: it is written down")
        return sight
