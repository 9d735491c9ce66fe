# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API keys of a Supabase project are rotated while somebody uses them: what is in the file always works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.modules import ModuleRunner
from harness.rotations import KEPT_IN, KEY, Killed, Secret, file_destination
from harness.stores import failing
from harness.supabase_api import granted
from sandbox.supabase import ApiKey, SupabaseServer, Token

NAME = "web_app"
#: What a project is handed over with.
FOREIGN = {"anon legacy", "service_role legacy", "default publishable", "default secret"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupabaseServer]:
    with SupabaseServer(tmp_path_factory.mktemp("supabase")) as started:
        started.set_clock(limit=100_000)
        yield started


@pytest.fixture
def ref(server: SupabaseServer) -> Iterator[str]:
    yield server.make_project()
    server.faults()


@pytest.fixture
def secret(server: SupabaseServer, ref: str, tmp_path: Path) -> Secret:
    provider = {
        **server.args(ref),
        "token": granted(server, "supabase_api_key"),
        "type": "supabase_api_key",
        "api_key_name": NAME,
        "api_key_type": "secret",
        "disable_legacy": False,
    }
    places = [file_destination(tmp_path / "key")]
    return Secret(store=f"file://{tmp_path}/store", destinations=places, provider=provider)


def held(secret: Secret) -> str:
    return Path(secret.destinations[0]["path"]).read_text(encoding="utf-8")


def works(server: SupabaseServer, ref: str, value: str) -> bool:
    return server.use(ref, value).status == 200


def ours(server: SupabaseServer, ref: str) -> dict[str, ApiKey]:
    return {name: key for name, key in server.keys(ref).items() if name not in FOREIGN}


def only_one(server: SupabaseServer, ref: str, secret: Secret) -> None:
    """One key beside those that are none of ours, by the declared name, in the file and on record; no other value."""
    keys = server.keys(ref)
    assert set(keys) == {*FOREIGN, f"{NAME} secret"}
    assert keys[f"{NAME} secret"].value == held(secret)
    assert works(server, ref, held(secret))
    assert secret.ledger.current is not None
    assert secret.ledger.current.id == keys[f"{NAME} secret"].id
    assert len(secret.kept) == 1


def rotated(server: SupabaseServer, ref: str, secret: Secret, *, die_before: int = -1) -> bool:
    """From the day on which it is due to its end, over all dates; whether it was killed on the way."""
    secret.days += 91
    secret.effects, killed = [], False
    for _run in range(12):
        left = die_before - len(secret.effects)
        said: dict[str, Any] = {}
        try:
            said = secret.run(die_before=left if left >= 0 and not killed else -1)
        except Killed:
            killed = True
        assert works(server, ref, held(secret))
        if said.get("phase") == "idle" and not said["overdue"]:
            return killed
        secret.days += 8 if said else 0
    raise AssertionError(secret.ledger)


def test_one_takes_the_place_of_the_other(server: SupabaseServer, ref: str, secret: Secret) -> None:
    """Twice: the value changes, the name goes over with it, and the earlier value ends with the rotation."""
    assert secret.run()["phase"] == "idle"
    for _turn in range(2):
        before = held(secret)
        rotated(server, ref, secret)
        assert held(secret) != before
        assert not works(server, ref, before)
        only_one(server, ref, secret)
    assert not secret.run()["changed"]
    told = secret.run(check=True, reason="compromise", break_first=True, min_age="0s")["steps"]
    assert "since a single API key of a project cannot be switched off, but deleted for good" in str(told)


def test_of_a_key_that_supabase_shows_again_nothing_is_kept(server: SupabaseServer, ref: str, secret: Secret) -> None:
    """Also where the run dies around that; the rights that it has for its list are enough."""
    secret.more = {"kept_in": {**KEPT_IN, "type": "provider"}}
    assert "read it again at its provider" in str(secret.run()["steps"])
    rotated(server, ref, secret)
    points = [number for number, each in enumerate(secret.effects) if each.startswith(("keep", "write down"))][:4]
    for point in points:
        before = held(secret)
        assert rotated(server, ref, secret, die_before=point)
        assert held(secret) != before
        assert set(server.keys(ref)) == {*FOREIGN, f"{NAME} secret"}
    assert secret.kept == []
    Path(secret.destinations[0]["path"]).unlink()
    assert secret.run()["changed"]
    assert works(server, ref, held(secret))


