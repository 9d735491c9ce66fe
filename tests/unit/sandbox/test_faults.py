# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fault proxy in front of a small HTTP server."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from sandbox.faults import Fault, FaultProxy, deny, s3_action, without_conditional_writes

BODY = bytes(range(256)) * 1024


class Upstream(BaseHTTPRequestHandler):
    """Remembers what came, and answers GET with BODY, in chunks where the path asks for them."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str], bytes]]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append((self.command, self.path, dict(self.headers), b""))
        self.send_response(200)
        if "chunked" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(BODY), 50_000):
                piece = BODY[start : start + 50_000]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


class UpstreamServer(ThreadingHTTPServer):
    """Not troubled by connections that are cut."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Upstream,), {"seen": []})
    with UpstreamServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def seen(upstream: ThreadingHTTPServer) -> list[tuple[str, str, dict[str, str], bytes]]:
    return upstream.RequestHandlerClass.seen


@pytest.fixture
def proxy(upstream: ThreadingHTTPServer) -> Iterator[FaultProxy]:
    with FaultProxy(f"http://127.0.0.1:{upstream.server_port}") as made:
        yield made


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(proxy.endpoint_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    yield connection
    connection.close()


def get(client: http.client.HTTPConnection, path: str = "/bucket/key") -> tuple[int, bytes]:
    client.request("GET", path)
    response = client.getresponse()
    return response.status, response.read()


def put(client: http.client.HTTPConnection, body: bytes, **headers: str) -> int:
    client.request("PUT", "/bucket/key", body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = client.getresponse()
    response.read()
    return response.status


@pytest.mark.parametrize("path", ["/bucket/key", "/bucket/chunked"])
def test_passes_bodies_on_unchanged(client, proxy, path) -> None:
    # Twice over one connection: the end of the first response is found.
    assert get(client, path) == (200, BODY)
    assert get(client, path) == (200, BODY)
    assert [request.received for request in proxy.requests] == [len(BODY)] * 2


def test_passes_uploads_on_with_the_host_that_the_client_signed(client, proxy, seen) -> None:
    assert put(client, BODY) == 200
    ((method, path, headers, body),) = seen
    assert (method, path, body) == ("PUT", "/bucket/key", BODY)
    assert headers["Host"] == urlsplit(proxy.endpoint_url).netloc
    assert proxy.requests[0].sent == len(BODY)


def test_passes_chunked_uploads_on(client, seen) -> None:
    client.request("PUT", "/bucket/key", body=iter([b"a" * 10, b"b" * 20]), encode_chunked=True)
    client.getresponse().read()
    assert seen[0][2]["Transfer-Encoding"] == "chunked"


def test_answers_the_third_matching_request_only(client, proxy, seen) -> None:
    proxy.rules.append(Fault(method="GET", path="key", skip=2, times=1, status=503))
    assert put(client, b"") == 200
    statuses = [get(client)[0] for _each in range(4)]
    assert statuses == [200, 200, 503, 200]
    assert len(seen) == 4, "the spoilt request never reached the server"
    assert proxy.count(method="GET", status=503) == 1
    assert proxy.count(action="s3:PutObject") == 1


def test_refuses_with_an_s3_error_document(client, proxy) -> None:
    proxy.rules.append(deny("s3:GetObject"))
    status, body = get(client)
    assert status == 403
    assert b"<Code>AccessDenied</Code>" in body
    assert put(client, b"x") == 200


def test_strips_conditions(client, proxy, seen) -> None:
    proxy.rules.append(without_conditional_writes())
    put(client, b"x", If_None_Match="*", X_Kept="1")
    headers = seen[0][2]
    assert "If-None-Match" not in headers
    assert headers["X-Kept"] == "1"


def test_truncates_a_response_so_that_it_looks_whole(client, proxy) -> None:
    proxy.rules.append(Fault(truncate=1000, times=1))
    assert get(client) == (200, BODY[:1000])
    assert get(client) == (200, BODY)


@pytest.mark.parametrize("path", ["/bucket/key", "/bucket/chunked"])
def test_cuts_a_response(client, proxy, path) -> None:
    proxy.rules.append(Fault(cut_response=1000))
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(client, path)
    assert len(caught.value.partial) <= 1000


def test_loses_a_response_after_the_server_has_acted(client, proxy, seen) -> None:
    proxy.rules.append(Fault(cut_response=0))
    with pytest.raises(ConnectionError):
        put(client, b"x")
    assert seen[0][3] == b"x"
    assert proxy.requests[0].status == 0


def test_cuts_an_upload(client, proxy, seen) -> None:
    proxy.rules.append(Fault(cut_request=1000))
    with pytest.raises(ConnectionError):
        put(client, BODY)
    assert proxy.requests[0].sent == 1000
    assert BODY not in [body for *_rest, body in seen]


def test_slows_bodies_down(client, proxy) -> None:
    proxy.rules.append(Fault(rate=len(BODY) * 4))
    started = time.monotonic()
    assert get(client) == (200, BODY)
    assert 0.2 < time.monotonic() - started < 5


def test_refuses_an_upstream_it_cannot_reach() -> None:
    with pytest.raises(ValueError, match="http://"):
        FaultProxy("https://example.com")


@pytest.mark.parametrize(
    ("method", "target", "action"),
    [
        ("PUT", "/bucket/a/b", "s3:PutObject"),
        ("PUT", "/bucket/a?partNumber=1&uploadId=x", "s3:UploadPart"),
        ("POST", "/bucket/a?uploads", "s3:CreateMultipartUpload"),
        ("POST", "/bucket/a?uploads=", "s3:CreateMultipartUpload"),
        ("POST", "/bucket/a?uploadId=x", "s3:CompleteMultipartUpload"),
        ("DELETE", "/bucket/a?uploadId=x", "s3:AbortMultipartUpload"),
        ("DELETE", "/bucket/a", "s3:DeleteObject"),
        ("GET", "/bucket/a", "s3:GetObject"),
        ("GET", "/bucket?list-type=2&prefix=a/b", "s3:ListObjectsV2"),
        ("GET", "/bucket/?uploads", "s3:ListMultipartUploads"),
        ("POST", "/bucket?delete", "s3:DeleteObjects"),
        ("HEAD", "/bucket", "s3:HeadBucket"),
        ("GET", "/", "s3:ListBuckets"),
        ("PATCH", "/bucket/a", ""),
    ],
)
def test_names_actions(method, target, action) -> None:
    assert s3_action(method, target) == action
