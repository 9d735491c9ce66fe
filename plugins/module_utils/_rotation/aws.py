# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS as providers and destinations reach it (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.service import AWS_SPEC, Aws
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import refused

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context


def connection(options: Mapping[str, Any], what: str, name: str) -> dict[str, Any]:
    """The options that say how AWS is reached. Raises ``invalid_parameter`` for those that do not go together."""
    given = {option: options.get(option) for option in AWS_SPEC.options}
    if bool(given["access_key"]) != bool(given["secret_key"]):
        raise refused(what, name, "access_key and secret_key go together", "Give both, or neither.")
    if given["access_key"] and given["profile"]:
        raise refused(what, name, "access_key and profile exclude each other", "Give one of them.")
    return given


def reach(given: Mapping[str, Any], context: Context, looks: dict[tuple[str, ...], Any]) -> Aws:
    """AWS by these options; those that are opened together share it where they name the same. Connects to nothing."""
    place = ("aws", *(str(each) for each in given.values()))
    if place not in looks:
        looks[place] = Aws(given, context)
    found: Aws = looks[place]
    return found
