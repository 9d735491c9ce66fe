# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets of AWS Secrets Manager (private to ops.runbooks).

A value is a version, known by its token. It is looked up before it is put, since the same token with another value is
a conflict; it becomes current by a move of the label from the version that was seen to have it, so that of two who do
that at once only one does.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
#: What a version is put with. AWS takes a label from whoever has it, and this one nobody else works with.
OURS = "ops.runbooks"
#: Bytes that AWS keeps of one value at most (User Guide, "Secrets Manager quotas").
LARGEST = 65536
_SERVICE = "secretsmanager"
_MISSING = "ResourceNotFoundException"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretState:
    """A secret without its values. ``versions`` are ids with their labels; ``gone_at`` is when it will be deleted."""

    arn: str
    name: str
    description: str = ""
    kms_key_id: str = ""
    rotated_by_aws: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gone_at: datetime | None = None

    def holder(self, stage: str) -> str | None:
        """The version that carries a label."""
        return next((id for id, stages in self.versions.items() if stage in stages), None)

    @property
    def pending(self) -> str | None:
        """The version that waits to become current; the label may be left on the current one."""
        holder = self.holder(PENDING)
        return None if holder == self.holder(CURRENT) else holder

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> SecretState:
        """From DescribeSecret."""
        gone = answer.get("DeletedDate")
        return cls(
            arn=str(answer.get("ARN", "")),
            name=str(answer.get("Name", "")),
            description=str(answer.get("Description") or ""),
            kms_key_id=str(answer.get("KmsKeyId") or ""),
            rotated_by_aws=bool(answer.get("RotationEnabled")),
            tags={str(each["Key"]): str(each["Value"]) for each in answer.get("Tags") or ()},
            versions={str(id): tuple(stages) for id, stages in (answer.get("VersionIdsToStages") or {}).items()},
            gone_at=gone.astimezone(UTC) if isinstance(gone, datetime) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SecretValue:
    """One version with its value; None where it is no text."""

    version: str
    text: str | None = field(repr=False)


def new_token() -> str:
    """A version's id that nobody else will draw."""
    return str(uuid.uuid4())


class SecretsManager:
    """All secrets of one account and region."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._context = aws.context

    def describe(self, secret: str) -> SecretState | None:
        """Everything but values; None where there is no such secret."""
        answer = self._aws.call(
            _SERVICE, "describe_secret", "read about a secret", secret, accept=[_MISSING], SecretId=secret
        )
        return None if answer.get("refused") else SecretState.read(answer)

    def value(self, secret: str, version: str) -> SecretValue | None:
        """The value of a version, which is protected at once; None where there is no such version."""
        answer = self._aws.call(
            _SERVICE, "get_secret_value", "read a secret", secret, accept=[_MISSING], SecretId=secret, VersionId=version
        )
        if answer.get("refused"):
            return None
        text = answer.get("SecretString")
        self._context.redactor.protect(text)
        return SecretValue(version=str(answer.get("VersionId", version)), text=text)

    def create(self, name: str, value: str, *, token: str, **more: Any) -> str:
        """Make the secret with its first version, which is current; the version's id. Raises ``secret_conflict``."""
        self._effect(f"create the secret {name}")
        answer = self._aws.call(
            _SERVICE,
            "create_secret",
            "create a secret",
            name,
            accept=["ResourceExistsException"],
            Name=name,
            SecretString=value,
            ClientRequestToken=token,
            **more,
        )
        if answer.get("refused"):
            raise _conflict("create a secret", name, "somebody else has created it in the meantime")
        return str(answer["VersionId"])

    def stage(self, secret: str, value: str, *, token: str, seen: str | None) -> str:
        """Put a value beside the current one; it gets AWSPENDING, where ``seen`` still has that. The version's id.

        A version of this token with this value is taken as it is. Raises ``secret_conflict`` where it has another one,
        and where another version has got AWSPENDING since.
        """
        found = self.value(secret, token)
        if found is not None and found.text != value:
            raise _other_value(secret, token)
        if found is None:
            self._put(secret, value, token, OURS)
        if not self._has(secret, PENDING, token) and not self._move(secret, PENDING, token, seen):
            state = self._required(secret)
            if PENDING not in state.versions.get(token, ()):
                reason = f"version {state.holder(PENDING)} has got {PENDING} in the meantime"
                raise _conflict("put a version into a secret", f"{secret}, version {token}", reason)
        self._take(secret, OURS, token)
        return token

    def put(self, secret: str, value: str, *, token: str, stage: str) -> None:
        """Put a value beside all others, under a label that is nobody else's. Raises ``secret_conflict``."""
        self._context.redactor.protect(value)
        self._put(secret, value, token, stage)

    def _put(self, secret: str, value: str, token: str, stage: str) -> None:
        self._effect(f"put a version into the secret {secret}")
        answer = self._aws.call(
            _SERVICE,
            "put_secret_value",
            "write a secret",
            secret,
            accept=["ResourceExistsException"],
            SecretId=secret,
            SecretString=value,
            ClientRequestToken=token,
            VersionStages=[stage],
        )
        if answer.get("refused"):
            raise _other_value(secret, token)

    def release(self, secret: str, stage: str, version: str) -> None:
        """Take a label from a version; AWS removes what has none by itself. Done already where it is not there."""
        state = self.describe(secret)
        if state is not None and state.gone_at is None and stage in state.versions.get(version, ()):
            self._move(secret, stage, None, version)

    def promote(self, secret: str, version: str, *, seen: str | None) -> None:
        """Make a version current, where ``seen`` still is, and take AWSPENDING from it.

        Raises ``secret_conflict`` where another version has become current since.
        """
        if not self._move(secret, CURRENT, version, seen):
            state = self._required(secret)
            if state.holder(CURRENT) != version:
                reason = f"version {state.holder(CURRENT)} has become current in the meantime"
                raise _conflict("make a version of a secret current", f"{secret}, version {version}", reason)
        self.settle(secret, version)

    def settle(self, secret: str, version: str) -> None:
        """Take AWSPENDING from a version; AWS leaves it there when the version becomes current."""
        self._take(secret, PENDING, version)
        self._take(secret, OURS, version)

    def update(self, secret: str, changes: Mapping[str, str]) -> None:
        """Change ``Description`` and ``KmsKeyId``."""
        self._effect(f"change the secret {secret}")
        more: dict[str, Any] = dict(changes)
        self._aws.call(_SERVICE, "update_secret", "change a secret", secret, SecretId=secret, **more)

    def tag(self, secret: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._effect(f"tag the secret {secret}")
        listed = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        self._aws.call(_SERVICE, "tag_resource", "tag a secret", secret, SecretId=secret, Tags=listed)

    def untag(self, secret: str, keys: tuple[str, ...]) -> None:
        """Remove tags."""
        self._effect(f"take tags from the secret {secret}")
        self._aws.call(
            _SERVICE, "untag_resource", "take tags from a secret", secret, SecretId=secret, TagKeys=list(keys)
        )

    def delete(self, secret: str, *, days: int) -> None:
        """Delete it after so many days; with 0 at once and for good."""
        self._effect(f"delete the secret {secret}")
        how: dict[str, Any] = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        self._aws.call(_SERVICE, "delete_secret", "delete a secret", secret, accept=[_MISSING], SecretId=secret, **how)

    def restore(self, secret: str) -> None:
        """Take its deletion back."""
        self._effect(f"take back the deletion of the secret {secret}")
        self._aws.call(_SERVICE, "restore_secret", "take back the deletion of a secret", secret, SecretId=secret)

    def _has(self, secret: str, stage: str, version: str) -> bool:
        return stage in self._required(secret).versions.get(version, ())

    def _take(self, secret: str, stage: str, version: str) -> None:
        if self._has(secret, stage, version):
            self._move(secret, stage, None, version)

    def _move(self, secret: str, stage: str, to: str | None, source: str | None) -> bool:
        """Move a label; False where it is not at ``source`` any more."""
        self._effect(f"move {stage} of the secret {secret}")
        where: dict[str, Any] = {"MoveToVersionId": to, "RemoveFromVersionId": source}
        answer = self._aws.call(
            _SERVICE,
            "update_secret_version_stage",
            f"move {stage} of a secret",
            secret,
            accept=["InvalidParameterException"],
            SecretId=secret,
            VersionStage=stage,
            **{name: version for name, version in where.items() if version is not None},
        )
        return not answer.get("refused")

    def _required(self, secret: str) -> SecretState:
        state = self.describe(secret)
        if state is None:
            raise _conflict("read about a secret", secret, "somebody else has deleted it in the meantime")
        return state

    def _effect(self, what: str) -> None:
        self._context.effect(what)


def _other_value(secret: str, token: str) -> RunbookError:
    reason = "this version is there already with another value, and a version never changes"
    return _conflict("put a version into a secret", f"{secret}, version {token}", reason)


def _conflict(attempted: str, where: str, reason: str) -> RunbookError:
    return RunbookError(
        code="secret_conflict",
        attempted=attempted,
        object=where,
        reason=reason,
        remedy="See whether another run works on it; then run the same command again.",
    )
