# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the backup is compared with: the AWS command line, and the two collections that people dump and upload with.

Installed once, into environments of their own, when the benchmark is first run with them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
DIRECTORY = CHECKOUT / ".venv-bench"
AWS = DIRECTORY / "bin" / "aws"
COLLECTIONS = DIRECTORY / "collections"

#: The collections, as paths in the community package that carries them.
_WANTED = ("ansible_collections/amazon/aws/", "ansible_collections/community/postgresql/")
_PACKAGE = CHECKOUT / "requirements" / "bench-collections.txt"


def install() -> None:
    """Make sure that both are there; a second call is instant."""
    subprocess.run(["requirements/install", DIRECTORY.name, "bench", "3.13", "3.12", "3.14"], cwd=CHECKOUT, check=True)
    stamp = COLLECTIONS / "installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != _PACKAGE.read_text(encoding="utf-8"):
        _unpack_collections()
        stamp.write_text(_PACKAGE.read_text(encoding="utf-8"), encoding="utf-8")


def _unpack_collections() -> None:
    """Take two collections out of a package of a hundred, which would take half a gigabyte when installed."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
                *("--require-hashes", "--requirement", str(_PACKAGE), "--dest", directory),
            ],
            check=True,
        )
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as package:
            package.extractall(COLLECTIONS, [name for name in package.namelist() if name.startswith(_WANTED)])


def versions() -> dict[str, str]:
    """Name to version of each peer, for the report."""
    aws = subprocess.run([AWS, "--version"], capture_output=True, text=True, check=True)
    found = {"aws": aws.stdout.split()[0].removeprefix("aws-cli/")}
    for name in ("amazon/aws", "community/postgresql"):
        manifest = (COLLECTIONS / "ansible_collections" / name / "MANIFEST.json").read_text(encoding="utf-8")
        found[name.replace("/", ".")] = manifest.split('"version": "')[1].split('"')[0]
    return found
