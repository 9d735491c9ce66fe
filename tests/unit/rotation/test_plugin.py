# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Providers and destinations of a user's own: the example of the documentation, and every promise that is not kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.declare import Target
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.destination_plugin import OwnDestination
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.plugin import find_collections
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Readable
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider_plugin import own_provider
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.value import Keys

from harness.own_classes import declared, make_collection
from harness.rotations import KEPT_IN, KEY, OPTIONS, Secret, file_destination, to_the_end, watched
from harness.stores import failing

VALUE = "what-nobody-may-see"


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_collection(tmp_path_factory.mktemp("collections"))


def worker(collections: Path, folder: Path) -> Secret:
    given = declared(folder)
    provider = {"secret_options": None, **given["provider"]}
    places = [{**OPTIONS, "value": "{value}", "secret_options": None, **each} for each in given["destinations"]]
    secret = Secret(store=f"file://{folder}/store", destinations=places, provider=provider)
    secret.more = {"plugin_paths": [str(collections)]}
    return secret


def tokens(folder: Path) -> dict[str, bool]:
    """What the daemon takes: id to whether it is enabled."""
    return {path.stem: json.loads(path.read_text())["enabled"] for path in (folder / "tokens").glob("*.json")}


def test_the_example_through_a_quarter(collections: Path, tmp_path: Path) -> None:
    secret, env = worker(collections, tmp_path), tmp_path / ".env"
    env.write_text("OTHER=1\n", encoding="utf-8")
    assert secret.run(check=True)["changed"]
    assert (tokens(tmp_path), env.read_text()) == ({}, "OTHER=1\n")
    assert secret.run()["phase"] == "idle"
    assert not secret.run()["changed"]
    (first,) = tokens(tmp_path)
    secret.days = 91
    assert secret.run()["phase"] == "grace"
    assert list(tokens(tmp_path).values()) == [True, True]
    secret.days += 8
    assert secret.run()["phase"] == "watching"
    assert tokens(tmp_path)[first] is False
    assert secret.run(take_back=True)["last"]["outcome"] == "taken back"
    assert tokens(tmp_path) == {first: True}
    env.write_text("OTHER=1\nWORKER_TOKEN=changed\n", encoding="utf-8")
    assert secret.run()["steps"] == ["write worker (plugin)"]
    assert env.read_text().startswith("OTHER=1\nWORKER_TOKEN=")


@pytest.mark.parametrize("kept_in", ["key", "provider"])
def test_the_example_in_runs_that_are_killed(collections: Path, tmp_path: Path, kept_in: str) -> None:
    """Before each effect, those that the classes announce included: one token in the end, which the file has."""
    secret = worker(collections, tmp_path)
    secret.more["kept_in"] = {**KEPT_IN, "type": kept_in}
    to_the_end(secret)
    killed, number = True, 0
    while killed:
        secret.days, secret.effects = secret.days + 91, []
        killed = to_the_end(secret, number)
        ((id, enabled),) = tokens(tmp_path).items()
        value = json.loads((tmp_path / "tokens" / f"{id}.json").read_text())["token"]
        assert (enabled, (tmp_path / ".env").read_text()) == (True, f"WORKER_TOKEN={value}\n")
        assert len(secret.kept) == (kept_in == "key")
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith("..")] == []
        number += 1
    assert any("make the token" in each for each in secret.effects)
    assert number > 15


class Whole:
    """A provider with all that is needed, from which each test takes one thing or makes it wrong."""

    interface = 1
    parts = frozenset({"value"})

    def __init__(self, options: dict[str, Any], run: Any) -> None:
        self.run = run

    def credentials(self) -> list[str]:
        return []

    def make(self, name: str, current: str | None) -> Any:
        return {"id": name, "parts": {"value": VALUE}}

    def test(self, id: str, parts: dict[str, str]) -> Any:
        return ""

    def in_use(self, id: str) -> Any:
        return ""

    def _nothing(self, *arguments: Any) -> None:
        """Nothing."""

    apply = disable = enable = delete = observe = write = _nothing


