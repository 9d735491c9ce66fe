# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What roles say in the six lines: what was done or found, and a next command that can do something else."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.decisions import Decisions

RUN = "20261121T094456Z-ce105000"
SHOP = "ansible-playbook ops.runbooks.restore -i hosts.yml --limit shop"


def record(**given: Any) -> str:
    """The command that the role record makes of what a runbook gives it; '' leaves it to the state of the host."""
    settings = {
        "ansible_inventory_sources": ["hosts.yml"],
        "ansible_check_mode": False,
        "record_runbook": "restore",
        **given,
    }
    return str(Decisions("record", {"shop": {}}, **settings)("shop", "_record_next") or "").strip()


def test_the_same_command_again_can_be_pasted() -> None:
    inputs = {"backup": "latest", "target_database": "it's odd; rm", "at": ""}
    settings = {"ansible_inventory_sources": ["my hosts.yml"], "record_runbook": "restore", "record_inputs": inputs}
    said = Decisions("record", {"shop": {}}, **settings, ansible_check_mode=True)("shop", "_record_again")
    given = ["-e", "backup=latest", "-e", json.dumps({"target_database": "it's odd; rm"})]
    assert shlex.split(said)[2:] == ["-i", "my hosts.yml", "--limit", "shop", *given, "--check"]


def test_what_only_a_person_can_correct_is_not_repeated() -> None:
    red = {"record_failure": {"code": "run_refused"}}
    assert record(record_inputs_wrong=True, **red) == "the same command again, with its inputs corrected"
    assert record(record_settings_wrong=True, **red) == "the same command again, with the inventory corrected"
    assert record(record_inputs_wrong=True, record_settings_wrong=True) == "", "it was green"


@pytest.mark.parametrize(
    ("name", "value", "mistimed"),
    [
        ("runbooks_rpo", "26hours", True),
        ("runbooks_rpo", "", True),
        ("runbooks_rpo", "1d 12h", True),
        ("runbooks_rpo", "1D12h", False),
        ("runbooks_lock_lease", 120, False),
        ("runbooks_retention_keep_within", "month", True),
        ("runbooks_retention_suspect_within", "4w", False),
        ("runbooks_drill_max_age", "", False),
        ("runbooks_drill_max_age", "a month", True),
    ],
)
def test_a_duration_that_is_none_is_refused_before_anything_is_done(name: str, value: object, mistimed: bool) -> None:
    said = Decisions("runbooks", {"shop": {name: value}}, guard_run_id=RUN, _runbooks_empty="")
    problem = str(said("shop", "_runbooks_problem") or "").strip()
    assert problem.startswith(f"Could not read the duration {name} (shop)") is mistimed, problem
    red = record(record_failure={"code": "run_refused"}, _runbooks_mistimed=said("shop", "_runbooks_mistimed"))
    assert red == ("the same command again, with the inventory corrected" if mistimed else "")


@pytest.mark.parametrize(
    ("declared", "named", "inputs", "inventory"),
    [
        (["a"], "a", False, False),
        (["a"], "", False, False),
        (["a", "b"], "all", False, False),
        (["a"], "auth-secret", True, False),
        ([], "a", False, True),
        (["all"], "all", False, True),
    ],
)
def test_who_has_to_correct_which_secrets_are_meant(
    declared: list[str], named: str, inputs: bool, inventory: bool
) -> None:
    host = {"runbooks_secrets": [{"name": each} for each in declared]}
    said = Decisions("secrets", {"web": host}, secrets_names=named, secrets_looked={"failed": inputs or inventory})
    assert said("web", "_secrets_inputs_wrong") is inputs
    assert said("web", "_secrets_settings_wrong") is inventory
    assert (said("web", "_secrets_problem") is not None) is (inputs or inventory)
    if named == "all" and not inventory:
        assert [each["name"] for each in said("web", "_secrets_selected")] == declared


def test_secrets_are_told_apart_where_one_cannot_be_read() -> None:
    found = {"secret": "a", "phase": "idle", "problem": "", "value": None, "due_at": None, "waits_for": {"what": "run"}}
    good = {"all": [{**found, "cannot_rotate": ""}], "due": ["a"], "under_way": [], "unreachable": []}
    bad = {"secrets_item": "b", "msg": "Could not use it.", "failure": {"code": "invalid_parameter"}}
    apart = {"results": [{"secrets_item": "a", "secrets": good}, bad]}
    together = Decisions("secrets", {"web": {"secrets_apart": apart}})("web", "_secrets_together")
    assert [each["secret"] for each in together["secrets"]["all"]] == ["a", "b"]
    assert together["secrets"]["due"] == ["a"]
    fixed = {"secrets": {"all": [{**found, "cannot_rotate": "Could not rotate a."}]}}
    for known, says, code in (
        (together, "b: Could not use it.", "invalid_parameter"),
        (fixed, "Could not rotate a.", "rotation_refused"),
    ):
        said = Decisions("secrets", {"web": {"secrets_found": known}}, runbooks_environment="test")
        assert said("web", "_secrets_trouble").strip() == says
        assert (said("web", "_secrets_code"), said("web", "_secrets_settings_wrong")) == (code, True)


