# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for AWS over HTTP: JSON for Secrets Manager and Systems Manager, queries and XML for IAM and STS."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from sandbox.aws import iam, model, secretsmanager, signature, ssm
from sandbox.aws.model import AccessKey, World
from sandbox.standin import codec, control, http
from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused
from sandbox.standin.switches import Switch


class Store:
    """The state and its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.world = World()
        if path.exists():
            self.seed(json.loads(path.read_text(encoding="utf-8")))

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    def document(self) -> dict[str, Any]:
        """Everything."""
        return model.dump(self.world)

    def seed(self, document: Mapping[str, Any]) -> None:
        """Add things, or replace those with the same names."""
        found = model.things(document)
        with self.lock:
            world = self.world
            for thing in found:
                world = world.put(thing)
            self.keep(world)

    def patch(self, section: str, name: str, fields: Mapping[str, Any]) -> None:
        """Change fields of one thing."""
        with self.lock:
            found = getattr(self.world, section, {}).get(name)
            if found is None:
                raise KeyError(f"There is no {name} among the {section}.")
            self.keep(self.world.put(codec.decode(type(found), codec.encode(found) | dict(fields), name)))

    def keep(self, world: World) -> None:
        """This is what there is now."""
        if world is self.world:
            return
        self.world = world
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix="aws.", delete=False) as file:
            json.dump(model.dump(world), file, indent=1)
        os.replace(file.name, self.path)


class AwsHTTPServer(http.Server):
    """One server with its state."""

    def __init__(self, port: int, state: Path) -> None:
        self.store = Store(state)
        super().__init__(port, Handler)


class Handler(http.Handler):
    """One connection."""

    server: AwsHTTPServer

    def respond(self, body: bytes) -> None:
        """The control endpoint or the API; fault switches and the list of requests know operations as paths."""
        if self.path.startswith("/_control/"):
            self.send(control.answer(self.server.store, self.server.switches, self.command, self.path, body))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        target = headers.get("x-amz-target", "").rpartition(".")[2]
        query = {} if target else dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = target or query.get("Action", "")
        self.path = f"/{signature.service_of(headers.get('authorization', ''))}/{operation}"
        write = _Json(operation) if target else _Xml(operation)
        self.spoilt(lambda: self._carry_out(write, headers, body, query), lambda switch: _failure(write, switch))

    def _carry_out(
        self, write: _Json | _Xml, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]
    ) -> Reply:
        store = self.server.store
        try:
            with store.lock:
                caller = _caller(store.world, headers, body, write)
                if isinstance(write, _Json):
                    secret = (secretsmanager.OPERATIONS | ssm.OPERATIONS).get(write.operation)
                    world, shown = secret(store.world, json.loads(body)) if secret else _unknown(write)
                else:
                    asked = iam.OPERATIONS.get(write.operation)
                    world, shown = asked(store.world, query, caller) if asked else _unknown(write)
                store.keep(world)
            return write.good(shown)
        except Refused as refused:
            return write.bad(refused.status, str(refused.body["error"]["code"]), str(refused))

    def version_string(self) -> str:
        """What clients are told of the server."""
        return "AWS"


class _Json:
    """The protocol of Secrets Manager and Systems Manager."""

    unknown_key, wrong_secret = (400, "UnrecognizedClientException"), (400, "InvalidSignatureException")

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def good(self, shown: Mapping[str, Any]) -> Reply:
        """An answer."""
        return Reply(body=dict(shown), content_type="application/x-amz-json-1.1")

    def bad(self, status: int, code: str, message: str) -> Reply:
        """A refusal."""
        body = {"__type": code, "message": message}
        return Reply(status=status, body=body, content_type="application/x-amz-json-1.1")


class _Xml:
    """The protocol of IAM and STS."""

    unknown_key, wrong_secret = (403, "InvalidClientTokenId"), (403, "SignatureDoesNotMatch")

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def good(self, shown: Mapping[str, Any]) -> Reply:
        """An answer."""
        result = f"<{self.operation}Result>{_xml(shown)}</{self.operation}Result>" if shown else ""
        return self._reply(200, f"<{self.operation}Response>{result}</{self.operation}Response>")

    def bad(self, status: int, code: str, message: str) -> Reply:
        """A refusal."""
        error = {"Type": "Sender", "Code": code, "Message": message}
        return self._reply(status, f"<ErrorResponse><Error>{_xml(error)}</Error></ErrorResponse>")

    def _reply(self, status: int, text: str) -> Reply:
        return Reply(status=status, body=text.encode(), content_type="text/xml")


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(each)}</{name}>" for name, each in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(each)}</member>" for each in value)
    return escape(str(value))


def _caller(world: World, headers: Mapping[str, str], body: bytes, write: _Json | _Xml) -> AccessKey:
    """Whose key has signed."""
    found = world.keys.get(signature.key_of(headers.get("authorization", "")))
    if found is None or found.status != "Active":
        raise Refused(*write.unknown_key, "The security token included in the request is invalid.")
    if not signature.right(headers, body, found.secret):
        raise Refused(*write.wrong_secret, "The request signature we calculated does not match the one you provided.")
    return found


def _unknown(write: _Json | _Xml) -> Any:
    raise Refused(400, "InvalidAction", f"Could not find operation {write.operation}")


def _failure(write: _Json | _Xml, switch: Switch) -> Reply:
    """What a client gets where a switch says so."""
    status = switch.status or 500
    default = "ThrottlingException" if status == 429 else "AccessDenied" if status == 403 else "InternalFailure"
    return write.bad(status, switch.code or default, "This is what a fault switch says.")
