# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control endpoint: how tests and demos set the stage. It is not the service's, and asks for no token.

``GET /_control/health`` · ``GET|POST /_control/state`` (all; add things) · ``PATCH /_control/<section>/<id>`` (change
fields of one thing) · ``GET|PUT|DELETE /_control/faults`` (see :class:`sandbox.standin.switches.Switch`) ·
``GET|DELETE /_control/requests`` · and what a service adds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from sandbox.standin import codec
from sandbox.standin.http import Reply
from sandbox.standin.refusal import Refused, bad_request, not_found
from sandbox.standin.switches import Switches


class State(Protocol):
    """Where a stand-in keeps its things."""

    @property
    def name(self) -> str:
        """The file."""

    def document(self) -> dict[str, Any]:
        """Everything."""

    def seed(self, document: Mapping[str, Any]) -> None:
        """Add things, or replace those with the same ids."""

    def patch(self, section: str, name: str, fields: Mapping[str, Any]) -> None:
        """Change fields of one thing."""


Command = Callable[[Any], Any]


def answer(
    state: State,
    switches: Switches,
    method: str,
    target: str,
    raw: bytes,
    *,
    more: Mapping[tuple[str, str], Command] | None = None,
) -> Reply:
    """Carry out one command; ``more`` are those of one service, by method and path."""
    parts = [unquote(each) for each in urlsplit(target).path.split("/")[2:]]
    commands = _commands(state, switches) | dict(more or {})
    if method == "PATCH" and len(parts) == 2:
        commands[method, "/".join(parts)] = lambda fields: state.patch(parts[0], parts[1], fields)
    try:
        body = json.loads(raw) if raw else None
        command = commands.get((method, "/".join(parts)))
        if command is None:
            raise not_found(f"There is no {method} /_control/{'/'.join(parts)}.")
        done = command(body)
        return Reply(body={"ok": True} if done is None else done)
    except (codec.BadState, ValueError, KeyError) as error:
        return Reply(status=400, body=bad_request(str(error)).body)
    except Refused as refused:
        return Reply(status=refused.status, body=refused.body)


def _commands(state: State, switches: Switches) -> dict[tuple[str, str], Command]:
    return {
        ("GET", "health"): lambda _body: {"state": state.name},
        ("GET", "state"): lambda _body: state.document(),
        ("POST", "state"): state.seed,
        ("GET", "faults"): lambda _body: switches.listed(),
        ("PUT", "faults"): switches.turn_on,
        ("DELETE", "faults"): lambda _body: switches.turn_on([]),
        ("GET", "requests"): lambda _body: switches.seen(),
        ("DELETE", "requests"): lambda _body: switches.forget(),
    }
