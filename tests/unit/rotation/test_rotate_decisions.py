# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role rotate decides: which secrets go on, which apps are built again and when they are not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader

from harness.decisions import Decisions
from harness.paths import ROLES

CLOSED = {
    "rotate_window": {"window": {"decision": "frozen", "judged": "frozen", "reason": "a freeze.", "next_opening": None}}
}


def standing(name: str, what: str = "date", **more: Any) -> dict[str, Any]:
    """One secret as it was looked at."""
    return {
        "secret": name,
        "phase": "idle",
        "reason": "scheduled",
        "waits_for": {"what": what, "reason": "x", "until": None},
        **more,
    }


def advanced(name: str, what: str, *places: tuple[str, bool, str]) -> dict[str, Any]:
    """What a secret came to; each place with its project, whether what runs was built with it, when it was written."""
    listed = [{"project": project, "in_force": force, "written_at": at} for project, force, at in places]
    waits = {"what": what, "reason": "x", "until": None}
    rotation = {"secret": name, "id": "due-1", "phase": "verifying", "waits_for": waits, "destinations": listed}
    return {"changed": True, "rotation": rotation}


def app(project: str = "shop", **facts: Any) -> dict[str, Any]:
    found = {"vercel": {"production": {"id": f"dpl_{project}"}}}
    return {"vercel_project": project, "rotate_vercel": found, "rotate_recorded": {"releases": {"known": []}}, **facts}


def role(standings: list[dict[str, Any]] | None = None, **hosts: Any) -> Decisions:
    variables = {name: hosts.pop(name) for name in list(hosts) if name.startswith(("rotate_", "_secrets_", "guard_"))}
    known = {name: {"inventory_hostname": name, **facts} for name, facts in hosts.items()}
    lead = sorted(known)[0]
    return Decisions(
        "rotate",
        known,
        ansible_play_hosts=list(known),
        ansible_check_mode=False,
        _secrets_all=standings or [],
        _secrets_lead=lead,
        _secrets_named=(named := variables.pop("_secrets_named", [])),
        _secrets_given=variables.pop("_secrets_given", named),
        _secrets_inputs_wrong=False,
        _secrets_refused_here=False,
        secrets_found={},
        **variables,
    )


def test_a_secret_that_waits_for_a_date_is_left_alone() -> None:
    """Unless somebody has asked for something."""
    standings = [standing("a"), standing("b", "run"), standing("c", "use"), standing("d", "person")]
    assert role(standings, web=app())("web", "_rotate_todo") == ["b", "c", "d"]
    assert len(role(standings, web=app(), rotate_reason="requested")("web", "_rotate_todo")) == 4
    assert len(role(standings, web=app(), rotate_take_back=True)("web", "_rotate_todo")) == 4


def test_a_closed_time_is_waited_for_but_for_a_compromise() -> None:
    assert not role(web=app(**CLOSED))("web", "_rotate_open")
    assert role(web=app())("web", "_rotate_open")
    for urgent in ({"rotate_reason": "compromise"}, {"rotate_take_back": True}):
        assert role(web=app(), **urgent)("web", "_rotate_urgent")
    under_way = [standing("a", phase="grace", reason="compromise")]
    assert role(under_way, web=app())("web", "_rotate_urgent")
    over = [standing("a", phase="idle", reason="compromise")]
    assert not role(over, web=app())("web", "_rotate_urgent")
    assert role(under_way, web=app())("web", "rotate_break_glass") == ""


