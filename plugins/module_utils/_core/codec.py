# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Frozen dataclasses as JSON documents, and back with every type checked (private to ops.runbooks)."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import iso, parse_iso

ValueT = TypeVar("ValueT")


def encode(value: Any) -> Any:
    """Dataclasses, times and tuples as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: encode(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, (tuple, list)):
        return [encode(each) for each in value]
    if isinstance(value, dict):
        return {key: encode(each) for key, each in value.items()}
    return value


def decode(kind: type[ValueT], document: Any) -> ValueT:
    """The inverse of :func:`encode` for a dataclass. Raises KeyError, TypeError or ValueError naming the field."""
    if not isinstance(document, dict):
        raise TypeError(f"{kind.__name__} is not an object")
    hints = get_type_hints(kind)
    values = {name: _decode_as(hint, document[name], name) for name, hint in hints.items() if name in document}
    demanded = (each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING)  # type: ignore[arg-type]
    if lacking := [name for name in demanded if name not in values]:
        raise ValueError(f"{kind.__name__} lacks {', '.join(lacking)}")
    return kind(**values)


def _decode_as(hint: Any, value: Any, name: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None:
            return None
        return _decode_as(next(each for each in arguments if each is not NoneType), value, name)
    if origin is tuple:
        return tuple(_decode_as(arguments[0], each, name) for each in _expect(list, value, name))
    if origin is dict:
        return {key: _decode_as(arguments[1], each, name) for key, each in _expect(dict, value, name).items()}
    if hint is datetime:
        return parse_iso(_expect(str, value, name))
    if is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(hint, value, name)


def _expect(kind: type[ValueT], value: Any, name: str) -> ValueT:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name} is not of type {kind.__name__}")
    return value
