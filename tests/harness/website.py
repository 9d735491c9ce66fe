# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server that answers well, late, in drops, without end, or not at all."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(slots=True, kw_only=True)
class Website:
    """``url`` and what came in: method, path, headers."""

    url: str = ""
    ca: str = ""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    #: Of every ten requests for ``/flaky`` so many are answered with 500.
    flaky: int = 0
    #: What ``/calendar`` answers, and ``/moved`` leads to; after so many answers of 503.
    calendar: str = ""
    busy: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Website

    def log_message(self, format: str, *_arguments: object) -> None:
        """Quiet."""

    def _answer(self) -> None:
        self.site.seen.append((self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        with suppress(OSError):
            getattr(self, f"_{self.path.strip('/').partition('/')[0] or 'home'}", self._missing)()

    do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - the names that the base class calls

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _missing(self) -> None:
        self._send(404, b"nothing")

    def _home(self) -> None:
        self._send(200, b"welcome", Content_Type="text/html", X_Frame_Options="DENY")

    def _health(self) -> None:
        self._send(200, json.dumps({"status": "ok", "checks": [{"name": "db", "ok": True}]}).encode())

    def _admin(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer kanarienvogel"
        self._send(200 if allowed else 401, b"")

    def _flaky(self) -> None:
        number = sum(path == "/flaky" for _method, path, _headers in list(self.site.seen))
        self._send(500 if number % 10 < self.site.flaky else 200, b"")

    def _away(self) -> None:
        self._send(302, b"", Location="/health")

    def _elsewhere(self) -> None:
        self._send(302, b"", Location=self.site.url.replace("127.0.0.1", "localhost") + "/home")

    def _calendar(self) -> None:
        self.site.busy -= 1
        if self.site.busy >= 0:
            self._send(503, b"busy")
        else:
            self._send(200, self.site.calendar.encode(), Content_Type="text/calendar")

    def _moved(self) -> None:
        self._send(302, b"", Location="/calendar/" + self.path.rpartition("/")[2])

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _slow(self) -> None:
        time.sleep(0.3)
        self._send(200, b"")

    def _drip(self) -> None:
        """A byte now and then, so that no single wait is long."""
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for _byte in range(200):
            self.wfile.write(b".")
            time.sleep(0.1)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        piece = b"x" * 1024 * 1024
        for _piece in range(1024):
            self.wfile.write(piece)

    def _cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True


@contextmanager
def website(directory: Path | None = None, *, days: int = 30) -> Iterator[Website]:
    """A running one. With a directory for its certificate, which is valid for some more days, it speaks TLS."""
    site = Website()
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    site.url = f"http://127.0.0.1:{server.server_port}"
    if directory is not None:
        site.ca = str(_certificate(directory, days))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(site.ca)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        site.url = site.url.replace("http:", "https:")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(directory: Path, days: int) -> Path:
    """A certificate that signs itself, with its key in the same file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(pem))
    return path
