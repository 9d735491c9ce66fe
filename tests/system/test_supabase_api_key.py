# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API keys of a Supabase project: the value goes to its file alone, once it works, and nothing is made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome, read_outcome
from harness.supabase_api import granted
from sandbox.supabase import ApiKey, SupabaseServer
from sandbox.supabase import Token as AccessToken

Call = Callable[..., Outcome]
MODULE = "supabase_api_key"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupabaseServer]:
    with SupabaseServer(tmp_path_factory.mktemp("supabase")) as started:
        yield started


@pytest.fixture
def ref(server: SupabaseServer) -> Iterator[str]:
    """A project of this test's own."""
    server.forget()
    yield server.make_project()
    server.faults()
    server.set_clock()


@pytest.fixture
def call(run_module: ModuleRunner, server: SupabaseServer, ref: str) -> Call:
    """``call(file=...)`` for the key ``worker``, with a token that may do what the documentation asks for.

    No run may show a value, of whatever key there is then.
    """
    token = granted(server, MODULE)

    def run(*, check: bool = False, diff: bool = False, **params: Any) -> Outcome:
        given = {**server.args(ref), "token": token, "name": "worker", "timeout": "3s", **params}
        said = run_module(MODULE, given, check=check, diff=diff, verbosity=3)
        values = [key.value for key in server.project(ref).keys.values()]
        assert not [each for each in (*values, token) if each in said.everything]
        return said

    return run


def worker(server: SupabaseServer, ref: str) -> ApiKey:
    return server.keys(ref)["worker secret"]


def test_a_project_has_a_key(call: Call, server: SupabaseServer, ref: str, tmp_path: Path) -> None:
    """Predicted, made, proven, kept to its owner; deleted once, and made anew with another value."""
    file = tmp_path / "key"
    told = call(file=str(file), check=True, diff=True).ok()
    assert (told.changed, file.exists(), "worker secret" in server.keys(ref)) == (True, False, False)
    done = call(file=str(file), diff=True).ok()
    assert (done["plan"], done["diff"]) == (told["plan"], told["diff"])
    key = worker(server, ref)
    assert (file.read_text(), file.stat().st_mode & 0o777) == (key.value, 0o600)
    assert (done["api_key"]["id"], len(done["api_key"]["project_keys"])) == (key.id, 5)
    assert server.use(ref, file.read_text()).status == 200
    assert not call(file=str(file)).ok().changed
    assert not call(file=str(file), check=True).ok().changed
    file.chmod(0o644)
    assert call(file=str(file)).ok().changed
    assert file.stat().st_mode & 0o777 == 0o600

    gone = call(state="absent", compromised=True, reason="seen in a log", diff=True).ok()
    assert (gone["diff"]["before"], gone["diff"]["after"]) == ({"worker": "present"}, {"worker": "absent"})
    assert gone["plan"]["irreversible"] == ["the API key worker is gone, and whoever still uses it is refused"]
    assert (server.use(ref, key.value).status, server.project(ref).keys[key.id].was_compromised) == (401, True)
    assert not call(state="absent").ok().changed
    again = call(file=str(file)).ok()
    assert again["plan"]["irreversible"] == [f"the key in {file}, which is none of this project's, is replaced"]
    assert file.read_text() == worker(server, ref).value != key.value


def test_without_a_file_the_key_stays_with_supabase(call: Call, server: SupabaseServer, ref: str) -> None:
    """Then no value is asked for either, so that a token that sees none is enough to look."""
    server.put(AccessToken(token="sbp_blind", lacks=("api_gateway_keys_reveal",)))
    told = call(type="publishable", token="sbp_blind", check=True).ok()
    assert (told["api_key"]["status"], told["api_key"]["destination"]) == ("absent", None)
    made = call(type="publishable", description="the shop").ok()
    assert made["api_key"]["id"] == server.keys(ref)["worker publishable"].id
    assert not call(type="publishable", token="sbp_blind").ok().changed


def test_a_run_that_is_killed(
    run_module: ModuleRunner, call: Call, server: SupabaseServer, ref: str, tmp_path: Path
) -> None:
    """SIGKILL at each effect: the next run finds the key by its name, and there is one."""
    passes: list[str] = []
    died = "yes"
    while died:
        file = tmp_path / str(len(passes))
        given = {**server.args(ref), "name": f"killed_{len(passes)}", "timeout": "3s", "file": str(file)}
        died = run_module.dies(MODULE, given, passes)
        passes.append(died)
        call(name=given["name"], file=str(file)).ok()
        assert file.read_text() == server.keys(ref)[f"{given['name']} secret"].value
    assert len(passes) == 3
    assert len(server.keys(ref)) == 4 + len(passes)


