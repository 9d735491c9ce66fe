# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module secret_rotation_info (private to ops.runbooks): how all secrets of an environment stand, in one task.

Each ledger is read, and each destination looked at, those of one project together. No value is read, and no consumer
asked: what they said last is on record. Where that is wanted, the deployments of each project are listed too, for those
which still hold an earlier value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation, Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.parallel import Crew, together
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import (
    Declaration,
    Request,
    refused,
    unrotatable,
)
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination import Looks, open_destinations
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_vercel import VercelDestination
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.escrow import Vault
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.kept import read_kept
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.ledger import Book, Entry, read_ledgers
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import Ledger
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.options import ROTATION_INFO_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.own import own_credentials, refuse_own
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Seen, Sight, Wait, next_step
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plugin import find_collections
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Occupied, already_there
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.report import describe
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.rotation import declared, read_key, short_key
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.sentences import sentence
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.shared import settled, unsettled
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.vaults import open_vault

#: Ledgers that are read at once.
_WORKERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One secret as it was found; ``failure`` is why its destinations could not be looked at.

    ``standing`` is what its service has already, where nothing is on record. ``stale`` are deployments that hold an
    earlier value, by the destination that they got it from.
    """

    declaration: Declaration
    entry: Entry
    seen: Seen
    failure: str = ""
    standing: str = ""
    stale: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


class SecretRotationInfo(Operation[tuple[Standing, ...], Plan]):
    """Read how secrets stand."""

    noun: ClassVar[str] = "secrets"
    spec: ClassVar[ArgumentSpec] = ROTATION_INFO_SPEC

    @classmethod
    def words(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """What is no key."""
        return short_key(params)

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        self._keys = read_key(params, context)
        find_collections(params.get("plugin_paths") or ())
        self._now = context.clock.now().replace(microsecond=0)
        read = [(each, *declared(each, context)) for each in params["secrets"]]
        self._declarations = tuple(declaration for _given, declaration, _provider in read)
        self._providers = {declaration.name: provider for _given, declaration, provider in read}
        names = [each.name for each in self._declarations]
        if twice := sorted({each for each in names if names.count(each) > 1}):
            raise refused("secrets", twice[0], "it is listed twice", "Give each secret a name of its own.")
        self._kept_in = {declaration.name: given.get("kept_in") for given, declaration, _provider in read}
        self._vaults: Mapping[str, Vault] = {
            declaration.name: open_vault(
                params,
                read_kept(given.get("kept_in")),
                declaration.name,
                self._keys,
                context,
                self.state_store,
                provider=provider,
                kind=declaration.provider,
            )
            for given, declaration, provider in read
        }

    def observe(self) -> tuple[Standing, ...]:
        """Ledgers beside each other, destinations one after the other: those of one project share its list."""
        looks: Looks = {}
        store = self.state_store
        books = [Book(store, self.params["environment"], each.name) for each in self._declarations]
        entries = together([book.read for book in books], _WORKERS, Crew())
        for declaration, entry in zip(self._declarations, entries, strict=True):
            self._keys.check(entry.ledger.key, declaration.name)
        return tuple(
            self._standing(declaration, entry, looks)
            for declaration, entry in zip(self._declarations, entries, strict=True)
        )

    def plan(self, state: Sequence[Standing]) -> Plan:
        """Nothing changes."""
        told = [self._told(each) for each in state]
        result = {
            "all": told,
            "due": [each["secret"] for each in told if each["overdue"] or each["value"] is None],
            "under_way": [each["secret"] for each in told if each["phase"] != "idle"],
            "unreachable": [each["secret"] for each in told if each["problem"]],
        }
        return Plan(changed=False, result=result)

    def act(self, state: Sequence[Standing], plan: Plan) -> Mapping[str, Any]:
        """Never reached."""
        return plan.result

    def close(self) -> None:
        """Let go of connections."""
        for provider in self._providers.values():
            provider.close()

    def _standing(self, declaration: Declaration, entry: Entry, looks: Looks) -> Standing:
        """One that cannot be reached is no reason not to tell of the others."""
        sights: list[tuple[str, Sight]] = []
        stale: dict[str, list[dict[str, Any]]] = {}
        failure = standing = ""
        try:
            for name, destination in open_destinations(declaration.targets, self._keys, self.context, looks).items():
                sights.append((name, destination.observe()))
                written = entry.ledger.holding(name)
                if self.params["deployments"] and written is not None and isinstance(destination, VercelDestination):
                    stale[name] = destination.built_before(written.changed)
            if unsettled(entry.ledger, sights):
                name, ledgers = declaration.name, self._ledgers
                sights = [(each, settled(name, entry.ledger, each, sight, ledgers)) for each, sight in sights]
            provider = self._providers[declaration.name]
            if entry.ledger == Ledger() and isinstance(provider, Occupied):
                standing = provider.standing()
        except RunbookError as error:
            failure = error.message
        seen = Seen(sights=tuple(sights))
        return Standing(
            declaration=declaration, entry=entry, seen=seen, failure=failure, standing=standing, stale=stale
        )

    @cached_property
    def _ledgers(self) -> Mapping[str, Ledger]:
        """Of all secrets of the environment, those too that are not asked for here."""
        return read_ledgers(self.state_store, self.params["environment"])

    def _told(self, standing: Standing) -> dict[str, Any]:
        declaration, ledger = standing.declaration, standing.entry.ledger
        wait, vault = self._wait(standing), self._vaults[declaration.name]
        said = describe(declaration, ledger, standing.seen, wait, vault, self._now)
        for each in said["destinations"] if standing.failure else ():
            each["as_written"] = each["missing"] = each["in_force"] = None
        for each in said["destinations"]:
            each["stale_deployments"] = standing.stale.get(each["name"])
        refusal = unrotatable(declaration)
        said |= {"problem": standing.failure, "cannot_rotate": refusal.message if refusal else ""}
        return {name: each for name, each in said.items() if name != "requests"}

    def _wait(self, standing: Standing) -> Wait:
        """What a run of secret_rotation would wait for, or do."""
        if standing.failure:
            return Wait(what="person", reason=standing.failure)
        declaration, ledger = standing.declaration, standing.entry.ledger
        params = {**self.params, "kept_in": self._kept_in[declaration.name]}
        try:
            self._vaults[declaration.name].check()
            owns = own_credentials(params, declaration, os.environ, params["own_logins"])
            refuse_own(declaration, ledger, owns, self._keys)
            step = next_step(declaration, ledger, standing.seen, Request(), self._now, entered=True)
            if standing.standing:
                raise already_there(declaration.name, standing.standing)
        except RunbookError as error:
            return Wait(what="person", reason=error.message)
        if isinstance(step, Wait):
            return step
        said = sentence(step, declaration, ledger)
        return Wait(what="run", reason=f"the next run is to {said}" if said else "the next run goes on")
