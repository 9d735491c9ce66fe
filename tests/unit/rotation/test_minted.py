# Copyright (c) 2026 the ops.runbooks contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine with values that a service makes, shows once, and of which it takes only so many."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.ops.runbooks.plugins.module_utils._core.errors import RunbookError
from ansible_collections.ops.runbooks.plugins.module_utils._core.operation import Context
from ansible_collections.ops.runbooks.plugins.module_utils._rotation import providers
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.provider import Made, Verdict
from ansible_collections.ops.runbooks.plugins.module_utils._rotation.retired import may_have_retired

from harness.rotations import App, Killed, Secret, app, declared, made, places, texts, whole
from harness.stores import failing

#: A key of somebody else's.
FOREIGN = "foreign"


class Service:
    """Keys of one account, in a file beside the store: what it holds outlives every run."""

    parts: ClassVar[frozenset[str]] = frozenset({"value"})
    ends_sessions: ClassVar[bool] = False
    root: Path
    limit: ClassVar[int] = 3
    #: Refusals of a new key before it is good, and requests whose answers are lost.
    early: ClassVar[int] = 0
    lost: ClassVar[set[str]] = set()

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        self._path = Service.root / "service.json"

    def keys(self) -> dict[str, dict[str, Any]]:
        return dict(json.loads(self._path.read_text(encoding="utf-8"))) if self._path.exists() else {FOREIGN: {}}

    def _put(self, what: str, keys: Mapping[str, Any]) -> None:
        self._path.write_text(json.dumps(keys), encoding="utf-8")
        if what in Service.lost:
            Service.lost.discard(what)
            raise refusal("service_unreachable", "the connection broke before its answer")

    def credentials(self) -> tuple[str, ...]:
        return tuple(self.keys())

    def make(self, name: str, current: str | None) -> Made:
        keys = self.keys()
        if len(keys) >= Service.limit:
            raise refusal("plan_limit", f"the account has {', '.join(sorted(keys))}, and no room for another key")
        key, value = f"key-{secrets.token_hex(4)}", secrets.token_hex(20)
        self._put("make", {**keys, key: {"enabled": True, "value": value}})
        return Made(id=key, parts={"value": value})

    def apply(self, made: Made) -> None:
        """The service knows it."""

    def test(self, made: Made) -> Verdict:
        Service.early -= 1
        good = self.keys().get(made.id, {}).get("value") == made.parts["value"]
        return Verdict(works=good and Service.early < 0, reason="it is not known yet")

    def in_use(self, credential: str) -> str:
        return ""

    def disable(self, credential: str) -> None:
        self._enabled(credential, enabled=False)

    def lasts(self, credential: str) -> str:
        return ""

    def end(self, credential: str) -> None:
        self.disable(credential)

    def enable(self, credential: str) -> None:
        self._enabled(credential, enabled=True)

    def _enabled(self, credential: str, *, enabled: bool) -> None:
        keys = self.keys()
        self._put("disable", {**keys, credential: {**keys[credential], "enabled": enabled}})

    def adopted(self, text: str, name: str) -> Made:
        raise AssertionError("nothing is adopted here")

    def close(self) -> None:
        """Nothing is open."""

    def delete(self, credential: str) -> None:
        self._put("delete", {name: key for name, key in self.keys().items() if name != credential})


def refusal(code: str, reason: str) -> RunbookError:
    return RunbookError(code=code, attempted="ask the service", object="account", reason=reason, remedy="Look there.")


@pytest.fixture(scope="module")
def consumer() -> Iterator[App]:
    with app() as running:
        yield running