def _raise(error: BaseException) -> Any:
    def method(*arguments: Any) -> Any:
        print(VALUE)
        raise error

    return method


@pytest.fixture
def classes() -> Iterator[ModuleType]:
    """A package in which a test puts classes."""
    made = ModuleType("acme_here")
    sys.modules["acme_here"] = made
    yield made
    del sys.modules["acme_here"]


def given(name: str) -> dict[str, Any]:
    return {**OPTIONS, "type": "plugin", "plugin": name, "options": {"a": 1}, "secret_options": None}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "not the name of a module and of a class"),
        ("acme_here", "not the name of a module and of a class"),
        ("os.path:join; import x", "not the name of a module and of a class"),
        ("acme_here:None_such", "has no class None_such"),
        ("acme_nowhere.hsm:Whole", "there is no module acme_nowhere among the packages of"),
        ("ansible_collections.acme.other.plugins.module_utils.x:Y", "Install the collection acme.other"),
        ("acme_here:Old", "it says interface = 2, and this release knows 1"),
        ("acme_here:Less", "it has no method disable, delete"),
        ("acme_broken:Whole", "its module cannot be imported: ZeroDivisionError (acme_broken.py:2)"),
        ("acme_needy:Whole", "its module needs acme_absent, which is not installed"),
    ],
)
def test_a_class_that_is_not_there_or_not_whole(
    classes: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    classes.__dict__["Old"] = type("Old", (Whole,), {"interface": 2})
    classes.__dict__["Less"] = type("Less", (Whole,), {"disable": None, "delete": None})
    (tmp_path / "acme_broken.py").write_text("print('x')\n1 / 0\n", encoding="utf-8")
    (tmp_path / "acme_needy.py").write_text("import acme_absent\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with failing("plugin_unusable") as refused:
        own_provider(given(name), watched())
    assert says in refused().message


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({"parts": "value"}, "parts"),
        ({"parts": frozenset()}, "parts"),
        ({"parts": frozenset({"previous_value"})}, "parts"),
        ({"ripens": -1}, "ripens"),
        ({"__init__": _raise(KeyError(VALUE))}, "__init__"),
        ({"credentials": lambda self: "abc"}, "credentials"),
        ({"credentials": lambda self: ["a b"]}, "credentials"),
        ({"make": lambda *_: None}, "make"),
        ({"make": lambda *_: {"id": "a", "parts": {"value": ""}}}, "make"),
        ({"make": lambda *_: {"id": "a", "parts": {"value": VALUE, "more": "x"}}}, "make"),
        ({"make": lambda *_: {"id": f"id-{VALUE}", "parts": {"value": VALUE}}}, "make"),
        ({"make": lambda *_: {"id": "a/b", "parts": {"value": VALUE}}}, "make"),
        ({"make": _raise(ValueError(VALUE))}, "make"),
        ({"make": _raise(SystemExit(VALUE))}, "make"),
        ({"test": lambda *_: None}, "test"),
        ({"test": lambda *_: True}, "test"),
        ({"in_use": lambda *_: False}, "in_use"),
        ({"delete": _raise(RuntimeError(VALUE))}, "delete"),
        ({"read": lambda *_: {"other": VALUE}}, "read"),
    ],
)
def test_a_promise_that_is_not_kept(
    classes: ModuleType, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], method: str
) -> None:
    """One sentence that names the method; of what it raises, prints or gives nothing but what it is called."""
    classes.__dict__["Wrong"] = type("Wrong", (Whole,), changes)
    with failing("plugin_failed") as failed:
        provider = own_provider(given("acme_here:Wrong"), watched())
        made = Made(id="a", parts={"value": VALUE})
        provider.credentials()
        provider.make("n", None)
        provider.test(made)
        provider.in_use("a")
        provider.delete("a")
        assert isinstance(provider, Readable)
        provider.read("a")
    assert f"Could not call {method} of" in failed().message
    assert VALUE not in failed().message + str(failed().__cause__) + capsys.readouterr().out


