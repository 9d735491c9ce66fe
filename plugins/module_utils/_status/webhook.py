# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calling the two addresses that are told of a run (private to ops.runbooks).

Both are secrets: whoever knows a webhook's address can post, whoever knows a heartbeat's can feign a backup. So no
message here contains an address or the text of an exception of ``requests``, which does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.http import session

if TYPE_CHECKING:  # pragma: no cover
    import requests
    from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import Clock
    from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor

#: Seconds for a connection, and for each wait for the answer.
_TIMEOUT = 10
#: Attempts of a heartbeat, which may be repeated, and the pauses between them in seconds. A post is not repeated: the
#: message could appear twice.
_PAUSES = (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether it was taken, and if not, why: a clause without an address."""

    taken: bool
    reason: str


def protect_address(redactor: Redactor, address: str) -> None:
    """Treat an address as secret, and the parts of it that exceptions and logs show alone."""
    redactor.protect(address)
    redactor.protect_within(address)
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    for part in (parts.path, parts.query, *parts.path.split("/")):
        # Shorter parts are words of the service's own, such as "services" or "ping".
        if len(part) > len("integrations"):
            redactor.protect(part)


def post_text(address: str, text: str) -> Answer:
    """Post ``{"text": text}``, once, as Slack and what is compatible with it take it."""
    return _attempt(lambda connection: connection.post(address, json={"text": escape(text)}, **_options()))


def beat(address: str, clock: Clock) -> Answer:
    """Call a heartbeat's address, up to three times."""
    for pause in (*_PAUSES, None):
        answer = _attempt(lambda connection: connection.get(address, **_options()))
        if answer.taken or pause is None:
            return answer
        clock.sleep(pause)
    return answer


def escape(text: str) -> str:
    """The three characters that have a meaning in Slack's text format (its documentation, "Escaping text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _options() -> dict[str, Any]:
    return {"timeout": _TIMEOUT, "allow_redirects": False}


def _attempt(send: Callable[[requests.Session], requests.Response]) -> Answer:
    try:
        import requests
    except ImportError:
        return Answer(taken=False, reason="the Python library requests is not installed")
    try:
        with session({}, proxies=True) as connection:
            status = send(connection).status_code
    except requests.Timeout:
        return Answer(taken=False, reason=f"it did not answer within {_TIMEOUT} s")
    except requests.exceptions.SSLError:
        return Answer(taken=False, reason="its certificate is not trusted")
    except requests.ConnectionError:
        return Answer(taken=False, reason="it could not be reached")
    except (requests.RequestException, ValueError):
        return Answer(taken=False, reason="it is not an http or https address that can be called")
    if 200 <= status < 300:
        return Answer(taken=True, reason=f"it answered {status}")
    return Answer(taken=False, reason=f"it answered {status}" + (", a redirect" if 300 <= status < 400 else ""))
