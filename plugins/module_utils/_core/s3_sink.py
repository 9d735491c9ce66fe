# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A streamed object under construction in S3 (private to ops.runbooks).

A stream that fits into one part becomes one PUT at the commit; a longer one a multipart upload, which stays invisible
until it is completed. Every part carries its MD5, so that any server refuses a damaged one, and what the server then
says of the whole is compared with what was sent.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_errors import PRECONDITION
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import (
    Encryption,
    ObjectMissing,
    Source,
    StoredDigest,
    forbid_in_check_mode,
)
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import Budget, Pump

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_client import Bucket

_ATTEMPTED = "write to the store"
#: Answers to a part that arrived damaged; it is sent again this often.
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"}
_DAMAGED_ATTEMPTS = 3
#: Seconds to wait for parts on their way before an upload is dropped: a part that arrives later would be left behind.
_STOP_TIMEOUT = 15.0


class ObjectExists(RunbookError):
    """The failure ``object_exists``, told apart by its class where being too late is an answer."""

    __slots__ = ()


class S3Sink:
    """See ``store.Sink``.

    ``attributes`` are further arguments of PutObject and CreateMultipartUpload: headers, metadata, tags. With
    ``only_new`` the commit raises :class:`ObjectExists` where an object has the key by then.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        full_key: str,
        *,
        part_size: int,
        budget: Budget,
        encryption: Encryption,
        attributes: Mapping[str, Any] | None = None,
        only_new: bool = False,
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._full_key = full_key
        self._attributes = {**encryption.arguments(), **(attributes or {})}
        self._only_new = only_new
        #: Of the object, where the bucket keeps versions; known after the commit.
        self.version_id: str | None = None
        self._pump = Pump(part_size=part_size, budget=budget, begin=self._begin, send=self._send)
        self._upload_id: str | None = None
        self._parts = _Parts()
        self._committed = False

    def __enter__(self) -> Self:
        forbid_in_check_mode(self._bucket.context, f"write {self._full_key}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    @property
    def sha256(self) -> str:
        """Of what was pumped, in hexadecimal digits: to be looked at before the commit."""
        return self._pump.sha256

    def pump(self, stream: Source, on_progress: Callable[[int], None] = lambda size: None) -> None:
        """See ``store.Sink``."""
        self._pump.run(stream, on_progress)

    def commit(self) -> StoredDigest:
        """See ``store.Sink``. Raises ``store_failed`` where the upload was dropped by somebody else."""
        if self._pump.stopped:
            raise ValueError("commit() after stop()")
        small = self._pump.small
        etag = self._complete() if small is None else self._put(small)
        self._check(self._head(), etag)
        self._committed = True
        return StoredDigest(key=self._key, size=self._pump.size, sha256=self._pump.sha256)

    def stop(self) -> None:
        """See ``store.Sink``."""
        self._pump.stop()

    def abort(self) -> None:
        """See ``store.Sink``."""
        if self._committed:
            return
        self._pump.stop(_STOP_TIMEOUT)
        if self._upload_id is None:
            return
        upload_id, self._upload_id = self._upload_id, None
        try:
            self._bucket.change(
                "abort_multipart_upload",
                "drop an unfinished upload",
                self._full_key,
                accept={"NoSuchUpload", "404"},
                UploadId=upload_id,
            )
        except RunbookError as failure:
            # The failure that led here is the one to report; a later run sweeps what stays.
            self._bucket.context.warn(f"{failure.message} Its parts stay, invisible and billed, until they are swept.")

    def _begin(self) -> None:
        answer = self._change("create_multipart_upload", **self._attributes)
        self._upload_id = str(answer["UploadId"])

    def _send(self, number: int, body: bytearray) -> None:
        digest = hashlib.md5(body, usedforsecurity=False)
        for _attempt in range(_DAMAGED_ATTEMPTS):
            answer = self._bucket.change(
                "upload_part",
                _ATTEMPTED,
                self._full_key,
                accept=_DAMAGED,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=body,
                ContentMD5=base64.b64encode(digest.digest()).decode(),
            )
            if answer:
                self._parts.add(number, str(answer["ETag"]), digest.digest())
                return
        raise self._failed(
            "store_failed",
            f"part {number} arrived damaged {_DAMAGED_ATTEMPTS} times",
            "Something between here and the store changes data; check memory, network card and proxies.",
        )

    def _put(self, body: bytes) -> str | None:
        digest = hashlib.md5(body, usedforsecurity=False)
        encoded = base64.b64encode(digest.digest()).decode()
        answer = self._finish("put_object", Body=body, ContentMD5=encoded, **self._attributes)
        return digest.hexdigest() if _bare(answer.get("ETag")) == digest.hexdigest() else None

    def _complete(self) -> str | None:
        """Complete the multipart upload. A lost answer is no failure where :meth:`_head` then shows the object."""
        if self._upload_id is None:
            raise ValueError("commit() without pump()")
        try:
            self._finish(
                "complete_multipart_upload",
                accept=frozenset({"NoSuchUpload", "404"}),
                UploadId=self._upload_id,
                MultipartUpload={"Parts": self._parts.listed()},
            )
        except RunbookError as failure:
            if failure.code not in ("store_unreachable", "store_failed"):
                raise
            try:
                self._head()
            except RunbookError:
                raise failure from None
        return self._parts.etag()

    def _finish(self, method: str, *, accept: frozenset[str] = frozenset(), **arguments: Any) -> dict[str, Any]:
        """The call that makes the object appear. Raises :class:`ObjectExists` where only a new one may."""
        if self._only_new:
            answer = self._change(method, accept=PRECONDITION, IfNoneMatch="*", **arguments)
            if not answer:
                raise ObjectExists(
                    code="object_exists",
                    attempted=_ATTEMPTED,
                    object=f"s3://{self._bucket.name}/{self._full_key}",
                    reason="an object has this key already, and only a new one may be made",
                    remedy="Choose another key, or allow it to be replaced.",
                )
        else:
            answer = self._change(method, accept=accept, **arguments)
        self.version_id = answer.get("VersionId")
        return answer

    def _head(self) -> dict[str, Any]:
        try:
            return self._bucket.call("head_object", "read back what was stored", self._full_key)
        except ObjectMissing as failure:
            raise self._failed(
                "store_failed",
                "the upload was dropped before it was complete, by another run or by a lifecycle rule of the bucket",
                "Let the rule spare uploads younger than a day, and run the same command again.",
            ) from failure

    def _check(self, head: dict[str, Any], etag: str | None) -> None:
        """Compare the stored object with what was sent. With a KMS key the ETag is no MD5 (API reference, Object)."""
        found = _bare(head.get("ETag"))
        self._check_ours(head)
        if head["ContentLength"] != self._pump.size:
            difference = f"{self._pump.size} bytes were sent and {head['ContentLength']} are there"
        elif etag and found != etag and _is_md5(found) and "kms" not in str(head.get("ServerSideEncryption")):
            difference = f"its ETag should be {etag} and is {found}"
        else:
            return
        raise self._failed("object_corrupt", difference, "Run the same command again: it writes a new object.")

    def _check_ours(self, head: dict[str, Any]) -> None:
        """What lies under a key that is written again may be what was there before, where the upload was dropped."""
        wanted = (self._attributes.get("Metadata") or {}).get("sha256")
        there = {name.lower(): value for name, value in (head.get("Metadata") or {}).items()}
        if wanted and there.get("sha256") != wanted:
            reason = "another object has the key: the upload was dropped, or replaced by another run"
            raise self._failed("store_failed", reason, "Run the same command again.")

    def _change(self, method: str, **arguments: Any) -> dict[str, Any]:
        return self._bucket.change(method, _ATTEMPTED, self._full_key, **arguments)

    def _failed(self, code: str, reason: str, remedy: str) -> RunbookError:
        where = f"s3://{self._bucket.name}/{self._full_key}"
        return RunbookError(code=code, attempted=_ATTEMPTED, object=where, reason=reason, remedy=remedy)


class _Parts:
    """What the server said of each part, and what it should say of the whole; filled by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._etags: dict[int, str] = {}
        self._digests: dict[int, bytes] = {}

    def add(self, number: int, etag: str, digest: bytes) -> None:
        with self._lock:
            self._etags[number] = etag
            self._digests[number] = digest

    def listed(self) -> list[dict[str, object]]:
        return [{"PartNumber": number, "ETag": self._etags[number]} for number in sorted(self._etags)]

    def etag(self) -> str | None:
        """The MD5 of the parts' MD5s and their number; None where this server's ETags of parts are no MD5."""
        if any(_bare(self._etags[number]) != digest.hex() for number, digest in self._digests.items()):
            return None
        whole = b"".join(self._digests[number] for number in sorted(self._digests))
        return f"{hashlib.md5(whole, usedforsecurity=False).hexdigest()}-{len(self._digests)}"


def _bare(etag: object) -> str:
    return str(etag or "").strip('"').lower()


def _is_md5(etag: str) -> bool:
    """Whether an ETag has the form of Amazon's: 32 hexadecimal digits, with the number of parts where there are any."""
    return re.fullmatch(r"[0-9a-f]{32}(-\d+)?", etag) is not None
