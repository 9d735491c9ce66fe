# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a commit is green."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply
from ansible_collections.ops.runbooks.plugins.module_utils._core.redact import Redactor
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import too_many
from ansible_collections.ops.runbooks.plugins.module_utils._github.failures import failed, hidden
from ansible_collections.ops.runbooks.plugins.module_utils._github.model import (
    Check,
    Demand,
    latest,
    of_protection,
    of_rules,
    to_come,
)
from ansible_collections.ops.runbooks.plugins.module_utils._github.plan import judge
from hypothesis import given
from hypothesis import strategies as st


def run(name: str, conclusion: str | None = "success", **more: Any) -> Check:
    status = "completed" if conclusion else more.pop("status", "in_progress")
    app = {"id": more.pop("app", 15368), "slug": more.pop("slug", "github-actions")}
    return Check.of_run({"name": name, "status": status, "conclusion": conclusion, "app": app, "id": 1, **more})


def status(context: str, state: str = "success") -> Check:
    return Check.of_status({"context": context, "state": state})


def demands(*names: str) -> list[Demand]:
    return [Demand(name=name) for name in names]


def test_what_was_demanded_is_green() -> None:
    verdict = judge([run("test"), status("ci"), run("extra", "failure")], demands("test", "ci"), "branch")
    assert (verdict.decision, verdict.required_from) == ("pass", "branch")
    assert (verdict.passed, verdict.others, verdict.reasons) == (("ci", "test"), ("extra",), ())


@pytest.mark.parametrize(
    "word", ["failure", "cancelled", "timed_out", "action_required", "stale", "startup_failure", "new"]
)
def test_conclusions_that_are_no_success(word: str) -> None:
    verdict = judge([run("test", word), run("lint")], [], "all")
    assert (verdict.decision, verdict.failed) == ("fail", ("test",))
    assert verdict.reasons == (f"test (github-actions) did not pass: {word}.",)


@pytest.mark.parametrize("word", ["queued", "in_progress", "waiting", "requested", "pending"])
def test_what_is_not_done(word: str) -> None:
    verdict = judge([run("test", None, status=word), run("lint")], demands("test", "e2e"), "option")
    assert (verdict.decision, verdict.pending, verdict.missing) == ("pending", ("test",), ("e2e",))


def test_statuses() -> None:
    assert judge([status("a", "pending"), status("b", "error")], [], "all").decision == "fail"
    assert judge([status("a", "pending"), status("b")], [], "all").decision == "pending"


def test_silence_is_missing_and_never_a_pass() -> None:
    nothing = judge([], [], "all")
    assert nothing.decision == "missing"
    assert nothing.reasons == ("Nothing was reported for this commit, so that nobody knows whether it is good.",)
    demanded = judge([run("lint")], demands("test"), "branch")
    assert (demanded.decision, demanded.missing) == ("missing", ("test",))
    assert demanded.reasons == ("test is required, and nothing has reported it for this commit.",)


def test_neutral_and_skipped_do_not_stand_in_the_way() -> None:
    assert judge([run("test", "skipped")], demands("test"), "branch").decision == "pass"
    assert judge([run("test"), run("docs", "neutral")], [], "all").decision == "pass"
    # But where nobody says what is needed, something has to have been tried.
    assert judge([run("test", "skipped"), run("docs", "neutral")], [], "all").decision == "missing"


def test_a_demand_may_name_its_app() -> None:
    demanded = [Demand(name="test", app=7)]
    assert judge([run("test", app=8)], demanded, "branch").decision == "missing"
    assert judge([run("test", app=8), run("test", app=7)], demanded, "branch").decision == "pass"
    # Of a status nobody can tell the app.
    assert judge([status("test")], demanded, "branch").decision == "pass"


def test_a_run_and_a_status_of_one_name_both_count() -> None:
    assert judge([run("test"), status("test", "failure")], demands("test"), "branch").decision == "fail"


def test_the_newest_run_of_an_app_counts() -> None:
    found = latest([run("test", id=9), run("test", "failure", id=3), run("test", "failure", app=5, id=1)])
    assert [(each.app, each.word) for each in found] == [(5, "failure"), (15368, "success")]


def test_what_is_ignored_and_the_own_job() -> None:
    own = run("deploy", None, details_url="https://github.com/acme/web/actions/runs/77/job/1")
    waiting = judge([run("test"), own], [], "all", own_run="77")
    assert "name it in ignore" in waiting.reasons[0]
    assert "ignore" not in judge([run("test"), own], [], "all", own_run="7").reasons[0]
    assert judge([run("test"), own], [], "all", ignore=["deploy"], own_run="77").decision == "pass"


