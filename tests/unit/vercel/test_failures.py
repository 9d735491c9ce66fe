# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Vercel's refusals are taken for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.failures import failed, message_of

from harness.stores import run_context


@pytest.mark.parametrize(
    ("status", "error", "code", "word"),
    [
        (400, {"code": "bad_request", "message": "Invalid."}, "service_failed", "bad_request Invalid"),
        (401, {}, "service_denied", "VERCEL_TOKEN"),
        (402, {"code": "payment_required"}, "plan_limit", "plan"),
        (403, {"code": "forbidden", "message": "Not authorized"}, "service_denied", "team"),
        (403, {"code": "forbidden", "invalidToken": True}, "service_denied", "VERCEL_TOKEN"),
        (404, {}, "service_denied", "may not see it"),
        (409, {}, "service_failed", "409"),
        (422, {}, "service_failed", "another deployment"),
        (418, {}, "service_failed", "418"),
        (503, "not an object", "service_failed", "503"),
    ],
)
def test_failed(status: int, error: Any, code: str, word: str) -> None:
    reply = Reply(status=status, body={"error": error})
    failure = failed(reply, "read the project", "project web of team acme", Redactor())
    assert failure.code == code
    assert word in failure.message
    assert "project web of team acme" in failure.message


def test_what_is_quoted_is_one_short_line() -> None:
    said = message_of(Reply(status=400, body={"error": {"code": "x", "message": "a\nb " * 200}}), Redactor())
    assert "\n" not in said
    assert len(said) <= 200
    assert message_of(Reply(status=502), Redactor()) == ""


LONG = "hunter2" * 20
KNOWN = "canary  of two words" + "y" * 100


@pytest.mark.parametrize("secret", [f"postgresql://app:{LONG}@db/app", f"password='{LONG}'", f"token {KNOWN}"])
def test_what_is_quoted_is_redacted_before_it_is_cut(secret: str) -> None:
    """What a password is known by, the ``@`` behind it or its own end, may lie behind the end of the line."""
    context = run_context()
    context.redactor.protect(KNOWN)
    reply = Reply(status=400, body={"error": {"code": "x", "message": f"{'x' * 150} {secret}"}})
    message = failed(reply, "read the project", "project web", context.redactor).message
    assert "xxx" in message
    assert "hunter2" not in message
    assert "canary" not in message
