# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API keys of a Supabase project as a secret (private to ops.runbooks).

A new key stands beside the current one until that is deleted; a single key cannot be switched off in between. The key
that counts has the name that was declared, under which Edge Functions look for theirs: it goes over to the new key
when the earlier one is taken out of use. Of the legacy keys both are switched off together, and on again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Verdict
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.api_keys import (
    DEFAULT,
    LEGACY,
    NAME,
    PUBLISHABLE,
    SECRET,
    ApiKey,
    ApiKeys,
    find,
)
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.client import Supabase, check_ref

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds of all waiting for Supabase, and for a new key to be known at its project's gateway.
PATIENCE, _YOUNG = 60.0, 30.0
#: Ids of the legacy keys, and which of the new ones takes the place of each.
_LEGACY: Mapping[str, str] = {"anon": PUBLISHABLE, "service_role": SECRET}
#: How keys that a rotation has made are known among those that people have made.
_MARK = "ops.runbooks"
_DIGITS = 8


class SupabaseApiKey:
    """See ``provider.Provider``."""

    parts: ClassVar[frozenset[str]] = frozenset({"value"})
    ends_sessions: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        self._options = options
        self._context = context
        check_ref(options.get("project_ref") or "")
        self._name = str(options.get("api_key_name") or DEFAULT)
        self._type = str(options.get("api_key_type") or SECRET)
        longest = 64 - 1 - _DIGITS
        if not NAME.fullmatch(self._name) or len(self._name) > longest:
            reason = f"a key's name has 4 to {longest} small letters, digits and underscores, and begins with no digit"
            raise refused("provider", f"api_key_name {self._name}", reason, "Correct it.")
        self._family = re.compile(rf"{re.escape(self._name)}_[0-9a-f]{{{_DIGITS}}}")
        self._opened = False

    def credentials(self) -> tuple[str, ...]:
        """See ``provider.Provider``. Those alone that have a name as rotations give it, and say that one made them."""
        return tuple(each.id for each in self._mine(self._keys.list()))

    def make(self, name: str, current: str | None) -> Made:
        """See ``provider.Provider``. One is made only where its value will be shown.

        What has our mark and was there before the rotation began may belong to another secret: it is named, and stays.
        """
        left = self._mine(self._keys.list(reveal=True))
        key = self._keys.create(self._named(name), self._type, f"{_MARK}, rotation {name}")
        for each in left:
            if each.id not in (current, key.id):
                self._context.warn(
                    f"The API key {each.name} of {self._keys.title} was made by a rotation, and is none of this "
                    "secret's. See that nobody uses it, then delete it (supabase_api_key, state=absent)."
                )
        return Made(id=key.id, parts={"value": key.value})

    def standing(self) -> str:
        """See ``provider.Occupied``. By the declared name, which a first value does not have yet."""
        named = find(self._keys.list(), self._name, self._type, self._keys.title)
        return f"{self._keys.title} has a {self._type} API key {self._name} already" if named is not None else ""

    def apply(self, made: Made) -> None:
        """See ``provider.Provider``. The project knows it."""

    def test(self, made: Made) -> Verdict:
        """See ``provider.Provider``. By the project's gateway, which may take a while to know it."""
        why = self._keys.refusal(made.parts["value"], patience=0 if made.known else _YOUNG)
        return Verdict(works=not why, reason=f"the gateway of {self._keys.title} does not take it: {why}")

    def read(self, credential: str) -> Mapping[str, str] | None:
        """See ``provider.Readable``."""
        found = next((each for each in self._keys.list(reveal=True) if each.id == credential), None)
        return {"value": found.value} if found is not None and found.value else None

    def in_use(self, credential: str) -> str:
        """See ``provider.Provider``. Supabase tells of no use; but the legacy keys go together, which needs a word."""
        if credential not in _LEGACY or self._options.get("disable_legacy") or not self._keys.legacy_enabled():
            return ""
        return (
            f"{credential} can only be switched off together with the other legacy key; set disable_legacy once "
            "nothing uses either"
        )

    def disable(self, credential: str) -> None:
        """See ``provider.Provider``. The name goes over to the new key, which has to be there for it.

        Raises ``rotation_refused`` for a legacy key as long as nobody has agreed to switch off the other one too.
        """
        if credential in _LEGACY and (why := self.in_use(credential)):
            raise RunbookError(
                code="rotation_refused",
                attempted="take the earlier API key out of use",
                object=f"{credential} of {self._keys.title}",
                reason="it can only be switched off together with the other legacy key",
                remedy=f"{why.partition('; ')[2].capitalize()}.",
            )
        keys = self._keys.list()
        heirs = [each for each in self._mine(keys) if each.id != credential]
        named = find(keys, self._name, self._type, self._keys.title)
        if named is None or named.id == credential:
            heir = self._only(heirs, credential)
            if named is not None:
                self._keys.rename(named, self._named(named.id))
            self._keys.rename(heir, self._name)
        if credential in _LEGACY:
            self._keys.switch_legacy(enabled=False)

    def lasts(self, credential: str) -> str:
        """See ``provider.Breaking``."""
        if credential not in _LEGACY:
            return "a single API key of a project cannot be switched off, but deleted for good"
        return (
            ""
            if self._options.get("disable_legacy")
            else "both legacy keys go off together, and disable_legacy is not set"
        )

    def end(self, credential: str) -> None:
        """See ``provider.Breaking``."""
        self.disable(credential)

    def revived(self, credential: str) -> str:
        """See ``provider.Revivable``. Of the legacy keys; of others there is nothing to bring back."""
        if credential in _LEGACY and self._keys.legacy_enabled():
            return f"the legacy keys of {self._keys.title}, {' and '.join(_LEGACY)}, are switched on again"
        return ""

    def enable(self, credential: str) -> None:
        """See ``provider.Provider``. With the name that it had."""
        if credential in _LEGACY:
            self._keys.switch_legacy(enabled=True)
            return
        keys = self._keys.list()
        back = next((each for each in keys if each.id == credential), None)
        if back is None:
            raise self._missing("bring an API key back", f"{credential} was deleted", "Go on: leave take_back out.")
        named = find(keys, self._name, self._type, self._keys.title)
        if not self._family.fullmatch(back.name) or (named is not None and not named.description.startswith(_MARK)):
            return
        if named is not None:
            self._keys.rename(named, self._named(named.id))
        self._keys.rename(back, self._name)

    def delete(self, credential: str) -> None:
        """See ``provider.Provider``. The legacy keys cannot be deleted, and stay switched off."""
        if credential not in _LEGACY:
            self._keys.delete(credential)

    def adopted(self, text: str, name: str) -> Made:
        """See ``provider.Provider``. A key of the declared type, or the legacy one in whose place such a one goes."""
        key = next((each for each in self._keys.list(reveal=True) if each.value == text), None)
        if key is None:
            reason = f"it is no API key of {self._keys.title}"
            raise refused("current_value", "current_value", reason, "Correct project_ref, or give the key in force.")
        kind = _LEGACY.get(key.id, "") if key.type == LEGACY else key.type
        if kind != self._type:
            reason = f"it is {key.name}, in whose place a {kind} key goes"
            raise refused("current_value", "current_value", reason, f"Set api_key_type to {kind}.")
        return Made(id=key.id, parts={"value": text})

    def close(self) -> None:
        """See ``provider.Provider``."""
        if self._opened:
            self._supabase.close()

    @cached_property
    def _supabase(self) -> Supabase:
        self._opened = True
        return Supabase(self._options, self._context, os.environ, patience=PATIENCE)

    @cached_property
    def _keys(self) -> ApiKeys:
        return ApiKeys(self._supabase, self._context)

    def _named(self, what: str) -> str:
        return f"{self._name}_{sha256(what.encode()).hexdigest()[:_DIGITS]}"

    def _mine(self, keys: Sequence[ApiKey]) -> list[ApiKey]:
        named = [each for each in keys if each.type == self._type and self._family.fullmatch(each.name)]
        return [each for each in named if each.description.startswith(_MARK)]

    def _only(self, heirs: Sequence[ApiKey], credential: str) -> ApiKey:
        """The key that takes the place of another one. Raises ``secret_missing``, ``rotation_refused``."""
        if len(heirs) == 1:
            return heirs[0]
        attempted = "take the earlier API key out of use"
        if not heirs:
            remedy = "Take the rotation back (take_back: true); the earlier key still works."
            raise self._missing(attempted, "the key that is to take its place was deleted", remedy)
        raise RunbookError(
            code="rotation_refused",
            attempted=attempted,
            object=f"{credential} of {self._keys.title}",
            reason=f"nobody can tell which of {', '.join(each.name for each in heirs)} takes its name {self._name}",
            remedy="Rename those that are none of this secret's, in the project's dashboard (Settings, API Keys).",
        )

    def _missing(self, attempted: str, reason: str, remedy: str) -> RunbookError:
        return RunbookError(
            code="secret_missing", attempted=attempted, object=self._keys.title, reason=reason, remedy=remedy
        )
