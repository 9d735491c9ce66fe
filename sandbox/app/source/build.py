# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the sample application: it makes ``.vercel/output`` as ``vercel deploy --prebuilt`` wants it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Build, unless this release is one that does not build."""
    release = json.loads((HERE / "release.json").read_text(encoding="utf-8"))
    if release.get("build_fails"):
        print("Error: this release does not build on purpose")
        return 1
    if not os.environ.get("DATABASE_URL"):
        print("Warning: DATABASE_URL is not set for this build")
    output = HERE / ".vercel" / "output"
    shutil.rmtree(output, ignore_errors=True)
    function = output / "functions" / "api" / "index.func"
    function.mkdir(parents=True)
    shutil.copyfile(HERE / "api" / "index.py", function / "index.py")
    shutil.copyfile(HERE / "release.json", function / "release.json")
    _write(function / ".vc-config.json", {"runtime": "python3.13", "handler": "index.py", "maxDuration": 30})
    (output / "static").mkdir()
    page = f"<!doctype html><title>sample</title><p>release {release['release']}</p>\n"
    (output / "static" / "index.html").write_text(page, encoding="utf-8")
    routes = [{"handle": "filesystem"}, {"src": "/api/(.*)", "dest": "/api/index"}]
    _write(output / "config.json", {"version": 3, "routes": routes})
    # The official command line compares this target with the one that it deploys to.
    target = os.environ.get("VERCEL_ENV", "production")
    _write(output / "builds.json", {"target": target, "argv": sys.argv, "builds": []})
    print(f"Built release {release['release']}")
    return 0


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
