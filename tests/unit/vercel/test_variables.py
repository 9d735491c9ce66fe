# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done about environment variables: places, shared records, and values that nobody can read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.fingerprint import FingerprintKey
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._core.spec import HIDDEN, ArgumentSpec
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.failures import failed
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.fingerprint import mark_of, marked, text_of
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.info import Known
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.model import Deployment, Project, Variable
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.options import ENV_SPEC
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.settings import Setting, read_settings, words
from ansible_collections.ops.runbooks.plugins.module_utils._vercel.variables_plan import (
    EnvPlan,
    Rules,
    SeenVariables,
    plan_variables,
)

from harness.stores import failing

NOW = 1_790_000_000
KEY = FingerprintKey.read("0123456789abcdef", frozenset())
PROJECT = Project(
    id="prj_1",
    name="web",
    production=Deployment(id="dpl_now", created_at=NOW * 1000),
    environments={"staging": "env_1"},
)


def setting(key: str = "A", value: str = "new", **changes: Any) -> Setting:
    return Setting(**{"key": key, "value": value, "kind": "encrypted", **changes})


def record(key: str = "A", value: str | None = "old", **changes: Any) -> Variable:
    known = {"key": key, "kind": "encrypted", "targets": ("production",), "branch": None, "id": f"id-{key}"}
    return Variable(**{**known, "updated_at": (NOW - 1000) * 1000, "value": value, **changes})


def planned(settings: list[Setting], records: list[Variable], rules: Rules | None = None, hidden: int = 0) -> EnvPlan:
    seen = SeenVariables(project=PROJECT, records=tuple(records), hidden=hidden, now=NOW)
    return plan_variables(settings, seen, rules or Rules())


def kinds(plan: EnvPlan) -> list[tuple[str, str, dict[str, Any]]]:
    return [(each.kind, each.key, dict(each.body)) for each in plan.actions]


def targets(*names: str) -> dict[str, list[str]]:
    return {"target": list(names), "customEnvironmentIds": []}


# --- Places ----------------------------------------------------------------------------------------------


def test_what_is_new_is_different_and_is_the_same() -> None:
    plan = planned([setting("N"), setting("D"), setting("S", "same")], [record("D"), record("S", "same")])
    new = {"key": "N", "value": "new", "type": "encrypted", "target": ["production"]}
    assert kinds(plan) == [("edit", "D", {"value": "new"}), ("create", "N", new)]
    names = {name: plan.result[name] for name in ("created", "updated", "deleted", "unchanged")}
    assert names == {"created": ["N"], "updated": ["D"], "deleted": [], "unchanged": ["S"]}
    assert plan.result["redeploy_required"]
    assert "new" not in str(plan.steps) + str(plan.before) + repr(plan.actions)
    assert not planned([setting("S", "same")], [record("S", "same")]).changed


def test_a_shared_record_is_taken_apart() -> None:
    """The other targets keep what they have; the custom environment too."""
    shared = record(targets=("production", "preview", "env_1"))
    plan = planned([setting()], [shared])
    assert kinds(plan) == [
        ("narrow", "A", {"target": ["preview"], "customEnvironmentIds": ["env_1"]}),
        ("create", "A", {"key": "A", "value": "new", "type": "encrypted", "target": ["production"]}),
    ]
    assert plan.steps[0] == "take A for production out of the record for preview, staging"
    assert plan.after == {"1. A": "encrypted for preview, staging", "2. A": "encrypted for production, a new value"}
    whole = planned([setting(places=("production", "preview", "env_1"))], [shared])
    assert kinds(whole) == [("edit", "A", {"value": "new"})]


def test_two_values_for_one_record() -> None:
    """It becomes the first one's own in one request, so that this one is never without."""
    shared = record(targets=("production", "preview"))
    plan = planned([setting(), setting(value="other", places=("preview",))], [shared])
    assert kinds(plan) == [
        ("edit", "A", {"value": "new", **targets("production")}),
        ("create", "A", {"key": "A", "value": "other", "type": "encrypted", "target": ["preview"]}),
    ]


def test_what_is_to_go() -> None:
    gone = setting(present=False)
    assert kinds(planned([gone], [record()])) == [("delete", "A", {})]
    assert kinds(planned([gone], [record(targets=("production", "preview"))])) == [("narrow", "A", targets("preview"))]
    assert not planned([gone], [record(targets=("preview",))]).changed
    assert planned([gone], [record()]).irreversible == ("the value of A is gone",)


