# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where migrations are read from (private to ops.runbooks)."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._github.archive import read_archive
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import GITHUB_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._migration.files import read_files, unusable
from ansible_collections.ops.runbooks.plugins.module_utils._migration.model import File

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

SOURCE_SPEC = ArgumentSpec(
    options={
        "directory": {"type": "path"},
        "archive": {
            "type": "dict",
            "options": {
                **GITHUB_SPEC.options,
                "sha": {"type": "str", "required": True},
                "path": {"type": "str", "default": ""},
            },
        },
        "adapter": {"type": "str", "choices": ["sql", "prisma", "supabase"], "default": "sql"},
        "command": {"type": "list", "elements": "str"},
        "chdir": {"type": "path"},
        "release": {"type": "str"},
    },
    required_one_of=(("directory", "archive"),),
    mutually_exclusive=(("directory", "archive"),),
)
#: The largest file, in bytes: nobody writes a larger one, and a dump is none.
LARGEST = 16 * 1024 * 1024
#: A migration of Prisma's, in its folder.
_NESTED = "/migration.sql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The migrations in their order, and where they come from."""

    files: tuple[File, ...]
    label: str


def read_source(params: Mapping[str, Any], context: Context) -> Source:
    """Read what the parameters name. Raises ``source_missing``, ``source_unusable``, ``migration_unusable``."""
    archive, nested = params["archive"], params["adapter"] == "prisma"
    if archive is not None:
        label = f"{archive['repository']}/{archive['path']} at {archive['sha'][:12]}"
        contents = read_archive(archive, _is_nested if nested else _is_near, context)
    else:
        label = params["directory"]
        contents = _read_nested(label) if nested else read_directory(label)
    return prisma(contents, label) if nested else made(contents, label)


def prisma(contents: Mapping[str, bytes], label: str) -> Source:
    """A source as Prisma lays it out, a folder for each migration; its checksums are of the bytes as they are."""
    flat = {f"{name.removesuffix(_NESTED)}.sql": body for name, body in contents.items() if name.endswith(_NESTED)}
    found = made(flat, label)
    sums = {name.removesuffix(".sql"): hashlib.sha256(body).hexdigest() for name, body in flat.items()}
    return replace(found, files=tuple(replace(each, checksum=sums[each.name]) for each in found.files))


def _is_nested(name: str) -> bool:
    return name.count("/") == 1 and name.endswith(_NESTED)


def _read_nested(directory: str) -> dict[str, bytes]:
    """The migrations of a directory as Prisma lays it out."""
    found = {}
    with _entries(directory) as entries:
        for entry in entries:
            path = f"{entry.path}{_NESTED}"
            if not entry.name.startswith(".") and entry.is_dir() and os.path.exists(path):
                found[f"{entry.name}{_NESTED}"] = read_file(path, directory)
    return found


def _is_near(name: str) -> bool:
    """Whether a file of a repository is one of those that a directory would be read for."""
    return "/" not in name and (name.endswith(".sql") or name == "migration_lock.toml")


def made(contents: Mapping[str, bytes], label: str) -> Source:
    """A source of what was read. One without a single migration is somewhere else than its user believes."""
    files = read_files(contents, label)
    if not files:
        hint = ""
        if "migration_lock.toml" in contents:
            hint = " It has migration_lock.toml, as Prisma's has: set adapter to prisma."
        raise RunbookError(
            code="source_unusable",
            attempted="read the migrations",
            object=label,
            reason="there is no .sql file in it",
            remedy=f"Name the directory that the migrations lie in.{hint}",
        )
    return Source(files=files, label=label)


def read_directory(directory: str) -> dict[str, bytes]:
    """The SQL files of a directory by their names; of others the names alone."""
    found: dict[str, bytes] = {}
    with _entries(directory) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_file():
                found[entry.name] = read_file(entry.path, directory) if entry.name.endswith(".sql") else b""
    return found


@contextmanager
def _entries(directory: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """What is in a directory. Raises ``source_missing`` and ``source_unusable``, for what is read of it too."""
    try:
        with os.scandir(directory) as entries:
            yield entries
    except FileNotFoundError as error:
        raise _unreadable("source_missing", directory, "there is no such directory") from error
    except NotADirectoryError as error:
        raise _unreadable("source_unusable", directory, "it is no directory") from error
    except OSError as error:
        raise _unreadable("source_unusable", directory, error.strerror or "it cannot be read") from error


def read_file(path: str, where: str) -> bytes:
    """One file, if it is an ordinary one of a size that a migration can have."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            reason = f"it is no ordinary file of up to {LARGEST} bytes"
            raise unusable(os.path.basename(path), where, reason, "Rows to load do not belong in a migration.")
        return file.read(LARGEST)


def _unreadable(code: str, directory: str, reason: str) -> RunbookError:
    return RunbookError(
        code=code,
        attempted="read the migrations",
        object=directory,
        reason=reason,
        remedy="Correct directory; a relative one is looked for where ansible-playbook was started.",
    )
