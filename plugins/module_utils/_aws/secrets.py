# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module aws_secret (private to ops.runbooks): one secret of AWS Secrets Manager as it is described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager import (
    CURRENT,
    OURS,
    PENDING,
    SecretsManager,
    SecretState,
    SecretValue,
    new_token,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager_plan import (
    SECRET_SPEC,
    Action,
    SecretPlan,
    SeenSecret,
    Wanted,
    describe,
    plan_secret,
    surplus_tags,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context, Operation
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

_SHORTEST = 4


class AwsSecret(Operation[SeenSecret, SecretPlan]):
    """One secret."""

    noun: ClassVar[str] = "secret"
    spec: ClassVar[ArgumentSpec] = SECRET_SPEC

    def __init__(self, params: Mapping[str, Any], context: Context, aws: Aws | None = None) -> None:
        super().__init__(params, context)
        self._wanted = Wanted.read(params)
        self._secrets = SecretsManager(aws or Aws(params, context))

    @classmethod
    def words(cls, params: Mapping[str, Any]) -> frozenset[str]:
        """What is too short to be a secret would take results apart."""
        value = params.get("value")
        return frozenset([str(value)]) if isinstance(value, str | int) and len(str(value)) < _SHORTEST else frozenset()

    def observe(self) -> SeenSecret:
        """The secret, and the values that have to be compared."""
        wanted = self._wanted
        state = self._secrets.describe(wanted.secret)
        if state is None or state.gone_at is not None or wanted.value is None or not wanted.present:
            return SeenSecret(state=state)
        return SeenSecret(
            state=state,
            current=self._value(state, state.holder(CURRENT)),
            pending=self._value(state, state.pending),
            requested=self._value(state, wanted.token),
            left=self._value(state, state.holder(OURS)) if wanted.token is None else None,
        )

    def plan(self, state: SeenSecret) -> SecretPlan:
        """See :func:`plan_secret`."""
        return plan_secret(self._wanted, state)

    def act(self, state: SeenSecret, plan: SecretPlan) -> Mapping[str, Any]:
        """Carry the steps out, and look whether anything is left to do."""
        self._carry_out_all(plan, state)
        after = self.observe()
        if any(each.kind == "restore" for each in plan.actions):
            # Its value can be compared only now.
            self._carry_out_all(self.plan(after), after)
            after = self.observe()
        if self._wanted.present and self.plan(after).changed:
            raise RunbookError(
                code="secret_conflict",
                attempted="write a secret",
                object=self._wanted.secret,
                reason="what is read back is not what was written; somebody else changes it too",
                remedy="Run the same command again once nobody else does.",
            )
        return describe(after.state)

    def _carry_out_all(self, plan: SecretPlan, state: SeenSecret) -> None:
        version: str | None = None
        for action in plan.actions:
            version = self._carry_out(action, state.state, version)

    def _value(self, state: SecretState, version: str | None) -> SecretValue | None:
        return self._secrets.value(state.arn, version) if version is not None else None

    def _carry_out(self, action: Action, state: SecretState | None, staged: str | None) -> str | None:
        """One step; the version that a promotion after it is about."""
        wanted, secrets = self._wanted, self._secrets
        if action.kind == "create":
            self._create(action)
            return None
        if state is None:
            raise ValueError("what is changed is there")
        arn = state.arn
        if action.kind == "stage":
            token = action.version or new_token()
            return secrets.stage(arn, wanted.value or "", token=token, seen=state.holder(PENDING))
        if action.kind == "promote":
            secrets.promote(arn, action.version or staged or "", seen=state.holder(CURRENT))
        elif action.kind == "settle":
            secrets.settle(arn, action.version or "")
        elif action.kind == "restore":
            secrets.restore(arn)
        elif action.kind == "delete":
            secrets.delete(arn, days=wanted.recovery_window)
        else:
            self._describe_anew(action, state)
        return staged

    def _describe_anew(self, action: Action, state: SecretState) -> None:
        wanted = self._wanted
        if action.kind == "update":
            changes = {"Description": wanted.description, "KmsKeyId": wanted.kms_key_id}
            self._secrets.update(state.arn, {key: value for key, value in changes.items() if value is not None})
        elif action.kind == "tag":
            self._secrets.tag(state.arn, wanted.tags or {})
        else:
            self._secrets.untag(state.arn, surplus_tags(wanted, state))

    def _create(self, action: Action) -> None:
        wanted = self._wanted
        more: dict[str, Any] = {"Description": wanted.description, "KmsKeyId": wanted.kms_key_id}
        if wanted.tags:
            more["Tags"] = [{"Key": key, "Value": value} for key, value in sorted(wanted.tags.items())]
        more = {key: value for key, value in more.items() if value is not None}
        self._secrets.create(wanted.secret, wanted.value or "", token=action.version or new_token(), **more)
