# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to a service as a user declares them (private to ops.runbooks); pure.

A value of a secret goes into the body or a header of a request, never into its address: addresses are in the logs of
every server and proxy on the way. What is read of an answer is named by its path in it, such as ``key.secret`` or
``data.0.token``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused

#: What may be said of a credential in an address.
_IN_ADDRESS = frozenset({"id", "name"})
_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/?{}-]*")
_FIELD = re.compile(r"\{([a-z_]*)\}")
#: The name of a part of a value; what begins with ``previous`` is of the value before it.
PART = re.compile(r"(?!previous)[a-z][a-z_]{0,30}")
#: Without a dot, so that the names of one secret never begin like those of another.
KEY_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID = re.compile(r"[^\s/\\]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A request that can be sent."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One request as it is declared. ``gone`` are the answers that mean that the credential is not there any more."""

    what: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None
    statuses: frozenset[int]
    gone: frozenset[int]

    @classmethod
    def read(cls, what: str, given: Mapping[str, Any], known: frozenset[str]) -> Declared:
        """From options; ``known`` are the fields that may stand in body and headers. Raises ``invalid_parameter``."""
        path = str(given["path"])
        if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.partition("?")[0].split("/")):
            raise _unusable(what, "its path is not an absolute one of printable characters", "Write it like /v1/keys.")
        if set("{}") & set(_FIELD.sub("", path)):
            raise _unusable(what, "its path has braces with no field in them", "Write {id}, or percent-encode them.")
        texts = [path, *_texts(given["headers"]), *_texts(given["body"])]
        named = {name for text in texts for name in _FIELD.findall(text)}
        if secret := sorted(set(_FIELD.findall(path)) - _IN_ADDRESS):
            reason = f"{{{secret[0]}}} would stand in an address, which every server and proxy on the way may log"
            raise _unusable(what, reason, "Put it into the body or into a header.")
        if unknown := sorted(named - known):
            fields = ", ".join(f"{{{each}}}" for each in sorted(known)) or "none"
            raise _unusable(what, f"there is no field {{{unknown[0]}}} in it", f"The fields are {fields}.")
        return cls(
            what=what,
            method=str(given["method"]),
            path=path,
            headers={str(name): str(text) for name, text in (given["headers"] or {}).items()},
            body=given["body"],
            statuses=frozenset(given["statuses"]),
            gone=frozenset(given["gone"] or ()),
        )

    def filled(self, fields: Mapping[str, str]) -> Filled:
        """With what the fields stand for; percent-encoded in the address."""
        return Filled(
            method=self.method,
            path=_put(self.path, {name: quote(text, safe="") for name, text in fields.items()}),
            headers={name: _put(text, fields) for name, text in self.headers.items()},
            body=_filled(self.body, fields),
        )

    @property
    def named(self) -> bool:
        """Whether it tells the service the name of what it makes."""
        return any("{name}" in text for text in (self.path, *_texts(self.body)))


def _texts(value: Any) -> list[str]:
    """Every text in a body or among headers."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    return [text for each in value for text in _texts(each)] if isinstance(value, list) else []


def _filled(value: Any, fields: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _put(value, fields)
    if isinstance(value, Mapping):
        return {name: _filled(each, fields) for name, each in value.items()}
    return [_filled(each, fields) for each in value] if isinstance(value, list) else value


def _put(text: str, fields: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda match: fields[match[1]], text)


def at(body: Any, path: str) -> Any:
    """What stands at a path in an answer; None where nothing does. An empty path is the whole of it."""
    for part in path.split(".") if path else ():
        if isinstance(body, list) and part.isdigit() and int(part) < len(body):
            body = body[int(part)]
        elif isinstance(body, Mapping) and part in body:
            body = body[part]
        else:
            return None
    return body


def text_at(body: Any, path: str) -> str:
    """The text or number at a path; '' where there is none."""
    found = at(body, path)
    return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else ""


def check_id(id: str) -> bool:
    """Whether a text can be the id of a credential, which stands in addresses and is shown to people."""
    return _ID.fullmatch(id) is not None and id.isprintable() and id not in (".", "..")


def read_parts(given: Mapping[str, Any], id_path: str) -> dict[str, str]:
    """Name to path of what a value is made of. Raises ``invalid_parameter``."""
    parts = {str(name): str(path) for name, path in given.items()}
    for name, path in parts.items():
        if not PART.fullmatch(name) or name in _IN_ADDRESS or not path:
            raise _unusable(
                "create", f"{name!r} is no name of a part, or has no path", "Write parts like value: key.secret."
            )
    if not parts or set(parts.values()) == {id_path}:
        raise _unusable("create", "no part of it is secret", "Say with parts where in the answer the value is.")
    return parts


def _unusable(what: str, reason: str, remedy: str) -> RunbookError:
    return refused("provider", f"requests.{what}", reason, remedy)
