# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in a directory (private to ops.runbooks): one laptop, one server, or a mounted disk of several.

An object is a file under its key. It is written beside its place as ``.tmp-<token>``, synced, and then linked (create)
or renamed (put), so that it appears whole or not at all. Every path is walked from the root directory descriptor by
descriptor without following links: nothing inside the store can lead out of it. Directories are 0700, files 0600.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.file_sink import FileSink, write_all
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import new_token
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import (
    TEMPORARY,
    Encryption,
    ObjectMissing,
    Protection,
    StoredObject,
    Unfinished,
    bad_url,
    check_key,
    forbid_in_check_mode,
    object_missing,
)

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
    from ansible_collections.ops.runbooks.plugins.module_utils._core.upload import Budget

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1024 * 1024

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
#: What a file system without hard links answers to link(2).
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class FileStore:
    """See ``store.Store``."""

    def __init__(self, root: Path, context: Context) -> None:
        self.url = f"file://{root}"
        self._root = root
        self._context = context

    @classmethod
    def at(cls, address: str, context: Context) -> FileStore:
        """The store at what follows ``file://``."""
        path = unquote(address)
        if not path.startswith("/"):
            raise bad_url(f"file://{address}", "file:// needs an absolute directory, that is three slashes")
        if ".." in path.split("/") or not path.isprintable():
            raise bad_url(f"file://{address}", "the directory may hold neither '..' nor control characters")
        return cls(Path("/", *path.split("/")), context)

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
        attempted = "read from the store"
        with self._place(key, attempted) as (parent, name), self.translated(attempted, key):
            descriptor = os.open(name, _READ, dir_fd=parent)
        with _Reader(descriptor, self, key) as raw, BufferedReader(raw, _PIECE) as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise object_missing(attempted, self._at(key))
            stream.seek(start)
            yield stream

    def head(self, key: str) -> StoredObject | None:
        """See ``store.Store``."""
        attempted = "look into the store"
        try:
            with self._place(key, attempted) as (parent, name), self.translated(attempted, key):
                return _described(key, os.stat(name, dir_fd=parent, follow_symlinks=False))
        except ObjectMissing:
            return None

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """See ``store.Store``."""
        for key, name, found in self._walk(prefix, after):
            if not name.startswith(TEMPORARY) and (described := _described(key, found)):
                yield described

    def protection(self) -> Protection:
        """See ``store.Store``. What a file system may do below is not ours to see."""
        return Protection()

    def locked(self, key: str) -> str | None:
        """See ``store.Store``."""
        return None

    def now(self, *, may_write: bool = False) -> datetime:
        """See ``store.Store``: the modification time of a file just written, which is the file server's clock."""
        if not may_write:
            return self._context.clock.now()
        with self.temporary("clock", "ask the store's clock") as (_parent, _temporary, _name, stream):
            stream.write(b"\n")
            return _moment(os.fstat(stream.fileno()))

    def create(self, key: str, body: bytes) -> bool:
        """See ``store.Store``."""
        with self._written(key, body) as (parent, temporary, name):
            try:
                os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                return self.get(key) == body
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise self._without_links(key) from error
                raise
            os.fsync(parent)
        return True

    def put(self, key: str, body: bytes) -> None:
        """See ``store.Store``."""
        with self._written(key, body) as (parent, temporary, name):
            os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            os.fsync(parent)

    def delete_all(self, keys: Sequence[str]) -> None:
        """See ``store.Store``."""
        for key in keys:
            self.delete(key)

    def delete(self, key: str) -> None:
        """See ``store.Store``. Directories left empty stay: removing them would race with writers."""
        attempted = "delete from the store"
        forbid_in_check_mode(self._context, f"delete {key}")
        with suppress(ObjectMissing), self._place(key, attempted) as (parent, name), self.translated(attempted, key):
            os.unlink(name, dir_fd=parent)

    def sink(self, key: str, *, part_size: int, budget: Budget, encryption: Encryption) -> FileSink:
        """See ``store.Store``. A file needs neither parts nor budget, and its file system does the encrypting."""
        if encryption.mode != "none":
            raise RunbookError(
                code="invalid_parameter",
                attempted="encrypt an object in the store",
                object=self._at(key),
                reason=f"a directory store does not offer the encryption {encryption.mode}",
                remedy="Set encryption to none and keep the directory on an encrypted disk, or use an S3 store.",
            )
        return FileSink(self, check_key(key))

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """See ``store.Store``."""
        for key, name, found in self._walk(prefix, ""):
            if name.startswith(TEMPORARY):
                yield Unfinished(key=key, handle=name, started=_moment(found))

    def abandon(self, item: Unfinished) -> None:
        """See ``store.Store``."""
        attempted = "drop an unfinished object"
        forbid_in_check_mode(self._context, f"drop {item.key}")
        directory = item.key.removesuffix(item.handle).rstrip("/")
        with (
            suppress(ObjectMissing),
            self._directory(directory, attempted) as parent,
            self.translated(attempted, item.key),
        ):
            os.unlink(item.handle, dir_fd=parent)

    @contextmanager
    def temporary(self, key: str, attempted: str) -> Iterator[tuple[int, str, str, FileIO]]:
        """A new file beside the place of ``key``: its directory, its name, the final name, the stream.

        Its name goes at the end; what was linked or renamed before stays. The caller's ``OSError`` is translated.
        """
        forbid_in_check_mode(self._context, f"write {key}")
        with self._place(key, attempted, make=True) as (parent, name), self.translated(attempted, key):
            temporary = TEMPORARY + new_token()
            with ExitStack() as cleanup:
                descriptor = os.open(temporary, _WRITE_NEW, 0o600, dir_fd=parent)
                cleanup.callback(_unlink, temporary, parent)
                yield parent, temporary, name, cleanup.enter_context(FileIO(descriptor, "w"))

    @contextmanager
    def _written(self, key: str, body: bytes) -> Iterator[tuple[int, str, str]]:
        with self.temporary(key, "write to the store") as (parent, temporary, name, stream):
            write_all(stream, memoryview(body))
            os.fsync(stream.fileno())
            yield parent, temporary, name

    def _walk(self, prefix: str, after: str) -> Iterator[tuple[str, str, os.stat_result]]:
        """Every file below ``prefix`` behind ``after``, sorted by key: key, last part, what the file system says."""
        directory = prefix.rpartition("/")[0]
        with suppress(ObjectMissing), self._directory(directory, "list the store") as descriptor:
            yield from self._descend(descriptor, f"{directory}/" if directory else "", prefix, after)

    def _descend(self, directory: int, at: str, prefix: str, after: str) -> Iterator[tuple[str, str, os.stat_result]]:
        with self.translated("list the store", at):
            names = _names(directory)
        for name in names:
            key = at + name
            if not name.endswith("/"):
                if key.startswith(prefix) and key > after:
                    with suppress(FileNotFoundError):  # deleted since its directory was read
                        yield key, name, os.stat(name, dir_fd=directory, follow_symlinks=False)
            elif _may_hold(key, prefix, after):
                with self.translated("list the store", key):
                    inner = _open_directory(name[:-1], directory)
                try:
                    yield from self._descend(inner, key, prefix, after)
                finally:
                    os.close(inner)

    @contextmanager
    def _place(self, key: str, attempted: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The open directory that holds ``key``, and the key's last part. Raises :class:`ObjectMissing`."""
        directory, _slash, name = check_key(key).rpartition("/")
        with self._directory(directory, attempted, make=make) as parent:
            yield parent, name

    @contextmanager
    def _directory(self, path: str, attempted: str, *, make: bool = False) -> Iterator[int]:
        """The directory ``path`` below the root, open. Raises :class:`ObjectMissing`."""
        current = self._open_root(attempted, make)
        try:
            for name in check_key(path).split("/") if path else ():
                with self.translated(attempted, path):
                    inner = _make_directory(name, current) if make else _open_directory(name, current)
                os.close(current)
                current = inner
            yield current
        finally:
            os.close(current)

    def _open_root(self, attempted: str, make: bool) -> int:
        """The root, which may be a link. Made only where its parent exists: a disk not mounted must stay empty."""
        with self.translated(attempted, ""):
            if not self._root.exists():
                if not self._root.parent.is_dir():
                    raise RunbookError(
                        code="store_missing",
                        attempted=attempted,
                        object=self.url,
                        reason=f"neither the directory nor {self._root.parent} above it exists",
                        remedy=f"Mount or create {self._root.parent}, or correct the parameter store.",
                    )
                if make:
                    self._root.mkdir(0o700, exist_ok=True)
            return os.open(self._root, _DIRECTORY)

    def _at(self, key: str) -> str:
        return f"{self.url}/{key}" if key else self.url

    @contextmanager
    def translated(self, attempted: str, key: str) -> Iterator[None]:
        """Turns an ``OSError`` inside its block into a failure that a person can act upon."""
        try:
            yield
        except OSError as error:
            raise self.failure(error, attempted, key) from error

    def failure(self, error: OSError, attempted: str, key: str) -> RunbookError:
        """What an ``OSError`` means to a person."""
        where = self._at(key)
        reason = f"the file system said: {os.strerror(error.errno or 0)}"
        if isinstance(error, FileNotFoundError):
            return object_missing(attempted, where)
        if error.errno in _FULL:
            code, remedy = "store_full", "Free space, or enlarge the disk or the quota, and run the same command again."
        elif error.errno in _DENIED:
            code, remedy = "store_denied", f"Let user id {os.geteuid()} read and write everything below {self._root}."
        elif error.errno in (errno.ELOOP, errno.ENOTDIR):
            code, remedy = "store_failed", "Remove the link or file that is in the way; links are not followed."
        else:
            code, remedy = "store_failed", "Check the disk and the mount, then run the same command again."
        return RunbookError(code=code, attempted=attempted, object=where, reason=reason, remedy=remedy)

    def _without_links(self, key: str) -> RunbookError:
        return RunbookError(
            code="store_not_conditional",
            attempted="create an object that only one writer may create",
            object=self._at(key),
            reason="the file system has no hard links",
            remedy="Keep the store on a file system that has them, or set state_store to one that is.",
        )


class _Reader(FileIO):
    """A file of a store: its read errors are the store's. Those of the code that consumes it pass unchanged."""

    def __init__(self, descriptor: int, store: FileStore, key: str) -> None:
        super().__init__(descriptor, "r")
        self._store = store
        self._key = key

    def readinto(self, buffer: Any, /) -> int | None:
        """Fill ``buffer`` as far as one read goes; 0 at the end."""
        with self._store.translated("read from the store", self._key):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """What is left of the file."""
        with self._store.translated("read from the store", self._key):
            return super().readall() or b""


def _described(key: str, found: os.stat_result) -> StoredObject | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    return StoredObject(key=key, size=found.st_size, modified=_moment(found))


def _moment(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _names(directory: int) -> list[str]:
    """What a directory holds, directories with a slash behind their name: so their order is that of the keys."""
    names = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.name.isprintable():
                continue  # no key can be named so
            if entry.is_dir(follow_symlinks=False):
                names.append(f"{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                names.append(entry.name)
    return sorted(names)


def _may_hold(directory: str, prefix: str, after: str) -> bool:
    """Whether keys below ``directory`` (with its slash) can begin with ``prefix`` and sort behind ``after``."""
    if not (directory.startswith(prefix) or prefix.startswith(directory)):
        return False
    return directory > after or after.startswith(directory)


def _open_directory(name: str, parent: int) -> int:
    """A directory in a directory. Where a file lies instead, no object can be below: ``FileNotFoundError``."""
    try:
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except NotADirectoryError:
        if stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
        raise


def _make_directory(name: str, parent: int) -> int:
    """A directory in a directory, made where there is none."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def _unlink(name: str, parent: int) -> None:
    """Best effort: a temporary file that stays is found by ``Store.unfinished``."""
    with suppress(OSError):
        os.unlink(name, dir_fd=parent)
