# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file as the place of a secret (private to ops.runbooks): whole, for its owner alone, or not there.

A reader finds the text from before or the new one, never a part of either: it is written beside and renamed.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import new_token
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target, refused
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plan import Sight
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Bytes beyond which a file is no secret of anybody's.
_LARGEST = 64 * 1024
_MODE = 0o600
_TOKEN = re.compile(r"[0-9a-f]{12}")


class FileDestination:
    """See ``destination.Destination``."""

    def __init__(self, target: Target, keys: Keys, context: Context, looks: dict[tuple[str, ...], Any]) -> None:
        self._path = Path(target.options["path"])
        self._keys = keys
        self._context = context
        if not self._path.is_absolute():
            raise refused("destinations", target.name, "its path is not absolute", "Write it from / on.")

    def observe(self) -> Sight:
        """A keyed fingerprint of the content, and the rights: both have to be as they were written."""
        found = self._read()
        if found is None:
            return Sight(exists=False)
        text, mode = found
        return Sight(exists=True, mark=f"{self._keys.fingerprint(text)}:{mode:o}")

    def read(self) -> str | None:
        """See ``destination.Destination``; one newline at the end is an editor's."""
        found = self._read()
        return None if found is None else found[0].removesuffix("\n")

    def write(self, text: str) -> Sight:
        """See ``destination.Destination``."""
        try:
            if text:
                self._replace(text.encode())
            else:
                self._path.unlink(missing_ok=True)
            self._sync()
        except OSError as error:
            raise self._failed("write", error.strerror or type(error).__name__) from error
        return self.observe()

    def _replace(self, content: bytes) -> None:
        """Write beside and rename; what a run that was killed has left beside goes first."""
        stem = f".{self._path.name[:100]}."
        for left in self._path.parent.iterdir():
            if left.name.startswith(stem) and _TOKEN.fullmatch(left.name.removeprefix(stem)):
                left.unlink(missing_ok=True)
        beside = self._path.with_name(f"{stem}{new_token()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, _MODE)
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            beside.replace(self._path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise

    def _sync(self) -> None:
        """Let the directory be on the disk too, so that no crash of the machine brings the earlier text back."""
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _read(self) -> tuple[str, int] | None:
        """Text and rights; None where there is nothing. Raises ``destination_unusable``."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if not self._path.parent.is_dir():
                raise self._failed("use", "there is no such directory") from None
            return None
        except OSError as error:
            raise self._failed("read", error.strerror or type(error).__name__) from error
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
                raise self._failed("use", "it is no file, or too large for a secret")
            text = stream.read(_LARGEST).decode("utf-8", "surrogateescape")
        self._context.redactor.protect(text)
        self._context.redactor.protect(text.strip())
        return text, stat.S_IMODE(found.st_mode)

    def _failed(self, verb: str, reason: str) -> RunbookError:
        return RunbookError(
            code="destination_unusable",
            attempted=f"{verb} the destination of a secret",
            object=str(self._path),
            reason=reason,
            remedy="Correct its path, or the rights of the directory, then run the same command again.",
        )
