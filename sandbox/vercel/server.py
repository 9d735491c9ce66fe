# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP server: the API where it is called by its address, and every other name as a visitor would see it.

Names below ``localhost`` mean this machine (RFC 6761): browsers and curl know that; where a system's resolver does not,
ask ``127.0.0.1`` and send the name as ``Host``.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.standin import control, http
from sandbox.standin.http import Reply, refusal
from sandbox.standin.refusal import Refused
from sandbox.standin.switches import Switch
from sandbox.vercel import builder, hosting, serving
from sandbox.vercel.api import dispatch
from sandbox.vercel.call import Call
from sandbox.vercel.files import Files
from sandbox.vercel.functions import Functions
from sandbox.vercel.hosting import Answer, Visit
from sandbox.vercel.limits import Limiter, too_many
from sandbox.vercel.shared import Shared
from sandbox.vercel.store import Store

#: The names under which the API is called.
API_HOSTS = {"127.0.0.1", "localhost", "api.vercel.com", ""}

#: Headers that concern one connection only.
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "content-length"}


class VercelHTTPServer(http.Server):
    """One server with everything that its requests share."""

    def __init__(self, port: int, state: Path) -> None:
        self.shared = Shared(
            store=Store(state),
            files=Files(state.with_name(state.name + ".files")),
            limiter=Limiter(),
            functions=Functions(),
        )
        super().__init__(port, Handler)
        builder.resume(self.shared.store, self.shared.files)

    def server_close(self) -> None:
        """Give the port back, and end the functions."""
        super().server_close()
        self.shared.functions.stop()


class Handler(http.Handler):
    """One connection."""

    server: VercelHTTPServer

    @property
    def shared(self) -> Shared:
        """What all connections share."""
        return self.server.shared

    def respond(self, body: bytes) -> None:
        """The control endpoint, the API, or a deployment."""
        if self.host() not in API_HOSTS:
            self.send(self._visit(body))
        elif self.path.startswith("/_control/"):
            store, switches, limiter = self.shared.store, self.server.switches, self.shared.limiter
            more: dict[tuple[str, str], control.Command] = {("PUT", "limits"): limiter.set_counts}
            self.send(control.answer(store, switches, self.command, self.path, body, more=more))
        else:
            self.spoilt(lambda: self._api(body), lambda switch: _failure(switch, self.shared.store.clock()))

    def _api(self, body: bytes) -> Reply:
        parts = urlsplit(self.path)
        call = Call(
            method="GET" if self.command == "HEAD" else self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers=self.headers,  # type: ignore[arg-type]
            raw=body,
            shared=self.shared,
            port=self.server.server_port,
        )
        headers: dict[str, str] = {}
        try:
            account, now = f"{call.token.token}/{call.account}", self.shared.store.clock()
            headers = self.shared.limiter.take(call.method, call.path, account, now=now)
            reply = dispatch(call)
        except Refused as refused:
            return refusal(refused, headers)
        return Reply(
            status=reply.status,
            body=reply.body,
            headers={**headers, **reply.headers},
            content_type=reply.content_type,
        )

    def _visit(self, body: bytes) -> Reply:
        visit = Visit(
            method=self.command, host=self.host(), target=self.path, headers=dict(self.headers.items()), body=body
        )
        answer = hosting.find(self.shared.store.look(), visit.host, turn=secrets.randbelow(100))
        if not isinstance(answer, Answer):
            answer = serving.serve(self.shared, answer, visit, port=self.server.server_port)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        headers.setdefault("X-Vercel-Id", f"iad1::{secrets.token_hex(8)}")
        return Reply(status=answer.status, body=answer.body, headers=headers)

    def version_string(self) -> str:
        """What visitors are told of the server."""
        return "Vercel"


def _failure(switch: Switch, now: int) -> Reply:
    """What a client gets where a switch says so."""
    status = switch.status or 500
    if status == 429:
        wait = switch.retry_after or 1
        headers = {
            "X-RateLimit-Limit": "1",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(now // 1000 + wait),
        }
        refused = too_many(headers, count=1, reset=now + wait * 1000, now=now)
        refused.body["error"]["code"] = switch.code or "rate_limited"
        return refusal(refused)
    code = switch.code or ("internal_server_error" if status >= 500 else "bad_request")
    more: dict[str, Any] = {} if switch.retry_after is None else {"Retry-After": str(switch.retry_after)}
    return refusal(Refused(status, code, "An unexpected internal error occurred", headers=more))
