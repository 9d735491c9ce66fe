# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of s3_upload, checked and typed (private to ops.runbooks)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import LONGEST_KEY, S3_SPEC, Encryption

UPLOAD_SPEC = S3_SPEC.merge(
    ArgumentSpec(
        options={
            "bucket": {"type": "str", "required": True},
            "object": {"type": "str"},
            "prefix": {"type": "str"},
            "src": {"type": "path"},
            "content": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge": {"type": "bool", "default": False},
            "include": {"type": "list", "elements": "str", "default": []},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "recursive": {"type": "bool", "default": True},
            "overwrite": {"type": "str", "choices": ["different", "always", "never"], "default": "different"},
            "content_type": {"type": "str"},
            "cache_control": {"type": "str"},
            "content_disposition": {"type": "str"},
            "content_encoding": {"type": "str"},
            "content_language": {"type": "str"},
            "metadata": {"type": "dict", "default": {}},
            "tags": {"type": "dict"},
            "encryption": {"type": "str", "choices": ["none", "sse-s3", "sse-kms"], "default": "none"},
            "kms_key_id": {"type": "str"},
            "storage_class": {"type": "str"},
        },
        mutually_exclusive=(("object", "prefix"), ("src", "content"), ("purge", "src")),
        required_one_of=(("object", "prefix"),),
        required_if=(("state", "present", ("src", "content"), True),),
        required_by={"content": ("object",)},
    )
)

