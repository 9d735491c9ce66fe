# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for AWS over HTTP: JSON for Secrets Manager and Systems Manager, queries and XML for IAM and STS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from sandbox.aws import iam, model, secretsmanager, signature, ssm
from sandbox.aws.model import AccessKey, World
from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused
from sandbox.standin.server import StatefulHandler, StatefulServer
from sandbox.standin.store import Store
from sandbox.standin.switches import Switch


class AwsHTTPServer(StatefulServer):
    """One server with its state."""

    store: Store[World]

    def __init__(self, port: int, state: Path) -> None:
        super().__init__(port, Handler, Store(state, World(), model.KINDS))


class Handler(StatefulHandler):
    """One connection."""

    server: AwsHTTPServer

    def prepare(self, body: bytes) -> None:
        """Fault switches and the list of requests know operations as paths."""
        self._signed = {name.lower(): value for name, value in self.headers.items()}
        target = self._signed.get("x-amz-target", "").rpartition(".")[2]
        self._query = {} if target else dict(parse_qsl(body.decode(), keep_blank_values=True))
        operation = target or self._query.get("Action", "")
        self.path = f"/{signature.service_of(self._signed.get('authorization', ''))}/{operation}"
        self._write = _Json(operation) if target else _Xml(operation)

    def api(self, body: bytes) -> Reply:
        """As the key's user, where the key is known everywhere by now."""
        store, write = self.server.store, self._write
        id = signature.key_of(self._signed.get("authorization", ""))
        try:
            if store.change(lambda world: iam.asked_early(world, id)):
                raise Refused(*write.unknown_key, "The security token included in the request is invalid.")
            return write.good(store.change(lambda world: self._carried_out(world, id, body)))
        except Refused as refused:
            return write.bad(refused.status, str(refused.body["error"]["code"]), str(refused))

    def failure(self, switch: Switch) -> Reply:
        """See :class:`StatefulHandler`."""
        status = switch.status or 500
        default = "ThrottlingException" if status == 429 else "AccessDenied" if status == 403 else "InternalFailure"
        return self._write.bad(status, switch.code or default, "This is what a fault switch says.")

    def _carried_out(self, world: World, id: str, body: bytes) -> tuple[World, dict[str, Any]]:
        write = self._write
        caller = _caller(world, id, self._signed, body, write)
        world = iam.used(world, caller)
        if isinstance(write, _Json):
            kept = (secretsmanager.OPERATIONS | ssm.OPERATIONS).get(write.operation)
            return kept(world, json.loads(body)) if kept else _unknown(write)
        asked = iam.OPERATIONS.get(write.operation)
        return asked(world, self._query, caller) if asked else _unknown(write)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time of an answer."""
        return super().date_time_string(self.server.store.world.now if timestamp is None else timestamp)

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


def _caller(world: World, id: str, headers: Mapping[str, str], body: bytes, write: _Json | _Xml) -> AccessKey:
    """Whose key has signed."""
    found = world.keys.get(id)
    if found is None or found.status != "Active":
        raise Refused(*write.unknown_key, "The security token included in the request is invalid.")
    if not signature.right(headers, body, found.secret):
        raise Refused(*write.wrong_secret, "The request signature we calculated does not match the one you provided.")
    return found


def _unknown(write: _Json | _Xml) -> Any:
    raise Refused(400, "InvalidAction", f"Could not find operation {write.operation}")
