# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that forks itself for each run that it is handed (``harness.forked``), until its input ends."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness.forked import Request


def listen(path: str) -> socket.socket:
    """A socket at which runs are handed over."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


class Forks:
    """Those that run, each with the connection on which its end is waited for."""

    def __init__(self, path: str, run: Callable[[Request], None], takes: Callable[[Request], bool]) -> None:
        """In a fork of its own, ``run`` turns into a run; one that is not taken goes on by itself."""
        self._path = path
        self._run = run
        self._takes = takes
        self._listener = listen(path)
        self._running: dict[int, Request] = {}
        self._selector = selectors.DefaultSelector()
        self._bell = socket.socketpair()

    def serve(self) -> None:
        """Start what is handed over, tell of each end, and kill what nobody waits for any more."""
        for end in self._bell:
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._bell[1].fileno())
        for source, what in ((self._listener, "run"), (self._bell[0], "ended"), (sys.stdin, "over")):
            self._selector.register(source, selectors.EVENT_READ, what)
        while True:
            for key, _events in self._selector.select():
                if key.data == "run":
                    if (request := Request.taken(self._listener)) is not None:
                        self._start(request)
                elif key.data == "ended":
                    self._bell[0].recv(4096)
                    self._tell()
                elif key.data == "over":
                    for pid in self._running:
                        _kill(pid)
                    return
                else:
                    # Whoever handed it over says nothing: it has ended.
                    _kill(key.data)
                    self._selector.unregister(key.fileobj)

    def _start(self, request: Request) -> None:
        if not self._takes(request):
            request.refuse()
            request.close_streams()
            request.connection.close()
            return
        pid = os.fork()
        if pid == 0:
            self._leave()
            self._run(request)
        request.close_streams()
        self._running[pid] = request
        self._selector.register(request.connection, selectors.EVENT_READ, pid)

    def _leave(self) -> None:
        """In the fork: what belongs to this process alone."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._listener.close()
        for end in self._bell:
            end.close()
        for other in self._running.values():
            other.connection.close()
        # Who is killed is killed with its group.
        os.setsid()

    def _tell(self) -> None:
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                request = self._running.pop(pid)
                with suppress(KeyError):
                    self._selector.unregister(request.connection)
                # What it has put beside our socket goes with it.
                Path(f"{self._path}.{pid}").unlink(missing_ok=True)
                request.end(os.waitstatus_to_exitcode(status))
                request.connection.close()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
