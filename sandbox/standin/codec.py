# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Frozen dataclasses to JSON and back: missing fields take their defaults, unknown ones are refused by name."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class BadState(ValueError):
    """A document is not what the stand-in can load; the text names the field."""


def encode(value: Any) -> Any:
    """What ``json.dumps`` takes; fields that have their defaults are left out, so that files stay readable."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != _default(field)
        }
    if isinstance(value, Mapping):
        return {str(key): encode(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(each) for each in value]
    return value


def decode(kind: type[T], document: Any, where: str = "") -> T:
    """The dataclass that a JSON object describes.

    Raises:
        BadState: A field is unknown or missing, or has another type.
    """
    if not isinstance(document, Mapping):
        raise BadState(f"{where or kind.__name__} must be an object.")
    known: Any = kind
    hints = _hints(known)
    unknown = sorted(set(document) - set(hints))
    if unknown:
        raise BadState(f"{where or kind.__name__} has unknown fields: {', '.join(unknown)}.")
    given = {name: _value(hints[name], each, f"{where}.{name}".lstrip(".")) for name, each in document.items()}
    try:
        return kind(**given)
    except TypeError as error:
        raise BadState(f"{where or kind.__name__}: {error}.") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        choices = get_args(hint)
        if value is None and types.NoneType in choices:
            return None
        return _value(next(each for each in choices if each is not types.NoneType), value, where)
    if hint is Any:
        return value
    if origin is tuple:
        return tuple(_value(get_args(hint)[0], each, f"{where}[]") for each in _expect(list, value, where))
    if origin is not None and issubclass(origin, Mapping):
        inner = get_args(hint)[1]
        return {key: _value(inner, each, f"{where}.{key}") for key, each in _expect(dict, value, where).items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return decode(hint, value, where)
    return _expect(hint, value, where)


def _expect(kind: Any, value: Any, where: str) -> Any:
    fits = isinstance(value, kind) and (kind is not int or not isinstance(value, bool))
    if not fits:
        raise BadState(f"{where} must be a {kind.__name__}, not {type(value).__name__}.")
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
