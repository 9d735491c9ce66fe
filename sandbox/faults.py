# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that spoils chosen requests between an S3 client and its server, for tests.

    with FaultProxy(sandbox.s3.endpoint_url) as proxy:
        proxy.rules.append(Fault(action="s3:UploadPart", skip=2, times=1, status=503))
        ...  # a client of proxy.endpoint_url: its third part is answered with 503, once
        assert proxy.count(action="s3:UploadPart", status=503) == 1

Requests are passed on as they are, their ``Host`` header included, so that a signature that the client made for the
proxy's address stays valid. Bodies stream through in both directions.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

#: How much of a body is held at a time, in bytes.
PIECE = 64 * 1024

#: Headers that concern one connection only; the proxy makes its own. ``Expect`` is answered by the proxy.
HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "upgrade", "expect"})

#: S3's error codes for the statuses that tests ask for.
S3_CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 500: "InternalError", 503: "SlowDown"}


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to which requests.

    Which: those that match all of the given criteria, without the first ``skip`` of them, and then ``times`` of them
    (None: all). Of several rules the first that matches applies.

    Args:
        method: A regular expression for the whole method.
        path: A regular expression that is searched in path and query.
        action: The S3 action, such as ``s3:PutObject``; see :func:`s3_action`.
        skip: How many matching requests pass unharmed first.
        times: How many matching requests are spoilt after those.
        delay: Wait before anything else, in seconds.
        status: Answer with this status and do not ask the server.
        code: The code in the S3 error document of that answer; by default the usual one of the status.
        rate: Let bodies through at this many bytes per second, in both directions.
        cut_request: Drop the connection after this many bytes of the request's body; the server sees it dropped too.
        cut_response: Carry the request out, then drop the connection after this many bytes of the response's body.
            0 drops the whole response: the client does not learn what happened.
        truncate: End the response's body after this many bytes as if that were all of it.
        strip_headers: Remove these headers from the request, such as ``If-None-Match`` for a store without conditional
            writes.
        page: Have the server answer a list with at most this many keys at a time.
    """

    method: str = ".*"
    path: str = ""
    action: str | None = None
    skip: int = 0
    times: int | None = None
    delay: float = 0
    status: int | None = None
    code: str | None = None
    rate: float | None = None
    cut_request: int | None = None
    cut_response: int | None = None
    truncate: int | None = None
    strip_headers: tuple[str, ...] = ()
    page: int | None = None
    #: How many requests have matched.
    seen: int = field(default=0, init=False)

    def matches(self, method: str, target: str) -> bool:
        """Whether a request fulfils the criteria, whatever their number."""
        return (
            re.fullmatch(self.method, method) is not None
            and re.search(self.path, target) is not None
            and self.action in (None, s3_action(method, target))
        )

    def takes(self, method: str, target: str) -> bool:
        """Count a request, and say whether it is one to be spoilt."""
        if not self.matches(method, target):
            return False
        self.seen += 1
        return self.skip < self.seen and (self.times is None or self.seen <= self.skip + self.times)


#: Passes everything on.
NO_FAULT = Fault()


@dataclass(slots=True, kw_only=True)
class Request:
    """One request that came by."""

    method: str
    target: str
    #: See :func:`s3_action`.
    action: str
    #: What the client got, known before the client knows it; 0 where its connection was dropped instead.
    status: int = 0
    #: How much of the request's body was passed on, and of the response's, in bytes.
    sent: int = 0
    received: int = 0


def deny(action: str) -> Fault:
    """Refuse an S3 action as a policy would."""
    return Fault(action=action, status=403)


def without_conditional_writes() -> Fault:
    """Make the store one that writes whatever the conditions of a request say."""
    return Fault(method="PUT|POST", strip_headers=("If-None-Match", "If-Match"))


def s3_action(method: str, target: str) -> str:
    """The S3 action of a request with the bucket in its path, by the name that clients give the operation.

    Policies know fewer names than clients: what they call ``s3:PutObject`` is here also ``s3:UploadPart``,
    ``s3:CreateMultipartUpload`` and ``s3:CompleteMultipartUpload``. Empty for a request that is none of those listed.
    """
    parts = urlsplit(target)
    bucket, _slash, key = parts.path.lstrip("/").partition("/")
    place = "object" if key else "bucket" if bucket else "service"
    query = parse_qs(parts.query, keep_blank_values=True)
    for level, verb, parameter, action in ACTIONS:
        if level == place and verb == method and (parameter is None or parameter in query):
            return f"s3:{action}"
    return ""


#: Level, method, the query parameter that tells the action (None: any), and the action; the first match counts.
ACTIONS = (
    ("object", "PUT", "uploadId", "UploadPart"),
    ("object", "PUT", "retention", "PutObjectRetention"),
    ("object", "PUT", "tagging", "PutObjectTagging"),
    ("object", "PUT", None, "PutObject"),
    ("object", "POST", "uploads", "CreateMultipartUpload"),
    ("object", "POST", "uploadId", "CompleteMultipartUpload"),
    ("object", "DELETE", "uploadId", "AbortMultipartUpload"),
    ("object", "DELETE", None, "DeleteObject"),
    ("object", "GET", "uploadId", "ListParts"),
    ("object", "GET", "retention", "GetObjectRetention"),
    ("object", "GET", "legal-hold", "GetObjectLegalHold"),
    ("object", "GET", None, "GetObject"),
    ("object", "HEAD", None, "HeadObject"),
    ("bucket", "GET", "uploads", "ListMultipartUploads"),
    ("bucket", "GET", "versions", "ListObjectVersions"),
    ("bucket", "GET", "location", "GetBucketLocation"),
    ("bucket", "GET", "versioning", "GetBucketVersioning"),
    ("bucket", "GET", "object-lock", "GetObjectLockConfiguration"),
    ("bucket", "GET", "list-type", "ListObjectsV2"),
    ("bucket", "GET", None, "ListObjects"),
    ("bucket", "POST", "delete", "DeleteObjects"),
    ("bucket", "HEAD", None, "HeadBucket"),
    ("bucket", "PUT", None, "CreateBucket"),
    ("bucket", "DELETE", None, "DeleteBucket"),
    ("service", "GET", None, "ListBuckets"),
)


class FaultProxy:
    """An HTTP proxy for one upstream server on a free port of 127.0.0.1, with a thread for each connection.

    Args:
        upstream: The URL of the server, such as ``http://127.0.0.1:4566``.

    ``rules`` may be changed at any time; ``requests`` has every request that came, in that order.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"the upstream of a fault proxy must be an http:// URL, not {upstream!r}")
        self.upstream = (parts.hostname, parts.port or 80)
        self.rules: list[Fault] = []
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def endpoint_url(self) -> str:
        """What clients take for the server's URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, *, method: str = ".*", path: str = "", action: str | None = None, status: int | None = None) -> int:
        """How many requests fulfil all of the given criteria; those of :class:`Fault`, and the status they got."""
        wanted = Fault(method=method, path=path, action=action)
        with self._lock:
            return sum(
                wanted.matches(request.method, request.target) and status in (None, request.status)
                for request in self.requests
            )

    def admit(self, request: Request) -> Fault:
        """Note a request, and return the rule that it is subject to."""
        with self._lock:
            self.requests.append(request)
            return next((rule for rule in self.rules if rule.takes(request.method, request.target)), NO_FAULT)

    def _handler(self) -> Callable[..., BaseHTTPRequestHandler]:
        return lambda connection, address, server: _Handler(self, connection, address, server)


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    # A test that has ended does not wait for clients that keep their connections.
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what this is for: nothing is printed."""


