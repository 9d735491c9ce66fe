# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checkout as AWX uses it, without AWX: a git project, an execution environment, jobs through ansible-runner."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.ansible_test import staged
from harness.children import clean_environment
from harness.paths import CHECKOUT
from harness.servers import Database, S3StoreAt

#: What AWX adds to every job, under both prefixes.
META = {
    "job_id": 4711,
    "job_launch_type": "scheduled",
    "job_template_id": 12,
    "job_template_name": "backup",
    "user_id": 3,
    "user_name": "pat",
    "user_email": "pat@example.com",
    "project_revision": "0123456789abcdef0123456789abcdef01234567",
    "execution_node": "awx-1",
}
#: Optional text questions of a survey that nobody answered arrive like this.
UNANSWERED = ("backup", "at", "restore_id", "target_database", "source_environment", "reason", "confirm", "adopt")
#: The S3 server of the sandbox does not check it, so it can be a word that must turn up nowhere.
CANARY = "c4n4ry/S3+secret/of=the/test"


def python(*argv: str | Path, cwd: Path, env: dict[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``python -m argv`` and show what it said where it failed."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, argv)],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stdout
    return done


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One finished job."""

    status: int
    artifacts: Path
    output: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """What AWX stores and shows."""
        paths = sorted((self.artifacts / "job_events").glob("*.json"), key=lambda path: int(path.name.split("-")[0]))
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def named(self, event: str) -> list[dict[str, Any]]:
        """The data of the events of one kind."""
        return [each["event_data"] for each in self.events if each["event"] == event]

    @property
    def changed(self) -> dict[str, int]:
        """Host to number of changes."""
        (stats,) = self.named("playbook_on_stats")
        return dict(stats["changed"])

    def ok(self) -> Job:
        """Itself, where it was green and no event was a failure that something rescued."""
        assert self.status == 0, self.output
        assert not self.named("runner_on_failed"), self.output
        return self

    def leaks(self, secrets: list[str]) -> list[str]:
        """The files in which a secret can be read. AWX itself masks its record of the environment."""
        files = [path for path in self.artifacts.rglob("*") if path.is_file() and path.name != "command"]
        return [path.name for path in files for secret in secrets if secret in path.read_text(errors="replace")]


class Awx:
    """One execution node: a project that was updated, and jobs one after the other."""

    def __init__(self, directory: Path, project: Path, collections: Path) -> None:
        self.directory = directory
        self._project = project
        self.collections = collections
        self._count = 0

    def launch(
        self, playbook: str, inventory: dict[str, Any], credentials: dict[str, str], *, check: bool = False
    ) -> Job:
        """Run a job template in a fresh private data directory."""
        self._count += 1
        private = self.directory / f"job-{self._count}"
        for folder in ("inventory", "env"):
            (private / folder).mkdir(parents=True)
        shutil.copytree(self._project, private / "project")
        script = private / "inventory" / "hosts"
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(inventory)}\nEND\n", encoding="utf-8")
        script.chmod(0o700)
        extra = {f"{prefix}_{key}": value for prefix in ("awx", "tower") for key, value in META.items()}
        lines = [f"{key}: {json.dumps(value)}" for key, value in extra.items()]
        lines += [f"{key}: !unsafe ''" for key in UNANSWERED]
        (private / "env" / "extravars").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (private / "env" / "cmdline").write_text("-u root" + " --check" * check, encoding="utf-8")
        environment = {
            **credentials,
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "JOB_ID": str(META["job_id"]),
            "ANSIBLE_FORCE_COLOR": "false",
        }
        (private / "env" / "envvars").write_text(yaml.safe_dump(environment), encoding="utf-8")
        argv = ("ansible_runner", "run", private, "-p", playbook, "-i", "job")
        runner = clean_environment(self.directory / "home", {"PYTHONPATH": ""})
        done = python(*argv, cwd=private, env=runner, check=False)
        return Job(status=done.returncode, artifacts=private / "artifacts" / "job", output=done.stdout)


@pytest.fixture(scope="module")
def awx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Awx]:
    """A project update: the repository checked out, its ``collections/requirements.yml`` installed."""
    directory = tmp_path_factory.mktemp("awx")
    collections = directory / "requirements_collections"
    # As AWX sets it; a copy that is found elsewhere would count as installed already.
    paths = {"PYTHONPATH": "", "ANSIBLE_COLLECTIONS_PATH": str(collections)}
    with staged() as project:
        python(
            *("ansible", "galaxy", "collection", "install", "--offline"),
            *("-r", "collections/requirements.yml", "-p", collections),
            cwd=project,
            env=clean_environment(directory / "home", paths),
        )
        yield Awx(directory, project, collections)


def test_a_job_template_backs_up(awx: Awx, database: Database, s3_store: S3StoreAt) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
    inventory = {
        "databases": {"hosts": ["main"]},
        "_meta": {"hostvars": {"main": {"database_url": "{{ lookup('ansible.builtin.env', 'DIRECT_URL') }}"}}},
        "all": {"vars": {"runbooks_environment": "awx", "runbooks_store": s3_store.url}},
    }
    path = f"{database.server.bindir}:{clean_environment(awx.directory / 'home')['PATH']}"
    credentials = {**s3_store.env, "AWS_SECRET_ACCESS_KEY": CANARY, "DIRECT_URL": database.url, "PATH": path}
    secrets = [CANARY, database.server.password]

    tried = awx.launch("playbooks/backup.yml", inventory, credentials, check=True).ok()
    assert tried.changed["main"] == 1
    assert s3_store.keys() == []

    done = awx.launch("playbooks/backup.yml", inventory, credentials).ok()
    assert done.changed["main"] == 1
    assert any(key.endswith("/manifest.json") for key in s3_store.keys("awx/databases/main/"))

    status = awx.launch("playbooks/status.yml", inventory, credentials).ok()
    assert not status.changed.get("main")

    for job in (tried, done, status):
        assert not job.leaks(secrets)
    records = [s3_store.read(key) for key in s3_store.keys("awx/runs/")]
    assert any(b"4711" in record and b"pat" in record for record in records), "who and which job is in the evidence"
    assert not [secret for record in records for secret in secrets if secret.encode() in record]


def test_a_job_that_selects_nothing_is_red(awx: Awx, s3_store: S3StoreAt) -> None:
    inventory = {
        "all": {"vars": {"runbooks_environment": "awx", "runbooks_store": s3_store.url}},
        "_meta": {"hostvars": {}},
    }
    job = awx.launch("playbooks/backup.yml", inventory, s3_store.env)
    assert job.status != 0
    assert job.named("runner_on_failed")


def test_what_the_image_needs(awx: Awx, tmp_path: Path) -> None:
    """ansible-builder finds the collection's requirements in an installed copy."""
    python(
        *("ansible_builder", "introspect", awx.collections),
        *("--write-pip", "pip.txt", "--write-bindep", "bindep.txt"),
        cwd=tmp_path,
        env=clean_environment(tmp_path / "home"),
    )
    found = {line.split("  #")[0].strip() for line in (tmp_path / "pip.txt").read_text().splitlines()}
    declared = (CHECKOUT / "meta" / "ee-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert found - {""} == {line for line in declared if not line.startswith("#")}
    system = (tmp_path / "bindep.txt").read_text()
    assert "postgresql [platform:rpm]" in system
    assert "postgresql-client [platform:dpkg]" in system


def test_the_image_definition_makes_a_context(tmp_path: Path) -> None:
    """``ansible-builder create``: the definition is valid and takes the artifact along."""
    home = clean_environment(tmp_path / "home")
    with staged() as root:
        python("ansible", "galaxy", "collection", "build", "--output-path", "build", cwd=root, env=home)
        context = ("--context", tmp_path / "context", "--output-filename", "Containerfile")
        python("ansible_builder", "create", *context, cwd=root, env=home)
    build = tmp_path / "context" / "_build"
    (collection,) = yaml.safe_load((build / "requirements.yml").read_text(encoding="utf-8"))["collections"]
    assert (build / collection["name"]).is_file()
    assert "fedora" in (tmp_path / "context" / "Containerfile").read_text(encoding="utf-8")
