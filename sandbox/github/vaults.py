# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets of repositories, environments and organizations, as the stand-in for GitHub keeps them.

A value comes in a sealed box, and the stand-in opens it with the private key of its place, as GitHub does: a box for
another key, or for none, is refused. Nothing of the API ever shows a value; :meth:`GitHubServer.vault` does.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from sandbox.github.model import Secret, Vault, World
from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused

#: What GitHub takes at most: bytes of a value, secrets of one place (an organization has 1,000).
LARGEST, MOST, MOST_OF_ORGANIZATION = 48 * 1024, 100, 1000
_PATH = re.compile(
    r"(?P<scope>/repos/(?P<repository>[^/]+/[^/]+)/(actions|environments/[^/]+)|/orgs/(?P<organization>[^/]+)/actions)"
    r"(?P<secrets>/secrets(/(?P<name>[^/]+)(?P<repositories>/repositories)?)?)?"
)
_ORGANIZATION = re.compile(r"/orgs/(?P<organization>[^/]+)")

Change = Callable[[str, Callable[[Vault], Vault]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    scope: str
    repository: str = ""
    organization: str = ""
    name: str = ""
    #: ``scope`` (is it there?), ``secrets``, ``secret`` or ``repositories`` (of a secret).
    what: str = "scope"
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def permission(self) -> str:
        """What a fine-grained token needs."""
        if self.what == "scope":
            return "metadata"
        if self.organization:
            return "organization_secrets"
        return "environments" if "/environments/" in self.scope else "secrets"


def read(method: str, path: str, query: Mapping[str, str], body: bytes) -> Asked | None:
    """A request for secrets or for a place of them; None for another one."""
    if match := _ORGANIZATION.fullmatch(path):
        return Asked(method=method, scope=f"{path}/actions", organization=match["organization"])
    match = _PATH.fullmatch(path)
    if match is None or (match["secrets"] is None and match["scope"].endswith("/actions")):
        return None
    name = match["name"] or ""
    what = "repositories" if match["repositories"] else "secret" if name else "secrets" if match["secrets"] else "scope"
    return Asked(
        method=method,
        scope=match["scope"],
        repository=match["repository"] or "",
        organization=match["organization"] or "",
        name=name if name == "public-key" else name.upper(),
        what=what,
        body=json.loads(body) if body else {},
    )


def answer(asked: Asked, world: World, change: Change) -> Reply | tuple[str, list[Any]]:
    """The answer, or the name and the items of a list, which is paged by the caller."""
    vault = world.vaults.get(asked.scope)
    owners = {name.split("/")[0] for name in world.repositories}
    if vault is None and "/environments/" not in asked.scope and (asked.repository or asked.organization in owners):
        vault = Vault(path=asked.scope)
    if vault is None:
        raise Refused(404, "", "Not Found")
    if asked.what == "scope":
        return Reply(body={"name": asked.scope, "login": asked.organization})
    if asked.what == "secrets":
        return "secrets", [_shown(each) for _name, each in sorted(vault.secrets.items())]
    if asked.name == "public-key":
        return _public_key(asked, vault, change)
    if asked.what == "repositories":
        return _repositories(asked, vault, world, change)
    return _secret(asked, vault, change)


def _secret(asked: Asked, vault: Vault, change: Change) -> Reply:
    found = vault.secrets.get(asked.name)
    if asked.method == "PUT":
        return _put(asked, vault, change)
    if found is None:
        raise Refused(404, "", "Not Found")
    if asked.method == "DELETE":
        change(asked.scope, lambda now: replace(now, secrets={k: v for k, v in now.secrets.items() if k != asked.name}))
        return Reply(status=204)
    return Reply(body=_shown(found))


def _put(asked: Asked, vault: Vault, change: Change) -> Reply:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", asked.name) or asked.name.startswith("GITHUB_"):
        raise Refused(422, "", "Secret names can only contain alphanumeric characters and must not start with GITHUB_")
    value = _opened(asked, vault)
    most = MOST_OF_ORGANIZATION if asked.organization else MOST
    if asked.name not in vault.secrets and len(vault.secrets) >= most:
        raise Refused(422, "", f"You have reached the limit of {most} secrets")
    visibility = str(asked.body.get("visibility", ""))
    if asked.organization and visibility not in ("all", "private", "selected"):
        raise Refused(422, "", "Invalid request. Visibility must be one of all, private, selected.")
    now = _now()
    before = vault.secrets.get(asked.name)
    made = Secret(
        name=asked.name,
        value=value,
        created_at=before.created_at if before is not None else now,
        updated_at=now,
        visibility=visibility if asked.organization else "",
        repositories=tuple(asked.body.get("selected_repository_ids", ())),
    )
    change(asked.scope, lambda there: replace(there, secrets={**there.secrets, asked.name: made}))
    return Reply(status=204) if before is not None else Reply(status=201, body={})


def _opened(asked: Asked, vault: Vault) -> str:
    from nacl.exceptions import CryptoError
    from nacl.public import PrivateKey, SealedBox

    if not vault.key or asked.body.get("key_id") != _key_id(vault):
        raise Refused(422, "", "Bad request - the key id is not that of the current public key")
    try:
        raw = SealedBox(PrivateKey(base64.b64decode(vault.key))).decrypt(
            base64.b64decode(str(asked.body.get("encrypted_value")), validate=True)
        )
    except (CryptoError, ValueError) as error:
        raise Refused(422, "", "Bad request - the value is not sealed for the public key") from error
    if len(raw) > LARGEST:
        raise Refused(422, "", "Secret value is too large")
    return raw.decode(errors="surrogateescape")


def _public_key(asked: Asked, vault: Vault, change: Change) -> Reply:
    from nacl.public import PrivateKey

    if not vault.key:
        drawn = base64.b64encode(secrets.token_bytes(32)).decode()
        change(asked.scope, lambda now: now if now.key else replace(now, key=drawn))
        vault = replace(vault, key=drawn)
    public = PrivateKey(base64.b64decode(vault.key)).public_key
    return Reply(body={"key_id": _key_id(vault), "key": base64.b64encode(bytes(public)).decode()})


def _repositories(asked: Asked, vault: Vault, world: World, change: Change) -> Reply | tuple[str, list[Any]]:
    found = vault.secrets.get(asked.name)
    if found is None:
        raise Refused(404, "", "Not Found")
    if asked.method == "PUT":
        if found.visibility != "selected":
            raise Refused(409, "", "Conflict when visibility type is not set to selected")
        ids = tuple(asked.body.get("selected_repository_ids", ()))
        made = replace(found, repositories=ids)
        change(asked.scope, lambda now: replace(now, secrets={**now.secrets, asked.name: made}))
        return Reply(status=204)
    named = [each for each in world.repositories.values() if each.id in found.repositories]
    return "repositories", [{"id": each.id, "full_name": each.name} for each in named]


def _shown(secret: Secret) -> dict[str, Any]:
    shown = {"name": secret.name, "created_at": secret.created_at, "updated_at": secret.updated_at}
    return {**shown, "visibility": secret.visibility} if secret.visibility else shown


def _key_id(vault: Vault) -> str:
    return str(int(sha256(vault.key.encode()).hexdigest()[:15], 16))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
