# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading an S3 object as a stream that survives dropped connections (private to ops.runbooks)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_errors import PRECONDITION

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_client import Bucket

_ATTEMPTED = "read from the store"
#: Reconnections in a row that may bring less than this many bytes; each is itself tried several times by the client.
_FRUITLESS = 5
_FRUIT = 64 * 1024
#: Failures of a reconnection after which another one may succeed.
_PASSING = {"store_unreachable", "store_failed"}


class Reader(io.RawIOBase):
    """The bytes of one object, of one version of it: all, or ``size`` of them from ``start`` on.

    A body that ends before its Content-Length is never taken for the end of the object: the rest is asked for by Range,
    on the condition (If-Match) that the object is still the same one.
    """

    #: A good size for the buffer around this raw stream, in bytes.
    BUFFER = 1024 * 1024

    def __init__(self, bucket: Bucket, key: str, start: int = 0, size: int | None = None) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key
        self._position = start
        self._stop = None if size is None else start + size
        self._fruitless = 0
        #: Since the last reconnection.
        self._received = 0
        answer = self._get(**({} if start == 0 and size is None else {"Range": self._range()}))
        self._etag: str = answer["ETag"]
        self._size: int = start + answer["ContentLength"]
        self._body: Any = answer["Body"]

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` as far as one read goes; 0 only at the end of the object. Raises ``store_unreachable``."""
        from botocore.exceptions import BotoCoreError

        with memoryview(buffer).cast("B") as view:
            while self._position < self._size and len(view):
                try:
                    count = int(self._body.readinto(view[: self._size - self._position]))
                except (BotoCoreError, OSError) as error:
                    self._reconnect(error)
                    continue
                if count:
                    self._position += count
                    self._received += count
                    if self._received >= _FRUIT:
                        self._fruitless = 0
                    return count
                self._reconnect(None)
        return 0

    def close(self) -> None:
        """Drop the connection where the body was not read to its end."""
        if not self.closed and hasattr(self, "_body"):
            self._body.close()
        super().close()

    def _reconnect(self, error: Exception | None) -> None:
        self._body.close()
        while True:
            self._fruitless += 1
            if self._fruitless > _FRUITLESS:
                raise self._given_up() from error
            self._bucket.context.clock.sleep(min(0.25 * 2**self._fruitless, 5))
            try:
                answer = self._get(Range=self._range(), IfMatch=self._etag)
            except RunbookError as failure:
                if failure.code not in _PASSING:
                    raise
                continue
            self._body = answer["Body"]
            self._received = 0
            if not str(answer.get("ContentRange", "")).startswith(f"bytes {self._position}-"):
                raise self._given_up()
            return

    def _range(self) -> str:
        """What is still to come (RFC 9110, 14.1.2: the last byte is named, not the one behind it)."""
        return f"bytes={self._position}-" + ("" if self._stop is None else str(self._stop - 1))

    def _get(self, **arguments: Any) -> dict[str, Any]:
        answer = self._bucket.call("get_object", _ATTEMPTED, self._key, accept=PRECONDITION, **arguments)
        if not answer or arguments.get("IfMatch", answer["ETag"]) != answer["ETag"]:
            raise RunbookError(
                code="object_corrupt",
                attempted=_ATTEMPTED,
                object=f"s3://{self._bucket.name}/{self._key}",
                reason="the object was replaced by another one while it was being read",
                remedy="Run the same command again.",
            )
        return answer

    def _given_up(self) -> RunbookError:
        return RunbookError(
            code="store_unreachable",
            attempted=_ATTEMPTED,
            object=f"s3://{self._bucket.name}/{self._key}",
            reason=f"the connection broke again and again after {self._position} of {self._size} bytes",
            remedy="Check the network to the store, then run the same command again.",
        )
