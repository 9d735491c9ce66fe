# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sandbox as a whole: its directory, its lock, its state file, its servers."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.errors import SandboxError
from sandbox.github.service import GitHubServer
from sandbox.postgres import PostgresServer
from sandbox.s3 import S3Server
from sandbox.service import CHECKOUT, Service
from sandbox.vercel.service import VercelServer

#: The version of the state file's form.
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a server is doing."""

    name: str
    running: bool
    address: str


class Sandbox:
    """Servers with everything they keep in one directory; several sandboxes do not disturb each other.

    Args:
        directory: Default: ``RUNBOOKS_SANDBOX_DIR``, else ``.sandbox`` in the checkout.
        postgres: The major version of PostgreSQL: 18 or 15.
        s3: Whether there is an S3 server; False saves its memory where a test needs only a database.
        stand_ins: Whether there are stand-ins for the services that an application lives on: Vercel and GitHub.
        durable, log_statements: See :class:`PostgresServer`.

    As a context manager it is started, and stopped at the end.
    """

    def __init__(
        self,
        directory: Path | str | None = None,
        *,
        postgres: str = "18",
        s3: bool = True,
        stand_ins: bool = False,
        durable: bool | None = None,
        log_statements: bool | None = None,
    ) -> None:
        self.directory = Path(directory or default_directory()).resolve()
        self.postgres = PostgresServer(
            self.directory / "postgres", version=postgres, durable=durable, log_statements=log_statements
        )
        self.s3 = S3Server(self.directory / "s3")
        self.vercel = VercelServer(self.directory / "vercel")
        self.github = GitHubServer(self.directory / "github")
        #: By their names in the state file.
        self._services: dict[str, Service] = {"postgres": self.postgres}
        if s3:
            self._services["s3"] = self.s3
        if stand_ins:
            self._services |= {"vercel": self.vercel, "github": self.github}
        self._recall()

    @property
    def state_file(self) -> Path:
        """The servers' addresses and passwords; readable by its owner only."""
        return self.directory / "state.json"

    def up(self) -> bool:
        """Make every server run; False when all did already.

        Raises:
            SandboxError: One of them cannot be started.
        """
        for service in self._services.values():
            service.require_installed()
        with self._locked(), ThreadPoolExecutor() as pool:
            try:
                return any(list(pool.map(lambda service: service.start(), self._services.values())))
            finally:
                # Also when one of several did not start: the others run and must be found by their users.
                pool.shutdown()
                self._write_state()

    def down(self) -> bool:
        """End every process of the sandbox; False when there was none."""
        everything = (self.postgres, self.s3, self.vercel, self.github)
        # Where the directory was removed under running servers there is nothing to lock, and yet something to stop.
        with self._locked() if self.directory.exists() else nullcontext(), ThreadPoolExecutor() as pool:
            return any(list(pool.map(lambda service: service.stop(), everything)))

    def status(self) -> list[Condition]:
        """Which servers answer, and where."""
        return [
            Condition(
                name=service.name,
                running=bool(service.processes()) and service.answers(),
                address=f"{service.host}:{service.port}",
            )
            for service in self._services.values()
        ]

    @property
    def running(self) -> bool:
        """Whether every server answers."""
        return all(condition.running for condition in self.status())

    def variables(self) -> dict[str, str]:
        """Environment variables for clients: addresses, credentials and the client programs' directory."""
        found = {"RUNBOOKS_SANDBOX_DIR": str(self.directory)}
        for service in self._services.values():
            found |= service.variables()
        return found

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            # Also at Ctrl-C: nothing may be left running.
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time start or stop; the lock falls when its holder ends, however that is.

        What another process has chosen meanwhile is taken over.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        # A server that runs under another account must get through; nobody else has anything to list here.
        self.directory.chmod(0o711)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._recall()
            yield

    def _recall(self) -> None:
        state = read_state(self.state_file)
        for name, service in self._services.items():
            if name in state:
                service.recall(state[name])

    def _write_state(self) -> None:
        state = {"schema": SCHEMA, **{name: service.facts() for name, service in self._services.items()}}
        # A temporary file has mode 0600.
        with tempfile.NamedTemporaryFile("w", dir=self.directory, prefix="state.", delete=False) as file:
            json.dump(state, file, indent=2)
        Path(file.name).replace(self.state_file)


def default_directory() -> Path:
    """Where a sandbox lives unless the caller says otherwise."""
    return Path(os.environ.get("RUNBOOKS_SANDBOX_DIR") or CHECKOUT / ".sandbox")


def read_state(path: Path) -> dict[str, Any]:
    """The state file's content; nothing where it is missing or damaged, because a start makes it anew.

    Raises:
        SandboxError: It was written by a newer version of the sandbox.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(state, dict):
        return {}
    if state.get("schema") != SCHEMA:
        raise SandboxError(f"{path} was written by another version of the sandbox: remove {path.parent}.")
    return state
