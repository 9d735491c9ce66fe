# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample application: one function that works on the PostgreSQL database whose address its build was given.

``/api/health`` asks the database the question that this release lives on; ``/api/selftest`` reads and writes, and takes
back what it has written. ``/api/runbooks/secrets`` says which secrets it runs with, to be of no use to whoever listens.
``release.json`` beside this file says how this release behaves.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psycopg

RELEASE: dict[str, Any] = json.loads(Path(__file__).with_name("release.json").read_text(encoding="utf-8"))
#: What it runs with, by the name of the secret: the variables whose values it takes, the one that it uses first.
SECRETS = {"database_url": ("DATABASE_URL",), "auth_secret": ("AUTH_SECRET", "AUTH_SECRET_1")}

#: Requests so far, so that errors are spread evenly.
_count = 0


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request."""
    path = environ.get("PATH_INFO", "/")
    time.sleep(RELEASE.get("slow_ms", 0) / 1000)
    status, body = _answer(path, parse_qs(environ.get("QUERY_STRING", "")))
    content = json.dumps({"release": RELEASE["release"], **body}).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("Content-Length", str(len(content))),
    ]
    start_response(f"{status} {'OK' if status < 400 else 'Failed'}", headers)
    return [content]


def _answer(path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
    global _count
    _count += 1
    if (_count * RELEASE.get("error_percent", 0)) % 100 < RELEASE.get("error_percent", 0):
        print(f"error on {path}: this release fails on purpose", flush=True)
        return 500, {"ok": False, "error": "this release fails on purpose"}
    if path == "/api/runbooks/secrets":
        return 200, {"secrets": _fingerprints(query.get("nonce", [""])[0])}
    if path == "/api/health":
        checks = [_check("query", _query)]
    elif path == "/api/selftest":
        checks = [_check("query", _query), _check("write", _write)]
    else:
        return 404, {"ok": False, "error": "not found"}
    ok = all(each["ok"] for each in checks)
    return (200 if ok else 503), {"ok": ok, "checks": checks, "deployment": os.environ.get("VERCEL_DEPLOYMENT_ID")}


def _fingerprints(nonce: str) -> dict[str, list[str]]:
    """Of each secret that is there: its values by the HMAC of a nonce that was never asked before."""
    found = {name: [os.environ[each] for each in names if os.environ.get(each)] for name, names in SECRETS.items()}
    return {
        name: [hmac.new(value.encode(), nonce.encode(), "sha256").hexdigest()[:16] for value in values]
        for name, values in found.items()
        if values
    }


def _check(name: str, check: Callable[[], object]) -> dict[str, Any]:
    started = time.monotonic()
    try:
        check()
        found: dict[str, Any] = {"name": name, "ok": True}
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what is to be reported
        # The class only: a message may name the database's address.
        print(f"{name} failed: {error}", flush=True)
        found = {"name": name, "ok": False, "error": type(error).__name__}
    return found | {"ms": round((time.monotonic() - started) * 1000, 1)}


def _connect() -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5, application_name="sandbox-app")


def _query() -> None:
    with _connect() as connection:
        connection.execute(RELEASE.get("query", "SELECT 1").encode()).fetchone()


def _write() -> None:
    """Write, read it back, and leave nothing."""
    with _connect() as connection:
        connection.execute("CREATE TEMPORARY TABLE selftest (n int) ON COMMIT DROP")
        connection.execute("INSERT INTO selftest VALUES (1)")
        row = connection.execute("SELECT n FROM selftest").fetchone()
        connection.rollback()
    if row != (1,):
        raise ValueError("what was written was not read")