def test_a_compromise_opens_a_closed_time_for_itself_alone() -> None:
    """One that is under way lets no other secret begin in a freeze, and the closing lines say which goes on."""
    glass = {
        "rotate_window": {
            "window": {"decision": "open", "judged": "frozen", "reason": "a freeze.", "next_opening": None}
        }
    }
    standings = [standing("a", "use", phase="verifying", reason="compromise"), standing("b", "run")]
    for freeze in (glass, CLOSED):
        said = role(standings, web=app(**freeze))
        assert said("web", "_rotate_todo") == ["a"]
    assert role(standings, web=app(**glass))("web", "_rotate_lines")[0] == "Waits, but for a: a freeze."
    assert role(standings, web=app(**glass), rotate_reason="requested")("web", "_rotate_todo") == ["a"]
    for asked in ({"rotate_reason": "compromise"}, {"rotate_break_glass": "why"}):
        assert role(standings, web=app(**glass), **asked)("web", "_rotate_todo") == ["a", "b"]
    opened = {
        "rotate_window": {"window": {"decision": "open", "judged": "open", "reason": "Open.", "next_opening": None}}
    }
    assert role(standings, web=app(**opened))("web", "_rotate_todo") == ["a", "b"]


def test_what_was_released_meanwhile_is_no_failure_of_the_value() -> None:
    """The remedy of a rebuild that failed would be wrong: the release has the new value, or the next run builds it."""
    other = {"rotate_unreleased": {"code": "plan_changed", "message": "Could not."}}
    said = role(web=app(**other), _secrets_leads=False)
    assert said("web", "_rotate_red") == "Could not."


def test_a_rotation_knows_with_which_logins_runbooks_work() -> None:
    """As the look at all secrets does."""
    loader = DataLoader()
    (advance,) = loader.load_from_file(str(ROLES / "rotate/tasks/advance.yml"))
    look = loader.load_from_file(str(ROLES / "secrets/tasks/look.yml"))[-1]
    rotation = advance["block"][0]["ops.runbooks.secret_rotation"]
    assert rotation["own_logins"] == look["module_defaults"]["ops.runbooks.secret_rotation_info"]["own_logins"]


def test_where_values_are_kept_is_said_once_for_all() -> None:
    """A secret that says it itself goes first; where nobody says it nothing is given."""
    listed = [{"name": "a"}, {"name": "b", "kept_in": {"type": "key"}}]
    all_of_them = {"runbooks_secrets": listed, "runbooks_secrets_kept_in": {"type": "aws_secret"}}
    said = Decisions("secrets", {"web": all_of_them}, ansible_play_hosts_all=["web"])
    assert said("web", "_secrets_declared") == [{"name": "a", "kept_in": {"type": "aws_secret"}}, listed[1]]
    said = Decisions("secrets", {"web": {"runbooks_secrets": listed}}, ansible_play_hosts_all=["web"])
    assert said("web", "_secrets_declared") == listed


def test_each_app_knows_what_waits_for_it() -> None:
    known = {
        "a": advanced("a", "deployment", ("shop", False, "t1"), ("back", True, "t1")),
        "b": advanced("b", "date", ("shop", False, "t1")),
        "c": {"failed": True, "msg": "Could not.", "rotation": {"secret": "c"}},
        "d": advanced("d", "deployment", ("back", False, "t2")),
    }
    said = role(admin=app("back", rotate_known=known), web=app("shop"))
    assert said("web", "_rotate_waits") == ["a"]
    assert said("admin", "_rotate_waits") == ["d"]
    assert said("admin", "_rotate_code") == "run_refused"


def test_the_closing_lines_say_what_became_of_each_secret() -> None:
    """Not by which steps; what cannot be taken back is one sentence for each, with its name."""
    known = {name: advanced(name, "date") for name in ("a", "b")}
    known["a"]["rotation"]["summary"] = "rotated; the earlier value is good until tomorrow"
    known["a"]["plan"] = {"irreversible": ["the earlier value is gone for good", "users are signed out"]}
    known["b"]["rotation"]["not_begun"] = "the value is younger than 60 min"
    facts = app(rotate_known=known, rotate_steps=["a: begin", "a: make: one", "c: begin"])
    said = role(web=facts, rotate_adopt=False, _secrets_leads=True)
    assert said("web", "_rotate_summary").startswith(
        "a: rotated; the earlier value is good until tomorrow; c: came to "
    )
    assert said("web", "_rotate_irreversible") == ["a: the earlier value is gone for good; and users are signed out."]
    assert said("web", "_rotate_not_begun") == (
        "the rotation of b that was asked for has not begun: the value is younger than 60 min"
    )
    assert said("web", "_rotate_variables") == ""
    refused = role(web=app(record_failure={"code": "rotation_refused"}), rotate_adopt=True)
    assert refused("web", "_rotate_variables") == "RUNBOOKS_CURRENT_VALUE=... "


