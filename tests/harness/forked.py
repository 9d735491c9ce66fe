# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of a program that are handed to a process which forks itself for each.

Whoever was started to run it passes on its command line, environment, directory and standard streams over a socket,
and ends as the fork ends. Both sides import nothing that takes time: one of them is there to save it. Who listens for
long is ``harness.forks``.
"""

from __future__ import annotations

import _socket
import marshal
import os
import signal
import sys
from typing import Any

_HEAD = 8
_REFUSED = b"refused"


def hand_over(path: str, argv: list[str]) -> int | None:
    """Have it run there; the exit status, negative for a signal, or nothing where nobody listens, or takes it."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        return None
    body = marshal.dumps((argv, dict(os.environ), os.getcwd()))
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)]
    connection.sendmsg([len(body).to_bytes(_HEAD, "big")], rights)
    connection.sendall(body)
    said = connection.recv(_HEAD)
    if said == _REFUSED:
        return None
    return int(said) if said else -signal.SIGKILL


class Request:
    """A run that was handed over, on the side of those who take it."""

    def __init__(self, connection: Any, streams: list[int], body: bytes) -> None:
        self.connection = connection
        self.streams = streams
        self.argv, self.environment, self.directory = marshal.loads(body)

    @classmethod
    def taken(cls, listener: Any) -> Request | None:
        """The next one; nothing where whoever had it was killed before all of it was handed over."""
        connection, _address = listener.accept()
        head, rights, _flags, _from = connection.recvmsg(_HEAD, _socket.CMSG_SPACE(3 * 4))
        numbers = b"".join(each for _level, _kind, each in rights)
        streams = [int.from_bytes(numbers[at : at + 4], sys.byteorder) for at in range(0, len(numbers), 4)]
        body, size = b"", int.from_bytes(head, "big")
        while len(body) < size and (piece := connection.recv(size - len(body))):
            body += piece
        if len(head) == _HEAD and len(body) == size:
            return cls(connection, streams, body)
        for each in streams:
            os.close(each)
        connection.close()
        return None

    def refuse(self) -> None:
        """Let whoever had it go on by itself."""
        self._tell(_REFUSED)

    def close_streams(self) -> None:
        """For a process that has no use for them: others wait for their end."""
        for descriptor in self.streams:
            os.close(descriptor)

    def become(self) -> None:
        """Take its streams, environment and directory; the connection stays until this process ends."""
        for number, descriptor in enumerate(self.streams):
            os.dup2(descriptor, number)
        self.close_streams()
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.directory)

    def end(self, status: int) -> None:
        """Tell how it ended."""
        self._tell(str(status).encode())

    def _tell(self, said: bytes) -> None:
        """Whoever handed it over has ended, it may be."""
        try:
            self.connection.sendall(said)
        except OSError:
            self.connection.close()
