# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-in for AWX knows: credentials with their inputs as a job gets them, and what their types hide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input of a credential type."""

    id: str
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialType:
    """What a kind of credential is made of."""

    id: str
    name: str
    fields: tuple[Field, ...] = ()

    @property
    def secret(self) -> frozenset[str]:
        """The inputs that nobody is shown."""
        return frozenset(each.id for each in self.fields if each.secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A credential, its inputs opened. ``looked_up`` are inputs that come from another system of secrets."""

    id: str
    name: str
    type: str
    organization: str = "Default"
    inputs: Mapping[str, str] = field(default_factory=dict)
    looked_up: tuple[str, ...] = ()
    modified: str = "2026-01-01T00:00:00.000000Z"
    managed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token of OAuth2. ``scope`` is ``read`` or ``write``; without the role Admin its user changes nothing."""

    token: str
    scope: str = "write"
    admin: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything at one moment."""

    credentials: Mapping[str, Credential] = field(default_factory=dict)
    types: Mapping[str, CredentialType] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)

    def put(self, thing: Credential | CredentialType | Token) -> Self:
        """The world with this thing in it."""
        if isinstance(thing, Credential):
            return replace(self, credentials={**self.credentials, thing.id: thing})
        if isinstance(thing, CredentialType):
            return replace(self, types={**self.types, thing.id: thing})
        return replace(self, tokens={**self.tokens, thing.token: thing})


KINDS: Mapping[str, type[Any]] = {"credentials": Credential, "types": CredentialType, "tokens": Token}
