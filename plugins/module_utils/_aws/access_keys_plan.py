# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about the access keys of a user (private to ops.runbooks); pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._aws.access_keys import (
    LAG,
    MOST,
    AccessKey,
    LastUse,
    limit_reached,
    own_credential,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.key_places import Held
from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import AWS_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human, iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

Kind = Literal["create", "settle", "activate", "deactivate", "delete"]

KEY_SPEC = AWS_SPEC.merge(
    ArgumentSpec(
        options={
            "user": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "active", "inactive", "absent"], "default": "present"},
            "access_key_id": {"type": "str", "no_log": False},
            "file": {"type": "path"},
            "secret": {"type": "str", "no_log": False},
            "unused_for": {"type": "str", "default": "0s"},
            "timeout": {"type": "str", "default": "2m"},
            "run_id": {"type": "str"},
        },
        mutually_exclusive=(("file", "secret"),),
        required_if=(
            ("state", "present", ("file", "secret"), True),
            ("state", "active", ("access_key_id",)),
            ("state", "inactive", ("access_key_id",)),
            ("state", "absent", ("access_key_id",)),
        ),
    )
)
USER = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
KEY_ID = re.compile(r"[A-Za-z0-9_]{16,128}")
#: A key that was created within so much time of the announcement is the one that was announced.
_BEFORE, _AFTER = timedelta(seconds=5), timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenKeys:
    """The user's keys, and what is known about the one, or the place, that it is about. ``now`` is AWS's time."""

    user: str
    keys: tuple[AccessKey, ...]
    own: frozenset[str]
    now: datetime
    held: Held = Held()  # noqa: RUF009 - it is frozen
    #: By id: the last use of the keys that it matters of.
    uses: Mapping[str, LastUse | None]
    #: Whose the pair in the place is by its own word, where the user's keys do not list it.
    elsewhere: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRules:
    """What the options ask for."""

    state: Literal["present", "active", "inactive", "absent"]
    id: str | None = None
    place: str = ""
    unused_for: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step. ``id`` is the key that it is about, where there is one already."""

    kind: Kind
    what: str
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlan(Plan):
    """A plan with its steps."""

    actions: tuple[Action, ...] = ()


def plan_keys(rules: KeyRules, seen: SeenKeys) -> KeyPlan:
    """What is to be done.

    Raises ``access_key_limit``, ``access_key_in_use``, ``access_key_missing``, ``access_key_unusable``,
    ``destination_unusable``, ``own_credential``.
    """
    actions = _present(rules, seen) if rules.state == "present" else _of_one(rules, seen)
    shown = rules.id if rules.state != "present" else seen.held.pair.id if seen.held.pair is not None else None
    creates = any(each.kind == "create" for each in actions)
    if creates:
        shown = None
    word = {"activate": "active", "deactivate": "inactive", "delete": "absent"}
    after = {each.id: word[each.kind] for each in actions if each.kind in word}
    if creates:
        after["a new key"] = "active"
    before = {key.id: key.describe()["status"] for key in seen.keys}
    return KeyPlan(
        changed=bool(actions),
        result=describe(seen, shown, rules.place),
        steps=tuple(each.what for each in actions),
        irreversible=_irreversible(rules, seen, actions),
        before=before,
        after={**before, **after},
        warnings=_left_alone(seen) if creates else (),
        actions=tuple(actions),
    )


def _irreversible(rules: KeyRules, seen: SeenKeys, actions: Sequence[Action]) -> tuple[str, ...]:
    gone = tuple(f"the access key {each.id} is gone" for each in actions if each.kind == "delete")
    pair = seen.held.pair
    if pair is None or not any(each.kind == "create" for each in actions):
        return gone
    return (*gone, f"the secret of {pair.id}, which is no key of AWS any more, is replaced in {rules.place}")


def _left_alone(seen: SeenKeys) -> tuple[str, ...]:
    return tuple(
        f"{each.id} of {seen.user} was made while another run was about to make a key here. Where that run has ended, "
        "its secret is lost: see that nobody uses it; then deactivate it (state=inactive) and delete it (state=absent)."
        for each in orphans(seen)
    )


def describe(seen: SeenKeys, id: str | None, place: str) -> dict[str, Any]:
    """The object ``access_key``."""
    key = next((each for each in seen.keys if each.id == id), None)
    use = seen.uses.get(id or "")
    return {
        "user": seen.user,
        "id": id,
        "status": key.describe()["status"] if key is not None else "absent" if id else None,
        "created_at": iso(key.created_at) if key is not None else None,
        "last_used_at": iso(use.at) if use is not None and use.at is not None else None,
        "last_used_service": (use.service or None) if use is not None else None,
        "destination": place or None,
        "user_keys": [each.describe() for each in seen.keys],
    }


def orphans(seen: SeenKeys) -> tuple[AccessKey, ...]:
    """Keys whose secret an earlier run seems to have lost: new since it announced one, made just then, and never used
    as far as AWS tells. That run may be at work still, and a use is told late: so they are named and never touched."""
    intent = seen.held.intent
    if intent is None or intent.user != seen.user:
        return ()
    held = seen.held.pair.id if seen.held.pair is not None else ""
    return tuple(
        key
        for key in seen.keys
        if key.id not in (*intent.known, held, *seen.own)
        and intent.at - _BEFORE <= key.created_at <= intent.at + _AFTER
        and _never_used(seen.uses.get(key.id))
    )


def _never_used(use: LastUse | None) -> bool:
    return use is not None and use.at is None


def _present(rules: KeyRules, seen: SeenKeys) -> list[Action]:
    pair = seen.held.pair
    _check_place(rules, seen)
    key = next((each for each in seen.keys if pair is not None and each.id == pair.id), None)
    if key is not None and not key.active:
        raise _failed(
            "access_key_unusable",
            "keep an access key",
            f"{key.id} of {seen.user}, in {rules.place}",
            "it was deactivated",
            "Activate it (state=active), or delete it (state=absent) to have another one made.",
        )
    if key is not None:
        what = f"let {key.id} be all that is in {rules.place}"
        return [Action(kind="settle", what=what, id=key.id)] if seen.held.unsettled else []
    lost = orphans(seen)
    if len(seen.keys) >= MOST:
        raise limit_reached(seen.user, seen.keys, lost)
    return [Action(kind="create", what=f"create an access key of {seen.user}, and put it into {rules.place}")]


def _check_place(rules: KeyRules, seen: SeenKeys) -> None:
    """Raises ``destination_unusable`` for a pair that is not the user's, ``access_key_unproven`` for one that is not
    listed yet: what is not listed need not be gone."""
    pair = seen.held.pair
    if pair is None:
        return
    attempted, remedy = "keep an access key", "Name another place, or correct user, or the account of the credentials."
    if seen.held.user != seen.user:
        reason = f"it holds a key of the user {seen.held.user}"
        raise _failed("destination_unusable", attempted, rules.place, reason, remedy)
    if any(each.id == pair.id for each in seen.keys):
        return
    use = seen.uses.get(pair.id)
    whose = seen.elsewhere
    if use is not None and (use.account or use.user != seen.user):
        whose = whose or (f"the account {use.account}" if use.account else f"the user {use.user}")
    if whose:
        reason = f"it holds {pair.id}, which is no key of this user here and belongs to {whose}"
        raise _failed("destination_unusable", attempted, rules.place, reason, remedy)
    if use is not None:
        reason = "AWS knows it, and does not list it among the user's keys"
        where = f"{pair.id} of {seen.user}, in {rules.place}"
        raise _failed("access_key_unproven", attempted, where, reason, "Run the same command again in a minute.")


def _of_one(rules: KeyRules, seen: SeenKeys) -> list[Action]:
    id = rules.id or ""
    key = next((each for each in seen.keys if each.id == id), None)
    if key is None:
        return _unlisted(rules, seen, id)
    if rules.state == "active":
        return [] if key.active else [Action(kind="activate", what=f"activate the access key {id}", id=id)]
    if rules.state == "inactive" and not key.active:
        return []
    word = "deactivate" if rules.state == "inactive" else "delete"
    if id in seen.own:
        raise own_credential(id, seen.user, word)
    if rules.state == "absent" and key.active:
        raise _failed(
            "access_key_in_use",
            "delete an access key",
            f"{id} of {seen.user}",
            "it is active, and a key that is deleted cannot be brought back",
            "Deactivate it first (state=inactive), which can be undone; delete it when nobody has missed it.",
        )
    _check_unused(rules, seen, key, word)
    return [Action(kind="deactivate" if word == "deactivate" else "delete", what=f"{word} the access key {id}", id=id)]


def _unlisted(rules: KeyRules, seen: SeenKeys, id: str) -> list[Action]:
    use = seen.uses.get(id)
    if use is not None and (use.account or (use.user and use.user != seen.user)):
        raise _failed(
            "access_key_missing",
            "find an access key",
            f"{id} of {seen.user}",
            f"it belongs to {f'the account {use.account}' if use.account else f'the user {use.user}'}",
            "Correct user or access_key_id, or the account of the credentials.",
        )
    if use is not None and use.user:
        reason = "AWS knows it, and does not list it among the user's keys"
        remedy = "Run the same command again in a minute."
        raise _failed("access_key_missing", "find an access key", f"{id} of {seen.user}", reason, remedy)
    if rules.state == "absent":
        return []
    raise _failed(
        "access_key_missing",
        "find an access key",
        f"{id} of {seen.user}",
        f"the user has no such key; it has {', '.join(each.id for each in seen.keys) or 'none'}",
        "Correct user or access_key_id.",
    )


def _check_unused(rules: KeyRules, seen: SeenKeys, key: AccessKey, word: str) -> None:
    """Raises ``access_key_in_use`` where it was used lately, or that cannot be told yet."""
    if not rules.unused_for:
        return
    use = seen.uses.get(key.id)
    last = use.at if use is not None and use.at is not None else key.created_at
    needed = rules.unused_for + timedelta(seconds=LAG)
    if seen.now - last >= needed:
        return
    what = f"it was used at {iso(last)}" if use is not None and use.at is not None else f"it was made at {iso(last)}"
    raise _failed(
        "access_key_in_use",
        f"{word} an access key",
        f"{key.id} of {seen.user}",
        f"{what}, and AWS tells of a use up to {human(LAG)} late, so that it may not have been unused for "
        f"{human(rules.unused_for.total_seconds())}",
        f"Find out who uses it{f' (for {use.service})' if use is not None and use.service else ''}, or wait until "
        f"{iso(last + needed)}.",
    )


def _failed(code: str, attempted: str, where: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(code=code, attempted=attempted, object=where, reason=reason, remedy=remedy)


def ids_of_interest(rules: KeyRules, keys: Sequence[AccessKey], held: Held) -> tuple[str, ...]:
    """Keys whose last use has to be asked for."""
    if rules.state != "present":
        return (rules.id,) if rules.id else ()
    known = held.intent.known if held.intent is not None else tuple(key.id for key in keys)
    new = [key.id for key in keys if key.id not in known]
    return tuple(dict.fromkeys([*([held.pair.id] if held.pair is not None else []), *new]))
