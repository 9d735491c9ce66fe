# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory that the README begins with is enough, on a machine whose own Python knows nothing of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.paths import CHECKOUT
from harness.playbooks import PlaybookRunner
from harness.servers import Database, S3StoreAt

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def ten_lines() -> str:
    """The first YAML in the README."""
    found = re.search(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_inventory_of_the_readme(
    tmp_path: Path, run_playbook: PlaybookRunner, database: Database, s3_store: S3StoreAt
) -> None:
    inventory = tmp_path / "inventories" / "production"
    inventory.mkdir(parents=True)
    (inventory / "hosts.yml").write_text(ten_lines(), encoding="utf-8")
    bucket = yaml.safe_load(ten_lines())["all"]["vars"]["runbooks_store"].removeprefix("s3://")
    s3_store.client.create_bucket(Bucket=bucket)

    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    missing = subprocess.run([bare / "python3", "-c", "import psycopg"], capture_output=True, check=False)
    assert missing.returncode != 0, "this Python should know nothing of ours"
    env = {**s3_store.env, "DIRECT_URL": database.url, "PATH": f"{bare}:{database.server.bindir}:/usr/bin:/bin"}
    for runbook in ("preflight", "backup", "status"):
        played = run_playbook(f"ops.runbooks.{runbook}", inventory="inventories/production", cwd=tmp_path, env=env)
        assert "Next: ansible-playbook ops.runbooks." in played.ok().output
        assert "-i inventories/production" in played.output
    assert len(ten_lines().splitlines()) == 10


@pytest.mark.parametrize("runbook", ["preflight", "backup", "status"])
def test_the_readme_without_the_variable_names_it(
    tmp_path: Path, run_playbook: PlaybookRunner, runbook: str, s3_store: S3StoreAt
) -> None:
    """The most likely first mistake: DIRECT_URL is not exported."""
    (tmp_path / "hosts.yml").write_text(ten_lines(), encoding="utf-8")
    env = {**s3_store.env, "DATABASE_URL": "postgresql://127.0.0.1:1/never_asked"}
    played = run_playbook(f"ops.runbooks.{runbook}", inventory=tmp_path / "hosts.yml", env=env)
    if runbook == "status":
        assert "database_url" not in played.output, "status asks the store only"
    else:
        assert "Could not use database_url (main): it is given but empty." in played.red().output
