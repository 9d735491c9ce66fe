# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file that holds a secret (private to ops.runbooks): whole, for its owner alone, or not there.

A reader finds the text from before or the new one, never a part of either: it is written beside and renamed.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import new_token

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor

#: Bytes beyond which a file is no secret of anybody's.
_LARGEST = 64 * 1024
#: The rights of a file that only its owner may read.
OWNER_ONLY = 0o600
_TOKEN = re.compile(r"[0-9a-f]{12}")


class PrivateFile:
    """One path, absolute. Every method raises ``destination_unusable`` where the file cannot be what it is to be."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.path = path
        self._redactor = redactor

    def read(self) -> tuple[str, int] | None:
        """Text and rights; None where there is nothing. What is read is protected."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise self.unusable("use", "there is no such directory") from None
            return None
        except OSError as error:
            raise self.unusable("read", error.strerror or type(error).__name__) from error
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
                raise self.unusable("use", "it is no file, or too large for a secret")
            text = stream.read(_LARGEST).decode("utf-8", "surrogateescape")
        self._redactor.protect(text)
        self._redactor.protect(text.strip())
        return text, stat.S_IMODE(found.st_mode)

    def write(self, text: str) -> None:
        """Let it hold the text and nothing else, or not be there where the text is empty."""
        try:
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self.unusable("write", error.strerror or type(error).__name__) from error
        try:
            # No other run takes what this one writes for what was left behind, where the file system knows locks.
            with suppress(OSError):
                fcntl.flock(directory, fcntl.LOCK_EX)
            if text:
                self._replace(text.encode())
            else:
                self.path.unlink(missing_ok=True)
            # On the disk too, so that no crash of the machine brings the earlier text back.
            os.fsync(directory)
        except OSError as error:
            raise self.unusable("write", error.strerror or type(error).__name__) from error
        finally:
            os.close(directory)

    def unusable(self, verb: str, reason: str) -> RunbookError:
        """The failure for a file that cannot be used."""
        return RunbookError(
            code="destination_unusable",
            attempted=f"{verb} the destination of a secret",
            object=str(self.path),
            reason=reason,
            remedy="Correct its path, or the rights of the directory, then run the same command again.",
        )

    def _replace(self, content: bytes) -> None:
        """Write beside and rename; what a run that was killed has left beside goes first."""
        stem = f".{self.path.name[:100]}."
        for left in self.path.parent.iterdir():
            if left.name.startswith(stem) and _TOKEN.fullmatch(left.name.removeprefix(stem)):
                left.unlink(missing_ok=True)
        beside = self.path.with_name(f"{stem}{new_token()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, OWNER_ONLY)
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            beside.replace(self.path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
