# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control endpoint: how tests and demos set the stage. It is not the service's, and asks for no token.

``GET /_control/health`` · ``GET|POST /_control/state`` (all; add things) · ``PATCH /_control/<section>/<id>`` (change
fields of one thing, such as a project's ``timings`` or ``job_outcome``) · ``GET|PUT|DELETE /_control/faults`` ·
``PUT /_control/limits`` (counts by name) · ``GET|DELETE /_control/requests``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from sandbox.vercel import codec, model
from sandbox.vercel.call import Reply
from sandbox.vercel.refusal import Refused, bad_request, not_found
from sandbox.vercel.shared import Shared


def answer(shared: Shared, method: str, target: str, raw: bytes) -> Reply:
    """Carry out one command."""
    parts = [unquote(each) for each in urlsplit(target).path.split("/")[2:]]
    try:
        body = json.loads(raw) if raw else None
        done = _carry_out(shared, method, parts, body)
        return Reply(body={"ok": True} if done is None else done)
    except (codec.BadState, ValueError, KeyError) as error:
        return Reply(status=400, body=bad_request(str(error)).body)
    except Refused as refused:
        return Reply(status=refused.status, body=refused.body)


def _carry_out(shared: Shared, method: str, parts: list[str], body: Any) -> Any:
    if method == "PATCH" and len(parts) == 2:
        return _patch(shared, parts[0], parts[1], body)
    command = COMMANDS.get((method, "/".join(parts)))
    if command is None:
        raise not_found(f"There is no {method} /_control/{'/'.join(parts)}.")
    return command(shared, body)


def _set_limits(shared: Shared, counts: dict[str, Any]) -> None:
    shared.limiter.counts = {name: int(count) for name, count in counts.items()}


#: What to do for a method and a path.
COMMANDS: dict[tuple[str, str], Callable[[Shared, Any], Any]] = {
    ("GET", "health"): lambda shared, _body: {"state": str(shared.store.path)},
    ("GET", "state"): lambda shared, _body: model.dump(shared.store.look()),
    ("POST", "state"): lambda shared, body: shared.store.seed(body),
    ("GET", "faults"): lambda shared, _body: shared.switches.listed(),
    ("PUT", "faults"): lambda shared, body: shared.switches.turn_on(body),
    ("DELETE", "faults"): lambda shared, _body: shared.switches.turn_on([]),
    ("PUT", "limits"): _set_limits,
    ("GET", "requests"): lambda shared, _body: shared.switches.seen(),
    ("DELETE", "requests"): lambda shared, _body: shared.switches.forget(),
}


def _patch(shared: Shared, section: str, name: str, fields: dict[str, Any]) -> None:
    def step(world: model.World, _now: int) -> tuple[model.World, None]:
        found = getattr(world, section, {}).get(name)
        if found is None:
            raise not_found(f"There is no {name} among the {section}.")
        return world.put(codec.decode(type(found), codec.encode(found) | fields, name)), None

    shared.store.change(step)
