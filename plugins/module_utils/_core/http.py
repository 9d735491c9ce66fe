# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to the JSON API of a service (private to ops.runbooks).

What it promises: the credentials go nowhere but to the service that they are for (no redirect is followed, nothing is
read from ``~/.netrc``, plain http only reaches this machine), every wait ends, and a request that changes something is
sent again only where the first one was certainly not carried out. Where that is not certain it raises
:class:`Unanswered`, and the caller reads before it decides. No message has an address with a query, or the text of an
exception of ``requests``, in it.
"""

from __future__ import annotations

import copy
import io
import ipaddress
import json
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias
from urllib.parse import urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.clock import human
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.version import VERSION

if TYPE_CHECKING:  # pragma: no cover
    import requests
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

Texts: TypeAlias = Mapping[str, str]
#: Seconds for a connection, and for each wait for a piece of the answer.
_TIMEOUTS = (10.0, 30.0)
#: The largest answer that is read, in bytes.
_LARGEST = 32 * 1024 * 1024
#: Seconds between attempts: the first pause, the longest, and after a 403 for too many that does not say how long.
_PAUSE, _LONGEST_PAUSE, _UNSAID = 0.5, 8.0, 60.0


class Unanswered(RunbookError):
    """A request was sent and its answer lost: it may have been carried out."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. ``body`` is decoded JSON, None where there is none; header names are in lower case."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether the service did what it was asked."""
        return 200 <= self.status < 300

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body where it is an object, else nothing."""
        return self.body if isinstance(self.body, dict) else {}


