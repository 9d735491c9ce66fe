# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret of AWS Secrets Manager as the place of a secret (private to ops.runbooks).

What was written is known again by the version that is current: a version never changes. Its id is derived from the text
under the user's key, so that a request whose answer was lost makes no second one. A version that a killed run has left
waiting is known by the beginning of its id.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets import AwsSecret
from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager import (
    CURRENT,
    PENDING,
    SecretsManager,
    SecretState,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager_plan import SECRET_SPEC, Wanted
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.aws import connection, reach
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Days for which one that is removed can be brought back; the fewest that AWS knows.
_WINDOW = 7


class AwsSecretDestination:
    """See ``destination.Destination``."""

    def __init__(self, target: Target, keys: Keys, context: Context, looks: dict[tuple[str, ...], Any]) -> None:
        options = target.options
        given = connection(options, "destinations", target.name)
        self._params: dict[str, Any] = {
            **{name: option.get("default") for name, option in SECRET_SPEC.options.items()},
            **given,
            "secret": options["secret"],
            "kms_key_id": options["kms_key_id"],
            "recovery_window": _WINDOW,
        }
        self._name = Wanted.read(self._params).secret
        self._keys = keys
        self._context = context
        self._aws = reach(given, context, looks)
        self._secrets = SecretsManager(self._aws)

    def observe(self) -> Sight:
        """By the version that is current. One that is to be deleted counts as gone."""
        return self._sight(self._secrets.describe(self._name))

    def read(self) -> str | None:
        """See ``destination.Destination``."""
        state = self._secrets.describe(self._name)
        current = state.holder(CURRENT) if state is not None and state.gone_at is None else None
        found = self._secrets.value(self._name, current) if current is not None else None
        return found.text if found is not None else None

    def write(self, text: str) -> Sight:
        """See ``destination.Destination``. By the module aws_secret, which looks again at what came of it."""
        token = f"{self._beginning}{self._keys.fingerprint(text)}"
        before = self._secrets.describe(self._name)
        left = self._left(before)
        if left is not None and left != token:
            self._secrets.settle(self._name, left)
        wanted = {"value": text, "version_id": token} if text else {"state": "absent"}
        operation = AwsSecret({**self._params, **wanted}, self._context, self._aws)
        try:
            state = operation.observe()
            plan = operation.plan(state)
            if plan.changed:
                for warning in plan.warnings:
                    self._context.warn(warning)
                operation.act(state, plan)
        finally:
            operation.close()
        return self.observe()

    @cached_property
    def _beginning(self) -> str:
        """Of the ids of all versions that are put here."""
        return self._keys.fingerprint(f"aws_secret {self._name}")

    def _left(self, state: SecretState | None) -> str | None:
        """A version of ours that still has the label of one that waits; AWS leaves it there when it becomes current."""
        waiting = state.holder(PENDING) if state is not None and state.gone_at is None else None
        return waiting if waiting is not None and waiting.startswith(self._beginning) else None

    def _sight(self, state: SecretState | None) -> Sight:
        if state is None or state.gone_at is not None:
            return Sight(exists=False)
        left = self._left(state)
        return Sight(exists=True, mark=f"{state.holder(CURRENT)}{f' {left}' if left is not None else ''}")