def test_killed_around_each_change_of_a_key(server: SupabaseServer, ref: str, secret: Secret) -> None:
    """Before and after; what is in the file works all the time, and in the end there is one key and one value."""
    secret.run()
    rotated(server, ref, secret)
    only_one(server, ref, secret)
    wanted = ("API key", "make a new value", "keep the value", "set the new", "write a dest", "disable", "remove")
    points = [number for number, each in enumerate(secret.effects) if any(word in each for word in wanted)]
    assert len(points) > 8
    for point in sorted({near for number in points for near in (number, number + 1)}):
        before = held(secret)
        assert rotated(server, ref, secret, die_before=point)
        assert held(secret) != before
        only_one(server, ref, secret)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_an_answer_that_is_lost(server: SupabaseServer, ref: str, secret: Secret, method: str) -> None:
    """Supabase has done it: it is looked for, found, and gone on with. It has not: the next run does it."""
    secret.run()
    rotated(server, ref, secret)
    for lost in ({"drop": True, "after": True}, {"status": 500, "after": True}):
        server.faults({"method": method, "path": "/api-keys", "times": 1, **lost})
        rotated(server, ref, secret)
        only_one(server, ref, secret)
    for skip in range(2 if method == "PATCH" else 1):
        server.faults({"method": method, "path": "/api-keys", "skip": skip, "times": 1, "status": 500})
        with failing("service_unreachable"):
            rotated(server, ref, secret)
        secret.days -= 91
        rotated(server, ref, secret)
        only_one(server, ref, secret)


def test_a_token_that_sees_no_values(server: SupabaseServer, ref: str, secret: Secret) -> None:
    """No key is made whose value nobody would see."""
    server.put(Token(token="sbp_blind", lacks=("api_gateway_keys_reveal",)))
    secret.provider = {**secret.provider, "token": "sbp_blind"}
    with failing("service_denied"):
        secret.run()
    assert ours(server, ref) == {}


