# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of ``docs/run-it.md`` can be taken as they are."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ops.runbooks.plugins.module_utils._postgres.backup.schedule import nearest

from harness.paths import CHECKOUT, PLAYBOOKS, ROLES
from harness.runbook_pages import Runbook, specs_of

DOCUMENT = (CHECKOUT / "docs" / "run-it.md").read_text(encoding="utf-8")
WORKFLOW = ROLES / "init" / "files" / "workflow.yml"
ROTATION = ROLES / "init" / "files" / "workflow_rotate.yml"
FIVE_FIELDS = re.compile(r"^((?:[\d*/,-]+ ){5})(.*)$")
COMMAND = re.compile(r"ansible-playbook [^`\n&|]*")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def yaml_with(key: str) -> Any:
    """The one YAML block whose document has a key, or whose first item has it."""
    found = [yaml.safe_load(block) for block in blocks("yaml")]
    (only,) = (each for each in found if key in (each[0] if isinstance(each, list) else each))
    return only


def commands() -> list[str]:
    """Every call of a runbook in the documents for users and in what init writes."""
    files = [
        ROLES / "init" / "files" / "README.md",
        WORKFLOW,
        ROTATION,
        CHECKOUT / "README.md",
        *(CHECKOUT / "docs").glob("*.md"),
    ]
    texts = [path.read_text(encoding="utf-8") for path in files]
    return sorted({match[0].split("  #")[0].strip() for text in texts for match in COMMAND.finditer(text)})


@pytest.mark.parametrize("command", commands())
def test_a_command_names_a_runbook_and_inputs_that_it_takes(command: str) -> None:
    words = shlex.split(command)
    if len(words) < 2 or not words[1].startswith("ops.runbooks."):
        return
    path = PLAYBOOKS / f"{words[1].removeprefix('ops.runbooks.')}.yml"
    assert path.exists()
    given = {words[number + 1].partition("=")[0] for number, word in enumerate(words) if word == "-e"}
    runbook = Runbook(path)
    settings = {name for role in ("runbooks", runbook.name) for name in specs_of(role)["main"].get("options") or {}}
    assert given <= settings | set(runbook.fields["Inputs"] or {})


def cron_lines() -> list[tuple[str, str]]:
    """When and what."""
    (block,) = blocks("crontab")
    lines = [match for line in block.splitlines() if (match := FIVE_FIELDS.match(line))]
    assert lines
    return [(match[1].strip(), match[2]) for match in lines]


@pytest.mark.parametrize(("when", "command"), cron_lines())
def test_a_line_of_cron(when: str, command: str, tmp_path: Path) -> None:
    """The shell takes it, it starts in the repository with its secrets, and it ends as the runbook does."""
    assert len(when.split()) == 5
    assert "%" not in command, "cron makes a newline of it"
    secrets = tmp_path / "runbooks.env"
    secrets.write_text("DIRECT_URL='postgresql://it'\n", encoding="utf-8")
    (tmp_path / "ansible-playbook").write_text('#!/bin/sh\necho "$PWD $DIRECT_URL $*"\nexit 7\n', encoding="utf-8")
    (tmp_path / "ansible-playbook").chmod(0o755)
    placed = command.replace("/etc/runbooks.env", str(secrets)).replace("/opt/ops", str(tmp_path))
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", placed], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith(f"{tmp_path} postgresql://it ops.runbooks.")


def test_the_nightly_times_are_the_schedule_of_backups() -> None:
    """Otherwise a run would be nearer to another day's backup."""
    schedule = specs_of("backup")["main"]["options"]["backup_schedule"]["default"]
    assert schedule == "daily 02:00"
    nightly = {when for when, command in cron_lines() if ".backup " in command}
    workflow = yaml_with("jobs")
    nightly |= {each["cron"] for each in workflow["on"]["schedule"]}
    assert nightly == {"0 2 * * *"}
    (rule,) = (task["awx.awx.schedule"]["rrule"] for task in job_template() if "awx.awx.schedule" in task)
    match = re.fullmatch(r"DTSTART;TZID=UTC:(\d{8}T\d{6}) RRULE:FREQ=DAILY;INTERVAL=1", rule)
    assert match, "AWX wants DTSTART with a zone, and INTERVAL"
    first = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    assert nearest(schedule, "UTC", first).at == first


def test_the_workflow_is_the_one_that_init_writes() -> None:
    documented = yaml_with("jobs")
    assert documented == yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert documented["permissions"] == {"contents": "read", "id-token": "write"}
    assert documented["concurrency"]["cancel-in-progress"] is False
    (job,) = documented["jobs"].values()
    trusted = json.loads(blocks("json")[0])["Statement"][0]["Condition"]["StringEquals"]
    assert f"environment:{job['environment']}" in str(trusted)
    with_secrets = [step for step in job["steps"] if "secrets." in str(step)]
    assert [step["name"] for step in with_secrets] == ["Back up"], "no other step sees them"


def test_the_hourly_rotation_is_that_of_the_backup_but_for_what_it_runs() -> None:
    """And for its schedule, which would be red each hour where no secret is declared."""
    text = ROTATION.read_text(encoding="utf-8")
    backup, rotation = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8")), yaml.safe_load(text)
    assert "schedule" not in rotation["on"]
    switched = yaml.safe_load(text.replace("  # schedule:", "  schedule:").replace("  #   - cron", "    - cron"))
    (due,) = switched["on"]["schedule"]
    assert due["cron"] in {when for when, command in cron_lines() if ".rotate " in command}
    assert rotation["permissions"] == backup["permissions"]
    assert rotation["concurrency"]["cancel-in-progress"] is False
    steps = rotation["jobs"]["rotate"]["steps"]
    (secret,) = [step for step in steps if "secrets." in str(step)]
    assert set(secret["env"]) == {"DIRECT_URL", "RUNBOOKS_SECRETS_KEY", "VERCEL_TOKEN"}
    backups = {str(step.get("name", step.get("uses"))): step for step in backup["jobs"]["backup"]["steps"]}
    for step in steps[:-1]:
        same = backups[str(step.get("name", step.get("uses")))]
        assert step | {"with": {}} == same | {"with": {}}


def job_template() -> list[dict[str, Any]]:
    """The tasks that make template and schedule."""
    tasks: list[dict[str, Any]] = yaml_with("awx.awx.job_template")
    return tasks


def test_the_job_template_is_one_that_awx_takes() -> None:
    template = job_template()[0]["awx.awx.job_template"]
    play = yaml_with("import_playbook")
    runbook = Runbook(PLAYBOOKS / f"{play[0]['import_playbook'].removeprefix('ops.runbooks.')}.yml")
    assert template["playbook"] == f"{runbook.name}.yml"
    assert template["allow_simultaneous"] is False
    assert template["timeout"] > 0
    for question in template["survey_spec"]["spec"]:
        assert question["variable"] in runbook.fields["Inputs"]
        assert question["type"] in ("text", "textarea", "password", "multiplechoice", "multiselect", "integer", "float")
        assert question["required"] is False or "default" in question
    fields = {field["id"]: field for field in yaml_with("fields")["fields"]}
    injected = yaml_with("env")["env"]
    assert fields["direct_url"]["secret"] is True
    inventory = (ROLES / "init" / "files" / "inventories" / "production" / "hosts.yml").read_text(encoding="utf-8")
    assert all(f"'{name}'" in inventory for name in injected)
