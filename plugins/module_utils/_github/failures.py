# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What GitHub's refusals mean (private to ops.runbooks)."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor

_NEEDS = (
    "a fine-grained one with the repository and Checks, Commit statuses, Contents and Metadata to read, or a classic "
    "one with the scope repo"
)

#: Status to failure code, reason and remedy; what the service says itself follows the reason.
#: Answers of GitHub about what has another name now.
MOVED = (301, 307, 308)

_KNOWN: Mapping[int, tuple[str, str, str]] = {
    401: (
        "service_denied",
        "GitHub does not know the token, or it has expired or was revoked",
        "Make a new token and put it into GITHUB_TOKEN.",
    ),
    403: ("service_denied", "the token may not do this", f"Take a token that may: {_NEEDS}."),
    404: (
        "service_denied",
        "GitHub knows no such thing, or the token may not see it",
        f"Correct the name, or take another token: {_NEEDS}.",
    ),
}


def failed(reply: Reply, attempted: str, place: str, redactor: Redactor) -> RunbookError:
    """The failure for an answer; what GitHub says is quoted, cut to a line."""
    other = (
        "service_failed",
        f"GitHub answered {reply.status}",
        "Look at githubstatus.com, then run the same command again.",
    )
    code, reason, remedy = _KNOWN.get(reply.status, other)
    if reply.status == 403 and "x-github-sso" in reply.headers:
        reason = "the organisation takes only tokens that are authorized for its single sign-on"
        remedy = "Authorize the token for the organisation in GitHub's settings of tokens."
    said = message_of(reply, redactor)
    return RunbookError(
        code=code,
        attempted=attempted,
        object=place,
        reason=f"{reason} (it answered {reply.status}{f': {said}' if said else ''})",
        remedy=remedy,
    )


def hidden(reply: Reply, name: str, *, token: bool, owner_known: bool) -> RunbookError:
    """The failure for a repository that is not shown: GitHub answers alike where there is none and where it is private.

    So what can be told apart is: the token was taken (a bad one is refused as such), its kind, and the owner's account.
    """
    scopes = reply.headers.get("x-oauth-scopes")
    if not owner_known:
        reason = f"GitHub knows no account {name.partition('/')[0]}"
        remedy = "Correct repository; it is written owner/name."
    elif not token:
        reason = "there is no public repository of this name, and without a token no private one is shown"
        remedy = f"Correct repository, or put a token into GITHUB_TOKEN: {_NEEDS}."
    elif scopes is not None and "repo" not in [scope.strip() for scope in scopes.split(",")]:
        reason = "the token is a good one, but a classic one without the scope repo, which private repositories need"
        remedy = f"Correct repository, or take another token: {_NEEDS}."
    else:
        reason = (
            "the token is a good one, and is shown no repository of this name: there is none, or it is private and the "
            "token was not given it"
        )
        remedy = f"Correct repository, or take another token: {_NEEDS}."
    return RunbookError(
        code="repository_missing", attempted="find the repository", object=name, reason=reason, remedy=remedy
    )


def moved(reply: Reply, name: str) -> RunbookError:
    """The failure for a repository that has another name now."""
    return RunbookError(
        code="repository_missing",
        attempted="find the repository",
        object=name,
        reason=f"it was renamed or moved (GitHub answered {reply.status})",
        remedy="Write its new name into repository; its page at GitHub leads there.",
    )


def message_of(reply: Reply, redactor: Redactor) -> str:
    """What GitHub says, in one line of at most 200 characters.

    Redacted before it is cut: half a secret is not recognised.
    """
    said = redactor.text(str(reply.fields.get("message") or ""))
    return " ".join(said.split())[:200].rstrip(".")
