# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request and its answer (private to ops.runbooks), bounded in time and memory whatever the other side does.

On the standard library's own client: it shows the certificate, and the socket can be shut from outside, which ends even
an answer that trickles in byte by byte. Connections are direct and kept for the next request.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import SplitResult, urljoin, urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.version import VERSION
from ansible_collections.ops.runbooks.plugins.module_utils._probe.model import Answer, Probe

#: Bytes of an answer that are kept for what is expected of it; the rest is read and thrown away, up to so many.
KEPT, READ = 1024 * 1024, 64 * 1024 * 1024
_PIECE = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)


class Line:
    """One connection at a time; asks one request after the other."""

    def __init__(self, *, timeout: float, ca_cert: str | None = None) -> None:
        self._timeout = timeout
        self._tls = ssl.create_default_context(cafile=ca_cert)
        self._connection: http.client.HTTPConnection | None = None
        self._at: tuple[str, str, int] | None = None

    def ask(self, probe: Probe) -> Answer:
        """The answer, after as many redirects as the probe allows; what goes wrong is the answer's ``error``."""
        began = time.monotonic()
        url, secret = probe.url, dict(probe.secret_headers)
        for _hop in range(probe.redirects + 1):
            answer = self._request(probe, url, secret, began)
            place = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or not place or _hop == probe.redirects:
                return answer
            before, url = urlsplit(url), urljoin(url, place)
            after = urlsplit(url)
            if after.scheme not in ("http", "https"):
                return Answer(seconds=answer.seconds, error="it is redirected to something that is no web address")
            if (after.scheme, after.netloc) != (before.scheme, before.netloc):
                secret = {}
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request(self, probe: Probe, url: str, secret: Mapping[str, str], began: float) -> Answer:
        parts = urlsplit(url)
        left = self._timeout - (time.monotonic() - began)
        if left <= 0:
            return Answer(seconds=time.monotonic() - began, error=f"no answer within {self._timeout:g} s")
        kept = self._connection is not None and self._at == _place(parts)
        try:
            with self._watched(parts, left) as (connection, late):
                try:
                    answer = self._exchange(connection, probe, parts, secret, began)
                    if late.is_set():
                        # A socket that was shut from outside looks like the end of an answer without a length.
                        raise TimeoutError
                    return answer
                except (OSError, http.client.HTTPException) as error:
                    self.close()
                    again = kept and not late.is_set() and isinstance(error, _CLOSED)
                    if not again:
                        return Answer(seconds=time.monotonic() - began, error=self._why(error, late.is_set()))
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(seconds=time.monotonic() - began, error=self._why(error, isinstance(error, TimeoutError)))
        # A connection that was kept may have been closed by the other side meanwhile, which is nobody's failure.
        return self._request(probe, url, secret, began)

    @contextmanager
    def _watched(self, parts: SplitResult, left: float) -> Iterator[tuple[http.client.HTTPConnection, threading.Event]]:
        """A connection whose socket is shut when the time is over, and whether that has happened."""
        late = threading.Event()
        connection = self._connected(parts, left)

        def shut() -> None:
            late.set()
            if connection.sock is not None:
                try:
                    connection.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    connection.close()

        watchdog = threading.Timer(left, shut)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield connection, late
        finally:
            watchdog.cancel()

    def _connected(self, parts: SplitResult, left: float) -> http.client.HTTPConnection:
        if self._connection is not None and self._at == _place(parts):
            if self._connection.sock is not None:
                self._connection.sock.settimeout(left)
            return self._connection
        self.close()
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            made: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=left, context=self._tls)
        else:
            made = http.client.HTTPConnection(host, port, timeout=left)
        made.connect()
        self._connection, self._at = made, _place(parts)
        return made

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        probe: Probe,
        parts: SplitResult,
        secret: Mapping[str, str],
        began: float,
    ) -> Answer:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": f"ops.runbooks/{VERSION}", "Accept": "*/*", **probe.headers, **secret}
        expires = _expires(connection)
        connection.request(probe.method, target, body=probe.body, headers=headers)
        response = connection.getresponse()
        kept, size = bytearray(), 0
        while piece := response.read1(_PIECE):
            size += len(piece)
            kept += piece[: max(0, KEPT - len(kept))]
            if size > READ:
                self.close()
                break
        if size <= READ and response.length:
            raise http.client.IncompleteRead(b"", response.length)
        # An answer without a body counts as unread otherwise, and nothing more could be asked on this connection.
        response.close()
        if response.will_close:
            self.close()
        return Answer(
            seconds=time.monotonic() - began,
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=bytes(kept),
            cut=size > len(kept),
            tls_expires=expires,
        )

    def _why(self, error: Exception, late: bool) -> str:
        """A clause without the text of an exception, which may hold anything."""
        if late or isinstance(error, TimeoutError):
            return f"no answer within {self._timeout:g} s"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({error.verify_message})"
        if isinstance(error, ssl.SSLError):
            return "no TLS connection could be made"
        if isinstance(error, socket.gaierror):
            return "its name is not known"
        if isinstance(error, ConnectionRefusedError):
            return "nothing answers there"
        if isinstance(error, http.client.IncompleteRead):
            return "the connection broke in the middle of the answer"
        if isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
            return "the connection broke before the answer"
        return f"the answer could not be read ({type(error).__name__})"


#: What a connection raises that the other side has closed while it was not used.
_CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, http.client.CannotSendRequest)


def _place(parts: SplitResult) -> tuple[str, str, int]:
    return (parts.scheme, parts.hostname or "", parts.port or 0)


def _expires(connection: http.client.HTTPConnection) -> float | None:
    """When the certificate ends, in seconds since 1970; None without TLS."""
    if not isinstance(connection.sock, ssl.SSLSocket):
        return None
    found = (connection.sock.getpeercert() or {}).get("notAfter")
    return ssl.cert_time_to_seconds(found) if isinstance(found, str) else None
