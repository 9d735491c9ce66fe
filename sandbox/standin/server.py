# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in's server with its state: the control endpoint beside an API whose requests may be spoilt."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from sandbox.standin import control, http
from sandbox.standin.http import Reply
from sandbox.standin.store import Store
from sandbox.standin.switches import Switch


class StatefulServer(http.Server):
    """One server with its state."""

    def __init__(self, port: int, handler: type[StatefulHandler], store: Store[Any]) -> None:
        self.store = store
        super().__init__(port, handler)


class StatefulHandler(http.Handler):
    """One connection."""

    server: StatefulServer

    def respond(self, body: bytes) -> None:
        """The control endpoint, or the API."""
        if self.path.startswith("/_control/"):
            self.send(control.answer(self.server.store, self.server.switches, self.command, self.path, body))
        else:
            self.prepare(body)
            self.spoilt(lambda: self.api(body), self.failure)

    def prepare(self, body: bytes) -> None:
        """Read what has to be known of a request before a fault switch is looked for."""

    @abstractmethod
    def api(self, body: bytes) -> Reply:
        """Answer one request."""

    @abstractmethod
    def failure(self, switch: Switch) -> Reply:
        """What a client gets where a switch says so."""
