# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a request to a deployment's own output leads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.standin.refusal import Refused
from sandbox.vercel import output
from sandbox.vercel.files import Files, safe


def made(directory: Path, routes: list[Any]) -> Path:
    place = directory / ".vercel" / "output"
    for name in ("static/index.html", "static/page.html", "static/a.css", "functions/api/index.func/index.py"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x", encoding="utf-8")
    (place / "config.json").write_text(json.dumps({"version": 3, "routes": routes}), encoding="utf-8")
    return directory


REWRITE = [{"handle": "filesystem"}, {"src": "/api/(.*)", "dest": "/api/index"}]


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("/", "static/index.html"),
        ("/page?x=1", "static/page.html"),
        ("/a.css", "static/a.css"),
        ("/api", "functions/api/index.func"),
        ("/api/health?x=1", "functions/api/index.func"),
        ("/none", None),
        ("/../config.json", None),
        ("/%2e%2e/config.json", None),
    ],
)
def test_files_functions_and_neither(tmp_path: Path, target: str, leads: str | None) -> None:
    found = output.find(made(tmp_path, REWRITE), target, "GET")
    place = found.file or found.function
    assert (place and str(place.relative_to((tmp_path / ".vercel" / "output").resolve()))) == leads
    assert found.status == (404 if leads is None else None)


def test_redirects_headers_and_methods(tmp_path: Path) -> None:
    routes = [
        {"src": "/.*", "headers": {"x-frame-options": "DENY"}, "continue": True},
        {"src": "/old/(.*)", "status": 308, "headers": {"location": "/new/$1"}},
        {"src": "/page", "methods": ["POST"], "dest": "/a.css"},
    ]
    root = made(tmp_path, routes)
    moved = output.find(root, "/old/thing", "GET")
    assert (moved.status, moved.headers["location"]) == (308, "/new/thing")
    assert output.find(root, "/page", "GET").headers == {"x-frame-options": "DENY"}
    posted = output.find(root, "/page", "POST").file
    assert posted is not None
    assert posted.name == "a.css"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", "a\0b"])
def test_a_file_stays_inside(path: str) -> None:
    with pytest.raises(Refused):
        safe(path)


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    files = Files(tmp_path / "files")
    with pytest.raises(Refused, match="SHA-1"):
        files.add(b"x", "0" * 40)
    digest = files.add(b"x", "11f6ad8ec52a2984abaafd7c3b516503785c2072")
    assert files.has(digest)
    assert not files.has("../" + digest[3:])
    tree = files.tree("dpl_1", {"bin/run": {"sha": digest, "mode": 0o100755}})
    assert (tree / "bin" / "run").stat().st_mode & 0o777 == 0o755
