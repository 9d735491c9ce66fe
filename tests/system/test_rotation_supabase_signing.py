# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Supabase project signs tokens with is rotated, and nobody is signed out, whenever a run dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError

from harness.modules import ModuleRunner
from harness.rotations import KEY, Killed, Secret
from harness.stores import failing
from harness.supabase_api import granted
from sandbox.supabase import SigningKey, SupabaseServer

HOUR, DAY = 3600, 86400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupabaseServer]:
    with SupabaseServer(tmp_path_factory.mktemp("supabase")) as started:
        yield started


@dataclass(slots=True, kw_only=True)
class Users:
    """A project, its secret, and users who sign in with each run; none of them may be signed out before his time."""

    server: SupabaseServer
    ref: str
    secret: Secret
    signed_in: list[tuple[int, str]] = field(default_factory=list)
    #: Seconds since the beginning.
    now: int = 0

    def later(self, seconds: int) -> None:
        self.now += seconds
        self.secret.days = self.now / DAY
        self.server.set_clock(ahead=self.now, limit=100_000)

    def run(self, **changes: Any) -> dict[str, Any]:
        """One run; after it everybody is let in, by the project and by an API that reads what is published."""
        try:
            return self.secret.run(**changes)
        finally:
            self.everybody_is_let_in()

    def everybody_is_let_in(self) -> None:
        self.signed_in = [(at, token) for at, token in self.signed_in if self.now < at + HOUR]
        self.signed_in.append((self.now, self.server.sign_in(self.ref)))
        for _at, token in self.signed_in:
            assert self.server.accepts(self.ref, token)
            assert self.server.verifies(self.ref, token)

    def rotated(self, *, die_before: int = -1) -> bool:
        """From the day on which it is due to its end, over all dates; whether it was killed on the way."""
        self.later(91 * DAY)
        self.secret.effects, killed, begun = [], False, self.secret.ledger.history
        for _run in range(12):
            left = die_before - len(self.secret.effects)
            try:
                self.run(die_before=left if left >= 0 and not killed else -1)
            except Killed:
                killed = True
            if self.secret.ledger.history != begun:
                return killed
            self.later(21 * 60 if self.secret.ledger.phase in ("making", "staged") else 8 * DAY)
        raise AssertionError(self.secret.ledger)

    @property
    def keys(self) -> dict[str, SigningKey]:
        return dict(self.server.project(self.ref).signing_keys)

    def only_one(self) -> None:
        """One key, in use and on record."""
        current = self.secret.ledger.current
        assert current is not None
        assert {id: each.status for id, each in self.keys.items()} == {current.id: "in_use"}
        assert len(self.secret.kept) == 1


@pytest.fixture
def users(server: SupabaseServer, tmp_path: Path) -> Iterator[Users]:
    server.set_clock(limit=100_000)
    ref = server.make_project()
    provider = {
        **server.args(ref),
        "token": granted(server, "supabase_signing_key"),
        "type": "supabase_signing_key",
        "algorithm": "ES256",
        "cached_for": "20m",
    }
    secret = Secret(store=f"file://{tmp_path}/store", destinations=[], provider=provider)
    made = Users(server=server, ref=ref, secret=secret)
    assert made.run()["last"]["outcome"] == "adopted"
    yield made
    server.faults()


def test_a_rotation_signs_nobody_out(users: Users) -> None:
    """Standby until all have read it, then in use; the one before is trusted as long as its tokens are good."""
    (first,) = users.keys
    assert not users.run()["changed"]
    users.later(91 * DAY)
    told = users.run(check=True)
    assert (told["changed"], told["phase"], list(users.keys)) == (True, "staged", [first])
    staged = users.run()
    assert (staged["steps"], staged["phase"], staged["waits_for"]["what"]) == (told["steps"], "staged", "date")
    (new,) = set(users.keys) - {first}
    users.later(19 * 60)
    assert not users.run()["changed"]
    users.later(2 * 60)
    assert users.run(grace="0s")["phase"] == "grace"
    assert (users.keys[first].status, users.keys[new].status) == ("previously_used", "in_use")
    waiting = users.run(grace="0s")
    assert (waiting["changed"], waiting["waits_for"]["what"]) == (False, "use")
    assert "tokens that it has signed are good until" in waiting["waits_for"]["reason"]
    users.later(8 * DAY)
    assert users.run()["phase"] == "watching"
    assert users.keys[first].status == "revoked"
    users.later(2 * DAY)
    assert users.run()["last"]["outcome"] == "rotated"
    users.only_one()