def test_a_database_without_migrations_lacks_them_in_the_inventory() -> None:
    for found, lacking in (({}, True), ({"migrations_directory": "sql"}, False)):
        said = Decisions(
            "migrate", {"shop": {}}, migrate_release="", migrate_undo=False, migrate_resolve_as="", **found
        )
        assert said("shop", "_migrate_settings_wrong") is lacking


def restore(**inputs: Any) -> dict[str, Any]:
    """What the role restore hands to the role record, as its playbook does."""
    given = {"restore_tables": [], **inputs}
    failure = {"record_failure": {"code": given.pop("code")}} if "code" in given else {}
    passed = {name.removeprefix("restore_"): value for name, value in given.items() if isinstance(value, str)}
    facts = {"guard_run_id": RUN, "record_inputs": {"at": "", **passed}, **failure, **given}
    said = Decisions("restore", {"shop": {}}, **facts)
    return {
        **failure,
        "record_next_inputs": said("shop", "_restore_next"),
        "record_next_runbook": said("shop", "_restore_next_runbook") or "",
        "record_inputs_wrong": said("shop", "_restore_inputs_wrong"),
        "found": said("shop", "_restore_found") or "",
    }


def listed(*candidates: dict[str, Any], damage: str | None = None) -> dict[str, Any]:
    latest = {"id": candidates[0]["id"], "damage": damage} if candidates else None
    return {"backups": {"candidates": list(candidates), "latest": latest, "store": "s3://acme"}}


def backup(name: str, *rows: int | None, state: str = "complete", lacks: bool = False) -> dict[str, Any]:
    tables = [{"table": f"t{n}", "in_backup": not lacks, "rows": each} for n, each in enumerate(rows)]
    return {"id": name, "state": state, "tables": tables}


def test_after_a_list_the_newest_is_restored() -> None:
    said = restore(restore_candidates=listed(backup("b2"), backup("b1")))
    assert record(**said) == f"{SHOP} -e backup=b2 -e target_database=shop_restored"
    assert said["found"] == "listed 2 backups"
    other = restore(restore_candidates=listed(backup("b2")), restore_source_environment="production")
    assert record(**other).endswith(" -e source_environment=production")
    assert record(**restore(restore_candidates=listed(backup("b2"), damage="an object is gone"))) == ""
    nothing = restore(restore_candidates=listed())
    assert record(**nothing) == ""
    assert nothing["found"] == "found no backup"


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([backup("b3", 12), backup("b2", 11), backup("b1", 10)], "b3"),  # it grows
        ([backup("b3", 3), backup("b2", 11), backup("b1", 11)], "b2"),  # rows were deleted since
        ([backup("b3", None, lacks=True), backup("b2", 11)], "b2"),  # it was dropped since
        ([backup("b3", None), backup("b2", None)], "b3"),  # nobody has counted
        ([backup("b3", 99, state="suspect"), backup("b2", 11)], "b2"),
        ([backup("b3", 1, 9), backup("b2", 5, 4)], "b3"),
        ([backup("b3", None, lacks=True)], None),
        ([], None),
    ],
)
def test_after_a_list_of_tables_these_are_restored(candidates: list[dict[str, Any]], chosen: str | None) -> None:
    said = restore(restore_candidates=listed(*candidates), restore_tables=["public.orders"])
    if chosen is None:
        assert record(**said) == "", "there is nothing to restore them from"
        assert said["found"].endswith(", and no good one has all of public.orders" if candidates else "no backup")
        return
    assert record(**said) == (
        f"{SHOP} -e restore_strategy=tables -e restore_tables=public.orders -e backup={chosen} "
        f"-e target_database=shop_tables -e restore_id={RUN}"
    )


def test_what_a_refusal_found_missing_is_added() -> None:
    target = restore(restore_backup="b1", code="run_refused")
    assert record(**target) == f"{SHOP} -e backup=b1 -e target_database=shop_restored"
    swap = restore(restore_backup="b1", restore_strategy="swap", code="run_refused")
    assert f"-e restore_id={RUN}" in record(**swap)
    tables = restore(restore_backup="b1", restore_strategy="tables", restore_tables=["a"], code="run_refused")
    assert {"target_database=shop_tables", f"restore_id={RUN}"} < set(shlex.split(record(**tables)))