def test_only_what_is_ignored_keeps_a_suite_open() -> None:
    """Each suite by itself: one of another workflow of the same app may still have jobs to come."""

    def suite(number: int) -> Check:
        found = Check.of_suite({"id": number, "status": "in_progress", "latest_check_runs_count": 1})
        assert found is not None
        return found

    own = run("deploy", None, check_suite={"id": 1})
    other, done = run("e2e", None, check_suite={"id": 1}), run("test", check_suite={"id": 2})
    assert to_come([suite(1)], [own, done], ["deploy"]) == []
    assert [each.suite for each in to_come([suite(1), suite(2)], [own, done], ["deploy"])] == [2]
    for runs, ignore in (([own], []), ([own, other], ["deploy"]), ([], ["deploy"])):
        assert [each.name for each in to_come([suite(1)], runs, ignore)] == ["further checks"]
    assert Check.of_suite({"id": 3, "status": "completed", "latest_check_runs_count": 1}) is None
    assert Check.of_suite({"id": 3, "status": "queued", "latest_check_runs_count": 0}) is None


words = st.sampled_from(["success", "failure", "skipped", "neutral", None])
checks = st.lists(st.tuples(st.sampled_from("abc"), words, st.sampled_from([1, 2])), max_size=8)


@given(checks, st.lists(st.sampled_from("abcd"), unique=True))
def test_a_pass_needs_every_demand_and_no_failure(found: list[tuple[str, str | None, int]], names: list[str]) -> None:
    runs = latest(run(name, word, app=app, id=number) for number, (name, word, app) in enumerate(found))
    verdict = judge(runs, demands(*names), "branch")
    meant = [each for each in runs if not names or each.name in names]
    if verdict.decision == "pass":
        assert all(each.state == "pass" for each in meant)
        assert {each.name for each in meant} >= set(names)
        assert meant
    assert (verdict.decision == "fail") == any(each.state == "fail" for each in meant)
    assert bool(verdict.reasons) == (verdict.decision != "pass")


def test_what_rulesets_demand() -> None:
    rules: list[dict[str, Any]] = [
        {"type": "deletion"},
        {
            "type": "required_status_checks",
            "parameters": {"required_status_checks": [{"context": "test", "integration_id": 7}, {"context": "lint"}]},
        },
    ]
    assert of_rules(rules) == ([Demand(name="test", app=7), Demand(name="lint")], False)
    assert of_rules([{"type": "workflows", "parameters": {}}]) == ([], True)


def test_what_protection_demands() -> None:
    required = {
        "enforcement_level": "everyone",
        "contexts": ["test", "old"],
        "checks": [{"context": "test", "app_id": -1}],
    }
    branch = {"protection": {"required_status_checks": required}}
    assert of_protection(branch) == [Demand(name="test"), Demand(name="old")]
    assert of_protection({"protection": {"required_status_checks": {**required, "enforcement_level": "off"}}}) == []
    assert of_protection({"name": "main"}) == []


@pytest.mark.parametrize(
    ("reply", "limited"),
    [
        (Reply(status=429), True),
        (Reply(status=403, headers={"retry-after": "60"}), True),
        (Reply(status=403, headers={"x-ratelimit-remaining": "0"}), True),
        (Reply(status=403, headers={"x-ratelimit-remaining": "17"}), False),
        (Reply(status=200, headers={"x-ratelimit-remaining": "0"}), False),
    ],
)
def test_too_many_requests(reply: Reply, limited: bool) -> None:
    assert too_many(reply) is limited


def test_a_repository_that_is_not_shown() -> None:
    plain, classic = Reply(status=404), Reply(status=404, headers={"x-oauth-scopes": "read:org, gist"})
    said = {
        "no account acme": hidden(plain, "acme/web", token=True, owner_known=False),
        "without a token": hidden(plain, "acme/web", token=False, owner_known=True),
        "without the scope repo": hidden(classic, "acme/web", token=True, owner_known=True),
        "the token was not given it": hidden(plain, "acme/web", token=True, owner_known=True),
    }
    for words, failure in said.items():
        assert words in failure.message
        assert failure.code == "repository_missing"


def test_what_is_quoted_is_redacted_before_it_is_cut() -> None:
    """The ``@`` that a password is known by may lie behind the end of the line."""
    body = {"message": f"{'x' * 150} https://app:{'hunter2' * 20}@proxy is in the way"}
    message = failed(Reply(status=500, body=body), "read the commit", "acme/web", Redactor()).message
    assert "xxx" in message
    assert "hunter2" not in message
