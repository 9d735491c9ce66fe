# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds in earnest: the archive of a commit is fetched from the project's repository, and its build command run."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from sandbox.vercel import deployments, output
from sandbox.vercel.files import Files
from sandbox.vercel.model import Deployment, GitLink, World
from sandbox.vercel.store import Store

#: Seconds that fetching the archive, and the build, may take.
FETCH_TIMEOUT = 30
BUILD_TIMEOUT = 300


class NotBuilt(Exception):
    """Why a build has failed."""


def begin(store: Store, files: Files, deployment_id: str) -> None:
    """Build in the background and report the end to the store."""
    threading.Thread(target=_build, args=(store, files, deployment_id), daemon=True).start()


def resume(store: Store, files: Files) -> None:
    """Begin again what a server that has ended was building."""
    for deployment in store.look().deployments.values():
        if deployment.building and deployment.state in deployments.UNFINISHED:
            begin(store, files, deployment.id)


def _build(store: Store, files: Files, deployment_id: str) -> None:
    world = store.look()
    deployment = world.deployments[deployment_id]
    link = world.projects[deployment.project].link or GitLink()
    lines: list[str] = []
    try:
        found = _made(deployment, link, files, lines.append)
        error = None
    except (NotBuilt, OSError, tarfile.TarError, ValueError, subprocess.SubprocessError) as problem:
        found, error = {}, str(problem) or type(problem).__name__

    def step(world: World, now: int) -> tuple[World, None]:
        mine = world.deployments[deployment_id]
        ended = replace(
            mine,
            files=found,
            log=tuple(lines),
            outcome="ERROR" if error else "READY",
            error_code="BUILD_FAILED" if error else None,
            error_message=error,
        )
        return deployments.finish(world.put(ended), ended, now=now) if mine.building else world, None

    store.change(step)


def _made(deployment: Deployment, link: GitLink, files: Files, say: Callable[[str], None]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="build.", dir=_below(files.directory)) as name:
        sources = _fetched(deployment, link, Path(name), say)
        settings = json.loads((sources / "vercel.json").read_text(encoding="utf-8"))
        _run(deployment, sources, settings.get("buildCommand", ""), say)
        found = {}
        for path in sorted((sources / output.OUTPUT).rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                digest = files.add(content, sha1(content, usedforsecurity=False).hexdigest())
                found[str(path.relative_to(sources))] = {"sha": digest, "mode": path.stat().st_mode}
        lacks = output.problem(found)
        if lacks:
            raise NotBuilt(lacks)
        return found


def _below(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _fetched(deployment: Deployment, link: GitLink, directory: Path, say: Callable[[str], None]) -> Path:
    git = deployment.git_source or {}
    commit = git.get("sha") or git.get("ref")
    say(f"Cloning github.com/{link.org}/{link.repo} (Commit: {commit})")
    request = Request(f"{link.api_url}/repos/{link.org}/{link.repo}/tarball/{commit}")
    if link.token:
        request.add_header("Authorization", f"Bearer {link.token}")
    with urlopen(request, timeout=FETCH_TIMEOUT) as reply:
        archive = reply.read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")
    # As GitHub packs them: one directory that is named after repository and commit.
    (sources,) = directory.iterdir()
    return sources


def _run(deployment: Deployment, sources: Path, command: str, say: Callable[[str], None]) -> None:
    say(f'Running "{command}"')
    argv = shlex.split(command)
    if not argv:
        raise NotBuilt("vercel.json names no buildCommand")
    if argv[0] in ("python", "python3"):
        argv[0] = sys.executable
    environment = {"PATH": os.defpath, "CI": "1", "VERCEL": "1", "VERCEL_ENV": deployment.target or "preview"}
    done = subprocess.run(
        argv,
        cwd=sources,
        env={**environment, **deployment.env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BUILD_TIMEOUT,
        check=False,
    )
    for line in done.stdout.decode(errors="replace").splitlines():
        say(line)
    if done.returncode != 0:
        raise NotBuilt(f'Command "{command}" exited with {done.returncode}')