def test_killed_around_each_change_of_a_key(users: Users) -> None:
    """Before and after; there is never a second key in standby, and none is left."""
    users.rotated()
    users.only_one()
    wanted = ("signing key", "make a new value", "keep the value", "set the new", "try the", "disable", "remove the")
    points = [number for number, each in enumerate(users.secret.effects) if any(word in each for word in wanted)]
    assert len(points) > 8
    for point in sorted({near for number in points for near in (number, number + 1)}):
        assert users.rotated(die_before=point)
        users.only_one()


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_an_answer_that_is_lost(users: Users, method: str) -> None:
    for lost in ({"drop": True, "after": True}, {"status": 500, "after": True}):
        users.server.faults({"method": method, "path": "/signing-keys", "times": 1, **lost})
        users.rotated()
        users.only_one()


def test_the_way_back_from_a_key_that_signs(users: Users) -> None:
    """The one before signs again, and what the rejected one has signed stays good until it has expired."""
    (first,) = users.keys
    users.later(91 * DAY)
    users.run()
    users.later(21 * 60)
    assert users.run()["phase"] == "grace"
    users.later(600)
    with failing("signing_key_refused") as failed:
        users.run(take_back=True)
    assert "Please wait until" in failed().message
    users.later(600)
    back = users.run(take_back=True)
    assert (back["phase"], back["waits_for"]["what"]) == ("returning", "use")
    assert "the value that is given up is in use: tokens" in back["waits_for"]["reason"]
    users.later(2 * HOUR)
    assert users.run()["last"]["outcome"] == "taken back"
    assert users.secret.ledger.current is not None
    assert users.secret.ledger.current.id == first
    users.only_one()


def test_one_that_is_given_up(users: Users) -> None:
    """Before it signs it stays in standby, and the next rotation takes it; where it signs already, the one before
    is brought back."""
    (first,) = users.keys
    users.later(91 * DAY)
    users.run()
    assert users.run(take_back=True)["last"]["outcome"] == "dropped"
    assert sorted(each.status for each in users.keys.values()) == ["in_use", "standby"]
    (new,) = set(users.keys) - {first}
    users.run(reason="requested")
    assert users.secret.ledger.new is not None
    assert users.secret.ledger.new.id == new
    users.later(21 * 60)
    for number in range(12):
        with suppress(Killed):
            users.run(die_before=number)
        if users.keys[new].status == "in_use":
            break
    assert users.secret.ledger.phase == "staged"
    refusals = 0
    while users.secret.ledger.phase != "idle" and refusals < 8:
        users.later(HOUR)
        try:
            users.run(take_back=users.secret.ledger.phase == "staged")
        except RunbookError as error:
            refusals += error.code == "signing_key_refused"
    assert users.keys[first].status == "in_use"
    assert (users.secret.ledger.history[-1].outcome, refusals) == ("dropped", 3)
    users.only_one()


def made_by_hand(users: Users, status: str = "standby") -> str:
    """A key of somebody else's, in standby or further."""
    path = f"/v1/projects/{users.ref}/config/auth/signing-keys"
    his = str(users.server.ask("POST", path, {"algorithm": "ES256"}).json["id"])
    if status != "standby":
        users.later(HOUR)
        users.server.ask("PATCH", f"{path}/{his}", {"status": status})
    return his


def test_a_key_that_somebody_makes_after_a_run_died(users: Users) -> None:
    """Right after ours had begun to sign, and was given up: his is not let sign in the place of the one before."""
    (first,) = users.keys
    users.later(91 * DAY)
    users.run()
    users.later(21 * 60)
    for number in range(12):
        with suppress(Killed):
            users.run(die_before=number)
        if users.keys[first].status == "previously_used":
            break
    (ours,) = set(users.keys) - {first}
    his = made_by_hand(users)
    users.later(HOUR)
    with failing("signing_key_refused") as failed:
        users.run(take_back=True)
    assert f"it has to go by way of standby, where {his} is since" in failed().message
    assert (users.keys[ours].status, users.keys[his].status) == ("in_use", "standby")
    keys = {id: each for id, each in users.keys.items() if id != his}
    users.server.put(replace(users.server.project(users.ref), signing_keys=keys))
    for _run in range(4):
        users.later(3 * HOUR)
        with suppress(RunbookError):
            users.run()
    assert users.secret.ledger.history[-1].outcome == "dropped"
    assert users.keys[first].status == "in_use"


