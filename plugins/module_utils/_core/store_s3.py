# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in a bucket of Amazon S3 or a compatible service (private to ops.runbooks)."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from ansible_collections.ops.runbooks.plugins.module_utils._core import s3_protection
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_client import Bucket
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_errors import CONFLICTS
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_reader import Reader
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_sink import S3Sink
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import (
    Encryption,
    ObjectMissing,
    Protection,
    StoredObject,
    Unfinished,
    bad_url,
    check_key,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import Budget

#: Amazon's rules and those of older or compatible services, which also take capitals and underscores.
_BUCKET = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$")
#: Seconds for which an answer's Date is good for knowing the store's time.
_FRESH = 5.0
#: How often a conditional write is tried again while the store sees another one of the same key under way.
_CONFLICT_ATTEMPTS = 6
#: What a service answers, as it is understood here, that does not remove many objects in one request.
_ONE_BY_ONE = frozenset({"store_denied", "store_failed", "store_not_conditional"})


class S3Store:
    """See ``store.Store``."""

    def __init__(self, bucket: Bucket, prefix: str, encryption: Encryption = Encryption()) -> None:  # noqa: B008 - frozen
        self.url = bucket.url
        self._encryption = encryption
        self._deletes_many = True
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @classmethod
    def at(cls, address: str, params: Mapping[str, Any], context: Context) -> S3Store:
        """The store at what follows ``s3://``."""
        name, _slash, prefix = address.partition("/")
        if "@" in name:
            context.redactor.protect(name.rpartition("@")[0].rpartition(":")[2])
            raise bad_url(f"s3://{name.rpartition('@')[2]}", "credentials do not belong in the address of a store")
        if not _BUCKET.match(name):
            raise bad_url(f"s3://{address}", f"{name!r} is not the name of a bucket")
        prefix = prefix.strip("/")
        try:
            check_key(prefix or name)
        except RunbookError as error:
            raise bad_url(f"s3://{address}", error.reason) from error
        url = f"s3://{name}/{prefix}" if prefix else f"s3://{name}"
        return cls(Bucket(name, url, params, context), prefix, Encryption.of_store(params))

    def get(self, key: str) -> bytes | None:
        """See ``store.Store``."""
        try:
            with self.open(key) as stream:
                return stream.read()
        except ObjectMissing:
            return None

    @contextmanager
    def open(self, key: str, start: int = 0, size: int | None = None) -> Iterator[BinaryIO]:
        """See ``store.Store``."""
        with Reader(self._bucket, self._full(key), start, size) as raw, io.BufferedReader(raw, raw.BUFFER) as stream:
            yield stream

    def head(self, key: str) -> StoredObject | None:
        """See ``store.Store``."""
        try:
            answer = self._bucket.call("head_object", "look into the store", self._full(key))
        except ObjectMissing:
            return None
        return StoredObject(key=key, size=answer["ContentLength"], modified=_utc(answer["LastModified"]))

    def encryption_of(self, key: str) -> str:
        """What the service says of how an object is encrypted at rest, such as ``aws:kms``; '' where it says nothing.

        Raises ``object_missing``.
        """
        answer = self._bucket.call("head_object", "look into the store", self._full(key))
        return str(answer.get("ServerSideEncryption") or "")

    def encrypting(self, encryption: Encryption) -> S3Store:
        """The same store, whose objects are written so from now on."""
        return S3Store(self._bucket, self._prefix.rstrip("/"), encryption)

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """See ``store.Store``."""
        position = {"StartAfter": self._prefix + after} if after else {}
        while True:
            answer = self._bucket.call("list_objects_v2", "list the store", Prefix=self._prefix + prefix, **position)
            for item in answer.get("Contents", ()):
                key = item["Key"].removeprefix(self._prefix)
                yield StoredObject(key=key, size=item["Size"], modified=_utc(item["LastModified"]))
            if not answer.get("IsTruncated"):
                return
            position = {"ContinuationToken": answer["NextContinuationToken"]}

    def create(self, key: str, body: bytes) -> bool:
        """See ``store.Store``."""
        for attempt in range(_CONFLICT_ATTEMPTS):
            if self._put(key, body, accept=CONFLICTS, IfNoneMatch="*"):
                return True
            stored = self.get(key)
            if stored is not None:
                return stored == body
            # Refused although nothing is there: another writer is at it (409), or a deletion came between.
            self._bucket.context.clock.sleep(0.1 * 2**attempt)
        raise RunbookError(
            code="store_not_conditional",
            attempted="create an object that only one writer may create",
            object=f"{self.url}/{key}",
            reason="the store refused the conditional write although there is no such object",
            remedy="Use a store that honours If-None-Match on PUT, or set state_store to one that does.",
        )

    def put(self, key: str, body: bytes) -> None:
        """See ``store.Store``."""
        self._put(key, body)

    def delete(self, key: str) -> None:
        """See ``store.Store``. In a versioned bucket this adds a delete marker, and older versions stay."""
        self._bucket.change("delete_object", "delete from the store", self._full(key), accept={"NoSuchKey", "404"})

    def delete_all(self, keys: Sequence[str]) -> None:
        """See ``store.Store``. Not every service takes many at once; what it does not take goes one by one, and so does
        what it refuses, so that a refusal reads the same.
        """
        left: Sequence[str] = keys
        if self._deletes_many and len(keys) > 1:
            try:
                answer = self._bucket.change(
                    "delete_objects",
                    "delete from the store",
                    "",
                    Delete={"Objects": [{"Key": self._full(key)} for key in keys], "Quiet": True},
                )
                left = [error["Key"].removeprefix(self._prefix) for error in answer.get("Errors", ())]
            except RunbookError as error:
                if error.code not in _ONE_BY_ONE:
                    raise
                self._deletes_many = False
        for key in left:
            self.delete(key)

    def protection(self) -> Protection:
        """See ``store.Store``."""
        return s3_protection.protection(self._bucket)

    def locked(self, key: str) -> str | None:
        """See ``store.Store``."""
        return s3_protection.locked(self._bucket, self._full(key), self.now())

    def now(self, *, may_write: bool = False) -> datetime:
        """See ``store.Store``: the Date of the last answer, or of a new one where that is too long ago."""
        moment = self._bucket.clock(_FRESH)
        if moment is None:
            self._bucket.call("list_objects_v2", "ask the store's clock", Prefix=self._prefix, MaxKeys=1)
            moment = self._bucket.clock(_FRESH)
        if moment is None:
            raise RunbookError(
                code="store_failed",
                attempted="ask the store's clock",
                object=self.url,
                reason="its answers carry no Date",
                remedy="Locks need the store's time: reach the store without the proxy that removes it.",
            )
        return moment

    def sink(self, key: str, *, part_size: int, budget: Budget, encryption: Encryption) -> S3Sink:
        """See ``store.Store``."""
        return S3Sink(self._bucket, key, self._full(key), part_size=part_size, budget=budget, encryption=encryption)

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """See ``store.Store``."""
        position: dict[str, str] = {}
        while True:
            answer = self._bucket.call(
                "list_multipart_uploads", "list unfinished uploads", Prefix=self._prefix + prefix, **position
            )
            for item in answer.get("Uploads", ()):
                key = item["Key"].removeprefix(self._prefix)
                yield Unfinished(key=key, handle=item["UploadId"], started=_utc(item["Initiated"]))
            if not answer.get("IsTruncated"):
                return
            position = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def abandon(self, item: Unfinished) -> None:
        """See ``store.Store``."""
        self._bucket.change(
            "abort_multipart_upload",
            "drop an unfinished upload",
            self._full(item.key),
            accept={"NoSuchUpload", "404"},
            UploadId=item.handle,
        )

    def _put(self, key: str, body: bytes, **arguments: Any) -> dict[str, Any]:
        # Object Lock demands Content-MD5 or a checksum, and every server knows the former (API reference of PutObject).
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        return self._bucket.change(
            "put_object",
            "write to the store",
            self._full(key),
            Body=body,
            ContentMD5=digest,
            **self._encryption.arguments(),
            **arguments,
        )

    def _full(self, key: str) -> str:
        return self._prefix + check_key(key, self._prefix)


def _utc(moment: datetime) -> datetime:
    """botocore gives times in the zone of its parser, at times the machine's own."""
    return moment.astimezone(UTC)
