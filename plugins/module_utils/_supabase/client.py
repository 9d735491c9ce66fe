# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Supabase's Management API for one project, and the project's own gateway (private to ops.runbooks)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Api, Reply, check_address
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.failures import failed

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

API = "https://api.supabase.com"
#: Where the token is found that no option gives, as Supabase's own command does.
TOKEN_VARIABLE = "SUPABASE_ACCESS_TOKEN"
#: Seconds that Supabase may be out of reach.
_OUTAGE = 10.0
#: Seconds between tries of a new key: the first pause, and the longest.
_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_REF = re.compile(r"[a-z0-9]{20}")

#: Options of every module that talks to Supabase.
SUPABASE_SPEC = ArgumentSpec(
    options={
        "project_ref": {"type": "str", "required": True},
        "token": {"type": "str", "no_log": True},
        "api_url": {"type": "str", "default": API},
        "project_url": {"type": "str"},
    },
)


class Supabase:
    """One project."""

    def __init__(
        self, params: Mapping[str, Any], context: Context, environ: Mapping[str, str], *, patience: float
    ) -> None:
        """``patience`` is the seconds of all waiting together.

        Raises ``connection_missing``, ``connection_empty``, ``invalid_parameter``.
        """
        self.ref = check_ref(params["project_ref"] or "")
        self._context = context
        address = params.get("project_url") or f"https://{self.ref}.supabase.co"
        self._gateway = check_address(address, "project_url")
        self._patience = patience
        self._api = Api(
            service="Supabase",
            url=check_address(params.get("api_url") or API, "api_url"),
            headers={"Authorization": f"Bearer {_token(params, context, environ)}"},
            patience=patience,
            persistence=min(patience, _OUTAGE),
            context=context,
        )

    @property
    def title(self) -> str:
        """For people."""
        return f"project {self.ref}"

    def read(
        self, path: str, attempted: str, query: Mapping[str, str] | None = None, *, missing: bool = False
    ) -> Reply:
        """Ask; with ``missing`` an answer that there is no such thing is one. Raises ``service_denied``, ..."""
        reply = self._api.read(f"/v1/projects/{self.ref}{path}", query or {})
        if reply.good or (missing and reply.status == 404):
            return reply
        raise failed(reply, attempted, self.title, self._context.redactor)

    def send(
        self,
        method: str,
        path: str,
        attempted: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        accept: Collection[int] = (),
    ) -> Reply:
        """Change something, once; ``accept`` are refusals that the caller reads.

        Raises :class:`~http.Unanswered` where it may have been done.
        """
        self._context.effect(f"{attempted} of {self.title}")
        reply = self._api.send(method, f"/v1/projects/{self.ref}{path}", query or {}, body)
        if reply.good or reply.status in accept:
            return reply
        raise failed(reply, attempted, self.title, self._context.redactor)

    def refusal(self, key: str, *, patience: float) -> str:
        """Why the project's gateway does not take an API key; '' where it does, twice in a row.

        A new key is not known everywhere at once, so that a refusal counts only after ``patience`` seconds.
        """
        api = self._at_gateway({"apikey": key})
        clock = self._context.clock
        end, pause, good = clock.monotonic() + patience, _PAUSE, 0
        try:
            while good < 2:
                reply = api.read("/auth/v1/settings", {})
                good = good + 1 if reply.good else 0
                if not reply.good and clock.monotonic() + pause > end:
                    said = " ".join(str(reply.fields.get("message") or "").split())[:100].rstrip(".")
                    return f"it answers {reply.status}{f' ({said})' if said else ''}"
                if not reply.good:
                    clock.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            api.close()
        return ""

    def published_keys(self) -> frozenset[str]:
        """The ids of the signing keys that the project publishes for whoever verifies tokens, maybe minutes late."""
        api = self._at_gateway({})
        try:
            reply = api.read("/auth/v1/.well-known/jwks.json", {})
        finally:
            api.close()
        listed = reply.fields.get("keys")
        if not reply.good or not isinstance(listed, list):
            raise failed(reply, "read which keys tokens are verified with", self.title, self._context.redactor)
        return frozenset(str(each.get("kid")) for each in listed if isinstance(each, Mapping))

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    def _at_gateway(self, headers: Mapping[str, str]) -> Api:
        return Api(
            service=f"the gateway of {self.title}",
            url=self._gateway,
            headers=headers,
            patience=self._patience,
            persistence=min(self._patience, _OUTAGE),
            context=self._context,
        )


def check_ref(ref: str) -> str:
    """``ref`` where it can be a project's. Raises ``invalid_parameter``."""
    if _REF.fullmatch(ref):
        return ref
    raise RunbookError(
        code="invalid_parameter",
        attempted="use project_ref",
        object=repr(ref),
        reason="the ref of a project has 20 small letters or digits",
        remedy="Take it from the address of the project's dashboard, supabase.com/dashboard/project/<ref>.",
    )


def _token(params: Mapping[str, Any], context: Context, environ: Mapping[str, str]) -> str:
    given = params["token"] if params["token"] is not None else environ.get(TOKEN_VARIABLE)
    if given is None or not given.strip():
        where = "token" if params["token"] is not None else TOKEN_VARIABLE
        raise RunbookError(
            code="connection_missing" if given is None else "connection_empty",
            attempted="talk to Supabase",
            object=where,
            reason="there is no token" if given is None else "it is given but empty",
            remedy=f"Make an access token in Supabase's account settings, and put it into {TOKEN_VARIABLE}.",
        )
    context.redactor.protect(given.strip())
    return given.strip()