@pytest.fixture
def secret(tmp_path: Path, consumer: App, monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setitem(providers.PROVIDERS, "generated", Service)  # type: ignore[arg-type]
    monkeypatch.setattr(Service, "root", tmp_path / "secret", raising=False)
    monkeypatch.setattr(Service, "early", 0)
    monkeypatch.setattr(Service, "lost", set())
    monkeypatch.setattr(Service, "limit", 3)
    return made(tmp_path / "secret", consumer)


def keys() -> dict[str, dict[str, Any]]:
    return Service({}, None).keys()  # type: ignore[arg-type]


def test_a_value_that_may_be_disabled_is_on_record_as_such(tmp_path: Path, secret: Secret, consumer: App) -> None:
    """Killed at any effect: never is a value dead of which the ledger says that what was built with it may serve."""
    secret.days, first = 91, secret.ledger.current
    assert first is not None
    secret.run()
    consumer.start()
    secret.run()
    secret.days, seen = secret.days + 8, set()
    for number in range(20):
        with suppress(Killed):
            secret.run(die_before=number)
        dead = not keys()[first.id]["enabled"]
        seen.add((dead, secret.ledger.phase))
        assert may_have_retired(secret.ledger) or not dead
        if secret.ledger.phase == "retiring":
            break
    assert {(False, "grace"), (False, "disabling"), (True, "disabling")} <= seen


def test_a_value_that_is_ended_first(tmp_path: Path, secret: Secret, consumer: App) -> None:
    """Killed at any effect: the new one is tried before, nobody has it before, and the ledger says so first."""
    first, store = secret.ledger.current, Path(secret.store.removeprefix("file://")).parent
    assert first is not None
    earlier, asked, ended = texts(secret)[0], {"reason": "compromise", "break_first": True}, set()
    for number in range(30):
        root = Service.root = tmp_path / f"killed-{number}"
        shutil.copytree(store, root)
        again = secret.at(root / "store", declared(root))
        consumer.start(*places(root))
        with suppress(Killed):
            again.run(die_before=number, **asked)
        dead = not keys()[first.id]["enabled"]
        ended.add((dead, again.ledger.phase, texts(again)[0] == earlier))
        assert may_have_retired(again.ledger) or not dead
        if number % 2 and dead:
            back = again.run(take_back=True)
            assert (keys()[first.id]["enabled"], again.ledger.withdrawn_at) == (True, None)
            assert (texts(again)[0], back["last"]["outcome"]) == (earlier, "taken back")
        else:
            again.run(**asked)
            consumer.start()
            again.run(**asked)
            assert again.run(**asked)["last"]["outcome"] == "rotated"
            assert first.id not in keys()
        only_one(again, consumer)
        shutil.rmtree(root)
        if (True, "verifying", False) in ended:
            break
    assert {(False, "staged", True), (False, "breaking", True), (True, "breaking", True)} <= ended


def test_a_value_that_is_ended_while_its_successor_is_on_its_way(secret: Secret, consumer: App) -> None:
    """Somebody finds out that it is stolen when the new one is written, and not in use yet."""
    first = secret.ledger.current
    assert first is not None
    secret.days = 91
    assert secret.run()["phase"] == "verifying"
    written = texts(secret)
    asked = {"reason": "compromise", "break_first": True}
    told = secret.run(check=True, **asked)
    assert told["steps"][0].startswith("disable the earlier value at once")
    said = secret.run(**asked)
    assert (said["phase"], said["withdrawn"], keys()[first.id]["enabled"]) == ("verifying", True, False)
    assert said["steps"] == told["steps"]
    assert texts(secret) == [written[0], ""]
    assert not secret.run(**asked)["changed"]
    for _run in range(3):
        consumer.start()
        secret.run(reason="compromise")
    assert secret.ledger.phase == "idle"
    only_one(secret, consumer)


def test_a_value_that_is_ended_in_its_grace_period(secret: Secret, consumer: App) -> None:
    """Although somebody has gone back to it; killed right before it is ended, the next run of the calendar ends it."""
    first, earlier = secret.ledger.current, texts(secret)[0]
    assert first is not None
    secret.days = 91
    secret.run()
    consumer.start()
    assert secret.run()["phase"] == "grace"
    consumer.values = (earlier,)
    asked = {"reason": "compromise", "break_first": True}
    told = secret.run(check=True, **asked)
    with pytest.raises(Killed):
        secret.run(die_before=2, **asked)
    assert (secret.ledger.phase, keys()[first.id]["enabled"]) == ("disabling", True)
    said = secret.run()
    assert (said["phase"], said["withdrawn"], keys()[first.id]["enabled"]) == ("retiring", False, False)
    assert told["steps"][0] == said["steps"][0] == "disable the earlier value, whoever uses it"
    for _run in range(3):
        consumer.start()
        secret.run(reason="compromise")
    only_one(secret, consumer)


def test_one_that_was_killed_before_it_disabled_looks_again(secret: Secret, consumer: App) -> None:
    """Somebody has gone back to the earlier value meanwhile: it is not taken away from him, and may be brought back."""
    secret.days = 91
    before = secret.at(Path(secret.store.removeprefix("file://")), secret.destinations)
    earlier = texts(secret)[0]
    secret.run()
    consumer.start()
    secret.run()
    secret.days += 8
    with pytest.raises(Killed):
        secret.run(die_before=2)
    assert secret.ledger.phase == "disabling"
    consumer.values = (earlier,)
    waiting = secret.run()
    assert (waiting["changed"], waiting["waits_for"]["what"]) == (False, "use")
    assert "app still uses the other value; a run that ended may have disabled" in waiting["waits_for"]["reason"]
    assert secret.run(take_back=True)["last"]["outcome"] == "taken back"
    assert (texts(before)[0], len(keys())) == (earlier, 2)


def only_one(secret: Secret, consumer: App) -> None:
    """One live key beside the foreign one, in all destinations and in use, and nothing is left of others."""
    current = secret.ledger.current
    assert current is not None
    assert set(keys()) == {FOREIGN, current.id}
    assert keys()[current.id]["enabled"]
    assert texts(secret) == [keys()[current.id]["value"], ""]
    assert consumer.values == (keys()[current.id]["value"],)
    assert len(secret.kept) == 1


def test_killed_before_each_effect(tmp_path: Path, secret: Secret, consumer: App) -> None:
    """Also right after a key was made, which nobody has then seen: it goes, and the foreign one stays."""
    first = Path(secret.store.removeprefix("file://")).parent
    for number in range(200):
        root = Service.root = tmp_path / f"killed-{number}"
        shutil.copytree(first, root)
        again = secret.at(root / "store", declared(root))
        again.days = 91
        consumer.start(*places(root))
        killed = whole(again, consumer, die_before=number)
        only_one(again, consumer)
        shutil.rmtree(root)
        if not killed:
            break
    assert number > 20


@pytest.mark.parametrize("what", ["make", "disable", "delete"])
def test_an_answer_that_is_lost(secret: Secret, consumer: App, what: str) -> None:
    """The service has done it, and the run knows nothing of that."""
    secret.days = 91
    Service.lost = {what}
    with failing("service_unreachable"):
        whole(secret, consumer)
    whole(secret, consumer)
    only_one(secret, consumer)


def test_a_key_that_is_not_known_yet(secret: Secret, consumer: App) -> None:
    secret.days, Service.early = 91, 2
    before = texts(secret)
    for _attempt in range(2):
        with failing("secret_refused"):
            secret.run()
        assert (secret.ledger.phase, texts(secret)) == ("staged", before)
    whole(secret, consumer)
    only_one(secret, consumer)


def test_no_room_for_another_key(secret: Secret, consumer: App) -> None:
    """Nothing is removed to make room: the keys are named, and somebody decides."""
    secret.days, Service.limit = 91, 2
    with failing("plan_limit") as failed:
        secret.run()
    assert FOREIGN in failed().message
    assert len(keys()) == 2
    assert secret.run(take_back=True)["last"]["outcome"] == "dropped"
    only_one(secret, consumer)


def test_what_was_disabled_is_enabled_on_the_way_back(secret: Secret, consumer: App) -> None:
    secret.days = 91
    first = secret.ledger.current
    assert first is not None
    secret.run()
    consumer.start()
    secret.run()
    secret.days += 8
    assert secret.run()["phase"] in ("retiring", "watching")
    assert not keys()[first.id]["enabled"]
    secret.run(take_back=True)
    assert keys()[first.id]["enabled"]
    consumer.start()
    with pytest.raises(Killed):
        secret.run(die_before=3)
    secret.run()
    consumer.start()
    only_one(secret, consumer)
