# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-in for Supabase knows: projects with their keys, tokens, and what time it is there.

Times are milliseconds since 1970 by the stand-in's own clock, which a test may put ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

#: What a scoped token may be without. That values are a permission of their own is chosen; the others are Supabase's.
PERMISSIONS = (
    "api_gateway_keys_read",
    "api_gateway_keys_write",
    "api_gateway_keys_reveal",
    "auth_config_read",
    "auth_signing_keys_read",
    "auth_signing_keys_write",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key. The legacy ones are called ``anon`` and ``service_role`` and have no times."""

    id: str
    name: str
    #: ``publishable``, ``secret`` or ``legacy``.
    type: str
    value: str
    description: str = ""
    created_at: int = 0
    #: When it was deleted; such a one is shown nowhere, and may be taken for a while yet.
    deleted_at: int = 0
    was_compromised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key that tokens are signed with; ``id`` is its ``kid``."""

    id: str
    algorithm: str = "ES256"
    #: ``standby``, ``in_use``, ``previously_used`` or ``revoked``.
    status: str = "standby"
    #: PEM, or the shared secret of HS256.
    private: str = ""
    created_at: int = 0
    updated_at: int = 0
    #: Whether it is the JWT secret from before there were signing keys.
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project. Durations are seconds, where nothing else is said."""

    ref: str
    keys: Mapping[str, ApiKey] = field(default_factory=dict)
    signing_keys: Mapping[str, SigningKey] = field(default_factory=dict)
    legacy_enabled: bool = True
    #: How long the tokens of users are good.
    jwt_exp: int = 3600
    #: Milliseconds for which a new key is not known at the gateway yet, and a deleted one is still taken there.
    key_delay: int = 0
    #: How often signing keys may change their states, and how long the published ones are kept in caches.
    throttle: int = 300
    jwks_cache: int = 600
    #: When a signing key was changed last; when the published ones were cached, and their ids.
    changed_at: int = 0
    cached_at: int = 0
    cached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token, and the projects that it sees; none named: all."""

    token: str
    projects: tuple[str, ...] = ()
    #: What a scoped one lacks; see :data:`PERMISSIONS`.
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """By how many seconds the stand-in is ahead of the time, and how many requests it takes in a minute."""

    name: str = "clock"
    ahead: int = 0
    limit: int = 120


Thing = Project | Token | Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything at one moment."""

    projects: Mapping[str, Project] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    clocks: Mapping[str, Clock] = field(default_factory=lambda: {"clock": Clock()})

    @property
    def clock(self) -> Clock:
        """The one that there is."""
        return self.clocks["clock"]

    def put(self, thing: Thing) -> Self:
        """The world with this thing in it."""
        if isinstance(thing, Project):
            return replace(self, projects={**self.projects, thing.ref: thing})
        if isinstance(thing, Token):
            return replace(self, tokens={**self.tokens, thing.token: thing})
        return replace(self, clocks={thing.name: thing})


KINDS: Mapping[str, type[Any]] = {"projects": Project, "tokens": Token, "clocks": Clock}
