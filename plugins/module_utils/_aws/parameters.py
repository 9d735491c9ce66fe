# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parameters of AWS Systems Manager as places of secrets (private to ops.runbooks).

Each write makes another version, also of an equal value, so that the value is compared first. Only encrypted parameters
are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: Bytes of a standard parameter and of an advanced one (User Guide, "Managing parameter tiers").
STANDARD, ADVANCED = 4096, 8192
_ENCRYPTED = "SecureString"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterState:
    """A parameter without its value."""

    name: str
    version: int
    changed_at: datetime | None = None
    encrypted: bool = True


class Parameters:
    """The parameters of one account and region."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._context = aws.context

    def describe(self, name: str) -> ParameterState | None:
        """Everything but the value; None where there is none. The value is not decrypted for it."""
        found = self._get(name, decrypted=False)
        return _state(found) if found is not None else None

    def value(self, name: str) -> str | None:
        """The value, which is protected at once; None where there is none."""
        found = self._get(name, decrypted=True)
        if found is None:
            return None
        self._context.redactor.protect(str(found["Value"]))
        return str(found["Value"])

    def write(self, name: str, value: str, *, kms_key_id: str | None = None) -> ParameterState:
        """Let it have this value, encrypted; nothing is sent where it has.

        Raises ``destination_unusable`` for one that is not encrypted, and for a value that is too large.
        """
        self._context.redactor.protect(value)
        size = len(value.encode("utf-8", "surrogateescape"))
        if not 0 < size <= ADVANCED:
            raise _unusable(name, f"a value has 1 to {ADVANCED} bytes, and this one has {size}", "Use Secrets Manager.")
        found = self._get(name, decrypted=True)
        if found is not None and found.get("Type") != _ENCRYPTED:
            reason = f"it is there as a {found.get('Type')}, which everybody reads who may list it"
            raise _unusable(name, reason, "Delete it, and let it be made anew as a SecureString.")
        if found is not None and found["Value"] == value:
            return _state(found)
        more: dict[str, Any] = {"KeyId": kms_key_id} if kms_key_id else {}
        if size > STANDARD:
            more["Tier"] = "Advanced"
        self._context.effect(f"write the parameter {name}")
        self._aws.call(
            "ssm",
            "put_parameter",
            "write a parameter",
            name,
            Name=name,
            Value=value,
            Type=_ENCRYPTED,
            Overwrite=True,
            **more,
        )
        written = self.describe(name)
        if written is None:
            raise _unusable(name, "AWS took it, and does not show it", "Run the same command again.")
        return written

    def delete(self, name: str) -> None:
        """Remove it, unless it is gone already."""
        self._context.effect(f"delete the parameter {name}")
        self._aws.call("ssm", "delete_parameter", "delete a parameter", name, accept=["ParameterNotFound"], Name=name)

    def _get(self, name: str, *, decrypted: bool) -> dict[str, Any] | None:
        answer = self._aws.call(
            "ssm",
            "get_parameter",
            "read a parameter",
            name,
            accept=["ParameterNotFound"],
            Name=name,
            WithDecryption=decrypted,
        )
        return None if answer.get("refused") else dict(answer["Parameter"])


def _state(found: dict[str, Any]) -> ParameterState:
    changed = found.get("LastModifiedDate")
    return ParameterState(
        name=str(found["Name"]),
        version=int(found["Version"]),
        changed_at=changed.astimezone(UTC) if isinstance(changed, datetime) else None,
        encrypted=found.get("Type") == _ENCRYPTED,
    )


def _unusable(name: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="destination_unusable", attempted="write a parameter", object=name, reason=reason, remedy=remedy
    )