def check_address(url: str, what: str) -> str:
    """``url`` without a slash at its end, where credentials may be sent to it. Raises ``invalid_parameter``."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad_address(what, "it is not a URL") from None
    if parts.username or parts.password:
        raise _bad_address(what, "it has a user name or a password in it")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise _bad_address(what, "it is not an https:// address")
    if parts.scheme == "http" and not is_loopback(host):
        raise _bad_address(what, "over plain http the credentials could be read on their way")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or its address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _bad_address(what: str, reason: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted=f"use {what}",
        object=what,
        reason=reason,
        remedy="Write it as https://host; http is only for 127.0.0.1.",
    )


def too_many(reply: Reply) -> bool:
    """Whether a request was refused for there being too many of them, as most services say it."""
    return reply.status == 429


class Api:
    """One API. ``service`` is its name for people, ``patience`` the seconds that all waiting may take together.

    ``limited`` says which answers mean that there were too many requests.
    ``persistence`` is how many of them one question may be asked again for without an answer. ``hopeless`` tells by
    the code of a refusal for too many requests whether it is a limit of the day, which is not waited for; ``unsaid`` is
    how many seconds are waited where such a refusal does not say how long.
    """

    def __init__(
        self,
        *,
        service: str,
        url: str,
        headers: Mapping[str, str],
        patience: float,
        context: Context,
        limited: Callable[[Reply], bool] = too_many,
        persistence: float = math.inf,
        hopeless: Callable[[str], bool] = lambda code: False,
        unsaid: float = _LONGEST_PAUSE,
    ) -> None:
        self.url = url
        self._unsaid = unsaid
        self._persistence = persistence
        self._hopeless = hopeless
        self._service = service
        self._headers = {"Accept": "application/json", **headers}
        self._context = context
        self._limited = limited
        self._deadline = context.clock.monotonic() + patience
        self._session: requests.Session | None = None

    def read(self, path: str, query: Texts, headers: Texts | None = None) -> Reply:
        """GET, as often as it takes: what is read may be asked again. Raises ``service_unreachable``."""
        return self._patiently("GET", path, lambda: self._once("GET", path, query, None, headers=headers))

    def upload(
        self, path: str, query: Texts, headers: Texts, content: Callable[[], AbstractContextManager[BinaryIO]]
    ) -> Reply:
        """POST a content that is known by its digest, as often as it takes: keeping it twice is keeping it once.

        It is read in pieces, from the beginning for each attempt. Raises ``service_unreachable``.
        """

        def attempt() -> Reply:
            with content() as body:
                return self._once("POST", path, query, data=body, headers=headers)

        return self._patiently("POST", path, attempt)

    def twin(self) -> Self:
        """The same API with connections of its own, for another thread; to be closed by itself."""
        made = copy.copy(self)
        made._session = None
        return made

    def _patiently(self, method: str, path: str, attempt: Callable[[], Reply]) -> Reply:
        """Ask again until there is an answer, or no patience left."""
        pause = _PAUSE
        end = self._context.clock.monotonic() + self._persistence
        reply: Reply | None
        while True:
            try:
                reply = attempt()
            except Unanswered:
                if min(self.left(), end - self._context.clock.monotonic()) <= pause:
                    raise
                reply = None
            if reply is not None and self._limited(reply):
                self._wait_for_limit(reply, method, path)
                continue
            left = min(self.left(), end - self._context.clock.monotonic())
            if reply is not None and (reply.status < 500 or left <= pause):
                return reply
            self.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def send(self, method: str, path: str, query: Texts, body: Any = None, headers: Texts | None = None) -> Reply:
        """A request that changes something, once. Raises :class:`Unanswered` where it may have been carried out.

        A refusal for too many requests is none of the work's, so that it is repeated when the service allows it.
        """
        while True:
            reply = self._once(method, path, query, {} if body is None else body, headers=headers)
            if self._limited(reply):
                self._wait_for_limit(reply, method, path)
                continue
            if reply.status >= 500:
                raise self._lost(method, path, f"it answered {reply.status}")
            return reply

    def wait_until(self, patience: float) -> None:
        """From now on all waiting together may take so many seconds."""
        self._deadline = self._context.clock.monotonic() + patience

    def left(self) -> float:
        """Seconds of patience."""
        return self._deadline - self._context.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, unless there is no patience left for it; then for what is left."""
        self._context.clock.sleep(max(0.0, min(seconds, self.left())))

    def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            self._session.close()

    def _wait_for_limit(self, reply: Reply, method: str, path: str) -> None:
        wait = wait_of(reply, self._context.clock.now().timestamp(), self._unsaid)
        code = str(_error(reply).get("code", "")) or str(reply.status)
        hopeless = self._hopeless(code)
        if hopeless or wait > self.left():
            day, longer = "a limit of the day, which is not waited for", "which is longer than this run may wait"
            why = day if hopeless else longer
            raise RunbookError(
                code="rate_limited",
                attempted=f"ask {self._service}",
                object=f"{method} {path}",
                reason=f"it takes no more requests for {human(wait)} ({code}), {why}",
                remedy="Run the same command again then.",
            )
        self.sleep(wait)

    def _once(
        self,
        method: str,
        path: str,
        query: Texts,
        body: Any = None,
        *,
        data: BinaryIO | None = None,
        headers: Texts | None = None,
    ) -> Reply:
        import requests

        self._context.requests += 1
        if self._session is None:
            self._session = session(self._headers, proxies=self.url.startswith("https:"))
        try:
            with self._session.request(
                method,
                self.url + path,
                params=dict(query),
                json=body,
                # What has no length would be sent as an endless stream.
                data=b"" if data is not None and not _length(data) else data,
                headers=dict(headers or {}),
                timeout=_TIMEOUTS,
                allow_redirects=False,
                stream=True,
            ) as response:
                return self._reply(response, method, path)
        except requests.exceptions.SSLError as error:
            raise self._unreachable("its certificate is not trusted") from error
        except requests.exceptions.ProxyError as error:
            raise self._unreachable("the proxy of this machine did not let it through") from error
        except requests.exceptions.ConnectTimeout as error:
            raise self._lost(method, path, "it could not be connected to in time", sent=False) from error
        except requests.exceptions.Timeout as error:
            raise self._lost(method, path, "it did not answer in time") from error
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            sent = not _never_connected(error)
            reason = "the connection broke before its answer" if sent else "nothing answers there"
            raise self._lost(method, path, reason, sent=sent) from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise self._unreachable("the request could not be made") from error

    def _reply(self, response: requests.Response, method: str, path: str) -> Reply:
        pieces, size = [], 0
        for piece in response.iter_content(64 * 1024):
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST:
                raise RunbookError(
                    code="service_failed",
                    attempted=f"read the answer of {self._service}",
                    object=f"{method} {path}",
                    reason=f"it is larger than {_LARGEST} bytes",
                    remedy="Report this line; no answer of this kind is known to be as large.",
                )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(status=response.status_code, body=_decoded(b"".join(pieces)), headers=headers)

    def _lost(self, method: str, path: str, reason: str, *, sent: bool = True) -> Unanswered:
        remedy = "Run the same command again: it looks first at what became of this request."
        if not sent or method == "GET":
            remedy = f"Look at the network and at the status page of {self._service}, then run the same command again."
        return Unanswered(
            code="service_unreachable",
            attempted=f"reach {self._service}",
            object=f"{method} {self.url}{path}",
            reason=reason,
            remedy=remedy,
        )

    def _unreachable(self, reason: str) -> RunbookError:
        return RunbookError(
            code="service_unreachable",
            attempted=f"reach {self._service}",
            object=self.url,
            reason=reason,
            remedy="Look at the network, the proxy and the certificates of this machine.",
        )