def test_what_a_class_says_itself_is_shown_and_nothing_secret_in_it(classes: ModuleType) -> None:
    """Options that are secret, values that are made, and what the class protects are known from then on."""

    def make(self: Any, name: str, current: str | None) -> Any:
        self.run.protect("of-the-session")
        raise self.run.failure("the module is locked: of-the-session, of-the-admin", "Unlock it.")

    classes.__dict__["Hsm"] = type("Hsm", (Whole,), {"make": make})
    context = watched()
    provider = own_provider({**given("acme_here:Hsm"), "secret_options": {"token": {"x": ["of-the-admin"]}}}, context)
    with failing("plugin_failed") as failed:
        provider.make("n", None)
    said = context.redactor.text(failed().message)
    assert said == (
        "Could not call make of a provider of your own (acme_here:Hsm): the module is locked: ********, ********. "
        "Unlock it."
    )
    classes.__dict__["Twice"] = Whole
    with failing("plugin_unusable"):
        own_provider({**given("acme_here:Twice"), "secret_options": {"a": "x"}}, context)
    own_provider(given("acme_here:Twice"), context).make("n", None)
    assert VALUE not in context.redactor.text(VALUE)
    with failing("invalid_parameter"):
        own_provider(given("acme_here:Twice"), context).adopted("x", "n")


def test_a_value_that_is_there_already_is_adopted(classes: ModuleType, tmp_path: Path) -> None:
    """Proven first, in check mode too, by methods that change nothing."""
    methods: dict[str, Any] = {
        "standing": lambda self: "the module has the key k-1",
        "adopted": lambda self, text, name: {"id": "k-1", "parts": {"value": text}},
        "test": lambda self, id, parts: "" if parts["value"] == VALUE else f"it does not know {id}",
    }
    classes.__dict__["Hsm"] = type("Hsm", (Whole,), methods)
    place = [file_destination(tmp_path / "value")]
    provider = {"type": "plugin", "plugin": "acme_here:Hsm", "options": {}, "secret_options": None}
    secret = Secret(store=f"file://{tmp_path}/store", destinations=place, provider=provider)
    (tmp_path / "value").write_text(VALUE, encoding="utf-8")
    for check in (True, False):
        with failing("rotation_refused"):
            secret.run(check=check)
        with failing("secret_refused"):
            secret.run(check=check, adopt=True, current_value="another-value")
    assert secret.run(adopt=True)["last"]["outcome"] == "adopted"
    assert secret.ledger.current is not None
    assert (secret.ledger.current.id, (tmp_path / "value").read_text(encoding="utf-8")) == ("k-1", VALUE)


@pytest.mark.parametrize(
    ("observe", "text"),
    [(lambda self: 7, "x"), (lambda self: "", "x"), (lambda self: None, "xyz"), (lambda self: "m", "")],
)
def test_a_destination_that_does_not_say_what_it_holds(classes: ModuleType, observe: Any, text: str) -> None:
    classes.__dict__["Place"] = type("Place", (Whole,), {"observe": observe})
    target = Target(name="here", kind="plugin", options=given("acme_here:Place"))
    with failing("plugin_failed"):
        OwnDestination(target, Keys.read(KEY), watched(), {}).write(text)


def test_a_mark_that_is_the_value_is_refused(classes: ModuleType) -> None:
    classes.__dict__["Place"] = type("Place", (Whole,), {"observe": lambda self: f"holds {VALUE}"})
    target = Target(name="here", kind="plugin", options=given("acme_here:Place"))
    with failing("plugin_failed") as failed:
        OwnDestination(target, Keys.read(KEY), watched(), {}).write(VALUE)
    assert "a mark that is no secret" in failed().message


def test_collections_are_found_beside_what_ansible_sends_along(
    collections: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There ``ansible_collections`` is a package of its own, which has but one folder."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    sent = ModuleType("ansible_collections")
    sent.__path__ = ["/payload.zip/ansible_collections"]
    monkeypatch.setitem(sys.modules, "ansible_collections", sent)
    find_collections([str(collections), str(collections)])
    assert sent.__path__.count(str(collections / "ansible_collections")) == 1
