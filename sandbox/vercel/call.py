# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request to the API, the table of its routes, and who may ask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused, bad_request, forbidden, not_found
from sandbox.vercel.files import Files
from sandbox.vercel.model import Deployment, Project, Token, User, World
from sandbox.vercel.shared import Shared
from sandbox.vercel.store import Store
from sandbox.vercel.views import View

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request whose sender is known."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    shared: Shared
    port: int
    #: The hostname label under which deployments get theirs.
    suffix: str = "localhost"

    @property
    def store(self) -> Store:
        """The state."""
        return self.shared.store

    @property
    def files(self) -> Files:
        """What was uploaded."""
        return self.shared.files

    @cached_property
    def body(self) -> dict[str, Any]:
        """The JSON object that was sent; empty where nothing was."""
        found = self.document
        if not isinstance(found, dict):
            raise bad_request("The request body must be an object.")
        return found

    @cached_property
    def document(self) -> Any:
        """The JSON that was sent, whatever it is."""
        if not self.raw:
            return {}
        try:
            return json.loads(self.raw)
        except ValueError as error:
            raise Refused(400, "bad_request", "Invalid JSON") from error

    @cached_property
    def token(self) -> Token:
        """The sender's token.

        Raises:
            Refused: There is none, or nobody knows it.
        """
        scheme, _space, shown = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not shown.strip():
            raise Refused(401, "forbidden", "The request is missing an authentication token", missingToken=True)
        found = self.store.look().tokens.get(shown.strip())
        if found is None:
            raise forbidden("Not authorized", invalidToken=True)
        return found

    @property
    def user(self) -> User:
        """Who the token belongs to."""
        users = self.store.look().users
        return users.get(self.token.user) or User(id=self.token.user, username=self.token.user)

    @cached_property
    def account(self) -> str:
        """The team that the query names, or the sender's own account.

        Raises:
            Refused: The team does not exist, or not for this token.
        """
        wanted = self.query.get("teamId") or self.query.get("slug")
        if not wanted or wanted in (self.user.id, self.user.username):
            return self.user.id
        team = next((each for each in self.store.look().teams.values() if wanted in (each.id, each.slug)), None)
        if team is None or team.id not in self.token.teams:
            raise forbidden(
                f'Not authorized: Trying to access resource under scope "{wanted}". '
                "You must re-authenticate to this scope or use a token with access to this scope."
            )
        return team.id

    def allow(self, deed: str) -> None:
        """Refuse what this token may not do."""
        if deed in self.token.denied:
            raise forbidden("You don't have permission to do this.")

    def view(self, world: World | None = None) -> View:
        """How the world looks in answers to this request."""
        return View(world=world or self.store.look(), port=self.port, now=self.store.clock())

    def change(self, step: Callable[[World, int], tuple[World, T]]) -> T:
        """See :meth:`Store.change`."""
        return self.store.change(step)

    def project(self, world: World, name: str, *, by_name: bool = True) -> Project:
        """A project of the account, by id or by name."""
        for each in world.projects.values():
            if each.account == self.account and (each.id == name or (by_name and each.name == name)):
                return each
        raise not_found("Project not found.")

    def deployment(self, world: World, name: str) -> Deployment:
        """A deployment of the account, by id, by its own hostname or by one that shows it."""
        host = re.sub(r"^https?://", "", name).split("/")[0].rsplit(":", 1)[0].lower()
        alias = world.aliases.get(host)
        for each in world.deployments.values():
            hit = name == each.id or host == each.url or (alias is not None and alias.deployment == each.id)
            if hit and each.state != "DELETED" and world.projects[each.project].account == self.account:
                return each
        raise not_found(f'Can\'t find the deployment "{name}" under the context "{self.account}"')


Handler = Callable[..., Reply]

#: In the order of their definition; the first that matches answers.
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Register a handler for a path without its version; ``{name}`` becomes an argument of the handler."""
    parts = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    compiled = re.compile(rf"(?:/v\d+)?(?:/now)?{parts}/?")

    def register(handler: Handler) -> Handler:
        ROUTES.append((method, compiled, handler))
        return handler

    return register
