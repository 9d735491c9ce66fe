# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets of GitHub Actions are what they are listed as, really sealed, and no value is ever shown."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.modules import ModuleRunner, Outcome
from harness.servers import FileStoreAt
from sandbox.github import GitHubServer, Repository, Token, Vault

Call = Callable[..., Outcome]
KEY = "kept-for-the-tests-alone"
PASSWORD = {"name": "DATABASE_URL", "value": "kanarienvogel-1: äöü/+="}
TOKEN = {"name": "api_token", "value": "kanarienvogel-2"}
ALL = [PASSWORD, TOKEN]


class Hub:
    """One repository of its own on the stand-in."""

    def __init__(self, server: GitHubServer) -> None:
        self.server = server
        self.owner = f"o{secrets.token_hex(4)}"
        self.name = f"{self.owner}/web"
        self.path = f"/repos/{self.name}/actions"
        server.put(Repository(name=self.name, id=7), Repository(name=f"{self.owner}/jobs", id=8))

    def values(self, path: str = "") -> dict[str, str]:
        """The secrets, opened."""
        return {name: each.value for name, each in self.server.vault(path or self.path).secrets.items()}

    def writes(self) -> list[str]:
        """What was asked for, beside reading."""
        return [each["method"] for each in self.server.requests(path=self.owner) if each["method"] != "GET"]

    def rewritten(self, name: str, value: str, **fields: str) -> None:
        """Somebody else changes a secret."""
        vault = self.server.control("GET", "state")["vaults"]
        found = next(each for each in vault if each["path"] == self.path)
        found["secrets"][name] |= {"value": value, **fields}
        self.server.change("vaults", self.path, secrets=found["secrets"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubServer]:
    with GitHubServer(tmp_path_factory.mktemp("github")) as started:
        yield started


@pytest.fixture
def hub(server: GitHubServer) -> Iterator[Hub]:
    server.faults()
    server.forget()
    yield Hub(server)
    server.faults()


@pytest.fixture
def call(run_module: ModuleRunner, hub: Hub, file_store: FileStoreAt) -> Call:
    """``call(ALL)``: of the repository, with a store and a key; no run may show a value."""
    store = {**file_store.args, "environment": "test", "name": "web", "fingerprint_key": KEY}

    def run(listed: list[dict[str, Any]], *, check: bool = False, diff: bool = False, **params: Any) -> Outcome:
        options = {"repository": hub.name, "token": hub.server.token, "api_url": hub.server.api_url, "timeout": "20s"}
        given = {**store, **options, "secrets": listed, **params}
        given = {name: value for name, value in given.items() if value is not None}
        said = run_module("github_secret", given, check=check, diff=diff, verbosity=3)
        kept = "".join(file_store.read(key).decode() for key in file_store.keys("test"))
        assert "kanarienvogel" not in said.everything + kept
        assert KEY not in said.everything + kept
        assert hub.server.token not in said.everything + kept
        return said

    return run


WITHOUT = {"store": None, "environment": None, "name": None, "fingerprint_key": None}


def test_secrets_are_set_once(call: Call, hub: Hub) -> None:
    """Predicted, set, changed, removed; each time the second run sends nothing, and the key is asked for once."""
    told = call(ALL, check=True, diff=True).ok()
    assert (told.changed, hub.values(), hub.writes()) == (True, {}, [])
    done = call(ALL, diff=True).ok()
    assert (done["plan"], done["diff"], done["secrets"]) == (told["plan"], told["diff"], told["secrets"])
    assert done["secrets"]["created"] == ["API_TOKEN", "DATABASE_URL"]
    assert hub.values() == {"DATABASE_URL": PASSWORD["value"], "API_TOKEN": TOKEN["value"]}
    assert len(hub.server.requests(path="public-key")) == 1
    hub.server.forget()
    again, checked = call(ALL).ok(), call(ALL, check=True).ok()
    assert (again.changed, checked.changed, hub.writes()) == (False, False, [])
    assert len(hub.server.requests(path=hub.owner)) == 2, "one list each"
    assert again["secrets"]["unchanged"] == done["secrets"]["created"]

    other = call([{**PASSWORD, "value": "kanarienvogel-3"}, TOKEN]).ok()
    assert (other["secrets"]["updated"], other["secrets"]["unchanged"]) == (["DATABASE_URL"], ["API_TOKEN"])
    assert (hub.writes(), hub.values()["DATABASE_URL"]) == (["PUT"], "kanarienvogel-3")

    gone = [{**each, "state": "absent"} for each in ALL]
    assert call(gone).ok()["secrets"]["deleted"] == ["API_TOKEN", "DATABASE_URL"]
    assert (hub.values(), call(gone).ok().changed) == ({}, False)


def test_what_somebody_else_has_written(call: Call, hub: Hub) -> None:
    """Without a store, a key or a mark nobody can tell, and says so; with one it is written over."""
    call(ALL, **WITHOUT).ok()
    for given, lacking in ((WITHOUT, "no store and no fingerprint_key"), ({}, "nothing is on record")):
        skipped = call(ALL, **given).ok()
        assert (skipped.changed, skipped["secrets"]["unknown"]) == (False, ["API_TOKEN", "DATABASE_URL"])
        assert lacking in str(skipped["warnings"])
    call(ALL, on_unknown="fail").refused("secret_unknown")
    assert call(ALL, on_unknown="update").ok()["secrets"]["updated"] == ["API_TOKEN", "DATABASE_URL"]
    assert not call(ALL, on_unknown="update").ok().changed
    hub.rewritten("API_TOKEN", "theirs", updated_at="2030-01-01T00:00:00Z")
    told = call(ALL, check=True).ok()
    assert "API_TOKEN (changed by somebody else since)" in told["plan"]["steps"][0]
    assert call(ALL).ok().changed
    assert hub.values()["API_TOKEN"] == TOKEN["value"]
    assert call(ALL, fingerprint_key="another-key-of-the-tests", check=True).ok().changed


def test_a_run_that_ends_in_the_middle_is_continued(call: Call, hub: Hub) -> None:
    """The first secret is written, the second refused: what the first run has left is not taken for somebody else's."""
    hub.server.faults({"method": "PUT", "path": "API_TOKEN", "status": 404})
    call(ALL).refused("service_denied")
    hub.server.faults()
    assert list(hub.values()) == ["DATABASE_URL"]
    told = call(ALL, check=True).ok()
    assert "an earlier run was not seen through" in told["plan"]["steps"][0]
    assert call(ALL).ok()["secrets"]["created"] == ["API_TOKEN"]
    assert not call(ALL).ok().changed


def test_environments_and_organizations(call: Call, hub: Hub) -> None:
    place = f"/repos/{hub.name}/environments/production%2Feu"
    hub.server.put(Vault(path=place))
    assert call([TOKEN], github_environment="production/eu").ok()["secrets"]["created"] == ["API_TOKEN"]
    assert (hub.values(place), hub.values()) == ({"API_TOKEN": TOKEN["value"]}, {})
    call([TOKEN], github_environment="staging").refused("scope_missing")

    def organization(**changes: Any) -> Outcome:
        return call([{**TOKEN, **changes}], repository=None, organization=hub.owner).ok()

    def stored() -> tuple[str, tuple[int, ...]]:
        found = hub.server.vault(f"/orgs/{hub.owner}/actions").secrets["API_TOKEN"]
        return found.visibility, found.repositories

    assert organization(selected_repositories=["web"])["secrets"]["created"] == ["API_TOKEN"]
    assert stored() == ("selected", (7,))
    assert not organization(selected_repositories=[hub.name]).changed
    hub.server.forget()
    assert organization(selected_repositories=["web", "jobs"]).changed
    assert [each["target"].rpartition("/")[2] for each in hub.server.requests("PUT")] == ["repositories"]
    assert (stored(), organization(selected_repositories=["jobs", "web"]).changed) == (("selected", (7, 8)), False)
    call([{**TOKEN, "value": "kanarienvogel-5"}], repository=None, organization=hub.owner).ok()
    assert stored() == ("selected", (7, 8)), "a new value is for those that had the old one"
    organization()
    assert organization(visibility="all").changed
    assert (stored()[0], organization(visibility="all").changed) == ("all", False)


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        ({"status": 409, "times": 1}, 2),
        ({"status": 429, "retry_after": 1, "times": 1}, 2),
        ({"status": 403, "retry_after": 1, "times": 1}, 2),
        ({"status": 403, "code": "primary", "retry_after": 1, "times": 1}, 2),
        ({"drop": True, "times": 1}, 2),
        ({"drop": True, "after": True, "times": 1}, 2),
        ({"status": 502, "after": True, "times": 1}, 2),
    ],
    ids=lambda value: "-".join(f"{name}{given}" for name, given in value.items()) if isinstance(value, dict) else "",
)
def test_requests_that_do_not_go_through_at_once(call: Call, hub: Hub, fault: Mapping[str, Any], sent: int) -> None:
    hub.server.faults({"method": "PUT", **fault})
    assert call([TOKEN]).ok()["secrets"]["created"] == ["API_TOKEN"]
    assert (hub.values(), len(hub.writes())) == ({"API_TOKEN": TOKEN["value"]}, sent)
    assert not call([TOKEN]).ok().changed


