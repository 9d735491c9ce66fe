# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Management API's keys, as the stand-in for Supabase answers for them.

Chosen, since it is documented nowhere: the statuses of refusals (422 for what a signing key may not do, 409 for a name
that is taken), and that making a signing key is not throttled while changing its state is.
"""

from __future__ import annotations

import re
import secrets
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sandbox.standin.http import Reply
from sandbox.supabase import signing
from sandbox.supabase.model import ApiKey, Project, SigningKey

#: Which states a signing key may go to, from which; by way of ``in_use`` another one leaves it.
MOVES: Mapping[str, tuple[str, ...]] = {
    "standby": ("in_use", "previously_used"),
    "in_use": (),
    "previously_used": ("standby", "revoked"),
    "revoked": ("standby",),
}
#: Keys of one project that may be previously used.
MOST_PREVIOUS = 3
_NAME = re.compile(r"[a-z_][a-z0-9_]{3,63}")
_LETTERS = string.ascii_letters + string.digits


class No(Exception):
    """A refusal as Supabase words it: ``{"message": ...}``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request for a project, at ``now`` by the stand-in's clock."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] = field(default_factory=dict)
    now: int

    @property
    def id(self) -> str:
        """What the path ends in."""
        return self.path.rpartition("/")[2]

    @property
    def reveals(self) -> bool:
        """Whether values are asked for."""
        return self.query.get("reveal") == "true"

    @property
    def permission(self) -> str:
        """What a scoped token needs."""
        if self.path == "/config/auth":
            return "auth_config_read"
        of = "api_gateway_keys" if self.path.startswith("/api-keys") else "auth_signing_keys"
        return f"{of}_{'read' if self.method == 'GET' else 'write'}"


def answer(asked: Asked, project: Project) -> tuple[Reply, Project]:
    """The answer, and the project as it is afterwards. Raises :class:`No`."""
    for pattern, handler in _ROUTES:
        if re.fullmatch(pattern, f"{asked.method} {asked.path}"):
            return handler(asked, project)
    raise No(404, f"Cannot {asked.method} {asked.path}")


# --- API keys


def _list(asked: Asked, project: Project) -> tuple[Reply, Project]:
    there = [each for each in project.keys.values() if not each.deleted_at]
    return Reply(body=[_shown(each, asked) for each in there]), project


def _create(asked: Asked, project: Project) -> tuple[Reply, Project]:
    name, kind = str(asked.body.get("name")), asked.body.get("type")
    if not _NAME.fullmatch(name) or kind not in ("publishable", "secret"):
        raise No(400, "name: Invalid; type: must be publishable or secret")
    if any((each.name, each.type) == (name, kind) for each in project.keys.values() if not each.deleted_at):
        raise No(409, f"An API key with the name {name} already exists")
    made = ApiKey(
        id=str(uuid.uuid4()),
        name=name,
        type=str(kind),
        value=new_value(str(kind)),
        description=asked.body.get("description") or "",
        created_at=asked.now,
    )
    return Reply(status=201, body=_shown(made, asked)), _with(project, made)


def new_value(kind: str) -> str:
    """The value of a new key."""
    return f"sb_{kind}_{''.join(secrets.choice(_LETTERS) for _letter in range(31))}"


def _rename(asked: Asked, project: Project) -> tuple[Reply, Project]:
    key, name = _key(asked, project), str(asked.body.get("name"))
    others = [each for each in project.keys.values() if each.id != key.id and not each.deleted_at]
    if not _NAME.fullmatch(name) or any((each.name, each.type) == (name, key.type) for each in others):
        raise No(409, f"An API key with the name {name} already exists")
    made = replace(key, name=name)
    return Reply(body=_shown(made, asked)), _with(project, made)


def _delete(asked: Asked, project: Project) -> tuple[Reply, Project]:
    key = _key(asked, project)
    gone = replace(key, deleted_at=asked.now, was_compromised=asked.query.get("was_compromised") == "true")
    return Reply(body=_shown(key, asked)), _with(project, gone)


def _legacy_state(asked: Asked, project: Project) -> tuple[Reply, Project]:
    if asked.method == "PUT":
        if asked.query.get("enabled") not in ("true", "false"):
            raise No(400, "enabled: must be a boolean string")
        project = replace(project, legacy_enabled=asked.query["enabled"] == "true")
    return Reply(body={"enabled": project.legacy_enabled}), project


def _key(asked: Asked, project: Project) -> ApiKey:
    found = project.keys.get(asked.id)
    if found is None or found.deleted_at or found.type == "legacy":
        raise No(404, "API key not found")
    return found


def _with(project: Project, key: ApiKey) -> Project:
    return replace(project, keys={**project.keys, key.id: key})


