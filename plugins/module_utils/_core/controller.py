# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process that a module works for (private to ops.runbooks): finding it, and ending when it has ended.

ansible's workers detach themselves: ``kill -9`` of ``ansible-playbook`` leaves its worker, and so the module, running
with nobody to tell the result to. A run that a person believes dead must not go on writing, least of all beside its
successor. What the tree looks like (measured with ansible-core 2.19 and 2.21, with and without pipelining)::

    ansible-playbook            the controller
      ansible-playbook          its worker: same command line, leader of a session of its own
        sh -c, sh -c            with become: sudo, which may open another session
          python                the module

Over SSH the leader of the session is the login shell and its parent is sshd. Under ``async`` the worker's place is
taken by a process that has detached on purpose; the job then belongs to the topmost of its own processes.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Protocol, Self

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock

#: Seconds between two looks at the controller, and between asking children to end and killing them. Together with a
#: look's own cost they stay below the two seconds in which a module promises to be gone.
_POLL = 0.5
_GRACE = 0.5
_LINUX: bool = sys.platform.startswith("linux")
#: File descriptor of standard output, where ansible reads the result from.
_STDOUT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of the process table. ``pid`` and ``started`` together are never given out twice in one boot."""

    pid: int
    parent: int
    started: str
    argv: tuple[str, ...]

    @property
    def program(self) -> str:
        """The name of what runs: of the script or module where the process is a Python."""
        words = iter(os.path.basename(word) for word in self.argv)
        name = next(words, "")
        if not name.startswith("python"):
            return name
        for word in words:
            if word in ("-W", "-X"):
                next(words, "")
            elif not word.startswith("-"):
                return word
        return name

    @property
    def is_ansible(self) -> bool:
        """Whether it is one of ansible's own commands, such as ``ansible-playbook``, or a worker of one."""
        return self.program.startswith("ansible")


class ProcessTable(Protocol):
    """The system's processes, as far as this user may see them."""

    def look(self, pid: int) -> Process | None:
        """One process; None where it is gone, a zombie, or hidden."""


class ProcTable:
    """Linux: ``/proc/<pid>/stat`` (proc(5)): state is field 3, parent 4, start time 22 in ticks since boot."""

    def look(self, pid: int) -> Process | None:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            argv = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # Field 2, the name, may hold blanks and parentheses; nothing after the last one does.
        fields = stat.rpartition(")")[2].split()
        if fields[0] in ("Z", "X"):
            return None
        return Process(pid=pid, parent=int(fields[1]), started=fields[19], argv=tuple(argv.rstrip("\0").split("\0")))


class PsTable:
    """Elsewhere: ``ps`` (POSIX names; ``lstart`` is the start time on macOS, the BSDs and Linux;
    ``-ww`` keeps it from cutting lines at the width of a terminal that is not there)."""

    def look(self, pid: int) -> Process | None:
        from ansible_collections.ops.runbooks.plugins.module_utils._core.process import ask

        # A time in the C locale has five words: Fri Nov 20 02:00:00 2026.
        words = ask(["ps", "-ww", "-o", "ppid=,stat=,lstart=,args=", "-p", str(pid)]).split()
        if len(words) < 7 or words[1].startswith("Z"):
            return None
        return Process(pid=pid, parent=int(words[0]), started=" ".join(words[2:7]), argv=tuple(words[7:]))


def process_table() -> ProcessTable:
    """The way to see processes on this system."""
    return ProcTable() if _LINUX else PsTable()


def find_controller(table: ProcessTable, *, pid: int, session: int) -> Process | None:
    """The process that the module ``pid`` works for; None where there is none to be seen.

    ``session`` is the pid of its session's leader. Raises ``controller_gone`` where its worker is an orphan already.
    """
    ancestors = list(_ancestors(table, pid))
    for worker in ancestors:
        if worker.is_ansible:
            parent = table.look(worker.parent)
            if parent is None or not parent.is_ansible:
                raise controller_gone("start")
            return parent
    leader = table.look(session)
    if leader is None:
        return ancestors[-1] if ancestors else None
    return table.look(leader.parent) or (leader if leader.pid != pid else None)


def _ancestors(table: ProcessTable, pid: int) -> Iterator[Process]:
    """Parents from the nearest to the farthest that can be seen, without the system's first process."""
    process = table.look(pid)
    while process is not None and process.parent > 1:
        process = table.look(process.parent)
        if process is not None:
            yield process


def controller_gone(what: str) -> RunbookError:
    """The failure of a module whose controller has ended; hardly anyone will read it."""
    return RunbookError(
        code="controller_gone",
        attempted=what,
        object="the module",
        reason="the ansible process that started it has ended",
        remedy="Run the same command again: it goes on from what the store says.",
    )


