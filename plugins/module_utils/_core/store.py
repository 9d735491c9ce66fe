# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store (private to ops.runbooks): where backups, locks and records live, in a bucket or in a directory.

A store is a flat map from keys to objects, the subset of S3 that a directory can keep up with too. What it promises:

- an object appears whole or not at all, and a reader never gets a part of one without an error;
- :meth:`Store.create` lets exactly one of several writers win;
- :meth:`Store.list` is sorted by key and shows no object under construction;
- whatever goes wrong is a ``RunbookError`` that names the store, the key and the denied action;
- nothing is written in check mode: a write that is reached there raises ``ValueError``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, Self

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import Budget

#: Names of temporary files in a directory store begin so; no key may hold such a part.
TEMPORARY = ".tmp-"
#: The longest key, in bytes of UTF-8, together with the store's prefix (Amazon S3 user guide, "Naming objects").
LONGEST_KEY = 1024
#: How many objects one request may remove (Amazon S3 API reference, DeleteObjects).
MOST_DELETED = 1000

#: Options of every module that reaches S3, documented in the fragment ``_store.s3``.
S3_SPEC = ArgumentSpec(
    options={
        "access_key": {"type": "str", "no_log": False},
        "secret_key": {"type": "str", "no_log": True},
        "session_token": {"type": "str", "no_log": True},
        "profile": {"type": "str"},
        "region": {"type": "str"},
        "endpoint_url": {"type": "str"},
        "addressing_style": {"type": "str", "choices": ["auto", "path", "virtual"], "default": "auto"},
    },
    required_together=(("access_key", "secret_key"),),
    mutually_exclusive=(("access_key", "profile"),),
    required_by={"session_token": ("access_key",)},
)

#: Options of every module that reads or writes a store, documented in the fragment ``_store``.
STORE_SPEC = S3_SPEC.merge(
    ArgumentSpec(
        options={
            "store": {"type": "str", "required": True},
            "state_store": {"type": "str"},
            "environment": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "store_encryption": {"type": "str", "choices": ["none", "sse-s3", "sse-kms"], "default": "none"},
            "store_kms_key_id": {"type": "str"},
        }
    )
)

#: The same where a store is never a must: without one there is neither lock nor record. Documented in the fragment
#: ``_store.optional``, and for Vercel in ``_vercel.record``.
OPTIONAL_STORE_SPEC = replace(
    STORE_SPEC,
    options={name: {**option, "required": False} for name, option in STORE_SPEC.options.items()},
    required_by={**STORE_SPEC.required_by, "store": ("environment", "name")},
)

