# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Global Config (once Edge Config) over HTTP: small values that deployments read at run time."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sandbox.standin.http import Reply
from sandbox.standin.refusal import bad_request, not_found
from sandbox.vercel.call import Call, route
from sandbox.vercel.model import GlobalConfig, World


@route("GET", "/global-config")
@route("GET", "/edge-config")
def list_(call: Call) -> Reply:
    """The stores of an account."""
    return Reply(body=[_shape(each) for each in call.store.look().configs.values() if each.account == call.account])


@route("GET", "/global-config/{name}")
@route("GET", "/edge-config/{name}")
def get(call: Call, name: str) -> Reply:
    """One store."""
    return Reply(body=_shape(_find(call, call.store.look(), name)))


@route("GET", "/global-config/{name}/items")
@route("GET", "/edge-config/{name}/items")
def items(call: Call, name: str) -> Reply:
    """All values."""
    found = _find(call, call.store.look(), name)
    return Reply(body=[_item(found, key) for key in sorted(found.items)])


@route("GET", "/global-config/{name}/item/{key}")
@route("GET", "/edge-config/{name}/item/{key}")
def item(call: Call, name: str, key: str) -> Reply:
    """One value."""
    found = _find(call, call.store.look(), name)
    if key not in found.items:
        raise not_found("The item was not found.")
    return Reply(body=_item(found, key))


@route("PATCH", "/global-config/{name}/items")
@route("PATCH", "/edge-config/{name}/items")
def change(call: Call, name: str) -> Reply:
    """Change values: all of the request's operations, or none."""
    call.allow("project")
    operations = call.body.get("items")
    if not isinstance(operations, list):
        raise bad_request("Invalid request: missing required property `items`.")

    def step(world: World, now: int) -> tuple[World, None]:
        found = _find(call, world, name)
        held = dict(found.items)
        for each in operations:
            _apply(held, each, now)
        return world.put(replace(found, items=held, updated_at=now)), None

    call.change(step)
    return Reply(body={"status": "ok"})


def _apply(held: dict[str, Any], operation: Any, now: int) -> None:
    kind, key = operation.get("operation"), operation.get("key")
    if not isinstance(key, str) or not re.fullmatch(r"[\w-]{1,256}", key):
        raise bad_request("Invalid request: `key` should match pattern ^[\\w-]+$.")
    if kind not in ("create", "update", "upsert", "delete"):
        raise bad_request("Invalid request: `operation` should be equal to one of the allowed values.")
    if kind == "create" and key in held:
        raise bad_request(f"The item {key} exists already.")
    if kind in ("update", "delete") and key not in held:
        raise not_found(f"The item {key} was not found.")
    if kind == "delete":
        del held[key]
    else:
        before = held.get(key)
        created = before.get("createdAt", now) if isinstance(before, dict) else now
        held[key] = {"value": operation.get("value"), "createdAt": created, "updatedAt": now}


def _find(call: Call, world: World, name: str) -> GlobalConfig:
    for each in world.configs.values():
        if each.account == call.account and name in (each.id, each.slug):
            return each
    raise not_found("The config was not found.")


def _item(config: GlobalConfig, key: str) -> dict[str, Any]:
    held = config.items[key]
    whole = held if isinstance(held, dict) and "value" in held else {"value": held}
    return {"key": key, "edgeConfigId": config.id, **whole}


def _shape(config: GlobalConfig) -> dict[str, Any]:
    return {
        "id": config.id,
        "slug": config.slug,
        "ownerId": config.account,
        "createdAt": config.created_at,
        "updatedAt": config.updated_at,
        "itemCount": len(config.items),
    }
