# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a module keeps what its programs read from files (private to ops.runbooks), and what killed ones have left.

The directory lies in ansible's own of the task and goes with the module. It stays where everybody who would remove it
was killed too. So each is locked for as long as its module lives, which the system ends however that does, and the next
module of the same user removes those that nobody holds. Only those of this boot of this machine: in a directory that
several machines share, the lock of another one may not be seen.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ansible_collections.ops.runbooks.plugins.module_utils._core.controller import boot

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def workspace(parent: str) -> Iterator[str]:
    """A directory of this module's own in ``parent``, ansible's of the task, for its owner alone; gone at the end."""
    here = boot()
    prefix = f"runbooks-{hashlib.sha256(' '.join(here.values()).encode()).hexdigest()[:12]}-"
    if all(here.values()):
        _sweep(Path(parent).parent, prefix)
    while True:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as path:
            held = _held(path)
            if held is None:
                continue
            try:
                yield path
            finally:
                os.close(held)
            return


def _held(path: str) -> int | None:
    """What keeps the directory from being removed by others; None where one was faster, as before it was locked."""
    try:
        descriptor = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return None
    # On a file system without locks nobody else gets one either, and so removes nothing.
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if Path(path).exists():
        return descriptor
    os.close(descriptor)
    return None


def _sweep(root: Path, prefix: str) -> None:
    """Remove what nobody holds, at best effort."""
    for path in root.glob(f"ansible-*/{prefix}*"):
        with suppress(OSError):
            _remove(path)


def _remove(path: Path) -> None:
    """Raises OSError where somebody holds it. What lies below a directory of somebody else is his, too."""
    if {path.lstat().st_uid, path.parent.lstat().st_uid} != {os.geteuid()}:
        return
    descriptor = os.open(path, _DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
