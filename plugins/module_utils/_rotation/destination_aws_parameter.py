# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A parameter of AWS Systems Manager as the place of a secret (private to ops.runbooks), always an encrypted one.

What was written is known again by its version and the time of its last change: one that was deleted and made anew
counts from 1 again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.parameters import Parameters, ParameterState
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.aws import connection, reach
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target, refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

_NAME = re.compile(r"[A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+)+")
_LONGEST = 1011


class AwsParameterDestination:
    """See ``destination.Destination``."""

    def __init__(self, target: Target, keys: Keys, context: Context, looks: dict[tuple[str, ...], Any]) -> None:
        options = target.options
        self._parameters = Parameters(reach(connection(options, "destinations", target.name), context, looks))
        self._name = str(options["parameter"])
        if not _NAME.fullmatch(self._name) or len(self._name) > _LONGEST:
            reason = f"the name of a parameter has letters, digits, _ . - and parts after /, {_LONGEST} at most"
            raise refused("destinations", target.name, reason, "Write it like /acme/production/auth_secret.")
        self._kms_key_id = options["kms_key_id"]

    def observe(self) -> Sight:
        """By one question, in whose answer the value is not decrypted."""
        return _sight(self._parameters.describe(self._name))

    def read(self) -> str | None:
        """See ``destination.Destination``."""
        return self._parameters.value(self._name)

    def write(self, text: str) -> Sight:
        """See ``destination.Destination``."""
        if text:
            return _sight(self._parameters.write(self._name, text, kms_key_id=self._kms_key_id))
        self._parameters.delete(self._name)
        return Sight(exists=False)


def _sight(state: ParameterState | None) -> Sight:
    if state is None:
        return Sight(exists=False)
    changed = iso(state.changed_at) if state.changed_at is not None else ""
    return Sight(exists=True, mark=f"{state.version}@{changed}")
