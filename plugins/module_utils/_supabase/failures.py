# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Supabase's refusals mean (private to ops.runbooks)."""

from __future__ import annotations

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor

_KNOWN = {
    401: (
        "service_denied",
        "Supabase does not know the token, or it has expired or was revoked",
        "Make a new access token in Supabase's account settings, and put it into SUPABASE_ACCESS_TOKEN.",
    ),
    403: (
        "service_denied",
        "the token may not do this in this project, or the project is none that it sees",
        "Correct project_ref, or take a token that may; docs/permissions.md says what it needs.",
    ),
    404: (
        "project_missing",
        "Supabase knows no such project, or does not show it to this token",
        "Correct project_ref, or take a token of somebody who sees the project.",
    ),
}


def failed(reply: Reply, attempted: str, place: str, redactor: Redactor) -> RunbookError:
    """The failure for an answer; what Supabase says is quoted, cut to a line."""
    other = (
        "service_failed",
        f"Supabase answered {reply.status}",
        "Look at what it says and at status.supabase.com, then run the same command again.",
    )
    code, reason, remedy = _KNOWN.get(reply.status, other)
    said = message_of(reply, redactor)
    if code != "service_failed":
        said = f"it answered {reply.status}{f': {said}' if said else ''}"
    return RunbookError(
        code=code,
        attempted=attempted,
        object=place,
        reason=f"{reason} ({said})" if said else reason,
        remedy=remedy,
    )


def message_of(reply: Reply, redactor: Redactor) -> str:
    """What Supabase says, in one line of at most 200 characters; redacted before it is cut."""
    said = redactor.text(str(reply.fields.get("message") or ""))
    return " ".join(said.split())[:200].rstrip(".")
