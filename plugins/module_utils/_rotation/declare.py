# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a secret is declared to be (private to ops.runbooks): read from options and checked; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import check_address
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import check_id, check_name
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.model import SCHEDULED
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import PLAIN, Template

#: Where the value that is to be adopted is found that no option gives.
CURRENT_VARIABLE = "RUNBOOKS_CURRENT_VALUE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A destination as it is declared. ``options`` are those of its kind."""

    name: str
    kind: str
    template: Template = PLAIN
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Who uses the secret, and where it says with what. ``template`` is the text that it holds."""

    name: str
    url: str
    reports: str
    samples: int = 3
    template: Template = PLAIN
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One secret. ``ends_sessions`` is a value that nothing but fallbacks lets live on beside a new one.

    One that has no parts is never seen by anybody, and has no targets.
    """

    name: str
    provider: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    targets: tuple[Target, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    max_age: timedelta = timedelta(days=90)
    min_age: timedelta = timedelta(hours=1)
    grace: timedelta = timedelta(days=7)
    watch: timedelta = timedelta(days=1)
    ends_sessions: bool = False
    consent: bool = False
    #: What a run does with a new value, for plans.
    keeping: str = "keep it"
    #: How long others take to learn of a new value, before it may be tried.
    ripens: timedelta = timedelta()
    #: Why an earlier value cannot be ended before the new one is in use; '' where it can, None where nobody keeps it.
    lasts: Callable[[str], str | None] = field(default=lambda _credential: None, repr=False, compare=False)

    @property
    def keeps_previous(self) -> bool:
        """Whether the earlier value stays good beside the new one."""
        return not self.ends_sessions or any(each.template.uses_previous for each in self.targets)

    def target(self, name: str) -> Target:
        """A destination by its name."""
        return next(each for each in self.targets if each.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a run is asked for beside what is due. ``rests``: a value was taken on record, and that is all."""

    reason: str = SCHEDULED
    rotation_id: str = ""
    break_first: bool = False
    adopt: bool = False
    take_back: bool = False
    rests: bool = False


def read_request(params: Mapping[str, Any]) -> Request:
    """From the options of secret_rotation. Raises ``invalid_parameter``."""
    rotation_id = params["rotation_id"] or ""
    if rotation_id:
        check_id(rotation_id, "rotation_id")
    if params["break_first"] and params["reason"] != "compromise":
        raise refused("break_first", "true", "it is for reason=compromise only", "Set both or neither.")
    return Request(
        reason=params["reason"],
        rotation_id=rotation_id,
        break_first=params["break_first"],
        adopt=params["adopt"],
        take_back=params["take_back"],
    )


def read_declaration(
    given: Mapping[str, Any],
    *,
    parts: frozenset[str],
    ends_sessions: bool,
    kinds: Mapping[str, tuple[str, ...]],
    ripens: timedelta = timedelta(),
    lasts: Callable[[str], str | None] = lambda _credential: None,
    keeping: str = "keep it",
) -> Declaration:
    """From options. ``parts`` are the provider's, ``kinds`` the options that each kind of destination needs.

    Raises ``invalid_parameter`` for what could not work later.
    """
    name = check_name(str(given["name"]), "name")
    declaration = Declaration(
        name=name,
        provider=given["provider"]["type"],
        options=given["provider"],
        targets=tuple(_target(each, kinds, parts) for each in given["destinations"] or ()),
        consumers=tuple(_consumer(each, name, parts) for each in given["consumers"] or ()),
        ends_sessions=ends_sessions,
        consent=given["sign_out_users"],
        ripens=ripens,
        lasts=lasts,
        keeping=keeping,
        **{each: parse_duration(given[each], each) for each in ("max_age", "min_age", "grace", "watch")},
    )
    _check(declaration, seen=bool(parts))
    return declaration


def _target(given: Mapping[str, Any], kinds: Mapping[str, tuple[str, ...]], parts: frozenset[str]) -> Target:
    name, kind = check_name(str(given["name"]), "the name of a destination"), given["type"]
    lacking = [option for option in kinds[kind] if not given.get(option)]
    if lacking:
        raise refused("destinations", name, f"one of type {kind} needs {', '.join(lacking)}", "Add what it needs.")
    template = Template(given["value"])
    template.check(parts, f"destination {name}")
    options = {key: value for key, value in given.items() if key not in ("name", "type", "value")}
    return Target(name=name, kind=kind, template=template, options=options)


def _consumer(given: Mapping[str, Any], secret: str, parts: frozenset[str]) -> Consumer:
    name = check_name(str(given["name"]), "the name of a consumer")
    if not 1 <= given["samples"] <= 100:
        raise refused("consumers", name, "samples is between 1 and 100", "Correct it.")
    template = Template(given["value"])
    template.check(parts, f"consumer {name}")
    headers = {**(given["headers"] or {}), **(given["secret_headers"] or {})}
    return Consumer(
        name=name,
        url=check_address(given["url"], f"the url of consumer {name}"),
        reports=given["reports"] or secret,
        samples=given["samples"],
        template=template,
        headers={str(key): str(value) for key, value in headers.items()},
    )


def _check(declaration: Declaration, *, seen: bool) -> None:
    for option, listed in (("destinations", declaration.targets), ("consumers", declaration.consumers)):
        names = [each.name for each in listed]
        if twice := sorted({each for each in names if names.count(each) > 1}):
            raise refused(option, twice[0], "it is listed twice", "Give each a name of its own.")
    if seen:
        _check_targets(declaration)
    if declaration.min_age >= declaration.max_age:
        raise refused("min_age", str(declaration.min_age), "it is not below max_age", "Lower it.")
    if declaration.grace + declaration.watch >= declaration.max_age:
        reason = "grace and watch together are not below max_age, so that a rotation would begin before the last ended"
        raise refused("grace", declaration.name, reason, "Lower them, or raise max_age.")


def _check_targets(declaration: Declaration) -> None:
    """Somebody has to get the value."""
    if not declaration.targets:
        raise refused("destinations", "[]", "a secret that goes nowhere is of no use", "List where it goes.")
    if all(each.template.uses_previous and not each.template.plain for each in declaration.targets) and not any(
        part for each in declaration.targets for part in each.template.parts if not part.startswith("previous")
    ):
        raise refused("destinations", declaration.name, "none of them gets the value itself", "List one that does.")


def unrotatable(declaration: Declaration) -> RunbookError | None:
    """Why no rotation after the first value can begin, however it stands; None where one can."""
    if declaration.keeps_previous or declaration.consent:
        return None
    return RunbookError(
        code="rotation_refused",
        attempted="rotate it as it is declared",
        object=f"secret {declaration.name}",
        reason="no destination keeps the earlier value ({previous}), so that what was signed with it ends at once",
        remedy="Give the app the earlier value too, or agree to it with sign_out_users=true.",
    )


def refused(option: str, value: str, reason: str, remedy: str) -> RunbookError:
    """The failure for an option."""
    return RunbookError(code="invalid_parameter", attempted=f"use {option}", object=value, reason=reason, remedy=remedy)
