# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No file of the project names a place that only its author has."""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.ansible_test import tracked_files
from harness.paths import CHECKOUT

#: Written in halves: this file is searched too.
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "crates" + ".io",
    "proxy.gol" + "ang.org",
    "quay" + ".io",
    "ghcr" + ".io",
    "docker" + ".io",
    "registry.redhat" + ".io",
    "galaxy.ans" + "ible.com",
    "download.post" + "gresql.org",
]
FORBIDDEN = [*REGISTRIES, "../" + "shared", "/opt/" + "pypi", "/opt/" + "wheels", "find" + "-links", "index" + "-url"]


def texts() -> dict[str, str]:
    """Every tracked text file."""
    paths = [path for path in tracked_files() if path.suffix not in {".gz", ".xz", ".png", ".dump"}]
    return {str(path): (CHECKOUT / path).read_text(encoding="utf-8", errors="replace") for path in paths}


def test_no_registry_and_no_neighbour() -> None:
    assert not [(path, word) for path, text in texts().items() for word in FORBIDDEN if word in text]


def test_no_path_of_this_machine() -> None:
    places = {str(CHECKOUT), str(Path.home()), os.environ.get("PYENV_ROOT", "")} - {"", "/"}
    # Whole names only, so that a short home matches no longer word.
    named = re.compile("|".join(rf"{re.escape(place)}(?![\w-])" for place in places))
    assert not [(path, match[0]) for path, text in texts().items() if (match := named.search(text))]


def test_text_files_end_with_one_newline() -> None:
    found = {path: text for path, text in texts().items() if path != "LICENSE"}
    assert not [path for path, text in found.items() if text and (text[-1] != "\n" or text.endswith("\n\n"))]
    assert not [path for path, text in found.items() if "\r" in text]


def test_yaml_files_have_one_extension() -> None:
    allowed = {"changelogs/config.yaml", "changelogs/changelog.yaml", "tests/integration/integration_config.yaml"}
    assert not [str(path) for path in tracked_files() if path.suffix == ".yaml" and str(path) not in allowed]
