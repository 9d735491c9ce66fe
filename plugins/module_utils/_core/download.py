# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file from the web (private to ops.runbooks), where a service has said that it is to be fetched.

Such an address may carry a key in its query, and leads to another host than the service's own: so no credentials go
there, no message quotes it, and what comes is bounded.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import is_loopback, session

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Seconds for a connection, and for each wait for a piece.
_TIMEOUTS = (10.0, 30.0)
_PAUSES = (1.0, 3.0)
_PIECE = 256 * 1024


def download(url: str, target: IO[bytes], *, what: str, limit: int, context: Context) -> int:
    """Fetch ``url`` into ``target``; returns its bytes. Asked three times where the network fails.

    Raises ``service_unreachable``, and ``service_failed`` for an answer that is no file of up to ``limit`` bytes.
    """
    parts = urlsplit(url)
    context.redactor.protect(parts.query)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise _failed(
            what, parts.hostname or "", "service_failed", "the service has named an address that is not https"
        )
    for pause in (*_PAUSES, None):
        target.seek(0)
        target.truncate()
        try:
            return _once(url, target, what, limit, proxies=parts.scheme == "https")
        except RunbookError as error:
            if pause is None or error.code != "service_unreachable":
                raise
            context.controller.check(f"fetch {what}")
            context.clock.sleep(pause)
    raise ValueError("unreachable")


def _once(url: str, target: IO[bytes], what: str, limit: int, *, proxies: bool) -> int:
    import requests

    host = urlsplit(url).hostname or ""
    with session({}, proxies=proxies) as connection:
        try:
            with connection.get(url, timeout=_TIMEOUTS, allow_redirects=False, stream=True) as response:
                if response.status_code >= 500:
                    raise _failed(what, host, "service_unreachable", f"it answered {response.status_code}")
                if response.status_code != 200:
                    raise _failed(what, host, "service_failed", f"it answered {response.status_code}")
                return _kept(response, target, what, host, limit)
        except requests.exceptions.RequestException as error:
            raise _failed(
                what, host, "service_unreachable", f"the connection failed ({type(error).__name__})"
            ) from None


def _kept(response: object, target: IO[bytes], what: str, host: str, limit: int) -> int:
    size = 0
    for piece in response.iter_content(_PIECE):  # type: ignore[attr-defined]
        size += len(piece)
        if size > limit:
            raise _failed(what, host, "service_failed", f"it is larger than {limit} bytes")
        target.write(piece)
    return size


def _failed(what: str, host: str, code: str, reason: str) -> RunbookError:
    remedy = "Look at the network and at the status page of the service, then run the same command again."
    return RunbookError(code=code, attempted=f"fetch {what}", object=host, reason=reason, remedy=remedy)