def wait_of(reply: Reply, now: float, unsaid: float = _LONGEST_PAUSE) -> float:
    """Seconds to wait after a refusal for too many requests; ``now`` in seconds since 1970.

    ``Retry-After`` first, then ``X-RateLimit-Reset`` where its limit was reached, then the body's ``limit.reset`` (ms);
    ``unsaid`` where none of them is there.
    """
    reached = reply.headers.get("x-ratelimit-remaining", "0") == "0"
    given = reply.headers.get("retry-after", "").strip()
    limit = _error(reply).get("limit") or reply.fields.get("limit")
    reset = limit.get("reset") if isinstance(limit, dict) else None
    if given.isdigit():
        wait = float(given)
    elif given:
        wait = _until(given, now)
    elif reached and (stamp := reply.headers.get("x-ratelimit-reset", "")).isdigit():
        # A moment, or with some services the seconds until then.
        wait = float(stamp) - (now if float(stamp) > 1e9 else 0)
    elif isinstance(reset, (int, float)):
        wait = reset / 1000 - now
    else:
        secondary = reply.status == 403 or "secondary rate limit" in str(reply.fields.get("message")).lower()
        wait = max(_UNSAID if secondary else 0.0, unsaid)
    return max(wait, _PAUSE)


def seconds_of(date: str) -> int:
    """A date of a header in seconds since 1970; 0 for what is none."""
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError):
        return 0


def _until(date: str, now: float) -> float:
    seconds = seconds_of(date)
    return seconds - now if seconds else _LONGEST_PAUSE


def _length(content: BinaryIO) -> int:
    """Bytes from the beginning to the end; it stands at the beginning afterwards."""
    length = content.seek(0, io.SEEK_END)
    content.seek(0)
    return length


def _error(reply: Reply) -> Mapping[str, Any]:
    error = reply.fields.get("error")
    return error if isinstance(error, dict) else {}


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def session(headers: Mapping[str, str], *, proxies: bool) -> requests.Session:
    """Connections with no credentials but those in ``headers``.

    ``proxies`` of the environment are used, unless what is asked is this machine in plain text.
    """
    import requests

    made = requests.Session()
    made.trust_env = proxies
    # A password of ~/.netrc is not sent.
    made.auth = lambda prepared: prepared
    made.headers.update({"User-Agent": f"ops.runbooks/{VERSION}", **headers})
    return made


def _never_connected(error: BaseException) -> bool:
    """Whether no byte of a request can have gone out, by the class of what lies below the exception."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, BaseException) or each in seen:
            continue
        if type(each).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError"):
            return True
        seen.append(each)
        waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return False
