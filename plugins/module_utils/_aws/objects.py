# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The remote side of s3_upload (private to ops.runbooks): what is there, putting and deleting.

What an object holds is known by the SHA-256 in its metadata together with its size. Its ETag says nothing: it depends
on the sizes of parts and on encryption.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from ansible_collections.ops.runbooks.plugins.module_utils._aws.lanes import in_lanes
from ansible_collections.ops.runbooks.plugins.module_utils._aws.local import Local, changed, unreadable
from ansible_collections.ops.runbooks.plugins.module_utils._aws.options import DIGEST, HEADERS, Request
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_client import Bucket
from ansible_collections.ops.runbooks.plugins.module_utils._core.s3_sink import S3Sink
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import ObjectMissing
from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import DEFAULT_PART, Budget, part_size_for

#: Requests at once for what takes no memory.
LANES = 16
_PAGE = 1000
#: Pages of a listing beyond those that the local files would fill, after which asking for each key is cheaper.
_SPARE_PAGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """One object. ``sha256`` is None where its metadata has none; ``tags`` where nobody asked for them."""

    key: str
    size: int
    sha256: str | None = None
    version_id: str | None = None
    headers: Mapping[str, str]
    metadata: Mapping[str, str]
    tags: Mapping[str, str] | None = None
    encryption: str = ""
    kms_key_id: str = ""


class Objects:
    """The objects of one bucket."""

    def __init__(self, bucket: Bucket, request: Request) -> None:
        self._bucket = bucket
        self._request = request
        self._budget = Budget()

    def found(self, keys: Sequence[str]) -> dict[str, Remote]:
        """Those of ``keys`` that exist, with everything that is known about them."""
        listed = self._listed(keys) if len(keys) > 1 else set(keys)
        there = [key for key in keys if key in listed]
        answers = in_lanes(self._look, there, LANES)
        return {remote.key: remote for remote in answers if remote is not None}

    def below(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Key and size of everything that begins with ``prefix``."""
        position: dict[str, str] = {}
        while True:
            answer = self._bucket.call("list_objects_v2", "list the bucket", Prefix=prefix, **position)
            for item in answer.get("Contents", ()):
                yield item["Key"], item["Size"]
            if not answer.get("IsTruncated"):
                return
            position = {"ContinuationToken": answer["NextContinuationToken"]}

    def put(self, local: Local, arguments: Mapping[str, Any], *, only_new: bool) -> str | None:
        """Upload; the version's id where the bucket keeps versions.

        Raises ``source_changed`` where what was sent is not what was looked at: then nothing has appeared. With
        ``only_new`` raises ``object_exists``.
        """
        # A small file takes no more of the budget than it needs, so that many are on their way at once.
        part_size = local.size + 1 if local.size < DEFAULT_PART else part_size_for(local.size, "")
        with (
            local.open() as stream,
            S3Sink(
                self._bucket,
                local.key,
                local.key,
                part_size=part_size,
                budget=self._budget,
                encryption=self._request.encryption,
                attributes=arguments,
                only_new=only_new,
            ) as sink,
        ):
            try:
                sink.pump(stream)  # type: ignore[arg-type,unused-ignore]
            except OSError as error:
                raise unreadable(local.name, error) from error
            local.check(stream)
            if sink.sha256 != local.sha256:
                raise changed(local.name)
            sink.commit()
            return sink.version_id

    def delete(self, key: str) -> str | None:
        """Delete; the id of the delete marker where the bucket keeps versions."""
        answer = self._bucket.change("delete_object", "delete an object", key, accept={"NoSuchKey", "404"})
        marker: str | None = answer.get("VersionId")
        return marker

    def _listed(self, keys: Sequence[str]) -> set[str]:
        """A superset of those of ``keys`` that exist, from as few requests as possible."""
        most = len(keys) + _SPARE_PAGES * _PAGE
        listed = {key for key, _size in islice(self.below(self._request.prefix or ""), most)}
        return set(keys) if len(listed) == most else listed

    def _look(self, key: str) -> Remote | None:
        try:
            head = self._bucket.call("head_object", "look at an object", key)
        except ObjectMissing:
            return None
        tags = self._tags(key) if self._request.tags is not None and not self._request.absent else None
        metadata = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
        return Remote(
            key=key,
            size=head["ContentLength"],
            sha256=metadata.pop(DIGEST, None),
            version_id=head.get("VersionId"),
            headers={name: head[name] for name in HEADERS.values() if head.get(name)},
            metadata=metadata,
            tags=tags,
            encryption=head.get("ServerSideEncryption", ""),
            kms_key_id=head.get("SSEKMSKeyId", ""),
        )

    def _tags(self, key: str) -> dict[str, str]:
        try:
            answer = self._bucket.call("get_object_tagging", "read the tags of an object", key)
        except ObjectMissing:
            return {}
        return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", ())}


def put_arguments(request: Request, local: Local, content_type: str) -> dict[str, Any]:
    """The arguments of PutObject and CreateMultipartUpload for an object."""
    arguments: dict[str, Any] = {
        "ContentType": content_type,
        **request.headers,
        "Metadata": {**request.metadata, DIGEST: local.sha256},
    }
    if request.tags:
        arguments["Tagging"] = urlencode(request.tags)
    if request.storage_class:
        arguments["StorageClass"] = request.storage_class
    return arguments
