# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about an API key of a Supabase project (private to ops.runbooks); pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.private_file import OWNER_ONLY
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.api_keys import (
    DEFAULT,
    NAME,
    SECRET,
    VALUE,
    ApiKey,
    find,
)
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.client import SUPABASE_SPEC

Action = Literal["create", "write", "delete"]

API_KEY_SPEC = SUPABASE_SPEC.merge(
    ArgumentSpec(
        options={
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "choices": ["secret", "publishable"], "default": "secret"},
            "description": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "file": {"type": "path"},
            "even_default": {"type": "bool", "default": False},
            "compromised": {"type": "bool", "default": False},
            "reason": {"type": "str"},
            "timeout": {"type": "str", "default": "2m"},
            "run_id": {"type": "str"},
        },
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the options ask for."""

    name: str
    type: str
    present: bool = True
    file: str = ""
    even_default: bool = False

    def check(self) -> None:
        """Raises ``invalid_parameter``."""
        if not NAME.fullmatch(self.name):
            raise _failed(
                "invalid_parameter",
                "use name",
                repr(self.name),
                "a key's name has 4 to 64 small letters, digits and underscores, and begins with no digit",
                "Correct it. The legacy keys anon and service_role are switched off together, by no module.",
            )
        if self.file and not self.present:
            reason = "it is for state=present"
            raise _failed("invalid_parameter", "use file", self.file, reason, "Leave it out; remove the file yourself.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenKeys:
    """The project's keys, and the file: its text and its rights, None where there is none."""

    project: str
    keys: tuple[ApiKey, ...]
    held: tuple[str, int] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlan(Plan):
    """A plan with its steps."""

    actions: tuple[Action, ...] = ()


def plan_key(rules: Rules, seen: SeenKeys) -> KeyPlan:
    """What is to be done. Raises ``api_key_protected``, ``destination_unusable``, ``service_failed``."""
    key = find(seen.keys, rules.name, rules.type, f"project {seen.project}")
    actions = _present(rules, seen, key) if rules.present else _absent(rules, seen, key)
    creates, deletes = "create" in actions, "delete" in actions
    says: Mapping[Action, str] = {
        "create": f"create the {rules.type} API key {rules.name} of project {seen.project}",
        "write": f"write its value into file {rules.file}",
        "delete": f"delete the {rules.type} API key {rules.name} of project {seen.project}",
    }
    before = {rules.name: _state(key)} | _file_state(rules, seen, key)
    changed = {rules.name: "present" if creates else "absent"} if creates or deletes else {}
    written = {rules.file: "the value of the key"} if "write" in actions else {}
    return KeyPlan(
        changed=bool(actions),
        result=describe(rules, seen, key),
        steps=tuple(says[each] for each in actions),
        irreversible=_irreversible(rules, seen, actions),
        before=before,
        after={**before, **changed, **written},
        actions=actions,
    )


def describe(rules: Rules, seen: SeenKeys, key: ApiKey | None) -> dict[str, Any]:
    """The object ``api_key``: never a value, and what Supabase calls the key."""
    return {
        "project_ref": seen.project,
        "id": key.id if key is not None else None,
        "name": rules.name,
        "type": rules.type,
        "status": _state(key),
        "created_at": (key.created_at or None) if key is not None else None,
        "destination": f"file {rules.file}" if rules.file else None,
        "project_keys": [each.describe() for each in seen.keys],
    }


def _present(rules: Rules, seen: SeenKeys, key: ApiKey | None) -> tuple[Action, ...]:
    actions: tuple[Action, ...] = () if key is not None else ("create",)
    if not rules.file:
        return actions
    if seen.held is not None and not _replaceable(seen.held[0]):
        raise _failed(
            "destination_unusable",
            "keep an API key",
            rules.file,
            "what is there is no API key of Supabase",
            "Name another file, or move what is there away.",
        )
    good = key is not None and seen.held is not None and _holds(seen.held, key)
    return actions if good else (*actions, "write")


def _absent(rules: Rules, seen: SeenKeys, key: ApiKey | None) -> tuple[Action, ...]:
    if key is None:
        return ()
    if rules.type == SECRET and rules.name == DEFAULT and not rules.even_default:
        raise _failed(
            "api_key_protected",
            "delete an API key",
            f"{rules.name} of project {seen.project}",
            "Edge Functions look for the secret key of this name",
            "Rename another key to it first, or set even_default where the project has no Edge Functions.",
        )
    return ("delete",)


def _irreversible(rules: Rules, seen: SeenKeys, actions: tuple[Action, ...]) -> tuple[str, ...]:
    if "delete" in actions:
        return (f"the API key {rules.name} is gone, and whoever still uses it is refused",)
    if "write" in actions and seen.held is not None and not _known(seen):
        return (f"the key in {rules.file}, which is none of this project's, is replaced",)
    return ()


def _known(seen: SeenKeys) -> bool:
    """Whether what is in the file can be read again at Supabase."""
    return seen.held is not None and _text(seen.held) in {each.value for each in seen.keys}


def _holds(held: tuple[str, int], key: ApiKey) -> bool:
    return held == (key.value, OWNER_ONLY)


def _replaceable(text: str) -> bool:
    stripped = text.strip()
    return not stripped or VALUE.fullmatch(stripped) is not None


def _text(held: tuple[str, int]) -> str:
    return held[0].strip()


def _state(key: ApiKey | None) -> str:
    return "present" if key is not None else "absent"


def _file_state(rules: Rules, seen: SeenKeys, key: ApiKey | None) -> dict[str, str]:
    if not rules.file:
        return {}
    if seen.held is None:
        return {rules.file: "nothing"}
    if key is not None and _holds(seen.held, key):
        return {rules.file: "the value of the key"}
    same = key is not None and _text(seen.held) == key.value
    return {rules.file: "the value of the key, for others to read too" if same else "another value"}


def _failed(code: str, attempted: str, where: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(code=code, attempted=attempted, object=where, reason=reason, remedy=remedy)
