# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Child processes of tests: a clean environment, a group of their own, a time limit, nothing left behind."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from harness.paths import COLLECTIONS

#: Every child inherits this, and so does what it leaves behind, whatever session or group that has fled to.
MARK = f"HARNESS_{secrets.token_hex(6)}"

Answer = TypeVar("Answer")


def until(question: Callable[[], Answer], seconds: float = 120, *, pause: float = 0.02) -> Answer:
    """The first answer that is true, such as that a child has come to where it is to be killed; fails without one."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, f"it did not come to that within {seconds:g} s"
        time.sleep(pause)
    return answer


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment that holds nothing of the developer's: no AWS_*, no PG*, no ANSIBLE_*, no DATABASE_URL.

    ``home`` (made where missing) takes what ansible keeps between tasks. ``extra`` is laid over it.
    """
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_LOCAL_TEMP": str(home / ".ansible" / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(home / ".ansible" / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_NOCOLOR": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        MARK: "1",
    }
    environment.update(extra or {})
    return environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A child that has ended. ``status`` is negative where a signal ended it."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Everything that a person would have seen."""
        return self.stdout + self.stderr


class Child:
    """A started child, in a session of its own so that it and what it starts can be killed as one."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: str | None = None) -> None:
        self.argv = tuple(argv)
        self._stdin = stdin
        self.process = subprocess.Popen(
            self.argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        if stdin is not None and self.process.stdin is not None:
            # Arguments are far smaller than a pipe's buffer, so this does not wait for the reader.
            self.process.stdin.write(stdin)
            self.process.stdin.close()
            self.process.stdin = None

    @property
    def pid(self) -> int:
        """The child's process id, which is its group's too."""
        return self.process.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the child alone."""
        self.process.send_signal(number)

    def kill_group(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the child's whole group. Workers of ansible are in groups of their own."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def wait(self, timeout: float = 120) -> Finished:
        """Wait for the end; after ``timeout`` seconds the group is killed and ``TimeoutExpired`` raised."""
        try:
            stdout, stderr = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill_group()
            self.process.communicate()
            raise
        return Finished(argv=self.argv, status=self.process.returncode, stdout=stdout, stderr=stderr)


def left_behind(patience: float = 15) -> list[str]:
    """What still runs of all that was started, killed hereby; a killed run's module is given time to notice."""
    deadline = time.monotonic() + patience
    while (found := _marked()) and time.monotonic() < deadline:
        time.sleep(0.1)
    described = [f"{process.pid} {' '.join(_command(process))}" for process in found]
    for process in found:
        process.kill()
    return described


def _marked() -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _is_marked(process) and _command(process)]


def _is_marked(process: psutil.Process) -> bool:
    """Modules that were forked show the environment of whom they were forked from, whose command line has the mark."""
    if MARK in _environment(process):
        return True
    return any(MARK in word for word in _command(process)) and process.ppid() != os.getpid()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        # Somebody else's, or gone meanwhile.
        return {}


def _command(process: psutil.Process) -> list[str]:
    """Empty for what is gone, and for a zombie that waits for its parent."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