def _shown(key: ApiKey, asked: Asked) -> dict[str, Any]:
    """The value of a secret key is cut for who has not asked for it; legacy ones are shown to everybody."""
    prefix = key.value[:15]
    shown = key.value if asked.reveals or key.type != "secret" else f"{prefix}{'·' * 16}"
    legacy = key.type == "legacy"
    return {
        "id": key.id,
        "type": key.type,
        "name": key.name,
        "description": key.description or None,
        "prefix": None if legacy else prefix,
        "hash": None if legacy else sha256(key.value.encode()).hexdigest(),
        "api_key": shown,
        "inserted_at": None if legacy else iso(key.created_at),
        "updated_at": None if legacy else iso(key.created_at),
        "secret_jwt_template": {"role": "service_role"} if key.type == "secret" else None,
    }


# --- Signing keys


def _signing_list(asked: Asked, project: Project) -> tuple[Reply, Project]:
    return Reply(body={"keys": [_signing(each) for each in project.signing_keys.values()]}), project


def _signing_create(asked: Asked, project: Project) -> tuple[Reply, Project]:
    algorithm = str(asked.body.get("algorithm"))
    if algorithm not in ("ES256", "HS256"):
        raise No(400, f"algorithm: {algorithm} is not available")
    if any(each.status == "standby" for each in project.signing_keys.values()):
        raise No(422, "Project already has a signing key in standby")
    made = SigningKey(
        id=str(uuid.uuid4()),
        algorithm=algorithm,
        private=signing.private_key(algorithm),
        created_at=asked.now,
        updated_at=asked.now,
    )
    return Reply(status=201, body=_signing(made)), _keeping(project, made)


def _signing_change(asked: Asked, project: Project) -> tuple[Reply, Project]:
    key, status = _signing_key(asked, project), str(asked.body.get("status"))
    if key.status == status:
        return Reply(body=_signing(key)), project
    _may_change(asked, project, key, status)
    kept = project
    if status == "in_use":
        for other in project.signing_keys.values():
            if other.status == "in_use":
                kept = _keeping(kept, replace(other, status="previously_used", updated_at=asked.now))
    made = replace(key, status=status, updated_at=asked.now)
    return Reply(body=_signing(made)), replace(_keeping(kept, made), changed_at=asked.now)


def _may_change(asked: Asked, project: Project, key: SigningKey, status: str) -> None:
    others = [each.status for each in project.signing_keys.values() if each.id != key.id]
    if status not in MOVES[key.status]:
        raise No(422, f"A signing key that is {key.status} cannot be {status}")
    if status == "standby" and "standby" in others:
        raise No(422, "Project already has a signing key in standby")
    if status == "in_use" and others.count("previously_used") >= MOST_PREVIOUS:
        raise No(422, f"Project has {MOST_PREVIOUS} previously used signing keys already")
    if status == "revoked" and key.legacy and project.legacy_enabled:
        raise No(422, "Disable the legacy API keys before revoking the legacy JWT secret")
    until = project.changed_at + project.throttle * 1000
    if asked.now < until:
        raise No(422, f"Please wait until {iso(until)} before changing signing keys again")


def _signing_delete(asked: Asked, project: Project) -> tuple[Reply, Project]:
    key = _signing_key(asked, project)
    if key.legacy or key.status != "revoked":
        raise No(422, "The legacy JWT secret cannot be deleted" if key.legacy else "Only revoked keys can be deleted")
    kept = {id: each for id, each in project.signing_keys.items() if id != key.id}
    return Reply(body=_signing(key)), replace(project, signing_keys=kept)


def _signing_legacy(asked: Asked, project: Project) -> tuple[Reply, Project]:
    found = next((each for each in project.signing_keys.values() if each.legacy), None)
    if found is None:
        raise No(404, "Not found")
    return Reply(body=_signing(found)), project


def _signing_key(asked: Asked, project: Project) -> SigningKey:
    found = project.signing_keys.get(asked.id)
    if found is None:
        raise No(404, "Signing key not found")
    return found


def _keeping(project: Project, key: SigningKey) -> Project:
    return replace(project, signing_keys={**project.signing_keys, key.id: key})


def _signing(key: SigningKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "algorithm": key.algorithm,
        "status": key.status,
        "public_jwk": signing.public_jwk(key),
        "created_at": iso(key.created_at),
        "updated_at": iso(key.updated_at),
    }


def _auth(asked: Asked, project: Project) -> tuple[Reply, Project]:
    return Reply(body={"jwt_exp": project.jwt_exp}), project


def iso(milliseconds: int) -> str:
    """As Supabase writes times."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat().replace("+00:00", "Z")


_ROUTES = (
    (r"GET /api-keys", _list),
    (r"POST /api-keys", _create),
    (r"(GET|PUT) /api-keys/legacy", _legacy_state),
    (r"PATCH /api-keys/[^/]+", _rename),
    (r"DELETE /api-keys/[^/]+", _delete),
    (r"GET /config/auth", _auth),
    (r"GET /config/auth/signing-keys", _signing_list),
    (r"POST /config/auth/signing-keys", _signing_create),
    (r"GET /config/auth/signing-keys/legacy", _signing_legacy),
    (r"PATCH /config/auth/signing-keys/[^/]+", _signing_change),
    (r"DELETE /config/auth/signing-keys/[^/]+", _signing_delete),
)
