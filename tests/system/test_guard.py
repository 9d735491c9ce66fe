# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard, which begins every runbook: a run that selects nothing, or not what was meant, ends red.

The first play of a real playbook runs here in front of a play that does nothing but say on which hosts it ran, so that
each case takes a second and needs no server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.paths import PLAYBOOKS, ROLES
from harness.playbooks import PlaybookRunner, Played

Play = Callable[..., Played]


def inventory(**variables: Any) -> dict[str, Any]:
    """Two databases and an app, with what an environment needs."""
    return {
        "all": {
            "vars": {"runbooks_environment": "production", "runbooks_store": "s3://acme-runbooks", **variables},
            "children": {
                "databases": {"hosts": {"main": {}, "analytics": {}}},
                "apps": {"hosts": {"web": {}}},
            },
        }
    }


def guard_of(playbook: Path) -> dict[str, Any]:
    """The first play of a playbook."""
    plays: list[dict[str, Any]] = yaml.safe_load(playbook.read_text(encoding="utf-8"))
    return plays[0]


@pytest.fixture
def play(tmp_path: Path, run_playbook: PlaybookRunner) -> Play:
    """Run the guard of the backup runbook, and behind it a play that prints ``worked on <host> as <run id>``."""
    probe = {
        "name": "Work",
        "hosts": "databases",
        "connection": "local",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Say so",
                "ansible.builtin.debug": {"msg": "worked on {{ inventory_hostname }} as {{ guard_run_id }}"},
            }
        ],
    }
    path = tmp_path / "probe.yml"
    path.write_text(yaml.safe_dump([guard_of(PLAYBOOKS / "backup.yml"), probe], sort_keys=False), encoding="utf-8")

    def run(hosts: Mapping[str, Any] | Path | str | None = None, **options: Any) -> Played:
        chosen = inventory() if hosts is None else hosts
        return run_playbook(str(path), inventory=chosen, cwd=tmp_path, **options)

    return run


def worked_on(played: Played) -> list[str]:
    """The hosts that the second play reached."""
    return sorted(re.findall(r"worked on (\S+) as", played.output))


def sentence(played: Played) -> str:
    """What the guard says; asserts that the run was red and did nothing."""
    assert played.status != 0, played.output
    assert worked_on(played) == []
    found = re.findall(r"Could not (?!match supplied)[^\n\"]+", played.output)
    assert found, played.output
    assert played.output.count(found[0]) == 1 or "keyword 'hosts'" in played.output, "it is said once"
    # Where not even the hosts could be told, no task ever ran.
    assert "Result: failed (run_refused): Could not " in played.output or "keyword 'hosts'" in played.output
    return str(found[0])


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [
        (None, ["analytics", "main"]),
        ("main", ["main"]),
        ("main,analytics", ["analytics", "main"]),
        ("main, analytics", ["analytics", "main"]),
        ("databases", ["analytics", "main"]),
        ("databases:!main", ["analytics"]),
        ("databases:&ma*", ["main"]),
        ("~^ma.n$", ["main"]),
        ("databases[0]", ["analytics"]),
        ("all,!web", ["analytics", "main"]),
        ("main,web", ["main"]),
    ],
)
def test_a_limit_that_matches_in_all_its_parts_is_followed(play: Play, limit: str | None, hosts: list[str]) -> None:
    assert worked_on(play(limit=limit).ok()) == hosts


@pytest.mark.parametrize(
    ("limit", "named"),
    [
        ("main,typo", "(typo)"),
        ("typo,main,slip", "(typo slip)"),
        ("databases:!typo", "(!typo)"),
        ("main,ty*", "(ty*)"),
        ("main,~^ty", "(~^ty)"),
        ("main,app*,dat*,x*", "(x*)"),
    ],
)
def test_a_limit_that_matches_in_part_is_refused_and_its_part_named(play: Play, limit: str, named: str) -> None:
    assert named in sentence(play(limit=limit))


@pytest.mark.parametrize("limit", ["typo", "main:&typo", "main:!main", "main,databases[7]", "localhost"])
def test_a_limit_that_leaves_nothing_is_red_by_ansible_itself(play: Play, limit: str) -> None:
    played = play(limit=limit)
    assert played.status != 0
    assert worked_on(played) == []


def test_a_limit_from_a_file_is_looked_through(play: Play, tmp_path: Path) -> None:
    (tmp_path / "limit").write_text("main\n\nanalytics\n", encoding="utf-8")
    assert worked_on(play(limit="@limit").ok()) == ["analytics", "main"]
    (tmp_path / "limit").write_text("main\ntypo\n", encoding="utf-8")
    assert "(typo)" in sentence(play(limit=f"@{tmp_path}/limit"))


def test_a_limit_outside_the_group_is_refused(play: Play) -> None:
    said = sentence(play(limit="web"))
    assert "databases" in said
    assert "--limit web" in said


@pytest.mark.parametrize("limit", [None, "main", "main,typo", "localhost"])
def test_a_mistyped_inventory_is_red(play: Play, tmp_path: Path, limit: str | None) -> None:
    assert "inventory" in sentence(play(tmp_path / "nowhere.yml", limit=limit))


def test_a_command_without_an_inventory_is_told_to_give_one(play: Play) -> None:
    assert "no inventory was given" in sentence(play(Path("/etc/ansible/hosts")))


def test_a_mistyped_inventory_beside_a_good_one_is_named(play: Play) -> None:
    assert "nowhere.yml" in sentence(play(arguments=("-i", "nowhere.yml")))


def test_an_inventory_without_the_group_is_red(play: Play) -> None:
    assert "databases" in sentence(play({"all": {"hosts": {"main": {}}}}))