def test_what_serves_nothing_yet_is_not_built_again() -> None:
    """There is no commit to build: the first release has the values."""
    known = {"a": advanced("a", "deployment", ("shop", False, "t1"))}
    nothing = {"rotate_vercel": {"vercel": {"production": None}}}
    said = role([standing("a", "run")], web=app("shop", rotate_known=known, **nothing))
    assert said("web", "_rotate_waits") == []
    assert said("web", "_rotate_lines")[0].startswith("Nothing serves production of shop yet")


def test_who_is_built_again() -> None:
    """Those that wait; where what serves was never judged, only that one; none while the time is closed."""
    waits: dict[str, Any] = {"rotate_waits": ["a"]}
    assert role(admin=app(), web=app(**waits))("web", "_rotate_apps") == ["web"]
    assert role(admin=app(rotate_undecided="rotate-1"), web=app(**waits))("web", "_rotate_apps") == ["admin"]
    assert role(admin=app(**CLOSED), web=app(**waits))("web", "_rotate_apps") == []
    undecided = app(rotate_undecided="rotate-1", **CLOSED)
    assert role(admin=undecided, web=app())("web", "_rotate_apps") == ["admin"]


def test_an_app_that_was_taken_back_lets_no_secret_go_on() -> None:
    failed = {"rotate_unreleased": {"code": "release_rolled_back", "message": "no."}}
    good: dict[str, Any] = {"rotate_waits": ["a"], "rotate_deployed": ["a"]}
    assert role(admin=app(), web=app(**good))("web", "_rotate_released") == ["a"]
    assert role(admin=app(**failed), web=app(**good))("web", "_rotate_released") == []
    undecided = app(rotate_undecided="rotate-1", rotate_deployed=[])
    assert role([standing("a", "use")], web=undecided)("web", "_rotate_released") == ["a"]
    assert role([standing("a", "use")], web={**undecided, **failed})("web", "_rotate_released") == []


def test_the_same_values_are_the_same_build() -> None:
    """So that a run which died is gone on with, and what has failed is built again only where somebody says why."""

    def build(at: str, **more: Any) -> str:
        known = {"a": advanced("a", "deployment", ("shop", False, at))}
        said = role(web=app(rotate_known=known, rotate_waits=["a"]), guard_run_id="run-7", **more)
        return str(said("web", "_rotate_build"))

    assert build("t1") == build("t1") != build("t2")
    assert build("t1", rotate_break_glass="mended") == f"{build('t1')}-run-7"
    # A compromise is no reason to try again what has failed.
    assert build("t1", rotate_reason="compromise") == build("t1")


def test_what_check_mode_says_of_apps() -> None:
    waits: dict[str, Any] = {"rotate_waits": ["a", "b"]}
    (step,) = role(web=app(**waits))("web", "_rotate_planned")
    assert step.startswith("build dpl_shop again with the new values of a, b")
    (step,) = role(web=app(rotate_undecided="rotate-1", rotate_waits=[]))("web", "_rotate_planned")
    assert step.startswith("hold the gate of dpl_shop")
    assert role(web=app(rotate_waits=[]))("web", "_rotate_planned") == []


