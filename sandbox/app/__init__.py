# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample application of the sandbox, in as many releases as a test or a demo needs.

with VercelServer(...) as vercel:
    sources = app.write(tmp_path / "app", release="b" * 40, slow_ms=300)
    app.build(sources)
    ...  # deploy `sources`: prebuilt, by the modules or by the official command line
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.github.model import CheckRun, Commit, Repository
from sandbox.standin import codec

if TYPE_CHECKING:
    from sandbox.github import GitHubServer

SOURCE = Path(__file__).parent / "source"


def write(
    directory: Path,
    *,
    release: str,
    slow_ms: int = 0,
    error_percent: int = 0,
    query: str = "SELECT 1",
    build_fails: bool = False,
) -> Path:
    """The sources of one release, as they would be in its commit.

    Args:
        directory: Is made; what it held of an earlier release is replaced.
        release: The name of the release, such as its commit.
        slow_ms: How long every request takes.
        error_percent: Of 100 requests to the API, how many are answered with 500.
        query: What the release asks of its database; a migration that takes away what it needs breaks it.
        build_fails: Whether it does not even build.
    """
    shutil.copytree(SOURCE, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    settings: dict[str, Any] = {
        "release": release,
        "slow_ms": slow_ms,
        "error_percent": error_percent,
        "query": query,
        "build_fails": build_fails,
    }
    (directory / "release.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return directory


def commit(
    github: GitHubServer,
    directory: Path,
    *,
    repository: str = "sandbox/web",
    branch: str = "main",
    check_runs: tuple[CheckRun, ...] = (CheckRun(name="test"),),
    **settings: Any,
) -> str:
    """Put a release into a repository of the stand-in for GitHub, at the head of a branch; its SHA.

    Args:
        github: The server.
        directory: Where the sources of commits are kept, in directories of their own.
        repository: Is made where it is missing.
        branch: Is made or moved.
        check_runs: What was checked of the commit.
        settings: Those of :func:`write`, without ``release``, which is the SHA.
    """
    text = json.dumps([repository, settings, [path.read_text("utf-8") for path in sorted(SOURCE.rglob("*.py"))]])
    sha = sha1(text.encode(), usedforsecurity=False).hexdigest()
    sources = write(directory / sha, release=sha, **settings)
    known = github.control("GET", "state").get("repositories", [])
    held = next((codec.decode(Repository, each) for each in known if each["name"] == repository), None)
    held = held or Repository(name=repository)
    made = Commit(sha=sha, sources=str(sources), check_runs=check_runs)
    github.put(replace(held, refs={**held.refs, branch: sha}, commits={**held.commits, sha: made}))
    return sha


def build(sources: Path, *, environment: Mapping[str, str] | None = None) -> Path:
    """Build them, and return the directory of the output.

    Raises:
        CalledProcessError: The release does not build.
    """
    subprocess.run(
        [sys.executable, "build.py"],
        cwd=sources,
        env={"PATH": os.defpath, **(environment or {})},
        check=True,
        capture_output=True,
    )
    return sources / ".vercel" / "output"
