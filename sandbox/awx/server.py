# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for AWX over HTTP (API v2 of release 24.6.1).

As AWX does it: a secret input is shown as ``$encrypted$``, which leaves it as it is where it is sent back; what is
changed replaces all inputs; each change of a credential dates it anew, also one that changes nothing; a path without
its slash at the end is not found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.awx import model
from sandbox.awx.model import Credential, Token, World
from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused
from sandbox.standin.server import StatefulHandler, StatefulServer
from sandbox.standin.store import Store
from sandbox.standin.switches import Switch

ENCRYPTED = "$encrypted$"

Answer = tuple[World, Any]


class AwxHTTPServer(StatefulServer):
    """One server with its state."""

    store: Store[World]

    def __init__(self, port: int, state: Path) -> None:
        super().__init__(port, Handler, Store(state, World(), model.KINDS))


class Handler(StatefulHandler):
    """One connection."""

    server: AwxHTTPServer

    def api(self, body: bytes) -> Reply:
        """Who asks, then what for."""
        parts = urlsplit(self.path)
        method = "GET" if self.command == "HEAD" else self.command
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            token = self.server.store.world.tokens.get(shown)
            if token is None:
                raise Refused(401, "", "Authentication credentials were not provided. To establish a login session ...")
            allowed, answer, named = _routed(parts.path)
            _require(token, method, allowed)
            asked = {**dict(parse_qsl(parts.query)), **named}
            sent = json.loads(body) if body and method != "GET" else {}
            return Reply(body=self.server.store.change(lambda world: answer(world, method, asked, sent)))
        except Refused as refused:
            return _error(refused)

    def failure(self, switch: Switch) -> Reply:
        """See :class:`StatefulHandler`."""
        return _error(Refused(switch.status or 500, "", "A server error has occurred."))

    def version_string(self) -> str:
        """What clients are told of the server."""
        return "nginx"


def _require(token: Token, method: str, allowed: tuple[str, ...]) -> None:
    if method not in allowed:
        raise Refused(405, "", f'Method "{method}" not allowed.')
    if method != "GET" and (token.scope != "write" or not token.admin):
        raise Refused(403, "", "You do not have permission to perform this action.")


def _listed(world: World, _method: str, asked: Mapping[str, str], _sent: Any) -> Answer:
    found = [
        each
        for each in world.credentials.values()
        if asked.get("name") in (None, each.name) and asked.get("organization__name") in (None, each.organization)
    ]
    return world, _page([_shown(world, each) for each in found])


def _one(world: World, method: str, asked: Mapping[str, str], sent: Any) -> Answer:
    found = world.credentials.get(asked["id"])
    if found is None:
        raise _not_found()
    if method == "GET":
        return world, _shown(world, found)
    if found.managed:
        raise Refused(403, "", "You do not have permission to perform this action.")
    inputs = found.inputs if "inputs" not in sent else _inputs(world, found, sent["inputs"])
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    made = replace(found, name=str(sent.get("name", found.name)), inputs=inputs, modified=now)
    return world.put(made), _shown(world, made)


def _inputs(world: World, found: Credential, sent: Any) -> dict[str, str]:
    """What is kept. Raises Refused where the type does not have an input, or one has no text."""
    kind = world.types[found.type]
    known = {each.id for each in kind.fields}
    if not isinstance(sent, dict) or (wrong := sorted(set(sent) - known)):
        named = wrong[0] if isinstance(sent, dict) else "inputs"
        why = [f"Additional properties are not allowed ('{named}' was unexpected)"]
        raise Refused(400, "", "", inputs={named: why})
    if wrong := sorted(name for name, text in sent.items() if not isinstance(text, str)):
        raise Refused(400, "", "", inputs={wrong[0]: [f"{sent[wrong[0]]!r} is not of type 'string'"]})
    if lost := [name for name, text in sent.items() if text == ENCRYPTED and name not in found.inputs]:
        raise Refused(500, "", f"KeyError: {lost[0]}")
    return {name: found.inputs[name] if text == ENCRYPTED else text for name, text in sent.items()}


def _sources(world: World, _method: str, asked: Mapping[str, str], _sent: Any) -> Answer:
    found = world.credentials.get(asked["id"])
    if found is None:
        raise _not_found()
    return world, _page([{"input_field_name": name, "target_credential": int(found.id)} for name in found.looked_up])


def _type(world: World, _method: str, asked: Mapping[str, str], _sent: Any) -> Answer:
    found = world.types.get(asked["id"])
    if found is None:
        raise _not_found()
    fields = [
        {"id": each.id, "label": each.id, "type": "string", **({"secret": True} if each.secret else {})}
        for each in found.fields
    ]
    return world, {"id": int(found.id), "name": found.name, "inputs": {"fields": fields}}


Route = Callable[[World, str, Mapping[str, str], Any], Answer]
ROUTES: tuple[tuple[str, tuple[str, ...], Route], ...] = (
    (r"/api/v2/credentials/", ("GET",), _listed),
    (r"/api/v2/credentials/(?P<id>\d+)/", ("GET", "PATCH"), _one),
    (r"/api/v2/credentials/(?P<id>\d+)/input_sources/", ("GET",), _sources),
    (r"/api/v2/credential_types/(?P<id>\d+)/", ("GET",), _type),
)


def _routed(path: str) -> tuple[tuple[str, ...], Route, dict[str, str]]:
    """Who answers a path, to which methods, and what is named in it."""
    for pattern, allowed, answer in ROUTES:
        if match := re.fullmatch(pattern, path):
            return allowed, answer, match.groupdict()
    raise _not_found()


def _shown(world: World, credential: Credential) -> dict[str, Any]:
    secret = world.types[credential.type].secret
    inputs = {name: ENCRYPTED if name in secret and text else text for name, text in credential.inputs.items()}
    return {
        "id": int(credential.id),
        "type": "credential",
        "url": f"/api/v2/credentials/{credential.id}/",
        "name": credential.name,
        "credential_type": int(credential.type),
        "managed": credential.managed,
        "inputs": inputs,
        "modified": credential.modified,
        "summary_fields": {"organization": {"name": credential.organization}},
    }


def _page(items: list[Any]) -> dict[str, Any]:
    return {"count": len(items), "next": None, "previous": None, "results": items}


def _not_found() -> Refused:
    return Refused(404, "", "Not found.")


def _error(refused: Refused) -> Reply:
    inputs = refused.body["error"].get("inputs")
    body = {"inputs": inputs} if inputs is not None else {"detail": str(refused)}
    return Reply(status=refused.status, body=body)
