# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the secrets of GitHub Actions are, and which are wanted (private to ops.runbooks); pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import OPTIONAL_STORE_SPEC, RUN_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import GITHUB_SPEC, check_repository

#: Bytes that GitHub keeps of one secret at most (GitHub Docs, "Secrets reference", limits for secrets).
LARGEST = 48 * 1024
#: Values shorter than this are no secrets: whoever wants them tries them all.
_SHORTEST = 4
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")
_OWN_WORDS = "present absent all private selected created updated deleted unchanged unknown true false github"

_SECRET = {
    "name": {"type": "str", "required": True},
    "value": {"type": "raw", "no_log": True},
    "visibility": {"type": "str", "choices": ["all", "private", "selected"]},
    "selected_repositories": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
SECRETS_SPEC = OPTIONAL_STORE_SPEC.merge(
    RUN_SPEC,
    ArgumentSpec(
        options={
            **GITHUB_SPEC.options,
            "repository": {"type": "str"},
            "github_environment": {"type": "str"},
            "organization": {"type": "str"},
            # What is secret in it says so itself.
            "secrets": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "no_log": False,
                "options": _SECRET,
            },
            "on_unknown": {"type": "str", "choices": ["skip", "update", "fail"], "default": "skip"},
            "fingerprint_key": {"type": "str", "no_log": True},
            "timeout": {"type": "str", "default": "5m"},
        },
        required_one_of=(("repository", "organization"),),
        mutually_exclusive=(("repository", "organization"),),
        required_by={"github_environment": ("repository",)},
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose secrets they are. ``owner`` is the account, ``name`` the repository's full name where it is one's."""

    owner: str
    name: str = ""
    environment: str = ""

    @property
    def path(self) -> str:
        """Where they are in the API."""
        if not self.name:
            return f"/orgs/{self.owner}/actions"
        if self.environment:
            return f"/repos/{self.name}/environments/{quote(self.environment, safe='')}"
        return f"/repos/{self.name}/actions"

    @property
    def title(self) -> str:
        """For people."""
        if not self.name:
            return f"organization {self.owner}"
        return f"{self.name}, environment {self.environment}" if self.environment else self.name

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Scope:
        """From the options. Raises ``invalid_parameter``."""
        organization, environment = params["organization"], params["github_environment"]
        if organization is not None:
            if not _ACCOUNT.fullmatch(organization):
                raise _unusable("organization", organization, "it is not the name of an account", "Write it like acme.")
            return cls(owner=organization)
        name = check_repository(str(params["repository"]), "repository")
        if environment is not None and (not environment or len(environment) > 255 or not environment.isprintable()):
            reason = "an environment's name has 1 to 255 printable characters"
            raise _unusable("github_environment", environment, reason, "Write it as GitHub's settings show it.")
        return cls(owner=name.partition("/")[0], name=name, environment=environment or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRecord:
    """What GitHub shows of a secret: everything but its value. ``repositories`` are ids, where they are selected."""

    name: str
    created_at: str = ""
    updated_at: str = ""
    visibility: str = ""
    repositories: frozenset[int] = frozenset()

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> SecretRecord:
        """From an item of a list."""
        return cls(
            name=str(item.get("name")).upper(),
            created_at=str(item.get("created_at") or ""),
            updated_at=str(item.get("updated_at") or ""),
            visibility=str(item.get("visibility") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """One listed secret. ``repositories`` are names, None where they stay; '' keeps ``visibility``."""

    name: str
    value: str = field(default="", repr=False)
    present: bool = True
    visibility: str = ""
    repositories: tuple[str, ...] | None = None


def read_settings(given: Iterable[Mapping[str, Any]], scope: Scope) -> tuple[Setting, ...]:
    """All of them. Raises ``invalid_parameter`` for what GitHub would refuse, or what would be a mistake."""
    settings = tuple(_setting(each, scope) for each in given)
    seen: set[str] = set()
    for setting in settings:
        if setting.name in seen:
            raise _refused(setting.name, "it is listed twice; GitHub knows no small letters", "List each name once.")
        seen.add(setting.name)
    return settings


def _setting(given: Mapping[str, Any], scope: Scope) -> Setting:
    name, present = str(given["name"]).upper(), given["state"] == "present"
    check_secret_name(name)
    visibility, selected = given["visibility"], given["selected_repositories"]
    if scope.name and (visibility is not None or selected is not None):
        reason = "visibility and selected_repositories are for secrets of an organization"
        raise _refused(name, reason, "Take them out, or name the organization.")
    if selected is not None and visibility not in (None, "selected"):
        raise _refused(name, "repositories are selected where visibility is selected", "Correct one of the two.")
    if selected is None and visibility == "selected":
        raise _refused(name, "nothing says for which repositories it is", "Give selected_repositories; [] is none.")
    if selected is not None and present:
        visibility = "selected"
    return Setting(
        name=name,
        value=text_of_value(given["value"], name) if present else "",
        present=present,
        visibility=visibility or "",
        repositories=None if selected is None else tuple(dict.fromkeys(_full(each, scope) for each in selected)),
    )


def check_secret_name(name: str) -> None:
    """Raises ``invalid_parameter`` for a name that GitHub does not take."""
    if not _NAME.fullmatch(name) or name.upper().startswith("GITHUB_"):
        reason = "a name has letters, digits and underscores, begins with no digit and not with GITHUB_"
        raise _refused(name, reason, "Rename it.")


def text_of_value(value: Any, name: str) -> str:
    """A value as a text; YAML's own yes and no as programs read them."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, int):
        value = str(value)
    if not isinstance(value, str):
        reason = "it has no value" if value is None else "its value is not a text"
        raise _refused(name, reason, "Give it a text; what is an object goes through the filter to_json.")
    if not value:
        raise _refused(name, "its value is empty", "Set the variable that it is looked up from.")
    if len(value.encode("utf-8", "surrogateescape")) > LARGEST:
        reason = f"its value has more than {LARGEST} bytes, the most that GitHub keeps"
        raise _refused(name, reason, "Encrypt what is larger into the repository, and keep its key here.")
    return value


def words(given: object) -> frozenset[str]:
    """Values that are no secrets, and would take results apart if they were masked everywhere."""
    listed = [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []
    names = " ".join([_OWN_WORDS, *(str(each.get("name")) for each in listed)]).lower()
    values = {str(each.get("value")) for each in listed}
    return frozenset(each for each in values if len(each) < _SHORTEST or each.lower() in names)


def _full(name: str, scope: Scope) -> str:
    """A repository of the organization by its full name; the organization's own part may be left out."""
    full = check_repository(name if "/" in name else f"{scope.owner}/{name}", "selected_repositories")
    if full.partition("/")[0].lower() != scope.owner.lower():
        raise _unusable(
            "selected_repositories", name, f"it does not belong to {scope.owner}", "Name repositories of it only."
        )
    return full


def _refused(name: str, reason: str, remedy: str) -> RunbookError:
    return _unusable("an entry of secrets", name, reason, remedy)


def _unusable(what: str, value: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(code="invalid_parameter", attempted=f"use {what}", object=value, reason=reason, remedy=remedy)
