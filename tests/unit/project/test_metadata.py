# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that describe the collection to others agree with each other and with the code."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.ansible_test import tracked_files
from harness.paths import CHECKOUT
from harness.source import plugins

GALAXY = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text(encoding="utf-8"))
#: Names on the package index and in import statements differ.
DISTRIBUTIONS = {
    "boto3": "boto3",
    "botocore": "boto3",
    "cryptography": "cryptography",
    "dateutil": "python-dateutil",
    "icalendar": "icalendar",
    "nacl": "pynacl",
    "psycopg": "psycopg",
    "pyrage": "pyrage",
    "recurring_ical_events": "recurring-ical-events",
    "requests": "requests",
    "zstandard": "zstandard",
}
REQUIREMENT = re.compile(r"^([a-z0-9_-]+)", re.IGNORECASE)


def requirements(path: str) -> dict[str, str]:
    """Distribution name to its whole line."""
    lines = (CHECKOUT / path).read_text(encoding="utf-8").splitlines()
    return {match[1].lower(): line for line in lines if (match := REQUIREMENT.match(line))}


def test_no_collection_dependencies() -> None:
    assert GALAXY["dependencies"] == {}


def test_the_image_takes_this_version() -> None:
    text = (CHECKOUT / "execution-environment.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"ops-runbooks-([\d.]+)\.tar\.gz", text)) == {GALAXY["version"]}


def test_the_floor_is_what_is_tested() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["requires_ansible"] == ">=2.19.0"
    assert "==2.19." in requirements("requirements/floor.in")["ansible-core"]


def test_what_the_modules_import_is_in_the_image() -> None:
    declared = requirements("meta/ee-requirements.txt")
    imported = {each.name.split(".")[0] for source in plugins() for each in source.imports if not each.typing}
    needed = {DISTRIBUTIONS[name] for name in imported if name in DISTRIBUTIONS}
    assert needed <= set(declared)


def test_the_image_asks_for_what_is_tested() -> None:
    tested = requirements("requirements/dev.in")
    for name, line in requirements("meta/ee-requirements.txt").items():
        assert tested[name] == line


def test_every_direct_dependency_is_explained() -> None:
    explained = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8").lower()
    files = ["requirements/dev.in", "requirements/floor.in", "requirements/s3.in", "requirements/postgres15.in"]
    names = {name for path in files for name in requirements(path)}
    assert not [name for name in names if f"`{name}`" not in explained]


def test_build_ignore_names_things_that_may_exist() -> None:
    tops = {path.parts[0] for path in tracked_files()}
    shipped = {"meta", "plugins", "roles", "playbooks", "docs", "changelogs", "inventories", "tests"}
    texts = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "galaxy.yml"}
    unaccounted = {top for top in tops if not top.startswith(".")} - shipped - texts - set(GALAXY["build_ignore"])
    assert not unaccounted, "ship it or put it into build_ignore, and say so here"


def scripts() -> list[Path]:
    """Tracked files that a shell runs."""
    candidates = [path for path in tracked_files() if path.suffix in {"", ".sh"}]
    return [
        path
        for path in candidates
        if (CHECKOUT / path).read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash"))
    ]


@pytest.mark.parametrize("path", scripts(), ids=str)
def test_shell_scripts(path: Path) -> None:
    """ansible-test's shellcheck looks at ``*.sh`` only."""
    assert (CHECKOUT / path).stat().st_mode & 0o111
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck has no binary for this platform")
    done = subprocess.run([shellcheck, path], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
