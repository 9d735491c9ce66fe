# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parameter Store as the stand-in for AWS has it: each write is a version, and values are shown where that is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.aws.model import Parameter, World
from sandbox.standin.refusal import Refused

Body = Mapping[str, Any]
Answer = tuple[World, dict[str, Any]]


def _get(world: World, body: Body) -> Answer:
    found = world.parameters.get(str(body["Name"]))
    if found is None:
        raise Refused(400, "ParameterNotFound", "")
    shown = found.value if body.get("WithDecryption") or found.type != "SecureString" else "AQICAHencrypted"
    described = {"Name": found.name, "Type": found.type, "Value": shown, "Version": found.version}
    return world, {"Parameter": {**described, "LastModifiedDate": found.changed_at}}


def _put(world: World, body: Body) -> Answer:
    name, value = str(body["Name"]), str(body["Value"])
    found = world.parameters.get(name)
    if found is not None and not body.get("Overwrite"):
        raise Refused(400, "ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set it.")
    if len(value.encode()) > (8192 if body.get("Tier") == "Advanced" else 4096):
        raise Refused(400, "ValidationException", "Standard tier parameters support a maximum parameter value of 4096.")
    version = found.version + 1 if found is not None else 1
    made = Parameter(name=name, value=value, type=str(body["Type"]), version=version, changed_at=round(time.time(), 3))
    return world.put(made), {"Version": version, "Tier": body.get("Tier", "Standard")}


def _delete(world: World, body: Body) -> Answer:
    name = str(body["Name"])
    if name not in world.parameters:
        raise Refused(400, "ParameterNotFound", "")
    return world.without("parameters", name), {}


OPERATIONS: dict[str, Callable[[World, Body], Answer]] = {
    "GetParameter": _get,
    "PutParameter": _put,
    "DeleteParameter": _delete,
}