def test_check_mode_knows_what_has_failed_its_gate() -> None:
    """Until somebody says why to build it again, or there is another value."""
    known = {"a": advanced("a", "deployment", ("shop", False, "t1"))}
    facts: dict[str, Any] = {"rotate_known": known, "rotate_waits": ["a"]}
    build = role(web=app(**facts))("web", "_rotate_build")
    past = [{"deployment_id": "dpl_x", "release": build, "gate": "fail", "bad": "its gate failed: slow."}]
    facts["rotate_recorded"] = {"releases": {"known": past}}
    assert role(web=app(**facts))("web", "_rotate_rejected") == "its gate failed: slow."
    glass = role(web=app(**facts), rotate_break_glass="mended", guard_run_id="run-7")
    assert glass("web", "_rotate_rejected") == ""
    past[0]["bad"] = ""
    assert role(web=app(**facts))("web", "_rotate_rejected") == ""
    refused = {"rotate_unreleased": {"code": "release_bad", "message": "no."}}
    assert role(web=app(**facts, **refused))("web", "_rotate_planned") == []


def test_the_next_command_can_do_something_else() -> None:
    back = {"rotate_unreleased": {"code": "release_rolled_back", "message": "no."}}
    assert role(web=app(**back))("web", "_rotate_next_runbook") == "secrets"
    known = {"a": advanced("a", "deployment", ("shop", False, "t2"))}
    assert role(web=app(rotate_known=known))("web", "_rotate_next_runbook") == ""
    moved = {"deploy_move": {"changed": True, "failed": False}}
    assert role(web=app(rotate_known=known, **moved))("web", "_rotate_next_runbook") == "rotate"


def test_a_value_that_is_not_on_record_is_adopted() -> None:
    refused = {"failed": True, "msg": "web has a value already. Run once with adopt=true, which takes it."}
    red = {"record_failure": {"code": "rotation_refused"}}
    said = role(web=app(rotate_known={"b": refused}, **red))
    assert said("web", "_rotate_next_runbook").strip() == "rotate"
    assert said("web", "_rotate_next_inputs") == {"secret": "b", "adopt": "true"}
    other = role(web=app(rotate_known={"b": {**refused, "msg": "no."}}, **red))
    assert (other("web", "_rotate_next_runbook").strip(), other("web", "_rotate_next_inputs")) == ("", {})


def test_a_project_that_no_app_has_is_said() -> None:
    known = {"a": advanced("a", "deployment", ("elsewhere", False, "t1"))}
    said = role([standing("a", "run", phase="idle")], web=app(rotate_known=known))("web", "_rotate_lines")
    assert "no app of this run has elsewhere as its vercel_project" in said[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rotate_break_first": True}, "reason=compromise"),
        ({"rotate_take_back": True, "rotate_reason": "requested", "_secrets_named": ["a"]}, "no other request"),
        ({"rotate_take_back": True}, "-e secret="),
        ({"rotate_take_back": True, "_secrets_given": ["all"]}, "-e secret=NAME"),
        ({"rotate_reason": "requested"}, "-e secret=all"),
        ({"rotate_reason": "compromise", "rotate_break_first": True}, "-e secret=all"),
        ({"rotate_adopt": True, "_secrets_named": ["a", "b"]}, "-e secret="),
        ({"rotate_current": True}, "into the environment variable RUNBOOKS_CURRENT_VALUE"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], says: str) -> None:
    asked = role(web=app(), **given)
    assert says in asked("web", "_rotate_problem")
    assert asked("web", "_rotate_inputs_wrong"), "the same command can only fail again"
    for meant in ({}, {"rotate_reason": "compromise", "_secrets_given": ["all"]}):
        asked = role(web=app(), **meant)
        assert asked("web", "_rotate_problem") is None
        assert not asked("web", "_rotate_inputs_wrong")


