# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A streamed object under construction in a directory store (private to ops.runbooks)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from io import FileIO
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.store import Source, StoredDigest

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.store_file import FileStore

_ATTEMPTED = "write to the store"
#: Bytes read from the stream at once.
_PIECE = 1024 * 1024


def write_all(stream: FileIO, data: memoryview) -> None:
    """Write every byte: one call of write(2) may take fewer."""
    while data:
        data = data[stream.write(data) :]


class FileSink:
    """See ``store.Sink``. The bytes go to a temporary file, which the commit syncs and renames."""

    def __init__(self, store: FileStore, key: str) -> None:
        self._store = store
        self._key = key
        self._open = ExitStack()
        self._size = 0
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> Self:
        self._parent, self._temporary, self._name, self._stream = self._open.enter_context(
            self._store.temporary(self._key, _ATTEMPTED)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def pump(self, stream: Source, on_progress: Callable[[int], None] = lambda size: None) -> None:
        """See ``store.Sink``."""
        piece = bytearray(_PIECE)
        with memoryview(piece) as view:
            while count := stream.readinto(view):
                with self._translated():
                    write_all(self._stream, view[:count])
                self._sha256.update(view[:count])
                self._size += count
                on_progress(self._size)

    def commit(self) -> StoredDigest:
        """See ``store.Sink``."""
        with self._translated():
            os.fsync(self._stream.fileno())
            size = os.fstat(self._stream.fileno()).st_size
            if size != self._size:
                raise self._corrupt(size)
            os.replace(self._temporary, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
            os.fsync(self._parent)
        self._open.close()
        return StoredDigest(key=self._key, size=size, sha256=self._sha256.hexdigest())

    def stop(self) -> None:
        """See ``store.Sink``. Nothing is on its way here: whoever ends the stream has stopped it."""

    def abort(self) -> None:
        """See ``store.Sink``."""
        self._open.close()

    def _translated(self) -> AbstractContextManager[None]:
        return self._store.translated(_ATTEMPTED, self._key)

    def _corrupt(self, size: int) -> RunbookError:
        return RunbookError(
            code="object_corrupt",
            attempted="complete an object in the store",
            object=f"{self._store.url}/{self._key}",
            reason=f"{self._size} bytes were written and the file has {size}",
            remedy="Check the disk and the mount, then run the same command again.",
        )
