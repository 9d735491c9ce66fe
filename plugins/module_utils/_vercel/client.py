# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Vercel's REST API, as far as runbooks need it (private to ops.runbooks).

Each method is one question or one request. A question is asked again where the answer was lost; a request is sent once,
and :class:`Unanswered` says where it may have been taken all the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Api, Reply, check_address, seconds_of
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.failures import failed
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import (
    Deployment,
    Project,
    RollingRelease,
    Variable,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Items that one page of a list is asked for, and pages that are read at most.
_PAGE, _PAGES = 100, 50
#: Deployments that are looked through for one.
_FAR = 1000

#: Options of every module that talks to Vercel, documented in the fragment ``_vercel``.
VERCEL_SPEC = ArgumentSpec(
    options={
        "token": {"type": "str", "no_log": True},
        "team": {"type": "str"},
        "project": {"type": "str", "required": True},
        "api_url": {"type": "str", "default": "https://api.vercel.com"},
    },
)


class Vercel:
    """One project of one team, or of a personal account."""

    def __init__(
        self,
        params: Mapping[str, Any],
        context: Context,
        environ: Mapping[str, str],
        *,
        patience: float = 60,
        persistence: float = math.inf,
    ) -> None:
        self.reference = str(params["project"])
        self.team = str(params["team"] or "")
        token = params["token"]
        self.from_environment = token is None
        token = environ.get("VERCEL_TOKEN") if token is None else token
        if not (token or "").strip():
            raise RunbookError(
                code="connection_empty"
                if not self.from_environment or "VERCEL_TOKEN" in environ
                else "connection_missing",
                attempted="talk to Vercel",
                object="token" if not self.from_environment else "VERCEL_TOKEN",
                reason="there is no token",
                remedy="Put a token of the team into the environment variable VERCEL_TOKEN.",
            )
        self._redactor = context.redactor
        self._redactor.protect(token)
        self._api = Api(
            service="Vercel",
            url=check_address(params["api_url"], "api_url"),
            headers={"Authorization": f"Bearer {str(token).strip()}"},
            patience=patience,
            context=context,
            persistence=persistence,
            hopeless=_of_the_day,
        )
        scope = "teamId" if self.team.startswith("team_") else "slug"
        self._scope = {scope: self.team} if self.team else {}
        self._now = 0

    @property
    def api(self) -> Api:
        """For waiting."""
        return self._api

    @property
    def place(self) -> str:
        """The project and its team, for messages."""
        return f"project {self.reference} of {f'team {self.team}' if self.team else 'the personal account'}"

    def project(self) -> Project:
        """The project as it is now. Raises ``project_missing``."""
        reply = self._read(f"/v9/projects/{quote(self.reference, safe='')}", {"rollbackInfo": "true"})
        if reply.status == 404:
            raise RunbookError(
                code="project_missing",
                attempted="find the project",
                object=self.place,
                reason="Vercel does not know it, or this token may not see it",
                remedy="Correct project or team, or take a token of that team.",
            )
        return Project.read(self._fields(reply, "read the project"))

    def deployment(self, reference: str) -> Deployment | None:
        """By id or host name; None where Vercel does not know it."""
        reply = self._read(f"/v13/deployments/{quote(reference, safe='')}", {})
        if reply.status == 404:
            return None
        return Deployment.read(self._fields(reply, f"read the deployment {reference}"))

    def deployments(self, project: Project, **filters: str) -> Iterator[Deployment]:
        """Newest first, fetched as they are consumed. ``filters`` are Vercel's own (target, state, sha, ...)."""
        query = {"projectId": project.id, "limit": str(_PAGE), **filters}
        for item in self._pages("/v7/deployments", query, "deployments", "list the deployments"):
            yield Deployment.read(item)

    def candidates(self, project: Project) -> Iterator[Deployment]:
        """What can be rolled back to by Vercel's own mark, newest first, as far back as anybody would go."""
        return islice(self.deployments(project, target="production", rollbackCandidate="true"), _FAR)

    def production_domains(self, project: Project) -> list[str]:
        """The host names of production that are verified and lead nowhere else."""
        query = {"production": "true", "limit": str(_PAGE)}
        path = f"/v9/projects/{quote(project.id, safe='')}/domains"
        found = self._pages(path, query, "domains", "list the domains")
        return [
            str(item.get("name"))
            for item in found
            if item.get("name")
            and item.get("verified", True)
            and not (item.get("redirect") or item.get("gitBranch") or item.get("customEnvironmentId"))
        ]

    def serves(self, host: str) -> str | None:
        """The deployment that a host name is led to; None where Vercel knows no such alias."""
        reply = self._read(f"/v4/aliases/{quote(host, safe='')}", {})
        if reply.status == 404:
            return None
        found = self._fields(reply, f"read the alias {host}")
        nested = found.get("deployment")
        return str(found.get("deploymentId") or (nested.get("id") if isinstance(nested, Mapping) else "") or "") or None

    def rolling_release(self, project: Project) -> RollingRelease | None:
        """The active one. Plans without rolling releases answer with a refusal, which is none."""
        path = f"/v1/projects/{quote(project.id, safe='')}/rolling-release"
        reply = self._read(path, {"state": "ACTIVE"})
        if reply.status in (400, 402, 403, 404) and not project.rolling_configured:
            return None
        return RollingRelease.read(self._fields(reply, "read the rolling release"))

    def variables(self, project: Project) -> tuple[list[Variable], int]:
        """The environment variables without values, and how many of production this token may not see."""
        path = f"/v10/projects/{quote(project.id, safe='')}/env"
        hidden = 0
        found: list[Variable] = []
        for page in self._whole_pages(path, {"limit": str(_PAGE)}, "list the environment variables"):
            hidden = max(hidden, int(page.get("hiddenProductionEnvCount") or 0))
            found += [Variable.read(item) for item in page.get("envs") or () if isinstance(item, Mapping)]
        return found, hidden

    def variable(self, project: Project, variable: str) -> Variable | None:
        """One environment variable with its value, where that can be read; None where Vercel knows it no more."""
        reply = self._read(f"/v1/projects/{quote(project.id, safe='')}/env/{quote(variable, safe='')}", {})
        if reply.status == 404:
            return None
        return Variable.read(self._fields(reply, "read an environment variable"))

    def create_variables(self, project: Project, bodies: Sequence[Mapping[str, Any]]) -> Reply:
        """Ask for new variables, several at once. Of these some may fail though the answer is good."""
        path = f"/v10/projects/{quote(project.id, safe='')}/env"
        return self._api.send("POST", path, self._scope, [dict(each) for each in bodies])

    def edit_variable(self, project: Project, variable: str, body: Mapping[str, Any]) -> Reply:
        """Ask for a change of one record, for all its targets."""
        path = f"/v9/projects/{quote(project.id, safe='')}/env/{quote(variable, safe='')}"
        return self._api.send("PATCH", path, self._scope, dict(body))

    def delete_variables(self, project: Project, variables: Sequence[str]) -> Reply:
        """Ask for records to be taken away, with all their targets."""
        path = f"/v1/projects/{quote(project.id, safe='')}/env"
        return self._api.send("DELETE", path, self._scope, {"ids": list(variables)})

    def now(self) -> int:
        """Seconds since 1970 by Vercel's clock, as of its last answer; by this machine's where it says nothing."""
        return self._now or int(time.time())

    def failed_aliases(self, project: Project) -> list[str]:
        """The host names that the last job could not move."""
        path = f"/v1/projects/{quote(project.id, safe='')}/promote/aliases"
        reply = self._read(path, {"failedOnly": "true", "limit": "20"})
        if not reply.good:
            return []
        return [str(item.get("alias")) for item in reply.fields.get("aliases") or () if isinstance(item, Mapping)]

    def promote(self, project: Project, deployment: str) -> Reply:
        """Ask for a promote. Raises :class:`Unanswered`."""
        path = f"/v10/projects/{quote(project.id, safe='')}/promote/{quote(deployment, safe='')}"
        return self._api.send("POST", path, self._scope)

    def rollback(self, project: Project, deployment: str, reason: str) -> Reply:
        """Ask for a rollback. Raises :class:`Unanswered`."""
        path = f"/v1/projects/{quote(project.id, safe='')}/rollback/{quote(deployment, safe='')}"
        return self._api.send("POST", path, {**self._scope, **({"description": reason[:250]} if reason else {})})

    def set_auto_assign(self, project: Project, value: bool) -> None:
        """Say whether new production deployments take the domains by themselves."""
        path = f"/v9/projects/{quote(project.id, safe='')}"
        reply = self._api.send("PATCH", path, self._scope, {"autoAssignCustomDomains": value})
        self._fields(reply, "set autoAssignCustomDomains")

    def create_deployment(self, body: Mapping[str, Any], *, prebuilt: bool = False) -> Reply:
        """Ask for a deployment, which is a new one whatever there is. Raises :class:`Unanswered`."""
        query = {"forceNew": "1", "skipAutoDetectionConfirmation": "1", **({"prebuilt": "1"} if prebuilt else {})}
        return self._api.send("POST", "/v13/deployments", {**query, **self._scope}, dict(body))

    def upload(
        self, api: Api, sha: str, size: int, content: Callable[[], AbstractContextManager[BinaryIO]], name: str
    ) -> None:
        """Hand over a file by its SHA-1, over a connection that may be a thread's own."""
        headers = {"Content-Type": "application/octet-stream", "x-now-digest": sha, "x-now-size": str(size)}
        reply = api.upload("/v2/files", self._scope, headers, content)
        if not reply.good:
            raise self.refusal(reply, f"upload {name}")

    def cancel(self, deployment: str) -> Reply:
        """Ask for the end of a build. Raises :class:`Unanswered`."""
        return self._api.send("PATCH", f"/v12/deployments/{quote(deployment, safe='')}/cancel", self._scope)

    def delete(self, deployment: str) -> Reply:
        """Ask for a deployment to be taken away for good. Raises :class:`Unanswered`."""
        return self._api.send("DELETE", f"/v13/deployments/{quote(deployment, safe='')}", self._scope)

    def build_log(self, deployment: str, lines: int) -> list[str]:
        """The end of a build's log, oldest line first; what the service holds back is not waited for."""
        query = {"direction": "backward", "limit": str(lines), "builds": "1", "follow": "0"}
        reply = self._read(f"/v3/deployments/{quote(deployment, safe='')}/events", query)
        found = [each for each in reply.body if isinstance(each, Mapping)] if isinstance(reply.body, list) else []
        found.sort(key=lambda each: (_when(each), str(each.get("serial") or "")))
        texts = [_said(each) for each in found]
        return [line for text in texts for line in text.splitlines() if line.strip()][-lines:]

    def refusal(self, reply: Reply, attempted: str) -> RunbookError:
        """The failure for an answer that is none of the expected ones."""
        return failed(reply, attempted, self.place, self._redactor)

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    def _read(self, path: str, query: Mapping[str, str]) -> Reply:
        reply = self._api.read(path, {**query, **self._scope})
        self._now = seconds_of(reply.headers.get("date", "")) or self._now
        return reply

    def _fields(self, reply: Reply, attempted: str) -> Mapping[str, Any]:
        if not reply.good or not isinstance(reply.body, dict):
            raise self.refusal(reply, attempted)
        return reply.body

    def _pages(self, path: str, query: Mapping[str, str], key: str, attempted: str) -> Iterator[Mapping[str, Any]]:
        for page in self._whole_pages(path, query, attempted):
            yield from (item for item in page.get(key) or () if isinstance(item, Mapping))

    def _whole_pages(self, path: str, query: Mapping[str, str], attempted: str) -> Iterator[Mapping[str, Any]]:
        """Until Vercel says that there is no next one; the same answer twice would be no end."""
        until: str | None = None
        for _page in range(_PAGES):
            page = self._fields(self._read(path, {**query, **({"until": until} if until else {})}), attempted)
            yield page
            pagination = page.get("pagination")
            after = pagination.get("next") if isinstance(pagination, Mapping) else None
            if after is None or str(after) == until:
                return
            until = str(after)


def _of_the_day(code: str) -> bool:
    """Whether a refusal for too many requests is of a limit that a day, or money, lifts."""
    return code.startswith(("api-deployments-", "api-upload-")) or code.endswith("-per-day")


def _when(event: Mapping[str, Any]) -> float:
    when = event.get("created") or event.get("date")
    return float(when) if isinstance(when, (int, float)) else 0.0


def _said(event: Mapping[str, Any]) -> str:
    """The text of an event, which older answers nest."""
    payload = event.get("payload")
    text = event.get("text") or (payload.get("text") if isinstance(payload, Mapping) else None)
    return text if isinstance(text, str) else ""