def test_too_many_requests_without_a_word_of_how_long(call: Call, hub: Hub) -> None:
    """GitHub asks for a minute then, which is longer than this run may take."""
    hub.server.faults({"method": "PUT", "status": 429, "code": "silent"})
    assert "for 60 s" in call([TOKEN], timeout="5s").refused("rate_limited").message
    assert hub.values() == {}


def test_a_key_that_changes_meanwhile_is_fetched_anew_once(call: Call, hub: Hub) -> None:
    call([TOKEN]).ok()
    hub.server.faults({"method": "PUT", "delay": 600, "times": 1})
    hub.server.forget()
    other = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

    def change() -> None:
        while not hub.server.requests("PUT"):
            time.sleep(0.02)
        hub.server.change("vaults", hub.path, key=other)

    with ThreadPoolExecutor() as pool:
        changing = pool.submit(change)
        call([{**TOKEN, "value": "kanarienvogel-4"}]).ok()
        changing.result()
    assert (hub.values()["API_TOKEN"], hub.server.vault(hub.path).key) == ("kanarienvogel-4", other)
    assert (len(hub.server.requests(path="public-key")), hub.writes()) == (2, ["PUT", "PUT"])


def test_refusals_say_what_to_do(call: Call, hub: Hub) -> None:
    server = hub.server
    for wrong, word in (
        ({"name": "GITHUB_X", "value": "x"}, "GITHUB_"),
        ({"name": "1X", "value": "x"}, "digit"),
        ({"name": "X", "value": "k" * 49153}, "49152 bytes"),
        ({"name": "X", "value": ""}, "empty"),
        ({"name": "X"}, "no value"),
        ({"name": "X", "value": {"a": "kanarienvogel"}}, "to_json"),
        ({"name": "X", "value": "x", "visibility": "all"}, "organization"),
    ):
        assert word in call([wrong]).refused("invalid_parameter").message
    assert "twice" in call([{"name": "A", "value": "xxxx"}, {"name": "a", "value": "yyyy"}]).message
    server.put(Token(token="weak", lacks=("secrets",)), Token(token="blind", repositories=("nobody/nothing",)))
    assert "permission Secrets" in call(ALL, token="weak").refused("service_denied").message
    call(ALL, token="blind").refused("repository_missing")
    call(ALL, token="wrong").refused("service_denied")
    assert "GITHUB_TOKEN" in call(ALL, token=None).refused("connection_missing").message
    server.faults({"path": "/secrets", "status": 301})
    assert "renamed" in call(ALL).refused("repository_missing").message
    server.faults({"path": "/secrets", "status": 404})
    assert "404" in call(ALL).refused("service_denied").message
    server.faults({"method": "PUT", "status": 201})
    assert "somebody else" in call(ALL).refused("secrets_differ").message, "what was taken is looked for"
    server.faults({"path": "/secrets", "status": 403, "retry_after": 3600})
    assert "60 min" in call(ALL).refused("rate_limited").message
    assert hub.values() == {}
    call(ALL, api_url="http://127.0.0.1:9", timeout="1s").refused("service_unreachable")
