# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `vercel build` has left in ``.vercel/output`` (private to ops.runbooks): which files, of which content.

A file is known by its SHA-1, which Vercel asks for. A symbolic link is a file whose content is where it leads to and
whose mode says that it is a link. Contents are read in pieces, once to know them and once more to hand them over; what
has changed in between is refused.
"""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

#: Where the Build Output API has it, below the directory that was built.
OUTPUT = Path(".vercel/output")
_PIECE = 1024 * 1024
#: The largest document that is read as JSON, in bytes.
_LARGEST = 8 * 1024 * 1024
#: What of a mode says what a file is: its kind, and whether it can be run. The rest is the umask of who built it.
_KIND = 0o170111


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file. ``name`` is relative to the directory that was built; ``changed`` is when its content did, in ns."""

    path: Path
    name: str
    mode: int
    size: int
    changed: int
    sha: str

    def entry(self) -> dict[str, Any]:
        """As Vercel lists it."""
        return {"file": self.name, "sha": self.sha, "size": self.size, "mode": self.mode}

    @contextmanager
    def content(self) -> Iterator[BinaryIO]:
        """Its content, from the beginning. Raises ``source_changed``, ``source_missing``."""
        if stat.S_ISLNK(self.mode):
            yield io.BytesIO(_link(self.path))
            return
        with _open(self.path) as file:
            now = os.fstat(file.fileno())
            if (now.st_size, now.st_mtime_ns) != (self.size, self.changed):
                raise RunbookError(
                    code="source_changed",
                    attempted="upload a file",
                    object=str(self.path),
                    reason="it has changed since it was first read",
                    remedy="Let the build end, then run the same command again.",
                )
            yield file


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """All files of one build, sorted by name. ``digest`` is the same where names, contents and kinds are."""

    files: tuple[File, ...]
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(each.size for each in self.files)


def read_output(directory: Path, target: str) -> Output:
    """The output of a build for ``target``. Raises ``source_missing``, ``source_unusable``."""
    directory = Path(os.path.abspath(directory))
    output = directory / OUTPUT
    if not output.is_dir():
        raise _refused("source_missing", output, "there is no such directory", "Run `vercel build` there first.")
    _check(output, target)
    paths = set(_below(output))
    for path in sorted(path for path in paths if path.name == ".vc-config.json"):
        paths |= _mapped(directory, path)
    files = tuple(_file(directory, path) for path in sorted(paths))
    lines = (f"{each.name}\0{each.mode & _KIND:o}\0{each.sha}\n" for each in files)
    return Output(files=files, digest=sha256("".join(lines).encode()).hexdigest())


def _check(output: Path, target: str) -> None:
    """Whether it can be served, and was built for this target: its values are in it."""
    if _document(output / "config.json").get("version") != 3:
        raise _refused("source_unusable", output / "config.json", "its version is not 3", "Build with a newer CLI.")
    builds = _document(output / "builds.json")
    listed = builds.get("builds")
    listed = listed if isinstance(listed, list) else []
    broken = [each for each in listed if isinstance(each, Mapping) and each.get("error")]
    if builds.get("error") or broken:
        raise _refused("source_unusable", output, "its build has failed", "Build it again.")
    if builds.get("target") != target:
        built = builds.get("target") or "no target that it names"
        raise _refused(
            "source_unusable",
            output,
            f"it was built for {built}, with the values of that, and not for {target}",
            f"Build it with `vercel build --target={target}`.",
        )


def _document(path: Path) -> Mapping[str, Any]:
    """A JSON object of the build."""
    with _open(path) as file:
        content = file.read(_LARGEST + 1)
    try:
        found = json.loads(content) if len(content) <= _LARGEST else None
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        raise _refused("source_unusable", path, "it is not a JSON object", "Build it again.")
    return found


def _below(directory: Path) -> Iterator[Path]:
    """Every file below a directory; links are files, wherever they lead."""
    try:
        entries = list(os.scandir(directory))
    except OSError as error:
        raise _unreadable(directory, error) from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))
        else:
            yield Path(entry.path)


def _mapped(directory: Path, config: Path) -> set[Path]:
    """Files elsewhere in the directory that a function takes in place (``filePathMap``)."""
    mapped = _document(config).get("filePathMap")
    found = set()
    for name in mapped.values() if isinstance(mapped, Mapping) else ():
        path = Path(os.path.normpath(directory / str(name)))
        if not path.is_relative_to(directory):
            raise _refused(
                "source_unusable",
                config,
                f"it takes in {name}, which is outside of {directory}",
                "Give the directory that holds both, the root of the repository, and build there.",
            )
        found |= set(_below(path)) if path.is_dir() and not path.is_symlink() else {path}
    return found


def _file(directory: Path, path: Path) -> File:
    name = path.relative_to(directory).as_posix()
    try:
        name.encode()
        about = path.lstat()
    except UnicodeEncodeError as error:
        raise _refused("source_unusable", path, "its name is not UTF-8", "Rename it.") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_ISLNK(about.st_mode):
        link = _link(path)
        size, digest = len(link), sha1(link, usedforsecurity=False).hexdigest()
    elif stat.S_ISREG(about.st_mode):
        size, digest = about.st_size, _digest(path)
    else:
        raise _refused("source_unusable", path, "it is neither a file nor a link", "Remove it.")
    return File(path=path, name=name, mode=about.st_mode, size=size, changed=about.st_mtime_ns, sha=digest)


def _digest(path: Path) -> str:
    found = sha1(usedforsecurity=False)
    with _open(path) as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def _link(path: Path) -> bytes:
    try:
        return os.fsencode(path.readlink())
    except OSError as error:
        raise _unreadable(path, error) from error


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def _unreadable(path: Path, error: OSError) -> RunbookError:
    missing = isinstance(error, FileNotFoundError)
    reason = "it is not there" if missing else (error.strerror or type(error).__name__).lower()
    code = "source_missing" if missing else "source_unusable"
    return _refused(code, path, reason, "Run `vercel build` there, as the user who deploys it.")


def _refused(code: str, path: Path, reason: str, remedy: str) -> RunbookError:
    return RunbookError(code=code, attempted="read what was built", object=str(path), reason=reason, remedy=remedy)
