# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The local side of s3_upload (private to ops.runbooks): which files, what is in them, whether they stay as they are.

Nothing is left out silently: a file that cannot be read, and a link that leads out of the tree, are failures until
``exclude`` names them.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO

from ansible_collections.ops.runbooks.plugins.module_utils._aws.options import Request, check_key, unusable
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """One object to be: its key, and the file or the content that becomes it. ``sha256`` is '' until it was read."""

    key: str
    path: str
    size: int
    modified_ns: int = 0
    content: bytes | None = field(default=None, repr=False)
    sha256: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return self.path or f"content of {self.key}"

    def open(self) -> BinaryIO:
        """The bytes, unbuffered. Raises ``source_missing``, ``source_unusable`` or ``source_changed``."""
        if self.content is not None:
            import io

            return io.BytesIO(self.content)
        try:
            # Not to hang on a pipe that took the file's place in the meantime.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise unreadable(self.path, error) from error
        stream: BinaryIO = os.fdopen(descriptor, "rb", buffering=0)
        try:
            self.check(stream)
        except RunbookError:
            stream.close()
            raise
        return stream

    def check(self, stream: BinaryIO) -> None:
        """Raise ``source_changed`` where the open file is no longer the one that was looked at."""
        if self.content is None:
            now = os.fstat(stream.fileno())
            if (now.st_size, now.st_mtime_ns) != (self.size, self.modified_ns):
                raise changed(self.path)


def changed(path: str) -> RunbookError:
    """The failure for a file that is being written."""
    return RunbookError(
        code="source_changed",
        attempted="read a file",
        object=path,
        reason="it changed while it was being read",
        remedy="Run the same command again when nothing writes to it; what is in S3 under its key is as it was.",
    )


def unreadable(path: str, error: OSError) -> RunbookError:
    """The failure for a file that the system does not give."""
    missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
    return RunbookError(
        code="source_missing" if missing else "source_unusable",
        attempted="read a file",
        object=path,
        reason=(error.strerror or type(error).__name__).lower(),
        remedy="Correct src; it is a path on the machine that runs the module."
        if missing
        else "Let the user that runs the module read it, or name it in exclude.",
    )


def digest(local: Local) -> str:
    """SHA-256 of what is there, in hexadecimal digits. Raises what :meth:`Local.open` raises."""
    with local.open() as stream:
        try:
            found = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type,unused-ignore]
        except OSError as error:
            raise unreadable(local.path, error) from error
        local.check(stream)
    return found


def wanted(request: Request) -> list[Local]:
    """What corresponds to the request on this machine, by key, not read yet. Raises ``source_*``."""
    if request.content is not None:
        return [Local(key=str(request.key), path="", size=len(request.content), content=request.content)]
    if request.src is None:
        return []
    try:
        top = os.stat(request.src)
    except OSError as error:
        raise unreadable(request.src, error) from error
    if not stat.S_ISDIR(top.st_mode):
        key = request.key if request.key is not None else f"{request.prefix}{os.path.basename(request.src)}"
        return [_local(request.src, key, top)]
    if request.prefix is None:
        raise RunbookError(
            code="invalid_parameter",
            attempted="use src",
            object=request.src,
            reason="it is a directory, and object names a single object",
            remedy="Give prefix instead of object.",
        )
    found = sorted(_below(os.path.realpath(request.src), request), key=lambda local: local.key)
    if not found:
        raise RunbookError(
            code="source_missing",
            attempted="find the files to upload",
            object=request.src,
            reason="the directory has no file that include and exclude let through",
            remedy="Correct src or the patterns.",
        )
    return found


def _below(top: str, request: Request) -> Iterator[Local]:
    """Every file below ``top`` that the patterns let through."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(os.path.join(top, directory)) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise unreadable(os.path.join(top, directory), error) from error
        for entry in inside:
            name = f"{directory}/{entry.name}" if directory else entry.name
            if any(matches(pattern, name) for pattern in request.exclude):
                continue
            if entry.is_dir(follow_symlinks=False):
                if request.recursive:
                    waiting.append(name)
            elif not request.include or any(matches(pattern, name) for pattern in request.include):
                yield _entry(entry, top, request.prefix + name if request.prefix else name)


def _entry(entry: os.DirEntry[str], top: str, key: str) -> Local:
    if entry.is_symlink() and not os.path.realpath(entry.path).startswith(top + os.sep):
        raise _special(entry.path, "it is a link that leads out of the directory")
    try:
        about = entry.stat()
    except OSError as error:
        raise unreadable(entry.path, error) from error
    return _local(entry.path, key, about)


def _local(path: str, key: str, about: os.stat_result) -> Local:
    if not stat.S_ISREG(about.st_mode):
        raise _special(path, "it is neither a file nor a link to one")
    if not os.access(path, os.R_OK):
        raise unreadable(path, PermissionError(13, "Permission denied"))
    return Local(key=check_key(key), path=path, size=about.st_size, modified_ns=about.st_mtime_ns)


def _special(path: str, reason: str) -> RunbookError:
    return RunbookError(
        code="source_unusable",
        attempted="read a file",
        object=path,
        reason=reason,
        remedy="Name it in exclude, or put a copy of what it stands for in its place.",
    )


def matches(pattern: str, name: str) -> bool:
    """Whether a glob fits a path below the directory, or one of the directories that the path goes through.

    ``*`` and ``?`` stay within one part of the path and ``**`` does not; a pattern without a slash fits a part at any
    depth, and one that begins with a slash fits from the top only.
    """
    compiled = _compiled(pattern)
    parts = name.split("/")
    return any(compiled.fullmatch("/".join(parts[:count])) for count in range(1, len(parts) + 1))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    anywhere = "/" not in pattern.rstrip("/")
    bare = pattern.strip("/")
    pieces = re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\]|.", bare, re.DOTALL)
    known = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = "".join(known.get(piece) or _class(piece) for piece in pieces)
    try:
        return re.compile(("(?:.*/)?" if anywhere else "") + text, re.DOTALL)
    except re.error:
        reason = "a range of characters in it goes backwards"
        raise unusable("include or exclude", repr(pattern), reason, "Write [a-z], the lower one first.") from None


def _class(piece: str) -> str:
    """A set of characters, or a character that stands for itself."""
    if len(piece) < 3 or not piece.startswith("["):
        return re.escape(piece)
    inside = piece[1:-1].replace("\\", "\\\\")
    negated = inside.startswith("!")
    inside = re.sub(r"[][^&|~]", r"\\\g<0>", inside.removeprefix("!"))
    return f"[{'^/' if negated else ''}{inside}]"
