# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where calendars of freezes are read from (private to ops.runbooks): a file, the web, or the option itself.

Every failure is :class:`Unreadable`. The address of a calendar is often its only secret, so that messages name the host
alone, and of a path the name of the file: the whole option is masked wherever it appears.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from ansible_collections.ops.runbooks.plugins.module_utils._core.http import is_loopback, session
from ansible_collections.ops.runbooks.plugins.module_utils._window.model import Unreadable

if TYPE_CHECKING:  # pragma: no cover
    import requests
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: The largest calendar that is read, in bytes.
_LARGEST = 8 * 1024 * 1024
_REDIRECTS, _MOVED = 5, (301, 302, 303, 307, 308)
#: Seconds between two attempts.
_PAUSE = 1.0


def name_of(source: str) -> str:
    """How messages call a calendar."""
    if "BEGIN:VCALENDAR" in source.upper():
        return "the calendar that is given as text"
    if _is_web(source):
        try:
            return f"the calendar at {urlsplit(source.strip()).hostname}"
        except ValueError:
            return "a calendar on the web"
    return f"the calendar {Path(source.strip()).name}"


def text_of(source: str, context: Context, patience: float) -> str:
    """The text of a calendar; ``patience`` is the seconds that the web may take. Raises :class:`Unreadable`."""
    if "BEGIN:VCALENDAR" in source.upper():
        return source
    source = source.strip()
    raw = _Web(context, patience).read(source) if _is_web(source) else _file(source)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("it is not a text in UTF-8") from None


def _is_web(source: str) -> bool:
    return source.strip().lower().startswith(("https://", "http://", "webcal://"))


def _file(path: str) -> bytes:
    place = Path(path).expanduser()
    if not place.is_absolute():
        raise Unreadable("it is neither an absolute path nor an https:// address nor an iCalendar")
    try:
        with place.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise Unreadable(error.strerror or type(error).__name__) from None
    if len(raw) > _LARGEST:
        raise Unreadable(f"it is larger than {_LARGEST} bytes")
    return raw


class _Web:
    """One download, repeated where it may have been bad luck, until the time is over."""

    def __init__(self, context: Context, patience: float) -> None:
        self._clock = context.clock
        self._context = context
        self._end = context.clock.monotonic() + patience

    def read(self, url: str) -> bytes:
        """The content."""
        while True:
            try:
                return self._once("https" + url[6:] if url.lower().startswith("webcal://") else url)
            except _BadLuckError as error:
                if self._left() <= _PAUSE:
                    raise Unreadable(str(error)) from None
            self._clock.sleep(_PAUSE)

    def _left(self) -> float:
        return self._end - self._clock.monotonic()

    def _once(self, url: str) -> bytes:
        import requests

        try:
            for _hop in range(_REDIRECTS + 1):
                with self._ask(url) as response:
                    if response.status_code not in _MOVED:
                        return self._content(response)
                    url = urljoin(url, response.headers.get("Location", ""))
                    self._context.redactor.protect(url)
        except requests.exceptions.SSLError:
            raise Unreadable("the certificate of its host is not trusted") from None
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout):
            raise _BadLuckError("its host could not be reached, or did not answer in time") from None
        except (requests.exceptions.RequestException, ValueError):
            raise Unreadable("the request could not be made") from None
        raise Unreadable(f"it is redirected more than {_REDIRECTS} times")

    def _ask(self, url: str) -> requests.Response:
        parts = urlsplit(url)
        local = is_loopback(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise Unreadable("over plain http anybody on the way could change it; use https")
        wait = max(1.0, min(10.0, self._left()))
        connection = session({"Accept": "text/calendar, */*;q=0.1"}, proxies=not local)
        return connection.get(url, timeout=(wait, wait), allow_redirects=False, stream=True)

    def _content(self, response: requests.Response) -> bytes:
        if response.status_code == 429 or response.status_code >= 500:
            raise _BadLuckError(f"its host answered {response.status_code}")
        if response.status_code != 200:
            raise Unreadable(f"its host answered {response.status_code}")
        pieces, size = [], 0
        for piece in response.iter_content(64 * 1024):
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST:
                raise Unreadable(f"it is larger than {_LARGEST} bytes")
            if self._left() <= 0:
                raise Unreadable("it did not come whole in time")
        return b"".join(pieces)


class _BadLuckError(Exception):
    """What may go well the next time."""
