# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about secrets at GitHub (private to ops.runbooks); pure.

A value cannot be read back. What was written is known by a mark in the store: a keyed digest of scope, name and value,
and GitHub's own time of the last change. A secret that was changed at another time may hold another value, whatever
the mark says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_iso
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.fingerprint import FingerprintKey
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_model import Scope, SecretRecord, Setting

Unknown = Literal["skip", "update", "fail"]
Kind = Literal["create", "update", "select", "delete"]

#: By how much GitHub's time of a change and that of its answer may differ: both are whole seconds.
_TOLERANCE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the store says of one secret: the digest of its value, and when GitHub had changed it last.

    Empty where a run was about to write it: then nobody knows whether it did.
    """

    fingerprint: str = ""
    updated_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSecrets:
    """The secrets of a scope, what is remembered of them, and the ids of repositories that were named."""

    scope: Scope
    records: Mapping[str, SecretRecord]
    marks: Mapping[str, Mark] = field(default_factory=dict)
    repositories: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What beside the secrets themselves decides. ``remembers`` tells whether there is a store."""

    unknown: Unknown = "skip"
    key: FingerprintKey | None = None
    remembers: bool = False

    def digest(self, scope: Scope, setting: Setting) -> str:
        """Of one value; '' without a key."""
        return (
            self.key.digest("github", scope.path.lower(), setting.name, setting.value) if self.key is not None else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Action:
    """One request. ``what`` completes "could not ..."."""

    kind: Kind
    what: str
    setting: Setting
    visibility: str = ""
    repositories: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsPlan(Plan):
    """A plan with its requests, in the order in which they are sent."""

    actions: tuple[Action, ...] = ()


def plan_secrets(settings: Sequence[Setting], seen: SeenSecrets, rules: Rules) -> SecretsPlan:
    """What is to be done. Raises ``secret_unknown``."""
    actions: list[Action] = []
    unknown: set[str] = set()
    warnings: list[str] = []
    for setting in settings:
        record = seen.records.get(setting.name)
        if record is None or not setting.present:
            actions += _simple(setting, record, seen)
            continue
        reasons = _differences(setting, record, seen, rules)
        if "unknown" in reasons:
            unknown.add(setting.name)
            reasons = _unknowable(setting, seen.scope, rules, reasons, warnings)
        actions += _change(setting, record, seen, reasons)
    return SecretsPlan(
        changed=bool(actions),
        result=describe(settings, seen.scope, actions, unknown),
        steps=tuple(each.what for each in actions),
        irreversible=_irreversible(actions),
        before={each.setting.name: "absent" if each.kind == "create" else "present" for each in actions},
        after={each.setting.name: _AFTER[each.kind] for each in actions},
        warnings=tuple(warnings),
        actions=tuple(actions),
    )


_AFTER = {
    "create": "present",
    "update": "present, with a new value",
    "select": "present, for other repositories",
    "delete": "absent",
}


def describe(
    settings: Sequence[Setting], scope: Scope, actions: Sequence[Action], unknown: Iterable[str]
) -> dict[str, Any]:
    """The object ``secrets``: names and nothing else."""
    named = {
        kind: sorted({each.setting.name for each in actions if each.kind in kinds})
        for kind, kinds in (("created", ("create",)), ("updated", ("update", "select")), ("deleted", ("delete",)))
    }
    changed = {name for names in named.values() for name in names}
    return {
        "scope": scope.title,
        **named,
        "unchanged": sorted({each.name for each in settings} - changed - set(unknown)),
        "unknown": sorted(set(unknown) - changed),
    }


def _simple(setting: Setting, record: SecretRecord | None, seen: SeenSecrets) -> list[Action]:
    """What is not there, or is not to be."""
    if setting.present:
        visibility = "" if seen.scope.name else setting.visibility or "private"
        what = f"create the secret {setting.name}{_for(visibility, setting)}"
        wanted = _wanted(setting, seen)
        return [Action(kind="create", what=what, setting=setting, visibility=visibility, repositories=wanted)]
    if record is None:
        return []
    return [Action(kind="delete", what=f"delete the secret {setting.name}", setting=setting)]


def _differences(setting: Setting, record: SecretRecord, seen: SeenSecrets, rules: Rules) -> list[str]:
    """Why a secret that is there has to be changed; ``unknown`` where nobody can tell about its value."""
    reasons = []
    mark = seen.marks.get(setting.name)
    if mark is None or rules.key is None:
        reasons.append("unknown")
    elif not mark.fingerprint:
        reasons.append("an earlier run was not seen through")
    elif mark.fingerprint != rules.digest(seen.scope, setting):
        reasons.append("value")
    elif mark.updated_at != record.updated_at:
        reasons.append("changed by somebody else since")
    if setting.visibility and setting.visibility != record.visibility:
        reasons.append(f"visibility {record.visibility} becomes {setting.visibility}")
    elif setting.repositories is not None and _wanted(setting, seen) != record.repositories:
        reasons.append("repositories")
    return reasons


def _unknowable(setting: Setting, scope: Scope, rules: Rules, reasons: list[str], warnings: list[str]) -> list[str]:
    """The reasons that are left once it is decided what is done about an unknown value.

    GitHub takes another visibility only along with a value, so that who leaves the value leaves both.
    """
    rest = [each for each in reasons if each != "unknown"]
    if rules.unknown == "update":
        return ["value not known", *rest]
    lacks = [name for name, there in (("store", rules.remembers), ("fingerprint_key", rules.key)) if not there]
    why = f"no {' and no '.join(lacks)} is given" if lacks else "nothing is on record of it"
    if rules.unknown == "fail":
        raise RunbookError(
            code="secret_unknown",
            attempted="compare a secret",
            object=f"{setting.name} of {scope.title}",
            reason=f"its value cannot be read back, and {why}",
            remedy="Run once with on_unknown=update, a store and a fingerprint_key; from then on the store tells.",
        )
    left = [each for each in rest if not each.startswith("visibility")]
    both = " and its visibility, which GitHub changes only along with it, were" if left != rest else " was"
    warnings.append(
        f"Whether {setting.name} has the value that is wanted cannot be told, since {why}; its value{both} left alone."
    )
    return left


def _change(setting: Setting, record: SecretRecord, seen: SeenSecrets, reasons: Sequence[str]) -> list[Action]:
    if not reasons:
        return []
    only_repositories = list(reasons) == ["repositories"]
    said = ", ".join(reasons)
    what = f"change the secret {setting.name}{_for(setting.visibility, setting)} ({said})"
    repositories = _wanted(setting, seen) if setting.repositories is not None else record.repositories
    kind: Kind = "select" if only_repositories else "update"
    visibility = setting.visibility or record.visibility
    return [Action(kind=kind, what=what, setting=setting, visibility=visibility, repositories=repositories)]


def _wanted(setting: Setting, seen: SeenSecrets) -> frozenset[int]:
    return frozenset(seen.repositories[name] for name in setting.repositories or ())


def _for(visibility: str, setting: Setting) -> str:
    if not visibility:
        return ""
    if visibility != "selected":
        return f" for {visibility} repositories"
    return f" for {', '.join(setting.repositories or ()) or 'no repository'}"


def _irreversible(actions: Sequence[Action]) -> tuple[str, ...]:
    said = {
        "update": "the earlier value of {} cannot be read back",
        "delete": "the value of {} is gone",
    }
    return tuple(said[each.kind].format(each.setting.name) for each in actions if each.kind in said)


def arrived(
    action: Action,
    before: Mapping[str, SecretRecord],
    after: Mapping[str, SecretRecord],
    times: Mapping[str, datetime | None],
) -> bool:
    """Whether a list shows what a request did; one that is older than the request may still tell what was before."""
    name = action.setting.name
    record, earlier, at = after.get(name), before.get(name), times.get(name)
    if action.kind == "delete" or record is None:
        return (record is None) == (action.kind == "delete")
    if at is None or earlier is None or record.updated_at != earlier.updated_at:
        return True
    return parse_iso(record.updated_at) >= at - _TOLERANCE


def overwritten(action: Action, after: Mapping[str, SecretRecord], times: Mapping[str, datetime | None]) -> bool:
    """Whether a secret was changed after the request for it was answered, so that its value is somebody else's."""
    record, at = after.get(action.setting.name), times.get(action.setting.name)
    return record is not None and at is not None and changed_after(record, at)


def changed_after(record: SecretRecord, at: datetime) -> bool:
    """Whether a secret was changed after GitHub had answered at ``at``.

    Of two changes within the same second nobody can tell: GitHub shows no more than that.
    """
    return bool(record.updated_at) and parse_iso(record.updated_at) > at + _TOLERANCE