def test_a_key_that_stood_by_already_is_named(users: Users) -> None:
    """Nobody can tell whose it is; and one that somebody has taken out of use since is not let sign again."""
    his = made_by_hand(users)
    users.later(91 * DAY)
    users.run()
    (warning,) = users.secret.warnings
    assert f"The signing key {his}" in warning
    users.server.ask("PATCH", f"/v1/projects/{users.ref}/config/auth/signing-keys/{his}", {"status": "previously_used"})
    users.later(HOUR)
    with failing("signing_key_refused") as failed:
        users.run()
    assert "it is previously used: somebody has taken it out of use" in failed().message
    assert users.run(take_back=True, check=True)["phase"] == "idle"


def test_somebody_rotates_by_hand_while_ours_stands_by(users: Users) -> None:
    """Ours does not sign in the place of his, which would stay trusted for ever."""
    (first,) = users.keys
    users.later(91 * DAY)
    users.run()
    (ours,) = set(users.keys) - {first}
    project = users.server.project(users.ref)
    his = replace(project.signing_keys[first], id="b7b2cf9f-0000-4000-8000-000000000001")
    before = replace(project.signing_keys[first], status="previously_used")
    users.server.put(replace(project, signing_keys={**project.signing_keys, first: before, his.id: his}))
    users.later(HOUR)
    with failing("rotation_refused") as failed:
        users.secret.run()
    assert f"{his.id} signs, and {first} is on record" in failed().message
    assert users.keys[ours].status == "standby"


def test_somebody_has_rotated_by_hand(users: Users) -> None:
    """His key would stay trusted for ever: it is named, and nothing is made beside it."""
    (first,) = users.keys
    his = made_by_hand(users, "in_use")
    users.later(91 * DAY)
    with failing("rotation_refused") as failed:
        users.run()
    assert f"{his} signs, and {first} is on record" in failed().message
    assert set(users.keys) == {first, his}


def test_a_stolen_key_is_revoked_within_the_hour(users: Users) -> None:
    """Nobody's token is waited for, only Supabase's own five minutes, and that the new key is published."""
    (first,) = users.keys
    users.later(2 * HOUR)
    token, refusals = users.server.sign_in(users.ref), 0
    assert users.server.verifies(users.ref, token)
    asked = {"reason": "compromise", "break_first": True, "rotation_id": "ticket-1"}
    while users.secret.ledger.history[-1].rotation_id != "ticket-1" and refusals < 6:
        try:
            users.secret.run(**asked)
        except RunbookError as error:
            refusals += error.code == "signing_key_refused"
            users.later(600)
    assert refusals == 2
    assert not users.server.accepts(users.ref, token)
    assert users.server.accepts(users.ref, users.server.sign_in(users.ref))
    assert first not in users.keys
    users.only_one()


def test_the_legacy_secret(users: Users) -> None:
    """Revoked only when the keys that it has signed are off; never deleted."""
    project = users.server.project(users.ref)
    (first,) = users.keys
    users.server.put(replace(project, signing_keys={first: replace(project.signing_keys[first], legacy=True)}))
    users.later(91 * DAY)
    users.run()
    users.later(21 * 60)
    users.run()
    users.later(8 * DAY)
    waiting = users.run()
    assert (waiting["changed"], waiting["waits_for"]["what"]) == (False, "use")
    assert "anon and service_role are signed with it" in waiting["waits_for"]["reason"]
    users.server.change("projects", users.ref, legacy_enabled=False)
    users.run()
    users.later(2 * DAY)
    assert users.run()["last"]["outcome"] == "rotated"
    assert sorted(each.status for each in users.keys.values()) == ["in_use", "revoked"]


def test_by_the_module(users: Users, tmp_path: Path, run_module: ModuleRunner) -> None:
    args = {"store": f"file://{tmp_path}/other", "environment": "test", "name": "tokens", "secrets_key": KEY}
    said = run_module("secret_rotation", {**args, "provider": users.secret.provider, "destinations": []}).ok()
    assert (said["rotation"]["last"]["outcome"], said["rotation"]["destinations"]) == ("adopted", [])
    listed = [{"name": "tokens", "provider": users.secret.provider, "destinations": []}]
    told = run_module("secret_rotation_info", {**args, "name": "secrets", "secrets": listed}).ok()["secrets"]["all"][0]
    assert (told["phase"], told["waits_for"]["what"], told["problem"]) == ("idle", "date", "")
    place = {"name": "here", "type": "file", "path": str(tmp_path / "key")}
    args["provider"] = users.secret.provider
    assert "there is no part {value}" in run_module("secret_rotation", {**args, "destinations": [place]}).message
