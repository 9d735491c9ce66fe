# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file from the web: what is asked again, what is not, and what nobody is told."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.download import download
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

from harness.receiver import Receiver, receiver
from harness.stores import WrongClock, failing, run_context

KEY = "?token=kanarienvogel"


class Hasty(WrongClock):
    """One that sleeps in no time."""

    def sleep(self, seconds: float) -> None:
        self.pushed.append(seconds)


@pytest.fixture
def context() -> Context:
    return run_context(clock=Hasty())


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as state:
        state.content = b"x" * 1000
        yield state


def fetch(url: str, context: Context, limit: int = 1000) -> bytes:
    target = io.BytesIO(b"of an earlier attempt, and longer than what comes" * 100)
    size = download(f"{url}{KEY}", target, what="the archive", limit=limit, context=context)
    assert size == len(target.getvalue())
    return target.getvalue()


def test_a_file_is_fetched_anew_after_bad_luck(server: Receiver, context: Context) -> None:
    server.answers += [503, 500]
    assert fetch(server.url, context) == server.content
    assert [each.path for each in server.received] == [f"/{KEY}"] * 3
    assert {each.headers["User-Agent"].partition("/")[0] for each in server.received} == {"ops.runbooks"}
    assert "Authorization" not in server.received[0].headers


@pytest.mark.parametrize(
    ("answers", "limit", "code", "asked"),
    [
        ([503, 503, 503], 1000, "service_unreachable", 3),
        ([404], 1000, "service_failed", 1),
        ([302], 1000, "service_failed", 1),
        ([200], 999, "service_failed", 1),
    ],
)
def test_what_is_no_file(
    answers: list[int], limit: int, code: str, asked: int, server: Receiver, context: Context
) -> None:
    server.answers += answers
    server.location = f"{server.url}/elsewhere"
    with failing(code) as failure:
        fetch(server.url, context, limit)
    assert len(server.received) == asked
    assert "kanarienvogel" not in str(failure().as_failure()) + failure().message


def test_nobody_there(context: Context) -> None:
    with failing("service_unreachable") as failure:
        fetch("http://127.0.0.1:9/", context)
    assert "kanarienvogel" not in failure().message
    assert context.redactor.text("it is kanarienvogel, in token=kanarienvogel").count("kanarienvogel") == 1


def test_nothing_is_fetched_where_anybody_could_change_it(context: Context) -> None:
    with failing("service_failed") as failure:
        fetch("http://192.0.2.1/", context)
    assert "not https" in failure().message
