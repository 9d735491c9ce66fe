# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is sent to webhook and heartbeat, how often, and what is said when it is not taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
from ansible_collections.ops.runbooks.plugins.module_utils._status import webhook
from ansible_collections.ops.runbooks.plugins.module_utils._status.webhook import beat, post_text

from harness.receiver import Receiver, receiver

PATH = "/services/T000/B000/kan4ryXXXXXXXXXXXXXXXXX"


@dataclass(frozen=True, slots=True)
class Hurried(Clock):
    """A clock on which no time is waited for."""

    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_a_message(server: Receiver) -> None:
    assert post_text(server.url + PATH, "a < b & ä").taken
    (request,) = server.received
    assert (request.method, request.path) == ("POST", PATH)
    assert json.loads(request.body) == {"text": "a &lt; b &amp; ä"}
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_message_is_sent_once(server: Receiver, status: int) -> None:
    server.answers = [status]
    answer = post_text(server.url + PATH, "x")
    assert (answer.taken, answer.reason) == (False, f"it answered {status}")
    assert len(server.received) == 1


def test_redirects_are_not_followed(server: Receiver) -> None:
    server.answers, server.location = [302], f"{server.url}/elsewhere"
    answer = post_text(server.url + PATH, "x")
    assert answer.reason == "it answered 302, a redirect"
    assert [request.path for request in server.received] == [PATH]


def test_a_heartbeat(server: Receiver) -> None:
    clock = Hurried()
    assert beat(f"{server.url}/ping/abc", clock).taken
    assert [(request.method, request.path) for request in server.received] == [("GET", "/ping/abc")]
    assert not clock.slept


def test_a_heartbeat_is_tried_three_times(server: Receiver) -> None:
    clock = Hurried()
    server.answers = [500, 503]
    assert beat(server.url, clock).taken
    assert len(server.received) == 3
    server.answers = [500, 500, 500, 200]
    assert not beat(server.url, clock).taken
    assert len(server.received) == 6
    assert clock.slept == [1, 3, 1, 3]


def test_an_answer_that_does_not_come(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT", 0.2)
    server.delay = 1
    assert post_text(server.url + PATH, "x").reason == "it did not answer within 0.2 s"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:9" + PATH, "it could not be reached"),
        ("http://no-such-host.invalid" + PATH, "it could not be reached"),
        ("ftp://127.0.0.1" + PATH, "it is not an http or https address that can be called"),
        ("not an address", "it is not an http or https address that can be called"),
        ("http://[::1" + PATH, "it is not an http or https address that can be called"),
        ("http://127.0.0.1:99999" + PATH, "it is not an http or https address that can be called"),
    ],
)
def test_addresses_that_cannot_be_called(address: str, reason: str) -> None:
    assert post_text(address, "x").reason == reason


def test_a_certificate_that_nobody_knows(server: Receiver) -> None:
    answer = post_text(server.url.replace("http:", "https:") + PATH, "x")
    assert not answer.taken
    assert "kan4ry" not in answer.reason


def test_no_password_of_another_host_is_sent(server: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cr3t\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    post_text(server.url + PATH, "x")
    assert "Authorization" not in server.received[0].headers
