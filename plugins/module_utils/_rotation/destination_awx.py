# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A credential of AWX as the place of a secret (private to ops.runbooks).

Nobody can read it back. What was written is known again by the time of its last change, which a credential has but one
of. A destination writes one input, or several as a JSON object. Where others write other inputs of the credential, what
each has found there is on record, and the ledgers tell whose change the last one was (``shared.py``). A job takes what
is there when it starts, so that a change is in force at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._awx.credentials import ENCRYPTED, Credential, Credentials
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target, refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys, Template

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Parts that may stand in an input that AWX shows.
_SHOWN = frozenset({"access_key_id", "database", "host", "port", "user"})


class AwxDestination:
    """See ``destination.Destination``."""

    def __init__(self, target: Target, keys: Keys, context: Context, looks: dict[tuple[str, ...], Any]) -> None:
        options = target.options
        self._credential = str(options["credential"])
        self._organization = str(options["organization"] or "")
        self._params = {name: options.get(name) for name in ("api_url", "token")}
        self._context = context
        self._input = str(options["input"] or "")
        self._templates = self._read_templates(target)
        for name in self._templates:
            place = ("awx", str(self._params["api_url"]), self._organization, self._credential, name)
            if looks.setdefault(place, target) is not target:
                reason = f"another destination writes the input {name} of this credential of AWX"
                raise refused("destinations", target.name, reason, "Let one of them write it.")

    def observe(self) -> Sight:
        """By the time of its last change."""
        with _Opened(self._params, self._context) as credentials:
            return self._sight(credentials.find(self._credential, self._organization))

    def read(self) -> str | None:
        """See ``destination.Destination``. What is shown of a single input."""
        with _Opened(self._params, self._context) as credentials:
            found = credentials.find(self._credential, self._organization).inputs.get(self._input)
        return str(found) if found and found != ENCRYPTED else None

    def write(self, text: str) -> Sight:
        """See ``destination.Destination``. The inputs that are not meant stay."""
        changes = self._changes(text)
        with _Opened(self._params, self._context) as credentials:
            self._check(credentials.find(self._credential, self._organization), credentials)
            # Right before it is changed: the other inputs that AWX shows are sent along.
            found = credentials.find(self._credential, self._organization)
            return replace(self._sight(credentials.write(found, changes)), upon=self._sight(found).mark)

    def _read_templates(self, target: Target) -> Mapping[str, Template]:
        """Input to what it gets."""
        if self._input:
            return {self._input: target.template}
        try:
            given = json.loads(target.template.text)
        except ValueError:
            given = None
        if not isinstance(given, dict) or not given or not all(isinstance(each, str) for each in given.values()):
            reason = "without input its value is a JSON object that has a text for each input of the credential"
            raise refused(
                "destinations", target.name, reason, 'Write it like {"username": "{user}", ...}, or give input.'
            )
        return {str(name): Template(text) for name, text in given.items()}

    def _changes(self, text: str) -> dict[str, str]:
        if self._input or not text:
            return dict.fromkeys(self._templates, text)
        try:
            found = {str(name): str(each) for name, each in json.loads(text).items()}
        except (ValueError, AttributeError):
            reason = "its parts have characters that JSON needs escaped, so that what is made of them is no object"
            raise self._unusable(reason, "Write the secret's one input with input.") from None
        for each in found.values():
            self._context.redactor.protect(each)
        return found

    def _check(self, found: Credential, credentials: Credentials) -> None:
        """Raises ``destination_unusable`` for inputs that show a secret, or that nobody reads."""
        inputs = credentials.inputs_of(found)
        if unknown := sorted(set(self._templates) - set(inputs)):
            reason = f"its credential type has no input {unknown[0]}"
            raise self._unusable(reason, f"It has {', '.join(sorted(inputs))}.")
        shown = [name for name, each in self._templates.items() if not inputs[name] and not each.parts <= _SHOWN]
        if shown:
            reason = f"AWX shows what is in its input {shown[0]} to everybody who sees the credential"
            raise self._unusable(reason, "Name an input that its credential type calls secret.")
        if taken := sorted(credentials.looked_up(found) & set(self._templates)):
            reason = f"its input {taken[0]} is looked up in another system of secrets"
            raise self._unusable(reason, "Write the secret there, or take the lookup away.")

    def _sight(self, found: Credential) -> Sight:
        exists = any(found.inputs.get(name) for name in self._templates)
        return Sight(exists=exists, mark=f"{found.id}@{found.modified}", parts=tuple(sorted(self._templates)))

    def _unusable(self, reason: str, remedy: str) -> RunbookError:
        return RunbookError(
            code="destination_unusable",
            attempted="write the destination of a secret",
            object=f"credential {self._credential} of AWX",
            reason=reason,
            remedy=remedy,
        )


class _Opened:
    """The credentials as long as they are needed."""

    def __init__(self, params: Mapping[str, Any], context: Context) -> None:
        self._credentials = Credentials(params, context, os.environ)

    def __enter__(self) -> Credentials:
        return self._credentials

    def __exit__(self, *_error: object) -> None:
        self._credentials.close()
