# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in for GitHub over HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.github import model, vaults
from sandbox.github.model import Repository, Vault, World
from sandbox.github.repositories import NAME, ROUTES, key_of, not_found, packed, paged
from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused
from sandbox.standin.server import StatefulHandler, StatefulServer
from sandbox.standin.store import Store
from sandbox.standin.switches import Switch

DOCUMENTATION = "https://docs.github.com/rest"

#: Requests that a token has in an hour.
HOURLY = 5000


class GitHubHTTPServer(StatefulServer):
    """One server with its state."""

    store: Store[World]

    def __init__(self, port: int, state: Path) -> None:
        super().__init__(port, Handler, Store(state, World(), model.KINDS))


class Handler(StatefulHandler):
    """One connection."""

    server: GitHubHTTPServer

    def api(self, body: bytes) -> Reply:
        """Archives are on another host at GitHub."""
        return self._codeload() if self.path.startswith("/_codeload/") else self._asked(body)

    def failure(self, switch: Switch) -> Reply:
        """403 and 429 are GitHub's two ways to say that it was too much.

        The code ``primary`` is the limit of an hour, which says when it ends and not how long to wait; ``silent`` says
        nothing at all but that it was too much.
        """
        status = switch.status or 500
        if status not in (403, 429):
            return _error(Refused(status, "", "Server Error"))
        wait = switch.retry_after or 1
        if switch.code == "primary":
            reply = _error(Refused(status, "", "API rate limit exceeded for user ID 1."))
            headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + wait)}
        elif switch.code == "silent":
            reply, headers = _error(Refused(status, "", "Too many requests.")), {}
        else:
            reply = _error(Refused(status, "", "You have exceeded a secondary rate limit. Please wait a few minutes."))
            headers = {"retry-after": str(wait)}
        return Reply(status=status, body=reply.body, headers=headers)

    def _codeload(self) -> Reply:
        """Where archives are, which is another host at GitHub: it knows no tokens, but the key that an address has."""
        parts = urlsplit(self.path)
        try:
            match = re.fullmatch(rf"/_codeload/{NAME}/legacy.tar.gz/(?P<ref>.+)", parts.path)
            if match is None:
                raise not_found()
            repository = self.server.store.world.repositories.get(f"{match['owner']}/{match['repo']}")
            if repository is None:
                raise not_found()
            if repository.private and dict(parse_qsl(parts.query)).get("token") != key_of(repository, match["ref"]):
                raise not_found()
            return packed(repository, match["ref"])
        except Refused as refused:
            return _error(refused)

    def _asked(self, body: bytes) -> Reply:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        world, base = self.server.store.world, f"http://{self.headers.get('Host')}"
        reader: model.Token | None = None
        try:
            reader = _reader(world, self.headers.get("Authorization", ""))
            for pattern, needs, handler in ROUTES:
                match = re.fullmatch(pattern, parts.path)
                if match is not None and self.command in ("GET", "HEAD"):
                    names = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                    if moved := _moved(world, names, base):
                        return _limited(moved, reader)
                    repository = _readable(world, reader, names)
                    _require(reader, needs)
                    return _limited(handler(repository, names, query, base), reader)
            if reply := self._vaults(reader, parts.path, query, body):
                return _limited(reply, reader)
            if match := re.fullmatch(r"/users/([^/]+)", parts.path):
                return _limited(_account(world, unquote(match[1])), reader)
            raise not_found()
        except Refused as refused:
            return _limited(_error(refused), reader)

    def _vaults(self, reader: model.Token | None, path: str, query: Mapping[str, str], body: bytes) -> Reply | None:
        """Secrets, which only who may write them is told of; None for what is something else."""
        asked = vaults.read(self.command, path, query, body)
        if asked is None:
            return None
        store = self.server.store
        if asked.repository:
            _readable(store.world, reader, dict(zip(("owner", "repo"), asked.repository.split("/"), strict=True)))
        _require(reader, asked.permission)
        if reader is None:
            raise not_found()
        items = vaults.answer(asked, store.world, self._change)
        if isinstance(items, Reply):
            return items
        name, found = items
        page, headers = paged(found, query, f"http://{self.headers.get('Host')}{path}")
        return Reply(body={"total_count": len(found), name: page}, headers=headers)

    def _change(self, path: str, change: Callable[[Vault], Vault]) -> None:
        """Make something else of one vault."""

        def changed(world: World) -> tuple[World, None]:
            return world.put(change(world.vaults.get(path, Vault(path=path)))), None

        self.server.store.change(changed)

    def version_string(self) -> str:
        """What clients are told of the server."""
        return "github.com"


def _reader(world: World, authorization: str) -> model.Token | None:
    """Who asks; None without a token."""
    if not authorization:
        return None
    scheme, _space, shown = authorization.partition(" ")
    found = world.tokens.get(shown.strip()) if scheme.lower() in ("bearer", "token") else None
    if found is None:
        raise Refused(401, "", "Bad credentials")
    return found


def _moved(world: World, names: Mapping[str, str], base: str) -> Reply | None:
    """A repository that had this name is found by its number."""
    name = f"{names['owner']}/{names['repo']}"
    found = next((each for each in world.repositories.values() if name in each.formerly), None)
    if found is None:
        return None
    url = f"{base}/repositories/{found.id}"
    return Reply(status=301, body={"message": "Moved Permanently", "url": url}, headers={"Location": url})


def _require(reader: model.Token | None, permission: str) -> None:
    """What a fine-grained token was not given, it may not do."""
    if reader is not None and permission in reader.lacks:
        raise Refused(403, "", "Resource not accessible by personal access token")


def _account(world: World, login: str) -> Reply:
    """A person or an organisation that owns a repository here."""
    if login not in {name.split("/")[0] for name in world.repositories}:
        raise not_found()
    return Reply(body={"login": login, "type": "Organization"})


def _readable(world: World, reader: model.Token | None, names: Mapping[str, str]) -> Repository:
    """The repository of a path; one that may not be read does not exist."""
    name = f"{names['owner']}/{names['repo']}"
    found = world.repositories.get(name)
    may = reader is not None and (not reader.repositories or name in reader.repositories)
    if found is None or (found.private and not may):
        raise not_found()
    return found


def _error(refused: Refused) -> Reply:
    body = {"message": str(refused), "documentation_url": DOCUMENTATION, "status": str(refused.status)}
    return Reply(status=refused.status, body=body)


def _limited(reply: Reply, reader: model.Token | None = None) -> Reply:
    """With the headers that every answer has."""
    reset = str(int(time.time()) // 3600 * 3600 + 3600)
    headers = {"x-ratelimit-limit": str(HOURLY), "x-ratelimit-remaining": str(HOURLY - 1), "x-ratelimit-reset": reset}
    if reader is not None and reader.scopes is not None:
        headers["x-oauth-scopes"] = reader.scopes
    return Reply(
        status=reply.status, body=reply.body, headers={**headers, **reply.headers}, content_type=reply.content_type
    )
