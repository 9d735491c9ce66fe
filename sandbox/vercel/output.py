# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a deployment's own output (Build Output API, version 3) makes of a request: a file, a function, or neither.

Of its routes ``src``, ``dest``, ``status``, ``headers``, ``methods``, ``continue`` and ``handle: filesystem`` are
honoured.
"""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

OUTPUT = ".vercel/output/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a request leads."""

    file: Path | None = None
    function: Path | None = None
    #: Path and query, rewritten.
    target: str = "/"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def problem(paths: Mapping[str, Any]) -> str | None:
    """Why prebuilt files cannot be served; None where they can."""
    if f"{OUTPUT}config.json" not in paths:
        return f"{OUTPUT}config.json is missing"
    return None


def find(root: Path, target: str, method: str) -> Found:
    """Follow the routes of the output below ``root`` (or serve its files, where it has none)."""
    output = root / OUTPUT
    if not output.exists():
        return _at(root, root / "none", target) or Found(status=404)
    routes = json.loads((output / "config.json").read_text(encoding="utf-8")).get("routes") or []
    path, _mark, query = target.partition("?")
    headers: dict[str, str] = {}
    status: int | None = None
    for route in [*routes, {"handle": "filesystem"}]:
        if route.get("handle") == "filesystem":
            found = _at(output / "static", output / "functions", _joined(path, query))
            if found is not None:
                return Found(file=found.file, function=found.function, target=target, status=status, headers=headers)
            continue
        match = _matches(route, path, method)
        if match is None:
            continue
        headers |= {name: match.expand(_groups(value)) for name, value in route.get("headers", {}).items()}
        status = route.get("status", status)
        if "dest" in route:
            path, _mark, query = match.expand(_groups(route["dest"])).partition("?")
        if status in (301, 302, 303, 307, 308) or (status is not None and "dest" not in route):
            return Found(status=status, headers=headers)
    return _at(output / "static", output / "functions", _joined(path, query)) or Found(status=404, headers=headers)


def content_type(path: Path) -> str:
    """By the file's name."""
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _matches(route: Mapping[str, Any], path: str, method: str) -> re.Match[str] | None:
    if "src" not in route or method not in route.get("methods", [method]):
        return None
    return re.fullmatch(route["src"], path)


def _groups(template: str) -> str:
    return re.sub(r"\$(\d)", r"\\\1", template)


def _joined(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _at(static: Path, functions: Path, target: str) -> Found | None:
    """What lies at a path."""
    path = target.partition("?")[0].strip("/")
    if ".." in PurePosixPath(path).parts:
        return None
    for name in (path, f"{path}/index".strip("/")):
        function = functions / f"{name}.func"
        if function.is_dir():
            return Found(function=function.resolve(), target=target)
    for file in (static / path, static / f"{path}.html", static / path / "index.html"):
        if file.is_file():
            return Found(file=file, target=target)
    return None
