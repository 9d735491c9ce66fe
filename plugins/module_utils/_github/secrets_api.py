# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secrets of one repository, environment or organization at GitHub (private to ops.runbooks).

A value goes there in libsodium's sealed box, which only GitHub can open, and never comes back. To send one again is
as good as to have sent it once, so that what was lost on the way is sent again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Api, Reply, Unanswered, seconds_of
from ansible_collections.ops.runbooks.plugins.module_utils._github.failures import (
    MOVED,
    failed,
    hidden,
    message_of,
    moved,
)
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_model import (
    Scope,
    SecretRecord,
    check_secret_name,
    text_of_value,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Items that one page of a list is asked for, and pages that are read at most.
_PAGE, _PAGES = 100, 100
#: How often one request is sent that GitHub was too busy for, or whose answer was lost; and seconds between.
_SENDS, _PAUSE = 4, 0.5
#: What a token needs, by whose secrets they are.
_NEEDS = {
    "repository": "a fine-grained one with the repository permission Secrets, read and write; or a classic one with "
    "the scope repo, of somebody who may push",
    "environment": "a fine-grained one with the repository permission Environments, read and write; or a classic one "
    "with the scope repo, of somebody who administers the repository",
    "organization": "a fine-grained one with the organization permission Secrets, read and write; or a classic one "
    "with the scope admin:org, of an owner",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """What values are sealed with."""

    id: str
    key: str

    def seal(self, value: str) -> str:
        """The value in a box that only GitHub opens, in base64. Raises ``library_missing``, ``service_failed``."""
        require_sealing()
        from nacl.exceptions import CryptoError
        from nacl.public import PublicKey as Key
        from nacl.public import SealedBox

        try:
            box = SealedBox(Key(base64.b64decode(self.key, validate=True)))
        except (ValueError, TypeError, CryptoError) as error:
            raise RunbookError(
                code="service_failed",
                attempted="seal a secret",
                object="the public key of GitHub",
                reason="it is not a key of libsodium's sealed box",
                remedy="Look at api_url, and at githubstatus.com.",
            ) from error
        return base64.b64encode(box.encrypt(value.encode("utf-8", "surrogateescape"))).decode()


def require_sealing() -> None:
    """Raises ``library_missing`` without PyNaCl."""
    try:
        import_module("nacl.public")
    except ImportError as error:
        raise RunbookError(
            code="library_missing",
            attempted="seal secrets for GitHub",
            object="PyNaCl",
            reason="this Python library is not installed for the interpreter that runs this module",
            remedy="Install it (python3 -m pip install pynacl), or set ansible_python_interpreter to one that has it.",
        ) from error


class Secrets:
    """All secrets of one scope."""

    def __init__(self, api: Api, scope: Scope, context: Context, *, token: bool) -> None:
        """Raises ``connection_missing`` without a token: GitHub shows secrets to nobody who does not say who he is."""
        if not token:
            raise RunbookError(
                code="connection_missing",
                attempted="read the secrets",
                object=scope.title,
                reason="there is neither token nor GITHUB_TOKEN, and GitHub shows secrets to nobody without one",
                remedy=f"Put a token into GITHUB_TOKEN: {_NEEDS[_kind(scope)]}.",
            )
        self.scope = scope
        self._api = api
        self._context = context
        self._key: PublicKey | None = None

    def listed(self) -> dict[str, SecretRecord]:
        """By their names. Raises ``repository_missing``, ``scope_missing``, ``service_denied``."""
        found: dict[str, SecretRecord] = {}
        for number in range(1, _PAGES + 1):
            query = {"per_page": str(_PAGE), "page": str(number)}
            reply = self._api.read(f"{self.scope.path}/secrets", query)
            if not reply.good:
                raise self._refused(reply, "list the secrets")
            items = reply.fields.get("secrets")
            records = [SecretRecord.read(each) for each in items or () if isinstance(each, Mapping)]
            found |= {each.name: each for each in records}
            if 'rel="next"' not in reply.headers.get("link", ""):
                return found
        place = f"{self.scope.title}, more than {_PAGES} pages"
        raise failed(Reply(status=200), "list the secrets", place, self._context.redactor)

    def write(
        self, name: str, value: str, *, visibility: str = "", repositories: Iterable[int] = ()
    ) -> datetime | None:
        """Create or replace one, and say when GitHub did so, by its own clock.

        ``visibility`` and ``repositories`` are for organizations. The value has to be known to the redactor. Raises
        ``service_denied``, ``service_failed``.
        """
        check_secret_name(name)
        text_of_value(value, name)
        attempted = f"write the secret {name}"
        body: dict[str, Any] = {"visibility": visibility} if visibility else {}
        if visibility == "selected":
            body["selected_repository_ids"] = sorted(repositories)
        key = self._public_key()
        reply = self._send("PUT", f"/secrets/{name}", attempted, self._sealed(key, value) | body)
        if reply.status == 422:
            # The key is another one since it was read, which nothing but GitHub's word tells from other mistakes.
            self._key = None
            if self._public_key() != key:
                reply = self._send("PUT", f"/secrets/{name}", attempted, self._sealed(self._public_key(), value) | body)
        if not reply.good:
            raise self._refused(reply, attempted)
        seconds = seconds_of(reply.headers.get("date", ""))
        return datetime.fromtimestamp(seconds, UTC) if seconds else None

    def delete(self, name: str) -> bool:
        """Remove one; False where it was not there."""
        check_secret_name(name)
        reply = self._send("DELETE", f"/secrets/{name}", f"delete the secret {name}", None)
        if not reply.good and reply.status != 404:
            raise self._refused(reply, f"delete the secret {name}")
        return reply.good

    def selected(self, record: SecretRecord) -> SecretRecord:
        """The record with the repositories that are selected for it."""
        found: set[int] = set()
        for number in range(1, _PAGES + 1):
            query = {"per_page": str(_PAGE), "page": str(number)}
            reply = self._api.read(f"{self.scope.path}/secrets/{record.name}/repositories", query)
            if not reply.good:
                raise self._refused(reply, f"list the repositories of the secret {record.name}")
            items = reply.fields.get("repositories")
            found |= {int(each["id"]) for each in items or () if isinstance(each, Mapping) and "id" in each}
            if 'rel="next"' not in reply.headers.get("link", ""):
                break
        return replace(record, repositories=frozenset(found))

    def select(self, name: str, repositories: Iterable[int]) -> None:
        """Say for which repositories one is."""
        body = {"selected_repository_ids": sorted(repositories)}
        attempted = f"select the repositories of the secret {name}"
        reply = self._send("PUT", f"/secrets/{name}/repositories", attempted, body)
        if not reply.good:
            raise self._refused(reply, attempted)

    def repository_id(self, name: str) -> int:
        """The number of a repository. Raises ``repository_missing``."""
        reply = self._api.read(f"/repos/{name}", {})
        if reply.status == 404:
            raise hidden(reply, name, token=True, owner_known=True)
        if reply.status in MOVED:
            raise moved(reply, name)
        if not reply.good:
            raise failed(reply, "read the repository", name, self._context.redactor)
        return int(reply.fields.get("id") or 0)

    def sleep(self, seconds: float) -> None:
        """Wait, as far as there is patience left."""
        self._api.sleep(seconds)

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    def _public_key(self) -> PublicKey:
        """Read once, and again where GitHub has taken another one."""
        if self._key is None:
            reply = self._api.read(f"{self.scope.path}/secrets/public-key", {})
            if not reply.good:
                raise self._refused(reply, "read the public key that secrets are sealed with")
            self._key = PublicKey(id=str(reply.fields.get("key_id")), key=str(reply.fields.get("key")))
        return self._key

    def _sealed(self, key: PublicKey, value: str) -> dict[str, str]:
        return {"encrypted_value": key.seal(value), "key_id": key.id}

    def _send(self, method: str, path: str, attempted: str, body: Any) -> Reply:
        """Send until it is answered: each of these is the same, done once or twice. 409 means that GitHub is at it."""
        lost: Unanswered | None = None
        for attempt in range(_SENDS):
            if attempt:
                self._api.sleep(_PAUSE * 2**attempt)
            self._context.effect(f"{attempted} of {self.scope.title}")
            try:
                reply = self._api.send(method, self.scope.path + path, {}, body)
            except Unanswered as error:
                lost = error
                continue
            if reply.status != 409:
                return reply
            lost = None
        if lost is not None:
            raise lost
        return reply

    def _refused(self, reply: Reply, attempted: str) -> RunbookError:
        """What a refusal means; for 404, which GitHub says of what is missing and of what is not shown, by asking."""
        scope = self.scope
        kind = _kind(scope)
        if reply.status == 404:
            return self._missing(attempted, kind)
        if reply.status in MOVED and scope.name:
            return moved(reply, scope.name)
        failure = failed(reply, attempted, scope.title, self._context.redactor)
        if reply.status == 403 and "x-github-sso" not in reply.headers:
            failure.remedy = f"Take a token that may: {_NEEDS[kind]}."
        elif reply.status in (409, 422):
            said = message_of(reply, self._context.redactor)
            failure.reason = f"GitHub did not take it (it answered {reply.status}{f': {said}' if said else ''})"
            failure.remedy = "Correct what it names; where it names nothing, run the same command again."
        return failure

    def _missing(self, attempted: str, kind: str) -> RunbookError:
        scope = self.scope
        owner = self._api.read(f"/orgs/{scope.owner}" if kind == "organization" else f"/repos/{scope.name}", {})
        if kind != "organization" and owner.status == 404:
            account = self._api.read(f"/users/{quote(scope.owner, safe='')}", {})
            return hidden(owner, scope.name, token=True, owner_known=account.status != 404)
        missing = kind == "organization" and owner.status == 404
        if kind == "environment":
            missing = self._api.read(scope.path, {}).status == 404
        if missing:
            what = f"environment {scope.environment}" if kind == "environment" else f"organization {scope.owner}"
            return RunbookError(
                code="scope_missing",
                attempted=attempted,
                object=scope.title,
                reason=f"GitHub has no {what}, or does not show it to this token",
                remedy=f"Correct the name or make it in GitHub's settings, or take another token: {_NEEDS[kind]}.",
            )
        return RunbookError(
            code="service_denied",
            attempted=attempted,
            object=scope.title,
            reason=f"the token sees the {kind}, but not its secrets, which GitHub hides from whoever may not (404)",
            remedy=f"Take a token that may: {_NEEDS[kind]}.",
        )


def _kind(scope: Scope) -> str:
    return "organization" if not scope.name else "environment" if scope.environment else "repository"
