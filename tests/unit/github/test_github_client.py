# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of GitHub's answers that are not the usual ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import GitHub

from harness.stores import failing, run_context

PARAMS = {"repository": "acme/web", "token": None, "api_url": "https://api.github.com"}


def github(*replies: Reply, environ: Mapping[str, str] | None = None, **params: Any) -> GitHub:
    """One that gets these answers; the last of them for ever."""
    made = GitHub({**PARAMS, **params}, run_context(), environ or {}, patience=1, persistence=1)
    left = list(replies)

    def read(_path: str, _query: Mapping[str, str]) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    made._api = SimpleNamespace(read=read)  # type: ignore[assignment]
    return made


def test_a_list_without_an_end_has_one() -> None:
    endless = Reply(status=200, body={"check_suites": []}, headers={"link": '<https://x>; rel="next"'})
    with failing("service_failed") as failure:
        github(endless).unfinished("a" * 40)
    assert "more than 10000" in failure().message
    assert "200" not in failure().message


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_repository_that_was_renamed(status: int) -> None:
    with failing("repository_missing") as failure:
        github(Reply(status=status, body={}, headers={"location": "https://x/repositories/1"})).default_branch()
    assert "renamed" in failure().message


def test_a_token_that_the_organisation_does_not_take() -> None:
    refused = Reply(
        status=403, headers={"x-github-sso": "required; url=https://x"}, body={"message": "Resource protected"}
    )
    with failing("service_denied") as failure:
        github(refused).default_branch()
    assert "single sign-on" in failure().message
    assert "Authorize the token" in failure().remedy


@pytest.mark.parametrize(("token", "environ"), [("", {"GITHUB_TOKEN": "x"}), (" \n", {}), (None, {"GITHUB_TOKEN": ""})])
def test_a_token_that_is_given_but_empty(token: str | None, environ: dict[str, str]) -> None:
    with failing("connection_empty"):
        github(Reply(status=200), token=token, environ=environ)


def test_where_an_archive_is() -> None:
    there = Reply(status=302, headers={"location": "https://codeload.github.com/x?token=1"})
    assert github(there).archive("a" * 40) == there.headers["location"]


@pytest.mark.parametrize(
    ("status", "token", "code", "says"),
    [
        (301, None, "repository_missing", "renamed"),
        (302, None, "service_failed", "302"),
        (401, "bad", "service_denied", "Make a new token"),
        (403, "x", "source_missing", "to this token"),
        (404, None, "source_missing", "without a token"),
        (500, None, "service_failed", "githubstatus.com"),
    ],
)
def test_an_archive_that_is_not_shown(status: int, token: str | None, code: str, says: str) -> None:
    with failing(code) as failure:
        github(Reply(status=status), token=token).archive("a" * 40)
    assert says in failure().message