@pytest.mark.parametrize(
    "inputs",
    [
        {"restore_target_database": "x"},
        {"restore_undo": True, "restore_strategy": "swap"},
        {"restore_backup": "b1", "restore_path": "x.dump"},
    ],
)
def test_what_nobody_else_can_know_is_left_to_the_reader(inputs: dict[str, Any]) -> None:
    said = record(**restore(**inputs, code="run_refused"))
    assert said == "the same command again, with its inputs corrected"


@pytest.mark.parametrize("code", ["backup_not_found", "table_missing"])
def test_after_an_unknown_backup_the_list_is_next(code: str) -> None:
    asked: dict[str, Any] = {"restore_backup": "b9", "restore_target_database": "x", "restore_result": {"failed": True}}
    assert record(**restore(**asked, code=code)) == SHOP
    tables = restore(**asked, restore_tables="public.orders", restore_source_environment="production", code=code)
    assert record(**tables) == f"{SHOP} -e source_environment=production -e restore_tables=public.orders"
    assert record(**restore(**asked, code="server_unreachable")) == "", "the same command again may help"


def rollback(candidates: list[dict[str, Any]], **inputs: Any) -> dict[str, Any]:
    seen = {"vercel": {"candidates": candidates, "production": {"id": "dpl_C"}}}
    said = Decisions("rollback", {"shop": {}}, **{"rollback_to": "", "rollback_seen": seen, **inputs})
    return {
        "record_runbook": "rollback",
        "record_next_inputs": said("shop", "_rollback_next"),
        "record_next_runbook": said("shop", "_rollback_next_runbook") or "",
        "found": said("shop", "_rollback_found") or "",
    }


def test_after_the_candidates_of_a_rollback() -> None:
    said = rollback([{"id": "dpl_B"}, {"id": "dpl_A"}])
    assert record(**said).endswith(
        "ops.runbooks.rollback -i hosts.yml --limit shop -e to=dpl_B -e reason=chosen-from-the-list"
    )
    assert said["found"] == "listed 2 deployments that could serve again"
    nothing = rollback([])
    assert record(**nothing) == "", "no target, no proposal"
    assert nothing["found"] == "found no deployment that could serve again"


def test_an_app_that_does_not_work_may_be_rolled_back() -> None:
    before = {"vercel": {"production": {"id": "dpl_C"}}}
    failed = {"record_failure": {"code": "verify_failed"}}
    for facts, proposed in (
        ({**failed, "verify_before": before}, "rollback"),
        (failed, ""),
        ({"record_failure": {"code": "verify_inconclusive"}, "verify_before": before}, ""),
        ({"verify_before": before}, ""),
    ):
        assert (Decisions("verify", {"shop": {}}, **facts)("shop", "_verify_next_runbook") or "").strip() == proposed


def test_what_a_preflight_has_found() -> None:
    def said(*findings: dict[str, Any]) -> str:
        return str(Decisions("preflight", {"shop": {}}, preflight_findings=list(findings))("shop", "_preflight_found"))

    ready, warned = {"ready": True}, {"ready": True, "warning": True}
    assert said(ready, {"ready": True, "warning": False}).strip() == "every runbook is ready"
    assert said(ready, warned).strip() == "every runbook is ready, with 1 warning above"
    assert said(warned, warned).strip() == "every runbook is ready, with 2 warnings above"


