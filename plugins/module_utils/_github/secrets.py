# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module github_secret (private to ops.runbooks): secrets of GitHub Actions as they are listed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.fingerprint import KEY_VARIABLE, FingerprintKey
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import connect
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_api import Secrets, require_sealing
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_marks import Marks, name_of
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_model import (
    SECRETS_SPEC,
    Scope,
    SecretRecord,
    read_settings,
    words,
)
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_plan import (
    Action,
    Mark,
    Rules,
    SecretsPlan,
    SeenSecrets,
    arrived,
    overwritten,
    plan_secrets,
)

#: Seconds that GitHub may be out of reach.
_OUTAGE = 10.0
#: Looks at what was written, and seconds between them: a list may be older than the last request.
_LOOKS, _PAUSE = 4, 0.5


class GithubSecret(Operation[SeenSecrets, SecretsPlan]):
    """Secrets of one repository, environment or organization."""

    noun: ClassVar[str] = "secrets"
    spec: ClassVar[ArgumentSpec] = SECRETS_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._scope = Scope.read(params)
        self._settings = read_settings(params["secrets"], self._scope)
        self._rules = self._read_rules()
        patience = parse_duration(params["timeout"], "timeout").total_seconds()
        api, token = connect(params, context, os.environ, patience=patience, persistence=min(patience, _OUTAGE))
        self._secrets = Secrets(api, self._scope, context, token=token)

    @classmethod
    def words(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """See :func:`ops.runbooks._github.secrets_model.words`."""
        return words(params.get("secrets"))

    def observe(self) -> SeenSecrets:
        """What is there, what is remembered of it, and the repositories that are named."""
        if any(each.present for each in self._settings):
            require_sealing()
        records = self._secrets.listed()
        named = dict.fromkeys(name for each in self._settings for name in each.repositories or ())
        for setting in self._settings:
            record = records.get(setting.name)
            if record is not None and setting.present and record.visibility == "selected":
                records[setting.name] = self._secrets.selected(record)
        return SeenSecrets(
            scope=self._scope,
            records=records,
            marks=self._marks.read() if self._marks is not None else {},
            repositories={name: self._secrets.repository_id(name) for name in named},
        )

    def plan(self, state: SeenSecrets) -> SecretsPlan:
        """See :func:`plan_secrets`."""
        return plan_secrets(self._settings, state, self._rules)

    def resources(self, plan: SecretsPlan) -> tuple[str, ...]:
        """The secrets of this scope, whatever name it goes by, where there is a store to lock them in."""
        return (f"secrets/{name_of(self._scope)}",) if self.params["store"] else ()

    def identity(self, plan: SecretsPlan) -> str:
        """They are what they are listed as."""
        return "secrets"

    def act(self, state: SeenSecrets, plan: SecretsPlan) -> Mapping[str, Any]:
        """Send the requests, look at what became of them, and remember it."""
        writing = [each for each in plan.actions if each.kind in ("create", "update")]
        if self._marks is not None and self._rules.key is not None:
            # A run that is killed in between leaves word that the value has to be written, and does not look like
            # somebody else's.
            self._marks.change({each.setting.name: Mark() for each in writing}, frozenset(), self.context.effect)
        times = {each.setting.name: self._send(each) for each in plan.actions}
        records = self._look(state, plan.actions, times)
        lost = [each.setting.name for each in plan.actions if overwritten(each, records, times)]
        self._remember(state, plan.actions, records, lost)
        if lost:
            raise self._differ(lost, "they were changed again right after they were written")
        return plan.result

    def close(self) -> None:
        """Let go of connections."""
        self._secrets.close()

    @cached_property
    def _marks(self) -> Marks | None:
        if not self.params["store"]:
            return None
        return Marks(self.state_store, self.params["environment"], self._scope)

    def _read_rules(self) -> Rules:
        given = self.params["fingerprint_key"] or os.environ.get(KEY_VARIABLE) or ""
        self.context.redactor.protect(given)
        values = frozenset(each.value for each in self._settings)
        return Rules(
            unknown=self.params["on_unknown"],
            key=FingerprintKey.read(given, values) if given else None,
            remembers=bool(self.params["store"]),
        )

    def _send(self, action: Action) -> datetime | None:
        """One request; the time at which GitHub wrote a value."""
        setting = action.setting
        if action.kind == "delete":
            self._secrets.delete(setting.name)
            return None
        if action.kind == "select":
            self._secrets.select(setting.name, action.repositories)
            return None
        return self._secrets.write(
            setting.name, setting.value, visibility=action.visibility, repositories=action.repositories
        )

    def _look(
        self, state: SeenSecrets, actions: Sequence[Action], times: Mapping[str, datetime | None]
    ) -> dict[str, SecretRecord]:
        """What is there now. Raises ``secrets_differ`` where that is not what was asked for."""
        for look in range(_LOOKS):
            if look:
                self._secrets.sleep(_PAUSE)
            records = self._secrets.listed()
            wrong = [each.setting.name for each in actions if not arrived(each, state.records, records, times)]
            if not wrong:
                return records
        raise self._differ(wrong, "GitHub took the requests, and does not list what they asked for")

    def _remember(
        self, state: SeenSecrets, actions: Sequence[Action], records: Mapping[str, SecretRecord], lost: Collection[str]
    ) -> None:
        """Marks of what was written, unless somebody has written it again since; none of what is gone."""
        if self._marks is None:
            return
        written: dict[str, Mark] = {}
        gone = set()
        for action in actions:
            name = action.setting.name
            digest = self._rules.digest(self._scope, action.setting)
            mark = Mark(fingerprint=digest, updated_at=records[name].updated_at) if name in records else Mark()
            known = state.marks.get(name)
            if action.kind == "delete" or not digest:
                gone.add(name)
            elif name not in lost and (action.kind != "select" or (known is not None and known.fingerprint == digest)):
                written[name] = mark
        self._marks.change(written, frozenset(gone), self.context.effect)

    def _differ(self, names: Sequence[str], reason: str) -> RunbookError:
        return RunbookError(
            code="secrets_differ",
            attempted="write secrets",
            object=f"{', '.join(names)} of {self._scope.title}",
            reason=f"{reason}; somebody else changes them too",
            remedy="Run the same command again once nobody else does.",
        )