@pytest.mark.parametrize("lost", [{"drop": True}, {"status": 503}])
def test_an_answer_that_is_lost(call: Call, server: SupabaseServer, ref: str, tmp_path: Path, lost: Any) -> None:
    """Supabase has done it, and says nothing, or that it has not: the key is found by its name, or missed."""
    file = tmp_path / "key"
    server.faults({"method": "POST", "path": "/api-keys", "times": 1, "after": True, **lost})
    assert call(file=str(file)).ok().changed
    assert file.read_text() == worker(server, ref).value
    server.faults({"method": "DELETE", "path": "/api-keys", "times": 1, "after": True, **lost})
    assert call(state="absent").ok()["api_key"]["status"] == "absent"
    server.faults({"method": "POST", "path": "/api-keys", **lost})
    assert "looks first" in call(file=str(file)).refused("service_unreachable").message
    assert "worker secret" not in server.keys(ref)


def test_a_key_that_is_not_known_yet(call: Call, server: SupabaseServer, ref: str, tmp_path: Path) -> None:
    """It is waited for; where it is too long nobody gets the value, and the next run goes on with the same key."""
    file = tmp_path / "key"
    server.change("projects", ref, key_delay=1500)
    assert call(file=str(file), timeout="1m").ok().changed
    server.change("projects", ref, key_delay=3_600_000)
    refused = call(name="slow", file=str(tmp_path / "slow"), timeout="1s").refused("api_key_refused")
    assert "it answers 401 (Invalid API key)" in refused.message
    assert not (tmp_path / "slow").exists()
    server.change("projects", ref, key_delay=0)
    assert call(name="slow", file=str(tmp_path / "slow")).ok()["plan"]["steps"] == [
        f"write its value into file {tmp_path / 'slow'}"
    ]


def test_too_many_requests(call: Call, server: SupabaseServer, ref: str) -> None:
    """Supabase says for how many seconds, and not until when."""
    server.faults({"path": "/api-keys", "times": 1, "status": 429, "retry_after": 1})
    before = len(server.requests(path="/api-keys"))
    assert call(timeout="1m").ok().changed
    assert len(server.requests(path="/api-keys")) - before == 4, "it was asked again once, after the time"
    server.faults({"path": "/api-keys", "status": 429, "retry_after": 50})
    assert "for 50 s (429)" in call().refused("rate_limited").message
    server.faults()
    server.set_clock(limit=0)
    call().refused("rate_limited")


def test_two_runs_at_once(run_module: ModuleRunner, server: SupabaseServer, ref: str, tmp_path: Path) -> None:
    """One makes the key, the other one finds it; the file has its value."""
    file = tmp_path / "key"
    given = {**server.args(ref), "name": "worker", "timeout": "5s", "file": str(file)}
    server.faults({"method": "POST", "path": "/api-keys", "times": 2, "delay": 500})
    children = [run_module.start(MODULE, given) for _child in range(2)]
    said = [read_outcome(child.wait(60)).ok() for child in children]
    assert len({each["api_key"]["id"] for each in said}) == 1
    assert (file.read_text(), len(server.keys(ref))) == (worker(server, ref).value, 5)


def test_what_is_refused(call: Call, server: SupabaseServer, ref: str, tmp_path: Path) -> None:
    """With a sentence that says what to do, and before anything is changed."""
    wrong: list[dict[str, Any]] = [
        {"name": "anon-key"},
        {"name": "x"},
        {"project_ref": "short"},
        {"state": "absent", "file": str(tmp_path / "key")},
        {"api_url": "http://192.0.2.1"},
        {"timeout": "soon"},
    ]
    for each in wrong:
        call(**each).refused("invalid_parameter")
    call(token="").refused("connection_empty")
    call(token="sbp_unknown").refused("service_denied")
    assert "SUPABASE_ACCESS_TOKEN" in call(token=None).refused("connection_missing").message
    server.put(
        AccessToken(token="sbp_reader", lacks=("api_gateway_keys_write",)),
        AccessToken(token="sbp_blind", lacks=("api_gateway_keys_reveal",)),
    )
    server.put(AccessToken(token="sbp_other", projects=("a" * 20,)))
    assert "docs/permissions.md" in call(token="sbp_reader").refused("service_denied").message
    call(token="sbp_other").refused("service_denied")
    call(token="sbp_blind", file=str(tmp_path / "key")).refused("service_denied")
    call(project_ref="b" * 20).refused("project_missing")
    call(file=str(tmp_path / "no" / "folder")).refused("destination_unusable")
    (tmp_path / "notes").write_text("not a key")
    assert "no API key of Supabase" in call(file=str(tmp_path / "notes")).refused("destination_unusable").message
    assert "Edge Functions" in call(name="default", state="absent").refused("api_key_protected").message
    assert len(server.keys(ref)) == 4
    assert call(name="default", state="absent", even_default=True).ok().changed