def backed_up(run_id: str, rows: int | None) -> dict[str, Any]:
    """The result of postgres_backup, as far as the role looks at it."""
    made = {
        "id": "daily-1",
        "rows": rows,
        "holds": "2 tables, 1 materialized view",
        "size": "9.1 KiB",
        "run_id": run_id,
    }
    return {"backup_result": {"changed": True, "backup": made}, "guard_run_id": RUN}


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (backed_up(RUN, 7), "made backup daily-1: 7 rows, 2 tables, 1 materialized view, 9.1 KiB"),
        (backed_up(RUN, None), "made backup daily-1: 2 tables, 1 materialized view, 9.1 KiB"),
        (backed_up("another", 7), ""),  # it was there, and is held now: the plan says so
        ({}, ""),
    ],
)
def test_what_a_backup_has_done(result: dict[str, Any], said: str) -> None:
    assert (Decisions("backup", {"shop": result})("shop", "_backup_summary") or "").strip() == said


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of the collection, as far as the role init looks at it."""
    role = tmp_path / "checkout" / "roles" / "init"
    role.mkdir(parents=True)
    (tmp_path / "checkout" / "galaxy.yml").touch()
    return role


def init(role: Path, directory: str, **facts: Any) -> tuple[str, str]:
    """Why it refuses, and the next command."""
    known = {
        "role_path": str(role),
        "init_dir": directory,
        "ansible_run_tags": ["all"],
        "ansible_skip_tags": [],
        "_init_mistaken": [],
    }
    said = Decisions("init", {"localhost": {}}, **{**known, "ansible_check_mode": False, **facts})
    problem = str(said("localhost", "_init_problem") or "").strip()
    failed = {"init_failure": problem} if problem else {"init_written": {"results": []}, "_init_kept": []}
    said = Decisions("init", {"localhost": {}}, **{**known, "ansible_check_mode": False, **failed, **facts})
    return problem, said("localhost", "_init_lines")[-1]


def test_a_checkout_is_no_place_for_a_repository(checkout: Path, tmp_path: Path) -> None:
    problem, following = init(checkout, str(tmp_path / "checkout" / "ops"))
    assert "it would lie in a checkout of the collection" in problem
    assert following == f"Next: ansible-playbook ops.runbooks.init -e dir={tmp_path}/ops"


def test_from_a_checkout_the_collection_is_installed_first(checkout: Path, tmp_path: Path) -> None:
    """The ``ansible.cfg`` of the checkout, by which the collection was found, is not read in the new directory."""
    ops, ready = tmp_path / "ops", "ansible-playbook ops.runbooks.preflight -i inventories/production"
    assert init(checkout, str(ops)) == (
        "",
        f"Next: cd {ops} && ansible-galaxy collection install {tmp_path}/checkout && {ready}",
    )
    (tmp_path / "checkout" / "galaxy.yml").unlink()
    assert init(checkout, str(ops)) == ("", f"Next: cd {ops} && {ready}")
    assert init(checkout, "")[1] == "Next: ansible-playbook ops.runbooks.init -e dir=ops"


def test_a_value_that_is_not_on_record_is_adopted() -> None:
    reason = (
        "Could not make the first value (secret a): web has a value already. Run once with adopt=true, which takes it."
    )
    waits = {
        "secret": "a",
        "problem": "",
        "value": None,
        "due_at": None,
        "waits_for": {"what": "person", "reason": reason},
    }
    found = {"secrets": {"all": [{**waits, "cannot_rotate": "", "overdue": False}], "due": []}}
    failed = {"record_failure": {"code": "rotation_refused"}, "secrets_names": ""}
    said = Decisions("secrets", {"web": {"secrets_found": found}}, **failed)
    assert (said("web", "_secrets_next_runbook") or "").strip() == "rotate"
    assert said("web", "_secrets_next_inputs") == {"secret": "a", "adopt": "true"}


@pytest.mark.parametrize("code", ["release_missing", "deployment_missing"])
def test_where_there_is_no_such_target_those_that_are_there_are_listed(code: str) -> None:
    said = rollback([], rollback_to="last_known_good", rollback_reason="x", record_failure={"code": code})
    assert (said["record_next_runbook"], said["record_next_inputs"]) == ("rollback", {})


@pytest.mark.parametrize(
    ("due", "failure", "proposed"),
    [
        (["a"], {}, "rotate"),
        ([], {"record_failure": {"code": "rotation_overdue"}}, "rotate"),
        (["a"], {"record_failure": {"code": "destination_unusable"}}, ""),
        ([], {}, ""),
    ],
)
def test_secrets_that_are_due_are_rotated(due: list[str], failure: dict[str, Any], proposed: str) -> None:
    found = {"secrets": {"all": [{}, {}], "due": due}}
    said = Decisions("secrets", {"web": {"secrets_found": found}}, **failure)
    assert (said("web", "_secrets_next_runbook") or "").strip() == proposed


@pytest.mark.parametrize(
    ("drill", "says"),
    [
        (None, "none was ever proven by a drill, and runbooks_drill_max_age"),
        (
            {"age_seconds": 4 * 86400, "like_newest": True},
            "the last drill proved one 4.0 d ago, and runbooks_drill_max_age",
        ),
        (
            {"age_seconds": 4 * 86400, "like_newest": False},
            "the last drill proved one 4.0 d ago, which is not encrypted to all recipients of the newest one",
        ),
    ],
)
def test_status_says_why_a_drill_is_due(drill: dict[str, Any] | None, says: str) -> None:
    """A young one of a backup in the clear is no proof that somebody can read what is encrypted now."""
    status = {"past_rpo": False, "newest_backup": {"id": "b"}, "past_drill_age": True, "newest_drill": drill}
    known = {"status_result": {"status": status}, "runbooks_drill_max_age": "35d"}
    decided = Decisions("status", {"main": {}}, **known)
    said = " ".join(decided("main", "_status_problem").split())
    assert says in said
    assert "ops.runbooks.drill" in said
    assert decided("main", "_status_refusal") == "drill_overdue"
