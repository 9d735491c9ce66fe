# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploaded files, by the SHA-1 of their content, and the directories that deployments serve from."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sandbox.standin.refusal import bad_request


class Files:
    """Everything that was uploaded, below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()

    def has(self, digest: str) -> bool:
        """Whether this content was uploaded."""
        return re.fullmatch(r"[0-9a-f]{40}", digest) is not None and self._path(digest).exists()

    def add(self, content: bytes, digest: str) -> str:
        """Keep a file whose SHA-1 the sender has given."""
        found = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        if digest != found:
            raise bad_request(f"The SHA-1 of the content is {found}, not {digest}.")
        self._path(found).parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.directory, delete=False) as file:
            file.write(content)
        Path(file.name).replace(self._path(found))
        return found

    def read(self, digest: str) -> bytes:
        """The content."""
        return self._path(digest).read_bytes()

    def tree(self, name: str, files: Mapping[str, Mapping[str, Any]]) -> Path:
        """A directory with these files, made once for each ``name``; the files are copies, so that they are its own."""
        made = self.directory / "trees" / name
        with self._lock:
            if made.exists():
                return made
            made.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(dir=made.parent))
            # Links come last: no file is written through one.
            for path, entry in sorted(files.items(), key=lambda item: stat.S_ISLNK(int(item[1].get("mode", 0)))):
                target = unfinished / safe(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                mode = int(entry.get("mode", 0))
                if stat.S_ISLNK(mode):
                    # The content of a link is where it leads to.
                    target.symlink_to(self.read(str(entry["sha"])).decode())
                    continue
                shutil.copyfile(self._path(str(entry["sha"])), target)
                target.chmod(0o755 if mode & 0o111 else 0o644)
            unfinished.rename(made)
        return made

    def drop_tree(self, name: str) -> None:
        """Remove such a directory."""
        shutil.rmtree(self.directory / "trees" / name, ignore_errors=True)

    def _path(self, digest: str) -> Path:
        return self.directory / "content" / digest


def safe(path: str) -> PurePosixPath:
    """A path that stays inside the directory it is put into.

    Raises:
        Refused: It would not.
    """
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts or not found.parts or "\0" in path:
        raise bad_request(f"The file name {path!r} is not inside the project.")
    return found
