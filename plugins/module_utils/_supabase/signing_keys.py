# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys that a Supabase project signs the tokens of its users with (private to ops.runbooks).

A key begins in ``standby``, where it is published and signs nothing. Brought ``in_use`` it signs, and the one before it
becomes ``previously_used``: what that has signed stays good. Once it is ``revoked`` nothing of it is good any more.
Each of these can be undone by way of standby, until the key is deleted. Private parts never leave Supabase.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply, Unanswered
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.client import Supabase
from ansible_collections.ops.runbooks.plugins.module_utils._supabase.failures import message_of

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

STANDBY, IN_USE, PREVIOUSLY_USED, REVOKED = "standby", "in_use", "previously_used", "revoked"
#: One secret for both sides; it is published to nobody.
SHARED = "HS256"
#: How long after the last token that a key has signed has expired it is still waited for (Supabase's own advice).
MARGIN = timedelta(minutes=15)
#: How long a token is good where the project does not say.
_HOUR = 3600
_PATH = "/config/auth/signing-keys"
#: Answers to a change that is not made as things are.
_NOT_NOW = (400, 409, 422)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key without its private part. ``id`` is also the ``kid`` of its tokens."""

    id: str
    algorithm: str
    status: str
    changed_at: datetime

    @classmethod
    def read(cls, listed: Mapping[str, Any]) -> SigningKey:
        """As the API lists it."""
        return cls(
            id=str(listed["id"]),
            algorithm=str(listed.get("algorithm") or ""),
            status=str(listed.get("status") or ""),
            changed_at=parse_iso(str(listed.get("updated_at") or listed.get("created_at"))),
        )


class SigningKeys:
    """All signing keys of one project."""

    def __init__(self, supabase: Supabase, context: Context) -> None:
        self._supabase = supabase
        self._context = context

    def list(self) -> tuple[SigningKey, ...]:
        """Every key. Raises ``signing_key_refused`` where the project still has its JWT secret alone."""
        reply = self._supabase.read(_PATH, "list the signing keys")
        listed = reply.fields.get("keys")
        found = tuple(SigningKey.read(each) for each in listed or () if isinstance(each, Mapping))
        if not found:
            raise self.refused(
                "list the signing keys",
                "the project signs with its JWT secret, which cannot be rotated",
                "Let it move to signing keys in its dashboard (Settings, JWT Keys, Migrate JWT secret), which stops "
                "nobody.",
            )
        return found

    def one(self, id: str) -> SigningKey | None:
        """One key; None where there is none."""
        return next((each for each in self.list() if each.id == id), None)

    def in_use(self) -> SigningKey:
        """The key that signs. Raises ``signing_key_refused`` where none does."""
        found = next((each for each in self.list() if each.status == IN_USE), None)
        if found is None:
            raise self.refused("find the signing key in use", "there is none", "Look at the project's dashboard.")
        return found

    def standby(self, algorithm: str) -> SigningKey:
        """The key in standby; one is made where there is none, since there can be one only.

        That it is there, whoever has made it, is what it is for. Raises ``signing_key_refused`` for one of another
        algorithm.
        """
        found = self.standing_by()
        if found is None:
            found = self._create(algorithm)
        if found.algorithm != algorithm:
            raise self.refused(
                "make a signing key",
                f"{found.id} is in standby and is of {found.algorithm}, and a project has one key in standby only",
                f"Set algorithm to {found.algorithm} to rotate to it, or move it to previously used in the dashboard.",
            )
        return found

    def bring_in_use(self, id: str) -> None:
        """Let a key sign, by way of standby where it has signed before. Each of the two moves may be done already.

        Raises ``signing_key_refused``, such as where another key stands by: it is not brought in use in its place.
        """
        key = self._there(id, "bring a signing key in use")
        if key.status == IN_USE:
            return
        if key.status != STANDBY:
            self._refuse_another(id)
            self._move(key, STANDBY)
        if key.algorithm != SHARED and id not in self._supabase.published_keys():
            raise self.refused(
                "bring a signing key in use",
                f"{id} is not published yet for those who verify tokens, who would refuse what it signs",
                "Run the same command again in some minutes.",
            )
        self._move(key, IN_USE)

    def revoke(self, id: str) -> None:
        """Let nothing be good any more that a key has signed. Raises ``signing_key_refused`` for the one in use."""
        key = self._there(id, "revoke a signing key")
        if key.status == IN_USE:
            raise self.refused("revoke a signing key", f"{id} is in use", "Bring another one in use first.")
        if key.status != REVOKED:
            self._move(key, REVOKED)

    def delete(self, id: str) -> None:
        """Delete a key that is revoked; one that is gone counts as deleted, and the legacy secret stays revoked.

        One in standby has never signed, and stays for the next rotation, since there may be one only.
        """
        key = self.one(id)
        if key is None or key.status == STANDBY or id == self.legacy():
            return
        if key.status != REVOKED:
            reason = f"{id} is {key.status.replace('_', ' ')}, and what it has signed may be good still"
            raise self.refused("delete a signing key", reason, "Revoke it first.")
        try:
            reply = self._supabase.send(
                "DELETE", f"{_PATH}/{id}", f"delete the signing key {id}", accept=(404, *_NOT_NOW)
            )
        except Unanswered:
            if self.one(id) is not None:
                raise
            return
        if not reply.good and reply.status != 404:
            raise self._not_now(reply, f"delete the signing key {id}")

    def legacy(self) -> str:
        """The id of the JWT secret from before there were signing keys; '' where there is none any more."""
        reply = self._supabase.read(f"{_PATH}/legacy", "ask for the legacy JWT secret", missing=True)
        return str(reply.fields.get("id") or "")

    def good_until(self, key: SigningKey) -> datetime:
        """When the last token has expired that a key may have signed before it was changed last."""
        reply = self._supabase.read("/config/auth", "ask how long tokens are good")
        seconds = reply.fields.get("jwt_exp")
        lifetime = timedelta(seconds=seconds if isinstance(seconds, int) else _HOUR)
        return key.changed_at + lifetime + MARGIN

    def standing_by(self) -> SigningKey | None:
        """The one in standby; None where there is none."""
        return next((each for each in self.list() if each.status == STANDBY), None)

    def _create(self, algorithm: str) -> SigningKey:
        body, attempted = {"algorithm": algorithm, "status": STANDBY}, "make a signing key"
        try:
            reply = self._supabase.send("POST", _PATH, attempted, body, accept=_NOT_NOW)
        except Unanswered:
            found = self.standing_by()
            if found is None:
                raise
            return found
        if reply.good:
            return SigningKey.read(reply.fields)
        raise self._not_now(reply, attempted)

    def _refuse_another(self, id: str) -> None:
        """There can be one key in standby only, and one that somebody else has made is nobody's to move."""
        other = self.standing_by()
        if other is not None:
            raise self.refused(
                f"let the signing key {id} sign again",
                f"it has to go by way of standby, where {other.id} is since {iso(other.changed_at)}, and a project has "
                "one key in standby only",
                f"Find out who has made {other.id}. Move it to previously used in the dashboard (Settings, JWT Keys), "
                "then run the same command again.",
            )

    def _move(self, key: SigningKey, status: str) -> None:
        attempted = f"let the signing key {key.id} be {status.replace('_', ' ')}"
        try:
            reply = self._supabase.send("PATCH", f"{_PATH}/{key.id}", attempted, {"status": status}, accept=_NOT_NOW)
        except Unanswered:
            found = self.one(key.id)
            if found is None or found.status != status:
                raise
            return
        if not reply.good:
            raise self._not_now(reply, attempted)

    def _there(self, id: str, attempted: str) -> SigningKey:
        found = self.one(id)
        if found is None:
            raise self.refused(attempted, f"there is no key {id} any more", "Look at the project's dashboard.")
        return found

    def _not_now(self, reply: Reply, attempted: str) -> RunbookError:
        """Supabase says why, and where it is only too early, until when."""
        said = message_of(reply, self._context.redactor) or f"it answered {reply.status}"
        return self.refused(
            attempted,
            f"Supabase does not do it now: {said}",
            "Where it names a time, run the same command again then: it lets a key change about once in five minutes. "
            "Else put right what it names.",
        )

    def refused(self, attempted: str, reason: str, remedy: str) -> RunbookError:
        """The failure of these keys."""
        return RunbookError(
            code="signing_key_refused", attempted=attempted, object=self._supabase.title, reason=reason, remedy=remedy
        )


def tokens_good(until: datetime, now: datetime) -> str:
    """What keeps a key from being revoked; '' where nothing that it has signed is good any more."""
    return f"tokens that it has signed are good until {iso(until)}" if now < until else ""
