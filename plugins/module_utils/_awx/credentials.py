# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials of AWX and of Ansible's automation controller (private to ops.runbooks).

What is secret among a credential's inputs is shown as ``$encrypted$``, and stays as it is where that is sent back. A
change replaces all inputs at once, so that those that are not meant have to be sent along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Api, Reply, check_address

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: What stands in the place of a secret.
ENCRYPTED = "$encrypted$"
#: Seconds that one question or change may take, and for which AWX may be out of reach.
_PATIENCE, _OUTAGE = 60.0, 10.0
_API = "/api/v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One credential. ``modified`` is the time of its last change, of whatever of it."""

    id: int
    name: str
    type: int
    modified: str
    inputs: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Credential:
        """From an answer."""
        return cls(
            id=int(item["id"]),
            name=str(item.get("name", "")),
            type=int(item.get("credential_type") or 0),
            modified=str(item.get("modified") or ""),
            inputs=dict(item.get("inputs") or {}),
        )


class Credentials:
    """The credentials that a token may see."""

    def __init__(self, params: Mapping[str, Any], context: Context, environ: Mapping[str, str]) -> None:
        """``api_url`` or CONTROLLER_HOST, ``token`` or CONTROLLER_OAUTH_TOKEN. Raises ``connection_missing``."""
        url = str(params.get("api_url") or environ.get("CONTROLLER_HOST") or "").strip()
        token = str(params.get("token") or environ.get("CONTROLLER_OAUTH_TOKEN") or "").strip()
        context.redactor.protect(token)
        for given, names in ((url, "api_url nor CONTROLLER_HOST"), (token, "token nor CONTROLLER_OAUTH_TOKEN")):
            if not given:
                raise RunbookError(
                    code="connection_missing",
                    attempted="talk to AWX",
                    object=names.partition(" ")[0],
                    reason=f"there is neither {names}",
                    remedy="Give the address of AWX, and a token of a user who administers the credential.",
                )
        url = check_address(url, "api_url")
        self._api = Api(
            service="AWX",
            url=url if urlsplit(url).path else f"{url}{_API}",
            headers={"Authorization": f"Bearer {token}"},
            patience=_PATIENCE,
            persistence=_OUTAGE,
            context=context,
        )
        self._context = context

    def find(self, credential: str, organization: str) -> Credential:
        """One by its id, or by its name and that of its organization. Raises ``destination_unusable``."""
        if credential.isdecimal():
            return Credential.read(self._fields(self._api.read(f"/credentials/{credential}/", {}), credential))
        query = {"name": credential, **({"organization__name": organization} if organization else {})}
        found = self._fields(self._api.read("/credentials/", query), credential).get("results") or []
        if len(found) != 1:
            ids = ", ".join(str(each["id"]) for each in found)
            reason = f"{len(found)} of this name are there ({ids})" if found else "there is none that this token sees"
            raise _unusable(credential, reason, "Say with organization whose it is, or give its id.")
        return Credential.read(found[0])

    def inputs_of(self, credential: Credential) -> dict[str, bool]:
        """The inputs that its type has, and of each whether it is secret, so that AWX shows it to nobody."""
        reply = self._api.read(f"/credential_types/{credential.type}/", {})
        fields = (self._fields(reply, credential.name).get("inputs") or {}).get("fields") or []
        return {str(each["id"]): bool(each.get("secret")) for each in fields}

    def looked_up(self, credential: Credential) -> frozenset[str]:
        """The inputs that AWX takes from another system of secrets, whatever is written to them."""
        reply = self._api.read(f"/credentials/{credential.id}/input_sources/", {"page_size": "200"})
        found = self._fields(reply, credential.name).get("results") or []
        return frozenset(str(each.get("input_field_name")) for each in found)

    def write(self, credential: Credential, changes: Mapping[str, str]) -> Credential:
        """Change some inputs, and leave the others; an empty text takes one away. The values have to be known to the
        redactor. Raises ``secrets_differ``."""
        kept = {name: value for name, value in credential.inputs.items() if name not in changes}
        inputs = {**kept, **{name: value for name, value in changes.items() if value}}
        self._context.effect(f"change the credential {credential.name} of AWX")
        reply = self._api.send("PATCH", f"/credentials/{credential.id}/", {}, {"inputs": inputs})
        written = Credential.read(self._fields(reply, credential.name))
        if set(written.inputs) != set(inputs):
            raise RunbookError(
                code="secrets_differ",
                attempted="write a credential of AWX",
                object=credential.name,
                reason=f"it has other inputs than were sent: {', '.join(sorted(set(written.inputs) ^ set(inputs)))}",
                remedy="See whether somebody else changes it; then run the same command again.",
            )
        return written

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    def _fields(self, reply: Reply, credential: str) -> Mapping[str, Any]:
        """The answer where it is one. What AWX says of a refusal may quote what was sent, and is not shown."""
        if reply.good and isinstance(reply.body, dict):
            return reply.body
        if reply.status in (401, 403):
            reason = "AWX does not know the token" if reply.status == 401 else "the token may not do this"
            raise RunbookError(
                code="service_denied",
                attempted="read or change a credential of AWX",
                object=credential,
                reason=f"{reason} ({reply.status})",
                remedy="Take a token with the scope write, of a user with the role Admin of the credential.",
            )
        if reply.status == 404:
            raise _unusable(credential, "there is none that this token sees", "Correct credential, or its api_url.")
        if reply.status == 400:
            inputs = reply.fields.get("inputs")
            named = f": {', '.join(sorted(map(str, inputs)))}" if isinstance(inputs, Mapping) else ""
            reason = f"AWX does not take these inputs{named}"
            raise _unusable(credential, reason, "Name inputs that its credential type has.")
        raise RunbookError(
            code="service_failed",
            attempted="read or change a credential of AWX",
            object=credential,
            reason=f"AWX answered {reply.status}",
            remedy="Look at api_url, and at AWX itself.",
        )


def _unusable(credential: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="destination_unusable",
        attempted="use a credential of AWX",
        object=credential,
        reason=reason,
        remedy=remedy,
    )
