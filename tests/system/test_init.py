# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook init: what it writes can be run from at once, and what is there stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.paths import CHECKOUT
from harness.playbooks import PlaybookRunner, Played
from harness.servers import Database, S3StoreAt

#: What it writes.
FILES = {
    *("README.md", "ansible.cfg", "requirements.txt", ".gitignore"),
    *(".github/workflows/backup.yml", ".github/workflows/rotate.yml"),
    *("collections/requirements.yml", "inventories/production/hosts.yml", "inventories/staging/hosts.yml"),
}
Init = Callable[..., Played]


@pytest.fixture
def init(run_playbook: PlaybookRunner, tmp_path: Path) -> Init:
    """Run it where the test is."""

    def run(**options: Any) -> Played:
        given = {"extra_vars": {"dir": "ops"}, "cwd": tmp_path, "env": {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}}
        return run_playbook("ops.runbooks.init", inventory="localhost,", **{**given, **options})

    return run


def written(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_it_writes_once_and_leaves_what_is_there(init: Init, tmp_path: Path) -> None:
    ops = tmp_path / "ops"
    tried = init(check=True).ok()
    assert "would write" in tried.output
    assert not ops.exists()

    assert init().ok().recap["localhost"]["changed"] > 0
    made = written(ops)
    assert set(made) == FILES
    again = init().ok()
    assert again.recap["localhost"]["changed"] == 0
    assert "Result: nothing to do" in again.output

    own = "[defaults]\nforks = 7\nvault_password_file = s3cr3t\n"
    (ops / "ansible.cfg").write_text(own, encoding="utf-8")
    (ops / ".gitignore").unlink()
    kept = init(arguments=("-v", "--diff")).ok()
    assert "wrote .gitignore; left as they are, different from what this would write: ansible.cfg" in kept.output
    assert f"diff -u {ops}/ansible.cfg {CHECKOUT}" in " ".join(kept.output.split()).replace("\\", "")
    assert "s3cr3t" not in kept.output, "what a file has is its owner's"
    assert written(ops) == made | {"ansible.cfg": own.encode()}


def test_a_directory_that_cannot_be_meant_is_refused(init: Init, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "Result: failed: Could not write a repository (dir)" in init(extra_vars={"dir": ""}).red().output
    assert "it is there and no directory" in init(extra_vars={"dir": "file"}).red().output
    assert "dri is no input of init: did you mean dir?" in init(extra_vars={"dri": "ops"}).red().output


@pytest.mark.parametrize("option", ["--tags=x", "--skip-tags=untagged", "--skip-tags=always"])
def test_a_part_of_it_is_refused(init: Init, tmp_path: Path, option: str) -> None:
    played = init(arguments=(option,))
    assert played.status != 0
    assert "tags" in played.output
    assert not (tmp_path / "ops").exists()


def test_the_collection_that_is_asked_for_is_this_one() -> None:
    files = CHECKOUT / "roles" / "init" / "files"
    (wanted,) = yaml.safe_load((files / "collections" / "requirements.yml").read_text(encoding="utf-8"))["collections"]
    assert wanted["name"] == "ops.runbooks"
    declared = (CHECKOUT / "meta" / "ee-requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = (files / "requirements.txt").read_text(encoding="utf-8").replace("[binary]", "").splitlines()
    needed = [line.replace("[binary]", "") for line in declared if line and not line.startswith("#")]
    assert set(needed) <= set(asked)


def test_what_it_writes_runs_with_nothing_but_the_environment(
    init: Init, run_playbook: PlaybookRunner, database: Database, s3_store: S3StoreAt, tmp_path: Path
) -> None:
    init().ok()
    ops = tmp_path / "ops"
    for environment in ("production", "staging"):
        hosts = yaml.safe_load((ops / "inventories" / environment / "hosts.yml").read_text(encoding="utf-8"))
        assert hosts["all"]["vars"]["runbooks_environment"] == environment
        assert bool(hosts["all"]["vars"].get("runbooks_protected")) == (environment == "production")
    s3_store.client.create_bucket(Bucket=hosts["all"]["vars"]["runbooks_store"].removeprefix("s3://"))
    env = {**s3_store.env, "STAGING_DIRECT_URL": database.url, "PATH": f"{database.server.bindir}:/usr/bin:/bin"}
    played = run_playbook("ops.runbooks.preflight", inventory="inventories/staging", cwd=ops, env=env)
    assert "there is no backup yet; ask again after the first one" in played.ok().output
