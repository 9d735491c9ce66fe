# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sources of exactly one commit (private to ops.runbooks).

Nothing of an archive is written to a disk: of the entries below one folder those that are ordinary files are read into
memory, so that no name in it can lead anywhere. That it is of the commit that was asked for, and not of what a branch
or tag of this name has become, is in the archive itself.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.download import download
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.names import is_commit
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import GitHub

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Bytes: of the archive, of all that is in it, of what is kept of it, of one file of that.
_PACKED, _UNPACKED, _KEPT, _FILE = 512 * 1024**2, 4 * 1024**3, 64 * 1024**2, 16 * 1024**2
#: Seconds that all waiting for GitHub may take together.
_PATIENCE = 120.0


def read_archive(given: Mapping[str, Any], wanted: Callable[[str], bool], context: Context) -> dict[str, bytes]:
    """The files below ``path`` of commit ``sha``, by their names relative to it; ``wanted`` says which of them.

    ``given`` has ``sha``, ``path`` and what :class:`GitHub` takes. Raises ``source_missing``, ``source_unusable``,
    ``repository_missing``, ``service_denied`` and what requests raise.
    """
    sha = str(given["sha"])
    github = GitHub(given, context, os.environ, patience=_PATIENCE, persistence=_PATIENCE)
    try:
        if not is_commit(sha):
            reason = "a commit is written with all of its forty digits, since a branch or tag is another one tomorrow"
            remedy = "Give the SHA; `git rev-parse` knows it."
            raise _failed("invalid_parameter", f"{github.name}, {sha}", reason, remedy)
        address = github.archive(sha)
    finally:
        github.close()
    place = f"{github.name} at {sha[:12]}"
    with tempfile.TemporaryFile(dir=context.tmpdir) as file:
        download(address, file, what=f"the archive of {place}", limit=_PACKED, context=context)
        file.seek(0)
        return unpack(file, sha, str(given["path"] or ""), wanted, place)


def unpack(file: IO[bytes], sha: str, path: str, wanted: Callable[[str], bool], place: str) -> dict[str, bytes]:
    """What is wanted of an archive below ``path``. Raises ``source_missing``, ``source_unusable``."""
    folder = "".join(f"{part}/" for part in path.split("/") if part not in ("", "."))
    if ".." in folder.split("/"):
        raise _failed("invalid_parameter", path, "a path leads into the repository, and not out of it", "Correct path.")
    try:
        with tarfile.open(fileobj=file, mode="r|gz") as archive:
            found, there = _entries(archive, sha, folder, wanted, place)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        reason = f"the archive is damaged ({type(error).__name__})"
        raise _failed("source_unusable", place, reason, "Run the same command again.") from None
    if not there:
        raise _failed("source_missing", f"{place}, {path}", "the commit has no such folder", "Correct path.")
    return found


def _entries(
    archive: tarfile.TarFile, sha: str, folder: str, wanted: Callable[[str], bool], place: str
) -> tuple[dict[str, bytes], bool]:
    """The files, and whether there was anything below the folder."""
    found: dict[str, bytes] = {}
    there = False
    size = kept = 0
    for member in archive:
        size += member.size
        if size > _UNPACKED:
            raise _failed(
                "source_unusable", place, f"it unpacks to more than {_UNPACKED} bytes", "Use directory instead."
            )
        name = member.name.partition("/")[2]
        if not f"{name}/".startswith(folder):
            continue
        there = True
        name = name.removeprefix(folder)
        if not name or member.isdir() or ".." in name.split("/") or not wanted(name):
            continue
        if not member.isreg():
            reason = f"{folder}{name} is a link, which may lead anywhere"
            raise _failed("source_unusable", place, reason, "Commit the file itself.")
        kept += member.size
        if member.size > _FILE or kept > _KEPT:
            raise _failed(
                "source_unusable",
                place,
                f"{folder}{name} is larger than a migration is",
                "Take the rows that it loads out of it.",
            )
        content = archive.extractfile(member)
        found[name] = content.read() if content is not None else b""
    if archive.pax_headers.get("comment") != sha:
        said = archive.pax_headers.get("comment") or "of no commit"
        raise _failed("source_unusable", place, f"the archive says that it is {said}", "Run the same command again.")
    return found, there


def _failed(code: str, place: str, reason: str, remedy: str) -> RunbookError:
    return RunbookError(
        code=code, attempted="read the sources of the commit", object=place, reason=reason, remedy=remedy
    )