def test_a_key_that_is_not_known_yet(
    server: SupabaseServer, ref: str, secret: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody gets it, while those from before work; the next run goes on with the same key."""
    from ansible_collections.ops.runbooks.plugins.module_utils._rotation import provider_supabase_api_key

    monkeypatch.setattr(provider_supabase_api_key, "_YOUNG", 1.0)
    secret.run()
    before, secret.days = held(secret), 91
    server.change("projects", ref, key_delay=3_600_000)
    project = server.project(ref)
    server.put(replace(project, keys={id: replace(each, created_at=1) for id, each in project.keys.items()}))
    with failing("secret_refused") as failed:
        secret.run()
    assert "401 (Invalid API key)" in failed().message
    assert (secret.ledger.phase, held(secret), len(ours(server, ref))) == ("staged", before, 2)
    server.change("projects", ref, key_delay=0)
    assert secret.run()["phase"] == "grace"
    assert len(ours(server, ref)) == 2


def test_the_way_back(server: SupabaseServer, ref: str, secret: Secret) -> None:
    """From the watch period: the earlier value again, by its name, and the rejected one is gone."""
    secret.run()
    rotated(server, ref, secret)
    before, secret.days = held(secret), secret.days + 91
    secret.run()
    secret.days += 8
    assert secret.run()["phase"] == "watching"
    assert set(ours(server, ref)) > {f"{NAME} secret"}
    assert ours(server, ref)[f"{NAME} secret"].value == held(secret) != before
    assert secret.run(take_back=True)["last"]["outcome"] == "taken back"
    assert held(secret) == before
    only_one(server, ref, secret)


def test_a_legacy_key_is_left(server: SupabaseServer, ref: str, secret: Secret) -> None:
    """Adopted by its value; both are switched off when somebody agrees, and on again on the way back."""
    legacy = server.keys(ref)["service_role legacy"].value
    Path(secret.destinations[0]["path"]).write_text(legacy, encoding="utf-8")
    with failing("invalid_parameter"):
        secret.run(adopt=True, current_value=server.keys(ref)["anon legacy"].value)
    assert secret.run(adopt=True)["last"]["outcome"] == "adopted"
    assert held(secret) == legacy
    secret.days = 91
    asked = {"reason": "compromise", "break_first": True}
    for agreed, said in ((False, "both legacy keys go off together"), (True, "disable the earlier value at once")):
        secret.provider = {**secret.provider, "disable_legacy": agreed}
        assert said in str(secret.run(check=True, **asked)["steps"])
    secret.provider = {**secret.provider, "disable_legacy": False}
    assert secret.run()["phase"] == "grace"
    secret.days += 8
    waiting = secret.run()
    assert (waiting["changed"], waiting["waits_for"]["what"]) == (False, "use")
    assert "set disable_legacy" in waiting["waits_for"]["reason"]
    assert works(server, ref, legacy)
    secret.provider = {**secret.provider, "disable_legacy": True}
    assert secret.run()["phase"] == "watching"
    assert not works(server, ref, legacy)
    secret.run(take_back=True)
    assert held(secret) == legacy
    assert works(server, ref, legacy)
    assert ours(server, ref) == {}
    secret.run(reason="requested")
    for _run in range(2):
        secret.days += 8
        secret.run()
    assert server.project(ref).legacy_enabled is False
    only_one(server, ref, secret)


def test_a_key_of_the_declared_name_is_not_left_beside_a_new_one(
    server: SupabaseServer, ref: str, secret: Secret, tmp_path: Path, run_module: ModuleRunner
) -> None:
    """Whatever is asked for it is refused by its name, and told of, until it is on record; then it ends as any does."""
    secret.provider = {**secret.provider, "api_key_name": "default"}
    for changes in ({}, {"check": True}, {"reason": "compromise"}):
        with failing("rotation_refused") as refused:
            secret.run(**changes)
        assert "has a secret API key default already" in refused().message
    assert ours(server, ref) == {}
    place = {"name": "here", "type": "file", "path": str(tmp_path / "key")}
    args = {"store": secret.store, "environment": "test", "name": "secrets", "secrets_key": KEY}
    listed = [{"name": "auth_secret", "provider": secret.provider, "destinations": [place]}]
    (told,) = run_module("secret_rotation_info", {**args, "secrets": listed}).ok()["secrets"]["all"]
    assert told["waits_for"]["what"] == "person"
    assert "API key default already" in told["waits_for"]["reason"]
    value = server.keys(ref)["default secret"].value
    assert secret.run(adopt=True, current_value=value)["last"]["outcome"] == "adopted"
    assert secret.run()["steps"] == ["write key (file)"]
    rotated(server, ref, secret)
    assert not works(server, ref, value)


def test_what_somebody_else_has_made_stays(server: SupabaseServer, ref: str, secret: Secret) -> None:
    """A key that looks like one of ours and was there before; nobody is taken for its heir either. What does not say
    that a rotation has made it is neither, whenever it was made."""
    secret.run()
    rotated(server, ref, secret)
    his = {"type": "secret", "name": f"{NAME}_0123abcd", "description": "ops.runbooks, rotation of another one"}
    made = server.ask("POST", f"/v1/projects/{ref}/api-keys", his).json
    secret.days += 91
    with pytest.raises(Killed):
        secret.run(die_before=1)
    assert secret.ledger.phase == "making"
    by_hand = {"type": "secret", "name": f"{NAME}_abcd0123"}
    server.ask("POST", f"/v1/projects/{ref}/api-keys", by_hand)
    secret.run()
    assert [each for each in secret.warnings if f"{NAME}_0123abcd" in each]
    secret.days += 8
    with failing("rotation_refused") as failed:
        secret.run()
    assert f"{NAME}_0123abcd" in failed().message
    server.ask("PATCH", f"/v1/projects/{ref}/api-keys/{made['id']}", {"name": "reports"})
    secret.run()
    secret.days += 8
    assert secret.run()["last"]["outcome"] == "rotated"
    assert set(ours(server, ref)) == {f"{NAME} secret", "reports secret", f"{NAME}_abcd0123 secret"}


def test_by_the_module(
    server: SupabaseServer, ref: str, secret: Secret, tmp_path: Path, run_module: ModuleRunner
) -> None:
    args = {"store": f"file://{tmp_path}/store", "environment": "test", "name": "supabase_key", "secrets_key": KEY}
    place = {"name": "here", "type": "file", "path": str(tmp_path / "key")}
    said = run_module(
        "secret_rotation", {**args, "provider": secret.provider, "destinations": [place]}, verbosity=3, diff=True
    ).ok()
    value = (tmp_path / "key").read_text(encoding="utf-8")
    assert works(server, ref, value)
    everything = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "store").rglob("*.json"))
    for each in (value, secret.provider["token"], KEY):
        assert each not in said.everything + everything
    wrong = {**secret.provider, "project_ref": None}
    said = run_module("secret_rotation", {**args, "provider": wrong, "destinations": [place]})
    said.refused("invalid_parameter")
