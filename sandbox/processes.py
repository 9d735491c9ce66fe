# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server processes: started detached, found again without any record of them, and ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from sandbox.errors import SandboxError

#: The account that servers get where no user namespace can be made; it owns nothing else.
NOBODY = 65534

#: How often a condition is looked at while waiting for it, in seconds.
PAUSE = 0.05


def spawn(
    argv: Sequence[str], *, directory: Path, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that it outlives this process and its terminal.

    Its output goes to the end of ``log``; its working directory is ``directory``, by which it is found again.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def find(belongs: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """All live processes of this machine for which ``belongs`` holds; those that may not be examined are not ours."""
    return [process for process in psutil.process_iter() if _holds(belongs, process)]


def _holds(belongs: Callable[[psutil.Process], bool], process: psutil.Process) -> bool:
    try:
        # A zombie has ended; only its parent has not asked yet.
        return process.status() != psutil.STATUS_ZOMBIE and belongs(process)
    except psutil.Error:
        return False


def works_in(process: psutil.Process, directory: Path) -> bool:
    """Whether the process's working directory is ``directory``."""
    return Path(process.cwd()) == directory


def roots(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those whose parent is not among them, such as the postmaster among PostgreSQL's processes."""
    pids = {process.pid for process in processes}
    return [process for process in processes if _parent(process) not in pids]


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def kill(processes: Sequence[psutil.Process]) -> None:
    """End processes at once; returns before they are gone."""
    for process in processes:
        # psutil compares the start time first: a process that got the pid since is left alone.
        with suppress(psutil.NoSuchProcess):
            process.kill()


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait for a condition; False when it did not come about within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: connections that ended a moment ago do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, for an error message; empty where there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def unprivileged(argv: Sequence[str], *, owned: Path) -> list[str]:
    """The command under an account that is not root's, because PostgreSQL refuses to run as root.

    In a user namespace of its own the files stay root's and no account is needed. Where namespaces are forbidden (the
    default of some container engines), ``owned`` is handed to ``nobody``, who must then be able to reach it.
    """
    if os.geteuid() != 0:
        return list(argv)
    if not sys.platform.startswith("linux"):
        raise SandboxError("PostgreSQL refuses to run as root: run the sandbox as an ordinary user.")
    if _has_user_namespaces():
        return [*_NAMESPACE, *argv]
    _give_to_nobody(owned)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *argv]


_NAMESPACE = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]


@cache
def _has_user_namespaces() -> bool:
    try:
        return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _give_to_nobody(directory: Path) -> None:
    for path in _tree(directory):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def _tree(directory: Path) -> Iterator[Path]:
    yield directory
    yield from directory.rglob("*")
