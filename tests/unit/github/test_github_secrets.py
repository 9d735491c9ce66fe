# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is decided about secrets at GitHub, and which are not taken."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.fingerprint import FingerprintKey
from ansible_collections.ops.runbooks.plugins.module_utils._core.http import Reply, wait_of
from ansible_collections.ops.runbooks.plugins.module_utils._github.client import too_many
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_api import PublicKey
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_marks import name_of
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_model import (
    Scope,
    SecretRecord,
    read_settings,
    text_of_value,
    words,
)
from ansible_collections.ops.runbooks.plugins.module_utils._github.secrets_plan import (
    Mark,
    Rules,
    SecretsPlan,
    SeenSecrets,
    arrived,
    overwritten,
    plan_secrets,
)

REPOSITORY = Scope(owner="acme", name="acme/web")
ORGANIZATION = Scope(owner="acme")
KEY = FingerprintKey.read("0123456789abcdef", frozenset())
THEN = "2026-11-01T00:00:00Z"


def listed(name: str = "A", value: Any = "secret-value", **more: Any) -> dict[str, Any]:
    given = {"name": name, "value": value, "visibility": None, "selected_repositories": None, "state": "present"}
    return {**given, **more}


def plan(
    *given: dict[str, Any],
    there: tuple[str, ...] = (),
    marks: dict[str, Mark] | None = None,
    scope: Scope = REPOSITORY,
    rules: Rules = Rules(key=KEY, remembers=True),  # noqa: B008
) -> SecretsPlan:
    visibility = "" if scope.name else "private"
    records = {name: SecretRecord(name=name, updated_at=THEN, visibility=visibility) for name in there}
    ids = {"acme/web": 7, "acme/jobs": 8}
    seen = SeenSecrets(scope=scope, records=records, marks=marks or {}, repositories=ids)
    return plan_secrets(read_settings(given, scope), seen, rules)


def mark(value: str = "secret-value", at: str = THEN) -> Mark:
    return Mark(fingerprint=KEY.digest("github", REPOSITORY.path, "A", value), updated_at=at)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (mark(), None),
        (mark("another"), "value"),
        (mark(at="2026-11-01T00:00:01Z"), "changed by somebody else since"),
        (Mark(), "an earlier run was not seen through"),
    ],
)
def test_a_mark_tells(known: Mark, reason: str | None) -> None:
    decided = plan(listed(), there=("A",), marks={"A": known})
    assert decided.changed == (reason is not None)
    assert [each.what for each in decided.actions] == ([f"change the secret A ({reason})"] if reason else [])
    assert "secret-value" not in str(decided)


def test_what_nobody_can_tell() -> None:
    for rules in (Rules(), Rules(key=KEY), Rules(remembers=True), Rules(key=KEY, remembers=True)):
        skipped = plan(listed(), there=("A",), rules=rules)
        assert (skipped.changed, skipped.result["unknown"], len(skipped.warnings)) == (False, ["A"], 1)
    updated = plan(listed(), there=("A",), rules=Rules(unknown="update"))
    assert (updated.result["updated"], updated.result["unknown"], updated.warnings) == (["A"], [], ())
    with pytest.raises(RunbookError, match="on_unknown=update"):
        plan(listed(), there=("A",), rules=Rules(unknown="fail"))


def test_an_organization_has_visibilities() -> None:
    decided = plan(listed(), listed("B", selected_repositories=["web"]), scope=ORGANIZATION)
    assert [(each.visibility, each.repositories) for each in decided.actions] == [
        ("private", frozenset()),
        ("selected", frozenset({7})),
    ]
    rules = Rules(unknown="update")
    other = plan(listed(visibility="all"), there=("A",), scope=ORGANIZATION, rules=rules)
    assert other.steps == (
        "change the secret A for all repositories (value not known, visibility private becomes all)",
    )


def test_a_visibility_goes_only_along_with_a_value_that_may_be_written() -> None:
    """Who is to leave an unknown value, or to fail, does not write it for another visibility's sake."""
    skipped = plan(listed(visibility="all"), there=("A",), scope=ORGANIZATION)
    assert (skipped.changed, skipped.result["unknown"]) == (False, ["A"])
    assert "and its visibility" in skipped.warnings[0]
    with pytest.raises(RunbookError) as caught:
        plan(listed(visibility="all"), there=("A",), scope=ORGANIZATION, rules=Rules(unknown="fail"))
    assert caught.value.code == "secret_unknown"


def test_a_visibility_that_is_not_given_stays() -> None:
    """A secret of two repositories is not shown to all private ones when its value changes."""
    record = SecretRecord(name="A", updated_at=THEN, visibility="selected", repositories=frozenset({7, 8}))
    seen = SeenSecrets(scope=ORGANIZATION, records={"A": record})
    decided = plan_secrets(read_settings([listed()], ORGANIZATION), seen, Rules(unknown="update"))
    assert [(each.kind, each.visibility, each.repositories) for each in decided.actions] == [
        ("update", "selected", frozenset({7, 8}))
    ]