def test_a_branch_is_another_place() -> None:
    of_branch = setting(places=("preview",), branch="topic")
    plan = planned([of_branch], [record(targets=("preview",))])
    assert kinds(plan)[0][2]["gitBranch"] == "topic"
    assert not planned([of_branch], [record(value="new", targets=("preview",), branch="topic")]).changed


def test_exclusive() -> None:
    """Only what is listed stays, and only where something is listed."""
    others = [
        record("B"),
        record("C", targets=("production", "preview")),
        record("D", targets=("development",)),
        record("E", owner="icfg_1"),
        record("F", targets=("preview",), branch="topic"),
    ]
    plan = planned([setting()], [record(value="new"), *others], Rules(exclusive=True))
    assert kinds(plan) == [("narrow", "C", targets("preview")), ("delete", "B", {})]
    with failing("variables_hidden"):
        planned([setting()], others, Rules(exclusive=True), hidden=1)


def test_what_belongs_to_an_integration_is_refused() -> None:
    for owned in (record(owner="icfg_1"), record(kind="system")):
        with failing("variable_owned"):
            planned([setting()], [owned])


def test_comments_and_types() -> None:
    assert kinds(planned([setting(value="old", comment="why")], [record()])) == [
        ("edit", "A", {"value": "old", "comment": "why"})
    ]
    assert not planned([setting(value="old")], [record(comment="theirs")]).changed
    plan = planned([setting(value="old", kind="sensitive")], [record()])
    assert kinds(plan) == [("edit", "A", {"value": "old", "type": "sensitive"})]
    assert plan.irreversible == ("A becomes sensitive for good",)
    assert not planned([setting(value="old")], [record(kind="secret")]).changed, "an older name of encrypted"


def test_required_and_redeploy() -> None:
    rules = Rules(required=("A", "B", "C", "D"))
    records = [record("A", "new"), record("B", targets=("preview",)), record("D")]
    plan = planned([setting(), setting("C"), setting("D", present=False)], records, rules)
    assert plan.result["missing"] == ["B", "D"]
    built_before = replace(record("A", "new"), updated_at=(NOW + 5) * 1000)
    assert planned([setting()], [built_before]).result["redeploy_required"]
    assert not planned([setting()], [record("A", "new")]).result["redeploy_required"]
    assert not planned([setting(places=("preview",))], []).result["redeploy_required"]
    known = Known(project=PROJECT, variables=(record("A"),), required=("A", "B"))
    assert known.missing == ["B"]
    assert replace(known, required_target="staging").missing == ["A", "B"]


# --- Values that nobody can read -------------------------------------------------------------------------


def sensitive(comment: str = "", **changes: Any) -> Variable:
    return record(**{"value": None, "kind": "sensitive", "comment": comment, **changes})


def mark(value: str, at: int = NOW - 1000) -> str:
    return marked("why", KEY.digest("prj_1", "A", None, value), at)


def test_a_mark_tells_the_value() -> None:
    wanted, rules = setting(kind="sensitive"), Rules(key=KEY)
    created = planned([wanted], [], rules).actions[0].body["comment"]
    found = mark_of(created)
    assert found is not None
    assert (found.digest, found.at) == (KEY.digest("prj_1", "A", None, "new"), NOW)
    assert not planned([wanted], [sensitive(mark("new"))], rules).changed
    changed = planned([wanted], [sensitive(mark("old"))], rules)
    assert "value" in changed.steps[0]
    assert text_of(changed.actions[0].body["comment"]) == "why"
    by_hand = planned([wanted], [sensitive(mark("new"), updated_at=NOW * 1000)], rules)
    assert "somebody else" in by_hand.steps[0]


def test_a_record_that_is_narrowed_keeps_its_mark() -> None:
    shared = sensitive(mark("old"), targets=("production", "preview"))
    narrowed = planned([setting(kind="sensitive")], [shared], Rules(key=KEY)).actions[0].body
    after = sensitive(narrowed["comment"], targets=("preview",), updated_at=NOW * 1000)
    wanted = setting(value="old", kind="sensitive", places=("preview",))
    assert not planned([wanted], [after], Rules(key=KEY)).changed


