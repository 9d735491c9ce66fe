# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GitHub's REST API, as far as runbooks need it (private to ops.runbooks). Every method is a question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Api, Reply, check_address
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._github.failures import MOVED, failed, hidden, moved
from ansible_collections.ops.runbooks.plugins.module_utils._github.model import (
    Check,
    Demands,
    of_protection,
    of_rules,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Items that one page of a list is asked for, and pages that are read at most.
_PAGE, _PAGES = 100, 100
_VERSION = "2022-11-28"
#: Seconds to wait after a refusal for too many requests that does not say how long (GitHub Docs, "Rate limits for the
#: REST API": at least a minute).
_UNSAID = 60.0
#: What is answered for a name that a repository had.
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}/[A-Za-z0-9_.-]{1,100}")

#: Options of every module that talks to GitHub.
GITHUB_SPEC = ArgumentSpec(
    options={
        "repository": {"type": "str", "required": True},
        "token": {"type": "str", "no_log": True},
        "api_url": {"type": "str", "default": "https://api.github.com"},
    },
)


def check_repository(name: str, what: str) -> str:
    """``name`` where it is written owner/name; ``what`` is the parameter's. Raises ``invalid_parameter``."""
    if _REPOSITORY.fullmatch(name):
        return name
    raise RunbookError(
        code="invalid_parameter",
        attempted=f"use {what}",
        object=repr(name),
        reason="it is not of the form owner/name",
        remedy="Write it like acme/web, without an address.",
    )


def connect(
    params: Mapping[str, Any], context: Context, environ: Mapping[str, str], *, patience: float, persistence: float
) -> tuple[Api, bool]:
    """The API, and whether there is a token: ``token`` of the options, else ``GITHUB_TOKEN``.

    ``persistence`` is how many seconds GitHub may be out of reach, ``patience`` those of all waiting.
    """
    token = params["token"] if params["token"] is not None else environ.get("GITHUB_TOKEN")
    if token is not None and not token.strip():
        raise RunbookError(
            code="connection_empty",
            attempted="talk to GitHub",
            object="token" if params["token"] is not None else "GITHUB_TOKEN",
            reason="it is given but empty",
            remedy="Put a token into the environment variable GITHUB_TOKEN, or unset it for a public repository.",
        )
    context.redactor.protect(token)
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION}
    if token is not None:
        headers["Authorization"] = f"Bearer {token.strip()}"
    api = Api(
        service="GitHub",
        url=check_address(params["api_url"], "api_url"),
        headers=headers,
        patience=patience,
        persistence=persistence,
        context=context,
        limited=too_many,
        unsaid=_UNSAID,
    )
    return api, token is not None


