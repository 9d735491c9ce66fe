# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment variables that are wanted, read from the options of vercel_env (private to ops.runbooks); pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Project

#: Targets that every project has.
TARGETS = ("production", "preview", "development")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Vercel takes 500 characters; a mark needs some of them.
_LONGEST_COMMENT = 450
#: Values shorter than this are no secrets: whoever wants them tries them all. Sensitive ones are taken for one sooner.
_SHORTEST = {"sensitive": 4, "encrypted": 8}
_OWN_WORDS = "production preview development encrypted sensitive plain present absent true false"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """One listed variable. ``places`` are targets and ids of custom environments."""

    key: str
    value: str = field(default="", repr=False)
    kind: str = "encrypted"
    places: tuple[str, ...] = ("production",)
    branch: str | None = None
    comment: str | None = None
    present: bool = True


def read_settings(given: Iterable[Mapping[str, Any]], project: Project) -> tuple[Setting, ...]:
    """All of them. Raises ``invalid_parameter`` for what Vercel would refuse, or what would be a mistake."""
    settings = tuple(_setting(each, project) for each in given)
    seen: set[tuple[str, str, str | None]] = set()
    for setting in settings:
        for place in setting.places:
            if (setting.key, place, setting.branch) in seen:
                raise _refused(setting.key, f"it is listed twice for {place}", "List each name once for a target.")
            seen.add((setting.key, place, setting.branch))
    return settings


def _setting(given: Mapping[str, Any], project: Project) -> Setting:
    key, kind, present = str(given["name"]), str(given["type"]), given["state"] == "present"
    targets, branch = [str(each) for each in given["targets"] or ()], given["git_branch"] or None
    if not _NAME.fullmatch(key):
        raise _refused(key, "a name has letters, digits and underscores only", "Rename it.")
    if unknown := [each for each in targets if each not in TARGETS and each not in project.environments]:
        known = ", ".join((*TARGETS, *project.environments))
        raise _refused(key, f"the project has no target {unknown[0]}", f"It has {known}.")
    if not targets or (branch and targets != ["preview"]):
        reason = "there is no target" if not targets else "a branch goes with the one target preview"
        raise _refused(key, reason, "Correct targets or git_branch.")
    if present and kind == "sensitive" and "development" in targets:
        raise _refused(key, "Vercel keeps nothing sensitive for development", "Take development out, or the type.")
    if present and kind == "sensitive" and key.startswith("NEXT_PUBLIC_"):
        raise _refused(
            key,
            "what begins with NEXT_PUBLIC_ is sent to every browser, so that it cannot be kept secret",
            "Rename it where it is a secret, else give it another type.",
        )
    comment = given["comment"]
    if comment is not None and (len(comment) > _LONGEST_COMMENT or "rb1:" in comment):
        raise _refused(key, f"its comment is longer than {_LONGEST_COMMENT}, or holds a mark", "Shorten the comment.")
    return Setting(
        key=key,
        value=text_of_value(given["value"], key) if present else "",
        kind=kind,
        places=tuple(dict.fromkeys(project.environments.get(each, each) for each in targets)),
        branch=branch,
        comment=comment.strip() if comment is not None else None,
        present=present,
    )


def text_of_value(value: Any, key: str) -> str:
    """A value as a text; YAML's own yes and no as programs read them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    reason = "it has no value" if value is None else "its value is not a text"
    raise _refused(key, reason, "Give it a value; what may be empty is ''.")


def words(given: object) -> frozenset[str]:
    """Values that are no secrets, and would take results apart if they were masked everywhere.

    What is plain for everybody, what is too short to be one, and what is a part of the names in the results anyway.
    """
    listed = [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []
    names = " ".join([_OWN_WORDS, *(str(each.get("name")) for each in listed)]).lower()
    found = set()
    for each in listed:
        value, shortest = str(each.get("value")), _SHORTEST.get(str(each.get("type")))
        if shortest is None or len(value) < shortest or value.lower() in names:
            found.add(value)
    return frozenset(found)


def _refused(key: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted="use an entry of variables",
        object=key,
        reason=reason,
        remedy=remedy,
    )
