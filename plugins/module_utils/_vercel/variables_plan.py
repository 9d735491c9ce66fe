# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about environment variables (private to ops.runbooks); pure.

A variable is known by its name, one target or custom environment, and a branch: a *place*. A record at Vercel may have
several places. What is to be changed for some of them only is taken out of the record first and made anew, since a
change of the record would change the others too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.fingerprint import FingerprintKey
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.fingerprint import mark_of, marked, text_of
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Project, Variable
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.settings import TARGETS, Setting

Unknown = Literal["skip", "update", "fail"]
#: What may stand beside values of today: the older kind is encrypted under another name.
_KINDS = {"secret": "encrypted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the settings are to be understood.

    ``doubted`` are records as they were last changed, whose marks are not believed.
    """

    exclusive: bool = False
    unknown: Unknown = "skip"
    key: FingerprintKey | None = None
    required: tuple[str, ...] = ()
    doubted: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenVariables:
    """What there is; ``hidden`` is how many of production cannot be seen, ``now`` the second of Vercel's clock."""

    project: Project
    records: tuple[Variable, ...]
    hidden: int = 0
    now: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One request. ``body`` holds values and is never shown; ``what`` is the sentence for it."""

    kind: Literal["create", "edit", "narrow", "delete"]
    key: str
    what: str
    record: Variable | None = None
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def before(self) -> tuple[str, ...]:
        """The places that the record has."""
        return self.record.targets if self.record is not None else ()

    @property
    def after(self) -> tuple[str, ...]:
        """The places that it is going to have."""
        if self.kind == "delete":
            return ()
        given = [self.body[each] for each in ("target", "customEnvironmentIds") if each in self.body]
        return tuple(place for places in given for place in places) if given else self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvPlan(Plan):
    """A plan with its requests, in the order in which they are sent."""

    actions: tuple[Action, ...] = ()


@dataclass(slots=True)
class _Fate:
    """What becomes of the places of one record."""

    record: Variable
    keep: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    change: dict[int, tuple[Setting, list[str], str]] = field(default_factory=dict)


class _Planner:
    """Settings and records to actions. One use."""

    def __init__(self, settings: Sequence[Setting], seen: SeenVariables, rules: Rules) -> None:
        self._seen = seen
        self._rules = rules
        self._names = {place: name for name, place in seen.project.environments.items()}
        self._listed: dict[tuple[str, str, str | None], Setting] = {
            (each.key, place, each.branch): each for each in settings for place in each.places
        }
        self._settings = settings
        self.warnings: list[str] = []
        self.unknown: set[str] = set()
        #: Places that a setting has lost to the taking apart of a record, by what their type has to be.
        self._moved: dict[tuple[int, str], list[str]] = {}
        self.actions: list[Action] = []

    def run(self) -> list[Action]:
        """Changes first, then what is new, then what goes: what is moved is away for as short as can be."""
        held: set[tuple[str, str, str | None]] = set()
        gone: list[Action] = []
        for record in self._seen.records:
            fate = self._fate(record)
            held |= {(record.key, place, record.branch) for place in record.targets}
            gone += self._settle(fate)
        creations = []
        for setting in self._settings:
            absent = [place for place in setting.places if (setting.key, place, setting.branch) not in held]
            if not setting.present:
                continue
            wanted = {kind: self._moved.get((id(setting), kind), []) for kind in ("sensitive", setting.kind)}
            wanted[setting.kind] = [*wanted[setting.kind], *absent]
            creations += [self._creation(setting, kind, each) for kind, each in wanted.items() if each]
        self.actions += [*creations, *gone]
        return self.actions

    def _fate(self, record: Variable) -> _Fate:
        fate = _Fate(record)
        scope = {(place, each.branch) for each in self._settings if each.present for place in each.places}
        for place in record.targets:
            setting = self._listed.get((record.key, place, record.branch))
            owned = bool(record.owner) or record.kind == "system"
            if setting is not None and owned:
                raise _owned(record, self._where([place]))
            if setting is None:
                surplus = self._rules.exclusive and not owned and (place, record.branch) in scope
                (fate.drop if surplus else fate.keep).append(place)
            elif not setting.present:
                fate.drop.append(place)
            elif reason := self._differs(record, setting):
                known = fate.change.setdefault(id(setting), (setting, [], reason))
                known[1].append(place)
            else:
                fate.keep.append(place)
        return fate

    def _settle(self, fate: _Fate) -> list[Action]:
        """Requests for one record that exists; what it is deleted with is returned, to come last."""
        record, changes = fate.record, list(fate.change.values())
        if not fate.drop and not changes:
            return []
        if not fate.keep and changes:
            # The record becomes the first setting's own, in one request: nobody ever misses that.
            setting, places, reason = changes.pop(0)
            self._edit(record, setting, places, reason)
        elif fate.keep:
            taken = [*fate.drop, *(place for _setting, places, _reason in changes for place in places)]
            what = f"take {record.key} for {self._where(taken)} out of the record for {self._where(fate.keep)}"
            body = {**_places(fate.keep), **self._same_mark(record)}
            self.actions.append(Action(kind="narrow", key=record.key, what=what, record=record, body=body))
        else:
            what = f"delete {record.key} for {self._where(fate.drop)}{_on(record.branch)}"
            return [Action(kind="delete", key=record.key, what=what, record=record)]
        for setting, places, _reason in changes:
            self._moved.setdefault((id(setting), _kind_after(record, setting)), []).extend(places)
        return []

    def _edit(self, record: Variable, setting: Setting, places: list[str], reason: str) -> None:
        comment = self._comment(setting, _kind_after(record, setting), text_of(record.comment))
        body: dict[str, Any] = {"value": setting.value, **comment}
        if record.kind != "sensitive" and record.kind != setting.kind:
            body["type"] = setting.kind
        if sorted(places) != sorted(record.targets):
            body |= _places(places)
        what = f"change {record.key} for {self._where(places)}{_on(record.branch)} ({reason})"
        self.actions.append(Action(kind="edit", key=record.key, what=what, record=record, body=body))

    def _creation(self, setting: Setting, kind: str, places: list[str]) -> Action:
        where = {name: listed for name, listed in _places(places).items() if listed}
        body: dict[str, Any] = {"key": setting.key, "value": setting.value, "type": kind, **where}
        if setting.branch:
            body["gitBranch"] = setting.branch
        body |= self._comment(setting, kind, "")
        what = f"create {setting.key} for {self._where(places)}{_on(setting.branch)} as {kind}"
        return Action(kind="create", key=setting.key, what=what, body=body)

    def _comment(self, setting: Setting, kind: str, before: str) -> dict[str, str]:
        """The comment, with the mark of the value where there is a key and somebody may make the value unreadable."""
        text = before if setting.comment is None else setting.comment
        if self._rules.key is None or kind == "plain":
            return {"comment": text} if text or setting.comment is not None else {}
        digest = self._rules.key.digest(self._seen.project.id, setting.key, setting.branch, setting.value)
        return {"comment": marked(text, digest, self._seen.now)}

    def _same_mark(self, record: Variable) -> dict[str, str]:
        """The same mark under the time of today, since narrowing a record does not change its value."""
        mark = mark_of(record.comment)
        if mark is None or not mark.covers(record.updated_at):
            return {}
        return {"comment": marked(text_of(record.comment), mark.digest, self._seen.now)}

    def _differs(self, record: Variable, setting: Setting) -> str:
        """Why a record has to be changed for a setting; '' where it has not, or nobody can tell and it may stay."""
        reasons = []
        kind = _KINDS.get(record.kind, record.kind)
        if kind == "sensitive" and setting.kind != "sensitive":
            self._warn(f"{record.key} is sensitive and stays so: to make it {setting.kind}, remove it first.")
        elif kind != setting.kind:
            reasons.append(f"type {kind} becomes {setting.kind}")
        if said := self._value_differs(record, setting):
            reasons.append(said)
        if setting.comment is not None and text_of(record.comment) != setting.comment:
            reasons.append("comment")
        return ", ".join(reasons)

    def _value_differs(self, record: Variable, setting: Setting) -> str:
        if record.value is not None:
            return "" if record.value == setting.value else "value"
        mark, key = mark_of(record.comment), self._rules.key
        if mark is not None and key is not None:
            digest = key.digest(self._seen.project.id, record.key, record.branch, setting.value)
            if digest != mark.digest:
                return "value"
            believed = mark.covers(record.updated_at) and (record.id, record.updated_at) not in self._rules.doubted
            return "" if believed else "changed by somebody else since"
        return self._unknowable(record)

    def _unknowable(self, record: Variable) -> str:
        self.unknown.add(record.key)
        why = "it carries no mark" if self._rules.key is not None else "no fingerprint_key is given"
        if self._rules.unknown == "update":
            return "value not known"
        if self._rules.unknown == "fail":
            raise RunbookError(
                code="variable_unknown",
                attempted="compare an environment variable",
                object=f"{record.key} of project {self._seen.project.name}",
                reason=f"its value cannot be read back, and {why}",
                remedy="Run once with on_unknown=update and a fingerprint_key; from then on its mark tells.",
            )
        self._warn(f"Whether {record.key} has the value that is wanted cannot be told, since {why}; it was left alone.")
        return ""

    def shown(self, action: Action, *, before: bool) -> str:
        """One side of a change for people: type and places, and of the value only whether it is another one."""
        places = action.before if before else action.after
        if not places:
            return "absent"
        known = action.record.kind if action.record is not None else ""
        kind = known if before else str(action.body.get("type") or known)
        value = "" if before or "value" not in action.body else ", a new value"
        return f"{kind} for {self._where(places)}{value}"

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _where(self, places: Iterable[str]) -> str:
        return ", ".join(self._names.get(place, place) for place in places)


def plan_variables(settings: Sequence[Setting], seen: SeenVariables, rules: Rules) -> EnvPlan:
    """What is to be done. Raises ``variables_hidden``, ``variable_owned``, ``variable_unknown``."""
    if rules.exclusive and seen.hidden:
        raise RunbookError(
            code="variables_hidden",
            attempted="keep only the variables that are listed (exclusive)",
            object=f"project {seen.project.name}",
            reason=f"{seen.hidden} variables of production cannot be seen with this token, so that nobody can say "
            "what would be left",
            remedy="Take a token that sees them, or leave exclusive out.",
        )
    planner = _Planner(settings, seen, rules)
    actions = planner.run()
    return EnvPlan(
        changed=bool(actions),
        result=described(settings, seen, actions, planner.unknown, rules),
        steps=tuple(each.what for each in actions),
        irreversible=_irreversible(actions),
        before={f"{number}. {each.key}": planner.shown(each, before=True) for number, each in enumerate(actions, 1)},
        after={f"{number}. {each.key}": planner.shown(each, before=False) for number, each in enumerate(actions, 1)},
        warnings=tuple(planner.warnings),
        actions=tuple(actions),
    )


def described(
    settings: Sequence[Setting],
    seen: SeenVariables,
    actions: Sequence[Action],
    unknown: Iterable[str],
    rules: Rules,
) -> dict[str, Any]:
    """The object ``env``: names and nothing else."""
    changed = {each.key for each in actions if each.kind in ("edit", "narrow")}
    created = {each.key for each in actions if each.kind == "create"} - changed
    deleted = {each.key for each in actions if each.kind == "delete"} - changed - created
    fates = {each.record.id: each.after for each in actions if each.record is not None}
    there = {
        each.key for each in seen.records if each.branch is None and "production" in fates.get(each.id, each.targets)
    }
    there |= {each.key for each in actions if each.kind == "create" and "production" in each.after}
    return {
        "created": sorted(created),
        "updated": sorted(changed),
        "deleted": sorted(deleted),
        "unchanged": sorted({each.key for each in settings} - changed - created - deleted),
        "unknown": sorted(unknown),
        "missing": sorted(set(rules.required) - there),
        "hidden": seen.hidden,
        "redeploy_required": _redeploy(settings, seen, actions),
    }


def _redeploy(settings: Sequence[Setting], seen: SeenVariables, actions: Sequence[Action]) -> bool:
    """Whether what serves production was built before its variables are, or were, what they are to be."""
    if any("production" in _touched(each) for each in actions):
        return True
    production = seen.project.production
    listed = {each.key for each in settings if "production" in each.places}
    mine = [each for each in seen.records if each.key in listed and "production" in each.targets]
    return production is not None and any(each.updated_at > production.created_at for each in mine)


def _touched(action: Action) -> set[str]:
    """The places in which it makes a difference."""
    before, after = set(action.before), set(action.after)
    return before - after if action.kind == "narrow" else before | after


def _irreversible(actions: Sequence[Action]) -> tuple[str, ...]:
    """What is gone, or one way."""
    said = []
    for each in actions:
        record = each.record
        if each.kind == "delete":
            said.append(f"the value of {each.key} is gone")
        elif each.kind == "edit" and record is not None:
            if record.kind == "sensitive":
                said.append(f"the earlier value of {each.key} cannot be read back")
            elif each.body.get("type") == "sensitive":
                said.append(f"{each.key} becomes sensitive for good")
    return tuple(dict.fromkeys(said))


def _places(places: Sequence[str]) -> dict[str, list[str]]:
    """Targets and custom environments as Vercel takes them."""
    return {
        "target": [each for each in places if each in TARGETS],
        "customEnvironmentIds": [each for each in places if each not in TARGETS],
    }


def _kind_after(record: Variable, setting: Setting) -> str:
    """The type that a variable has after a change: what is sensitive stays so, also where its record is taken apart."""
    return "sensitive" if record.kind == "sensitive" else setting.kind


def _on(branch: str | None) -> str:
    return f" on {branch}" if branch else ""


def _owned(record: Variable, where: str) -> RunbookError:
    return RunbookError(
        code="variable_owned",
        attempted=f"set {record.key}",
        object=f"{record.key} for {where}",
        reason="it belongs to an integration or to Vercel itself, which would set it back or break",
        remedy="Take it out of the list, or change it where it comes from.",
    )
