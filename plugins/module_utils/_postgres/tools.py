# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's command line tools, by major version (private to ops.runbooks).

pg_dump refuses servers newer than itself, and what an older one writes is what an older one knows; so the tools are of
the server's own major, looked for where packages put them. A tool is asked for its version once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.process import capture

if TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context

#: Where packages put the tools of one major: Debian and Ubuntu, the PostgreSQL project's RPMs, Homebrew on both kinds
#: of Mac, Postgres.app.
_PLACES = (
    "/usr/lib/postgresql/{major}/bin",
    "/usr/pgsql-{major}/bin",
    "/opt/homebrew/opt/postgresql@{major}/bin",
    "/usr/local/opt/postgresql@{major}/bin",
    "/opt/homebrew/opt/libpq/bin",
    "/usr/local/opt/libpq/bin",
    "/Applications/Postgres.app/Contents/Versions/{major}/bin",
)
_VERSION = re.compile(r"\(PostgreSQL\) (?P<version>(?P<major>\d+)(?:\.\d+|\w+)*)")
#: Debian's /usr/bin/pg_dump is a script that picks a version by files which say nothing about our server.
_WRAPPER = "pg_wrapper"
#: Seconds that a tool may take to say its version.
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that was found and answered; ``version`` is its own, such as ``18.6``."""

    name: str
    path: str
    version: str
    major: int


#: Those that have answered, by path and time of change: a module looks for them before it has its lock and after.
_KNOWN: dict[tuple[str, int], Tool] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolset:
    """What a backup is made with; ``zstd`` is whether this pg_dump compresses with it."""

    pg_dump: Tool
    pg_restore: Tool
    pg_dumpall: Tool | None
    zstd: bool


def find_set(
    major: int, *, pg_dumpall: bool, bindir: Sequence[str], environment: Mapping[str, str], context: Context
) -> Toolset:
    """All tools of a backup, ``pg_dumpall`` where it is wanted; looked for at the same time, as each takes a while
    to answer. Raises as :func:`find`."""
    names = ("pg_dump", "pg_restore", *(("pg_dumpall",) if pg_dumpall else ()))
    with ThreadPoolExecutor(len(names), thread_name_prefix="tools") as pool:
        looks = [
            pool.submit(find, name, major, bindir=bindir, environment=environment, context=context) for name in names
        ]
        pg_dump = looks[0].result()
        return Toolset(
            pg_dump=pg_dump,
            zstd=writes_zstd(pg_dump, environment, context),
            pg_restore=looks[1].result(),
            pg_dumpall=looks[2].result() if pg_dumpall else None,
        )


def find(name: str, major: int, *, bindir: Sequence[str], environment: Mapping[str, str], context: Context) -> Tool:
    """The tool ``name`` of exactly this major, from ``bindir`` before the usual places and the path.

    ``environment`` is the tool's (:meth:`Connector.tool_environment`). Raises ``tool_missing`` naming what was found
    instead and the packages.
    """
    others: list[Tool] = []
    for path in _candidates(name, major, bindir, os.environ.get("PATH", os.defpath)):
        tool = _examine(name, path, environment, context)
        if tool is None:
            continue
        if tool.major == major:
            return tool
        others.append(tool)
    others = others or _of_other_majors(name, environment, context)
    found = ", ".join(f"{tool.path} is {tool.version}" for tool in others) or "none was found at all"
    raise RunbookError(
        code="tool_missing",
        attempted=f"find {name} {major}",
        object=f"{name} for PostgreSQL {major}",
        reason=f"the server's major version is {major} and the tool's must be the same; {found}",
        remedy=f"Install postgresql-client-{major} (Debian, Ubuntu), postgresql{major} (RHEL, Fedora) or "
        f"postgresql@{major} (Homebrew), or name the directory in bindir (runbooks_postgres_bindir in an inventory).",
    )


def writes_zstd(tool: Tool, environment: Mapping[str, str], context: Context) -> bool:
    """Whether this pg_dump compresses with zstd: 16 and later do where they were built with it.

    The build refuses the method while it reads its options, before it connects; so it is pointed where nothing is.
    """
    if tool.major < 16:
        return False
    argv = [tool.path, "--format=custom", "--compress=zstd", "--dbname=host=/nonexistent dbname=nonexistent"]
    answer = capture(argv, context=context, env=environment, timeout=_PATIENCE)
    return "ompress" not in answer.stderr


def _candidates(name: str, major: int, bindir: Sequence[str], search_path: str) -> Iterator[Path]:
    """Executable files, each once, in the order in which they are preferred."""
    places = [*bindir, *(place.format(major=major) for place in _PLACES), *search_path.split(os.pathsep)]
    seen: set[Path] = set()
    for place in filter(None, places):
        path = Path(place).expanduser() / name
        if not os.access(path, os.X_OK) or not path.is_file():
            continue
        real = path.resolve()
        if real not in seen and real.name != _WRAPPER:
            seen.add(real)
            yield path


def _of_other_majors(name: str, environment: Mapping[str, str], context: Context) -> list[Tool]:
    """What the packages of other majors have installed: behind Debian's wrapper it answers whoever calls it by name,
    so that "none was found" would be denied by the reader's own terminal."""
    paths = sorted(
        {path for place in _PLACES if "{major}" in place for path in glob(f"{place.format(major='*')}/{name}")}
    )
    return [tool for tool in (_examine(name, Path(path), environment, context) for path in paths) if tool]


def _examine(name: str, path: Path, environment: Mapping[str, str], context: Context) -> Tool | None:
    """The tool at ``path``; None where it does not run or does not answer like one of PostgreSQL's."""
    file = (str(path), path.stat().st_mtime_ns)
    if file in _KNOWN:
        return _KNOWN[file]
    try:
        answer = capture([str(path), "--version"], context=context, env=environment, timeout=_PATIENCE)
    except RunbookError as error:
        context.warn(f"{path} was passed over: {error.reason}.")
        return None
    found = _VERSION.search(answer.stdout)
    if answer.status != 0 or found is None:
        context.warn(f"{path} was passed over: it does not answer --version as {name} does.")
        return None
    _KNOWN[file] = Tool(name=name, path=str(path), version=found["version"], major=int(found["major"]))
    return _KNOWN[file]