def test_what_cannot_be_read_as_it_is_declared_is_left_alone_and_red() -> None:
    """Whatever is asked for: a setting that is mistyped would be left out."""
    broken = standing("b", "person", phase="unreadable", problem="Could not use b.", code="invalid_parameter")
    standings = [standing("a", "run", cannot_rotate="Could not rotate a."), broken]
    for asked in ({}, {"rotate_reason": "compromise"}):
        known = role(standings, web=app(rotate_known={"a": advanced("a", "date")}), _secrets_leads=True, **asked)
        assert known("web", "_rotate_todo") == ["a"]
        assert known("web", "_rotate_red") == "Could not use b."
        assert known("web", "_rotate_code") == "invalid_parameter"
        assert known("web", "_rotate_settings_wrong")
        lines = [" ".join(each.split()) for each in known("web", "_rotate_lines")]
        assert lines[1:] == ["Could not rotate a.", "b unreadable could not go on, see below"]
    assert not role(standings[:1], web=app())("web", "_rotate_settings_wrong")


def test_the_locks_of_a_rebuild_are_held_by_one_name() -> None:
    """With a reason to go past its gate or without: the next run follows one that is gone at once."""
    found = {"a": advanced("a", "deployment", ("shop", False, "10:00"))}
    names, builds = set(), set()
    for facts in (
        {},
        {"rotate_break_glass": "repaired", "guard_run_id": "run-1"},
        {"rotate_break_glass": "x", "guard_run_id": "run-2"},
    ):
        known = role(web=app(rotate_known=found, rotate_waits=["a"]), **facts)
        names.add(known("web", "_rotate_holder"))
        builds.add(known("web", "_rotate_build"))
    (name,) = names
    assert name in builds
    assert len(builds) == 3
    undecided = max(builds, key=len)
    assert role(web=app(rotate_known=found, rotate_undecided=undecided))("web", "_rotate_holder") == name


def test_what_was_ended_first_is_no_way_back() -> None:
    found = {each: advanced(each, "deployment", ("shop", False, "10:00")) for each in ("a", "b")}
    assert role(web=app(rotate_known=found, rotate_waits=["a", "b"]))("web", "_rotate_withdrawn") == []
    found["b"]["rotation"]["withdrawn"] = True
    failed = {"code": "smoke_failed", "message": "Could not."}
    known = role(web=app(rotate_known=found, rotate_waits=["a", "b"], rotate_unreleased=failed), _secrets_leads=False)
    assert known("web", "_rotate_withdrawn") == ["b"]
    assert "The earlier value of b was ended at once, so that what was built before fails." in known(
        "web", "_rotate_red"
    )
    found["b"]["rotation"] |= {"withdrawn": False, "phase": "idle"}
    known = role(web=app(rotate_known=found, rotate_waits=["a", "b"], rotate_unreleased=failed), _secrets_leads=False)
    assert "What serves may hold what somebody else has made of b" in known("web", "_rotate_red")


def test_a_place_that_somebody_has_removed_is_told_of() -> None:
    """Apart from one that was changed: what is built meanwhile lacks it."""
    places = [
        {
            "name": name,
            "type": "vercel_env",
            "as_written": name == "fine",
            "missing": name == "gone",
            "project": "shop",
            "variable": name.upper(),
            "unread": name == "changed",
            "stale_deployments": [{"url": "one.example.com"}] if name == "changed" else None,
        }
        for name in ("fine", "gone", "changed")
    ]
    told = {
        "value": {"age_seconds": 0},
        "due_at": "x",
        "overdue": False,
        "proof": "",
        "problem": "",
        "destinations": places,
    }
    known = Decisions("secrets", {"web": {}}, _secrets_all=[standing("a", "run", **told)])
    lines = [each.strip() for each in known("web", "_secrets_lines")]
    assert lines[2:] == [
        "gone is missing, somebody has removed it: the next run of rotate writes it again",
        "changed is not as it was written: the next run of rotate writes it again",
        "changed is not known to hold the value: it could not be read when that was adopted, and the next "
        "rotation writes it",
        "1 deployment of shop still holds an earlier value of a (CHANGED), such as one.example.com",
    ]
    known = Decisions("secrets", {"web": {}}, _secrets_all=[standing("a", "run", **{**told, "destinations": []})])
    assert known("web", "_secrets_lines")[1].strip() == "goes nowhere: nobody ever sees it"
