# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A provider of a user's own (private to ops.runbooks), from the outside like any other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.http_requests import PART, check_id
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plugin import Held
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Verdict

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

_NEEDED = ("credentials", "make", "apply", "test", "in_use", "disable", "enable", "delete")
#: Characters from which on a part is no word that may be in an id by chance.
_SHORTEST = 8


class OwnProvider:
    """See ``provider.Provider``, ``Limited``, ``Ripening``, ``Breaking``, ``Revivable`` and ``Occupied``."""

    def __init__(self, held: Held, context: Context) -> None:
        self._context = context
        self._held, made = held, held.made
        parts = getattr(made, "parts", None)
        if isinstance(parts, str) or not isinstance(parts, (set, frozenset, list, tuple)) or not parts:
            raise self._held.wrong("parts", "the names of the parts of a value, such as {'value'}")
        self.parts = frozenset(parts)
        if not all(isinstance(each, str) and PART.fullmatch(each) and each != "id" for each in self.parts):
            raise self._held.wrong("parts", "names of small letters and _, none of which is id or begins with previous")
        self.ends_sessions = bool(getattr(made, "ends_sessions", False))
        seconds = getattr(made, "ripens", 0)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 86400:
            raise self._held.wrong("ripens", "seconds, a day at most")
        self.ripens = timedelta(seconds=seconds)

    def require_room(self) -> None:
        """See ``provider.Limited``."""
        if self._held.has("require_room"):
            self._held.call("require_room")

    def standing(self) -> str:
        """See ``provider.Occupied``."""
        return self._held.text("standing") if self._held.has("standing") else ""

    def credentials(self) -> tuple[str, ...]:
        """See ``provider.Provider``."""
        found = self._held.call("credentials")
        if not isinstance(found, (list, tuple, set, frozenset)) or not all(_is_id(each) for each in found):
            raise self._held.wrong("credentials", "a list of ids")
        return tuple(found)

    def make(self, name: str, current: str | None) -> Made:
        """See ``provider.Provider``."""
        return self._made("make", self._held.call("make", name, current))

    def apply(self, made: Made) -> None:
        """See ``provider.Provider``."""
        self._held.call("apply", made.id, dict(made.parts))

    def test(self, made: Made) -> Verdict:
        """See ``provider.Provider``. By why it does not work, which is nothing where it does."""
        reason = self._held.text("test", made.id, dict(made.parts))
        return Verdict(works=not reason, reason=reason)

    def in_use(self, credential: str) -> str:
        """See ``provider.Provider``."""
        return self._held.text("in_use", credential)

    def disable(self, credential: str) -> None:
        """See ``provider.Provider``."""
        self._held.call("disable", credential)

    def revived(self, credential: str) -> str:
        """See ``provider.Revivable``."""
        return self._held.text("revived", credential) if self._held.has("revived") else ""

    def lasts(self, credential: str) -> str:
        """See ``provider.Breaking``. What can be disabled can be disabled first."""
        return ""

    def end(self, credential: str) -> None:
        """See ``provider.Breaking``."""
        self.disable(credential)

    def enable(self, credential: str) -> None:
        """See ``provider.Provider``."""
        self._held.call("enable", credential)

    def delete(self, credential: str) -> None:
        """See ``provider.Provider``."""
        self._held.call("delete", credential)

    def adopted(self, text: str, name: str) -> Made:
        """See ``provider.Provider``."""
        if not self._held.has("adopted"):
            reason = "this provider cannot take a value that is there already on record"
            raise refused("adopt", "true", reason, "Let the first value be made, with destinations that are empty.")
        return self._made("adopted", self._held.call("adopted", text, name))

    def close(self) -> None:
        """See ``provider.Provider``."""
        if self._held.has("close"):
            self._held.call("close")

    def _made(self, method: str, given: Any) -> Made:
        """What was made, known to be secret before anything is said of it."""
        parts = given.get("parts") if isinstance(given, Mapping) else None
        for text in parts.values() if isinstance(parts, Mapping) else ():
            self._context.redactor.protect(text if isinstance(text, str) else None)
        if not isinstance(given, Mapping) or set(given) != {"id", "parts"} or not isinstance(parts, Mapping):
            raise self._held.wrong(method, "{'id': ..., 'parts': {...}}")
        if set(parts) != self.parts or not all(isinstance(each, str) and each for each in parts.values()):
            raise self._held.wrong(method, f"a text for each of the parts {', '.join(sorted(self.parts))}")
        id = given["id"]
        if not _is_id(id) or any(text in id for text in parts.values() if len(text) >= _SHORTEST):
            raise self._held.wrong(method, "an id without spaces and slashes that is no secret: it is shown")
        return Made(id=id, parts=dict(parts))


class ShowingProvider(OwnProvider):
    """One that shows a value again. See ``provider.Readable``."""

    def read(self, credential: str) -> Mapping[str, str] | None:
        """See ``provider.Readable``."""
        parts = self._held.call("read", credential)
        return None if parts is None else self._made("read", {"id": credential, "parts": parts}).parts


def own_provider(options: Mapping[str, Any], context: Context) -> OwnProvider:
    """As it is declared; with ``read`` where its class has that."""
    held = Held("a provider of your own", options, context, _NEEDED)
    return ShowingProvider(held, context) if held.has("read") else OwnProvider(held, context)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and check_id(value)