def test_a_list_tells_whether_a_request_arrived_and_whether_it_lasts() -> None:
    """One from before shows the old time; a later one than the answer's is somebody else's. Answers may be slow."""
    (action,) = plan(listed(), there=("A",), rules=Rules(unknown="update")).actions
    at = datetime(2026, 11, 1, 0, 1, tzinfo=UTC)
    before = {"A": SecretRecord(name="A", updated_at=THEN)}
    for seconds, there, lost in ((-60, False, False), (-9, True, False), (1, True, False), (2, True, True)):
        shown = (at + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        after = {"A": SecretRecord(name="A", updated_at=shown)}
        assert (arrived(action, before, after, {"A": at}), overwritten(action, after, {"A": at})) == (there, lost)
    assert not arrived(action, before, {}, {"A": at})
    assert arrived(action, before, before, {"A": datetime(2026, 11, 1, 0, 0, 1, tzinfo=UTC)}), "twice in a second"


def test_a_scope_is_the_same_in_capitals() -> None:
    small, large = REPOSITORY, Scope(owner="Acme", name="Acme/Web")
    (setting,) = read_settings([listed()], small)
    rules = Rules(key=KEY, remembers=True)
    assert rules.digest(small, setting) == rules.digest(large, setting)
    assert name_of(small) == name_of(large) != name_of(ORGANIZATION)


def test_bytes_that_are_no_text_have_a_digest() -> None:
    assert KEY.digest("a\udcff") != KEY.digest("a\udcfe")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "github_token"},
        {"name": "A-B"},
        {"value": None},
        {"value": ["x"]},
        {"value": "x" * 48 * 1024 + "x"},
        {"visibility": "all"},
        {"selected_repositories": []},
    ],
)
def test_what_is_refused_of_a_repository(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunbookError) as caught:
        read_settings([{**listed(), **wrong}], REPOSITORY)
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize(
    "wrong",
    [
        {"visibility": "selected"},
        {"visibility": "all", "selected_repositories": ["web"]},
        {"selected_repositories": ["other/web"]},
    ],
)
def test_what_is_refused_of_an_organization(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunbookError):
        read_settings([{**listed(), **wrong}], ORGANIZATION)


def test_scopes() -> None:
    def scope(**given: Any) -> Scope:
        return Scope.read({"repository": None, "organization": None, "github_environment": None, **given})

    assert scope(repository="acme/web").path == "/repos/acme/web/actions"
    place = scope(repository="acme/web", github_environment="a/b c")
    assert (place.path, place.title) == ("/repos/acme/web/environments/a%2Fb%20c", "acme/web, environment a/b c")
    assert scope(organization="acme").path == "/orgs/acme/actions"
    for wrong in ({"repository": "web"}, {"organization": "a/b"}, {"repository": "a/b", "github_environment": ""}):
        with pytest.raises(RunbookError):
            scope(**wrong)


def test_words_are_no_secrets() -> None:
    found = words([listed(value="abc"), listed(value=True), listed("DATABASE_URL", value="database"), listed()])
    assert found == {"abc", "True", "database"}


def test_what_is_sealed_only_its_key_opens() -> None:
    from nacl.public import PrivateKey, SealedBox

    private = PrivateKey.generate()
    key = PublicKey(id="1", key=base64.b64encode(bytes(private.public_key)).decode())
    first, second = key.seal("schlüssel"), key.seal("schlüssel")
    assert first != second
    assert {SealedBox(private).decrypt(base64.b64decode(each)).decode() for each in (first, second)} == {"schlüssel"}
    with pytest.raises(RunbookError, match="sealed box"):
        PublicKey(id="1", key="not a key").seal("x")


def test_the_secondary_limit_need_not_say_how_long() -> None:
    said = {"message": "You have exceeded a secondary rate limit."}
    reply = Reply(status=403, body=said, headers={"x-ratelimit-remaining": "4999", "x-ratelimit-reset": "9999999999"})
    assert too_many(reply)
    assert wait_of(reply, 0.0) == wait_of(Reply(status=429, body=said), 0.0) == 60
    assert wait_of(Reply(status=429), 0.0) < 10
    assert not too_many(Reply(status=403, body={"message": "Resource not accessible by personal access token"}))


def test_a_value_that_is_empty_is_a_variable_that_is_not_set() -> None:
    """Nobody is told to delete the secret."""
    with pytest.raises(RunbookError) as refused:
        text_of_value("", "TOKEN")
    assert refused.value.message.endswith("its value is empty. Set the variable that it is looked up from.")