class GitHub:
    """One repository."""

    def __init__(
        self,
        params: Mapping[str, Any],
        context: Context,
        environ: Mapping[str, str],
        *,
        patience: float,
        persistence: float,
    ) -> None:
        """``persistence`` is how many seconds GitHub may be out of reach, ``patience`` those of all waiting."""
        self._redactor = context.redactor
        self.name = check_repository(str(params["repository"]), "repository")
        self._api, self._has_token = connect(params, context, environ, patience=patience, persistence=persistence)

    def default_branch(self) -> str:
        """The name of the branch that pull requests go to. Raises ``repository_missing``."""
        reply = self._read("")
        if reply.status == 404:
            owner = self._api.read(f"/users/{quote(self.name.partition('/')[0], safe='')}", {})
            raise hidden(reply, self.name, token=self._has_token, owner_known=owner.status != 404)
        if reply.status in MOVED:
            raise moved(reply, self.name)
        return str(self._fields(reply, "read the repository").get("default_branch") or "main")

    def commit(self, sha: str) -> tuple[str, str]:
        """The full name of a commit, and its page. Raises ``commit_missing``."""
        reply = self._read(f"/commits/{quote(sha, safe='')}")
        if reply.status in (404, 409, 422):
            raise _no_commit(sha, self.name, "GitHub has no such commit in this repository")
        found = self._fields(reply, "read the commit")
        full = str(found.get("sha") or "")
        if not full.lower().startswith(sha.lower()):
            raise _no_commit(sha, self.name, "GitHub takes it for the name of a branch or a tag, which may move")
        return full, str(found.get("html_url") or "")

    def archive(self, sha: str) -> str:
        """Where the sources of exactly one commit can be fetched. Raises ``source_missing``, ``repository_missing``."""
        reply = self._read(f"/tarball/{quote(sha, safe='')}")
        attempted, place = "read the sources of the commit", f"{self.name} at {sha[:12]}"
        if reply.status in MOVED:
            raise moved(reply, self.name)
        if reply.status in (403, 404, 422):
            raise _no_sources(attempted, place, token=self._has_token)
        location = reply.headers.get("location", "")
        if reply.status != 302 or not location:
            raise self._refusal(reply, attempted, place)
        return location

    def unfinished(self, sha: str) -> list[Check]:
        """The suites that have reported something and are not done with the commit."""
        pages = self._pages(f"/commits/{sha}/check-suites", {}, "list the check suites")
        found = [Check.of_suite(item) for page in pages for item in _items(page.get("check_suites"))]
        return [each for each in found if each is not None]

    def runs(self, sha: str) -> list[Check]:
        """The check runs, of each name in each suite the newest."""
        runs: dict[int, Check] = {}
        total = 0
        attempted = "list the check runs"
        for page in self._pages(f"/commits/{sha}/check-runs", {"filter": "latest"}, attempted):
            total = int(page.get("total_count") or 0)
            runs |= {each.id: each for each in map(Check.of_run, _items(page.get("check_runs")))}
        if len(runs) < total:
            raise RunbookError(
                code="service_failed",
                attempted=attempted,
                object=f"{self.name}, commit {sha}",
                reason=f"GitHub listed {len(runs)} of {total}",
                remedy="Run the same command again.",
            )
        return list(runs.values())

    def statuses(self, sha: str) -> list[Check]:
        """The newest commit status of each context."""
        statuses: dict[str, Check] = {}
        for page in self._pages(f"/commits/{sha}/status", {}, "list the commit statuses"):
            for status in map(Check.of_status, _items(page.get("statuses"))):
                statuses.setdefault(status.name, status)
        return list(statuses.values())

    def demands(self, branch: str) -> Demands:
        """What rulesets and the protection of a branch demand, as far as this token is shown it."""
        unread = []
        rules: list[Mapping[str, Any]] = []
        reply = self._read(f"/rules/branches/{quote(branch, safe='')}", {"per_page": str(_PAGE)})
        if reply.good:
            rules = _items(reply.body)
        elif reply.status not in (403, 404):
            raise self._refusal(reply, "read the rules of the branch", self._branch(branch))
        else:
            unread.append("its rulesets")
        found, workflows = of_rules(rules)
        if workflows:
            unread.append("the names of the workflows that a ruleset demands")
        reply = self._read(f"/branches/{quote(branch, safe='')}")
        if reply.good:
            found += of_protection(reply.fields)
        elif reply.status not in (403, 404):
            raise self._refusal(reply, "read the protection of the branch", self._branch(branch))
        else:
            unread.append("its protection")
        return Demands(demands=tuple(dict.fromkeys(found)), unread=tuple(unread))

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    def _branch(self, branch: str) -> str:
        return f"{self.name}, branch {branch}"

    def _read(self, path: str, query: Mapping[str, str] | None = None) -> Reply:
        return self._api.read(f"/repos/{self.name}{path}", dict(query or {}))

    def _fields(self, reply: Reply, attempted: str) -> Mapping[str, Any]:
        if not reply.good or not isinstance(reply.body, dict):
            raise self._refusal(reply, attempted, self.name)
        return reply.body

    def _pages(self, path: str, query: Mapping[str, str], attempted: str) -> Iterator[Mapping[str, Any]]:
        for number in range(1, _PAGES + 1):
            reply = self._read(path, {**query, "per_page": str(_PAGE), "page": str(number)})
            yield self._fields(reply, attempted)
            if 'rel="next"' not in reply.headers.get("link", ""):
                return
        raise RunbookError(
            code="service_failed",
            attempted=attempted,
            object=self.name,
            reason=f"there are more than {_PAGES * _PAGE} of them",
            remedy="Report this line; no commit is known to have as many.",
        )

    def _refusal(self, reply: Reply, attempted: str, place: str) -> RunbookError:
        return failed(reply, attempted, place, self._redactor)


def too_many(reply: Reply) -> bool:
    """GitHub says so with 429, and with 403 where it adds how long to wait, that nothing is left, or just says so."""
    if reply.status == 403:
        told = "retry-after" in reply.headers or reply.headers.get("x-ratelimit-remaining") == "0"
        return told or "secondary rate limit" in str(reply.fields.get("message")).lower()
    return reply.status == 429


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _no_sources(attempted: str, place: str, *, token: bool) -> RunbookError:
    reason = "GitHub has no such repository or commit, or does not show it to this token"
    if not token:
        reason = "GitHub has no such public repository or commit, and without a token it shows no private one"
    return RunbookError(
        code="source_missing",
        attempted=attempted,
        object=place,
        reason=reason,
        remedy="Push the commit, or take a token that may read the repository's contents (GITHUB_TOKEN).",
    )


def _no_commit(sha: str, repository: str, reason: str) -> RunbookError:
    return RunbookError(
        code="commit_missing",
        attempted="find the commit",
        object=f"{sha} in {repository}",
        reason=reason,
        remedy="Push the commit, or give the SHA of one that was pushed.",
    )
