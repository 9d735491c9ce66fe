# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs as values that merge (private to ops.runbooks).

The rules that belong to options (``required_if`` and its kin) travel with them, so that a module's spec is the sum of
the fragments it uses, in the same order as its documentation fragments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import NAME

#: What ansible shows in the place of a secret option.
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentSpec:
    """What AnsibleModule wants to know about options, as one immutable value."""

    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    mutually_exclusive: tuple[tuple[str, ...], ...] = ()
    required_together: tuple[tuple[str, ...], ...] = ()
    required_one_of: tuple[tuple[str, ...], ...] = ()
    required_if: tuple[tuple[Any, ...], ...] = ()
    required_by: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def merge(self, *others: ArgumentSpec) -> ArgumentSpec:
        """The sum of specs; an option that two of them declare is a mistake of ours and raises ``ValueError``."""
        merged: dict[str, Any] = {}
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            for other in others:
                addition = getattr(other, name)
                if isinstance(value, dict):
                    if twice := sorted(set(value) & set(addition)):
                        raise ValueError(f"declared twice: {', '.join(twice)}")
                    value = {**value, **addition}
                else:
                    value = value + addition
            merged[name] = value
        return ArgumentSpec(**merged)

    def to_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for AnsibleModule."""
        return {
            "argument_spec": self.options,
            "mutually_exclusive": [list(group) for group in self.mutually_exclusive],
            "required_together": [list(group) for group in self.required_together],
            "required_one_of": [list(group) for group in self.required_one_of],
            "required_if": [list(rule) for rule in self.required_if],
            "required_by": {key: list(value) for key, value in self.required_by.items()},
        }

    def hidden(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``params`` for people: what is secret is hidden by where it stands, also inside of lists and objects.

        So is what has no place there: it may be a secret under a misspelt name.
        """
        return _hidden(params, self.options)

    def misfits(self, params: Mapping[str, Any]) -> list[str]:
        """Which elements of lists are why ``params`` do not fit, ``secrets: auth_secret``; the outermost first."""
        return _misfits(params, self.options)


def _misfits(given: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Ansible says what is wrong with an element of a list, but not with which."""
    for name, option in options.items():
        inner, elements = option.get("options"), given.get(name)
        if not inner or not isinstance(elements, list):
            continue
        for number, each in enumerate(elements, start=1):
            if isinstance(each, Mapping) and not ArgumentSpecValidator(inner).validate(each).error_messages:
                continue
            called = each.get("name") if isinstance(each, Mapping) else None
            named = called if isinstance(called, str) and NAME.fullmatch(called) else f"number {number}"
            return [f"{name}: {named}", *(_misfits(each, inner) if isinstance(each, Mapping) else [])]
    return []


def _hidden(given: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in given.items():
        option = options.get(name, {"no_log": True})
        inner = option.get("options")
        if option.get("no_log") and value is not None:
            shown[name] = HIDDEN
        elif inner and isinstance(value, list):
            shown[name] = [_hidden(each, inner) if isinstance(each, Mapping) else HIDDEN for each in value]
        elif inner and isinstance(value, Mapping):
            shown[name] = _hidden(value, inner)
        elif inner and value is not None:
            shown[name] = HIDDEN
        else:
            shown[name] = value
    return shown
