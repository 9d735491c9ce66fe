# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What s3_upload does to each object (private to ops.runbooks); pure."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.ops.runbooks.plugins.module_utils._aws.local import Local
from ansible_collections.ops.runbooks.plugins.module_utils._aws.objects import Remote
from ansible_collections.ops.runbooks.plugins.module_utils._aws.options import Request
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Plan

#: Python's own table, without the files of the system: every machine guesses the same.
_TYPES = mimetypes.MimeTypes()
_UNKNOWN = "application/octet-stream"
#: A compressed file is what it is. As ``Content-Encoding`` browsers would unpack it behind the user's back.
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
}
#: What is named in a plan one by one; the rest is counted.
_NAMED = 20
_KMS = {"aws:kms", "aws:kms:dsse"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One object to write or to delete, and why. ``local`` is None where it is deleted."""

    key: str
    why: str
    local: Local | None = None


@dataclass(frozen=True, kw_only=True)
class UploadPlan(Plan):
    """``changes`` in the order of their keys."""

    changes: tuple[Change, ...]


def plan_upload(request: Request, locals_: Sequence[Local], found: Mapping[str, Remote]) -> UploadPlan:
    """What is to be written and deleted, from what is wanted and what is there."""
    changes = tuple(_deleted(found) if request.absent else _written(request, locals_, found))
    byte_count = sum(change.local.size for change in changes if change.local)
    return UploadPlan(
        changed=bool(changes),
        changes=changes,
        result=result_of(request, _entries(request, locals_, found), changes),
        steps=tuple(_steps(request, changes, byte_count)),
        irreversible=tuple(_irreversible(request, changes, found)),
        before={change.key: _shown(found.get(change.key)) for change in changes},
        after={change.key: _promised(request, change) for change in changes},
    )


def result_of(request: Request, entries: Mapping[str, dict[str, Any]], changes: Sequence[Change]) -> dict[str, Any]:
    """The object ``upload`` of the result."""
    changed = {change.key for change in changes}
    return {
        "bucket": request.bucket,
        "changed_count": len(changed),
        "bytes_sent": sum(change.local.size for change in changes if change.local),
        "objects": [{"key": key, "changed": key in changed, **entry} for key, entry in entries.items()],
    }


def differences(request: Request, local: Local, remote: Remote) -> list[str]:
    """In what an object is not as it is wanted. A content type that was only guessed counts for nothing, nor does a
    storage class, which lifecycle rules change."""
    said: list[str] = []
    if remote.sha256 is None:
        said.append("its SHA-256 is unknown")
    elif (remote.sha256, remote.size) != (local.sha256, local.size):
        said.append("its content")
    headers = dict(remote.headers)
    if "ContentType" not in request.headers:
        headers.pop("ContentType", None)
    said += [name for name in sorted({*headers, *request.headers}) if headers.get(name) != request.headers.get(name)]
    if remote.metadata != request.metadata:
        said.append("metadata")
    if request.tags is not None and remote.tags != request.tags:
        said.append("tags")
    if not _encrypted(request, remote):
        said.append("encryption")
    return said


def content_type_of(request: Request, local: Local) -> str:
    """The type that is asked for, or what the file's name says."""
    if "ContentType" in request.headers:
        return request.headers["ContentType"]
    guessed, encoding = _TYPES.guess_type(local.key.rpartition("/")[2], strict=True)
    if encoding and "ContentEncoding" not in request.headers:
        return _COMPRESSED.get(encoding, _UNKNOWN)
    return guessed or _UNKNOWN


def _encrypted(request: Request, remote: Remote) -> bool:
    """Whether it is encrypted as asked. An alias cannot be compared with the key that S3 names."""
    wanted = request.encryption
    if wanted.mode == "none":
        return True
    if wanted.mode == "sse-s3":
        return remote.encryption == "AES256"
    named = (wanted.key_id or "").rpartition("/")[2]
    alias = ":alias/" in f":{wanted.key_id}"
    return remote.encryption in _KMS and (not named or alias or remote.kms_key_id.rpartition("/")[2] == named)


def _written(request: Request, locals_: Sequence[Local], found: Mapping[str, Remote]) -> Iterator[Change]:
    for local in locals_:
        remote = found.get(local.key)
        if remote is None:
            yield Change(key=local.key, why="new", local=local)
        elif request.overwrite == "always":
            yield Change(key=local.key, why="overwrite=always", local=local)
        elif request.overwrite == "different" and (said := differences(request, local, remote)):
            yield Change(key=local.key, why=f"differs: {', '.join(said)}", local=local)


def _deleted(found: Mapping[str, Remote]) -> Iterator[Change]:
    for key in sorted(found):
        yield Change(key=key, why="absent")


def _entries(request: Request, locals_: Sequence[Local], found: Mapping[str, Remote]) -> dict[str, dict[str, Any]]:
    """Key to what is known of each object that the request is about: as it will be, or as it was before its end."""
    by_key = {local.key: local for local in locals_}
    keys = [request.key] if request.key is not None else sorted({*by_key, *found})
    return {key: _entry(request, by_key.get(key), found.get(key)) for key in keys}


def _entry(request: Request, local: Local | None, remote: Remote | None) -> dict[str, Any]:
    if local is None or (remote is not None and (request.absent or request.overwrite == "never")):
        if remote is None:
            return {"bytes": 0, "sha256": None, "version_id": None}
        return {
            "bytes": remote.size,
            "sha256": remote.sha256,
            "version_id": remote.version_id,
        }
    version = remote.version_id if remote is not None else None
    return {"bytes": local.size, "sha256": local.sha256 or None, "version_id": version}


def _steps(request: Request, changes: Sequence[Change], byte_count: int) -> Iterator[str]:
    if not changes:
        return
    bucket = f"s3://{request.bucket}"
    if len(changes) > _NAMED:
        what = "delete" if request.absent else "upload"
        size = "" if request.absent else f" ({byte_count} bytes)"
        yield f"{what} {len(changes)} objects in {bucket}{size}, the first of which are:"
    for change in changes[:_NAMED]:
        if change.local is None:
            yield f"delete {bucket}/{change.key}"
        else:
            yield f"upload {change.local.name} ({change.local.size} bytes) to {bucket}/{change.key} ({change.why})"


def _irreversible(request: Request, changes: Sequence[Change], found: Mapping[str, Remote]) -> Iterator[str]:
    lost = [change.key for change in changes if change.key in found]
    if lost:
        what = "deleted" if request.absent else "replaced"
        yield f"{len(lost)} objects of s3://{request.bucket} are {what}, for good unless the bucket keeps versions"


def _shown(remote: Remote | None) -> dict[str, Any]:
    """An object in a diff."""
    if remote is None:
        return {"state": "absent"}
    shown: dict[str, Any] = {"state": "present", "bytes": remote.size, "sha256": remote.sha256}
    shown |= {"headers": dict(remote.headers), "metadata": dict(remote.metadata)}
    return shown if remote.tags is None else shown | {"tags": dict(remote.tags)}


def _promised(request: Request, change: Change) -> dict[str, Any]:
    if change.local is None:
        return {"state": "absent"}
    headers = {**request.headers, "ContentType": content_type_of(request, change.local)}
    shown: dict[str, Any] = {"state": "present", "bytes": change.local.size, "sha256": change.local.sha256}
    shown |= {"headers": headers, "metadata": dict(request.metadata)}
    return shown if request.tags is None else shown | {"tags": dict(request.tags)}
