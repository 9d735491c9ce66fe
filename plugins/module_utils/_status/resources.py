# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option ``resource`` (private to ops.runbooks): what a lock is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import NAME
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

#: Kinds of resources; the part behind the slash is the inventory host's name, or a secret's.
KINDS = ("app", "database", "secret")
RESOURCE_SPEC = ArgumentSpec(options={"resource": {"type": "str"}})


def resource_of(params: Mapping[str, Any]) -> str:
    """The option, or the database that the options name. Raises ``invalid_parameter``."""
    resource = str(params["resource"] or f"database/{params['name']}")
    kind, slash, name = resource.partition("/")
    if kind in KINDS and slash and NAME.fullmatch(name):
        return resource
    raise RunbookError(
        code="invalid_parameter",
        attempted="use resource",
        object=repr(resource),
        reason="it is no resource that runs lock",
        remedy="Write it as database/<name>, app/<name> or secret/<name>.",
    )