#: Options of every module that takes locks and belongs to a run, documented in the fragment ``_store.run``.
RUN_SPEC = ArgumentSpec(
    options={
        "run_id": {"type": "str"},
        "lock_lease": {"type": "str", "default": "120s"},
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object. ``key`` is relative to the store's prefix, ``size`` in bytes, ``modified`` by the store's clock."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDigest:
    """A streamed object that is complete: ``size`` was read back, ``sha256`` (hex) was taken on the way."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An object under construction, or what a killed run left of one. ``handle`` is the back end's own."""

    key: str
    handle: str
    started: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What a store keeps of what is deleted from it; None is what it would not tell, ``unknown`` says why."""

    versioned: bool | None = False
    object_lock: bool | None = False
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """How the store encrypts an object at rest; ``none`` leaves it to the bucket's own default.

    ``context`` goes with a key of KMS: what a policy of that key may ask for, and what its log says.
    """

    mode: Literal["none", "sse-s3", "sse-kms"] = "none"
    key_id: str | None = None
    context: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_store(cls, params: Mapping[str, Any]) -> Encryption:
        """How everything in the store is encrypted, unless something is asked for by itself."""
        return cls(mode=params.get("store_encryption") or "none", key_id=params.get("store_kms_key_id"))

    def arguments(self) -> dict[str, str]:
        """What PutObject and CreateMultipartUpload take for it (Amazon S3 API reference, version 2006-03-01)."""
        if self.mode == "none":
            return {}
        if self.mode == "sse-s3":
            return {"ServerSideEncryption": "AES256"}
        arguments = {"ServerSideEncryption": "aws:kms"} | ({"SSEKMSKeyId": self.key_id} if self.key_id else {})
        if self.context:
            text = json.dumps(dict(self.context), sort_keys=True).encode()
            arguments["SSEKMSEncryptionContext"] = base64.b64encode(text).decode()
        return arguments


class ObjectMissing(RunbookError):
    """The failure ``object_missing`` of both back ends, told apart by its class where absence is an answer."""

    __slots__ = ()


class Source(Protocol):
    """What can be streamed into a store: a pipe, a file, anything that fills a buffer."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill ``buffer`` from its start; 0 at the end, None where a non-blocking stream has nothing."""


class Sink(Protocol):
    """A streamed object under construction; leaving the ``with`` block without :meth:`commit` aborts it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def pump(self, stream: Source, on_progress: Callable[[int], None] = ...) -> None:
        """Read ``stream`` to its end; ``on_progress`` gets the bytes read so far, in the calling thread, per part."""

    def commit(self) -> StoredDigest:
        """Make the object appear and read its size back. Raises ``object_corrupt`` where the store has another."""

    def stop(self) -> None:
        """Send nothing more, from any thread: :meth:`pump` then returns soon, and there is nothing to commit."""

    def abort(self) -> None:
        """Drop what was sent. Harmless after a commit; raises nothing: it runs on the way out of a failure."""


class Objects(Protocol):
    """What can be read object by object. Every method may raise any ``store_*`` failure."""

    #: For messages and manifests: scheme, bucket or directory, prefix; never a credential.
    url: str

    def open(self, key: str, start: int = 0, size: int | None = None) -> AbstractContextManager[BinaryIO]:
        """A streaming reader that survives dropped connections and never ends early. Raises ``object_missing``.

        It begins at byte ``start``. Whoever wants no more than ``size`` bytes says so, and reads no more.
        """

    def head(self, key: str) -> StoredObject | None:
        """What is known about an object without reading it; None where it is absent."""


class Store(Objects, Protocol):
    """One store; both back ends. Every method may raise any ``store_*`` failure."""

    def get(self, key: str) -> bytes | None:
        """A small object whole; None where it is absent."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Objects whose key begins with ``prefix`` and sorts behind ``after``, by key, fetched as they are consumed."""

    def create(self, key: str, body: bytes) -> bool:
        """Write where nothing is. False where another's object is there; True where it is exactly ``body``.

        A request whose answer was lost is sent again and then refused, although it was ours that won: hence bodies
        that writers race for carry their writer's token.
        """

    def put(self, key: str, body: bytes) -> None:
        """Write, replacing what is there."""

    def delete(self, key: str) -> None:
        """Remove; an absent object is no failure. Raises ``store_denied`` where that is not allowed."""

    def delete_all(self, keys: Sequence[str]) -> None:
        """:meth:`delete` of at most :data:`MOST_DELETED` objects, in no order, in one request where there is one."""

    def protection(self) -> Protection:
        """Whether deletion leaves versions, and whether objects may be locked."""

    def locked(self, key: str) -> str | None:
        """Why an object may not go yet; to be asked only where :meth:`protection` says that objects may be locked."""

    def now(self, *, may_write: bool = False) -> datetime:
        """The store's clock, with the resolution of seconds at least.

        A directory has a clock only while it is written to (it may be on another machine): without ``may_write`` it
        answers with the wall clock of this one, which is good enough to look and not good enough to take a lock.
        """

    def sink(self, key: str, *, part_size: int, budget: Budget, encryption: Encryption) -> Sink:
        """A streamed object under construction; ``part_size`` in bytes, see ``upload.part_size_for``."""

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """Objects under construction whose key begins with ``prefix``, this run's own included."""

    def abandon(self, item: Unfinished) -> None:
        """Drop an object under construction; an absent one is no failure."""


def open_store(params: Mapping[str, Any], url: str, context: Context) -> Store:
    """The store at ``url``, with the S3 options in ``params``. Connects to nothing yet."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "file":
        from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore

        return FileStore.at(rest, context)
    if separator and scheme == "s3":
        from ansible_collections.ops.runbooks.plugins.module_utils._core.store_s3 import S3Store

        return S3Store.at(rest, params, context)
    raise bad_url(url, "it begins with neither s3:// nor file://")


def bad_url(url: str, reason: str) -> RunbookError:
    """The failure for a store address that cannot be used."""
    return RunbookError(
        code="invalid_parameter",
        attempted="use the store",
        object=url,
        reason=reason,
        remedy="Write it as s3://bucket, s3://bucket/prefix or file:///absolute/directory.",
    )


def object_missing(attempted: str, where: str) -> ObjectMissing:
    """The failure for reading an object that is not there; ``where`` is its full address."""
    return ObjectMissing(
        code="object_missing",
        attempted=attempted,
        object=where,
        reason="there is no such object",
        remedy="It was deleted or never written, or store, environment or name are not those that it was written to.",
    )


def check_key(key: str, prefix: str = "") -> str:
    """``key`` where both back ends can hold it and it cannot lead out of the store. Raises ``invalid_parameter``."""
    parts = key.split("/")
    if "" in parts or "." in parts or ".." in parts:
        raise _bad_key(key, "it has an empty part, '.' or '..'")
    if any(part.startswith(TEMPORARY) for part in parts):
        raise _bad_key(key, f"parts that begin with {TEMPORARY!r} are temporary files")
    if not key.isprintable():
        raise _bad_key(key, "it has characters that cannot be printed")
    if len((prefix + key).encode()) > LONGEST_KEY or any(len(part.encode()) > 255 for part in parts):
        raise _bad_key(key, f"a key has at most {LONGEST_KEY} bytes, and each part of it at most 255")
    return key


def _bad_key(key: str, reason: str) -> RunbookError:
    return RunbookError(
        code="invalid_parameter",
        attempted="name an object in the store",
        object=repr(key),
        reason=reason,
        remedy="Choose another name.",
    )


def forbid_in_check_mode(context: Context, what: str) -> None:
    """Called by both back ends before every write, so that check mode cannot write even by mistake."""
    if context.check_mode:
        raise ValueError(f"check mode came to the point where it would {what}")