class Controller:
    """The controller of this module; inside its ``with`` block the module ends within two seconds of it.

    Children that are registered are ended first. The end is ``os._exit``: what a killed run leaves behind has to be
    survivable anyway, and whoever waits in a system call cannot be reached by an exception.
    """

    def __init__(self, process: Process | None, *, clock: Clock, table: ProcessTable) -> None:
        self.process = process
        self._clock = clock
        self._table = table
        self._children: set[int] = set()
        self._directories: list[str] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._heard = not _hung_up(_STDOUT)
        self._watcher = threading.Thread(target=self._watch, name="controller", daemon=True)

    @classmethod
    def find(cls, clock: Clock) -> Self:
        """The controller of the calling process. Raises ``controller_gone``."""
        table = process_table()
        return cls(find_controller(table, pid=os.getpid(), session=os.getsid(0)), clock=clock, table=table)

    def __enter__(self) -> Self:
        self.check("start")
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()

    def check(self, what: str) -> None:
        """Raise ``controller_gone`` where the controller has ended; ``what`` completes "could not ..."."""
        if self._ended():
            raise controller_gone(what)

    def register(self, pid: int) -> None:
        """Tie a process group to this module: it is killed when the controller ends."""
        with self._lock:
            self._children.add(pid)

    def unregister(self, pid: int) -> None:
        """Forget a process group that has ended."""
        with self._lock:
            self._children.discard(pid)

    def sweep_at_end(self, directory: str) -> None:
        """Remove a directory, temporary files in it, where the module is ended because its controller has ended."""
        self._directories.append(directory)

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Names this controller among all that ever were; what a lease records of its holder."""
        return self._named(self.process or self._table.look(os.getpid()))

    @cached_property
    def module(self) -> Mapping[str, str | int]:
        """Names the module itself in the same way."""
        return self._named(self._table.look(os.getpid()))

    def _named(self, process: Process | None) -> Mapping[str, str | int]:
        return {
            **_machine(),
            "pid": process.pid if process else os.getpid(),
            "started": process.started if process else "",
        }

    def gone(self, identity: Mapping[str, object]) -> bool:
        """Whether the process that ``identity`` names has provably ended: it ran in this boot of this machine.

        Anything less is no proof: images share machine ids, and another machine's processes cannot be seen.
        """
        mine = self.identity
        same = all(mine[key] and mine[key] == identity.get(key) for key in ("machine_id", "boot_id", "pid_namespace"))
        pid, started = identity.get("pid"), identity.get("started")
        if not same or not isinstance(pid, int) or not started:
            return False
        process = self._table.look(pid)
        return process.started != started if process is not None else not _exists(pid)

    def _ended(self) -> bool:
        if self._heard and _hung_up(_STDOUT):
            return True
        if self.process is None:
            return False
        now = self._table.look(self.process.pid)
        return now is None or now.started != self.process.started

    def _watch(self) -> None:
        while not self._stopped.wait(_POLL):
            if self._ended():
                self._end()

    def _end(self) -> NoReturn:
        from ansible_collections.ops.runbooks.plugins.module_utils._core.process import signal_group

        with self._lock:
            # The lock is kept: nothing is started any more.
            for number in (signal.SIGTERM, signal.SIGKILL):
                for pid in self._children:
                    signal_group(pid, number)
                if number is signal.SIGTERM and self._children:
                    time.sleep(_GRACE)
            for directory in self._directories:
                shutil.rmtree(directory, ignore_errors=True)
            os._exit(1)


def _hung_up(descriptor: int) -> bool:
    """Whether nobody reads what is written there any more (POLLERR, POLLHUP of poll(2)): the worker died, or sshd's
    connection ended. A plain file or a closed descriptor is no reader that went away."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _descriptor, event in poll.poll(0))


def _exists(pid: int) -> bool:
    """Whether there is a process of that number, hidden or not; a zombie has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return False


def boot() -> dict[str, str]:
    """This machine, and its present boot; what cannot be found out is ''."""
    if _LINUX:
        return {
            "machine_id": _line("/etc/machine-id") or _line("/var/lib/dbus/machine-id") or os.uname().nodename,
            "boot_id": _line("/proc/sys/kernel/random/boot_id"),
        }
    from ansible_collections.ops.runbooks.plugins.module_utils._core.process import ask

    return {
        "machine_id": os.uname().nodename,
        "boot_id": ask(["sysctl", "-n", "kern.bootsessionuuid"]).strip(),
    }


def _machine() -> dict[str, str]:
    """Machine, boot and process namespace; on systems other than Linux the last is the same for all."""
    return {**boot(), "pid_namespace": str(os.stat("/proc/self/ns/pid").st_ino) if _LINUX else "host"}


def _line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
