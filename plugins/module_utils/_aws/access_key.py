# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module aws_access_key (private to ops.runbooks): access keys of one user of IAM."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys import AccessKey, AccessKeys
from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys_plan import (
    KEY_ID,
    KEY_SPEC,
    USER,
    Action,
    KeyPlan,
    KeyRules,
    SeenKeys,
    describe,
    ids_of_interest,
    plan_keys,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.key_places import (
    FilePlace,
    Held,
    Intent,
    Place,
    SecretPlace,
    Taken,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager import SecretsManager, new_token
from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

#: A key younger than this may not be known everywhere yet.
_YOUNG = timedelta(minutes=10)


class AwsAccessKey(Operation[SeenKeys, KeyPlan]):
    """One access key, or the place that is to have one."""

    noun: ClassVar[str] = "access_key"
    spec: ClassVar[ArgumentSpec] = KEY_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        super().__init__(params, context)
        user, id = params["user"], params["access_key_id"]
        if not USER.fullmatch(user):
            reason = "a user's name has letters, digits and _+=,.@-, 64 at most"
            raise _unusable("user", user, reason, "Correct it; it is the name, and not the ARN.")
        if id is not None and not KEY_ID.fullmatch(id):
            reason = "the id of a key has 16 to 128 letters and digits"
            raise _unusable("access_key_id", id, reason, "Correct it; it is not the secret key.")
        self._aws = Aws(params, context)
        self._keys = AccessKeys(self._aws, user)
        self._patience = parse_duration(params["timeout"], "timeout").total_seconds()
        self._rules = KeyRules(
            state=params["state"],
            id=params["access_key_id"],
            place=self._place.title if params["state"] == "present" else "",
            unused_for=parse_duration(params["unused_for"], "unused_for"),
        )

    def observe(self) -> SeenKeys:
        """The user's keys, and where one is to be kept, whether it is there and works."""
        keys = self._keys.list()
        held = self._place.held() if self._rules.state == "present" else Held()
        ids = ids_of_interest(self._rules, keys, held)
        seen = SeenKeys(
            user=self._keys.user,
            keys=keys,
            own=self._own(keys),
            now=self._keys.now(),
            held=held,
            uses={id: self._keys.last_use(id) for id in ids},
            elsewhere=self._elsewhere(keys, held),
        )
        key = next((each for each in keys if held.pair is not None and each.id == held.pair.id), None)
        if key is not None and key.active and held.pair is not None and held.user == seen.user:
            young = seen.now - key.created_at < _YOUNG
            self._keys.test(held.pair, patience=self._patience if young else 0)
        return seen

    def plan(self, state: SeenKeys) -> KeyPlan:
        """See :func:`plan_keys`."""
        return plan_keys(self._rules, state)

    def act(self, state: SeenKeys, plan: KeyPlan) -> Mapping[str, Any]:
        """Carry the steps out."""
        id = self._rules.id or (state.held.pair.id if state.held.pair is not None else None)
        for action in plan.actions:
            id = self._carry_out(action) or id
        keys = self._keys.list()
        after = SeenKeys(user=state.user, keys=keys, own=state.own, now=state.now, uses=state.uses)
        return describe(after, id, self._rules.place)

    @cached_property
    def _place(self) -> Place:
        if self.params["secret"]:
            return SecretPlace(self.params["secret"], SecretsManager(self._aws), self.context)
        return FilePlace(os.path.abspath(self.params["file"]), self.context)

    def _own(self, keys: Sequence[AccessKey]) -> frozenset[str]:
        """Keys that are refused. A session of the user itself may have been made from any of them."""
        own = self._keys.own
        off = self._rules.state in ("inactive", "absent") and not any(each.id in own for each in keys)
        return own | {each.id for each in keys} if off and self._keys.who().user == self._keys.user else own

    def _elsewhere(self, keys: Sequence[AccessKey], held: Held) -> str:
        """Whose the pair in the place is where the user's keys do not list it, which does not mean that it is gone."""
        if held.pair is None or held.user != self._keys.user or any(each.id == held.pair.id for each in keys):
            return ""
        return self._keys.who_has(held.pair)

    def _carry_out(self, action: Action) -> str | None:
        """One step; the id of a key that it has made."""
        keys = self._keys
        if action.kind == "create":
            return self._create()
        if action.kind == "settle":
            self._place.settle()
        elif action.kind == "delete":
            keys.delete(action.id)
        else:
            keys.activate(action.id, active=action.kind == "activate")
        return None

    def _create(self) -> str:
        """A key whose secret goes straight to its place; then it is proven."""
        known = tuple(each.id for each in self._keys.list())
        self._place.announce(Intent(user=self._keys.user, known=known, at=self._keys.now(), id=new_token()))
        pair = self._keys.create()
        try:
            self._place.deliver(self._keys.user, pair)
        except Taken:
            # Nobody else has ever had its secret.
            self._keys.delete(pair.id)
            raise
        self._keys.test(pair, patience=self._patience)
        return pair.id


def _unusable(what: str, value: str, reason: str, remedy: str) -> RunbookError:
    # What was given for an id may be a secret by mistake.
    shown = repr(value) if what == "user" else what
    return RunbookError(code="invalid_parameter", attempted=f"use {what}", object=shown, reason=reason, remedy=remedy)