#: Where the SHA-256 of an object is kept, as S3 returns it: below ``x-amz-meta-``.
DIGEST = "sha256"
#: Option to the argument of PutObject, which HeadObject returns under the same name.
HEADERS: Mapping[str, str] = {
    "content_type": "ContentType",
    "cache_control": "CacheControl",
    "content_disposition": "ContentDisposition",
    "content_encoding": "ContentEncoding",
    "content_language": "ContentLanguage",
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_TAG = re.compile(r"[\w .:/=+@-]*")
_METADATA_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*")
#: Of all metadata, and of tags (Amazon S3 user guide, "Working with object metadata", "Object tagging").
_MOST_METADATA, _MOST_TAGS, _LONGEST_TAG_KEY, _LONGEST_TAG = 2048 - 70, 10, 128, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is wanted. ``key`` is an object's, or the beginning of several, with its slash; exactly one is not None."""

    bucket: str
    key: str | None
    prefix: str | None
    src: str | None
    content: bytes | None
    absent: bool
    purge: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    recursive: bool
    overwrite: Literal["different", "always", "never"]
    headers: Mapping[str, str]
    metadata: Mapping[str, str]
    tags: Mapping[str, str] | None
    encryption: Encryption
    storage_class: str | None

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Request:
        """The parameters as a value. Raises ``invalid_parameter``."""
        if not _BUCKET.fullmatch(params["bucket"]):
            raise unusable("bucket", repr(params["bucket"]), "that is not the name of a bucket", "Give its bare name.")
        prefix = None if params["prefix"] is None else as_prefix(params["prefix"])
        request = cls(
            bucket=params["bucket"],
            key=None if params["object"] is None else check_key(params["object"]),
            prefix=prefix,
            src=params["src"],
            content=None if params["content"] is None else _bytes(params["content"]),
            absent=params["state"] == "absent",
            purge=params["purge"],
            include=tuple(params["include"]),
            exclude=tuple(params["exclude"]),
            recursive=params["recursive"],
            overwrite=params["overwrite"],
            headers={name: _header(option, params[option]) for option, name in HEADERS.items() if params[option]},
            metadata=_metadata(params["metadata"]),
            tags=None if params["tags"] is None else _tags(params["tags"]),
            encryption=Encryption(mode=params["encryption"], key_id=params["kms_key_id"]),
            storage_class=params["storage_class"],
        )
        request._check_together()
        return request

    def _check_together(self) -> None:
        if self.purge and not (self.absent and self.prefix):
            raise unusable(
                "purge",
                "true",
                "it deletes everything below a prefix, and needs state=absent and a prefix that is not empty",
                "Give both, or leave purge out.",
            )
        if self.absent and self.prefix is not None and not self.purge and self.src is None:
            raise unusable(
                "state",
                "absent",
                "it is not said which objects below the prefix are meant",
                "Give src to delete what corresponds to local files, or purge=true to delete all that is there.",
            )
        if self.encryption.key_id and self.encryption.mode != "sse-kms":
            raise unusable("kms_key_id", "", "it means something with encryption=sse-kms only", "Set both or neither.")

    @property
    def where(self) -> str:
        """The address of what is worked on."""
        return f"s3://{self.bucket}/{self.key if self.key is not None else self.prefix}"


def unusable(option: str, value: str, reason: str, remedy: str) -> RunbookError:
    """The failure for a parameter."""
    return RunbookError(
        code="invalid_parameter", attempted=f"use {option}", object=value or option, reason=reason, remedy=remedy
    )


def as_prefix(text: str) -> str:
    """A prefix that ends at a slash, so that ``app`` never stands for ``app-staging``; empty is the whole bucket."""
    bare = text.strip("/")
    return f"{check_key(bare)}/" if bare else ""


def check_key(key: str) -> str:
    """``key`` where S3 and every client can hold it. Raises ``invalid_parameter``.

    Parts that are ``.`` or ``..`` are resolved by HTTP clients and proxies on the way, so that another object would be
    written than the one that was named.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise unusable("object", ascii(key), "its name is not UTF-8, and keys in S3 are", "Rename it.") from None
    if not 0 < size <= LONGEST_KEY:
        raise unusable("object", repr(key), f"a key has between 1 and {LONGEST_KEY} bytes", "Shorten it.")
    parts = key.split("/")
    if parts[0] == "" or "." in parts or ".." in parts:
        raise unusable("object", repr(key), "it begins with a slash, or has a part '.' or '..'", "Name it otherwise.")
    return key


def _bytes(content: str) -> bytes:
    try:
        return content.encode()
    except UnicodeEncodeError:
        raise unusable("content", "", "it is not UTF-8", "Write it to a file, and give src.") from None


def _header(option: str, value: str) -> str:
    if not value.isprintable():
        raise unusable(option, repr(value), "a header is one line of printable text", "Correct it.")
    return value


def _texts(option: str, given: Mapping[str, Any]) -> dict[str, str]:
    for name, value in given.items():
        if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise unusable(option, str(name), "its values are texts", "Put the value in quotation marks.")
    return {name: str(value) for name, value in given.items()}


def _metadata(given: Mapping[str, Any]) -> dict[str, str]:
    metadata = _texts("metadata", given)
    for name, value in metadata.items():
        if not _METADATA_KEY.fullmatch(name) or name == DIGEST:
            reason = f"names have small letters, digits, '-', '_' and '.', and {DIGEST!r} is the module's own"
            raise unusable("metadata", repr(name), reason, "Rename it.")
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise unusable("metadata", name, "values are printable ASCII without spaces around", "Encode the value.")
    if sum(len(name) + len(value) for name, value in metadata.items()) > _MOST_METADATA:
        raise unusable("metadata", "", "S3 holds 2 KB of it for an object", "Leave some of it out.")
    return metadata


def _tags(given: Mapping[str, Any]) -> dict[str, str]:
    tags = _texts("tags", given)
    if len(tags) > _MOST_TAGS:
        raise unusable("tags", "", f"an object has at most {_MOST_TAGS}", "Leave some of them out.")
    for name, value in tags.items():
        if not 0 < len(name) <= _LONGEST_TAG_KEY or len(value) > _LONGEST_TAG:
            reason = f"a name has 1 to {_LONGEST_TAG_KEY} characters, a value at most {_LONGEST_TAG}"
            raise unusable("tags", repr(name), reason, "Shorten it.")
        if not (_TAG.fullmatch(name) and _TAG.fullmatch(value)):
            reason = "tags have letters, digits, spaces and . : / = + - @ _ only"
            raise unusable("tags", repr(name), reason, "Leave other characters out.")
    return tags
