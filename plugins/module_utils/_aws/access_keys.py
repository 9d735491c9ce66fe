# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access keys of one user of IAM (private to ops.runbooks).

AWS shows the secret of a key once, in the answer to the request that makes it, and a user has two keys at most. So that
request is sent once, and whoever sends it has written down before which keys there were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import Aws
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: Keys that a user may have, active or not (IAM User Guide, "IAM and AWS STS quotas").
MOST = 2
#: Seconds by which the last use of a key is told late (IAM User Guide, "Get information about access keys" speaks of a
#: time within the last four hours).
LAG = 4 * 3600
#: Seconds between questions whether a key is valid everywhere: the first pause, and the longest.
_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_NOT_YET = ["InvalidClientTokenId", "SignatureDoesNotMatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key without its secret."""

    id: str
    active: bool
    created_at: datetime

    def describe(self) -> dict[str, Any]:
        """For people."""
        return {"id": self.id, "status": "active" if self.active else "inactive", "created_at": iso(self.created_at)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LastUse:
    """Whose key it is, and when and for what it was used last, as far as AWS tells by now."""

    user: str
    at: datetime | None = None
    service: str = ""
    #: Of a key of another account, that account.
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A key with its secret."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """As whom one works: the account, and the user of IAM where it is one."""

    account: str
    user: str = ""

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Caller:
        """From GetCallerIdentity."""
        kind, _slash, name = str(answer.get("Arn", "")).rpartition(":")[2].partition("/")
        return cls(account=str(answer.get("Account", "")), user=name.rpartition("/")[2] if kind == "user" else "")


class AccessKeys:
    """The keys of one user."""

    def __init__(self, aws: Aws, user: str) -> None:
        self.user = user
        self._aws = aws
        self._context = aws.context

    @property
    def own(self) -> frozenset[str]:
        """The keys that this run works with, or was let in by."""
        return self._aws.own_keys

    def who(self) -> Caller:
        """As whom this run works."""
        return Caller.read(self._aws.call("sts", "get_caller_identity", "ask who one is", "these credentials"))

    def who_has(self, pair: Pair) -> str:
        """Whose a pair is, by its ARN; '' where AWS does not accept it."""
        aws = self._aws.as_key(pair.id, pair.secret)
        where = f"{pair.id}, which is not among the keys of {self.user}"
        answer = aws.call("sts", "get_caller_identity", "ask whose an access key is", where, accept=_NOT_YET)
        return str(answer.get("Arn", ""))

    def now(self) -> datetime:
        """The time by AWS's clock, as far as it is known."""
        return self._aws.now or self._context.clock.now()

    def list(self) -> tuple[AccessKey, ...]:
        """All of them, oldest first. Raises ``access_key_missing`` where there is no such user."""
        answer = self._call("list_access_keys", "list the access keys", accept=["NoSuchEntity"])
        if answer.get("refused"):
            raise self._missing("list the access keys", "there is no such user", "Correct user, or the account.")
        found = [
            AccessKey(
                id=str(each["AccessKeyId"]),
                active=each["Status"] == "Active",
                created_at=each["CreateDate"].astimezone(UTC),
            )
            for each in answer["AccessKeyMetadata"]
        ]
        return tuple(sorted(found, key=lambda key: (key.created_at, key.id)))

    def last_use(self, id: str) -> LastUse | None:
        """The last use of a key that was told by now; None where AWS does not know the key."""
        answer = self._aws.call(
            "iam",
            "get_access_key_last_used",
            "ask when an access key was used",
            id,
            accept=["NoSuchEntity", "AccessDenied"],
            AccessKeyId=id,
        )
        if answer.get("refused") and not self._listed(id):
            return self._unlisted(id, denied=answer["refused"] == "AccessDenied")
        if answer.get("refused") == "NoSuchEntity":
            return None
        if answer.get("refused"):
            raise self._not_told(id)
        used = answer.get("AccessKeyLastUsed") or {}
        at = used.get("LastUsedDate")
        return LastUse(
            user=str(answer.get("UserName", "")),
            at=at.astimezone(UTC) if isinstance(at, datetime) else None,
            service=str(used.get("ServiceName", "")) if at else "",
        )

    def _unlisted(self, id: str, *, denied: bool) -> LastUse | None:
        """Of a key that is not the user's: AWS answers "denied" for one of another account, for one that is gone, and
        where these credentials may not ask at all. Raises ``service_denied`` for the last."""
        if not denied:
            return None
        if (account := self._account_of(id)) not in ("", self.who().account):
            return LastUse(user="", account=account)
        known = next((each.id for each in self.list()), self._aws.access_key_id)
        if not known.startswith("AKIA"):
            self._context.warn(
                f"Whether {id} is a key of another user could not be asked: there is no key that AWS could tell of."
            )
            return None
        accept, attempted = ["AccessDenied"], "ask when an access key was used"
        answer = self._aws.call("iam", "get_access_key_last_used", attempted, known, accept=accept, AccessKeyId=known)
        if answer.get("refused"):
            raise self._not_told(id)
        return None

    def _not_told(self, id: str) -> RunbookError:
        return RunbookError(
            code="service_denied",
            attempted="ask when an access key was used",
            object=f"{id} of {self.user}",
            reason="iam:GetAccessKeyLastUsed is denied",
            remedy="Allow iam:GetAccessKeyLastUsed for these credentials, on every user (*).",
        )

    def create(self) -> Pair:
        """A new key, whose secret is protected at once and nowhere else. Raises ``access_key_limit``, and
        :class:`Lost` where nobody knows whether there is one now."""
        self._context.effect(f"create an access key of {self.user}")
        answer = self._call("create_access_key", "create an access key", accept=["LimitExceeded"], once=True)
        if answer.get("refused"):
            raise limit_reached(self.user, self.list())
        made = answer["AccessKey"]
        self._context.redactor.protect(made["SecretAccessKey"])
        return Pair(id=str(made["AccessKeyId"]), secret=str(made["SecretAccessKey"]))

    def activate(self, id: str, *, active: bool) -> None:
        """Switch a key on or off. Raises ``own_credential``, ``access_key_missing``."""
        word = "activate" if active else "deactivate"
        self._refuse_own(id, word, allowed=active)
        self._context.effect(f"{word} the access key {id} of {self.user}")
        status = "Active" if active else "Inactive"
        answer = self._call(
            "update_access_key", f"{word} an access key", accept=["NoSuchEntity"], AccessKeyId=id, Status=status
        )
        if answer.get("refused"):
            raise self._missing(f"{word} an access key", f"the user has no key {id}", "Correct access_key_id.")

    def delete(self, id: str) -> None:
        """Delete a key, unless it is gone already. Raises ``own_credential``."""
        self._refuse_own(id, "delete", allowed=False)
        self._context.effect(f"delete the access key {id} of {self.user}")
        self._call("delete_access_key", "delete an access key", accept=["NoSuchEntity"], AccessKeyId=id)

    def test(self, pair: Pair, *, patience: float) -> None:
        """Let the pair be answered twice in a row. Raises ``access_key_unproven`` where it is not accepted for
        ``patience`` seconds: a new one is not known everywhere at once."""
        aws = self._aws.as_key(pair.id, pair.secret)
        clock = self._context.clock
        end, pause, good = clock.monotonic() + patience, _PAUSE, 0
        while True:
            answer = aws.call(
                "sts", "get_caller_identity", "prove an access key", f"{pair.id} of {self.user}", accept=_NOT_YET
            )
            good = 0 if answer.get("refused") else good + 1
            if good == 2:
                return
            if not good and clock.monotonic() + pause > end:
                raise RunbookError(
                    code="access_key_unproven",
                    attempted="prove an access key",
                    object=f"{pair.id} of {self.user}",
                    reason=f"AWS does not accept it ({answer['refused']}), and did not for {human(patience)}",
                    remedy="Run the same command again in a minute, since a new key is not known everywhere at once; "
                    "an older pair does not belong together: delete that key (state=inactive, then state=absent), and "
                    "another one is made.",
                )
            if not good:
                clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _account_of(self, id: str) -> str:
        """The account that a key belongs to or belonged to; '' where AWS does not tell, as of one that is long gone.
        Raises ``service_denied``: then nobody knows whether it lives."""
        answer = self._aws.call("sts", "get_access_key_info", "ask whose an access key is", id, AccessKeyId=id)
        return str(answer.get("Account") or "")

    def _listed(self, id: str) -> bool:
        return any(each.id == id for each in self.list())

    def _call(self, method: str, attempted: str, **arguments: Any) -> dict[str, Any]:
        return self._aws.call("iam", method, attempted, f"user {self.user}", UserName=self.user, **arguments)

    def _refuse_own(self, id: str, word: str, *, allowed: bool) -> None:
        if id in self.own and not allowed:
            raise own_credential(id, self.user, word)

    def _missing(self, attempted: str, reason: str, remedy: str) -> RunbookError:
        return RunbookError(
            code="access_key_missing", attempted=attempted, object=f"user {self.user}", reason=reason, remedy=remedy
        )


def own_credential(id: str, user: str, word: str) -> RunbookError:
    """The failure for switching off the key that one works with."""
    return RunbookError(
        code="own_credential",
        attempted=f"{word} an access key",
        object=f"{id} of {user}",
        reason="it is the key that this run itself works with, or its session may have been made from",
        remedy="Work with another identity, one that is kept for this.",
    )


def limit_reached(user: str, keys: tuple[AccessKey, ...], lost: tuple[AccessKey, ...] = ()) -> RunbookError:
    """The failure for a third key; it names those that are there, and none of them is ever deleted for it. ``lost`` are
    those that an earlier run seems to have made."""
    there = ", ".join(f"{key.id} ({key.describe()['status']} since {iso(key.created_at)[:10]})" for key in keys)
    return RunbookError(
        code="access_key_limit",
        attempted="create an access key",
        object=f"user {user}",
        reason=f"it has {MOST} keys, the most that AWS allows, those that are inactive included: {there}"
        f"{_who_may_have(lost)}",
        remedy="Find out who uses them; deactivate the one that nobody does, and delete it after a while "
        "(state=inactive, then state=absent).",
        details={"keys": [key.describe() for key in keys]},
    )


def _who_may_have(lost: tuple[AccessKey, ...]) -> str:
    if not lost:
        return ""
    return (
        f"; {' and '.join(each.id for each in lost)} was made while another run was about to make a key here: if "
        f"that run has ended, its secret is lost. AWS knows of no use of it, but may tell of one {human(LAG)} late"
    )
