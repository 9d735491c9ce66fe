# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that a user declares: what is filled in where, and what is read of an answer."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.http_requests import (
    Declared,
    at,
    check_id,
    text_at,
)

from harness.stores import failing

GIVEN: dict[str, Any] = {"method": "POST", "path": "/x", "headers": {}, "body": None, "statuses": [200], "gone": []}


def test_fields_are_filled_in() -> None:
    """In an address percent-encoded, elsewhere as they are, however deep they lie."""
    body = {"name": "{name}", "deep": [{"list": ["{name}!"]}, 7, None, True]}
    declared = Declared.read(
        "create",
        {**GIVEN, "path": "/v1/{name}?a=b", "headers": {"x-name": "{name}"}, "body": body},
        frozenset({"name"}),
    )
    filled = declared.filled({"name": "a b/ü&{id}"})
    assert filled.path == "/v1/a%20b%2F%C3%BC%26%7Bid%7D?a=b"
    assert filled.headers == {"x-name": "a b/ü&{id}"}
    assert filled.body == {"name": "a b/ü&{id}", "deep": [{"list": ["a b/ü&{id}!"]}, 7, None, True]}
    assert declared.named


def test_what_is_declared_is_not_changed_by_being_shown() -> None:
    """No value is in the text of a request that could be filled in."""
    filled = Declared.read("test", {**GIVEN, "body": {"key": "{value}"}}, frozenset({"value"})).filled(
        {"value": "bird"}
    )
    assert "bird" not in repr(filled)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "//host/x",
        "/a/../b",
        "/a/./b",
        "https://host/x",
        "/a b",
        "/a#b",
        "/a\n",
        "/ü",
        "/{value}",
        "/{}",
        "/{ID}",
    ],
)
def test_addresses_that_lead_elsewhere_or_tell_are_refused(path: str) -> None:
    with failing("invalid_parameter"):
        Declared.read("test", {**GIVEN, "path": path}, frozenset({"id", "value"}))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", "1"),
        ("list.0.c", "x"),
        ("list.1.c", ""),
        ("list.c", ""),
        ("a", ""),
        ("truth", ""),
        ("no", ""),
        ("n", "7"),
    ],
)
def test_what_stands_at_a_path(path: str, found: str) -> None:
    answer = {"a": {"b": "1"}, "list": [{"c": "x"}], "truth": True, "no": None, "n": 7}
    assert text_at(answer, path) == found
    assert at(answer, "") == answer


@pytest.mark.parametrize("id", ["", "a b", "a/b", "a\\b", "..", "x" * 201, "a\x00b", "a\nb"])
def test_what_is_no_id(id: str) -> None:
    assert not check_id(id)
    assert check_id("key_1.a:b@c=")
