# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every server of the sandbox has in common."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from sandbox import processes
from sandbox.errors import SandboxError

#: The checkout, which holds the environments with the servers' binaries.
CHECKOUT = Path(__file__).resolve().parent.parent

#: What is remembered about a server: kept in the state file, read by the inventory.
Facts = Mapping[str, str | int]

#: How long a server may take until it answers, in seconds; much longer than it needs, for machines under load.
START_TIMEOUT = 90

#: How long a server that runs is asked again when it does not answer, in seconds, and how long an answer may take: a
#: busy server is not to be taken for one that hangs and restarted under its clients.
PATIENCE = 1
ANSWER_TIMEOUT = 30

#: How long an orderly end may take, in seconds.
STOP_TIMEOUT = 30

#: A port that was free may be taken by another process before the server has it.
START_ATTEMPTS = 3


class Service(ABC):
    """One server on 127.0.0.1 with all that it keeps in one directory.

    A subclass says how to launch it, which processes are its own, when it answers, and how to end it politely.
    Processes are recognised by what they are and where they work, never by a recorded pid: that survives a lost state
    file, and a pid that went to another process deceives nobody.
    """

    #: The name in the state file and for people.
    name: str

    host = "127.0.0.1"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = processes.free_port()
        self._child: subprocess.Popen[bytes] | None = None

    def recall(self, facts: Facts) -> None:
        """Take over what an earlier start has chosen."""
        self.port = int(facts.get("port", self.port))

    @property
    def log(self) -> Path:
        """Where the server's output goes."""
        return self.directory / "server.log"

    @abstractmethod
    def require_installed(self) -> None:
        """Raise SandboxError where the server's programs are missing."""

    @abstractmethod
    def facts(self) -> Facts:
        """Everything that a client needs, and that the next start must know."""

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """The same as environment variables."""

    @abstractmethod
    def belongs(self, process: psutil.Process) -> bool:
        """Whether a process is one of this server's."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether clients are served."""

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the server, after everything it needs was made or put right."""

    def _prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """Set up what must be there once the server answers."""

    def _ask_to_stop(self, process: psutil.Process) -> None:
        """End the server's main process in an orderly way."""
        process.terminate()

    def processes(self) -> list[psutil.Process]:
        """The live processes of this server."""
        return processes.find(self.belongs)

    def start(self) -> bool:
        """Make the server run and answer, whatever state it was left in; False when it did already.

        Raises:
            SandboxError: It cannot be started.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        if self.processes() and processes.wait_until(self.answers, seconds=PATIENCE):
            self._prepare()
            return False
        # What is left is the rest of a killed server, or one that hangs.
        self.stop()
        for _attempt in range(START_ATTEMPTS):
            self._settle_port()
            self._child = self._launch()
            if self._wait():
                self._prepare()
                return True
            if processes.is_free(self.port):
                break
        self.stop()
        raise SandboxError(f"{self.name} did not start; {self.log} ends with:\n{processes.last_lines(self.log)}")

    def _settle_port(self) -> None:
        """Keep the port unless somebody else has it; a server that was just killed needs a moment to give it back."""
        if not processes.wait_until(lambda: processes.is_free(self.port), seconds=2):
            self.port = processes.free_port()

    def _wait(self) -> bool:
        """Wait until the launched server answers; False when it ended or took too long."""
        child = self._child
        processes.wait_until(lambda: self.answers() or _ended(child), seconds=START_TIMEOUT)
        return not _ended(child) and self.answers()

    def stop(self) -> bool:
        """End every process of this server; False when there was none."""
        found = self.processes()
        for process in processes.roots(found):
            with suppress(psutil.NoSuchProcess):
                self._ask_to_stop(process)
        if found and not self._gone(seconds=STOP_TIMEOUT):
            processes.kill(self.processes())
            self._gone(seconds=STOP_TIMEOUT)
        if self._child is not None:
            self._child.wait()
            self._child = None
        return bool(found)

    def _gone(self, *, seconds: float) -> bool:
        return processes.wait_until(lambda: not self.processes(), seconds=seconds)


def _ended(child: subprocess.Popen[bytes] | None) -> bool:
    return child is not None and child.poll() is not None


def flag(name: str, *, given: bool | None) -> bool:
    """A setting from the caller or else from an environment variable, where ``1`` means yes."""
    return os.environ.get(name, "") == "1" if given is None else given
