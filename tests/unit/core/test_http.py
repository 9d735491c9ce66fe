# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to a service's API: where credentials may go, how long is waited, what is sent again."""

from __future__ import annotations

import io
from contextlib import closing
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import (
    Api,
    Reply,
    Unanswered,
    check_address,
    wait_of,
)

from harness.receiver import Receiver, receiver
from harness.stores import failing, run_context

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    "url", ["https://api.vercel.com/", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]"]
)
def test_addresses_that_credentials_may_go_to(url: str) -> None:
    assert check_address(url, "api_url") == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.vercel.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "ftp://api.vercel.com",
        "api.vercel.com",
        "https://user:kanarienvogel@api.vercel.com",
        "https://api.vercel.com?x=1",
        "https://[",
        "https://host:port",
        "",
    ],
)
def test_addresses_that_they_may_not_go_to(url: str) -> None:
    with failing("invalid_parameter") as failure:
        check_address(url, "api_url")
    assert "kanarienvogel" not in failure().message


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, None, 7),
        ({"retry-after": "7", "x-ratelimit-reset": f"{NOW + 60:.0f}"}, None, 7),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, None, 30),
        ({"retry-after": "soon"}, None, 8),
        ({"x-ratelimit-reset": f"{NOW + 60:.0f}"}, None, 60),
        ({"x-ratelimit-reset": f"{NOW - 60:.0f}"}, None, 0.5),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "42"}, None, 42),
        ({}, {"error": {"limit": {"reset": (NOW + 3) * 1000}}}, 3),
        ({}, {"limit": {"reset": (NOW + 3) * 1000}}, 3),
        ({}, None, 8),
    ],
)
def test_how_long_a_service_wants_to_be_left_alone(headers: dict[str, str], body: Any, seconds: float) -> None:
    assert wait_of(Reply(status=429, headers=headers, body=body), NOW) == seconds


@pytest.fixture
def server() -> Any:
    with receiver() as state:
        yield state


def api(url: str, patience: float = 3) -> Api:
    headers = {"Authorization": "Bearer kanarienvogel"}
    return Api(service="Acme", url=url, headers=headers, patience=patience, context=run_context())


def test_reading_is_repeated(server: Receiver) -> None:
    server.answers += [503, 500, 200]
    assert api(server.url).read("/x", {"a": "b"}).good
    assert [each.path for each in server.received] == ["/x?a=b"] * 3


def test_reading_gives_up_with_the_last_answer(server: Receiver) -> None:
    server.answers += [503] * 20
    assert api(server.url, patience=1).read("/x", {}).status == 503


def test_a_change_is_sent_once(server: Receiver) -> None:
    server.answers += [502]
    with pytest.raises(Unanswered) as caught:
        api(server.url).send("POST", "/x", {})
    assert caught.value.code == "service_unreachable"
    assert "kanarienvogel" not in caught.value.message
    assert len(server.received) == 1


class Watched(io.BytesIO):
    """A content that knows the largest piece that was read of it."""

    largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.largest = max(self.largest, len(piece := super().read(size)))
        return piece


def test_a_content_is_sent_in_pieces_and_again_from_its_beginning(server: Receiver) -> None:
    server.answers += [503, 200]
    opened: list[Watched] = []

    def content() -> closing[Watched]:
        opened.append(Watched(b"x" * 300_000))
        return closing(opened[-1])

    with closing(api(server.url).twin()) as twin:
        assert twin.upload("/x", {}, {"x-digest": "1"}, content).good
    assert [len(each.body) for each in server.received] == [300_000] * 2
    assert server.received[0].headers["Content-Length"] == "300000"
    assert server.received[0].headers["x-digest"] == "1"
    assert max(each.largest for each in opened) < 100_000


def test_a_content_of_no_length_has_an_end(server: Receiver) -> None:
    assert api(server.url).upload("/x", {}, {}, lambda: closing(io.BytesIO())).good
    assert server.received[0].headers["Content-Length"] == "0"
    assert "Transfer-Encoding" not in server.received[0].headers


def test_one_question_is_not_asked_for_ever(server: Receiver) -> None:
    """However much patience there is for all of them together."""
    server.answers += [503] * 20
    made = Api(service="Acme", url=server.url, headers={}, patience=60, context=run_context(), persistence=1)
    assert made.read("/x", {}).status == 503


def test_a_limit_of_the_day_is_not_waited_for(server: Receiver) -> None:
    server.answers += [429]
    made = Api(service="Acme", url=server.url, headers={}, patience=60, context=run_context(), hopeless=bool)
    with failing("rate_limited") as failure:
        made.send("POST", "/x", {})
    assert "of the day" in failure().message


def test_a_limit_longer_than_the_patience_is_told(server: Receiver) -> None:
    server.answers += [429]
    with failing("rate_limited") as failure:
        api(server.url).send("POST", "/x", {})
    assert "8 s" in failure().message
    assert len(server.received) == 1


def test_redirects_are_not_followed(server: Receiver) -> None:
    """The credentials would go with them."""
    server.answers += [302]
    server.location = "https://elsewhere.example/"
    assert api(server.url).send("POST", "/x", {}).status == 302


def test_plain_text_takes_no_way_through_a_proxy(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert api(server.url).read("/x", {}).good


def test_nobody_there() -> None:
    with failing("service_unreachable") as failure:
        api("http://127.0.0.1:9", patience=0.1).read("/x", {"secret": "kanarienvogel"})
    assert "nothing answers there" in failure().message
    assert "kanarienvogel" not in failure().message
