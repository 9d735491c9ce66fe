# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about a secret of Secrets Manager (private to ops.runbooks); pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._aws.secrets_manager import (
    CURRENT,
    LARGEST,
    OURS,
    PENDING,
    SecretState,
    SecretValue,
)
from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import AWS_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

Kind = Literal["create", "restore", "stage", "promote", "settle", "update", "tag", "untag", "delete"]

SECRET_SPEC = AWS_SPEC.merge(
    ArgumentSpec(
        options={
            "secret": {"type": "str", "required": True, "no_log": False},
            "value": {"type": "raw", "no_log": True},
            "stage": {"type": "str", "choices": ["current", "pending"], "default": "current"},
            "version_id": {"type": "str"},
            "replace_pending": {"type": "bool", "default": False},
            "description": {"type": "str"},
            "kms_key_id": {"type": "str", "no_log": False},
            "tags": {"type": "dict"},
            "purge_tags": {"type": "bool", "default": False},
            "recovery_window": {"type": "int", "default": 30},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "run_id": {"type": "str"},
        }
    )
)
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}|arn:aws[a-z-]*:secretsmanager:.+")
_TOKEN = re.compile(r"[A-Za-z0-9-]{32,64}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wanted:
    """What the options ask for. None: it stays as it is."""

    secret: str
    present: bool = True
    value: str | None = field(default=None, repr=False)
    pending: bool = False
    token: str | None = None
    replace_pending: bool = False
    description: str | None = None
    kms_key_id: str | None = None
    tags: Mapping[str, str] | None = None
    purge_tags: bool = False
    recovery_window: int = 30

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Wanted:
        """From the options. Raises ``invalid_parameter``."""
        secret, token, days = params["secret"], params["version_id"], params["recovery_window"]
        if not _NAME.fullmatch(secret):
            raise _unusable("secret", secret, "a name has letters, digits and /_+=.@-, 512 at most", "Correct it.")
        if token is not None and not _TOKEN.fullmatch(token):
            reason = "a version's id has 32 to 64 letters, digits and hyphens"
            raise _unusable("version_id", token, reason, "Take a UUID.")
        if (days and not 7 <= days <= 30) or days < 0:
            raise _unusable("recovery_window", str(days), "AWS waits 7 to 30 days", "0 deletes at once and for good.")
        if token is not None and params["value"] is None and params["stage"] == "pending":
            reason = "stage=pending needs a value"
            raise _unusable("version_id", token, reason, "Give the value, or leave stage out.")
        tags = params["tags"]
        return cls(
            secret=secret,
            present=params["state"] == "present",
            value=None if params["value"] is None else text_of_value(params["value"], secret),
            pending=params["stage"] == "pending",
            token=token,
            replace_pending=params["replace_pending"],
            description=params["description"],
            kms_key_id=params["kms_key_id"],
            tags=None if tags is None else {str(key): str(value) for key, value in tags.items()},
            purge_tags=params["purge_tags"],
            recovery_window=days,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSecret:
    """The secret, and of its versions those that are compared."""

    state: SecretState | None = None
    current: SecretValue | None = None
    pending: SecretValue | None = None
    #: The version of the token that was given.
    requested: SecretValue | None = None
    #: One that a killed run has put, and that waits for nothing.
    left: SecretValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step. ``version`` is the one that it is about."""

    kind: Kind
    what: str
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlan(Plan):
    """A plan with its steps."""

    actions: tuple[Action, ...] = ()


def plan_secret(wanted: Wanted, seen: SeenSecret) -> SecretPlan:
    """What is to be done. Raises ``secret_conflict``, ``secret_missing``."""
    state = seen.state
    warnings: tuple[str, ...] = ()
    later: list[str] = []
    if not wanted.present:
        actions = _removal(wanted, state)
    elif state is None:
        actions = [_creation(wanted)]
    elif state.gone_at is not None:
        what = f"take back the deletion of the secret {state.name}, then compare it with what is wanted"
        actions = [Action(kind="restore", what=what)]
        later = _after_restored(wanted, state)
    else:
        actions = [*_value_actions(wanted, seen, state), *_other_actions(wanted, state)]
        if state.rotated_by_aws and any(each.kind == "promote" for each in actions):
            warnings = (f"AWS rotates {state.name} by itself too, and will write over this value.",)
        warnings = (*warnings, *_left_out(wanted, seen))
    return SecretPlan(
        changed=bool(actions),
        result=describe(state),
        steps=(*(each.what for each in actions), *later),
        irreversible=_irreversible(wanted, state, actions),
        before=_shown(state),
        after={**_shown(state), **{each.kind: each.what for each in actions}, **({"later": later} if later else {})},
        warnings=warnings,
        actions=tuple(actions),
    )


def describe(state: SecretState | None) -> dict[str, Any]:
    """The object ``secret``; no value is in it."""
    if state is None:
        return {"arn": None, "name": None, "version_id": None, "pending_version_id": None, "deletion_date": None}
    return {
        "arn": state.arn,
        "name": state.name,
        "version_id": state.holder(CURRENT),
        "pending_version_id": state.pending,
        "deletion_date": iso(state.gone_at) if state.gone_at is not None else None,
    }


def _removal(wanted: Wanted, state: SecretState | None) -> list[Action]:
    if state is None or (state.gone_at is not None and wanted.recovery_window):
        return []
    days = wanted.recovery_window
    return [Action(kind="delete", what=f"delete the secret {state.name} {f'after {days} days' if days else 'at once'}")]


def _creation(wanted: Wanted) -> Action:
    if wanted.value is None or wanted.secret.startswith("arn:") or wanted.pending:
        reason = "there is no such secret"
        remedy = "Correct secret or region; to create it give its name, a value, and stage=current."
        raise _failed("secret_missing", "find a secret", wanted.secret, reason, remedy)
    return Action(kind="create", what=f"create the secret {wanted.secret}", version=wanted.token)


def _after_restored(wanted: Wanted, state: SecretState) -> list[str]:
    """What follows in the same run, as far as labels and tags tell; its values can be compared only then."""
    if wanted.value is not None:
        _check_pending(wanted, state, wanted.token)
        where = f"as {PENDING}" if wanted.pending else "and make it current"
        value = [f"put the value into the secret {state.name} where it differs, {where}"]
    elif wanted.token is not None:
        value = [each.what for each in _promotion(wanted, state)]
    else:
        value = []
    return [*value, *(each.what for each in _other_actions(wanted, state))]


def _left_out(wanted: Wanted, seen: SeenSecret) -> tuple[str, ...]:
    """A version that is not made, since the current one has its value."""
    current = seen.current
    if wanted.token is None or current is None or seen.requested is not None or current.text != wanted.value:
        return ()
    return (f"Version {current.version} is current and has this value; no version {wanted.token} was made.",)


def _value_actions(wanted: Wanted, seen: SeenSecret, state: SecretState) -> list[Action]:
    """What is done so that the value that is wanted has the label that is wanted."""
    current = state.holder(CURRENT)
    left = [stage for stage in (PENDING, OURS) if current is not None and state.holder(stage) == current]
    what = f"take {' and '.join(left)} from the current version of {state.name}"
    settle = [Action(kind="settle", what=what, version=current)] if left else []
    if wanted.value is None:
        return _promotion(wanted, state) if wanted.token is not None and not wanted.pending else []
    if seen.requested is not None and seen.requested.text != wanted.value:
        raise _failed(
            "secret_conflict",
            "put a version into a secret",
            f"{state.name}, version {wanted.token}",
            "this version is there already with another value, and a version never changes",
            "Give another version_id; the same one always means the same value.",
        )
    if seen.current is not None and seen.current.text == wanted.value:
        return settle
    found = _found(wanted, seen)
    if found is None or wanted.pending or (seen.left is not None and found == seen.left.version):
        _check_pending(wanted, state, found)
    what = f"put a version into the secret {state.name}, as {PENDING}"
    stage = Action(kind="stage", what=what, version=found or wanted.token)
    if wanted.pending:
        return [] if found is not None and found == state.pending else [stage]
    return [_promote(state, found)] if found is not None else [stage, _promote(state, wanted.token)]


def _found(wanted: Wanted, seen: SeenSecret) -> str | None:
    """The version that has the value already, such as one that an earlier run was killed after."""
    if seen.requested is not None:
        return seen.requested.version
    if wanted.token is not None:
        return None
    there = (each for each in (seen.pending, seen.left) if each is not None and each.text == wanted.value)
    return next((each.version for each in there), None)


def _check_pending(wanted: Wanted, state: SecretState, found: str | None) -> None:
    """Raises ``secret_conflict`` where a version of somebody else would lose its label."""
    if state.pending in (None, found) or wanted.replace_pending:
        return
    raise _failed(
        "secret_conflict",
        "put a version into a secret",
        state.name,
        f"version {state.pending} waits to become current there: a rotation is under way",
        "Let it end, or, where nobody works on it any more, give replace_pending=true.",
    )


def _promotion(wanted: Wanted, state: SecretState) -> list[Action]:
    """A version that is there becomes current, by its id and without its value."""
    if state.holder(CURRENT) == wanted.token:
        if state.holder(PENDING) != wanted.token:
            return []
        return [
            Action(kind="settle", what=f"take {PENDING} from the current version of {state.name}", version=wanted.token)
        ]
    if wanted.token not in state.versions:
        where = f"{state.name}, version {wanted.token}"
        reason = "the secret has no such version with a label"
        raise _failed("secret_missing", "make a version current", where, reason, "Give the value with it.")
    return [_promote(state, wanted.token)]


def _promote(state: SecretState, version: str | None) -> Action:
    which = f"version {version}" if version is not None else "it"
    what = f"make {which} current in the secret {state.name}, in the place of version {state.holder(CURRENT)}"
    return Action(kind="promote", what=what, version=version)


def _other_actions(wanted: Wanted, state: SecretState) -> list[Action]:
    """Description, key and tags."""
    actions = []
    differs = []
    if wanted.description is not None and wanted.description != state.description:
        differs.append("description")
    if wanted.kms_key_id is not None and not same_key(wanted.kms_key_id, state.kms_key_id):
        differs.append("key of KMS")
    if differs:
        actions.append(Action(kind="update", what=f"change the {' and the '.join(differs)} of the secret {state.name}"))
    tags = wanted.tags or {}
    if any(state.tags.get(key) != value for key, value in tags.items()):
        actions.append(Action(kind="tag", what=f"tag the secret {state.name}"))
    if surplus := surplus_tags(wanted, state):
        actions.append(Action(kind="untag", what=f"take the tags {', '.join(surplus)} from the secret {state.name}"))
    return actions


def surplus_tags(wanted: Wanted, state: SecretState) -> tuple[str, ...]:
    """Tags that are to go. Those of AWS itself stay."""
    if wanted.tags is None or not wanted.purge_tags:
        return ()
    return tuple(sorted(key for key in state.tags if key not in wanted.tags and not key.startswith("aws:")))


def same_key(wanted: str, there: str) -> bool:
    """Whether a key of KMS is the one that is there. A key or an alias may be written by its end alone."""
    if not there:
        # AWS tells no key where it is the account's own.
        return wanted.endswith("alias/aws/secretsmanager")
    return wanted == there or there.endswith((f"/{wanted}", f":{wanted}"))


def _irreversible(wanted: Wanted, state: SecretState | None, actions: list[Action]) -> tuple[str, ...]:
    if state is not None and any(each.kind == "delete" for each in actions) and not wanted.recovery_window:
        return (f"the secret {state.name} is gone with all its versions",)
    stages = wanted.value is not None and any(each.kind in ("stage", "restore") for each in actions)
    if state is None or not stages or state.pending in (None, wanted.token) or not wanted.replace_pending:
        return ()
    return (f"version {state.pending} of the secret {state.name} waits there as {PENDING}, and its value is lost",)


def _shown(state: SecretState | None) -> dict[str, Any]:
    """For diff mode: no value."""
    if state is None:
        return {"state": "absent"}
    return {
        "state": "present" if state.gone_at is None else "to be deleted",
        "version": state.holder(CURRENT),
        "description": state.description,
        "kms_key_id": state.kms_key_id,
        "tags": dict(state.tags),
    }


def text_of_value(value: Any, secret: str) -> str:
    """A value as a text. Raises ``invalid_parameter``."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value == "":
        raise _unusable("value", secret, "it is empty", "Set the variable that it is looked up from.")
    if not isinstance(value, str):
        raise _unusable("value", secret, "it is not a text", "What is an object goes through the filter to_json.")
    if len(value.encode("utf-8", "surrogateescape")) > LARGEST:
        raise _unusable("value", secret, f"it has more than {LARGEST} bytes", "Keep it in S3, encrypted.")
    return value


def _unusable(what: str, where: str, reason: str, remedy: str) -> RunbookError:
    return _failed("invalid_parameter", f"use {what}", where, reason, remedy)


def _failed(code: str, attempted: str, where: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(code=code, attempted=attempted, object=where, reason=reason, remedy=remedy)
