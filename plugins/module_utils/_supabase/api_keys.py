# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API keys of a Supabase project (private to ops.runbooks).

Supabase keeps their values and shows them to whoever may see them, so that a key is known again by its name and its
value is never lost: a run that dies after it has made one finds it by that name. There is nothing to switch a single
key off by; only the two legacy keys can be, and only together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Unanswered
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.client import Supabase
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.failures import failed

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

PUBLISHABLE, SECRET, LEGACY = "publishable", "secret", "legacy"
#: The name under which Edge Functions look for their secret key.
DEFAULT = "default"
NAME = re.compile(r"[a-z_][a-z0-9_]{3,63}")
#: A whole value; what is shown to who may not see it has other characters in it.
VALUE = re.compile(r"sb_(?:publishable|secret)_[A-Za-z0-9_-]{16,}|ey[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
#: Answers to a name that is taken.
_TAKEN = (400, 409, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key. ``value`` is '' where it was not asked for, or is not shown. The legacy ones have no ``created_at``."""

    id: str
    name: str
    type: str
    description: str = ""
    created_at: str = ""
    value: str = field(default="", repr=False)

    @classmethod
    def read(cls, listed: Mapping[str, Any]) -> ApiKey:
        """As the API lists it."""
        value = str(listed.get("api_key") or "")
        return cls(
            id=str(listed.get("id") or listed.get("name") or ""),
            name=str(listed.get("name") or ""),
            type=str(listed.get("type") or LEGACY),
            description=str(listed.get("description") or ""),
            created_at=str(listed.get("inserted_at") or ""),
            value=value if VALUE.fullmatch(value) else "",
        )

    def describe(self) -> dict[str, Any]:
        """For people."""
        return {"id": self.id, "name": self.name, "type": self.type, "created_at": self.created_at or None}


class ApiKeys:
    """All keys of one project."""

    def __init__(self, supabase: Supabase, context: Context) -> None:
        self._supabase = supabase
        self._context = context

    @property
    def title(self) -> str:
        """The project, for people."""
        return self._supabase.title

    def list(self, *, reveal: bool = False) -> tuple[ApiKey, ...]:
        """Every key, with ``reveal`` each with its value. Raises ``service_denied`` where they are not shown."""
        attempted = "read the API keys with their values" if reveal else "list the API keys"
        reply = self._supabase.read("/api-keys", attempted, {"reveal": "true" if reveal else "false"})
        listed = reply.body if isinstance(reply.body, list) else []
        keys = tuple(self._read(each) for each in listed if isinstance(each, Mapping))
        if reveal and (hidden := [each.name for each in keys if not each.value and each.type != LEGACY]):
            raise _not_shown(self.title, hidden[0])
        return keys

    def create(self, name: str, kind: str, description: str = "") -> ApiKey:
        """A key with its value; the one that has this name already, where there is one."""
        body: dict[str, Any] = {"name": name, "type": kind, "description": description or None}
        if kind == SECRET:
            body["secret_jwt_template"] = {"role": "service_role"}
        attempted = f"create the API key {name}"
        try:
            reply = self._supabase.send("POST", "/api-keys", attempted, body, {"reveal": "true"}, accept=(*_TAKEN,))
        except Unanswered:
            found = find(self.list(reveal=True), name, kind, self.title)
            if found is None:
                raise
            return found
        if not reply.good:
            found = find(self.list(reveal=True), name, kind, self.title)
            if found is None:
                raise failed(reply, attempted, self.title, self._context.redactor)
            return found
        made = self._read(reply.fields)
        if not made.value:
            raise _not_shown(self.title, name)
        return made

    def rename(self, key: ApiKey, name: str) -> None:
        """Give a key another name; its value stays."""
        attempted = f"rename the API key {key.name} to {name}"
        try:
            self._supabase.send("PATCH", f"/api-keys/{key.id}", attempted, {"name": name})
        except Unanswered:
            if not any(each.id == key.id and each.name == name for each in self.list()):
                raise

    def delete(self, id: str, *, compromised: bool = False, reason: str = "") -> bool:
        """Delete a key for good; False where it was gone already."""
        query = {"was_compromised": "true"} if compromised else {}
        query |= {"reason": reason} if reason else {}
        try:
            reply = self._supabase.send("DELETE", f"/api-keys/{id}", "delete an API key", query=query, accept=(404,))
        except Unanswered:
            if any(each.id == id for each in self.list()):
                raise
            return True
        return reply.good

    def legacy_enabled(self) -> bool:
        """Whether the two legacy keys work. Supabase is to retire them, and this question with them."""
        reply = self._supabase.read("/api-keys/legacy", "ask whether the legacy keys work", missing=True)
        return bool(reply.fields.get("enabled"))

    def switch_legacy(self, *, enabled: bool) -> None:
        """Switch both legacy keys on or off, unless they are."""
        if self.legacy_enabled() == enabled:
            return
        attempted = f"switch the legacy keys anon and service_role {'on' if enabled else 'off'}"
        query = {"enabled": "true" if enabled else "false"}
        try:
            self._supabase.send("PUT", "/api-keys/legacy", attempted, query=query)
        except Unanswered:
            if self.legacy_enabled() != enabled:
                raise

    def refusal(self, value: str, *, patience: float) -> str:
        """Why the project's gateway does not take a key; '' where it does."""
        return self._supabase.refusal(value, patience=patience)

    def _read(self, listed: Mapping[str, Any]) -> ApiKey:
        """Protected before anything else: ``service_role`` is shown even to who has not asked for values."""
        self._context.redactor.protect(str(listed.get("api_key") or ""))
        return ApiKey.read(listed)


def find(keys: Sequence[ApiKey], name: str, kind: str, title: str) -> ApiKey | None:
    """The key of that name and type; None where there is none. Raises ``service_failed`` where there are several."""
    found = [each for each in keys if each.name == name and each.type == kind]
    if len(found) > 1:
        raise RunbookError(
            code="service_failed",
            attempted=f"find the API key {name}",
            object=title,
            reason=f"there are {len(found)} keys of this name and type: {', '.join(each.id for each in found)}",
            remedy="Rename all but one in the project's dashboard (Settings, API Keys).",
        )
    return found[0] if found else None


def _not_shown(title: str, name: str) -> RunbookError:
    return RunbookError(
        code="service_denied",
        attempted="read the API keys with their values",
        object=title,
        reason=f"this token is not shown the value of {name}",
        remedy="Take a token that may read and write API keys with their values; docs/permissions.md says which.",
    )
