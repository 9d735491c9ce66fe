# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection pooler in front of a real PostgreSQL, for tests of what must not go through one.

Like PgBouncer it speaks the protocol itself to its clients (whom it trusts) and lends them the server's sessions: for
one transaction each (``transaction``), for as long as the client stays (``session``). What the server says decides when
a transaction has ended. The last session returned is the first lent again, as PgBouncer does by default; ``fair`` lends
the one that has waited longest.
"""

from __future__ import annotations

import os
import queue
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

import psycopg

_SSL_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_PARAMETERS = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "integer_datetimes",
    "standard_conforming_strings",
    "TimeZone",
    "is_superuser",
    "session_authorization",
)


class Pooler:
    """A context manager; ``port`` is where it listens on 127.0.0.1."""

    def __init__(
        self, dsn: str, *, mode: Literal["transaction", "session"] = "transaction", size: int = 4, fair: bool = False
    ) -> None:
        self._dsn = dsn
        self._mode = mode
        self._free: queue.Queue[_Backend] = queue.Queue() if fair else queue.LifoQueue()
        self._backends = [_Backend(dsn) for _number in range(size)]
        for backend in self._backends:
            self._free.put(backend)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for backend in self._backends:
            backend.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        backend: _Backend | None = None
        with client, suppress(OSError, EOFError):
            try:
                if not self._greet(client):
                    return
                while (message := _read(client))[:1] != b"X":
                    backend = backend or self._lend()
                    backend.socket.sendall(message)
                    if message[:1] in (b"Q", b"S") and self._answer(backend, client) and self._mode == "transaction":
                        self._free.put(backend)
                        backend = None
            finally:
                if backend is not None:
                    backend.close()
                    self._free.put(backend)

    def _lend(self) -> _Backend:
        """A free session: a new one where the last client left in the middle of something."""
        backend = self._free.get()
        backend.open()
        return backend

    def _greet(self, client: socket.socket) -> bool:
        """Whether the client has come to stay: it may first ask for encryption, which there is none of."""
        while True:
            (length,) = struct.unpack("!i", _exactly(client, 4))
            (code,) = struct.unpack("!i", _exactly(client, length - 4)[:4])
            if code == _CANCEL_REQUEST:
                return False
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                break
            client.sendall(b"N")
        said = _message(b"R", struct.pack("!i", 0))
        for name, value in self._backends[0].parameters.items():
            said += _message(b"S", name.encode() + b"\0" + value.encode() + b"\0")
        client.sendall(said + _message(b"K", struct.pack("!ii", 1, 1)) + _message(b"Z", b"I"))
        return True

    @staticmethod
    def _answer(backend: _Backend, client: socket.socket) -> bool:
        """Pass the server's answer on, to its end; whether no transaction is open then."""
        while True:
            message = _read(backend.socket)
            client.sendall(message)
            if message[:1] == b"Z":
                return message[5:6] == b"I"


class _Backend:
    """One session with the server, logged in by psycopg, then spoken to byte by byte."""

    is_open = False

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.open()

    def open(self) -> None:
        """Log in, where that has not been done or the session has been closed since."""
        if self.is_open:
            return
        self._connection = psycopg.connect(self._dsn, autocommit=True, sslmode="disable")
        self.socket = socket.socket(fileno=os.dup(self._connection.pgconn.socket))
        self.socket.setblocking(True)
        status = self._connection.pgconn.parameter_status
        self.parameters = {name: (status(name.encode()) or b"").decode() for name in _PARAMETERS}

        self.is_open = True

    def close(self) -> None:
        self.is_open = False
        self.socket.close()
        self._connection.close()


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _read(source: socket.socket) -> bytes:
    head = _exactly(source, 5)
    (length,) = struct.unpack("!i", head[1:])
    return head + _exactly(source, length - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = source.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
