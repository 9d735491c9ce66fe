# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for Supabase as one of the sandbox's servers, and as tests hold it in hand."""

from __future__ import annotations

import json
import secrets
import string
from typing import Any

from sandbox.standin.service import Heard, TokenStandIn
from sandbox.supabase import signing
from sandbox.supabase.api import new_value
from sandbox.supabase.model import KINDS, ApiKey, Clock, Project, SigningKey, Token, World


class SupabaseServer(TokenStandIn[World]):
    """Supabase on one port of 127.0.0.1; ``token`` may do everything in every project that is put in."""

    name = "Supabase"
    package = "sandbox.supabase"
    #: Without its clock, which is put in by itself.
    empty = World(clocks={})
    kinds = KINDS
    bearer = Token
    begins = "sbp_"
    #: Seconds by which its clock was put ahead.
    ahead = 0

    def make_project(self, **fields: Any) -> str:
        """A project as it is handed over: legacy keys, one key of each kind, a signing key; its ref."""
        ref = "".join(secrets.choice(string.ascii_lowercase) for _letter in range(20))
        legacy = [ApiKey(id=name, name=name, type="legacy", value=_jwt(name)) for name in ("anon", "service_role")]
        named = [
            ApiKey(id=f"{ref}-{kind}", name="default", type=kind, value=new_value(kind), created_at=1)
            for kind in ("publishable", "secret")
        ]
        first = SigningKey(
            id=f"{ref}-signing", status="in_use", private=signing.private_key("ES256"), created_at=1, updated_at=1
        )
        keys = {each.id: each for each in (*legacy, *named)}
        self.put(Project(ref=ref, keys=keys, signing_keys={first.id: first}, **fields))
        return ref

    def args(self, ref: str) -> dict[str, str]:
        """Options of a module."""
        return {
            "project_ref": ref,
            "token": self.token,
            "api_url": self.api_url,
            "project_url": f"{self.api_url}/gateway/{ref}",
        }

    def project(self, ref: str) -> Project:
        """One project as it is now, with all values."""
        return self.world().projects[ref]

    def keys(self, ref: str) -> dict[str, ApiKey]:
        """The keys that are there, by name and type: ``default secret``."""
        there = [each for each in self.project(ref).keys.values() if not each.deleted_at]
        return {f"{each.name} {each.type}": each for each in there}

    def set_clock(self, *, ahead: int = 0, limit: int = 120) -> None:
        """By how many seconds its clock is ahead, and how many requests it takes in a minute."""
        self.ahead = ahead
        self.put(Clock(ahead=ahead, limit=limit))

    def use(
        self, ref: str, key: str, path: str = "/auth/v1/settings", *, method: str = "GET", token: str = ""
    ) -> Heard:
        """Ask a project's gateway as whoever has a key, and maybe a user's token."""
        headers = {**({"apikey": key} if key else {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        return self.send(method, f"/gateway/{ref}{path}", headers=headers)

    def sign_in(self, ref: str) -> str:
        """A token of a user, signed by the key in use."""
        key = self.keys(ref)["default publishable"].value
        return str(json.loads(self.use(ref, key, "/auth/v1/token", method="POST").body)["access_token"])

    def accepts(self, ref: str, token: str) -> bool:
        """Whether the project takes a user's token."""
        key = self.keys(ref)["default publishable"].value
        return self.use(ref, key, "/auth/v1/user", token=token).status == 200

    def verifies(self, ref: str, token: str) -> bool:
        """Whether an API of its own takes a user's token, that trusts the published keys alone."""
        published = json.loads(self.use(ref, "", "/auth/v1/.well-known/jwks.json").body)["keys"]
        return signing.verified(token, published)


def _jwt(role: str) -> str:
    """As long as one, and of its form."""
    return f"eyJhbGciOiJIUzI1NiJ9.eyJ{role.encode().hex()}.{secrets.token_urlsafe(32)}"
