# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks explain themselves in one form, and what is generated from them and from the roles is current."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from harness.paths import CHECKOUT, ROLES
from harness.runbook_pages import FIELDS, PAGES, Runbook, runbooks, specs_of, targets

#: What launch inputs are called, once for all runbooks: texts, without a prefix.
INPUTS = {
    *("release", "backup", "at", "restore_id", "target_database", "source_environment", "to", "from_deployment"),
    *("secret", "reason", "confirm", "undo", "phase", "adopt", "accept_shrink", "break_glass", "break_first", "dir"),
    *("path", "sha256", "migration", "resolve_as", "take_back"),
}
#: Roles whose variables a user sets in an inventory, and those of them that plays and not users set.
SETTABLE = (
    *("runbooks", "database", "backup", "restore", "app", "verify", "rollback", "promote", "deploy", "migrate"),
    *("rotate", "secrets"),
)
SET_BY_PLAYS = {
    *("backup_id", "backup_adopt", "backup_accept_shrink", "backup_kind", "backup_max_age", "backup_preflight"),
    *("restore_backup", "restore_at", "restore_target_database", "restore_identity", "restore_source_environment"),
    *("restore_adopt", "restore_preflight", "restore_undo", "restore_confirm", "restore_path", "restore_sha256"),
    "database_required",
    *("app_needs_vercel", "app_needs_url"),
    *(
        "rotate_reason",
        "rotate_break_first",
        "rotate_adopt",
        "rotate_take_back",
        "rotate_break_glass",
        "secrets_names",
        "rotate_current",
    ),
    *("rollback_to", "rollback_from", "rollback_reason", "rollback_break_glass", "deploy_deployment"),
    *("promote_to", "promote_from", "promote_reason", "promote_break_glass"),
    *("deploy_release", "deploy_reason", "deploy_break_glass"),
    *("migrate_phase", "migrate_release", "migrate_migration", "migrate_undo", "migrate_resolve_as"),
    *("migrate_confirm", "migrate_adopt"),
}

#: Takes no inventory: it writes one.
LOCAL = "init"

each_runbook = pytest.mark.parametrize("runbook", runbooks(), ids=lambda runbook: runbook.name)


def test_every_generated_page_is_current() -> None:
    stale = [
        str(path.relative_to(CHECKOUT))
        for path, text in targets().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: PYTHONPATH=tests python -m harness.runbook_pages"
    assert {path.name for path in PAGES.glob("*.md")} == {f"{runbook.name}.md" for runbook in runbooks()}


@each_runbook
def test_a_header_says_everything(runbook: Runbook) -> None:
    assert tuple(runbook.fields) == FIELDS
    assert runbook.summary.endswith(".")
    assert runbook.explanation
    names = {each.name for each in runbooks()}
    assert runbook.fields["Partner"] in names
    for example in runbook.fields["Examples"]:
        where = "-e dir=ops" if runbook.name == LOCAL else "-i inventories/production"
        assert example.startswith(f"ansible-playbook ops.runbooks.{runbook.name} {where}")


@each_runbook
def test_inputs_are_the_known_ones_and_each_is_used(runbook: Runbook) -> None:
    inputs = set(runbook.fields["Inputs"] or {})
    assert inputs <= INPUTS
    used = {
        name
        for play in runbook.plays
        for value in play.get("vars", {}).values()
        for name in INPUTS
        if isinstance(value, str) and re.search(rf"\{{\{{ {name} \|", value)
    }
    assert used == inputs
    taken = {name for play in runbook.plays for name in play.get("vars", {})}
    assert not taken & INPUTS, "a variable of a play would hide the input"


@each_runbook
def test_plays_are_numbered(runbook: Runbook) -> None:
    count = len(runbook.plays)
    assert [play["name"].partition(" ")[0] for play in runbook.plays] == [f"{n}/{count}" for n in range(1, count + 1)]


@each_runbook
def test_plays_work_as_every_runbook_does(runbook: Runbook) -> None:
    guard, *rest = runbook.plays
    assert guard["any_errors_fatal"] is True
    assert rest or runbook.name == LOCAL
    failure = "failure"
    if len(rest) > 1:
        # Where all hosts of a play are red, ansible leaves out the plays behind it: so none is before the last one.
        *rest, red = rest
        failure = "failure_of_one"
        assert "'runbooks_red'" in red["hosts"]
        assert [task["ansible.builtin.import_role"]["tasks_from"] for task in red["tasks"]] == ["red"]
    for play in rest:
        assert play["connection"] == "local"
        assert play["any_errors_fatal"] is False
        assert play["vars"]["ansible_python_interpreter"] == (
            "{{ runbooks_python | default(ansible_playbook_python) }}"
        )
        (block,) = play["tasks"]
        assert block["rescue"][0]["ansible.builtin.import_role"]["tasks_from"] == failure
        assert block["always"][-1]["ansible.builtin.import_role"]["name"] == "ops.runbooks.record"


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_example_inventories_show_every_setting(environment: str) -> None:
    """Each variable that a user may set stands there, set or behind a comment sign with its default."""
    text = (CHECKOUT / "inventories" / environment / "hosts.yml").read_text(encoding="utf-8")
    shown = {name: value.strip() for name, value in re.findall(r"^ *(?:# *)?(\w+): ?(.*)$", text, re.MULTILINE)}
    for role in SETTABLE:
        for name, option in specs_of(role)["main"]["options"].items():
            if name in SET_BY_PLAYS:
                continue
            assert name in shown, f"{name} is not explained"
            if re.search(rf"^ *# {name}:", text, re.MULTILINE) and option.get("default"):
                assert yaml.safe_load(shown[name]) == option["default"], name


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_example_inventories_set_nothing_unknown(environment: str) -> None:
    text = (CHECKOUT / "inventories" / environment / "hosts.yml").read_text(encoding="utf-8")
    prefixes = "|".join((*SETTABLE, "vercel"))
    named = set(re.findall(rf"^ *(?:# )?((?:{prefixes})_\w+):", text, re.MULTILINE))
    known: dict[str, Any] = {}
    for role in SETTABLE:
        known |= specs_of(role)["main"]["options"]
    assert named <= set(known)
    assert all((ROLES / role).is_dir() for role in SETTABLE)
