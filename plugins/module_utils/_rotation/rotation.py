# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module secret_rotation (private to ops.runbooks): one secret, as far as it may go now.

A run never sleeps through a period: it says what is waited for, and the next run goes on from the ledger.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, cast

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Store
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.course import foresee, identity
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import (
    CURRENT_VARIABLE,
    Declaration,
    Request,
    read_declaration,
    read_request,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination import (
    NEEDED,
    Looks,
    open_destinations,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.engine import Engine, Parties, State
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import SAID, read_kept
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.ledger import Book, read_ledgers
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import IDLE, Ledger
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.options import ROTATION_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.own import own_credentials
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.phases import Action
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Step, Wait, next_step
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plugin import find_collections
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import (
    Breaking,
    Limited,
    Occupied,
    Provider,
    Ripening,
    already_there,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.providers import PROVIDERS
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.report import describe, differences
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.told import not_begun, summary
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import KEY_VARIABLE, SHORTEST, Keys
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.vaults import open_vault


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan(Plan):
    """A plan and the identity of the rotation that it is about."""

    rotation_id: str = ""


class Counted:
    """A store that counts the requests to it, for the report."""

    def __init__(self, store: Store, context: Context) -> None:
        self._store = store
        self._context = context

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in ("get", "head", "encryption_of", "list", "create", "put", "delete"):
            self._context.requests += 1
        return found


def read_key(params: Mapping[str, Any], context: Context) -> Keys:
    """The key of everything. Raises ``connection_missing``, ``invalid_parameter``."""
    given = params["secrets_key"] or os.environ.get(KEY_VARIABLE) or ""
    keys = Keys.read(given)
    # Not before: one that is too short is used for nothing, and may be a word of the sentence that refuses it.
    context.redactor.protect(given)
    return keys


def short_key(params: Mapping[str, Any]) -> frozenset[str]:
    """A key that is refused for its length, and would be masked in words of ours by which it is."""
    given = params["secrets_key"] or ""
    return frozenset([given]) if len(given) < SHORTEST else frozenset()


def read_current(params: Mapping[str, Any], context: Context) -> str:
    """The value that is to be adopted; '' where none is given."""
    given = (params["current_value"] or os.environ.get(CURRENT_VARIABLE) or "") if params["adopt"] else ""
    if given:
        context.redactor.protect(given)
    return str(given)


def declared(given: Mapping[str, Any], context: Context) -> tuple[Declaration, Provider]:
    """A declaration and its provider. Raises ``invalid_parameter``."""
    provider = PROVIDERS[given["provider"]["type"]](given["provider"], context)
    read = read_declaration(
        given,
        parts=provider.parts,
        ends_sessions=provider.ends_sessions,
        kinds=NEEDED,
        ripens=provider.ripens if isinstance(provider, Ripening) else timedelta(),
        lasts=provider.lasts if isinstance(provider, Breaking) else lambda _credential: None,
        keeping=SAID[read_kept(given.get("kept_in")).type],
    )
    return read, provider


class SecretRotation(Operation[State, RotationPlan]):
    """Advance the rotation of one secret."""

    noun: ClassVar[str] = "rotation"
    spec: ClassVar[ArgumentSpec] = ROTATION_SPEC

    @classmethod
    def words(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """What is no key."""
        return short_key(params)

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._keys = read_key(params, context)
        find_collections(params.get("plugin_paths") or ())
        self._declaration, provider = declared(params, context)
        self._provider = provider
        self._request: Request = read_request(params)
        self._looks: Looks = {}
        store = self._counted(self.state_store)
        self._vault = open_vault(
            params,
            read_kept(params.get("kept_in")),
            params["name"],
            self._keys,
            context,
            store,
            provider=provider,
            kind=self._declaration.provider,
            counting=self._counted,
        )
        parties = Parties(
            book=Book(store, params["environment"], params["name"]),
            vault=self._vault,
            provider=provider,
            destinations=open_destinations(self._declaration.targets, self._keys, context, self._looks),
            keys=self._keys,
            owns=own_credentials(params, self._declaration, os.environ, params["own_logins"]),
            ledgers=lambda: read_ledgers(store, params["environment"]),
        )
        self._engine = Engine(self._declaration, self._request, parties, context, read_current(params, context))
        self._now = context.clock.now().replace(microsecond=0)

    def observe(self) -> State:
        """Ledger, destinations, and consumers where they decide."""
        self._looks.clear()
        self._now = self.context.clock.now().replace(microsecond=0)
        state = self._engine.look(self._now)
        action = self._next(state)
        if action in (Action.ADOPT, Action.BEGIN, Action.MAKE):
            self._vault.look()
        if action is Action.BEGIN:
            self._require_place(first=state.entry.ledger.current is None)
        return state

    def _require_place(self, *, first: bool) -> None:
        """Refuse to make a value beside what is nobody's on record, or that the service would not take."""
        if first and isinstance(self._provider, Occupied) and (what := self._provider.standing()):
            raise already_there(self._declaration.name, what)
        if isinstance(self._provider, Limited):
            self._provider.require_room()

    def plan(self, state: State) -> RotationPlan:
        """See ``course.foresee``."""
        ledger = state.entry.ledger
        seen = foresee(self._declaration, ledger, state.seen, self._request, self._now, self.context.run_id)
        changed = seen.ledger != ledger
        described = describe(self._declaration, seen.ledger, state.seen, seen.wait, self._vault, self._now)
        return RotationPlan(
            changed=changed,
            result={**described, **self._told(ledger, seen.ledger, seen.wait)},
            steps=seen.steps,
            irreversible=seen.irreversible,
            before=differences(ledger) if changed else {},
            after=differences(seen.ledger) if changed else {},
            rotation_id=seen.ledger.rotation_id,
        )

    def resources(self, plan: RotationPlan) -> tuple[str, ...]:
        """The secret."""
        return (f"secret/{self.params['name']}",)

    def identity(self, plan: RotationPlan) -> str:
        """That of the rotation."""
        return plan.rotation_id

    def repeats(self, plan: RotationPlan) -> str:
        """Each run goes on with what is on record, whatever it would begin after that."""
        return "its rotation"

    def act(self, state: State, plan: RotationPlan) -> Mapping[str, Any]:
        """See ``engine.Engine``."""
        outcome = self._engine.run(state)
        now = self.context.clock.now().replace(microsecond=0)
        found, seen = outcome.state.entry.ledger, outcome.state.seen
        said = describe(self._declaration, found, seen, outcome.wait, self._vault, now)
        told = self._told(state.entry.ledger, found, outcome.wait)
        return {**said, **told, "requests": dict(outcome.requests)}

    def _told(self, before: Ledger, after: Ledger, wait: Wait) -> dict[str, str]:
        """For the last lines of a run."""
        name = identity(before, self._declaration, self._request, self.context.run_id, self._now)
        return {
            "summary": summary(before, after) if after != before or after.phase != IDLE else "",
            "not_begun": not_begun(before, after, self._request, name, wait),
        }

    def context_of_failure(self) -> Mapping[str, Any]:
        """How far it has come."""
        ledger = self._engine.entry.ledger
        return {"id": ledger.rotation_id, "secret": self.params["name"], "phase": ledger.phase}

    def _counted(self, store: Store) -> Store:
        return cast(Store, Counted(store, self.context))

    def _next(self, state: State) -> Action | None:
        """The next thing to do, where there is one; what is refused says so when it is planned."""
        ledger, seen = state.entry.ledger, state.seen
        try:
            step = next_step(self._declaration, ledger, seen, self._request, self._now, entered=True)
        except RunbookError:
            return None
        return step.action if isinstance(step, Step) else None

    def close(self) -> None:
        """Let go of connections."""
        self._provider.close()