def test_an_empty_group_is_red(play: Play) -> None:
    assert "databases" in sentence(play({"all": {"children": {"databases": {}, "apps": {"hosts": {"web": {}}}}}}))


def test_a_runbook_of_two_groups_needs_one_of_them(tmp_path: Path, run_playbook: PlaybookRunner) -> None:
    hosts = {"all": {**inventory()["all"], "children": {"apps": {"hosts": {"web": {}}}}}}
    path = tmp_path / "probe.yml"
    path.write_text(yaml.safe_dump([guard_of(PLAYBOOKS / "status.yml")], sort_keys=False), encoding="utf-8")
    assert "Could not match" not in run_playbook(str(path), inventory=hosts).ok().output
    hosts["all"]["children"] = {"others": {"hosts": {"web": {}}}}
    assert (
        "Could not find anything to work on (databases or apps)"
        in run_playbook(str(path), inventory=hosts).red().output
    )


def test_a_list_of_hosts_as_inventory_is_no_missing_file(play: Play) -> None:
    assert "databases" in sentence(play("main,"))


def test_localhost_may_be_a_host_of_the_inventory(play: Play) -> None:
    hosts = inventory()
    hosts["all"]["hosts"] = {"localhost": {"ansible_connection": "ssh"}}
    assert worked_on(play(hosts).ok()) == ["analytics", "main"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--tags=backup", "no tags"),
        ("--skip-tags=untagged", "no tags"),
        ("--skip-tags=all", "no tags"),
        ("--skip-tags=always", "--skip-tags=always"),
    ],
)
def test_a_part_of_a_runbook_is_refused(play: Play, option: str, said: str) -> None:
    assert said in sentence(play(arguments=(option,)))


def test_skipping_a_tag_that_no_runbook_has_is_harmless(play: Play) -> None:
    assert worked_on(play(arguments=("--skip-tags=notest",)).ok()) == ["analytics", "main"]


def test_an_unknown_variable_is_refused_wherever_it_is_set(play: Play) -> None:
    said = sentence(play(inventory(runbooks_protectd=True)))
    assert "runbooks_protectd: no runbook reads it; did you mean runbooks_protected? Correct its name" in said
    assert "runbooks_odd: no runbook reads it. Known are runb" in sentence(play(extra_vars={"runbooks_odd": "yes"}))
    hosts = inventory()
    hosts["all"]["children"]["databases"]["hosts"]["analytics"] = {"runbooks_rop": "24h"}
    assert "runbooks_rop" in sentence(play(hosts))
    assert worked_on(play(hosts, limit="main").ok()) == ["main"]


def test_an_input_that_is_nearly_one_of_the_runbook_is_refused(play: Play, tmp_path: Path) -> None:
    """In a file too, as AWX gives them; what is like no input, and what a role or AWX calls so, is nobody's slip."""
    (tmp_path / "given.yml").write_text("accept-shrink: true\n", encoding="utf-8")
    said = sentence(play(arguments=("-e", f"@{tmp_path / 'given.yml'}")))
    assert "accept-shrink is no input of backup: did you mean accept_shrink?" in said
    assert "accept_shrink is yes or no" in sentence(play(extra_vars={"accept_shrink": "treu"}))
    assert "-e adopt gives no value" in sentence(play(arguments=("-e", "adopt")))
    given = {"backup_id": "x", "awx_backup": 1, "release": "y", "backup": "", "accept_shrink": True}
    assert worked_on(play(inventory(backups="all"), extra_vars=given).ok()) == ["analytics", "main"]


@pytest.mark.parametrize(
    ("missing", "value"),
    [
        ("runbooks_environment", ""),
        ("runbooks_store", None),
        ("runbooks_store", "{{ lookup('ansible.builtin.env', 'NOT_SET_ANYWHERE') }}"),
    ],
)
def test_an_environment_without_name_or_store_is_refused(play: Play, missing: str, value: str | None) -> None:
    assert missing in sentence(play(inventory(**{missing: value})))


def test_a_name_that_cannot_stand_in_the_store_is_refused(play: Play) -> None:
    assert "a b" in sentence(play(inventory(runbooks_environment="a b")))
    hosts = inventory()
    hosts["all"]["children"]["databases"]["hosts"] = {"a/b": {}}
    assert "a/b" in sentence(play(hosts))


@pytest.mark.parametrize("name", ["a b", "-a", "a/b", "ä", "a" * 129, ""])
def test_what_a_name_may_be(name: str) -> None:
    """The pattern that both names above have to match."""
    variables = yaml.safe_load((ROLES / "guard" / "vars" / "main.yml").read_text(encoding="utf-8"))
    assert not re.match(variables["_guard_name"], name)
    assert re.match(variables["_guard_name"], "Main_2.eu-1")


def test_two_environments_at_once_are_refused(play: Play) -> None:
    hosts = inventory()
    hosts["all"]["children"]["databases"]["hosts"]["main"] = {"runbooks_environment": "staging"}
    assert "staging" in sentence(play(hosts))


def test_the_run_id_is_one_for_all_hosts_and_names_the_job(play: Play) -> None:
    ids = set(re.findall(r" as (\S+?)\"?\n", play().ok().output))
    assert len(ids) == 1
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", ids.pop())
    assert re.search(r" as \d{8}T\d{6}Z-awx4711\b", play(extra_vars={"awx_job_id": 4711}).ok().output)
    assert re.search(r" as \d{8}T\d{6}Z-awx4711\b", play(extra_vars={"tower_job_id": "4711"}).ok().output)


def test_two_runs_have_two_ids(play: Play) -> None:
    ids = {re.findall(r" as (\S+?)\"?\n", play(limit="main").ok().output)[0] for _run in range(2)}
    assert len(ids) == 2
