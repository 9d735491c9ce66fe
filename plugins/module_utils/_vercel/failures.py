# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Vercel's refusals mean (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor

#: Status to failure code, reason and remedy; what the service says itself follows the reason.
_KNOWN: Mapping[int, tuple[str, str, str]] = {
    400: ("service_failed", "Vercel did not accept the request", "Correct what the answer names."),
    401: (
        "service_denied",
        "Vercel does not know the token, or it has expired",
        "Make a new token and put it into VERCEL_TOKEN.",
    ),
    402: (
        "plan_limit",
        "the plan or the billing of the account does not allow it",
        "Look at the plan and the billing of the account; trying again does not help.",
    ),
    403: (
        "service_denied",
        "the token may not do this",
        "Take a token of a member who may, and say which team the project belongs to (team).",
    ),
    404: (
        "service_denied",
        "Vercel knows no such thing, or this token may not see it",
        "Correct project, team or token.",
    ),
    409: ("service_failed", "the project is in a state that does not allow it", "Look at the project in Vercel."),
    422: ("service_failed", "Vercel cannot do this with this deployment", "Name another deployment."),
}


def failed(reply: Reply, attempted: str, place: str, redactor: Redactor) -> RunbookError:
    """The failure for an answer; what Vercel says is quoted, cut to a line."""
    other = (
        "service_failed",
        f"Vercel answered {reply.status}",
        "Look at its status page, then run the command again.",
    )
    error = reply.fields.get("error")
    unknown = reply.status == 403 and isinstance(error, Mapping) and error.get("invalidToken") is True
    code, reason, remedy = _KNOWN.get(401 if unknown else reply.status, other)
    if reply.status == 401 and "acr_values" in reply.headers.get("www-authenticate", ""):
        reason = "Vercel wants to see the person again who owns the token, which no machine can answer"
        remedy = "Take a token of an account that reads this without a second sign-in."
    said = message_of(reply, redactor)
    return RunbookError(
        code=code,
        attempted=attempted,
        object=place,
        reason=f"{reason} (it answered {reply.status}{f': {said}' if said else ''})",
        remedy=remedy,
    )


def message_of(reply: Reply, redactor: Redactor) -> str:
    """What Vercel says: code and message, in one line of at most 200 characters.

    Redacted before it is cut: half a secret is not recognised.
    """
    error = reply.fields.get("error")
    if not isinstance(error, Mapping):
        return ""
    said = " ".join(str(error.get(key) or "") for key in ("code", "message"))
    return " ".join(redactor.text(said).split())[:200].rstrip(".")
