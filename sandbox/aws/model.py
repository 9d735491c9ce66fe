# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-in for AWS knows: users, their access keys, secrets with their versions, and parameters."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

ACCOUNT, REGION = "123456789012", "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of IAM. AWS is a little late with everything, each of which is said here.

    Args:
        unknown_for: How many requests with a new key of this user are refused, since it is not known everywhere yet.
        told_late: By how many seconds the last use of a key is told late; None: only a test says when that was.
    """

    name: str
    unknown_for: int = 0
    told_late: int | None = None

    @property
    def arn(self) -> str:
        """Its address."""
        return f"arn:aws:iam::{ACCOUNT}:user/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A pair. Times are seconds since 1970.

    ``last_used_at`` is what is told, ``used_at`` what is so; ``unknown_for`` is how many requests are still refused.
    """

    id: str
    secret: str
    user: str
    status: str = "Active"
    created_at: int = 0
    last_used_at: int | None = None
    used_at: int | None = None
    unknown_for: int = 0
    account: str = ACCOUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One value of a secret."""

    value: str
    stages: tuple[str, ...] = ()
    created_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret of Secrets Manager. ``deleted_at`` is when it will be gone."""

    name: str
    arn: str
    description: str = ""
    kms_key_id: str | None = None
    rotation: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, Version] = field(default_factory=dict)
    deleted_at: int | None = None

    def holder(self, stage: str) -> str | None:
        """The version that carries a label."""
        return next((id for id, each in self.versions.items() if stage in each.stages), None)

    def labelled(self, version: str, stage: str) -> Secret:
        """With the label at this version, and nowhere else; the version that was current becomes the previous one."""
        before = self.holder(stage)
        if before == version:
            return self
        made = self._without(stage)._with(version, stage)
        if stage == "AWSCURRENT" and before is not None:
            made = made._without("AWSPREVIOUS")._with(before, "AWSPREVIOUS")
        return made

    def _with(self, version: str, stage: str) -> Secret:
        found = self.versions[version]
        stages = tuple(sorted({*found.stages, stage}))
        return replace(self, versions={**self.versions, version: replace(found, stages=stages)})

    def _without(self, stage: str) -> Secret:
        kept = {
            id: replace(each, stages=tuple(label for label in each.stages if label != stage))
            for id, each in self.versions.items()
        }
        return replace(self, versions=kept)

    unlabelled = _without


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of Systems Manager."""

    name: str
    value: str
    type: str = "SecureString"
    version: int = 1
    #: Seconds since 1970, with milliseconds as AWS has them.
    changed_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """By how many seconds IAM's clock, and that of all answers, is ahead of this machine's."""

    name: str = "clock"
    ahead: int = 0


Thing = User | AccessKey | Secret | Parameter | Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything at one moment."""

    users: Mapping[str, User] = field(default_factory=dict)
    keys: Mapping[str, AccessKey] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    clocks: Mapping[str, Clock] = field(default_factory=dict)

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return int(time.time()) + sum(each.ahead for each in self.clocks.values())

    def put(self, thing: Thing) -> Self:
        """The world with this thing in it."""
        if isinstance(thing, User):
            return replace(self, users={**self.users, thing.name: thing})
        if isinstance(thing, AccessKey):
            return replace(self, keys={**self.keys, thing.id: thing})
        if isinstance(thing, Clock):
            return replace(self, clocks={thing.name: thing})
        if isinstance(thing, Parameter):
            return replace(self, parameters={**self.parameters, thing.name: thing})
        return replace(self, secrets={**self.secrets, thing.name: thing})

    def without(self, section: str, name: str) -> World:
        """The world without one thing."""
        left = {key: each for key, each in getattr(self, section).items() if key != name}
        return replace(self, **{section: left})


KINDS: Mapping[str, type[Thing]] = {
    "users": User,
    "keys": AccessKey,
    "secrets": Secret,
    "parameters": Parameter,
    "clocks": Clock,
}
