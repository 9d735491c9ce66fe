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
