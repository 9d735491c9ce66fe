# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access keys of IAM and who-am-I of STS, as the stand-in for AWS has them.

A user has two access keys at most, and those that are switched off count (IAM User Guide, "IAM and AWS STS quotas").
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.aws.model import ACCOUNT, AccessKey, World
from sandbox.standin.refusal import Refused

MOST = 2

Query = Mapping[str, str]
Answer = tuple[World, dict[str, Any]]


def _list(world: World, query: Query, caller: AccessKey) -> Answer:
    user = _user(world, query, caller)
    keys = [each for each in world.keys.values() if _is_of(each, user)]
    shown = [{**_shown(each), "CreateDate": _date(each.created_at)} for each in keys]
    return world, {"AccessKeyMetadata": shown, "IsTruncated": "false"}


def _create(world: World, query: Query, caller: AccessKey) -> Answer:
    user = _user(world, query, caller)
    if sum(_is_of(each, user) for each in world.keys.values()) >= MOST:
        raise Refused(409, "LimitExceeded", f"Cannot exceed quota for AccessKeysPerUser: {MOST}")
    id = f"AKIA{''.join(secrets.choice('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567') for _number in range(16))}"
    # As AWS's, it may have a slash and a plus.
    secret = f"{secrets.token_urlsafe(27)}/+{secrets.token_urlsafe(2)}"
    made = AccessKey(id=id, secret=secret, user=user, created_at=world.now, unknown_for=world.users[user].unknown_for)
    shown = {**_shown(made), "SecretAccessKey": made.secret, "CreateDate": _date(made.created_at)}
    return world.put(made), {"AccessKey": shown}


def _update(world: World, query: Query, caller: AccessKey) -> Answer:
    return world.put(replace(_key(world, query, caller), status=query["Status"])), {}


def _delete(world: World, query: Query, caller: AccessKey) -> Answer:
    return world.without("keys", _key(world, query, caller).id), {}


def _last_used(world: World, query: Query, _caller: AccessKey) -> Answer:
    found = world.keys.get(query["AccessKeyId"])
    if found is None or found.account != ACCOUNT:
        raise Refused(403, "AccessDenied", "The access key is not of this account.")
    used: dict[str, Any] = {"ServiceName": "N/A", "Region": "N/A"}
    told = _told(world, found).last_used_at
    if told is not None:
        used = {"LastUsedDate": _date(told), "ServiceName": "s3", "Region": "us-east-1"}
    return world, {"UserName": found.user, "AccessKeyLastUsed": used}


def _who(world: World, _query: Query, caller: AccessKey) -> Answer:
    arn = f"arn:aws:iam::{caller.account}:user/{caller.user}"
    return world, {"Account": caller.account, "UserId": f"AIDA{caller.user.upper()}", "Arn": arn}


def _whose(world: World, query: Query, _caller: AccessKey) -> Answer:
    found = world.keys.get(query["AccessKeyId"])
    return world, {"Account": found.account if found is not None else ACCOUNT}


OPERATIONS: Mapping[str, Callable[[World, Query, AccessKey], Answer]] = {
    "ListAccessKeys": _list,
    "CreateAccessKey": _create,
    "UpdateAccessKey": _update,
    "DeleteAccessKey": _delete,
    "GetAccessKeyLastUsed": _last_used,
    "GetCallerIdentity": _who,
    "GetAccessKeyInfo": _whose,
}


def asked_early(world: World, id: str) -> tuple[World, bool]:
    """Whether a key is so new that this request does not find it yet."""
    found = world.keys.get(id)
    if found is None or not found.unknown_for:
        return world, False
    return world.put(replace(found, unknown_for=found.unknown_for - 1)), True


def used(world: World, key: AccessKey) -> World:
    """The world after a request with this key."""
    user = world.users.get(key.user)
    if user is None or user.told_late is None or key.used_at == world.now:
        return world
    return world.put(replace(_told(world, key), used_at=world.now))


def _told(world: World, key: AccessKey) -> AccessKey:
    """The key with the last use that is told by now."""
    user = world.users.get(key.user)
    if user is None or user.told_late is None or key.used_at is None or world.now - key.used_at < user.told_late:
        return key
    return replace(key, last_used_at=key.used_at)


def _is_of(key: AccessKey, user: str) -> bool:
    """A session's key (ASIA...) is none of the user's, and neither is one of another account."""
    return key.user == user and key.account == ACCOUNT and not key.id.startswith("ASIA")


def _user(world: World, query: Query, caller: AccessKey) -> str:
    name = query.get("UserName") or caller.user
    if name not in world.users:
        raise Refused(404, "NoSuchEntity", f"The user with name {name} cannot be found.")
    return name


def _key(world: World, query: Query, caller: AccessKey) -> AccessKey:
    user, id = _user(world, query, caller), query["AccessKeyId"]
    found = world.keys.get(id)
    if found is None or found.user != user or found.account != ACCOUNT:
        raise Refused(404, "NoSuchEntity", f"The Access Key with id {id} cannot be found.")
    return found


def _shown(key: AccessKey) -> dict[str, Any]:
    return {"UserName": key.user, "AccessKeyId": key.id, "Status": key.status}


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
