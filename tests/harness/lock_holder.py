# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run in processes of its own that holds a lock and works under it, for tests that kill and stop it.

``python -m harness.lock_holder '<json>'`` is the controller; like ansible's worker, the process that it starts leads a
session of its own. That one says ``held`` when it has the lock, then ``effect`` for each thing that it does under it,
ten times a second, and ``failed <code>`` at its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import Controller
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.lock import acquire_all
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import open_store

from harness.children import Child, clean_environment, until
from harness.servers import StoreAt

ENVIRONMENT = "env"
RESOURCE = "database/main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A started holder. ``worker`` is the process that holds the lock, ``controller`` the one that it works for."""

    controller: Child
    worker: psutil.Process
    log: Path

    def said(self) -> list[str]:
        """The lines that the worker has written so far."""
        return self.log.read_text().split("\n")[:-1]

    def wait_for(self, line: str, timeout: float = 60) -> None:
        """Wait until it has said that. Raises ``TimeoutError``."""
        deadline = time.monotonic() + timeout
        while line not in self.said():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{line!r} is not in {self.said()[-5:]}")
            time.sleep(0.05)


def start_holder(store: StoreAt, directory: Path, *, lease_seconds: float, **claim: Any) -> Holding:
    """Start a holder, and return when it holds the lock."""
    log = directory / "holder.log"
    log.write_text("")
    settings = {
        "url": store.url,
        "options": dict(store.args),
        "log": str(log),
        "lease_seconds": lease_seconds,
        "run_id": "run-1",
        "identity": "manual",
        "environment": ENVIRONMENT,
        "resource": RESOURCE,
        "seconds": 600,
        **claim,
    }
    environment = clean_environment(directory / "home", {"PYTHONPATH": os.pathsep.join(sys.path)})
    child = Child([sys.executable, "-m", "harness.lock_holder", json.dumps(settings)], env=environment, cwd=directory)
    holding = Holding(controller=child, worker=_worker(child.pid), log=log)
    holding.wait_for("held")
    return holding


def _worker(controller: int) -> psutil.Process:
    return until(psutil.Process(controller).children)[0]


def main() -> None:
    """The controller, or with ``worker`` as second argument the worker."""
    if sys.argv[2:] == ["worker"]:
        _work(json.loads(sys.argv[1]))
        return
    subprocess.run(
        [sys.executable, "-m", "harness.lock_holder", sys.argv[1], "worker"], start_new_session=True, check=False
    )


def _work(settings: dict[str, Any]) -> None:
    clock = Clock()
    controller = Controller.find(clock)
    context = Context(
        module="postgres_backup",
        check_mode=False,
        run_id=settings["run_id"],
        redactor=Redactor(),
        clock=clock,
        controller=controller,
        tmpdir="/nonexistent",
    )
    with controller, Path(settings["log"]).open("a", buffering=1) as log:
        try:
            _hold(settings, context, lambda line: log.write(f"{line}\n"))
        except RunbookError as failure:
            log.write(f"failed {failure.code}\n")


def _hold(settings: dict[str, Any], context: Context, say: Any) -> None:
    store = open_store(settings["options"], settings["url"], context)
    with ExitStack() as held:
        context.leases = acquire_all(
            store,
            environment=settings["environment"],
            resources=[settings["resource"]],
            identity=settings["identity"],
            target="main",
            context=context,
            held=held,
            lease_seconds=settings["lease_seconds"],
        )
        say("held")
        end = time.monotonic() + settings["seconds"]
        while time.monotonic() < end:
            context.effect("work")
            say("effect")
            time.sleep(0.1)
    say("released")


if __name__ == "__main__":
    main()
