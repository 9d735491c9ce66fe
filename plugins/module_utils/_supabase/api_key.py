# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module supabase_api_key (private to ops.runbooks): one API key of a project, and the file that has its value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.private_file import PrivateFile
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.api_key_plan import (
    API_KEY_SPEC,
    KeyPlan,
    Rules,
    SeenKeys,
    describe,
    plan_key,
)
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.api_keys import ApiKey, ApiKeys, find
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.client import Supabase

#: A key younger than so many seconds may not be known everywhere yet.
_YOUNG = 600


class SupabaseApiKey(Operation[SeenKeys, KeyPlan]):
    """One API key."""

    noun: ClassVar[str] = "api_key"
    spec: ClassVar[ArgumentSpec] = API_KEY_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        path = os.path.abspath(params["file"]) if params["file"] else ""
        self._rules = Rules(
            name=params["name"],
            type=params["type"],
            present=params["state"] == "present",
            file=path,
            even_default=params["even_default"],
        )
        self._rules.check()
        self._patience = parse_duration(params["timeout"], "timeout").total_seconds()
        self._file = PrivateFile(Path(path), context.redactor) if path else None
        self._supabase = Supabase(params, context, os.environ, patience=self._patience)
        self._keys = ApiKeys(self._supabase, context)

    def observe(self) -> SeenKeys:
        """The keys, and where the value is to go, what is there; one that is there already has to work."""
        held = self._file.read() if self._file is not None else None
        keys = self._keys.list(reveal=self._file is not None)
        seen = SeenKeys(project=self._supabase.ref, keys=keys, held=held)
        if self._file is not None and (key := self._found(seen)) is not None:
            self._prove(key)
        return seen

    def plan(self, state: SeenKeys) -> KeyPlan:
        """See :func:`plan_key`."""
        return plan_key(self._rules, state)

    def act(self, state: SeenKeys, plan: KeyPlan) -> Mapping[str, Any]:
        """Create, prove, and only then write; or delete."""
        rules, key = self._rules, self._found(state)
        if "create" in plan.actions:
            key = self._keys.create(rules.name, rules.type, self.params["description"] or "")
            if self._file is not None:
                self._prove(key)
        if "write" in plan.actions and self._file is not None and key is not None:
            self.context.effect(f"write {rules.file}")
            self._file.write(key.value)
        if "delete" in plan.actions and key is not None:
            reason = self.params["reason"] or ""
            self._keys.delete(key.id, compromised=self.params["compromised"], reason=reason)
        after = SeenKeys(project=state.project, keys=self._keys.list())
        return describe(rules, after, self._found(after))

    def close(self) -> None:
        """Let go of connections."""
        self._supabase.close()

    def _found(self, seen: SeenKeys) -> ApiKey | None:
        return find(seen.keys, self._rules.name, self._rules.type, f"project {seen.project}")

    def _prove(self, key: ApiKey) -> None:
        """Let the project's gateway take it. Raises ``api_key_refused``."""
        age = (self.context.clock.now() - parse_iso(key.created_at)).total_seconds() if key.created_at else _YOUNG
        if why := self._keys.refusal(key.value, patience=self._patience if age < _YOUNG else 0):
            raise RunbookError(
                code="api_key_refused",
                attempted="prove an API key",
                object=f"{key.name} of {self._keys.title}",
                reason=f"the project's gateway does not take it: {why}",
                remedy="Nothing was written. Run the same command again in a minute, since a new key is not known "
                "everywhere at once; see that project_url is that of the project.",
            )
