# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a web address, and what is expected of it, as values (private to ops.runbooks)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import parse_duration
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import is_loopback
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor

#: Requests that one probe may make, and probes that one task may have.
MOST_SAMPLES, MOST_PROBES = 100_000, 200

PROBE_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str"},
    "url": {"type": "str", "required": True},
    "method": {"type": "str", "choices": ["GET", "HEAD", "POST"], "default": "GET"},
    "headers": {"type": "dict", "default": {}, "no_log": False},
    "secret_headers": {"type": "dict", "default": {}, "no_log": True},
    "body": {"type": "str"},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "contains": {"type": "list", "elements": "str", "default": []},
    "lacks": {"type": "list", "elements": "str", "default": []},
    "json": {"type": "dict", "default": {}},
    "expect_headers": {"type": "dict", "default": {}, "no_log": False},
    "max_latency": {"type": "str"},
    "tls_min_days": {"type": "int"},
    "unreachable": {"type": "bool", "default": False},
    "redirects": {"type": "int", "default": 0},
    "samples": {"type": "int"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question. A negative probe expects a refusal: by its ``status``, by ``lacks``, or ``unreachable``."""

    name: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = None
    status: tuple[int, ...] = (200,)
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    json: Mapping[str, Any] = field(default_factory=dict)
    expect_headers: Mapping[str, str] = field(default_factory=dict)
    max_latency: float | None = None
    tls_min_days: int | None = None
    unreachable: bool = False
    redirects: int = 0
    samples: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. ``error`` is why nothing did, '' otherwise; ``seconds`` is the time to the last byte."""

    seconds: float
    error: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    tls_expires: float | None = None


def read_probes(given: Any, samples: int, redactor: Redactor) -> tuple[Probe, ...]:
    """The option ``probes``. Raises ``invalid_parameter``; protects what stands in secret headers."""
    if not given:
        raise _bad("probes", "there is none", "Give at least one.")
    if len(given) > MOST_PROBES:
        raise _bad("probes", f"there are {len(given)}", f"Give at most {MOST_PROBES} in one task.")
    probes = tuple(_read(each, samples, redactor) for each in given)
    names = [each.name for each in probes]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise _bad(twice, "two probes have this name", "Give each probe a name of its own.")
    return probes


def _read(given: Mapping[str, Any], samples: int, redactor: Redactor) -> Probe:
    secret = _texts(given.get("secret_headers"))
    for value in secret.values():
        redactor.protect(value)
        redactor.protect(value.partition(" ")[2])
    url = _checked(str(given["url"]), secret=bool(secret))
    parts = urlsplit(url)
    name = given.get("name") or (parts.hostname or "") + (parts.path or "/")
    count = samples if given.get("samples") is None else given["samples"]
    if not 1 <= count <= MOST_SAMPLES:
        raise _bad(name, f"samples is {count}", f"Give 1 to {MOST_SAMPLES}.")
    limit = given.get("max_latency")
    expected = _texts(given.get("expect_headers"))
    for pattern in expected.values():
        _compile(name, pattern)
    plain = _texts(given.get("headers"))
    if odd := next((key for key, text in {**plain, **secret}.items() if not key.strip() or "\n" in text + key), None):
        raise _bad(name, f"the header {odd!r} cannot be sent", "Write headers as names and values of one line.")
    body = given.get("body")
    return Probe(
        name=name,
        url=url,
        method=given.get("method") or "GET",
        headers=plain,
        secret_headers=secret,
        body=body.encode() if body is not None else None,
        status=tuple(given.get("status") or (200,)),
        contains=tuple(given.get("contains") or ()),
        lacks=tuple(given.get("lacks") or ()),
        json=given.get("json") or {},
        expect_headers={key.lower(): pattern for key, pattern in expected.items()},
        max_latency=parse_latency(limit) if limit else None,
        tls_min_days=given.get("tls_min_days"),
        unreachable=bool(given.get("unreachable")),
        redirects=max(0, min(given.get("redirects") or 0, 10)),
        samples=count,
    )


def parse_latency(text: str) -> float:
    """Seconds of ``800ms``, or of a duration."""
    stripped = text.strip().lower()
    if re.fullmatch(r"\d+ms", stripped):
        return int(stripped[:-2]) / 1000
    return parse_duration(text, "max_latency").total_seconds()


def _checked(url: str, *, secret: bool) -> str:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad("url", "it is not a URL", "Write it as https://host/path.") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise _bad("url", "it is not a web address", "Write it as https://host/path.")
    if parts.username or parts.password:
        raise _bad("url", "it has a user name or a password in it", "Put them into secret_headers.")
    if secret and parts.scheme == "http" and not is_loopback(host):
        raise _bad("url", "secret headers would go over plain http", "Use https://.")
    return url


def _compile(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error:
        raise _bad(name, f"{pattern!r} is not a regular expression", "Correct it.") from None


def _texts(given: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in (given or {}).items()}


def _bad(what: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(code="invalid_parameter", attempted="use a probe", object=what, reason=reason, remedy=remedy)