class _Dropped(Exception):
    """The connection is to end here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A response goes out in several pieces, which must not wait for each other.
    disable_nagle_algorithm = True

    def __init__(self, proxy: FaultProxy, connection: socket.socket, address: tuple[str, int], server: _Server) -> None:
        self.proxy = proxy
        super().__init__(connection, address, server)

    def log_message(self, format: str, *args: object) -> None:
        """The proxy keeps its own record."""

    def answer(self) -> None:
        """Serve one request."""
        self.current = Request(method=self.command, target=self.path, action=s3_action(self.command, self.path))
        self.fault = self.proxy.admit(self.current)
        try:
            time.sleep(self.fault.delay)
            self._refuse() if self.fault.status is not None else self._pass_on()
        except (OSError, http.client.HTTPException, _Dropped):
            self._drop()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = answer  # noqa: N815 - names that the library wants

    def _drop(self) -> None:
        """End the client's connection in the middle of whatever it waits for."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self) -> None:
        """Answer in the server's place, after the request was read: a client that still writes would not see it."""
        for _piece in self._request_body():
            continue
        status = self.fault.status or 500
        code = self.fault.code or S3_CODES.get(status, "InternalError")
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(code)}</Code><Message>made by the fault proxy</Message>"
            f"<Resource>{escape(self.path)}</Resource><RequestId>0</RequestId></Error>"
        ).encode()
        self._start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        if self.command != "HEAD":
            self.wfile.write(body)

    def _pass_on(self) -> None:
        upstream = http.client.HTTPConnection(*self.proxy.upstream, timeout=300)
        try:
            self._send_request(upstream)
            self._send_response(upstream.getresponse())
        finally:
            upstream.close()

    def _send_request(self, upstream: http.client.HTTPConnection) -> None:
        stripped = {name.lower() for name in self.fault.strip_headers} | HOP_BY_HOP
        page = self.fault.page if "max-keys=" not in self.path else None
        target = self.path if page is None else f"{self.path}&max-keys={page}"
        upstream.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in stripped:
                upstream.putheader(name, value)
        upstream.endheaders()
        chunked = self._is_chunked()
        for piece in _limited(self._request_body(), self.fault.cut_request, self.fault.rate):
            self.current.sent += len(piece)
            upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            upstream.send(b"0\r\n\r\n")

    def _is_chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def _request_body(self) -> Iterator[bytes]:
        if self._is_chunked():
            yield from self._chunks()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read1(min(PIECE, left))
            if not piece:
                raise _Dropped
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := self._chunk_size():
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue  # trailers

    def _chunk_size(self) -> int:
        line = self.rfile.readline()
        if not line:
            raise _Dropped
        return int(line.split(b";")[0], 16)

    def _send_response(self, response: http.client.HTTPResponse) -> None:
        if self.fault.cut_response == 0:
            raise _Dropped
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP]
        if self.fault.truncate is not None:
            # Without a length the body ends with the connection.
            headers = [item for item in headers if item[0].lower() not in ("content-length", "transfer-encoding")]
            headers.append(("Content-Length", str(self._truncated_length(response))))
        self._start_response(response.status, headers)
        chunked = self.fault.truncate is None and response.chunked
        for piece in _limited(self._response_body(response), self.fault.cut_response, self.fault.rate):
            self.current.received += len(piece)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif response.length is None and self.command != "HEAD":
            self.close_connection = True

    def _truncated_length(self, response: http.client.HTTPResponse) -> int:
        wanted = self.fault.truncate or 0
        return wanted if response.length is None else min(wanted, response.length)

    def _response_body(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        left = None if self.fault.truncate is None else self._truncated_length(response)
        while left != 0 and (piece := response.read1(PIECE if left is None else min(PIECE, left))):
            left = None if left is None else left - len(piece)
            yield piece

    def _start_response(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.current.status = status
        # Not send_response, which would add a server name and a date to the server's own.
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()


def _limited(pieces: Iterator[bytes], cut: int | None, rate: float | None) -> Iterator[bytes]:
    """The pieces at a rate in bytes per second, up to a number of bytes at which the connection is dropped."""
    passed = 0
    for piece in pieces:
        for part in _parts(piece, rate):
            if cut is not None and passed + len(part) >= cut:
                if cut > passed:
                    yield part[: cut - passed]
                raise _Dropped
            yield part
            passed += len(part)
            if rate is not None:
                time.sleep(len(part) / rate)


def _parts(piece: bytes, rate: float | None) -> Iterator[bytes]:
    """A piece, cut so that each part takes a tenth of a second at the rate, however large the piece was."""
    size = PIECE if rate is None else max(1, min(PIECE, int(rate / 10)))
    for start in range(0, len(piece), size):
        yield piece[start : start + size]