@pytest.mark.parametrize("comment", ["", "why rb1:zz", "rb1:0123456789abcdef"])
def test_without_a_mark_or_a_key_nobody_can_tell(comment: str) -> None:
    wanted = setting(kind="sensitive")
    for rules, there in ((Rules(key=KEY), sensitive(comment)), (Rules(), sensitive(mark("new")))):
        skipped = planned([wanted], [there], rules)
        assert (skipped.changed, skipped.result["unknown"], len(skipped.warnings)) == (False, ["A"], 1)
        assert planned([wanted], [there], replace(rules, unknown="update")).changed
        with failing("variable_unknown"):
            planned([wanted], [there], replace(rules, unknown="fail"))


def test_what_is_sensitive_stays_so() -> None:
    plan = planned([setting()], [sensitive(mark("new"))], Rules(key=KEY))
    assert (plan.changed, "stays so" in plan.warnings[0]) == (False, True)
    shared = sensitive(mark("old"), targets=("production", "preview"))
    taken = planned([setting(places=("production", "development"))], [shared], Rules(key=KEY))
    made = [(each.body["type"], each.body["target"]) for each in taken.actions if each.kind == "create"]
    assert made == [("sensitive", ["production"]), ("encrypted", ["development"])]


def test_keys_that_protect_nothing() -> None:
    for key, values in (("kurz", frozenset[str]()), ("0123456789abcdef", frozenset({"0123456789abcdef"}))):
        with failing("invalid_parameter") as failure:
            FingerprintKey.read(key, values)
        assert key not in failure().message
    assert KEY.digest("p", "A", None, "bc") != KEY.digest("p", "Ab", None, "c")
    assert "0123456789abcdef" not in repr(KEY)


# --- Options ---------------------------------------------------------------------------------------------


def given(**changes: Any) -> dict[str, Any]:
    known = {"name": "A", "value": "v", "type": "encrypted", "targets": ["production"], "git_branch": None}
    return {**known, "comment": None, "state": "present", **changes}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"name": "A-B"}, "A-B"),
        ({"targets": ["prod"]}, "staging"),
        ({"targets": []}, "no target"),
        ({"git_branch": "topic"}, "preview"),
        ({"type": "sensitive", "targets": ["development"]}, "development"),
        ({"name": "NEXT_PUBLIC_KEY", "type": "sensitive"}, "browser"),
        ({"comment": "x rb1:0123456789abcdef:00000000"}, "comment"),
        ({"value": None}, "no value"),
        ({"value": ["kanarienvogel"]}, "not a text"),
    ],
)
def test_entries_that_are_refused(changes: dict[str, Any], word: str) -> None:
    with failing("invalid_parameter") as failure:
        read_settings([given(**changes)], PROJECT)
    assert word in failure().message
    assert "kanarienvogel" not in failure().message


def test_entries() -> None:
    found = read_settings([given(targets=["production", "staging"], value=True), given(targets=["preview"])], PROJECT)
    assert [(each.value, each.places) for each in found] == [("true", ("production", "env_1")), ("v", ("preview",))]
    with failing("invalid_parameter"):
        read_settings([given(), given(targets=["preview", "production"])], PROJECT)
    assert "kanarienvogel" not in repr(setting(value="kanarienvogel"))


def test_values_that_are_no_secrets_are_not_looked_for() -> None:
    entries = [
        given(name="NODE_ENV", value="production"),
        given(name="DEBUG", value="1"),
        given(name="PORT", value="443000"),
        given(name="PIN", value="443001", type="sensitive"),
        given(name="PAGE_SIZE", value="fifty", type="plain"),
        given(name="API_KEY", value="kanarienvogel"),
    ]
    assert words(entries) == {"production", "1", "443000", "fifty"}
    assert words("nonsense") == frozenset()


def test_what_people_are_shown_of_secret_options() -> None:
    params = {"token": "kanarienvogel", "variables": [given(value="kanarienvogel"), "kanarienvogel"], "timeout": "5m"}
    shown = ENV_SPEC.hidden(params)
    assert "kanarienvogel" not in str(shown)
    assert (shown["token"], shown["variables"][0]["value"], shown["variables"][0]["name"]) == (HIDDEN, HIDDEN, "A")
    inner = ArgumentSpec(options={"a": {"type": "dict", "options": {"b": {"no_log": True}}}})
    assert inner.hidden({"a": {"b": "kanarienvogel"}}) == {"a": {"b": HIDDEN}}


def test_a_challenge_that_no_machine_can_answer() -> None:
    reply = Reply(status=401, headers={"www-authenticate": 'Bearer acr_values="urn:vercel:2fa"'})
    assert "no machine" in failed(reply, "read", "project web", Redactor()).message
