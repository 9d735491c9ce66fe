# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users install: built, checked as Galaxy would, installed elsewhere, reduced to its four folders, and used."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.ansible_test import staged, tracked_files
from harness.children import clean_environment
from harness.paths import CHECKOUT
from harness.playbooks import PlaybookRunner
from harness.servers import Database, FileStoreAt

SHIPPED = {"meta", "plugins", "roles", "playbooks", "docs", "changelogs", "inventories"}
NEEDED = {"meta", "plugins", "roles", "playbooks"}
TEXTS = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md"}
GALAXY = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text(encoding="utf-8"))
NAME = f"{GALAXY['namespace']}-{GALAXY['name']}-{GALAXY['version']}.tar.gz"


def galaxy(*arguments: str | Path, home: Path, cwd: Path) -> None:
    argv = [sys.executable, "-m", "ansible", "galaxy", "collection", *map(str, arguments)]
    # A copy that is found elsewhere would count as installed already.
    environment = clean_environment(home, {"PYTHONPATH": "", "ANSIBLE_COLLECTIONS_PATH": str(home)})
    subprocess.run(argv, cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The artifact, built from a working copy in which the usual things lie about."""
    directory = tmp_path_factory.mktemp("artifact")
    with staged() as root:
        for junk in (".venv/bin/python", ".cache/x", "bench/out.log", "plugins/.swp", "build/old.tar.gz", "x.dump"):
            (root / junk).parent.mkdir(parents=True, exist_ok=True)
            (root / junk).write_text("junk", encoding="utf-8")
        galaxy("build", "--output-path", directory, home=directory / "home", cwd=root)
        yield directory / NAME


@pytest.fixture(scope="module")
def installed(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path that holds the artifact's four needed folders and nothing else."""
    path = tmp_path_factory.mktemp("collections")
    galaxy("install", artifact, "--offline", "-p", path, home=path / "home", cwd=path)
    collection = path / "ansible_collections" / "ops" / "runbooks"
    for entry in collection.iterdir():
        if entry.name not in NEEDED:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return path


@pytest.fixture
def elsewhere(installed: Path, tmp_path: Path) -> dict[str, str]:
    """An environment in which only the installed copy can be found."""
    return {
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
        "PYTHONPATH": "",
        "ANSIBLE_CONFIG": str(tmp_path / "no.cfg"),
    }


def test_what_ships(artifact: Path) -> None:
    with tarfile.open(artifact) as tar:
        files = {member.name for member in tar if member.isfile()}
    tracked = {path.as_posix() for path in tracked_files()}
    expected = {name for name in tracked if name.split("/")[0] in SHIPPED | TEXTS and "/." not in name}
    expected = {name for name in expected if not name.startswith("inventories/sandbox/")}
    assert files == expected | {"MANIFEST.json", "FILES.json", "tests/config.yml"}


def test_its_size(artifact: Path) -> None:
    assert artifact.stat().st_size < 2_000_000


def test_galaxy_would_take_it(artifact: Path, tmp_path: Path) -> None:
    """galaxy-importer with the checks of a certified collection; ansible-test is run by ``make test`` itself."""
    config = tmp_path / "importer.cfg"
    config.write_text(
        "[galaxy-importer]\n"
        "ansible_local_tmp = tmp\n"
        "run_ansible_test = False\n"
        "run_ansible_lint = False\n"
        "require_v1_or_greater = True\n"
        "check_required_tags = True\n"
        "check_changelog = True\n",
        encoding="utf-8",
    )
    environment = clean_environment(tmp_path / "home", {"GALAXY_IMPORTER_CONFIG": str(config)})
    done = subprocess.run(
        [sys.executable, "-m", "galaxy_importer.main", str(artifact)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Importer processing completed successfully" in done.stdout
    assert "ERROR" not in done.stdout
    assert "WARNING" not in done.stdout, done.stdout


def test_four_folders_suffice(
    elsewhere: dict[str, str], database: Database, file_store: FileStoreAt, run_playbook: PlaybookRunner, tmp_path: Path
) -> None:
    """Installed, reduced, called by full name from an empty directory: check, do, and look."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
    inventory = {
        "all": {
            "vars": {"runbooks_environment": "artifact", "runbooks_store": file_store.url},
            "children": {"databases": {"hosts": {"main": {"database_url": database.url}}}},
        }
    }
    env = {**elsewhere, "PATH": f"{database.server.bindir}:{clean_environment(tmp_path / 'home')['PATH']}"}
    cwd = tmp_path / "cwd"
    cwd.mkdir()

    def play(name: str, *, check: bool = False) -> dict[str, int]:
        return (
            run_playbook(f"ops.runbooks.{name}", inventory=inventory, env=env, cwd=cwd, check=check).ok().recap["main"]
        )

    assert play("backup", check=True)["changed"] == 1
    assert file_store.keys() == []
    assert play("backup")["changed"] == 1
    assert any(key.endswith("/manifest.json") for key in file_store.keys("artifact/databases/main/"))
    assert play("status")["changed"] == 0
    assert list(cwd.iterdir()) == []
