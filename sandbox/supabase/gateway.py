# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway of a project: where its keys are checked when somebody uses them, and the tokens of its users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sandbox.standin.http import Reply
from sandbox.supabase import signing
from sandbox.supabase.api import No
from sandbox.supabase.model import ApiKey, Project

#: What tokens of these are taken from, and what is published.
TRUSTED = ("standby", "in_use", "previously_used")


def answer(method: str, path: str, headers: Mapping[str, str], project: Project, now: int) -> tuple[Reply, Project]:
    """The answer, and the project as it is afterwards. Raises :class:`No`."""
    if path == "/auth/v1/.well-known/jwks.json":
        return _published(project, now)
    _take(headers.get("apikey", ""), headers.get("user-agent", ""), project, now)
    if path == "/auth/v1/settings":
        return Reply(body={"external": {"email": True}, "disable_signup": False}), project
    if path == "/auth/v1/token" and method == "POST":
        return _token(project, now), project
    if path == "/auth/v1/user":
        return _user(headers.get("authorization", ""), project, now), project
    raise No(404, "no Route matched with those values")


def _take(shown: str, agent: str, project: Project, now: int) -> None:
    """Whether an API key is one. A new one is not known at once, a deleted one is known a while longer."""
    if not shown:
        raise No(401, "No API key found in request")
    key = next((each for each in project.keys.values() if each.value == shown), None)
    delay = project.key_delay
    if key is None or _unknown(key, delay, now):
        raise No(401, "Invalid API key")
    if key.type == "legacy" and not project.legacy_enabled:
        raise No(401, "Legacy API keys are disabled")
    if key.type == "secret" and agent.startswith("Mozilla/"):
        raise No(401, "Forbidden use of secret API key in browser")


def _unknown(key: ApiKey, delay: int, now: int) -> bool:
    return now < key.created_at + delay or (key.deleted_at > 0 and now >= key.deleted_at + delay)


def _published(project: Project, now: int) -> tuple[Reply, Project]:
    """What was cached last, for as long as that is kept."""
    if not project.cached_at or now >= project.cached_at + project.jwks_cache * 1000:
        trusted = tuple(id for id, each in project.signing_keys.items() if each.status in TRUSTED)
        project = replace(project, cached_at=now, cached=trusted)
    keys = [project.signing_keys[id] for id in project.cached if id in project.signing_keys]
    return Reply(body={"keys": [jwk for each in keys if (jwk := signing.public_jwk(each))]}), project


def _token(project: Project, now: int) -> Reply:
    """A token for a user, signed by the key in use."""
    key = next(each for each in project.signing_keys.values() if each.status == "in_use")
    claims = {"sub": "user-1", "role": "authenticated", "exp": now // 1000 + project.jwt_exp}
    return Reply(body={"access_token": signing.sign(key, claims), "expires_in": project.jwt_exp})


def _user(authorization: str, project: Project, now: int) -> Reply:
    """Supabase's own services use no cache: what is revoked is refused at once."""
    token = authorization.removeprefix("Bearer ")
    key = project.signing_keys.get(signing.key_id(token))
    if key is None or key.status not in TRUSTED or not signing.good(key, token, now):
        raise No(403, "invalid JWT: unable to parse or verify signature")
    return Reply(body={"id": "user-1", "role": "authenticated"})
